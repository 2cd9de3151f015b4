"""NamespaceLifecycle: nothing is created in a namespace that does not exist or is being deleted; some namespaces are never deleted.

Contract: apiserver pkg/admission/plugin/namespace/lifecycle.
"""

from lightship.apiserver.core import Core
from lightship.meta import errors
from lightship.meta.admission import Admission, AdmissionRequest

from .refusals import forbidden

NAMESPACES = "core/namespaces"
IMMORTAL = frozenset({"default", "kube-system", "kube-public"})


def admission(core: Core) -> Admission:
    """The rule; it wants to see every resource."""

    async def judge(request: AdmissionRequest) -> list[str] | None:
        if request.operation == "DELETE":
            if request.resource.bucket == NAMESPACES and request.name in IMMORTAL:
                why = f'namespaces "{request.name}" is forbidden: this namespace may not be deleted'
                raise errors.forbidden(why, "namespaces", request.name)
            return None
        if request.operation == "CREATE" and request.namespace:
            _check(core, request)
        return None

    return Admission(name="NamespaceLifecycle", resources=(), mutate=judge, operations=("CREATE", "DELETE"))


def _check(core: Core, request: AdmissionRequest) -> None:
    namespace = request.namespace
    record = core.store.get(f"{NAMESPACES}//{namespace}")
    if record is None:
        raise errors.not_found("namespaces", namespace)
    obj = record.obj
    if obj["metadata"].get("deletionTimestamp") or (obj.get("status") or {}).get("phase") == "Terminating":
        raise _terminating(request)


def _terminating(request: AdmissionRequest) -> errors.StatusError:
    namespace = request.namespace
    error = forbidden(request, f"unable to create new content in namespace {namespace} because it is being terminated")
    message = f"namespace {namespace} is being terminated"
    cause = {"reason": "NamespaceTerminating", "message": message, "field": "metadata.namespace"}
    error.details = {**(error.details or {}), "causes": [cause]}
    return error
