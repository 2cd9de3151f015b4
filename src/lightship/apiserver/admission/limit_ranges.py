"""LimitRanger admission: pods get the namespace's default requests and limits, and may not ask for less or more than it allows.

Contract: kube-apiserver plugin/pkg/admission/limitranger; core/v1 LimitRange. Defaults are noted in an annotation.
"""

from collections.abc import Iterator, Mapping, Sequence

from lightship.apiserver.core import Core
from lightship.kinds import pods
from lightship.meta import quantity
from lightship.meta.admission import Admission, AdmissionRequest
from lightship.meta.objects import Obj
from lightship.meta.resources import Resource

from .refusals import forbidden
from .remembered import Remembered

_BUCKET = "core/limitranges"
_NOTE = "kubernetes.io/limit-ranger"
Amounts = Mapping[str, quantity.Number]


def admission(core: Core) -> list[Admission]:
    """The rule, for servers that serve limit ranges."""
    found = [core.catalogue.find("", "v1", plural) for plural in ("pods", "persistentvolumeclaims")]
    served = tuple(resource for resource in found if resource is not None)
    if core.catalogue.find("", "v1", "limitranges") is None or not served:
        return []
    ranger = _Ranger(core)
    return [Admission(name="LimitRanger", resources=served, mutate=ranger.mutate, validate=ranger.validate, buckets=(_BUCKET,))]


class _Ranger:
    def __init__(self, core: Core) -> None:
        self._by_namespace = Remembered(core.store, _BUCKET, _by_namespace)

    async def mutate(self, request: AdmissionRequest) -> list[str] | None:
        if request.obj is None or request.operation != "CREATE" or request.subresource or request.resource.plural != "pods":
            return None
        for limit_range in self._ranges(request.namespace):
            _fill(request.obj, limit_range)
        return None

    async def validate(self, request: AdmissionRequest) -> list[str] | None:
        if request.obj is None or request.operation not in ("CREATE", "UPDATE"):
            return None
        is_pod = request.resource.plural == "pods"
        if request.subresource and not (is_pod and request.subresource == "resize"):
            return None
        if is_pod and request.operation == "UPDATE" and not request.subresource:
            return None
        for limit_range in self._ranges(request.namespace):
            found = list(dict.fromkeys(_complaints(request.resource, request.obj, limit_range)))
            if found:
                why = found[0] if len(found) == 1 else "[" + ", ".join(found) + "]"
                raise forbidden(request, why)
        return None

    def _ranges(self, namespace: str) -> list[Obj]:
        return self._by_namespace().get(namespace, [])


def _by_namespace(limit_ranges: Sequence[Obj]) -> dict[str, list[Obj]]:
    found: dict[str, list[Obj]] = {}
    for limit_range in limit_ranges:
        found.setdefault(limit_range["metadata"]["namespace"], []).append(limit_range)
    return found


def _limits(limit_range: Obj, type: str) -> Iterator[Obj]:
    return (limit for limit in (limit_range.get("spec") or {}).get("limits") or () if limit.get("type") == type)


def _fill(pod: Obj, limit_range: Obj) -> None:
    """Default requests and limits of containers, in place, and a note of what was set."""
    requests: dict[str, quantity.Number] = {}
    limits: dict[str, quantity.Number] = {}
    for limit in _limits(limit_range, "Container"):
        requests.update(limit.get("defaultRequest") or {})
        limits.update(limit.get("default") or {})
    notes: list[str] = []
    for field, title in (("containers", "container"), ("initContainers", "init container")):
        for container in pod["spec"].get(field) or ():
            notes += [f"{', '.join(names)} {side} for {title} {container['name']}" for side, names in _merge(container, requests, limits)]
    if notes:
        annotations = pod["metadata"].get("annotations") or {}
        pod["metadata"]["annotations"] = {**annotations, _NOTE: f"LimitRanger plugin set: {'; '.join(notes)}"}


