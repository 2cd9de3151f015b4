"""Priority admission: a pod's priority is the number behind its PriorityClass, and nobody may claim another.

Contract: kube-apiserver plugin/pkg/admission/priority; scheduling.k8s.io/v1 PriorityClass.
"""

from collections.abc import Callable, Sequence

from lightship.apiserver.core import Core
from lightship.meta.admission import Admission, AdmissionRequest
from lightship.meta.objects import Obj

from .refusals import forbidden
from .remembered import Remembered

BUCKET = "scheduling.k8s.io/priorityclasses"
SYSTEM = {"system-node-critical": 2_000_001_000, "system-cluster-critical": 2_000_000_000}
"""Classes that exist on every cluster, before anybody has created one."""
_DEFAULT: Obj = {"value": 0}


def admission(core: Core) -> list[Admission]:
    """The rule, for servers that serve pods."""
    pods = core.catalogue.find("", "v1", "pods")
    if pods is None:
        return []

    default = Remembered(core.store, BUCKET, _default)

    async def resolve(request: AdmissionRequest) -> list[str] | None:
        pod = request.obj
        if request.operation == "CREATE" and not request.subresource and pod is not None:
            _resolve(core, default, request, pod["spec"])
        return None

    return [Admission(name="Priority", resources=(pods,), mutate=resolve, operations=("CREATE",), whole=True)]


def _resolve(core: Core, default: Callable[[], Obj], request: AdmissionRequest, spec: Obj) -> None:
    name = spec.get("priorityClassName") or ""
    found = _named(core, name) if name else default()
    if found is None:
        raise forbidden(request, f"no PriorityClass with name {name} was found")
    if not name and found.get("metadata"):
        spec["priorityClassName"] = found["metadata"]["name"]
    value = found["value"]
    if spec.get("priority") not in (None, value):
        why = (
            f"the integer value of priority ({spec['priority']}) must not be provided in pod spec; "
            f"priority admission controller computed {value} from the given PriorityClass name"
        )
        raise forbidden(request, why)
    spec["priority"] = value
    spec.setdefault("preemptionPolicy", found.get("preemptionPolicy") or "PreemptLowerPriority")


def _named(core: Core, name: str) -> Obj | None:
    record = core.store.get(f"{BUCKET}//{name}")
    if record is not None:
        return record.obj
    return {"value": SYSTEM[name]} if name in SYSTEM else None


def _default(classes: Sequence[Obj]) -> Obj:
    """The class for pods that name none: of several defaults the least, as the real one does."""
    return min((c for c in classes if c.get("globalDefault")), key=lambda c: int(c["value"]), default=_DEFAULT)
