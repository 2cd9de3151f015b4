"""What a pod may learn about itself: `fieldRef` and `resourceFieldRef`, for environment variables and downward API volumes.

Pure. Contract: Pod spec ObjectFieldSelector and ResourceFieldSelector; kubelet fieldpath.ExtractFieldPathAsString.
"""

import json
import re
from collections.abc import Mapping
from decimal import ROUND_CEILING, Decimal

from lightship.meta import objects, quantity
from lightship.meta.objects import Obj

_SUBSCRIPT = re.compile(r"^metadata\.(labels|annotations)\['(.+)'\]$")


def field(pod: Obj, path: str, *, host_ip: str, pod_ip: str) -> str:
    """The text of a pod field. Raises `ValueError` for a path that is not offered."""
    subscript = _SUBSCRIPT.match(path)
    if subscript:
        found: Mapping[str, str] = objects.meta(pod).get(subscript[1]) or {}
        return found.get(subscript[2], "")
    spec, meta = objects.spec(pod), objects.meta(pod)
    known = {
        "metadata.name": meta.get("name"),
        "metadata.namespace": meta.get("namespace"),
        "metadata.uid": meta.get("uid"),
        "metadata.labels": format_map(meta.get("labels") or {}),
        "metadata.annotations": format_map(meta.get("annotations") or {}),
        "spec.nodeName": spec.get("nodeName"),
        "spec.serviceAccountName": spec.get("serviceAccountName") or spec.get("serviceAccount"),
        "status.hostIP": host_ip,
        "status.hostIPs": host_ip,
        "status.podIP": pod_ip,
        "status.podIPs": pod_ip,
    }
    if path not in known:
        raise ValueError(f"unsupported fieldPath: {path}")
    return str(known[path] or "")


def format_map(values: Mapping[str, str]) -> str:
    """Labels or annotations as a downward API file shows them: `key="value"` lines in order."""
    return "\n".join(f"{key}={json.dumps(values[key], ensure_ascii=False)}" for key in sorted(values))


def resource(pod: Obj, container_name: str, selector: Obj, allocatable: Mapping[str, str]) -> str:
    """A request or limit divided by the divisor and rounded up; an absent limit is what the node has. Raises `ValueError`."""
    spec = objects.spec(pod)
    containers = [*(spec.get("containers") or ()), *(spec.get("initContainers") or ())]
    container = next((c for c in containers if c["name"] == container_name), None)
    if container is None:
        raise ValueError(f"container {container_name} not found")
    wanted = selector.get("resource", "")
    which, _, name = wanted.partition(".")
    if which not in ("limits", "requests") or not name:
        raise ValueError(f"unsupported container resource : {wanted}")
    resources = container.get("resources") or {}
    value = (resources.get(which) or {}).get(name)
    if value is None and which == "limits":
        value = allocatable.get(name)
    divisor = quantity.parse(selector.get("divisor") or "0") or Decimal(1)
    amount = quantity.parse(value) if value is not None else Decimal(0)
    return str(int((amount / divisor).to_integral_value(ROUND_CEILING)))
