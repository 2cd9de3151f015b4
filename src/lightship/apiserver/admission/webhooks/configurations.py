"""The webhooks that are configured, in the order in which they are asked, and which of them a request concerns.

`calls` asks for every request that is admitted: without configurations that is one look at a number, and which rules name a kind of
request is decided once. Reads configurations as they are stored; knows no network.
Contract: k8s.io/apiserver pkg/admission/configuration; webhooks in the order of their configurations' names.
"""

from collections.abc import Iterator
from importlib import import_module
from typing import Any, NamedTuple

from lightship.apiserver.admission import matching
from lightship.apiserver.core import Core
from lightship.apiserver.transport.outbound import Target, target_of
from lightship.meta.admission import AdmissionRequest
from lightship.meta.objects import Obj
from lightship.meta.resources import Resource

_KINDS_OF_REQUESTS = 4096
"""Decisions that are remembered."""


class Hook:
    """One webhook of one configuration. `index`: its place among all."""

    __slots__ = ("_target", "conditions", "configuration", "fails_open", "index", "name", "spec", "timeout")

    def __init__(self, configuration: str, index: int, spec: Obj) -> None:
        self.configuration = configuration
        self.index = index
        self.spec = spec
        self.name: str = spec["name"]
        self.fails_open = spec.get("failurePolicy") == "Ignore"
        self.timeout = float(spec.get("timeoutSeconds") or 10)
        self._target: Target | None = None
        self.conditions: Any = None
        """Its match conditions (`expressions.Conditions`), compiled when they are first asked."""

    @property
    def target(self) -> Target:
        """Raises `outbound.CallError` when its certificates are not base64."""
        if self._target is None:
            self._target = target_of(self.spec["clientConfig"])
        return self._target

    @property
    def without_side_effects(self) -> bool:
        return self.spec.get("sideEffects") in ("None", "NoneOnDryRun")


class Invocation(NamedTuple):
    """A webhook that a request concerns, and the resource by which it knows the request's."""

    hook: Hook
    resource: Resource


class Configurations:
    """All webhooks of one kind of configuration (`mutatingwebhookconfigurations` or `validatingwebhookconfigurations`)."""

    def __init__(self, core: Core, plural: str) -> None:
        self._core = core
        self._prefix = f"admissionregistration.k8s.io/{plural}/"
        self._seen = (-1, -1)
        self._hooks: list[Hook] = []
        self._concerned: dict[tuple[str, tuple[str, str, str], str], list[Invocation]] = {}

    def concerning(self, request: AdmissionRequest) -> Iterator[Invocation]:
        """Webhooks to ask about this request as it is now. Raises `StatusError` when that cannot be told."""
        for invocation in self._by_rule(request):
            spec = invocation.hook.spec
            if not matching.object_matches(spec.get("objectSelector"), request):
                continue
            if not matching.namespace_matches(self._core, spec.get("namespaceSelector"), request):
                continue
            if not spec.get("matchConditions") or self._conditions(invocation.hook).hold(request, invocation.resource):
                yield invocation

    def _conditions(self, hook: Hook) -> Any:
        if hook.conditions is None:
            # CEL is loaded when somebody asks for it.
            made = import_module("lightship.apiserver.admission.expressions").Conditions
            hook.conditions = made(self._core, hook.spec["matchConditions"], fails_open=hook.fails_open)
        return hook.conditions

    def _by_rule(self, request: AdmissionRequest) -> list[Invocation]:
        self._refresh()
        if not self._hooks or matching.is_exempt(request.resource):
            return []
        asked = (request.operation, request.resource.identity, request.subresource)
        found = self._concerned.get(asked)
        if found is None:
            if len(self._concerned) >= _KINDS_OF_REQUESTS:
                self._concerned.clear()
            found = self._concerned[asked] = list(self._decide(request))
        return found

    def _decide(self, request: AdmissionRequest) -> Iterator[Invocation]:
        for hook in self._hooks:
            equivalent = hook.spec.get("matchPolicy") != "Exact"
            resource = matching.find(self._core, hook.spec.get("rules") or (), request, equivalent=equivalent)
            if resource is not None:
                yield Invocation(hook, resource)

    def _refresh(self) -> None:
        state = (self._core.store.changed(self._prefix), self._core.catalogue.generation)
        if state == self._seen:
            return
        self._seen = state
        records = self._core.store.list(self._prefix).records
        found = [(record.obj["metadata"]["name"], spec) for record in records for spec in record.obj.get("webhooks") or ()]
        self._hooks = [Hook(name, index, spec) for index, (name, spec) in enumerate(found)]
        self._concerned = {}
