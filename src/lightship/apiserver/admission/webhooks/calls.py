"""Asking webhooks: the mutating ones one after another, each seeing what the others made of the object; the validating ones side by side.

A webhook that cannot be reached refuses the request or is passed over, as its `failurePolicy` says. Mutating ones with
`reinvocationPolicy: IfNeeded` are asked once more when the object has changed since (`rounds`).
Contract: k8s.io/apiserver pkg/admission/plugin/webhook/{mutating,validating}; texts of its errors.
"""

import asyncio
import logging
from typing import Any

from lightship.apiserver.audit import PATCH
from lightship.apiserver.conversion.versions import convert
from lightship.apiserver.core import Core
from lightship.apiserver.served import CannotDecode
from lightship.apiserver.transport.outbound import CallError
from lightship.apiserver.verbs import rounds
from lightship.meta import codec, errors, patch
from lightship.meta.admission import AdmissionRequest
from lightship.meta.objects import Obj, copy
from lightship.meta.resources import Resource

from . import review
from .configurations import Configurations, Invocation

log = logging.getLogger(__name__)

_RULE = "MutatingAdmissionWebhook"
_MUTATION = "mutation.webhook.admission.k8s.io/"
_VALIDATING = "validating.webhook.admission.k8s.io/"
_FAILED_OPEN = "failed-open."


class _FailedCallError(Exception):
    """A webhook could not be asked, or did not answer the question."""


class _Caller:
    def __init__(self, core: Core, plural: str, *, mutating: bool) -> None:
        self._core = core
        self._mutating = mutating
        self._configurations = Configurations(core, plural)

    async def ask(self, invocation: Invocation, request: AdmissionRequest, place: str) -> review.Verdict | None:
        """The verdict; None for a webhook that failed and may, noted at `place`. Raises `StatusError` for a refusal or a failure that
        counts."""
        hook = invocation.hook
        try:
            verdict = await self._call(invocation, request)
        except _FailedCallError as failure:
            message = f'failed calling webhook "{hook.name}": {failure}'
            if hook.fails_open:
                log.warning("%s; failing open", message)
                request.annotations.setdefault(_FAILED_OPEN + place, hook.name)
                return None
            raise errors.internal(message) from failure
        for key, value in verdict.annotations.items():
            request.annotations.setdefault(f"{hook.name}/{key}", value)
        request.warnings.extend(verdict.warnings)
        if not verdict.allowed:
            raise review.refusal(hook.name, verdict.status)
        return verdict

    async def _call(self, invocation: Invocation, request: AdmissionRequest) -> review.Verdict:
        hook, shown = invocation
        if request.dry_run and not hook.without_side_effects:
            raise review.unsupported_dry_run(hook.name)
        try:
            version = review.version(hook.spec.get("admissionReviewVersions") or ())
        except ValueError as error:
            raise _FailedCallError(f"could not create admission objects: {error}") from error
        uid = self._core.uid()
        obj, old = (_shown(request, side, shown) for side in (request.obj, request.old))
        document = review.question(request, shown, obj, old, uid, version)
        try:
            answer = await self._core.outbound.post(hook.target, document, timeout=hook.timeout, query=f"timeout={hook.timeout:.0f}s")
            return review.verdict(answer, uid, version, mutating=self._mutating)
        except CallError as error:
            raise _FailedCallError(f"failed to call webhook: {error}") from error
        except review.BadAnswerError as error:
            raise _FailedCallError(f"received invalid webhook response: {error}") from error


class Mutating(_Caller):
    def __init__(self, core: Core) -> None:
        super().__init__(core, "mutatingwebhookconfigurations", mutating=True)

    async def admit(self, request: AdmissionRequest) -> None:
        """Let the webhooks change `request.obj`, in place; in the second round those that were asked before others changed it."""
        memory, second = rounds.memory(request, _RULE), rounds.is_second(request)
        memory.enter(request)
        for invocation in self._configurations.concerning(request):
            hook = invocation.hook
            if second and hook not in memory.due:
                continue
            if await self._change(invocation, request, second=second):
                memory.changed(request)
            if hook.spec.get("reinvocationPolicy") == "IfNeeded":
                memory.asked.add(hook)
        memory.leave(request)

    async def _change(self, invocation: Invocation, request: AdmissionRequest, *, second: bool) -> bool:
        """Ask one webhook; true when it has changed the object."""
        hook = invocation.hook
        place = f"{_MUTATION}round_{int(second)}_index_{hook.index}"
        changed = False
        try:
            verdict = await self.ask(invocation, request, place)
            changed = verdict is not None and bool(verdict.patch) and self._apply(invocation, request, verdict.patch, place)
        finally:
            said = {"configuration": hook.configuration, "webhook": hook.name, "mutated": changed}
            request.annotations.setdefault(place, codec.encode(said).decode())
        return changed

    def _apply(self, invocation: Invocation, request: AdmissionRequest, operations: list[Any], place: str) -> bool:
        hook = invocation.hook
        if request.obj is None:
            told = f'admission webhook "{hook.name}" attempted to modify the object, which is not supported for this operation'
            raise errors.internal(told)
        before = _shown(request, request.obj, invocation.resource)
        assert before is not None
        try:
            patched = patch.json_patch(before, operations)
        except ValueError as error:
            raise errors.internal(str(error)) from error
        said = {"configuration": hook.configuration, "webhook": hook.name, "patch": operations, "patchType": "JSONPatch"}
        request.annotations.setdefault(PATCH + place.removeprefix(_MUTATION), codec.encode(said).decode())
        if patched == before:
            return False
        if not isinstance(patched, dict) or ("metadata" in before and not isinstance(patched.get("metadata"), dict)):
            raise errors.internal(f'admission webhook "{hook.name}" left no object')
        if any(patched.get(field) != before.get(field) for field in ("apiVersion", "kind")):
            raise errors.internal(f'admission webhook "{hook.name}" made another kind of the object')
        self._take(request, copy(patched))
        return True

    def _take(self, request: AdmissionRequest, patched: Obj) -> None:
        """Put the new content in the place of the old, made complete as any object that comes in."""
        served = self._core.catalogue.served(request.resource)
        if served is not None and patched.get("kind") == request.resource.kind:
            patched = convert(patched, request.resource)
            try:
                served.accept(patched, "Ignore", [])
            except CannotDecode as error:
                raise errors.internal(error.why) from error
            if request.resource.default:
                request.resource.default(patched)
        assert request.obj is not None
        request.obj.clear()
        request.obj.update(patched)


class Validating(_Caller):
    def __init__(self, core: Core) -> None:
        super().__init__(core, "validatingwebhookconfigurations", mutating=False)

    async def admit(self, request: AdmissionRequest) -> None:
        """Ask all that the request concerns at once. Raises the refusal of the first in order that refuses."""
        concerned = list(self._configurations.concerning(request))
        if not concerned:
            return
        calls = [self.ask(invocation, request, f"{_VALIDATING}round_0_index_{i}") for i, invocation in enumerate(concerned)]
        for outcome in await asyncio.gather(*calls, return_exceptions=True):
            if isinstance(outcome, BaseException):
                raise outcome


def _shown(request: AdmissionRequest, side: Obj | None, shown: Resource) -> Obj | None:
    """The object, before or after, in the version that a webhook wants; what is of another kind (a Scale) has only one."""
    return convert(side, shown) if side is not None and side.get("kind") == request.resource.kind else side
