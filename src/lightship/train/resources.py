"""Counting what one node of a TrainJob asks for: GPUs, CPUs, and resources laid over resources.

Called by the plan and by the framework plugins, which derive process counts from it. Pure.
Contract: Trainer 2.3: a resource whose name contains "gpu" is a GPU; requests count before limits.
"""

from collections.abc import Mapping
from typing import Any

from lightship.meta import quantity
from lightship.meta.objects import Obj


def merge(base: Obj, over: Obj) -> Obj:
    """Container resources with `over` laid on `base`: limits and requests name by name, claims by their name."""
    merged: Obj = {}
    for kind in ("limits", "requests"):
        amounts = {**(base.get(kind) or {}), **(over.get(kind) or {})}
        if amounts:
            # The SDK sends numbers (`"cpu": 1.0`); pods keep quantities as text.
            merged[kind] = {name: _text(amount) for name, amount in amounts.items()}
    claims = {claim["name"]: claim for claim in [*(base.get("claims") or ()), *(over.get("claims") or ())]}
    if claims:
        merged["claims"] = list(claims.values())
    return merged


def gpus(resources: Obj) -> int:
    """GPUs per node."""
    return _gpus(resources.get("requests") or {}) or _gpus(resources.get("limits") or {})


def cpus(resources: Obj) -> int:
    """Whole CPUs per node, rounded up; 0 when nothing is said."""
    asked = (resources.get("requests") or {}).get("cpu")
    if asked is None or not quantity.parse(asked):
        asked = (resources.get("limits") or {}).get("cpu")
    return quantity.to_int(asked) if asked is not None else 0


def _gpus(amounts: Mapping[str, Any]) -> int:
    return next((quantity.to_int(amount) for name, amount in amounts.items() if "gpu" in name.lower()), 0)


def _text(amount: Any) -> str:
    return amount if isinstance(amount, str) else quantity.canonical(amount)
