"""The policies that are bound to something, in the order of their names, and which of them a kind of request may concern.

Asked for every request that is admitted. Which rules name a kind of request is decided once; names, selectors and exclusions, and all that
expressions say, are for those who evaluate. Reads policies as they are stored; knows no CEL.
Contract: k8s.io/apiserver pkg/admission/plugin/policy/generic policy_source.go.
"""

from collections.abc import Sequence
from importlib import import_module
from typing import Any

from lightship.apiserver.admission import matching
from lightship.apiserver.core import Core
from lightship.meta.admission import AdmissionRequest
from lightship.meta.objects import Obj

_KINDS_OF_REQUESTS = 4096
"""Decisions that are remembered."""


class Binding:
    """`resources` keeps what has been made of its `matchResources`."""

    __slots__ = ("name", "resources", "spec")

    def __init__(self, obj: Obj) -> None:
        self.name: str = obj["metadata"]["name"]
        self.spec: Obj = obj["spec"]
        self.resources: Any = None


class Policy:
    """One policy and what is bound to it. `compiled` and `resources` keep what has been made of its expressions and constraints."""

    __slots__ = ("bindings", "compiled", "fails_open", "name", "resources", "spec", "version")

    def __init__(self, obj: Obj, bindings: list[Binding]) -> None:
        meta = obj["metadata"]
        self.name: str = meta["name"]
        self.spec: Obj = obj["spec"]
        self.fails_open = self.spec.get("failurePolicy") == "Ignore"
        self.bindings = bindings
        self.version: tuple[Any, ...] = (meta.get("uid"), meta.get("generation"))
        self.compiled: Any = None
        self.resources: Any = None


class Policies:
    """All policies of one kind that have bindings; `bindings` is the bucket of those."""

    def __init__(self, core: Core, policies: str, bindings: str) -> None:
        self.core = core
        self._policies_at = f"admissionregistration.k8s.io/{policies}/"
        self.bindings = f"admissionregistration.k8s.io/{bindings}"
        self._bindings_at = f"{self.bindings}/"
        self._seen = (-1, -1, -1)
        self._active: list[Policy] = []
        self._concerned: dict[tuple[str, tuple[str, str, str], str], Sequence[Policy]] = {}

    def concerning(self, request: AdmissionRequest) -> Sequence[Policy]:
        """The policies with a rule for this kind of request."""
        store = self.core.store
        state = (store.changed(self._bindings_at), store.changed(self._policies_at), self.core.catalogue.generation)
        if state != self._seen:
            self._refresh()
            self._seen = state
        if not self._active or matching.is_exempt(request.resource):
            return ()
        asked = (request.operation, request.resource.identity, request.subresource)
        found = self._concerned.get(asked)
        if found is None:
            if len(self._concerned) >= _KINDS_OF_REQUESTS:
                self._concerned.clear()
            found = self._concerned[asked] = [policy for policy in self._active if self._names(policy, request)]
        return found

    def _names(self, policy: Policy, request: AdmissionRequest) -> bool:
        constraints = policy.spec["matchConstraints"]
        equivalent = constraints.get("matchPolicy") != "Exact"
        return matching.find(self.core, constraints.get("resourceRules") or (), request, equivalent=equivalent) is not None

    def _refresh(self) -> None:
        bound: dict[str, list[Binding]] = {}
        for record in self.core.store.list(self._bindings_at).records:
            binding = Binding(record.obj)
            bound.setdefault(binding.spec["policyName"], []).append(binding)
        kept = {policy.version: policy.compiled for policy in self._active}
        self._active = []
        for record in self.core.store.list(self._policies_at).records if bound else ():
            bindings = bound.get(record.obj["metadata"]["name"])
            if bindings:
                policy = Policy(record.obj, bindings)
                policy.compiled = kept.get(policy.version)
                self._active.append(policy)
        self._concerned = {}


class Gate:
    """Lets requests through that no policy concerns, and has the others judged by the `Judge` of a module that is loaded then."""

    def __init__(self, policies: Policies, module: str, operations: tuple[str, ...]) -> None:
        self._policies = policies
        self._module = module
        self._operations = operations
        self._judge: Any = None

    async def admit(self, request: AdmissionRequest) -> list[str] | None:
        """Raises the refusal of a policy."""
        concerned = self._policies.concerning(request)
        if not concerned or request.operation not in self._operations:
            return None
        if self._judge is None:
            self._judge = import_module(self._module).Judge(self._policies.core)
        await self._judge.admit(request, concerned)
        return None