def _merge(container: Obj, requests: Amounts, limits: Amounts) -> list[tuple[str, list[str]]]:
    resources = container.get("resources") or {}
    notes = []
    for side, defaults in (("request", requests), ("limit", limits)):
        given = resources.get(side + "s") or {}
        new = sorted(name for name in defaults if name not in given)
        if new:
            resources[side + "s"] = {**given, **{name: defaults[name] for name in new}}
            notes.append((side, new))
    if notes:
        container["resources"] = resources
    return notes


def _complaints(resource: Resource, obj: Obj, limit_range: Obj) -> Iterator[str]:
    if resource.plural == "persistentvolumeclaims":
        requests = ((obj.get("spec") or {}).get("resources") or {}).get("requests") or {}
        for limit in _limits(limit_range, "PersistentVolumeClaim"):
            for name, least in _items(limit, "min"):
                yield from _below("PersistentVolumeClaim", name, least, requests, {})
            for name, most in _items(limit, "max"):
                yield from _above_request("PersistentVolumeClaim", name, most, requests)
        return
    spec = obj["spec"]
    for limit in _limits(limit_range, "Container"):
        for container in (*(spec.get("containers") or ()), *(spec.get("initContainers") or ())):
            resources = container.get("resources") or {}
            yield from _judge("Container", limit, resources.get("requests") or {}, resources.get("limits") or {})
    for limit in _limits(limit_range, "Pod"):
        yield from _judge("Pod", limit, pods.total_requests({"spec": {**spec, "overhead": {}}}), pods.total_limits(obj))


def _items(limit: Obj, field: str) -> list[tuple[str, quantity.Number]]:
    return sorted((limit.get(field) or {}).items())


def _judge(type: str, limit: Obj, requests: Amounts, limits: Amounts) -> Iterator[str]:
    for name, least in _items(limit, "min"):
        yield from _below(type, name, least, requests, limits)
    for name, most in _items(limit, "max"):
        yield from _above(type, name, most, requests, limits)
    for name, ratio in _items(limit, "maxLimitRequestRatio"):
        yield from _too_far_apart(type, name, ratio, requests, limits)


def _below(type: str, name: str, least: quantity.Number, requests: Amounts, limits: Amounts) -> Iterator[str]:
    rule = f"minimum {name} usage per {type} is {quantity.canonical(least)}"
    if name not in requests:
        yield f"{rule}.  No request is specified"
    elif quantity.parse(requests[name]) < quantity.parse(least):
        yield f"{rule}, but request is {quantity.canonical(requests[name])}"
    elif name in limits and quantity.parse(limits[name]) < quantity.parse(least):
        yield f"{rule}, but limit is {quantity.canonical(limits[name])}"


def _above_request(type: str, name: str, most: quantity.Number, requests: Amounts) -> Iterator[str]:
    rule = f"maximum {name} usage per {type} is {quantity.canonical(most)}"
    if name not in requests:
        yield f"{rule}.  No request is specified"
    elif quantity.parse(requests[name]) > quantity.parse(most):
        yield f"{rule}, but request is {quantity.canonical(requests[name])}"


def _above(type: str, name: str, most: quantity.Number, requests: Amounts, limits: Amounts) -> Iterator[str]:
    rule = f"maximum {name} usage per {type} is {quantity.canonical(most)}"
    if name not in limits:
        yield f"{rule}.  No limit is specified"
    elif quantity.parse(limits[name]) > quantity.parse(most):
        yield f"{rule}, but limit is {quantity.canonical(limits[name])}"
    elif name in requests and quantity.parse(requests[name]) > quantity.parse(most):
        yield f"{rule}, but request is {quantity.canonical(requests[name])}"


def _too_far_apart(type: str, name: str, ratio: quantity.Number, requests: Amounts, limits: Amounts) -> Iterator[str]:
    rule = f"{name} max limit to request ratio per {type} is {quantity.canonical(ratio)}"
    request, limit = (quantity.parse(side.get(name, 0)) for side in (requests, limits))
    if not request:
        yield f"{rule}, but no request is specified or request is 0"
    elif not limit:
        yield f"{rule}, but no limit is specified or limit is 0"
    elif limit / request > quantity.parse(ratio):
        yield f"{rule}, but provided ratio is {float(limit / request):f}"
