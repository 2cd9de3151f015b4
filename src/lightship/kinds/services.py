"""The rules of Services: types, ports, addresses. Who allocates cluster addresses is not decided here.

Contract: kube 1.36 pkg/apis/core/v1 defaults, ValidateService; texts as kube-apiserver's.
"""

from typing import Any

from lightship.kinds import cells, checking
from lightship.meta import errors, objects, selectors
from lightship.meta.errors import Cause
from lightship.meta.objects import Obj

HEADLESS = "None"
_ALLOCATED = ("clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy")
_EXTERNAL = ("NodePort", "LoadBalancer")
_AFFINITY_SECONDS = 10800
_LOAD_BALANCER = "LoadBalancer"
_EXTERNAL_NAME = "ExternalName"
_FAMILIES = ("IPv4", "IPv6")


def is_headless(service: Obj) -> bool:
    return objects.spec(service).get("clusterIP") == HEADLESS


def prepare(service: Obj, old: Obj | None) -> None:
    """The status is not the client's; an update that leaves out what was allocated keeps it."""
    service["status"] = (old or {}).get("status") or {"loadBalancer": {}}
    if old is None:
        return
    spec, before = service.setdefault("spec", {}), objects.spec(old)
    if spec.get("clusterIP") and spec["clusterIP"] != before.get("clusterIP") and spec.get("clusterIPs") == before.get("clusterIPs"):
        spec["clusterIPs"] = [spec["clusterIP"]]  # whoever changes one of the two means both
    if (spec.get("type") or "ClusterIP") != _EXTERNAL_NAME and before.get("type") != _EXTERNAL_NAME:
        for field in _ALLOCATED:
            if not spec.get(field) and before.get(field):
                spec[field] = before[field]


def default(service: Obj) -> None:
    spec = service.setdefault("spec", {})
    spec["type"] = kind = spec.get("type") or "ClusterIP"
    spec["sessionAffinity"] = spec.get("sessionAffinity") or "None"
    if spec["sessionAffinity"] == "ClientIP" and not spec.get("sessionAffinityConfig"):
        spec["sessionAffinityConfig"] = {"clientIP": {"timeoutSeconds": _AFFINITY_SECONDS}}
    for port in spec.get("ports") or ():
        port["protocol"] = port.get("protocol") or "TCP"
        port["targetPort"] = port.get("targetPort") or port.get("port", 0)
    if kind in _EXTERNAL:
        spec["externalTrafficPolicy"] = spec.get("externalTrafficPolicy") or "Cluster"
    if kind == _LOAD_BALANCER:
        spec.setdefault("allocateLoadBalancerNodePorts", True)
    if kind != _EXTERNAL_NAME:
        spec["internalTrafficPolicy"] = spec.get("internalTrafficPolicy") or "Cluster"
        _default_addresses(spec)


def _default_addresses(spec: Obj) -> None:
    address = spec.get("clusterIP") or next(iter(spec.get("clusterIPs") or ()), "")
    if address:
        spec["clusterIP"] = address
        spec["clusterIPs"] = spec.get("clusterIPs") or [address]
    # Without a selector nobody knows which families a headless service will have, so the real server assumes all.
    both = address == HEADLESS and not spec.get("selector")
    if not spec.get("ipFamilyPolicy"):
        spec["ipFamilyPolicy"] = "RequireDualStack" if both and not spec.get("ipFamilies") else "SingleStack"
    if not spec.get("ipFamilies"):
        spec["ipFamilies"] = list(_FAMILIES if both else _FAMILIES[:1])


def validate(service: Obj, old: Obj | None) -> list[Cause]:
    spec = objects.spec(service)
    kind = spec.get("type")
    causes = _check_ports(spec, kind)
    causes += checking.labels("spec.selector", spec.get("selector"))
    for i, address in enumerate(spec.get("clusterIPs") or ()):
        if address != HEADLESS:
            causes += checking.ip_address(f"spec.clusterIPs[{i}]", address)
    for i, address in enumerate(spec.get("externalIPs") or ()):
        causes += checking.ip_address(f"spec.externalIPs[{i}]", address)
    for i, family in enumerate(spec.get("ipFamilies") or ()):
        if family not in _FAMILIES:
            causes.append(errors.not_supported(f"spec.ipFamilies[{i}]", family, _FAMILIES))
    if kind == _EXTERNAL_NAME:
        causes += _check_external_name(spec)
    policy = spec.get("externalTrafficPolicy")
    if policy and kind not in _EXTERNAL and not spec.get("externalIPs"):
        causes.append(errors.invalid_value("spec.externalTrafficPolicy", policy, "may only be set for externally-accessible services"))
    return causes + (_check_addresses_kept(spec, objects.spec(old)) if old else [])


