"""String formats that the API server checks, each a predicate; formats that are not here are not checked, as upstream.

Called by `checks`. Contract: kube-openapi's supported formats, apiextensions' list of formats per version.
"""

import base64
import binascii
import ipaddress
import re
from calendar import monthrange
from collections.abc import Callable
from datetime import date
from urllib.parse import urlsplit

from lightship.meta.schema import patterns

_DATE_TIME = re.compile(r"(\d{4}-\d\d-\d\d)t([01]\d|2[0-3]):([0-5]\d):([0-5]\d)(.[0-9]+)?(z|[+-]\d\d:\d\d)", re.ASCII)
_TIME = re.compile(r"(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d):(\d\d)(\.\d+)?(Z|[+-]\d\d:\d\d)")
_DURATION = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)(ns|us|µs|μs|ms|s|m|h)((\d+(\.\d*)?|\.\d+)(ns|us|µs|μs|ms|s|m|h))*|[+-]?0")
_WORDY_DURATION = re.compile(r"(\d+)\s*([A-Za-zµ]+)", re.ASCII)
_UNITS = ("ns", "us", "µs", "ms", "s", "m", "h", "d", "w", "wk", "hr")
_LONG_UNITS = ("nano", "micro", "milli", "sec", "min", "hour", "day", "week")
_HOSTNAME = (
    r"^([a-zA-Z0-9\p{S}\p{L}]((-?[a-zA-Z0-9\p{S}\p{L}]{0,62})?)"
    r"|([a-zA-Z0-9\p{S}\p{L}](([a-zA-Z0-9-\p{S}\p{L}]{0,61}[a-zA-Z0-9\p{S}\p{L}])?)(\.)){1,}([a-zA-Z\p{L}]){2,63})$"
)
_EMAIL = re.compile(r"([^<>@]*<)?[^@\s<>]+@[^@\s<>]+(?(1)>\s*)")
_BASE64 = re.compile(r"(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=|[A-Za-z0-9+/]{4})")
_UUID = "[0-9a-f]{{8}}-?[0-9a-f]{{4}}-?{0}-?{1}-?[0-9a-f]{{12}}"
_ANY4 = "[0-9a-f]{4}"
_CARD = re.compile(
    r"4[0-9]{12}(?:[0-9]{3})?|5[1-5][0-9]{14}|6(?:011|5[0-9][0-9])[0-9]{12}|3[47][0-9]{13}|3(?:0[0-5]|[68][0-9])[0-9]{11}"
    r"|(?:2131|1800|35\d{3})\d{11}",
    re.ASCII,
)
_BYTE = r"\s*(0|[1-9]\d?|1\d\d?|2[0-4]\d|25[0-5])\s*"
_SHORT_NAME = "[a-z0-9]([-a-z0-9]*[a-z0-9])?"
_MACS = tuple(
    re.compile(rf"[0-9a-fA-F]{{{group}}}({mark}[0-9a-fA-F]{{{group}}}){{{bytes * 2 // group - 1}}}")
    for bytes in (6, 8, 20)
    for group, mark in ((2, ":"), (2, "-"), (4, r"\."))
)

_FRACTION = re.compile(r"\.\d+", re.ASCII)
_COMMON_TIME = re.compile(r"\d{4}-(?:0[1-9]|1[0-2])-(?:0[1-9]|1\d|2[0-8])T(?:[01]\d|2[0-3]):[0-5]\d:[0-5]\d(\.\d{6})?Z", re.ASCII)
_MICROS = ".000000"
_PIECES = (("2006", r"\d{4}"), ("-", "-"), ("01", r"\d\d"), ("-", "-"), ("02", r"\d\d"), ("T", "T"), ("15", r"\d\d"), (":", ":"))
_PARTS = tuple(
    (shown, re.compile(pattern, re.ASCII))
    for shown, pattern in (*_PIECES, ("04", r"\d\d"), (":", ":"), ("05", r"\d\d"), (_MICROS, r"\.\d{6}"), ("Z07:00", r"Z|[+-]\d\d:\d\d"))
)
_RANGES = {"01": ("month", 1, 12), "15": ("hour", 0, 23), "04": ("minute", 0, 59), "05": ("second", 0, 59)}


def time_problem(text: str, *, micro: bool) -> str:
    """What keeps a text from being a time, in the words of Go's decoder; empty when nothing does."""
    common = _COMMON_TIME.fullmatch(text)
    if common and (common[1] or not micro):
        return ""
    rest, day = text, (0, 0, 0)
    for shown, pattern in _PARTS:
        if shown == _MICROS and not micro:
            fraction = _FRACTION.match(rest)
            rest = rest[fraction.end() :] if fraction else rest
            continue
        found = pattern.match(rest)
        if found is None:
            return f'cannot parse "{rest}" as "{shown}"'
        if shown in _RANGES:
            name, low, high = _RANGES[shown]
            if not low <= int(found[0]) <= high:
                return f"{name} out of range"
        if shown in ("2006", "01", "02"):
            day = (*day[1:], int(found[0]))
        rest = rest[found.end() :]
    if rest:
        return f'extra text: "{rest}"'
    return "" if _is_day(*day) else "day out of range"


def _is_day(year: int, month: int, day: int) -> bool:
    return 1 <= day <= monthrange(year or 4, month)[1]  # Go knows a year 0, which is a leap year


def is_rfc3339(text: str) -> bool:
    """A time as Go's decoder of metav1.Time wants it."""
    found = _TIME.fullmatch(text)
    if found is None:
        return False
    month, day, hour, minute, second = (int(found[i]) for i in range(2, 7))
    return 1 <= month <= 12 and 1 <= day <= 31 and hour < 24 and minute < 60 and second < 60


def is_base64(text: str) -> bool:
    return bad_base64(text) < 0


