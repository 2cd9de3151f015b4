"""What can be wrong with a Service, and what its update may not change.

Called by the server through `kinds.SERVICES`, after defaults and allocation. Contract: kube 1.36 ValidateService, ValidateServiceUpdate,
ValidateServiceStatusUpdate; texts as kube-apiserver's.
"""

from collections.abc import Iterable
from typing import Any

from lightship.kinds import checking, ip_checks
from lightship.meta import errors, objects
from lightship.meta.errors import Cause
from lightship.meta.objects import Obj

_EXTERNAL_NAME, _LOAD_BALANCER, _CLUSTER_IP = "ExternalName", "LoadBalancer", "ClusterIP"
_HEADLESS = "None"
_TYPES = ("ClusterIP", "ExternalName", "LoadBalancer", "NodePort")
_FAMILIES = ("IPv4", "IPv6")
_POLICIES = ("PreferDualStack", "RequireDualStack", "SingleStack")
_DISTRIBUTIONS = ("PreferClose", "PreferSameZone", "PreferSameNode")
_MAX_AFFINITY = 86400
_TOPOLOGY, _HINTS = "service.kubernetes.io/topology-mode", "service.kubernetes.io/topology-aware-hints"
_SOURCE_RANGES = "service.beta.kubernetes.io/load-balancer-source-ranges"


def validate(service: Obj, old: Obj | None) -> list[Cause]:
    spec, before = objects.spec(service), objects.spec(old) if old is not None else None
    causes = _check_update(spec, before) if before is not None else []
    causes += _check_topology(service)
    causes += _check_type(spec)
    causes += _check_ports(spec)
    causes += checking.labels("spec.selector", spec.get("selector"))
    causes += _check_affinity(spec)
    causes += check_addresses(spec, before)
    for i, address in enumerate(spec.get("externalIPs") or ()):
        path = f"spec.externalIPs[{i}]"
        causes += ip_checks.legacy_ip(path, address, (before or {}).get("externalIPs") or ()) or ip_checks.endpoint_ip(path, address)
    causes += checking.one_of("spec.type", spec.get("type"), _TYPES)
    causes += _check_node_ports(spec)
    causes += _check_sources(service, old)
    causes += _check_balancer(spec)
    return causes + _check_policies(spec)


def _check_topology(service: Obj) -> list[Cause]:
    notes = objects.annotations(service)
    if _TOPOLOGY in notes and _HINTS in notes and notes[_TOPOLOGY] != notes[_HINTS]:
        why = f"must match annotations[{_HINTS}] when both are specified"
        return [errors.invalid_value(f"metadata.annotations[{_TOPOLOGY}]", notes[_TOPOLOGY], why)]
    return []


def _is_headless(spec: Obj) -> bool:
    return (spec.get("clusterIPs") or []) == [_HEADLESS]


def _check_type(spec: Obj) -> list[Cause]:
    kind, causes = spec.get("type"), list[Cause]()
    if not spec.get("ports") and not _is_headless(spec) and kind != _EXTERNAL_NAME:
        causes.append(errors.required("spec.ports"))
    if kind in (_LOAD_BALANCER, "NodePort") and _is_headless(spec):
        causes.append(errors.invalid_value("spec.clusterIPs[0]", _HEADLESS, f"may not be set to 'None' for {kind} services"))
    if kind == _EXTERNAL_NAME:
        why = "may not be set for ExternalName services"
        causes += [errors.forbidden_field(f"spec.{f}", why) for f in ("clusterIPs", "ipFamilies", "ipFamilyPolicy") if spec.get(f)]
        causes += checking.required_name("spec.externalName", (spec.get("externalName") or "").removesuffix("."), "subdomain")
    return causes


def _check_ports(spec: Obj) -> list[Cause]:
    ports = spec.get("ports") or []
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
        causes += checking.one_of(f"{path}.protocol", port.get("protocol"), ("SCTP", "TCP", "UDP"))
        causes += checking.port_number_or_name(f"{path}.targetPort", port.get("targetPort") or 0)
        if port.get("appProtocol") is not None:
            causes += checking.check_name(f"{path}.appProtocol", port["appProtocol"], "qualified")
    return causes


def _check_node_ports(spec: Obj) -> list[Cause]:
    ports = list(enumerate(spec.get("ports") or ()))
    causes: list[Cause] = []
    if spec.get("type") == _CLUSTER_IP:
        why = "may not be used when `type` is 'ClusterIP'"
        causes += [errors.forbidden_field(f"spec.ports[{i}].nodePort", why) for i, port in ports if port.get("nodePort")]
    given = [(i, (port.get("protocol"), port["nodePort"]), port["nodePort"]) for i, port in ports if port.get("nodePort")]
    causes += [errors.duplicate(f"spec.ports[{i}].nodePort", number) for i, number in _repeated(given)]
    shown = [(i, (port.get("protocol"), port.get("port")), _as_go(port)) for i, port in ports]
    return causes + [errors.duplicate(f"spec.ports[{i}]", value) for i, value in _repeated(shown)]


