"""What more may change in a pod that scheduling gates still hold back: where it may go, in the direction of fewer nodes only.

Called by `checks` for updates of pods that had gates. Contract: kube-apiserver 1.36 validateNodeSelectorMutation and
validateNodeAffinityMutation; texts as kube-apiserver's.
"""

from typing import Any

from lightship.meta import errors
from lightship.meta.errors import Cause
from lightship.meta.objects import Obj
from lightship.meta.patch import same

_REQUIRED = "requiredDuringSchedulingIgnoredDuringExecution"
_TERMS = f"spec.affinity.nodeAffinity.{_REQUIRED}.nodeSelectorTerms"


def check_placement(spec: Obj, before: Obj) -> list[Cause]:
    """Labels and expressions may be added, none changed or taken away."""
    selector, had = spec.get("nodeSelector") or {}, before.get("nodeSelector") or {}
    causes: list[Cause] = []
    if not had.items() <= selector.items():
        why = "only additions to spec.nodeSelector are allowed (no mutations or deletions)"
        causes.append(errors.invalid_value("spec.nodeSelector", selector, why))
    old, new = _terms(before), _terms(spec)
    if old and len(old) != len(new):
        why = "no additions/deletions to non-empty NodeSelectorTerms list are allowed"
        return [*causes, errors.invalid_value(_TERMS, new or None, why)]
    why = "only additions are allowed (no mutations or deletions)"
    causes += [errors.invalid_value(f"{_TERMS}[{i}]", new[i], why) for i, term in enumerate(old) if not _only_adds(new[i], term)]
    return causes


def with_placement(spec: Obj, before: Obj) -> Obj:
    """`spec`, which is changed in place, with the node selector and node affinity of `before`."""
    _restore(spec, before, "nodeSelector")
    affinity, had = dict(spec.get("affinity") or {}), before.get("affinity") or {}
    _restore(affinity, had, "nodeAffinity")
    spec.pop("affinity", None)
    if affinity or "affinity" in before:
        spec["affinity"] = affinity
    return spec


def _restore(new: Obj, old: Obj, field: str) -> None:
    new.pop(field, None)
    if field in old:
        new[field] = old[field]


def _terms(spec: Obj) -> list[Obj]:
    affinity: Any = ((spec.get("affinity") or {}).get("nodeAffinity") or {}).get(_REQUIRED) or {}
    return affinity.get("nodeSelectorTerms") or []


def _only_adds(new: Obj, old: Obj) -> bool:
    fields = ("matchExpressions", "matchFields")
    if not any(old.get(f) for f in fields) and any(new.get(f) for f in fields):
        return False
    return all(same((new.get(f) or [])[: len(had)], had) for f in fields if (had := old.get(f) or []))
