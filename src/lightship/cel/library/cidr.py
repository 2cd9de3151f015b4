"""The library `cidr`: networks, and what lies in them.

Called through `library.KUBERNETES`. Bits of the host part are kept; `masked` clears them.
Contract: k8s.io/apiserver/pkg/cel/library/cidr.go, Go's net/netip.
"""

from collections.abc import Sequence
from math import ceil
from typing import Any, ClassVar

from lightship.cel.errors import EvaluationError
from lightship.cel.functions import ONE, TRAVERSAL, CallEstimate, Library, Operand, Overload, Range
from lightship.cel.library import costs, ip
from lightship.cel.library.netip import AddressError, Prefix, parse_prefix
from lightship.cel.library.quoting import quote
from lightship.cel.types import BOOL, INT, STRING, Opaque, Type
from lightship.cel.values import Value

CIDR = Opaque("net.CIDR")
_BYTES = Range(4, 16)


class Network(Value):
    """A network."""

    __slots__ = ("prefix",)
    type: ClassVar[Type] = CIDR

    def __init__(self, prefix: Prefix) -> None:
        self.prefix = prefix

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Network) and self.prefix == other.prefix

    def __hash__(self) -> int:
        return hash(self.prefix)

    def __repr__(self) -> str:
        return f"cidr({self.prefix})"


def parse(text: str) -> Network:
    """Raises `EvaluationError` in the words of the real server, which says one thing twice."""
    twice = "network address parse error during conversion from string: "
    try:
        prefix = parse_prefix(text)
    except AddressError as error:
        raise EvaluationError(f"{twice}{twice}{error}") from None
    if prefix.addr.is_4_in_6:
        raise EvaluationError(f"{twice}IPv4-mapped IPv6 address {quote(text)} is not allowed")
    return Network(prefix)


def _is_cidr(text: str) -> bool:
    try:
        parse(text)
    except EvaluationError:
        return False
    return True


def _contains_ip(network: Network, address: ip.Address) -> bool:
    return network.prefix.contains(address.addr)


def _contains_cidr(network: Network, other: Network) -> bool:
    return network.prefix.covers(other.prefix)


def _size(network: Network) -> int:
    return ceil(network.prefix.length / 8)


def _cost_of_contains(*, network: bool, parses: bool) -> Any:
    def cost(arguments: Sequence[Any], _: Any) -> int:
        size = _size(arguments[0])
        total = ceil(2 * size * TRAVERSAL)
        if network:
            total += ceil(size * TRAVERSAL) + 1
        return total + ceil(len(arguments[1]) * TRAVERSAL) if parses else total

    return cost


def _estimate_of_contains(*, network: bool, parses: bool) -> Any:
    def estimate(_: Operand | None, arguments: Sequence[Operand]) -> CallEstimate:
        total = _BYTES.plus(_BYTES).scaled(TRAVERSAL)
        if network:
            total = total.plus(_BYTES.scaled(TRAVERSAL)).plus(ONE)
        return CallEstimate(total.plus(arguments[0].size.scaled(TRAVERSAL)) if parses else total)

    return estimate


def _contains(name: str, other: Type, call: Any, identifier: str) -> Overload:
    network, parses = name == "containsCIDR", other == STRING
    return Overload(
        name,
        (CIDR, other),
        BOOL,
        call,
        True,
        _cost_of_contains(network=network, parses=parses),
        _estimate_of_contains(network=network, parses=parses),
        identifier,
    )


_COST = costs.traversal()
_ESTIMATE = costs.of_argument()

LIBRARY = Library(
    "kubernetes.net.cidr",
    (
        Overload("cidr", (STRING,), CIDR, parse, cost=_COST, estimate=_ESTIMATE, id="string_to_cidr"),
        _contains("containsIP", STRING, lambda c, text: _contains_ip(c, ip.parse(text)), "cidr_contains_ip_string"),
        _contains("containsIP", ip.IP, _contains_ip, "cidr_contains_ip_ip"),
        _contains("containsCIDR", STRING, lambda c, text: _contains_cidr(c, parse(text)), "cidr_contains_cidr_string"),
        _contains("containsCIDR", CIDR, _contains_cidr, "cidr_contains_cidr"),
        Overload("ip", (CIDR,), ip.IP, lambda c: ip.Address(c.prefix.addr), True, id="cidr_ip"),
        Overload("prefixLength", (CIDR,), INT, lambda c: c.prefix.length, True, id="cidr_prefix_length"),
        Overload("masked", (CIDR,), CIDR, lambda c: Network(c.prefix.masked()), True, id="cidr_masked"),
        Overload("isCIDR", (STRING,), BOOL, _is_cidr, cost=_COST, estimate=_ESTIMATE, id="is_cidr"),
        Overload("string", (CIDR,), STRING, lambda c: str(c.prefix), id="cidr_to_string"),
    ),
    constants={"net.CIDR": CIDR},
)
