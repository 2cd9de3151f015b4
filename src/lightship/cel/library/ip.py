"""The library `ip`: addresses, their families and what they are for.

Called through `library.KUBERNETES`, and by `cidr`. Addresses with zones and IPv4 inside IPv6 are refused.
Contract: k8s.io/apiserver/pkg/cel/library/ip.go, Go's net/netip.
"""

from collections.abc import Callable
from typing import ClassVar

from lightship.cel.errors import EvaluationError
from lightship.cel.functions import Library, Overload
from lightship.cel.library import costs
from lightship.cel.library.netip import Addr, AddressError, parse_addr
from lightship.cel.library.quoting import quote
from lightship.cel.types import BOOL, INT, STRING, Opaque, Type
from lightship.cel.values import Value

IP = Opaque("net.IP")


class Address(Value):
    """An address."""

    __slots__ = ("addr",)
    type: ClassVar[Type] = IP

    def __init__(self, addr: Addr) -> None:
        self.addr = addr

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Address) and self.addr == other.addr

    def __hash__(self) -> int:
        return hash(self.addr)

    def __repr__(self) -> str:
        return f"ip({self.addr})"


def parse(text: str) -> Address:
    """Raises `EvaluationError` in the words of the real server."""
    try:
        addr = parse_addr(text)
    except AddressError as error:
        raise EvaluationError(f"IP Address {quote(text)} parse error during conversion from string: {error}") from None
    if addr.zone:
        raise EvaluationError(f"IP address {quote(text)} with zone value is not allowed")
    if addr.is_4_in_6:
        raise EvaluationError(f"IPv4-mapped IPv6 address {quote(text)} is not allowed")
    return Address(addr)


def _is_ip(text: str) -> bool:
    try:
        parse(text)
    except EvaluationError:
        return False
    return True


def _is_unspecified(addr: Addr) -> bool:
    return addr.number == 0


def _is_loopback(addr: Addr) -> bool:
    return addr.number >> 24 == 127 if addr.bits == 32 else addr.number == 1


def _is_multicast(addr: Addr) -> bool:
    return addr.number >> 28 == 0xE if addr.bits == 32 else addr.number >> 120 == 0xFF


def _is_link_local_multicast(addr: Addr) -> bool:
    return addr.number >> 8 == 0xE00000 if addr.bits == 32 else (addr.number >> 112) & 0xFF0F == 0xFF02


def _is_link_local_unicast(addr: Addr) -> bool:
    return addr.number >> 16 == 0xA9FE if addr.bits == 32 else (addr.number >> 112) & 0xFFC0 == 0xFE80


def _is_global_unicast(addr: Addr) -> bool:
    if addr.bits == 32 and addr.number == 0xFFFFFFFF:
        return False
    return not (_is_unspecified(addr) or _is_loopback(addr) or _is_multicast(addr) or _is_link_local_unicast(addr))


def _predicate(name: str, identifier: str, test: Callable[[Addr], bool]) -> Overload:
    return Overload(name, (IP,), BOOL, lambda ip: test(ip.addr), True, id=identifier)


_COST = costs.traversal()
_ESTIMATE = costs.of_argument()

LIBRARY = Library(
    "kubernetes.net.ip",
    (
        Overload("ip", (STRING,), IP, parse, cost=_COST, estimate=_ESTIMATE, id="string_to_ip"),
        Overload("family", (IP,), INT, lambda ip: 4 if ip.addr.bits == 32 else 6, True, id="ip_family"),
        Overload(
            "ip.isCanonical",
            (STRING,),
            BOOL,
            lambda text: str(parse(text).addr) == text,
            cost=costs.traversal(2),
            estimate=costs.of_argument(2),
            id="ip_is_canonical",
        ),
        _predicate("isUnspecified", "ip_is_unspecified", _is_unspecified),
        _predicate("isLoopback", "ip_is_loopback", _is_loopback),
        _predicate("isLinkLocalMulticast", "ip_is_link_local_multicast", _is_link_local_multicast),
        _predicate("isLinkLocalUnicast", "ip_is_link_local_unicast", _is_link_local_unicast),
        _predicate("isGlobalUnicast", "ip_is_global_unicast", _is_global_unicast),
        Overload("isIP", (STRING,), BOOL, _is_ip, cost=_COST, estimate=_ESTIMATE, id="is_ip"),
        Overload("string", (IP,), STRING, lambda ip: str(ip.addr), id="ip_to_string"),
    ),
    constants={"net.IP": IP},
)