def bad_base64(text: str) -> int:
    """Where base64 text goes wrong, -1 when it is right. Line breaks are ignored, as Go does."""
    plain = text.replace("\r", "").replace("\n", "")
    try:
        base64.b64decode(plain, validate=True)
    except (binascii.Error, ValueError):
        found = re.match(r"[A-Za-z0-9+/]*={0,2}", text)
        at = found.end() if found else 0
        return at if at < len(text) else max(len(text) - len(text) % 4, 0)
    return -1


def is_duration(text: str) -> bool:
    """As Go writes durations, or in words: any number with a unit somewhere in the text will do."""
    if _DURATION.fullmatch(text):
        return True
    units = [unit.lower() for _, unit in _WORDY_DURATION.findall(text)]
    return any(unit in _UNITS or unit.startswith(_LONG_UNITS) for unit in units)


def _is_date(text: str) -> bool:
    try:
        date.fromisoformat(text)
    except ValueError:
        return False
    return len(text) == 10 and text[4] == "-"


def _is_date_time(text: str) -> bool:
    found = _DATE_TIME.fullmatch(text.lower())
    return found is not None and _is_date(found[1])


def _is_ipv4(text: str) -> bool:
    """Leading zeros are nothing to object to, and an IPv6 address may end in dots."""
    parts = text.split(".")
    if len(parts) == 4 and all(p.isascii() and p.isdecimal() and len(p) <= 3 and int(p) < 256 for p in parts):
        return True
    return "." in text and _is_ipv6(text)


def _is_ipv6(text: str) -> bool:
    try:
        return ":" in text and "%" not in text and bool(ipaddress.ip_address(text))
    except ValueError:
        return False


def _is_cidr(text: str) -> bool:
    address, slash, bits = text.partition("/")
    if not slash or not (bits.isascii() and bits.isdecimal()):
        return False
    return (_is_ipv6(address) and int(bits) <= 128) or ("." in address and ":" not in address and _is_ipv4(address) and int(bits) <= 32)


def _is_uri(text: str) -> bool:
    if not text or any(c <= " " or c == "\x7f" for c in text):
        return False
    try:
        found = urlsplit(text)
    except ValueError:
        return False
    return bool(found.scheme) or text.startswith(("/", "*"))


def _is_hostname(text: str) -> bool:
    return patterns.searcher(_HOSTNAME)(text) and len(text) <= 255 and all(len(part) <= 63 for part in text.split("."))


def _is_card(text: str) -> bool:
    digits = re.sub("[^0-9]+", "", text)
    if not _CARD.fullmatch(digits):
        return False
    doubled = [int(d) * (1 + i % 2) for i, d in enumerate(reversed(digits))]
    return sum(d - 9 if d > 9 else d for d in doubled) % 10 == 0


def _is_isbn10(text: str) -> bool:
    plain = re.sub(r"[\s-]+", "", text)
    if not re.fullmatch("[0-9]{9}[0-9X]", plain):
        return False
    return sum((i + 1) * (10 if c == "X" else int(c)) for i, c in enumerate(plain)) % 11 == 0


def _is_isbn13(text: str) -> bool:
    plain = re.sub(r"[\s-]+", "", text)
    return bool(re.fullmatch("[0-9]{13}", plain)) and sum(int(c) * (3 if i % 2 else 1) for i, c in enumerate(plain)) % 10 == 0


def _matches(pattern: str, flags: int = 0) -> Callable[[str], bool]:
    compiled = re.compile(pattern, re.ASCII | flags)
    return lambda text: compiled.fullmatch(text) is not None


def _uuid(third: str = _ANY4, fourth: str = _ANY4) -> Callable[[str], bool]:
    return _matches(_UUID.format(third, fourth), re.IGNORECASE)


def find(name: str) -> Callable[[str], bool] | None:
    """The check of a format, whether its name is written with dashes or without."""
    return FORMATS.get(name) or FORMATS.get(name.replace("-", ""))


FORMATS: dict[str, Callable[[str], bool]] = {
    "bsonobjectid": _matches("[0-9a-fA-F]{24}"),
    "byte": lambda text: _BASE64.fullmatch(text) is not None,
    "cidr": _is_cidr,
    "creditcard": _is_card,
    "date": _is_date,
    "datetime": _is_date_time,
    "duration": is_duration,
    "email": lambda text: _EMAIL.fullmatch(text) is not None,
    "hexcolor": _matches("#?([0-9a-fA-F]{3}|[0-9a-fA-F]{6})"),
    "hostname": _is_hostname,
    "ipv4": _is_ipv4,
    "ipv6": _is_ipv6,
    "isbn": lambda text: _is_isbn10(text) or _is_isbn13(text),
    "isbn10": _is_isbn10,
    "isbn13": _is_isbn13,
    "k8slongname": lambda text: len(text) <= 253 and bool(re.fullmatch(rf"{_SHORT_NAME}(\.{_SHORT_NAME})*", text)),
    "k8sshortname": lambda text: len(text) <= 63 and bool(re.fullmatch(_SHORT_NAME, text)),
    "mac": lambda text: any(form.fullmatch(text) for form in _MACS),
    "rgbcolor": _matches(rf"rgb\({_BYTE},{_BYTE},{_BYTE}\)"),
    "ssn": _matches(r"\d{3}[- ]?\d{2}[- ]?\d{4}"),
    "uri": _is_uri,
    "uuid": _uuid(),
    "uuid3": _uuid("3[0-9a-f]{3}"),
    "uuid4": _uuid("4[0-9a-f]{3}", "[89ab][0-9a-f]{3}"),
    "uuid5": _uuid("5[0-9a-f]{3}", "[89ab][0-9a-f]{3}"),
}
"""By names without dashes."""
