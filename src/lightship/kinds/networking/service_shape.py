"""What a change of a Service does to its addresses and ports before anybody allocates: kept, carried over, dropped, families decided.

Called by `services` and by the server's allocation, in the order `keep`, `choose_families`, `drop_unneeded`. Pure, in place; tolerates
specs that validation will refuse.
Contract: kube 1.36 pkg/registry/core/service strategy and storage (patchAllocatedValues, normalizeClusterIPs, initIPFamilyFields,
dropTypeDependentFields).
"""

from collections.abc import Sequence

from lightship.meta import errors
from lightship.meta.errors import Cause
from lightship.meta.objects import Obj

from .service_checks import check_addresses

HEADLESS = "None"
EXTERNAL_NAME, LOAD_BALANCER, NODE_PORT = "ExternalName", "LoadBalancer", "NodePort"
_SINGLE, _BOTH, _PREFER = "SingleStack", "RequireDualStack", "PreferDualStack"
_FAMILIES = ("IPv4", "IPv6")


def needs_address(spec: Obj) -> bool:
    return spec.get("type") != EXTERNAL_NAME


def needs_ports(spec: Obj) -> bool:
    """Does every port get one of the nodes' ports, asked for or not?"""
    if spec.get("type") == LOAD_BALANCER:
        return spec.get("allocateLoadBalancerNodePorts") is not False
    return spec.get("type") == NODE_PORT


def needs_health_check(spec: Obj) -> bool:
    return spec.get("type") == LOAD_BALANCER and spec.get("externalTrafficPolicy") == "Local"


def is_external(spec: Obj) -> bool:
    """Can it be reached from outside of the cluster?"""
    kind = spec.get("type")
    return kind in (LOAD_BALANCER, NODE_PORT) or (kind == "ClusterIP" and bool(spec.get("externalIPs")))


def node_ports(spec: Obj) -> list[int]:
    return [port["nodePort"] for port in spec.get("ports") or () if port.get("nodePort")]


def address_list(spec: Obj) -> list[str]:
    return spec.get("clusterIPs") or []


def start(spec: Obj) -> None:
    """A new Service may name its first address alone."""
    if spec.get("clusterIP") and not spec.get("clusterIPs"):
        spec["clusterIPs"] = [spec["clusterIP"]]


def keep(spec: Obj, before: Obj) -> None:
    """What an update leaves out stays as it was allocated; of the two ways to name addresses the one that changed counts."""
    if needs_address(before) and needs_address(spec):
        if not spec.get("clusterIP") and before.get("clusterIP"):
            spec["clusterIP"] = before["clusterIP"]
        if not spec.get("clusterIPs") and before.get("clusterIPs"):
            spec["clusterIPs"] = list(before["clusterIPs"])
    if needs_ports(before) and needs_ports(spec):
        _keep_ports(spec, before)
    if needs_health_check(before) and needs_health_check(spec) and not spec.get("healthCheckNodePort"):
        spec["healthCheckNodePort"] = before.get("healthCheckNodePort") or 0
    one, other = before.get("clusterIP") or "", spec.get("clusterIP") or ""
    if address_list(before) and not address_list(spec) and one == other:
        spec["clusterIPs"] = list(before["clusterIPs"])
    if one != other and address_list(before) == address_list(spec):
        if one and not other:
            spec.pop("clusterIPs", None)
        else:
            spec["clusterIPs"] = [other]


def _keep_ports(spec: Obj, before: Obj) -> None:
    used = set(node_ports(before)) & set(node_ports(spec))
    by_name = {port.get("name") or "": port.get("nodePort") or 0 for port in before.get("ports") or ()}
    for port in spec.get("ports") or ():
        old = by_name.get(port.get("name") or "", 0)
        if not port.get("nodePort") and old and old not in used:
            port["nodePort"] = old


def choose_families(spec: Obj, before: Obj | None, configured: Sequence[str]) -> list[Cause]:
    """Fill in policy and families, in place; what cannot be had. `configured`: the cluster's families, the default one first."""
    if not needs_address(spec) or is_unchanged_preference(spec, before):
        return []
    headless = spec.get("clusterIP") == HEADLESS and not spec.get("selector")
    if not spec.get("ipFamilyPolicy"):
        old = (before or {}).get("ipFamilyPolicy")
        spec["ipFamilyPolicy"] = old or (_BOTH if headless else _SINGLE)
    causes = check_addresses(spec, before)
    causes = causes or _check_reduction(spec, before) + _check_single(spec) + _add_families_of_addresses(spec, configured)
    if causes:
        return causes
    if headless:
        families = spec["ipFamilies"] = list(spec.get("ipFamilies") or configured[:1])
        if len(families) == 1 and spec["ipFamilyPolicy"] != _SINGLE:
            families.append(_other(families[0]))
        return []
    return _check_configured(spec, configured) or _complete(spec, configured)


def _complete(spec: Obj, configured: Sequence[str]) -> list[Cause]:
    families = spec["ipFamilies"] = list(spec.get("ipFamilies") or configured[:1])
    if spec["ipFamilyPolicy"] != _SINGLE and len(families) == 1 and len(configured) == len(_FAMILIES):
        families.append(_other(families[0]))
    return []


