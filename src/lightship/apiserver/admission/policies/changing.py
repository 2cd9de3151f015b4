"""Changing an object by MutatingAdmissionPolicies: one after another, each seeing what the others made of it.

Loaded by `index.Gate` when a policy first concerns a request. When any has changed the object, or a webhook after them, those with
`reinvocationPolicy: IfNeeded` run once more (`rounds`). What a policy may not do, or cannot, refuses the request or is passed over, as its
`failurePolicy` says.
Contract: k8s.io/apiserver pkg/admission/plugin/policy/mutating dispatcher.go.
"""

from collections.abc import Sequence

from lightship import cel
from lightship.apiserver.admission.expressions import Failed, OutOfBudget, Subject, evaluate
from lightship.apiserver.admission.refusals import named
from lightship.apiserver.conversion.versions import convert
from lightship.apiserver.core import Core
from lightship.apiserver.served import CannotDecode, Served
from lightship.apiserver.verbs import managed, rounds
from lightship.cel.admission import PER_EXPRESSION, PER_POLICY, Expression
from lightship.meta import errors
from lightship.meta.admission import AdmissionRequest
from lightship.meta.errors import StatusError
from lightship.meta.fields.types import DEDUCED, Type
from lightship.meta.objects import Obj, copy
from lightship.meta.resources import Resource

from . import evaluators, patches
from .index import Policy
from .selecting import Invocation, Trouble, select

_RULE = "MutatingAdmissionPolicy"


class Judge:
    def __init__(self, core: Core) -> None:
        self._core = core

    async def admit(self, request: AdmissionRequest, policies: Sequence[Policy]) -> None:
        """Change `request.obj` in place. Raises the refusal of policies that failed and may not."""
        found = [one async for one in select(self._core, request, policies)]
        run = _Run(self._core, request, [one for one in found if isinstance(one, Trouble)])
        run.all([one for one in found if isinstance(one, Invocation)])
        failed = [trouble for trouble in run.troubles if not trouble[0].policy.fails_open]
        if failed:
            raise _refusal(request, failed)


class _Run:
    """One request on its way through the policies. `troubles`: what went wrong, each with the reason of the answer."""

    def __init__(self, core: Core, request: AdmissionRequest, troubles: Sequence[Trouble]) -> None:
        self._core = core
        self._request = request
        self._subject = Subject(core, request)
        self._memory = rounds.memory(request, _RULE)
        self._dirty = self._changed = False
        self.troubles: list[tuple[Trouble, str]] = [(trouble, "Forbidden") for trouble in troubles]

    def all(self, invocations: Sequence[Invocation]) -> None:
        memory, request = self._memory, self._request
        memory.enter(request)
        for invocation in invocations:
            self._one(invocation)
        if self._dirty:
            # Also those that were the last to change it: what they did may have changed what they would do.
            memory.changed(request)
        memory.leave(request)

    def _one(self, invocation: Invocation) -> None:
        """Run the mutations of one policy, if its conditions are met and it is its turn."""
        compiled, memory, key = evaluators.mutations(invocation.policy), self._memory, _key(invocation)
        try:
            if not compiled.concerns(self._subject, invocation):
                return
        except Failed as error:
            self._note(invocation, error)
            return
        if rounds.is_second(self._request) and key not in memory.due:
            return
        self._changed = False
        for is_patch, expression in compiled.mutations:
            if self._request.obj is None:
                break
            try:
                self._mutate(invocation, expression, is_patch=is_patch)
            except (Failed, OutOfBudget, patches.Unpatched) as error:
                self._note(invocation, error)
        if self._changed:
            memory.changed(self._request)
        if invocation.policy.spec.get("reinvocationPolicy") == "IfNeeded":
            memory.asked.add(key)

    def _note(self, invocation: Invocation, error: Exception) -> None:
        self.troubles.append((Trouble(invocation.policy, invocation.binding, str(error)), "Invalid"))

    def _mutate(self, invocation: Invocation, expression: Expression, *, is_patch: bool) -> None:
        if expression.program is None:
            raise Failed(expression.problem)
        subject, shown = self._subject, invocation.shown
        compiled = evaluators.mutations(invocation.policy)
        values = subject.values(shown, compiled.needs)
        live: Obj = values["object"]
        values.update(subject.authorizers(compiled.needs), params=invocation.param)
        if "namespaceObject" in compiled.needs:
            values["namespaceObject"] = subject.namespace(whole=True)
        value = evaluate(expression, compiled.complete(values), cel.Budget(per_call=PER_EXPRESSION, total=PER_POLICY))
        served = self._core.catalogue.served(shown) if live.get("kind") == shown.kind else None
        patched = patches.json_patched(live, value) if is_patch else patches.configured(_type(self._core, served), live, value)
        self._dirty = True
        if patched is not live:
            self._check_version(shown)
            self._take(served, copy(patched), strict=is_patch)

    def _check_version(self, shown: Resource) -> None:
        """The real server cannot turn built-in kinds that a policy has changed in another version back into the client's."""
        own = self._request.resource
        if shown.api_version != own.api_version and not own.custom:
            why = f"converting ({shown.version}.{shown.kind}) to ({own.version}.{own.kind}): unknown conversion"
            raise patches.Unpatched(why)

    def _take(self, served: Served | None, patched: Obj, *, strict: bool) -> None:
        """Put the new content in the place of the old, made complete as any object that comes in."""
        request = self._request
        if served is not None:
            _accept(served, patched, strict=strict)
            patched = convert(patched, request.resource)
            if request.resource.default:
                request.resource.default(patched)
        assert request.obj is not None
        self._changed = self._changed or patched != request.obj
        request.obj.clear()
        request.obj.update(patched)
        self._subject.changed()


def _key(invocation: Invocation) -> tuple[str, str, str, str]:
    meta: Obj = (invocation.param or {}).get("metadata") or {}
    return invocation.policy.name, invocation.binding.name, meta.get("namespace") or "", meta.get("name") or ""


def _type(core: Core, served: Served | None) -> Type:
    return managed.of(served, lambda: core.catalogue.siblings(served.bucket)).type if served is not None else DEDUCED


def _accept(served: Served, patched: Obj, *, strict: bool) -> None:
    if not isinstance(patched, dict) or not isinstance(patched.get("metadata"), dict):
        raise patches.Unpatched("the mutated object has no metadata")
    try:
        served.accept(patched, "Strict" if strict and not served.resource.custom else "Ignore", [])
    except CannotDecode as error:
        if strict:
            raise errors.internal(error.why) from error
        raise patches.Unpatched(error.why) from error


def _refusal(request: AdmissionRequest, failed: Sequence[tuple[Trouble, str]]) -> StatusError:
    resource = request.resource
    name = named(request)
    texts = [_worded(trouble) for trouble, _ in failed]
    details: Obj = {"name": name, **({"group": resource.group} if resource.group else {}), "kind": resource.plural}
    details["causes"] = [{"message": text} for text in texts]
    return StatusError(403, failed[0][1], texts[0], details)


def _worded(trouble: Trouble) -> str:
    if trouble.binding is None:
        return f'policy "{trouble.policy.name}" denied request: {trouble.message}'
    return f"policy '{trouble.policy.name}' with binding '{trouble.binding.name}' denied request: {trouble.message}"
