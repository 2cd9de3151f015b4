"""What can be wrong with ResourceSlices: pools, devices, their attributes, capacities, counters and taints.

Called through `resources`. What a device is good for only its driver knows.
Contract: kube 1.36 pkg/apis/resource/validation ValidateResourceSlice, without list attributes and node allocatable resources.
"""

import re
from collections.abc import Callable
from typing import Any

from lightship.kinds import checking, go_shape, node_labels
from lightship.meta import errors, objects
from lightship.meta.errors import Cause
from lightship.meta.objects import Obj
from lightship.meta.patch import same

from . import checks as device_checks
from . import request_policies
from .checks import by_name, each, label

_MAX_DEVICES, _MAX_ADVANCED_DEVICES = 128, 64
_MAX_NAMED, _MAX_COUNTER_SETS, _MAX_COUNTERS, _MAX_CONSUMED, _MAX_TAINTS = 32, 8, 32, 2, 16
_KEY_LIMIT, _LABEL_LIMIT, _VALUE_LIMIT = 63 + 1 + 32, 63, 64
_PLACES = ("nodeName", "nodeSelector", "allNodes", "perDeviceNodeSelection")
_ONE_PLACE = "exactly one of `nodeName`, `nodeSelector`, `allNodes`, `perDeviceNodeSelection` is required"
_ONE_OF_DEVICE = (
    "exactly one of `nodeName`, `nodeSelector`, or `allNodes` is required when `perDeviceNodeSelection` is set to true in the "
    "ResourceSlice spec"
)
_NOT_PER_DEVICE = (
    "`nodeName`, `nodeSelector` and `allNodes` can only be set if `perDeviceNodeSelection` is set to true in the ResourceSlice spec"
)
_ATTRIBUTE = "IntValue? BoolValue? StringValue? VersionValue? IntValues? BoolValues? StringValues? VersionValues?"
_NUMBER, _PRE, _BUILD = r"(0|[1-9]\d*)", r"(0|[1-9]\d*|\d*[a-zA-Z-][0-9a-zA-Z-]*)", "[0-9a-zA-Z-]+"
_semver = re.compile(rf"{_NUMBER}\.{_NUMBER}\.{_NUMBER}(-{_PRE}(\.{_PRE})*)?(\+{_BUILD}(\.{_BUILD})*)?", re.ASCII).fullmatch


def validate(slice: Obj, old: Obj | None) -> list[Cause]:
    spec, before = objects.spec(slice), objects.spec(old) if old is not None else None
    driver, pool = spec.get("driver") or "", spec.get("pool") or {}
    causes = device_checks.driver_name("spec.driver", driver) + _check_pool("spec.pool", pool)
    if before is not None:
        causes += checking.immutable("spec.pool.name", pool.get("name") or "", (before.get("pool") or {}).get("name") or "")
        causes += checking.immutable("spec.driver", driver, before.get("driver") or "")
        causes += checking.immutable("spec.nodeName", spec.get("nodeName"), before.get("nodeName"))
    causes += _check_place(spec)
    if spec.get("sharedCounters") is not None and spec.get("devices") is not None:
        causes.append(errors.invalid_value("spec", "", "only one of `sharedCounters` or `devices` is allowed"))
    devices = spec.get("devices") or []
    had = {by_name(device): device for device in (before or {}).get("devices") or ()}
    per_device = bool(spec.get("perDeviceNodeSelection"))
    limit = _MAX_ADVANCED_DEVICES if any(d.get("taints") or d.get("consumesCounters") for d in devices) else _MAX_DEVICES

    def check(path: str, device: Obj) -> list[Cause]:
        return _check_device(path, device, had.get(by_name(device)), per_device=per_device)

    causes += each("spec.devices", devices, limit, check, by_name)
    return causes + each("spec.sharedCounters", spec.get("sharedCounters"), _MAX_COUNTER_SETS, _check_counter_set, by_name)


def warn(slice: Obj, old: Obj | None) -> list[str]:
    driver = objects.spec(slice).get("driver") or ""
    if driver == driver.lower():
        return []
    return [f'spec.driver: driver names should be lowercase; "{driver}" contains uppercase characters']


def _check_pool(path: str, pool: Obj) -> list[Cause]:
    causes = device_checks.pool_name(f"{path}.name", pool.get("name") or "")
    count, generation = pool.get("resourceSliceCount") or 0, pool.get("generation") or 0
    if count <= 0:
        causes.append(errors.invalid_value(f"{path}.resourceSliceCount", count, "must be greater than zero"))
    if generation < 0:
        causes.append(errors.invalid_value(f"{path}.generation", generation, "must be greater than or equal to zero"))
    return causes


def _check_place(spec: Obj) -> list[Cause]:
    given, causes = _places("spec", spec, "must be either unset or set to a non-empty string", _PLACES)
    terms = (spec.get("nodeSelector") or {}).get("nodeSelectorTerms") or []
    if spec.get("nodeSelector") is not None and len(terms) != 1:
        at = "spec.nodeSelector.nodeSelectorTerms"
        wrong = errors.invalid_value(at, terms or None, "must have exactly one node selector term")
        causes.insert(_after(causes, "spec.nodeSelector"), wrong)
    if not given:
        causes.append(errors.required("spec", _ONE_PLACE))
    elif len(given) > 1:
        shown = f"{{{', '.join(given)}}}"
        causes.append(errors.invalid_value("spec", shown, f"{_ONE_PLACE}, but multiple fields are set"))
    return causes


def _after(causes: list[Cause], prefix: str) -> int:
    found = [i for i, cause in enumerate(causes) if cause.field.startswith(prefix)]
    if found:
        return found[-1] + 1
    return next((i for i, cause in enumerate(causes) if not cause.field.startswith("spec.nodeName")), len(causes))


