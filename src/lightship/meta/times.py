"""Timestamps as Kubernetes writes them. The clock itself is injected (`aio.clock`); here is only the notation.

Contract: metav1.Time is RFC 3339 in UTC with whole seconds, metav1.MicroTime has six decimals.
"""

from datetime import UTC, datetime
from functools import lru_cache


def rfc3339(seconds: float) -> str:
    """metav1.Time: `2026-11-21T08:00:00Z`."""
    return _rfc3339(int(seconds))


@lru_cache(maxsize=64)
def _rfc3339(seconds: int) -> str:
    """What is written in one second bears the same text."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def rfc3339_micro(seconds: float) -> str:
    """metav1.MicroTime: `2026-11-21T08:00:00.123456Z`."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def parse(text: str) -> float:
    """Seconds since the epoch. Raises `ValueError` naming the text when it is no RFC 3339 time."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError as error:
        raise ValueError(f'"{text}" is not an RFC 3339 time such as 2026-11-21T08:00:00Z') from error
    return (found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp()


def age(seconds: float) -> str:
    """A duration as kubectl prints ages: `45s`, `3m12s`, `5h2m`, `2d4h`, `41d`, `3y12d`. Contract: apimachinery duration.HumanDuration."""
    s = int(seconds)
    if s < 0:
        return "0s" if s >= -1 else "<invalid>"
    if s < 120:
        return f"{s}s"
    m, h, d = s // 60, s // 3600, s // 86400
    if m < 10:
        return f"{m}m{s % 60}s" if s % 60 else f"{m}m"
    if m < 180:
        return f"{m}m"
    if h < 8:
        return f"{h}h{m % 60}m" if m % 60 else f"{h}h"
    if h < 48:
        return f"{h}h"
    if h < 192:
        return f"{d}d{h % 24}h" if h % 24 else f"{d}d"
    if d < 730:
        return f"{d}d"
    years = d // 365
    return f"{years}y{d % 365}d" if years < 8 and d % 365 else f"{years}y"
