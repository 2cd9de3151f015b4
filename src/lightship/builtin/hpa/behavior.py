"""How fast an autoscaler may follow its metrics: bounds, rates, and a memory that keeps it from swinging.

Pure but for `Memory`, which is lost with the process, as upstream's is. Called by `controller`.
Contract: Kubernetes 1.36 podautoscaler (`normalizeDesiredReplicas…`), autoscaling/v2 HPAScalingRules; reasons and texts of its conditions.
"""

import math
from collections.abc import Callable, Iterable
from typing import NamedTuple

from lightship.meta.objects import Obj

WINDOW = 300.0
"""Seconds for which a higher recommendation is remembered, where nothing else is said."""
_LEAST_STEP, _FACTOR = 4, 2
_REMEMBERED = 3600.0
"""Seconds: the longest that rules may look back."""


class Step(NamedTuple):
    at: float
    change: int


class Memory:
    """Of one autoscaler: what was recommended and done lately. Times are of the monotonic clock."""

    def __init__(self, current: int, now: float) -> None:
        self.recommended = [Step(now, current)]
        self.added: list[Step] = []
        self.removed: list[Step] = []

    def scaled(self, before: int, after: int, now: float) -> None:
        (self.added if after > before else self.removed).append(Step(now, abs(after - before)))

    def forget(self, now: float, seconds: float) -> None:
        for steps in (self.recommended, self.added, self.removed):
            steps[:] = [step for step in steps if step.at >= now - seconds]


class Limited(NamedTuple):
    """The number of pods, and what is to be said: (reason, text) of AbleToScale, and of ScalingLimited with its status."""

    replicas: int
    able: tuple[str, str]
    limited: tuple[bool, str, str]


class Bounds(NamedTuple):
    least: int
    most: int


READY = ("ReadyForNewScale", "recommended size matches current size")
_HIGHER = ("ScaleDownStabilized", "recent recommendations were higher than current one, applying the highest recent recommendation")
_LOWER = ("ScaleUpStabilized", "recent recommendations were lower than current one, applying the lowest recent recommendation")
_WITHIN = (False, "DesiredWithinRange", "the desired count is within the acceptable range")
_FAST = "the desired replica count is {} faster than the maximum scale rate"
_TOO_MANY = (True, "TooManyReplicas", "the desired replica count is more than the maximum replica count")
_TOO_FEW = (True, "TooFewReplicas", "the desired replica count is less than the minimum replica count")


def limited(rules: Obj | None, memory: Memory, bounds: Bounds, current: int, desired: int, now: float, window: float = WINDOW) -> Limited:
    """What of the `desired` number of pods may be had now, by `spec.behavior`; `window` is what that does not say for fewer pods."""
    memory.forget(now, _REMEMBERED)
    if rules is None:
        calm = max([desired, *(step.change for step in memory.recommended if step.at >= now - window)])
        memory.recommended.append(Step(now, desired))
        replicas, said = simply(bounds, current, calm)
        return Limited(replicas, READY if calm == desired else _HIGHER, said)
    up, down = rules.get("scaleUp") or {}, rules.get("scaleDown") or {}
    calm = calmed(memory, (up, down), current, desired, now, window)
    memory.recommended.append(Step(now, desired))
    replicas, said = ruled(memory, bounds, (up, down), current, calm, now)
    return Limited(replicas, READY if calm == desired else (_LOWER if desired >= current else _HIGHER), said)


def simply(bounds: Bounds, current: int, desired: int) -> tuple[int, tuple[bool, str, str]]:
    """What bounds and the usual rate leave of it, where there are no rules, and what is said of that."""
    fast = max(_FACTOR * current, _LEAST_STEP)
    if desired < bounds.least:
        return bounds.least, _TOO_FEW
    if desired > min(bounds.most, fast):
        return (fast, (True, "ScaleUpLimit", _FAST.format("increasing"))) if bounds.most > fast else (bounds.most, _TOO_MANY)
    return desired, _WITHIN


def calmed(memory: Memory, rules: tuple[Obj, Obj], current: int, desired: int, now: float, window: float = WINDOW) -> int:
    """What recent recommendations leave of this one, by the rules for having more and fewer pods."""
    up, down = (each.get("stabilizationWindowSeconds") for each in rules)
    low = _since(memory, now - float(up or 0))
    high = _since(memory, now - (window if down is None else float(down)))
    return min(max(current, min([desired, *low])), max([desired, *high]))


def _since(memory: Memory, since: float) -> Iterable[int]:
    return [step.change for step in memory.recommended if step.at > since]


def ruled(
    memory: Memory, bounds: Bounds, rules: tuple[Obj, Obj], current: int, desired: int, now: float
) -> tuple[int, tuple[bool, str, str]]:
    """What bounds and policies leave of it, and what is said of that."""
    up, down = rules
    if desired > current:
        fast = max(current, _limit(memory, up, current, now, grow=True))
        most = min(bounds.most, fast)
        said = (True, "ScaleUpLimit", _FAST.format("increasing")) if bounds.most > fast else _TOO_MANY
        return (most, said) if desired > most else (desired, _WITHIN)
    if desired < current:
        fast = min(current, _limit(memory, down, current, now, grow=False))
        least = max(bounds.least, fast)
        said = (True, "ScaleDownLimit", _FAST.format("decreasing")) if bounds.least < fast else _TOO_FEW
        return (least, said) if desired < least else (desired, _WITHIN)
    return desired, _WITHIN


def _limit(memory: Memory, rules: Obj, current: int, now: float, *, grow: bool) -> int:
    """To how many pods the policies let it go: the one that lets most, or `Min` the one that lets least."""
    select = rules.get("selectPolicy") or "Max"
    if select == "Disabled":
        return current
    choose: Callable[[Iterable[int]], int] = max if (select == "Max") == grow else min
    found = [_by_policy(memory, policy, current, now, grow=grow) for policy in rules.get("policies") or ()]
    return choose(found) if found else current


def _by_policy(memory: Memory, policy: Obj, current: int, now: float, *, grow: bool) -> int:
    since = now - int(policy["periodSeconds"])
    start = current - sum(step.change for step in memory.added if step.at > since) + sum(s.change for s in memory.removed if s.at > since)
    value = int(policy["value"])
    if policy["type"] == "Pods":
        return start + value if grow else start - value
    return math.ceil(start * (1 + value / 100)) if grow else int(start * (1 - value / 100))
