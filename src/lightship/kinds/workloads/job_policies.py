"""What can be wrong with the policies of a Job: which failures count, which successes are enough, and the lists of indexes in them.

Called by `job_checks`, and by what judges a Job's status. Contract: kube 1.36 pkg/apis/batch/validation; texts as kube-apiserver's.
"""

import contextlib
import re

from lightship.kinds import checking
from lightship.meta import errors
from lightship.meta.errors import Cause
from lightship.meta.objects import Obj

_NUMBER = re.compile(r"\d{1,18}", re.ASCII)
_ENDS = 2


def check_failure_policy(at: str, spec: Obj) -> list[Cause]:
    pod = (spec.get("template") or {}).get("spec") or {}
    known = {c.get("name") for c in [*(pod.get("containers") or ()), *(pod.get("initContainers") or ())]}
    causes: list[Cause] = []
    if spec.get("podFailurePolicy") and spec.get("podReplacementPolicy") != "Failed":
        causes.append(errors.not_supported(f"{at}.podReplacementPolicy", spec.get("podReplacementPolicy"), ("Failed",)))
    for i, rule in enumerate((spec.get("podFailurePolicy") or {}).get("rules") or ()):
        path = f"{at}.podFailurePolicy.rules[{i}]"
        if rule.get("action") == "FailIndex" and spec.get("backoffLimitPerIndex") is None:
            causes.append(errors.invalid_value(f"{path}.action", "FailIndex", "requires the backoffLimitPerIndex to be set"))
        codes, patterns = rule.get("onExitCodes"), rule.get("onPodConditions")
        if codes is not None:
            causes += _check_exit_codes(f"{path}.onExitCodes", codes, known)
        if (codes is None) is not bool(patterns):
            several = "specifying both OnExitCodes and OnPodConditions is not supported"
            none = "specifying one of OnExitCodes and OnPodConditions is required"
            causes.append(Cause(path, f"Invalid value: {several if patterns else none}"))
    return causes


def _check_exit_codes(path: str, codes: Obj, known: set[str | None]) -> list[Cause]:
    causes: list[Cause] = []
    name, values, operator = codes.get("containerName"), codes.get("values") or [], codes.get("operator")
    if name is not None and name not in known:
        why = "must be one of the container or initContainer names in the pod template"
        causes.append(errors.invalid_value(f"{path}.containerName", name, why))
    if not values:
        causes.append(errors.invalid_value(f"{path}.values", [], "at least one value is required"))
    seen: set[int] = set()
    for i, value in enumerate(values):
        if value in seen:
            causes.append(errors.duplicate(f"{path}.values[{i}]", value))
        seen.add(value)
        if value == 0 and operator == "In":
            causes.append(errors.invalid_value(f"{path}.values[{i}]", 0, "must not be 0 for the In operator"))
    return causes


def check_success_policy(at: str, spec: Obj) -> list[Cause]:
    policy = spec.get("successPolicy")
    if policy is None:
        return []
    if spec.get("completionMode") != "Indexed":
        return [errors.invalid_value(f"{at}.successPolicy", policy, "requires indexed completion mode")]
    rules = policy.get("rules") or []
    if not rules:
        return [errors.required(f"{at}.successPolicy.rules", "at least one rules must be specified when the successPolicy is specified")]
    return [c for i, rule in enumerate(rules) for c in _check_success_rule(f"{at}.successPolicy.rules[{i}]", rule, spec)]


def _check_success_rule(path: str, rule: Obj, spec: Obj) -> list[Cause]:
    indexes, count, completions = rule.get("succeededIndexes"), rule.get("succeededCount"), spec.get("completions") or 0
    if indexes is None and count is None:
        return [errors.required(path, "at least one of succeededCount or succeededIndexes must be specified")]
    causes: list[Cause] = []
    listed = 0
    if indexes is not None:
        try:
            listed = count_indexes(indexes, completions)
        except ValueError as error:
            causes.append(errors.invalid_value(f"{path}.succeededIndexes", indexes, f"error parsing succeededIndexes: {error}"))
    if count is not None:
        at = f"{path}.succeededCount"
        causes += checking.not_negative(at, count)
        if count > completions:
            why = f"must be less than or equal to {completions} (the number of specified completions)"
            causes.append(errors.invalid_value(at, count, why))
        if indexes is not None and count > listed:
            why = f"must be less than or equal to {listed} (the number of indexes in the specified succeededIndexes field)"
            causes.append(errors.invalid_value(at, count, why))
    return causes


def count_indexes(text: str, completions: int) -> int:
    """How many indexes `0,2-4` names. Raises `ValueError` for bad notation, wrong order and indexes beyond the completions."""
    total, last = 0, None
    for part in text.split(",") if text else ():
        low, high = _interval(part, completions)
        if last is not None and low <= last:
            raise ValueError(f"non-increasing order, previous: {last}, current: {low}")
        total, last = total + high - low + 1, high
    return total


def _interval(part: str, completions: int) -> tuple[int, int]:
    limits = part.split("-")
    if len(limits) > _ENDS:
        why = "violates the requirement that an index interval can have at most two parts separated by '-'"
        raise ValueError(f'the fragment "{part}" {why}')
    low = _index(limits[0], completions)
    if len(limits) == 1:
        return low, low
    high = _index(limits[1], completions)
    if low >= high:
        raise ValueError(f"non-increasing order, previous: {low}, current: {high}")
    return low, high


def _index(text: str, completions: int) -> int:
    if not _NUMBER.fullmatch(text):
        raise ValueError(f'cannot convert string to integer for index: "{text}"')
    if int(text) >= completions:
        raise ValueError(f'too large index: "{text}"')
    return int(text)


def overlap(first: str, second: str, completions: int) -> int | None:
    """The first index that both lists name; parts that cannot be read are passed over."""
    ones, others = _readable(first, completions), _readable(second, completions)
    return next((max(a, c) for a, b in ones for c, d in others if a <= d and c <= b), None)


def _readable(text: str, completions: int) -> list[tuple[int, int]]:
    found = []
    for part in text.split(",") if text else ():
        with contextlib.suppress(ValueError):
            found.append(_interval(part, completions))
    return found
