"""How many pods a metric asks for.

Pure; called by `proposing`. Pods that say nothing yet are counted so that they never turn a decision round: as idle when it is about more
pods, as busy when it is about fewer. Contract: Kubernetes 1.36 podautoscaler (`replica_calculator.go`).
"""

import math
from collections.abc import Callable, Mapping
from typing import NamedTuple

from lightship.builtin.hpa.samples import Groups, Sample, Unmeasurable

MOST, MOST_VALUE = 2**31 - 1, 2**63 - 1
"""The greatest number of pods, and the greatest value of a metric in thousandths."""


class Tolerance(NamedTuple):
    """How far a ratio may be from one before anything is done."""

    down: float = 0.1
    up: float = 0.1

    def holds(self, ratio: float) -> bool:
        return 1.0 - self.down <= ratio <= 1.0 + self.up


class Found(NamedTuple):
    replicas: int
    average: int
    """What a pod uses on average, in thousandths."""
    utilization: int | None = None
    """The same in hundredths of what pods ask for."""


Ratio = Callable[[Mapping[str, int]], tuple[float, int, int | None]]
"""(values by pod) → how much of the target that is, the average, and the utilization where there is one."""


def countable(samples: Mapping[str, Sample], groups: Groups) -> dict[str, int]:
    """The values that count, by pod. Raises `Unmeasurable` where there are none."""
    values = {name: sample.value for name, sample in samples.items() if name not in groups.ignored and name not in groups.unready}
    if not values:
        raise Unmeasurable("did not receive metrics for targeted pods (pods might be unready)")
    return values


def by_utilization(
    samples: Mapping[str, Sample], groups: Groups, requests: Mapping[str, int], target: int, current: int, tolerance: Tolerance
) -> Found:
    """`target` is in hundredths of what pods ask for. Raises `Unmeasurable`."""

    def ratio(values: Mapping[str, int]) -> tuple[float, int, int | None]:
        known = {name: value for name, value in values.items() if name in requests}
        asked = sum(requests[name] for name in known)
        if not asked:
            raise Unmeasurable("no metrics returned matched known pods")
        used = sum(known.values()) * 100 // asked
        return used / target, sum(known.values()) // len(known), used

    busy = {name: requests.get(name, 0) * max(100, target) // 100 for name in groups.missing}
    return _decided(samples, groups, ratio, busy, current, tolerance)


def by_average(samples: Mapping[str, Sample], groups: Groups, target: int, current: int, tolerance: Tolerance) -> Found:
    """`target` is in thousandths, for each pod. Raises `Unmeasurable`."""

    def ratio(values: Mapping[str, int]) -> tuple[float, int, int | None]:
        average = sum(values.values()) // len(values)
        return average / target, average, None

    return _decided(samples, groups, ratio, dict.fromkeys(groups.missing, target), current, tolerance)


def by_value(value: int, target: int, ready: Callable[[], int], current: int, tolerance: Tolerance) -> Found:
    """A metric that is not of pods, with a target for all of them together. Raises what asking for the number of ready pods raises."""
    ratio = value / target
    if not current:
        return Found(math.ceil(ratio), value)
    if tolerance.holds(ratio):
        return Found(current, value)
    return Found(_whole(ratio * ready()), value)


def by_share(value: int, target: int, current: int, tolerance: Tolerance) -> Found:
    """A metric that is not of pods, with a target for each of them; `current` are those that there are."""
    share = value if value >= MOST_VALUE or not current else math.ceil(value / current)
    if current and tolerance.holds(value / (target * current)):
        return Found(current, share)
    return Found(_whole(value / target), share)


def _whole(replicas: float) -> int:
    return MOST if replicas > MOST else math.ceil(replicas)


def _decided(
    samples: Mapping[str, Sample], groups: Groups, ratio: Ratio, busy: Mapping[str, int], current: int, tolerance: Tolerance
) -> Found:
    values = countable(samples, groups)
    first, average, utilization = ratio(values)
    grows_with_unready = bool(groups.unready) and first > 1.0
    if not grows_with_unready and not groups.missing:
        wanted = current if tolerance.holds(first) else math.ceil(first * groups.ready)
        return Found(wanted, average, utilization)
    if first < 1.0:
        values |= busy
    elif first > 1.0:
        values |= dict.fromkeys(groups.missing, 0)
    if grows_with_unready:
        values |= dict.fromkeys(groups.unready, 0)
    again, _, _ = ratio(values)
    wanted = math.ceil(again * len(values))
    turned = (first < 1.0 < again) or (again < 1.0 < first) or (again < 1.0 and wanted > current) or (again > 1.0 and wanted < current)
    return Found(current if tolerance.holds(again) or turned else wanted, average, utilization)