def _check_external_name(spec: Obj) -> list[Cause]:
    name = (spec.get("externalName") or "").removesuffix(".")
    if spec.get("clusterIP"):
        return [errors.forbidden_field("spec.clusterIPs", "may not be set when `type` is 'ExternalName'")]
    return checking.required_name("spec.externalName", name, "subdomain")


def _check_addresses_kept(spec: Obj, before: Obj) -> list[Cause]:
    """A cluster address is given once; only a change of type may drop it."""
    kept = before.get("clusterIPs") or []
    if _EXTERNAL_NAME in (spec.get("type"), before.get("type")) or not kept or (spec.get("clusterIPs") or [])[:1] == kept[:1]:
        return []
    return [errors.invalid_value("spec.clusterIPs[0]", spec.get("clusterIPs") or [], "may not change once set")]


def _check_ports(spec: Obj, kind: str | None) -> list[Cause]:
    ports = spec.get("ports") or []
    if not ports and not is_headless({"spec": spec}) and kind != _EXTERNAL_NAME:
        return [errors.required("spec.ports")]
    causes: list[Cause] = []
    names: set[str] = set()
    for i, port in enumerate(ports):
        path, name = f"spec.ports[{i}]", port.get("name")
        if name:
            causes += checking.check_name(f"{path}.name", name, "label")
            if name in names:
                causes.append(errors.duplicate(f"{path}.name", name))
            names.add(name)
        elif len(ports) > 1:
            causes.append(errors.required(f"{path}.name"))
        causes += checking.port_number(f"{path}.port", port.get("port") or 0)
        causes += checking.port_number_or_name(f"{path}.targetPort", port.get("targetPort") or 0)
        if port.get("nodePort") and kind not in _EXTERNAL:
            causes.append(errors.forbidden_field(f"{path}.nodePort", f"may not be used when `type` is '{kind}'"))
    return causes + _check_distinct(ports)


def _check_distinct(ports: list[Obj]) -> list[Cause]:
    seen: set[tuple[str, int]] = set()
    causes: list[Cause] = []
    for i, port in enumerate(ports):
        pair = (port.get("protocol") or "TCP", port.get("port") or 0)
        if pair in seen:
            shown = {"protocol": pair[0], "port": pair[1]}
            causes.append(errors.duplicate(f"spec.ports[{i}]", shown))
        seen.add(pair)
    return causes


def row(service: Obj, now: float) -> list[Any]:
    spec = objects.spec(service)
    kind = spec.get("type") or "ClusterIP"
    address = cells.NONE if kind == _EXTERNAL_NAME else spec.get("clusterIP") or cells.NONE
    shown = selectors.format_labels(spec.get("selector"))
    return [objects.name(service), kind, address, _external(service, kind), _ports(spec), cells.created(service, now), shown]


def _external(service: Obj, kind: str) -> str:
    spec = objects.spec(service)
    if kind == _EXTERNAL_NAME:
        return spec.get("externalName") or ""
    ingress = (objects.status(service).get("loadBalancer") or {}).get("ingress") or []
    given = [i.get("ip") or i.get("hostname") or "" for i in ingress] if kind == _LOAD_BALANCER else []
    return cells.joined([*given, *(spec.get("externalIPs") or ())], "<pending>" if kind == _LOAD_BALANCER else cells.NONE)


def _ports(spec: Obj) -> str:
    parts = []
    for port in spec.get("ports") or ():
        node = f":{port['nodePort']}" if port.get("nodePort") else ""
        parts.append(f"{port.get('port')}{node}/{port.get('protocol') or 'TCP'}")
    return cells.joined(parts)
