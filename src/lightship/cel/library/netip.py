"""IP addresses and prefixes as Go's `net/netip` reads them, with its words for what is wrong.

Called by the libraries `ip` and `cidr`, and by `urltext` for hosts in brackets. Python's `ipaddress` accepts other texts and says other
things, so the grammar stands here. Addresses with a zone and IPv4 inside IPv6 are read, as there; the libraries refuse them.
Contract: Go 1.26 net/netip ParseAddr, ParsePrefix, Addr and Prefix.
"""

import re
from typing import NamedTuple

from lightship.cel.library.quoting import quote

_HEX = re.compile("[0-9a-fA-F]*")
_DECIMAL = re.compile("[0-9]+")


class AddressError(ValueError):
    """Not an address; the text is Go's, with the function's name and the input in it."""


class Addr(NamedTuple):
    """`bits` is 32 or 128, `number` the address as one integer."""

    bits: int
    number: int
    zone: str = ""

    @property
    def is_4_in_6(self) -> bool:
        return self.bits == 128 and self.number >> 32 == 0xFFFF

    def __str__(self) -> str:
        if self.bits == 32:
            return ".".join(str(self.number >> shift & 255) for shift in (24, 16, 8, 0))
        text = f"::ffff:{Addr(32, self.number & 0xFFFFFFFF)}" if self.is_4_in_6 else _text_of_6(self.number)
        return f"{text}%{self.zone}" if self.zone else text


class Prefix(NamedTuple):
    addr: Addr
    length: int

    def __str__(self) -> str:
        return f"{self.addr}/{self.length}"

    def masked(self) -> "Prefix":
        return Prefix(_cut(self.addr, self.length), self.length)

    def contains(self, addr: Addr) -> bool:
        return addr.bits == self.addr.bits and _cut(addr, self.length) == _cut(self.addr, self.length)

    def covers(self, other: "Prefix") -> bool:
        """Does the other network lie in this one?"""
        return self.length <= other.length and self.contains(other.addr)


def _cut(addr: Addr, length: int) -> Addr:
    host = addr.bits - length
    return Addr(addr.bits, addr.number >> host << host)


def _text_of_6(number: int) -> str:
    groups = [number >> shift & 0xFFFF for shift in range(112, -1, -16)]
    start, end = _longest_zeros(groups)
    shown = [f"{group:x}" for group in groups]
    if end - start < 2:
        return ":".join(shown)
    return ":".join(shown[:start]) + "::" + ":".join(shown[end:])


def _longest_zeros(groups: list[int]) -> tuple[int, int]:
    best, at = (0, 0), 0
    while at < len(groups):
        end = at
        while end < len(groups) and not groups[end]:
            end += 1
        if end - at > best[1] - best[0]:
            best = (at, end)
        at = max(end, at + 1)
    return best


def _bad(text: str, why: str, at: str = "") -> AddressError:
    return AddressError(f"ParseAddr({quote(text)}): {why}" + (f" (at {quote(at)})" if at else ""))


def parse_addr(text: str) -> Addr:
    """Raises `AddressError`."""
    for char in text:
        if char == ".":
            return Addr(32, _parse_4(text, text))
        if char == ":":
            return _parse_6(text)
        if char == "%":
            raise _bad(text, "missing IPv6 address")
    raise _bad(text, "unable to parse IP")


def _parse_4(whole: str, text: str) -> int:
    """The dotted part of an address; `whole` is what the error shows."""
    number = value = digits = dots = 0
    for i, char in enumerate(text):
        if "0" <= char <= "9":
            if digits == 1 and value == 0:
                raise _bad(whole, "IPv4 field has octet with leading zero")
            value, digits = value * 10 + int(char), digits + 1
            if value > 255:
                raise _bad(whole, "IPv4 field has value >255")
        elif char == ".":
            if i == 0 or i == len(text) - 1 or text[i - 1] == ".":
                raise _bad(whole, "IPv4 field must have at least one digit", text[i:])
            if dots == 3:
                raise _bad(whole, "IPv4 address too long")
            number, value, digits, dots = number << 8 | value, 0, 0, dots + 1
        else:
            raise _bad(whole, "unexpected character", text[i:])
    if dots < 3:
        raise _bad(whole, "IPv4 address too short")
    return number << 8 | value