def _places(path: str, holder: Obj, empty: str, fields: tuple[str, ...]) -> tuple[list[str], list[Cause]]:
    """Which of the ways to name nodes are used, and what is wrong with each."""
    given: list[str] = []
    causes: list[Cause] = []
    for field in fields:
        value, at = holder.get(field), f"{path}.{field}"
        if value is None:
            continue
        if value == "":
            causes.append(errors.invalid_value(at, "", empty))
        elif value is False:
            causes.append(errors.invalid_value(at, False, "must be either unset or set to true"))
        else:
            given.append(f"`{field}`")
            causes += _check_node(at, value)
    return given, causes


def _check_node(path: str, value: Any) -> list[Cause]:
    if isinstance(value, str):
        return checking.check_name(path, value, "subdomain")
    return node_labels.check_selector(path, value) if isinstance(value, dict) else []


def _check_device(path: str, device: Obj, old: Obj | None, *, per_device: bool) -> list[Cause]:
    attributes, capacity = device.get("attributes") or {}, device.get("capacity") or {}
    causes = label(f"{path}.name", by_name(device))
    if len(attributes) + len(capacity) > _MAX_NAMED:
        why = f"the total number of attributes and capacities must not exceed {_MAX_NAMED}"
        causes.append(errors.invalid_value(path, len(attributes) + len(capacity), why))
    causes += _check_map(f"{path}.attributes", attributes, -1, _KEY_LIMIT, device_checks.qualified, _check_attribute)
    shared = bool(device.get("allowMultipleAllocations"))
    policy = request_policies.check if shared else _check_no_policy
    causes += _check_map(f"{path}.capacity", capacity, -1, _KEY_LIMIT, device_checks.qualified, policy)
    if old is None or not same(old.get("taints"), device.get("taints")):
        causes += each(f"{path}.taints", device.get("taints"), _MAX_TAINTS, device_checks.taint)
    consumed = device.get("consumesCounters")
    causes += each(f"{path}.consumesCounters", consumed, _MAX_CONSUMED, _check_consumption, lambda c: c.get("counterSet") or "")
    causes += _check_device_place(path, device, per_device=per_device)
    return causes + device_checks.binding(path, device)


def _check_device_place(path: str, device: Obj, *, per_device: bool) -> list[Cause]:
    fields = _PLACES[:3]
    if not per_device:
        wrong = any(device.get(field) is not None for field in fields)
        return [errors.invalid_value(path, None, _NOT_PER_DEVICE)] if wrong else []
    given, causes = _places(path, device, "must not be empty", fields)
    if not given:
        causes.append(errors.required(path, _ONE_OF_DEVICE))
    elif len(given) > 1:
        causes.append(errors.invalid_value(path, f"{{{', '.join(given)}}}", _ONE_OF_DEVICE))
    return causes


def _check_map(
    path: str, found: Obj, limit: int, shown: int, key: Callable[[str, str], list[Cause]], item: Callable[[str, Any], list[Cause]]
) -> list[Cause]:
    if 0 <= limit < len(found):
        return [errors.too_many(path, len(found), limit)]
    causes: list[Cause] = []
    for name, value in found.items():
        causes += key(path, name)
        causes += item(f"{path}[{_shortened(name, shown)}]", value)
    return causes


def _shortened(text: str, limit: int) -> str:
    if len(text) <= limit:
        return text
    left = limit - 3
    return f"{text[: (left + 1) // 2]}...{text[len(text) - left // 2 :]}"


def _check_attribute(path: str, attribute: Obj) -> list[Cause]:
    causes: list[Cause] = []
    given = [field for field in ("bool", "int", "string", "version") if attribute.get(field) is not None]
    text, version = attribute.get("string"), attribute.get("version")
    if text is not None and len(text.encode()) > _VALUE_LIMIT:
        causes.append(errors.too_long(f"{path}.string", _VALUE_LIMIT))
    if version is not None and not _semver(version[: _VALUE_LIMIT * 4]):
        causes.append(errors.invalid_value(f"{path}.version", version, "must be a string compatible with semver.org spec 2.0.0"))
    if version is not None and len(version.encode()) > _VALUE_LIMIT:
        causes.append(errors.too_long(f"{path}.version", _VALUE_LIMIT))
    if not given:
        causes.append(errors.invalid_value(path, "", "exactly one value must be specified"))
    elif len(given) > 1:
        value = go_shape.shown({f"{field}Value": attribute.get(field) for field in given}, _ATTRIBUTE)
        causes.append(errors.invalid_value(path, value, "exactly one value must be specified"))
    return causes


def _check_no_policy(path: str, capacity: Obj) -> list[Cause]:
    if capacity.get("requestPolicy") is None:
        return []
    return [errors.forbidden_field(f"{path}.requestPolicy", "allowMultipleAllocations must be true")]


def _check_counter_set(path: str, counters: Obj) -> list[Cause]:
    causes = checking.required_name(f"{path}.name", by_name(counters), "label")
    return causes + _check_counters(f"{path}.counters", counters.get("counters") or {})


def _check_consumption(path: str, consumption: Obj) -> list[Cause]:
    causes = checking.required_name(f"{path}.counterSet", consumption.get("counterSet"), "label")
    return causes + _check_counters(f"{path}.counters", consumption.get("counters") or {})


def _check_counters(path: str, counters: Obj) -> list[Cause]:
    if not counters:
        return [errors.required(path)]
    return _check_map(path, counters, _MAX_COUNTERS, _LABEL_LIMIT, label, lambda at, counter: [])
