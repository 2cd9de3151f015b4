"""IP addresses and CIDRs as fields of objects: what is refused, and what is warned about.

Called by the checks of Services, Ingresses, NetworkPolicies, Endpoints and their like. Old fields take what Go's parser once took
(leading zeros), unless strict validation forbids it; new fields take the canonical form only. Refuses to know kinds.
Contract: apimachinery 1.36 pkg/util/validation/ip.go with StrictIPCIDRValidation on; k8s.io/utils/net.
"""

import ipaddress
import re
from collections.abc import Collection
from typing import TypeAlias

from lightship.meta import errors
from lightship.meta.errors import Cause

Address: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address
Network: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network

_LONGEST = 64
_OCTETS = re.compile(r"(?:^|(?<=:))(\d{1,7})\.(\d{1,7})\.(\d{1,7})\.(\d{1,7})$", re.ASCII)
_NOT_ADDRESS = "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)"
_NOT_CIDR = "must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)"
LOOPBACK = "may not be in the loopback range (127.0.0.0/8, ::1/128)"
_ZEROS = "must not have leading 0s"
_MAPPED = "must not be an IPv4-mapped IPv6 address"


def parse(text: str) -> Address | None:
    """What Go's lenient parser makes of a text: leading zeros in octets are decimal; an IPv4-mapped address is an IPv4 address."""
    found = _strict(_without_zeros(text)) if len(text) <= _LONGEST else None
    mapped = found.ipv4_mapped if isinstance(found, ipaddress.IPv6Address) else None
    return mapped or found


def parse_cidr(text: str) -> tuple[Address, Network] | None:
    """The address as written and the network that it stands in, as Go's lenient parser finds them."""
    host, slash, length = text.partition("/")
    if not slash or not length.isascii() or not length.isdecimal() or len(text) > _LONGEST:
        return None
    plain = _strict(_without_zeros(host))
    if plain is None or int(length) > plain.max_prefixlen:
        return None
    network = ipaddress.ip_network((plain, int(length)), strict=False)
    return parse(host) or plain, network


def family(address: Address) -> str:
    return f"IPv{address.version}"


def legacy_ip(path: str, value: str, old: Collection[str] = ()) -> list[Cause]:
    """A field from before canonical forms were asked for; what an object had already it may keep."""
    if value in old:
        return []
    if parse(value) is None:
        return [errors.invalid_value(path, value, _NOT_ADDRESS)]
    return _strictness(path, value)


def strict_ip(path: str, value: str) -> list[Cause]:
    """A field that takes the canonical form alone."""
    causes = legacy_ip(path, value)
    shown = str(parse(value))
    return causes if causes or value == shown else [errors.invalid_value(path, value, f'must be in canonical form ("{shown}")')]


def _strictness(path: str, value: str) -> list[Cause]:
    found = _strict(value)
    if found is None:
        return [errors.invalid_value(path, value, _ZEROS)]
    return [errors.invalid_value(path, value, _MAPPED)] if _is_mapped(found) else []


def legacy_cidr(path: str, value: str, old: Collection[str] = ()) -> list[Cause]:
    """Of a field from before canonical forms were asked for; what an object had already it may keep."""
    if value in old:
        return []
    found = parse_cidr(value)
    if found is None:
        return [errors.invalid_value(path, value, _NOT_CIDR)]
    host, _, length = value.partition("/")
    plain = _strict(host)
    if plain is None or str(int(length)) != length:
        return [errors.invalid_value(path, value, f"{_ZEROS} in IP or prefix length")]
    if _is_mapped(plain):
        return [errors.invalid_value(path, value, "must not have an IPv4-mapped IPv6 address")]
    if found[1].network_address != plain:
        return [errors.invalid_value(path, value, "must not have bits set beyond the prefix length")]
    return []


def strict_cidr(path: str, value: str) -> list[Cause]:
    """Of a field that takes the canonical form alone."""
    causes = legacy_cidr(path, value)
    found = parse_cidr(value)
    if causes or found is None or value == str(found[1]):
        return causes
    return [errors.invalid_value(path, value, f'must be in canonical form ("{found[1]}")')]


def endpoint_ip(path: str, value: str) -> list[Cause]:
    """An address that traffic is sent to."""
    found = parse(value)
    if found is None:
        return [errors.invalid_value(path, value, "must be a valid IP address")]
    if found.is_unspecified:
        return [errors.invalid_value(path, value, f"may not be unspecified ({value})")]
    if found.is_loopback:
        return [errors.invalid_value(path, value, LOOPBACK)]
    if found in _LINK_LOCAL[found.version]:
        return [errors.invalid_value(path, value, "may not be in the link-local range (169.254.0.0/16, fe80::/10)")]
    if _is_local_multicast(found):
        return [errors.invalid_value(path, value, "may not be in the link-local multicast range (224.0.0.0/24, ff02::/10)")]
    return []


def warn_ip(path: str, value: str) -> list[str]:
    """What to say of an address that was accepted."""
    found = parse(value)
    if found is None:
        return []
    plain = _strict(value)
    if plain is None or _is_mapped(plain):
        return [f'{path}: non-standard IP address "{value}" is invalid: use "{found}"']
    if plain.version == 6 and str(plain) != value:
        return [f'{path}: IPv6 address "{value}" should be in RFC 5952 canonical format ("{plain}")']
    return []


def warn_cidr(path: str, value: str) -> list[str]:
    """What to say of a CIDR that was accepted."""
    found = parse_cidr(value)
    if found is None:
        return []
    address, network = found
    warnings = []
    if address != network.network_address:
        single = f"{address}/{network.prefixlen}"
        warnings.append(f'{path}: CIDR value "{value}" is ambiguous in this context (should be "{network}" or "{single}"?)')
    host, _, length = value.partition("/")
    plain = _strict(host)
    if plain is None or str(int(length)) != length or _is_mapped(plain):
        warnings.append(f'{path}: non-standard CIDR value "{value}" is invalid: use "{network}"')
    elif not warnings and plain.version == 6 and f"{plain}/{length}" != value:
        warnings.append(f'{path}: IPv6 CIDR value "{value}" should be in RFC 5952 canonical format ("{plain}/{length}")')
    return warnings


def _strict(text: str) -> Address | None:
    """What Go's strict parser takes: no leading zeros, and (as the lenient one) no zones."""
    if "%" in text or len(text) > _LONGEST:
        return None
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        return None


def _without_zeros(text: str) -> str:
    return _OCTETS.sub(lambda m: ".".join(str(int(octet)) for octet in m.groups()), text)


def _is_mapped(address: Address) -> bool:
    return isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None


def _is_local_multicast(address: Address) -> bool:
    if isinstance(address, ipaddress.IPv4Address):
        return address in _LOCAL_MULTICAST
    return address.packed[0] == 0xFF and address.packed[1] & 0x0F == 0x02


_LINK_LOCAL: dict[int, Network] = {4: ipaddress.IPv4Network("169.254.0.0/16"), 6: ipaddress.IPv6Network("fe80::/10")}
_LOCAL_MULTICAST = ipaddress.IPv4Network("224.0.0.0/24")
