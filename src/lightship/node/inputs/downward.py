"""What a pod may learn about itself: `fieldRef` and `resourceFieldRef`, for environment variables and downward API volumes.

Pure. Contract: Pod spec ObjectFieldSelector and ResourceFieldSelector; kubelet fieldpath.ExtractFieldPathAsString.
"""

import re
from collections.abc import Mapping
from decimal import ROUND_CEILING, Decimal

from lightship.meta import objects, quantity
from lightship.meta.objects import Obj

_SUBSCRIPT = re.compile(r"^(.+?)\['(.*)'\]$", re.DOTALL)
_OVERCOMMITTED = ("cpu", "memory", "ephemeral-storage")
"""Resources whose limit, when there is none, is what the node has."""
_HUGE_PAGES = "hugepages-"
_ESCAPES = {"\a": "\\a", "\b": "\\b", "\f": "\\f", "\n": "\\n", "\r": "\\r", "\t": "\\t", "\v": "\\v", "\\": "\\\\", '"': '\\"'}


def field(pod: Obj, path: str, *, host_ip: str, pod_ip: str) -> str:
    """The text of a pod field. Raises `ValueError` for a path that is not offered."""
    subscript = _SUBSCRIPT.match(path)
    if subscript:
        if subscript[1] not in ("metadata.labels", "metadata.annotations"):
            raise ValueError(f'fieldPath "{path}" does not support subscript')
        found: Mapping[str, str] = objects.meta(pod).get(subscript[1].removeprefix("metadata.")) or {}
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
    return "\n".join(f'{key}="{_escaped(values[key])}"' for key in sorted(values))


def _escaped(text: str) -> str:
    """Contract: Go's strconv.Quote."""
    return text if text.isalnum() else "".join(_ESCAPES.get(c) or (c if c.isprintable() else _code(c)) for c in text)


def _code(character: str) -> str:
    number = ord(character)
    if number < 0x80:
        return f"\\x{number:02x}"
    return f"\\u{number:04x}" if number < 0x10000 else f"\\U{number:08x}"


def defaults(pod: Obj, allocatable: Mapping[str, str]) -> Mapping[str, str]:
    """What containers without limits may use: what the node has or, where it is given, what the whole pod may."""
    whole = (objects.spec(pod).get("resources") or {}).get("limits") or {}
    bounds = {name: whole[name] for name in ("cpu", "memory") if name in allocatable and whole.get(name) and quantity.parse(whole[name])}
    return {**allocatable, **bounds} if bounds else allocatable


def resource(pod: Obj, container_name: str, selector: Obj, allocatable: Mapping[str, str]) -> str:
    """A request or limit divided by the divisor and rounded up; an absent limit is what the node has. Raises `ValueError`."""
    spec = objects.spec(pod)
    containers = [*(spec.get("containers") or ()), *(spec.get("initContainers") or ())]
    container = next((c for c in containers if c["name"] == container_name), None)
    if container is None:
        raise ValueError(f"container {container_name} not found")
    wanted = selector.get("resource", "")
    which, _, name = wanted.partition(".")
    if which not in ("limits", "requests") or not (name in _OVERCOMMITTED or name.startswith(_HUGE_PAGES)):
        raise ValueError(f"unsupported container resource : {wanted}")
    amount = quantity.parse(((container.get("resources") or {}).get(which) or {}).get(name) or "0")
    if not amount and which == "limits" and name in _OVERCOMMITTED:
        amount = quantity.parse(allocatable.get(name) or "0")
    divisor = quantity.parse(selector.get("divisor") or "0") or Decimal(1)
    unit = 1000 if name == "cpu" else 1
    return str(_up(_up(amount * unit) / _up(divisor * unit)))


def _up(value: Decimal) -> Decimal:
    return value.to_integral_value(ROUND_CEILING)