def _repeated(items: Iterable[tuple[int, Any, Any]]) -> Iterable[tuple[int, Any]]:
    """(index, value) of what has the key of an earlier one."""
    seen: set[Any] = set()
    for i, key, value in items:
        if key in seen:
            yield i, value
        seen.add(key)


def _as_go(port: Obj) -> Obj:
    protocol, number = port.get("protocol") or "", port.get("port") or 0
    return {"Name": "", "Protocol": protocol, "AppProtocol": None, "Port": number, "TargetPort": 0, "NodePort": 0}


def _check_affinity(spec: Obj) -> list[Cause]:
    affinity, path = spec.get("sessionAffinity") or "", "spec.sessionAffinityConfig"
    causes = checking.one_of("spec.sessionAffinity", affinity, ("ClientIP", "None"))
    config = spec.get("sessionAffinityConfig")
    if affinity == "ClientIP":
        seconds = ((config or {}).get("clientIP") or {}).get("timeoutSeconds")
        if seconds is not None and not 0 < seconds <= _MAX_AFFINITY:
            why = f"must be greater than 0 and less than {_MAX_AFFINITY}"
            causes.append(errors.invalid_value(f"{path}.clientIP.timeoutSeconds", seconds, why))
    elif affinity == "None" and config is not None:
        causes.append(errors.forbidden_field(path, "must not be set when session affinity is None"))
    return causes


def check_addresses(spec: Obj, before: Obj | None) -> list[Cause]:
    """The fields that tell addresses and families, against one another. Allocation asks it first, as it cannot start from nonsense."""
    if spec.get("type") == _EXTERNAL_NAME:
        return []
    one, many, path = spec.get("clusterIP") or "", spec.get("clusterIPs") or [], "spec.clusterIPs"
    causes: list[Cause] = []
    if one and not many:
        causes.append(errors.required(path))
    elif one and many[0] != one:
        causes.append(errors.invalid_value(path, many, "first value must match `clusterIP`"))
    elif many and not one:
        causes.append(errors.invalid_value(path, many, "must be empty when `clusterIP` is not specified"))
    families = spec.get("ipFamilies") or []
    for i, family in enumerate(families):
        causes += checking.one_of(f"spec.ipFamilies[{i}]", family, _FAMILIES)
        if family in families[:i]:
            causes.append(errors.duplicate(f"spec.ipFamilies[{i}]", family))
    causes += checking.one_of("spec.ipFamilyPolicy", spec.get("ipFamilyPolicy"), _POLICIES)
    wrong = _check_each(path, many, (before or {}).get("clusterIPs") or [])
    if len(many) > len(_FAMILIES):
        causes.append(errors.invalid_value(path, many, "may only hold up to 2 values"))
    return causes + wrong if wrong else causes + _check_families(path, many, families)


def _check_each(path: str, many: list[str], before: list[str]) -> list[Cause]:
    if many[:1] == [_HEADLESS]:
        rest = many[1:]
        found = [errors.invalid_value(path, many, "'None' must be the first and only value")] if rest else []
        return found + [c for i, a in enumerate(rest, 1) for c in ip_checks.legacy_ip(f"{path}[{i}]", a, before)]
    return [c for i, address in enumerate(many) for c in ip_checks.legacy_ip(f"{path}[{i}]", address, before)]


def _check_families(path: str, many: list[str], families: list[str]) -> list[Cause]:
    causes: list[Cause] = []
    found = [_FAMILIES[":" in address] for address in many]
    if len(many) > 1 and len(set(found)) == 1:
        causes.append(errors.invalid_value(path, many, "may specify no more than one IP for each IP family"))
    if many == [_HEADLESS]:
        return causes
    for i, (address, is_of, wanted) in enumerate(zip(many, found, families, strict=False)):
        if wanted in _FAMILIES and wanted != is_of:
            why = f"expected an {wanted} value as indicated by `ipFamilies[{i}]`"
            causes.append(errors.invalid_value(f"{path}[{i}]", address, why))
    return causes