def _parse_6(whole: str) -> Addr:
    text, percent, zone = whole.partition("%")
    if percent and not zone:
        raise _bad(whole, "zone must be a non-empty string")
    gap = -1
    groups: list[int] = []
    if text.startswith("::"):
        gap, text = 0, text[2:]
        if not text:
            return Addr(128, 0, zone)
    while len(groups) < 8:
        number, rest = _group(whole, text)
        if rest.startswith("."):
            groups += _embedded(whole, text, groups, gap)
            text = ""
            break
        groups.append(number)
        text, gap = _after_group(whole, rest, len(groups), gap)
        if not text:
            break
    if text:
        raise _bad(whole, "trailing garbage after address", text)
    return Addr(128, _expand(whole, groups, gap), zone)


def _group(whole: str, text: str) -> tuple[int, str]:
    found = _HEX.match(text)
    digits = found[0] if found else ""
    if len(digits) > 4:
        raise _bad(whole, "each group must have 4 or less digits", text)
    if not digits:
        raise _bad(whole, "each colon-separated field must have at least one digit", text)
    return int(digits, 16), text[len(digits) :]


def _after_group(whole: str, rest: str, done: int, gap: int) -> tuple[str, int]:
    """What is left to read after a group, and where the `::` is."""
    if not rest:
        return "", gap
    if rest[0] != ":":
        raise _bad(whole, "unexpected character, want colon", rest)
    if len(rest) == 1:
        raise _bad(whole, "colon must be followed by more characters", rest)
    rest = rest[1:]
    if rest[0] == ":":
        if gap >= 0:
            raise _bad(whole, "multiple :: in address", rest)
        return rest[1:], done
    return rest, gap


def _embedded(whole: str, text: str, groups: list[int], gap: int) -> list[int]:
    if gap < 0 and len(groups) != 6:
        raise _bad(whole, "embedded IPv4 address must replace the final 2 fields of the address", text)
    if len(groups) > 6:
        raise _bad(whole, "too many hex fields to fit an embedded IPv4 at the end of the address", text)
    number = _parse_4(whole, text)
    return [number >> 16, number & 0xFFFF]


def _expand(whole: str, groups: list[int], gap: int) -> int:
    missing = 8 - len(groups)
    if missing and gap < 0:
        raise _bad(whole, "address string too short")
    if not missing and gap >= 0:
        raise _bad(whole, "the :: must expand to at least one field of zeros")
    number = 0
    for group in [*groups[:gap], *[0] * missing, *groups[gap:]] if missing else groups:
        number = number << 16 | group
    return number


def parse_prefix(text: str) -> Prefix:
    """Raises `AddressError`."""
    head, slash, bits = text.rpartition("/")
    if not slash:
        raise _bad_prefix(text, "no '/'")
    try:
        addr = parse_addr(head)
    except AddressError as error:
        raise _bad_prefix(text, str(error)) from None
    if addr.zone:
        raise _bad_prefix(text, "IPv6 zones cannot be present in a prefix")
    if not _DECIMAL.fullmatch(bits) or (len(bits) > 1 and bits[0] == "0") or len(bits) > 18:
        raise _bad_prefix(text, f"bad bits after slash: {quote(bits)}")
    if int(bits) > addr.bits:
        raise _bad_prefix(text, "prefix length out of range")
    return Prefix(addr, int(bits))


def _bad_prefix(text: str, why: str) -> AddressError:
    return AddressError(f"netip.ParsePrefix({quote(text)}): {why}")
