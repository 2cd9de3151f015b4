"""What can be wrong with the status of a ResourceClaim: who has reserved it, what was allocated, what drivers say of the devices.

Called through `resources`. Who may say so is admission's matter.
Contract: kube 1.36 pkg/apis/resource/validation validateResourceClaimStatusUpdate; pkg/registry/resource/resourceclaim.
"""

import ipaddress
from collections.abc import Iterable

from lightship.kinds import checking, ip_checks, node_labels, parts
from lightship.meta import errors, objects
from lightship.meta.errors import Cause
from lightship.meta.objects import Obj
from lightship.meta.patch import same

from . import checks as device_checks
from .checks import MAX_CONFIGS, each, label
from .claim_checks import RequestNames, check_config

_MAX_CONSUMERS = 256
_MAX_RESULTS = 32
_MAX_CONDITIONS = 8
_MAX_ADDRESSES = 16
_INTERFACE_LIMIT, _HARDWARE_LIMIT = 256, 128
_SOURCES = ("FromClaim", "FromClass")


def prepare_status(claim: Obj, old: Obj | None) -> None:
    """What was said of devices goes with them."""
    parts.keep_metadata(claim, old)
    status = claim.setdefault("status", {})
    gone = _allocated(objects.status(old or {})) - _allocated(status)
    if status.get("devices"):
        kept = [device for device in status["devices"] if _identity(device) not in gone]
        if kept:
            status["devices"] = kept
        else:
            del status["devices"]


def _identity(device: Obj) -> tuple[str, ...]:
    return tuple(device.get(field) or "" for field in ("driver", "pool", "device", "shareID"))


def _shown(device: Obj) -> str:
    driver, pool, name, share = _identity(device)
    return f"{driver}/{pool}/{name}" + (f"/{share}" if share else "")


def _results(status: Obj) -> list[Obj]:
    return ((status.get("allocation") or {}).get("devices") or {}).get("results") or []


def _allocated(status: Obj) -> set[tuple[str, ...]]:
    return {_identity(result) for result in _results(status)}


def validate_status(claim: Obj, old: Obj | None) -> list[Cause]:
    status, before = objects.status(claim), objects.status(old or {})
    known = RequestNames(objects.spec(claim).get("devices") or {})
    consumers, allocation, had = status.get("reservedFor") or [], status.get("allocation"), before.get("allocation")
    causes = each("status.reservedFor", consumers, _MAX_CONSUMERS, _check_consumer, lambda c: c.get("uid") or "")
    allocated = _allocated(status)
    causes += each("status.devices", status.get("devices"), -1, lambda at, d: _check_device(at, d, allocated), _shown)
    if consumers and allocation is None:
        causes.append(errors.forbidden_field("status.reservedFor", "may not be specified when `allocated` is not set"))
    elif consumers and objects.is_deleting(claim) and _is_new(consumers, before.get("reservedFor") or ()):
        why = "new entries may not be added while `deallocationRequested` or `deletionTimestamp` are set"
        causes.append(errors.forbidden_field("status.reservedFor", why))
    if allocation is not None and had is not None:
        causes += checking.immutable("status.allocation", allocation, had)
    elif allocation is not None:
        causes += _check_allocation("status.allocation", allocation, known)
    return causes


def _is_new(consumers: Iterable[Obj], had: Iterable[Obj]) -> bool:
    before = list(had)
    return any(all(not same(consumer, other) for other in before) for consumer in consumers)


def _check_consumer(path: str, consumer: Obj) -> list[Cause]:
    return [errors.required(f"{path}.{field}") for field in ("resource", "name", "uid") if not consumer.get(field)]


def _check_allocation(path: str, allocation: Obj, known: RequestNames) -> list[Cause]:
    devices = allocation.get("devices") or {}
    causes = each(f"{path}.devices.results", devices.get("results"), _MAX_RESULTS, lambda at, r: _check_result(at, r, known))
    causes += each(f"{path}.devices.config", devices.get("config"), 2 * MAX_CONFIGS, lambda at, c: _check_config(at, c, known))
    selector = allocation.get("nodeSelector")
    return causes + (node_labels.check_selector(f"{path}.nodeSelector", selector) if selector is not None else [])


def _check_result(path: str, result: Obj, known: RequestNames) -> list[Cause]:
    causes = known.check(f"{path}.request", result.get("request") or "")
    causes += _check_name(path, result)
    causes += device_checks.binding(path, result)
    share = result.get("shareID")
    return causes + (device_checks.uid(f"{path}.shareID", share) if share is not None else [])


def _check_name(path: str, device: Obj) -> list[Cause]:
    causes = device_checks.driver_name(f"{path}.driver", device.get("driver") or "")
    causes += device_checks.pool_name(f"{path}.pool", device.get("pool") or "")
    return causes + label(f"{path}.device", device.get("device") or "")


def _check_config(path: str, config: Obj, known: RequestNames) -> list[Cause]:
    source, at = config.get("source"), f"{path}.source"
    causes = checking.one_of(at, source, _SOURCES) if source else [errors.required(at)]
    return causes + check_config(path, config, known)


def _check_device(path: str, device: Obj, allocated: set[tuple[str, ...]]) -> list[Cause]:
    causes = _check_name(path, device)
    share, conditions = device.get("shareID"), device.get("conditions") or []
    if share is not None:
        causes += device_checks.uid(f"{path}.shareID", share)
    if _identity(device) not in allocated:
        shown = dict(zip(("Driver", "Pool", "Device", "ShareID"), _identity(device), strict=True))
        causes.append(errors.invalid_value(path, shown, "must be an allocated device in the claim"))
    if len(conditions) > _MAX_CONDITIONS:
        causes.append(errors.too_many(f"{path}.conditions", len(conditions), _MAX_CONDITIONS))
    causes += parts.conditions(f"{path}.conditions", conditions)
    if device.get("data") is not None:
        causes += device_checks.raw_object(f"{path}.data", device["data"])
    return causes + _check_network(f"{path}.networkData", device.get("networkData") or {})


def _check_network(path: str, network: Obj) -> list[Cause]:
    causes: list[Cause] = []
    for field, limit in (("interfaceName", _INTERFACE_LIMIT), ("hardwareAddress", _HARDWARE_LIMIT)):
        if len((network.get(field) or "").encode()) > limit:
            causes.append(errors.too_long(f"{path}.{field}", limit))
    return causes + each(f"{path}.ips", network.get("ips"), _MAX_ADDRESSES, _check_interface, lambda address: address)


def _check_interface(path: str, value: str) -> list[Cause]:
    """An address with the length of its network, such as 192.0.2.5/24."""
    found = ip_checks.parse_cidr(value)
    if found is None:
        why = "must be a valid address in CIDR form, (e.g. 10.9.8.7/24 or 2001:db8::1/64)"
        return [errors.invalid_value(path, value, why)]
    address, network = found
    length = network.prefixlen
    if isinstance(address, ipaddress.IPv4Address) and length > address.max_prefixlen:
        length -= 96
    shown = f"{address}/{length}"
    return [] if value == shown else [errors.invalid_value(path, value, f'must be in canonical form ("{shown}")')]
