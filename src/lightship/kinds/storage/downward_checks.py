"""References from a pod to its own fields and resources (the downward API), in environment variables and in volumes.

Called by `pods.container_checks` and `volume_checks`. Contract: kube 1.36 pkg/apis/core/validation, fieldpath conversion of Pods.
"""

import re
from collections.abc import Collection

from lightship.kinds import checking
from lightship.meta import errors, quantity
from lightship.meta.errors import Cause
from lightship.meta.objects import Obj

_RESOURCES = (
    "limits.cpu",
    "limits.ephemeral-storage",
    "limits.memory",
    "requests.cpu",
    "requests.ephemeral-storage",
    "requests.memory",
)
_SUBSCRIPT = re.compile(r"(metadata\.(?:labels|annotations))\['(.*)'\]")
_CONVERTIBLE = frozenset(
    {
        "metadata.annotations",
        "metadata.labels",
        "metadata.name",
        "metadata.namespace",
        "metadata.uid",
        "spec.nodeName",
        "spec.restartPolicy",
        "spec.schedulerName",
        "spec.serviceAccountName",
        "spec.hostNetwork",
        "spec.host",
        "status.hostIP",
        "status.hostIPs",
        "status.nominatedNodeName",
        "status.phase",
        "status.podIP",
        "status.podIPs",
    }
)


def field_ref(path: str, reference: Obj, supported: Collection[str]) -> list[Cause]:
    at = f"{path}.fieldPath"
    text = reference.get("fieldPath")
    if not text:
        return [errors.required(at)]
    if reference.get("apiVersion") not in (None, "", "v1"):
        why = f"error converting fieldPath: unsupported pod version: {reference['apiVersion']}"
        return [errors.invalid_value(at, text, why)]
    found = _SUBSCRIPT.fullmatch(text)
    if found:
        key = found[2].lower() if found[1].endswith("annotations") else found[2]
        return [errors.invalid_value(path, key, m.message.partition(": ")[2]) for m in checking.check_name(at, key, "qualified")]
    if text not in _CONVERTIBLE:
        return [errors.invalid_value(at, text, f"error converting fieldPath: field label not supported: {text}")]
    return [] if text in supported else [errors.not_supported(at, text, sorted(supported))]


def resource_field_ref(path: str, reference: Obj) -> list[Cause]:
    name = reference.get("resource")
    if not name:
        return [errors.required(f"{path}.resource")]
    if name not in _RESOURCES and not name.startswith(("limits.hugepages-", "requests.hugepages-")):
        return [errors.not_supported(f"{path}.resource", name, _RESOURCES)]
    divisor = quantity.parse(reference.get("divisor") or 0)
    kind = name.partition(".")[2]
    allowed, shown = _DIVISORS.get(kind, _DIVISORS["memory"])
    if divisor and divisor not in allowed:
        return [errors.invalid_value(f"{path}.divisor", name, f"only divisor's values {shown} are supported with the {kind} resource")]
    return []


_BYTES = [quantity.parse(s) for s in ("1", "1k", "1M", "1G", "1T", "1P", "1E", "1Ki", "1Mi", "1Gi", "1Ti", "1Pi", "1Ei")]
_BYTES_SHOWN = "1, 1k, 1M, 1G, 1T, 1P, 1E, 1Ki, 1Mi, 1Gi, 1Ti, 1Pi and 1Ei"
_DIVISORS = {
    "cpu": ([quantity.parse("1m"), quantity.parse("1")], "1m and 1"),
    "memory": (_BYTES, _BYTES_SHOWN),
    "ephemeral-storage": (_BYTES, _BYTES_SHOWN),
}
