"""RuntimeClass admission: a pod gets the overhead and the placement of the runtime that it asks for, and no overhead that it made up.

Contract: kube-apiserver plugin/pkg/admission/runtimeclass; node.k8s.io/v1 RuntimeClass (KEP-585, KEP-688).
"""

from lightship.apiserver.core import Core
from lightship.meta import quantity
from lightship.meta.admission import Admission, AdmissionRequest
from lightship.meta.objects import Obj

from .refusals import forbidden

_BUCKET = "node.k8s.io/runtimeclasses"


def admission(core: Core) -> list[Admission]:
    """The rule, for servers that serve pods and runtime classes."""
    pods = core.catalogue.find("", "v1", "pods")
    if pods is None or core.catalogue.find("node.k8s.io", "v1", "runtimeclasses") is None:
        return []

    async def fill(request: AdmissionRequest) -> list[str] | None:
        if request.obj is not None and request.operation == "CREATE" and not request.subresource:
            found = _class_of(core, request, request.obj["spec"])
            if found is not None:
                _place(request, request.obj["spec"], found)
        return None

    async def judge(request: AdmissionRequest) -> list[str] | None:
        if request.obj is not None and request.operation == "CREATE" and not request.subresource:
            spec = request.obj["spec"]
            if spec.get("overhead") and not ((_class_of(core, request, spec) or {}).get("overhead")):
                raise forbidden(request, "pod rejected: Pod Overhead set without corresponding RuntimeClass defined Overhead")
        return None

    return [Admission(name="RuntimeClass", resources=(pods,), mutate=fill, validate=judge, operations=("CREATE",), whole=True)]


def _class_of(core: Core, request: AdmissionRequest, spec: Obj) -> Obj | None:
    name = spec.get("runtimeClassName")
    if not name:
        return None
    record = core.store.head(f"{_BUCKET}//{name}")
    if record is None:
        raise forbidden(request, f'pod rejected: RuntimeClass "{name}" not found')
    return record.obj


def _place(request: AdmissionRequest, spec: Obj, found: Obj) -> None:
    overhead = (found.get("overhead") or {}).get("podFixed")
    if overhead:
        if spec.get("overhead") and _amounts(spec["overhead"]) != _amounts(overhead):
            raise forbidden(request, "pod rejected: Pod's Overhead doesn't match RuntimeClass's defined Overhead")
        spec["overhead"] = dict(overhead)
    scheduling = found.get("scheduling") or {}
    wanted = scheduling.get("nodeSelector") or {}
    given = spec.get("nodeSelector") or {}
    for key, value in wanted.items():
        if given.get(key, value) != value:
            why = f"conflict: runtimeClass.scheduling.nodeSelector[{key}] = {value}; pod.spec.nodeSelector[{key}] = {given[key]}"
            raise forbidden(request, why)
    if wanted:
        spec["nodeSelector"] = {**given, **wanted}
    more = [toleration for toleration in scheduling.get("tolerations") or () if toleration not in (spec.get("tolerations") or ())]
    if more:
        spec["tolerations"] = [*(spec.get("tolerations") or ()), *more]


def _amounts(overhead: Obj) -> Obj:
    return {name: quantity.parse(value) for name, value in overhead.items()}