def _check_sources(service: Obj, old: Obj | None) -> list[Cause]:
    spec, path = objects.spec(service), "spec.LoadBalancerSourceRanges"
    ranges, note = spec.get("loadBalancerSourceRanges") or [], objects.annotations(service).get(_SOURCE_RANGES)
    why = "may only be used when `type` is 'LoadBalancer'"
    if ranges:
        causes = [] if spec.get("type") == _LOAD_BALANCER else [errors.forbidden_field(path, why)]
        before = [r.strip() for r in objects.spec(old or {}).get("loadBalancerSourceRanges") or ()]
        return causes + [c for i, r in enumerate(ranges) for c in ip_checks.legacy_cidr(f"{path}[{i}]", r.strip(), before)]
    if note is None:
        return []
    path = f"metadata.annotations[{_SOURCE_RANGES}]"
    causes = [] if spec.get("type") == _LOAD_BALANCER else [errors.forbidden_field(path, why)]
    if note.strip() and (old is None or objects.annotations(old).get(_SOURCE_RANGES) != note):
        causes += [c for r in note.strip().split(",") for c in ip_checks.legacy_cidr(path, r.strip())]
    return causes


def _check_balancer(spec: Obj) -> list[Cause]:
    balanced, why = spec.get("type") == _LOAD_BALANCER, "may only be used when `type` is 'LoadBalancer'"
    causes: list[Cause] = []
    if spec.get("allocateLoadBalancerNodePorts") is not None and not balanced:
        causes.append(errors.forbidden_field("spec.allocateLoadBalancerNodePorts", why))
    name = spec.get("loadBalancerClass")
    if name is not None:
        path = "spec.loadBalancerClass"
        causes += checking.check_name(path, name, "qualified") if balanced else [errors.forbidden_field(path, why)]
    return causes


def _check_policies(spec: Obj) -> list[Cause]:
    kind, policy = spec.get("type"), spec.get("externalTrafficPolicy") or ""
    external = kind in (_LOAD_BALANCER, "NodePort") or (kind == _CLUSTER_IP and bool(spec.get("externalIPs")))
    causes: list[Cause] = []
    if not external and policy:
        why = "may only be set for externally-accessible services"
        causes.append(errors.invalid_value("spec.externalTrafficPolicy", policy, why))
    elif external:
        causes += checking.one_of("spec.externalTrafficPolicy", policy, ("Cluster", "Local"))
    checked, port = kind == _LOAD_BALANCER and policy == "Local", spec.get("healthCheckNodePort") or 0
    if not checked and port:
        why = "may only be set when `type` is 'LoadBalancer' and `externalTrafficPolicy` is 'Local'"
        causes.append(errors.invalid_value("spec.healthCheckNodePort", port, why))
    elif checked:
        path = "spec.healthCheckNodePort"
        causes += checking.port_number(path, port) if port else [errors.required(path)]
    causes += checking.one_of("spec.internalTrafficPolicy", spec.get("internalTrafficPolicy"), ("Cluster", "Local"))
    return causes + checking.one_of("spec.trafficDistribution", spec.get("trafficDistribution"), _DISTRIBUTIONS)


def _check_update(spec: Obj, before: Obj) -> list[Cause]:
    causes: list[Cause] = []
    if _EXTERNAL_NAME not in (spec.get("type"), before.get("type")):
        causes += _check_addresses_kept(spec, before)
        if not _is_headless(spec) and not _is_headless(before):
            causes += _check_families_kept(spec, before)
    name, was = spec.get("loadBalancerClass"), before.get("loadBalancerClass")
    balanced = spec.get("type") == _LOAD_BALANCER
    if balanced and before.get("type") == _LOAD_BALANCER and name != was:
        causes.append(errors.invalid_value("spec.loadBalancerClass", name, "may not change once set"))
    causes += _check_class(spec)
    both = all(s.get("type") == _LOAD_BALANCER and s.get("externalTrafficPolicy") == "Local" for s in (spec, before))
    if both and spec.get("healthCheckNodePort") != before.get("healthCheckNodePort"):
        causes.append(errors.forbidden_field("spec.healthCheckNodePort", "field is immutable"))
    return causes


def _check_class(spec: Obj) -> list[Cause]:
    """The real server judges the class of an updated Service twice."""
    return [c for c in _check_balancer(spec) if c.field == "spec.loadBalancerClass"]


def _check_addresses_kept(spec: Obj, before: Obj) -> list[Cause]:
    if _is_headless(spec) and _is_headless(before):
        return []
    new, old, path = spec.get("clusterIPs") or [], before.get("clusterIPs") or [], "spec.clusterIPs"
    if len(new) == len(old):
        return [errors.invalid_value(f"{path}[{i}]", new, "may not change once set") for i, a in enumerate(old) if new[i] != a]
    causes: list[Cause] = []
    if not new:
        causes.append(errors.invalid_value(f"{path}[0]", new, "primary clusterIP can not be unset"))
    elif old and new[0] != old[0]:
        causes.append(errors.invalid_value(f"{path}[0]", new, "may not change once set"))
    if len(new) == 1 and len(new) < len(old):
        causes += _check_release(spec, "clusterIP")
    return causes


