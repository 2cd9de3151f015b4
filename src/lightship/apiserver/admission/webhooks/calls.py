"""Asking webhooks: the mutating ones one after another, each seeing what the others made of the object; the validating ones side by side.

A webhook that cannot be reached refuses the request or is passed over, as its `failurePolicy` says. Mutating ones with
`reinvocationPolicy: IfNeeded` are asked once more when the object has changed since.
Contract: k8s.io/apiserver pkg/admission/plugin/webhook/{mutating,validating}; texts of its errors.
"""

import asyncio
import logging

from lightship.apiserver.admission.webhooks import review
from lightship.apiserver.admission.webhooks.configurations import Configurations, Hook, Invocation
from lightship.apiserver.conversion import convert
from lightship.apiserver.core import Core
from lightship.apiserver.outbound import CallError
from lightship.meta import errors, patch
from lightship.meta.admission import AdmissionRequest
from lightship.meta.objects import Obj, copy

log = logging.getLogger(__name__)


class _FailedCallError(Exception):
    """A webhook could not be asked, or did not answer the question."""


class _Caller:
    def __init__(self, core: Core, plural: str, *, mutating: bool) -> None:
        self._core = core
        self._mutating = mutating
        self._configurations = Configurations(core, plural)

    async def ask(self, invocation: Invocation, request: AdmissionRequest, warnings: list[str]) -> review.Verdict | None:
        """The verdict; None for a webhook that failed and may. Raises `StatusError` for a refusal or a failure that counts."""
        hook = invocation.hook
        try:
            verdict = await self._call(invocation, request)
        except _FailedCallError as failure:
            message = f'failed calling webhook "{hook.name}": {failure}'
            if hook.fails_open:
                log.warning("%s; failing open", message)
                return None
            raise errors.internal(message) from failure
        warnings.extend(verdict.warnings)
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
        obj, old = (convert(side, shown) if side is not None else None for side in (request.obj, request.old))
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

    async def admit(self, request: AdmissionRequest) -> list[str] | None:
        """Let the webhooks change `request.obj`, in place. Returns their warnings."""
        warnings: list[str] = []
        asked: list[Hook] = []
        due: set[Hook] = set()
        for invocation in self._configurations.concerning(request):
            changed = await self._change(invocation, request, warnings)
            if changed:
                # Those before it have not seen what it did.
                due.update(asked)
            if invocation.hook.spec.get("reinvocationPolicy") == "IfNeeded":
                asked.append(invocation.hook)
        if due:
            for invocation in self._configurations.concerning(request):
                if invocation.hook in due:
                    await self._change(invocation, request, warnings)
        return warnings

    async def _change(self, invocation: Invocation, request: AdmissionRequest, warnings: list[str]) -> bool:
        verdict = await self.ask(invocation, request, warnings)
        if verdict is None or not verdict.patch:
            return False
        if request.obj is None:
            name = invocation.hook.name
            raise errors.internal(f'admission webhook "{name}" attempted to modify the object, which is not supported for this operation')
        before = convert(request.obj, invocation.resource)
        try:
            patched = patch.json_patch(before, verdict.patch)
        except ValueError as error:
            raise errors.internal(str(error)) from error
        if patched == before:
            return False
        if not isinstance(patched, dict) or not isinstance(patched.get("metadata"), dict):
            raise errors.internal(f'admission webhook "{invocation.hook.name}" left no object')
        self._take(request, convert(copy(patched), request.resource))
        return True

    def _take(self, request: AdmissionRequest, patched: Obj) -> None:
        """Put the new content in the place of the old, made complete as any object that comes in."""
        served = self._core.catalogue.served(request.resource)
        if served is not None and not request.subresource:
            served.accept(patched, "Ignore", [])
            if request.resource.default:
                request.resource.default(patched)
            if request.operation == "CREATE" and request.resource.plural == "pods" and request.resource.prepare:
                request.resource.prepare(patched, None)
        assert request.obj is not None
        request.obj.clear()
        request.obj.update(patched)


class Validating(_Caller):
    def __init__(self, core: Core) -> None:
        super().__init__(core, "validatingwebhookconfigurations", mutating=False)

    async def admit(self, request: AdmissionRequest) -> list[str] | None:
        """Ask all that the request concerns at once. Raises the refusal of the first in order that refuses."""
        concerned = list(self._configurations.concerning(request))
        if not concerned:
            return None
        warnings: list[list[str]] = [[] for _ in concerned]
        calls = [self.ask(invocation, request, told) for invocation, told in zip(concerned, warnings, strict=True)]
        for outcome in await asyncio.gather(*calls, return_exceptions=True):
            if isinstance(outcome, BaseException):
                raise outcome
        return [warning for told in warnings for warning in told]
