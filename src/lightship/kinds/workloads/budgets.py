"""The rules of PodDisruptionBudgets. What a budget allows at a moment is a controller's matter, whether a pod may go the server's.

Called by the server through `kinds.POD_DISRUPTION_BUDGETS`. Contract: kube 1.36 pkg/apis/policy/validation, registry strategy; printers.
"""

from typing import Any

from lightship.kinds import cells, checking, go_shape
from lightship.meta import errors, objects
from lightship.meta.errors import Cause
from lightship.meta.objects import Obj

from .checks import shown_selector
from .rollout_checks import at_most_all, count_or_percent

_COUNTS = ("disruptionsAllowed", "currentHealthy", "desiredHealthy", "expectedPods")


def prepare(budget: Obj, old: Obj | None) -> None:
    budget["status"] = (old.get("status") or {}) if old is not None else dict.fromkeys(_COUNTS, 0)


def validate(budget: Obj, old: Obj | None) -> list[Cause]:
    spec, causes = objects.spec(budget), list[Cause]()
    if spec.get("minAvailable") is not None and spec.get("maxUnavailable") is not None:
        shown = go_shape.shown(spec, "MinAvailable? Selector? MaxUnavailable? UnhealthyPodEvictionPolicy?")
        if shown and spec.get("selector") is not None:
            shown["Selector"] = shown_selector(spec["selector"])
        causes.append(errors.invalid_value("spec", shown, "minAvailable and maxUnavailable cannot be both set"))
    for field in ("minAvailable", "maxUnavailable"):
        causes += count_or_percent(f"spec.{field}", spec.get(field)) + at_most_all(f"spec.{field}", spec.get(field))
    before = objects.spec(old or {}).get("selector")
    kept = old is not None and bool(checking.label_selector("spec.selector", before))
    causes += checking.label_selector("spec.selector", spec.get("selector"), any_values=kept)
    policies = ("AlwaysAllow", "IfHealthyBudget")
    return causes + checking.one_of("spec.unhealthyPodEvictionPolicy", spec.get("unhealthyPodEvictionPolicy"), policies)


def validate_status(budget: Obj, old: Obj | None) -> list[Cause]:
    status = objects.status(budget)
    return [c for field in _COUNTS for c in checking.not_negative(f"status.{field}", status.get(field))]


def row(budget: Obj, now: float) -> list[Any]:
    spec, status = objects.spec(budget), objects.status(budget)
    limits = ["N/A" if spec.get(field) is None else str(spec[field]) for field in ("minAvailable", "maxUnavailable")]
    return [objects.name(budget), *limits, status.get("disruptionsAllowed") or 0, cells.created(budget, now)]
