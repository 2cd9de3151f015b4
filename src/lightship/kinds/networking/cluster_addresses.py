"""The rules of IPAddresses and ServiceCIDRs: which addresses of the cluster are taken, and from which ranges they come.

Called through `networking`. Who hands out addresses is not decided here.
Contract: kube 1.36 pkg/apis/networking/validation ValidateIPAddress, ValidateServiceCIDR; pkg/registry/networking; printers.
"""

from typing import Any

from lightship.kinds import cells, checking, go_shape, ip_checks
from lightship.meta import errors, objects
from lightship.meta.errors import Cause
from lightship.meta.objects import Obj
from lightship.meta.patch import same

_IMMUTABLE = "field is immutable"
_REFERENCE = "Group Resource Namespace Name"


def validate_address(address: Obj, old: Obj | None) -> list[Cause]:
    """An IPAddress is called by the address that it stands for."""
    reference = objects.spec(address).get("parentRef")
    causes = ip_checks.strict_ip("metadata.name", objects.name(address)) if old is None else []
    if reference is None:
        causes.append(errors.required("spec.parentRef"))
    else:
        causes += _check_reference("spec.parentRef", reference)
    if old is not None and not same(reference, objects.spec(old).get("parentRef")):
        causes.append(errors.invalid_value("spec.parentRef", go_shape.shown(reference, _REFERENCE), _IMMUTABLE))
    return causes


def _check_reference(path: str, reference: Obj) -> list[Cause]:
    causes: list[Cause] = []
    if reference.get("group"):
        causes += checking.check_name(f"{path}.group", reference["group"], "subdomain")
    for field in ("resource", "name"):
        causes += checking.required_name(f"{path}.{field}", reference.get(field), "path")
    if reference.get("namespace"):
        causes += checking.check_name(f"{path}.namespace", reference["namespace"], "path")
    return causes


def validate_range(ranges: Obj, old: Obj | None) -> list[Cause]:
    """A ServiceCIDR may gain a second range, nothing else."""
    cidrs = objects.spec(ranges).get("cidrs") or []
    if old is None:
        return _check_cidrs("spec.cidrs", cidrs)
    before = objects.spec(old).get("cidrs") or []
    if len(before) == len(cidrs):
        changed = [i for i, cidr in enumerate(before) if cidrs[i] != cidr]
        return [errors.invalid_value(f"spec.cidrs[{i}]", cidrs[i], _IMMUTABLE) for i in changed]
    if (len(before), len(cidrs)) == (1, 2):
        moved = [] if cidrs[0] == before[0] else [errors.invalid_value("spec.cidrs[0]", cidrs[0], _IMMUTABLE)]
        return moved + _check_cidrs("spec.cidrs", cidrs)
    return [errors.invalid_value("spec.cidrs", cidrs or None, _IMMUTABLE)]


def _check_cidrs(path: str, cidrs: list[str]) -> list[Cause]:
    if not cidrs:
        return [errors.required(path, "at least one CIDR required")]
    if len(cidrs) > 2:
        return [errors.invalid_value(path, {"CIDRs": cidrs}, "may only hold up to 2 values")]
    causes = [c for i, cidr in enumerate(cidrs) for c in ip_checks.strict_cidr(f"{path}[{i}]", cidr)]
    families = [found[1].version for cidr in cidrs if (found := ip_checks.parse_cidr(cidr))]
    if len(families) == 2 and families[0] == families[1]:
        why = "may specify no more than one IP for each IP family, i.e 192.168.0.0/24 and 2001:db8::/64"
        causes.append(errors.invalid_value(path, cidrs, why))
    return causes


def address_row(address: Obj, now: float) -> list[Any]:
    """As the real server's, which has an age for which it names no column."""
    return [objects.name(address), _parent(objects.spec(address).get("parentRef")), cells.created(address, now)]


def _parent(reference: Obj | None) -> str:
    if reference is None:
        return cells.NONE
    resource = ".".join(part for part in (reference.get("resource"), reference.get("group")) if part)
    space = f"/{reference['namespace']}" if reference.get("namespace") else ""
    return f"{resource.lower()}{space}/{reference.get('name') or ''}"


def range_row(ranges: Obj, now: float) -> list[Any]:
    return [objects.name(ranges), ",".join(objects.spec(ranges).get("cidrs") or ()), cells.created(ranges, now)]
