"""What can be wrong with NetworkPolicies, and what is said of those that are accepted.

Called through `networking`. Who enforces a policy is not known here.
Contract: kube 1.36 pkg/apis/networking/validation ValidateNetworkPolicy; pkg/registry/networking/networkpolicy.
"""

from collections.abc import Collection, Iterator

from lightship.kinds import checking, ip_checks
from lightship.meta import errors, objects
from lightship.meta.errors import Cause
from lightship.meta.objects import Obj

_PROTOCOLS = ("TCP", "UDP", "SCTP")
_TYPES = ("Ingress", "Egress")
_DIRECTIONS = (("ingress", "from"), ("egress", "to"))


def default(policy: Obj) -> None:
    spec = policy.setdefault("spec", {})
    for direction, _ in _DIRECTIONS:
        for rule in spec.get(direction) or ():
            for port in rule.get("ports") or ():
                if port.get("protocol") is None:
                    port["protocol"] = "TCP"
    if not spec.get("policyTypes"):
        spec["policyTypes"] = ["Ingress", "Egress"] if spec.get("egress") else ["Ingress"]


def validate(policy: Obj, old: Obj | None) -> list[Cause]:
    spec = objects.spec(policy)
    before = objects.spec(old) if old else {}
    any_values = bool(checking.label_selector("", before.get("podSelector")))
    kept = [text for _, peer in _peers(before) if (block := peer.get("ipBlock")) for text in _ranges(block)]
    causes = checking.label_selector("spec.podSelector", spec.get("podSelector"), any_values=any_values)
    for direction, side in _DIRECTIONS:
        for i, rule in enumerate(spec.get(direction) or ()):
            for j, port in enumerate(rule.get("ports") or ()):
                causes += _check_port(f"spec.{direction}[{i}].ports[{j}]", port)
            for j, peer in enumerate(rule.get(side) or ()):
                causes += _check_peer(f"spec.{direction}[{i}].{side}[{j}]", peer, kept, any_values=any_values)
    types = spec.get("policyTypes") or []
    if len(types) > len(_TYPES):
        return [*causes, errors.invalid_value("spec.policyTypes", types, "may not specify more than two policyTypes")]
    return causes + [c for i, t in enumerate(types) for c in checking.one_of(f"spec.policyTypes[{i}]", t, _TYPES)]


def warn(policy: Obj, old: Obj | None) -> list[str]:
    warnings: list[str] = []
    for path, peer in _peers(objects.spec(policy)):
        block = peer.get("ipBlock")
        if block is not None:
            warnings += ip_checks.warn_cidr(f"{path}.ipBlock.cidr", block.get("cidr") or "")
            for k, text in enumerate(block.get("except") or ()):
                warnings += ip_checks.warn_cidr(f"{path}.ipBlock.except[{k}]", text)
    return warnings


def _peers(spec: Obj) -> Iterator[tuple[str, Obj]]:
    for direction, side in _DIRECTIONS:
        for i, rule in enumerate(spec.get(direction) or ()):
            for j, peer in enumerate(rule.get(side) or ()):
                yield f"spec.{direction}[{i}].{side}[{j}]", peer


def _ranges(block: Obj) -> list[str]:
    return [block.get("cidr") or "", *(block.get("except") or ())]


def _check_port(path: str, port: Obj) -> list[Cause]:
    causes = checking.one_of(f"{path}.protocol", port.get("protocol"), _PROTOCOLS)
    first, last = port.get("port"), port.get("endPort")
    if first is None:
        if last is not None:
            causes.append(errors.invalid_value(f"{path}.endPort", last, "may not be specified when `port` is not specified"))
        return causes
    if isinstance(first, str):
        if last is not None:
            causes.append(errors.invalid_value(f"{path}.endPort", last, "may not be specified when `port` is non-numeric"))
        return causes + checking.check_name(f"{path}.port", first, "port")
    causes += checking.port_number(f"{path}.port", first)
    if last is not None:
        if last < first:
            causes.append(errors.invalid_value(f"{path}.endPort", first, "must be greater than or equal to `port`"))
        causes += checking.port_number(f"{path}.endPort", last)
    return causes


def _check_peer(path: str, peer: Obj, kept: Collection[str], *, any_values: bool) -> list[Cause]:
    causes: list[Cause] = []
    given = [field for field in ("podSelector", "namespaceSelector", "ipBlock") if peer.get(field) is not None]
    for field in given:
        if field == "ipBlock":
            causes += _check_block(f"{path}.ipBlock", peer[field], kept)
        else:
            causes += checking.label_selector(f"{path}.{field}", peer[field], any_values=any_values)
    if not given:
        causes.append(errors.required(path, "must specify a peer"))
    elif len(given) > 1 and "ipBlock" in given:
        causes.append(errors.forbidden_field(path, "may not specify both ipBlock and another peer"))
    return causes


def _check_block(path: str, block: Obj, kept: Collection[str]) -> list[Cause]:
    cidr = block.get("cidr") or ""
    if not cidr:
        return [errors.required(f"{path}.cidr")]
    causes = ip_checks.legacy_cidr(f"{path}.cidr", cidr, kept)
    whole = ip_checks.parse_cidr(cidr)
    if whole is None:
        return causes
    for i, text in enumerate(block.get("except") or ()):
        at, part = f"{path}.except[{i}]", ip_checks.parse_cidr(text)
        causes += ip_checks.legacy_cidr(at, text, kept)
        if part is not None and not _is_inside(part[1], whole[1]):
            causes.append(errors.invalid_value(at, text, "must be a strict subset of `cidr`"))
    return causes


def _is_inside(part: ip_checks.Network, whole: ip_checks.Network) -> bool:
    return part.network_address in whole and whole.prefixlen < part.prefixlen