def _other(family: str) -> str:
    return _FAMILIES[family == _FAMILIES[0]]


def _check_reduction(spec: Obj, before: Obj | None) -> list[Cause]:
    """A second address or family is given back by asking for one alone."""
    if before is None or not needs_address(before):
        return []
    if spec["ipFamilyPolicy"] == _SINGLE:
        for field in ("clusterIPs", "ipFamilies"):
            if (spec.get(field) or []) == (before.get(field) or []) and len(spec.get(field) or []) > 1:
                spec[field] = spec[field][:1]
        return []
    causes = []
    for field, word in (("clusterIPs", "cluster IP"), ("ipFamilies", "IP family")):
        given, old = spec.get(field) or [], before.get(field) or []
        if len(given) == 1 and len(old) == len(_FAMILIES) and given[0] == old[0]:
            why = f"must be 'SingleStack' to release the secondary {word}"
            causes.append(errors.invalid_value("spec.ipFamilyPolicy", spec["ipFamilyPolicy"], why))
    return causes


def _check_single(spec: Obj) -> list[Cause]:
    if spec["ipFamilyPolicy"] != _SINGLE:
        return []
    causes = []
    for field, words in (("clusterIPs", "cluster IPs"), ("ipFamilies", "IP families")):
        if len(spec.get(field) or []) == len(_FAMILIES):
            why = f"must be 'RequireDualStack' or 'PreferDualStack' when multiple {words} are specified"
            causes.append(errors.invalid_value("spec.ipFamilyPolicy", _SINGLE, why))
    return causes


def _add_families_of_addresses(spec: Obj, configured: Sequence[str]) -> list[Cause]:
    causes = []
    families = list(spec.get("ipFamilies") or ())
    for i, address in enumerate(address_list(spec)):
        if address == HEADLESS:
            break
        family = _FAMILIES[":" in address]
        if i >= len(families):
            if family not in configured:
                why = f"{family} is not configured on this cluster"
                causes.append(errors.invalid_value(f"spec.clusterIPs[{i}]", address_list(spec), why))
            else:
                families.append(family)
    if families:
        spec["ipFamilies"] = families
    return causes


def _check_configured(spec: Obj, configured: Sequence[str]) -> list[Cause]:
    causes = []
    if spec["ipFamilyPolicy"] == _BOTH and len(configured) < len(_FAMILIES):
        why = "this cluster is not configured for dual-stack services"
        causes.append(errors.invalid_value("spec.ipFamilyPolicy", _BOTH, why))
    for i, family in enumerate(spec.get("ipFamilies") or ()):
        if family not in configured:
            causes.append(errors.invalid_value(f"spec.ipFamilies[{i}]", family, "not configured on this cluster"))
    return causes


def is_unchanged_preference(spec: Obj, before: Obj | None) -> bool:
    """Does an update of a Service that prefers two families, if there are two, leave them as they are?"""
    if before is None or spec.get("ipFamilyPolicy") != _PREFER or before.get("ipFamilyPolicy") not in (None, _PREFER):
        return False
    fields = ("type", "clusterIP", "clusterIPs", "ipFamilies")
    return spec.get("type") != EXTERNAL_NAME and all((spec.get(f) or None) == (before.get(f) or None) for f in fields)


def drop_unneeded(service: Obj, before: Obj) -> None:
    """What only the old type had goes with it, unless the client changed it too."""
    spec = service["spec"]
    if needs_address(before) and not needs_address(spec):
        _drop_addresses(spec, before)
    ported = (NODE_PORT, LOAD_BALANCER)
    if before.get("type") in ported and spec.get("type") not in ported and set(node_ports(before)) >= set(node_ports(spec)):
        for port in spec.get("ports") or ():
            port.pop("nodePort", None)
    if needs_health_check(before) and not needs_health_check(spec):
        _drop_same(spec, before, "healthCheckNodePort")
    if before.get("type") == LOAD_BALANCER and spec.get("type") != LOAD_BALANCER:
        _drop_same(spec, before, "allocateLoadBalancerNodePorts")
        _drop_same(spec, before, "loadBalancerClass")
    if is_external(before) and not is_external(spec):
        _drop_same(spec, before, "externalTrafficPolicy")
    if spec.get("type") != LOAD_BALANCER:
        service["status"] = {**(service.get("status") or {}), "loadBalancer": {}}


def _drop_addresses(spec: Obj, before: Obj) -> None:
    if all((spec.get(f) or None) == (before.get(f) or None) for f in ("clusterIP", "clusterIPs")):
        spec.pop("clusterIP", None)
        spec.pop("clusterIPs", None)
    for field in ("ipFamilies", "ipFamilyPolicy", "internalTrafficPolicy"):
        # The last of these is never shown of a Service that is but a name.
        _drop_same(spec, before, field)


def _drop_same(spec: Obj, before: Obj, field: str) -> None:
    if spec.get(field) == before.get(field):
        spec.pop(field, None)
