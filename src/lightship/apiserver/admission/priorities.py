"""Priority admission: the priority of a pod or PodGroup is the number behind its PriorityClass, and nobody may claim another
number, or another way to preempt.

Contract: kube-apiserver plugin/pkg/admission/priority; scheduling.k8s.io/v1 PriorityClass.
"""

from collections.abc import Callable, Sequence

from lightship.apiserver.core import Core
from lightship.meta.admission import Admission, AdmissionRequest
from lightship.meta.objects import Obj

from . import pod_groups
from .refusals import forbidden
from .remembered import Remembered

BUCKET = "scheduling.k8s.io/priorityclasses"
SYSTEM = {"system-node-critical": 2_000_001_000, "system-cluster-critical": 2_000_000_000}
"""Classes that exist on every cluster, before anybody has created one."""
_DEFAULT: Obj = {"value": 0}
_POD_DIFFERS = (
    "the integer value of priority ({given}) must not be provided in pod spec; "
    "priority admission controller computed {computed} from the given PriorityClass name"
)
_POLICY_DIFFERS = (
    "the string value of PreemptionPolicy ({given}) must not be provided in pod spec; "
    "priority admission controller computed {computed} from the given PriorityClass name"
)
_GROUP_DIFFERS = (
    "priority set in the pod group ({given}) must match the priority computed ({computed}) based on the priority class set in the spec"
)


def admission(core: Core) -> list[Admission]:
    """The rule, for servers that serve pods."""
    pods = core.catalogue.find("", "v1", "pods")
    if pods is None:
        return []

    groups = core.catalogue.find(pod_groups.GROUP, pod_groups.VERSION, "podgroups")
    default = Remembered(core.store, BUCKET, _default)

    async def resolve(request: AdmissionRequest) -> list[str] | None:
        obj = request.obj
        if request.operation != "CREATE" or request.subresource or obj is None:
            return None
        spec = obj.setdefault("spec", {})
        if request.resource.kind == "PodGroup":
            _resolve(core, default, request, spec, _GROUP_DIFFERS)
        else:
            found = _resolve(core, default, request, spec, _POD_DIFFERS)
            policy = found.get("preemptionPolicy") or "PreemptLowerPriority"
            if (given := spec.get("preemptionPolicy")) not in (None, policy):
                raise forbidden(request, _POLICY_DIFFERS.format(given=given, computed=policy))
            spec["preemptionPolicy"] = policy
        return None

    resources = (pods,) if groups is None else (pods, groups)
    return [Admission(name="Priority", resources=resources, mutate=resolve, operations=("CREATE",), whole=True)]


def _resolve(core: Core, default: Callable[[], Obj], request: AdmissionRequest, spec: Obj, differs: str) -> Obj:
    """Fill in class and number, and return the class."""
    name = spec.get("priorityClassName") or ""
    found = _named(core, name) if name else default()
    if found is None:
        raise forbidden(request, f"no PriorityClass with name {name} was found")
    if not name and found.get("metadata"):
        spec["priorityClassName"] = found["metadata"]["name"]
    value = found["value"]
    if spec.get("priority") not in (None, value):
        raise forbidden(request, differs.format(given=spec["priority"], computed=value))
    spec["priority"] = value
    return found


def _named(core: Core, name: str) -> Obj | None:
    record = core.store.get(f"{BUCKET}//{name}")
    if record is not None:
        return record.obj
    return {"value": SYSTEM[name]} if name in SYSTEM else None


def _default(classes: Sequence[Obj]) -> Obj:
    """The class for pods that name none: of several defaults the least, as the real one does."""
    return min((c for c in classes if c.get("globalDefault")), key=lambda c: int(c["value"]), default=_DEFAULT)
