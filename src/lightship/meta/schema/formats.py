"""String formats that the API server checks, each a predicate; formats that are not here are not checked, as upstream.

Called by `checks`. Contract: kube-openapi's supported formats, apiextensions' list of formats per version.
"""

import base64
import binascii
import ipaddress
import re
import uuid
from collections.abc import Callable
from datetime import date
from urllib.parse import urlsplit

_DATE_TIME = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d([.,]\d+)?([Zz]|[+-]\d\d:?\d\d)")
_TIME = re.compile(r"(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d):(\d\d)(\.\d+)?(Z|[+-]\d\d:\d\d)")
_DURATION = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)(ns|us|µs|μs|ms|s|m|h)((\d+(\.\d*)?|\.\d+)(ns|us|µs|μs|ms|s|m|h))*|[+-]?0")
_WORDY_DURATION = re.compile(r"\s*\d+\s*(nanos|micros|millis|seconds?|secs?|minutes?|mins?|hours?|days?|weeks?|[hmswd])\s*", re.IGNORECASE)
_HOSTNAME = re.compile(r"(?=.{1,255}$)[a-zA-Z0-9_]([a-zA-Z0-9_-]{0,62})?(\.[a-zA-Z0-9_]([a-zA-Z0-9_-]{0,62})?)*\.?")
_EMAIL = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s]+|[^@\s]+@[^@\s]+")

_FRACTION = re.compile(r":\d\d((?:\.(\d+))?(Z|[+-]\d\d:\d\d))$", re.ASCII)
_MICRO = 6


def not_micro(text: str) -> str:
    """What keeps an RFC 3339 time from being one with microseconds, in the words of Go's decoder; empty for six digits."""
    found = _FRACTION.search(text)
    if found is None or len(found[2] or "") == _MICRO:
        return ""
    digits, zone = found[2] or "", found[3]
    return f'"{digits[_MICRO:]}{zone}" as "Z07:00"' if len(digits) > _MICRO else f'"{found[1]}" as ".000000"'


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
    return bool(_DURATION.fullmatch(text) or _WORDY_DURATION.fullmatch(text))


def _is_date(text: str) -> bool:
    try:
        date.fromisoformat(text)
    except ValueError:
        return False
    return len(text) == 10


def _is_address(version: int) -> Callable[[str], bool]:
    def check(text: str) -> bool:
        try:
            return ipaddress.ip_address(text).version == version
        except ValueError:
            return False

    return check


def _is_cidr(text: str) -> bool:
    try:
        ipaddress.ip_network(text, strict=False)
    except ValueError:
        return False
    return "/" in text


def _is_uri(text: str) -> bool:
    try:
        found = urlsplit(text)
    except ValueError:
        return False
    return bool(found.scheme and (found.netloc or found.path)) or text.startswith("/")


def _is_uuid(text: str) -> bool:
    try:
        uuid.UUID(text)
    except ValueError:
        return False
    return True


FORMATS: dict[str, Callable[[str], bool]] = {
    "date-time": lambda text: bool(_DATE_TIME.fullmatch(text)),
    "datetime": lambda text: bool(_DATE_TIME.fullmatch(text)),
    "date": _is_date,
    "byte": is_base64,
    "duration": is_duration,
    "ipv4": _is_address(4),
    "ipv6": _is_address(6),
    "cidr": _is_cidr,
    "uri": _is_uri,
    "hostname": lambda text: bool(_HOSTNAME.fullmatch(text)),
    "email": lambda text: bool(_EMAIL.fullmatch(text)),
    "uuid": _is_uuid,
}