def _check_families_kept(spec: Obj, before: Obj) -> list[Cause]:
    new, old, path = spec.get("ipFamilies") or [], before.get("ipFamilies") or [], "spec.ipFamilies[0]"
    addresses = spec.get("clusterIPs") or []
    if len(new) == len(old):
        return [errors.invalid_value(path, new, "may not change once set") for i, family in enumerate(old) if new[i] != family]
    causes: list[Cause] = []
    if len(new) < len(old) and not addresses:
        causes.append(errors.invalid_value(path, new, "primary ipFamily can not be unset"))
    if new and old and new[0] != old[0]:
        causes.append(errors.invalid_value(path, addresses, "may not change once set"))
    if len(new) == 1 and len(new) < len(old):
        causes += _check_release(spec, "ipFamily")
    return causes


def _check_release(spec: Obj, word: str) -> list[Cause]:
    policy = spec.get("ipFamilyPolicy")
    if policy == "SingleStack":
        return []
    return [errors.invalid_value("spec.ipFamilyPolicy", policy, f"must be set to 'SingleStack' when releasing the secondary {word}")]


def validate_status(service: Obj, old: Obj | None) -> list[Cause]:
    ingress = (objects.status(service).get("loadBalancer") or {}).get("ingress") or []
    path = "status.loadBalancer.ingress"
    if objects.spec(service).get("type") != _LOAD_BALANCER:
        return [errors.forbidden_field(path, "may only be used when `spec.type` is 'LoadBalancer'")] if ingress else []
    before = (objects.status(old or {}).get("loadBalancer") or {}).get("ingress") or []
    known = [i["ip"] for i in before if i.get("ip")]
    return [c for i, entry in enumerate(ingress) for c in _check_ingress(f"{path}[{i}]", entry, known)]


def _check_ingress(path: str, entry: Obj, known: list[str]) -> list[Cause]:
    address, mode, host = entry.get("ip"), entry.get("ipMode"), entry.get("hostname")
    causes = ip_checks.legacy_ip(f"{path}.ip", address, known) if address else []
    if mode is not None and not address:
        causes.append(errors.forbidden_field(f"{path}.ipMode", "may not be specified when `ip` is not set"))
    elif mode is not None:
        causes += checking.one_of(f"{path}.ipMode", mode, ("Proxy", "VIP"))
    if host:
        causes += checking.check_name(f"{path}.hostname", host, "subdomain")
        if ip_checks.parse(host) is not None:
            causes.append(errors.invalid_value(f"{path}.hostname", host, "must be a DNS name, not an IP address"))
    return causes


def warn(service: Obj, old: Obj | None) -> list[str]:
    spec, notes = objects.spec(service), objects.annotations(service)
    kind, found = spec.get("type"), list[str]()
    if _HINTS in notes:
        found.append(f"annotation {_HINTS} is deprecated, please use {_TOPOLOGY} instead")
    if spec.get("clusterIP") not in (None, "", _HEADLESS):
        found += [w for i, a in enumerate(spec.get("clusterIPs") or ()) for w in ip_checks.warn_ip(f"spec.clusterIPs[{i}]", a)]
    if kind == _CLUSTER_IP and spec.get("clusterIP") == _HEADLESS:
        ignored = (("loadBalancerIP", spec.get("loadBalancerIP")), ("externalIPs", spec.get("externalIPs")))
        found += [f"spec.{field} is ignored for headless services" for field, value in ignored if value]
        if spec.get("sessionAffinity") != "None":
            found.append("spec.SessionAffinity is ignored for headless services")
    external = spec.get("externalIPs") or []
    found += [w for i, a in enumerate(external) for w in ip_checks.warn_ip(f"spec.externalIPs[{i}]", a)]
    if external and kind != _EXTERNAL_NAME and not (kind == _CLUSTER_IP and spec.get("clusterIP") == _HEADLESS):
        found.append("spec.externalIPs is deprecated and may no longer be implemented in some clusters")
    if spec.get("loadBalancerIP"):
        found += ip_checks.warn_ip("spec.loadBalancerIP", spec["loadBalancerIP"])
    ranges = spec.get("loadBalancerSourceRanges") or ()
    found += [w for i, r in enumerate(ranges) for w in ip_checks.warn_cidr(f"spec.loadBalancerSourceRanges[{i}]", r)]
    if kind == _EXTERNAL_NAME and external:
        found.append('spec.externalIPs is ignored when spec.type is "ExternalName"')
    if kind != _EXTERNAL_NAME and spec.get("externalName"):
        found.append('spec.externalName is ignored when spec.type is not "ExternalName"')
    if spec.get("trafficDistribution") == "PreferClose":
        found.append('spec.trafficDistribution: "PreferClose" is deprecated; use "PreferSameZone"')
    return found
