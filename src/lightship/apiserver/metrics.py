"""Counts and durations of requests, as Prometheus reads them at `/metrics`.

`front` counts every request, which costs one look-up and two additions; `documents` writes the text. Knows labels and numbers only.
Contract: kube-apiserver's stable metrics apiserver_request_total and apiserver_request_duration_seconds; Prometheus text format 0.0.4.
"""

from bisect import bisect_left
from collections.abc import Callable, Iterable
from typing import NamedTuple

BUCKETS = (0.005, 0.025, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 1.0, 1.25, 1.5, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0, 10.0, 15.0, 20.0, 30.0, 45.0, 60.0)
"""Seconds up to which a request counts into each bucket, as the real server's."""
_MOST = 2000
"""Different kinds of requests that are told apart; what comes later is counted together."""


class Labels(NamedTuple):
    """What a request is counted under."""

    verb: str
    group: str = ""
    version: str = ""
    resource: str = ""
    subresource: str = ""
    scope: str = ""


class _Count:
    __slots__ = ("buckets", "codes", "seconds")

    def __init__(self) -> None:
        self.codes: dict[int, int] = {}
        self.buckets = [0] * (len(BUCKETS) + 1)
        self.seconds = 0.0


class Metrics:
    """All counts since the server started."""

    def __init__(self) -> None:
        self._counts: dict[Labels, _Count] = {}
        self._gauges: list[tuple[str, str, Callable[[], float]]] = []

    def gauge(self, name: str, help: str, value: Callable[[], float]) -> None:
        """Show one more number, asked for anew each time."""
        self._gauges.append((name, help, value))

    def count(self, labels: Labels, code: int, seconds: float) -> None:
        found = self._counts.get(labels)
        if found is None:
            labels = labels if len(self._counts) < _MOST else Labels("OTHER")
            found = self._counts.setdefault(labels, _Count())
        found.codes[code] = found.codes.get(code, 0) + 1
        found.buckets[bisect_left(BUCKETS, seconds)] += 1
        found.seconds += seconds

    def reset(self) -> None:
        """Count from zero."""
        self._counts.clear()

    def text(self) -> bytes:
        """Everything, for Prometheus."""
        lines: list[str] = []
        lines += _head("apiserver_request_total", "counter", "Requests by verb, resource and response code.")
        for labels, found in sorted(self._counts.items()):
            shown = _shown(labels)
            lines += [
                f'apiserver_request_total{{code="{code}",component="apiserver",{shown}}} {n}' for code, n in sorted(found.codes.items())
            ]
        name = "apiserver_request_duration_seconds"
        lines += _head(name, "histogram", "Seconds from a request to its answer, by verb and resource.")
        for labels, found in sorted(self._counts.items()):
            lines += _histogram(name, f'component="apiserver",{_shown(labels)}', found)
        for gauge, help, value in self._gauges:
            lines += [*_head(gauge, "gauge", help), f"{gauge} {value():g}"]
        return ("\n".join(lines) + "\n").encode()


def _head(name: str, type: str, help: str) -> list[str]:
    return [f"# HELP {name} {help}", f"# TYPE {name} {type}"]


def _histogram(name: str, shown: str, found: _Count) -> Iterable[str]:
    total = 0
    for edge, count in zip((*(f"{edge:g}" for edge in BUCKETS), "+Inf"), found.buckets, strict=True):
        total += count
        yield f'{name}_bucket{{{shown},le="{edge}"}} {total}'
    yield f"{name}_sum{{{shown}}} {found.seconds:.6f}"
    yield f"{name}_count{{{shown}}} {total}"


def _shown(labels: Labels) -> str:
    quoted = (f'{name}="{_escaped(value)}"' for name, value in sorted(labels._asdict().items()))
    return ",".join(quoted)


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
