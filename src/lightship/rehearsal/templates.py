"""How long emulated pods run: the annotations that say it, put into every pod template of an object. Pure; called by `scenario`.

Contract: kwok's general stages for pods, `pod-complete.stage.kwok.x-k8s.io/delay` and `/jitter-delay`.
"""

from typing import Any, NamedTuple

from lightship.meta.objects import Obj, copy

STAGE = "pod-complete.stage.kwok.x-k8s.io"


class Span(NamedTuple):
    """Seconds, from the least to the most."""

    least: float
    most: float


class UntimedError(ValueError):
    """The object holds no pod template."""


def timed(obj: Obj, span: Span) -> Obj:
    """The object, in which every pod runs as long as said. Raises `UntimedError`."""
    changed: Obj = copy(obj)
    if not _mark(changed, span):
        raise UntimedError(f"{obj.get('kind')} has no pod template that could say how long its pods run")
    return changed


def _mark(value: Any, span: Span) -> int:
    """Annotate, in place, what looks like a pod or a template of one; how many there were."""
    if isinstance(value, list):
        return sum(_mark(entry, span) for entry in value)
    if not isinstance(value, dict):
        return 0
    spec = value.get("spec")
    if isinstance(spec, dict) and isinstance(spec.get("containers"), list):
        metadata = value.setdefault("metadata", {})
        annotations = metadata.setdefault("annotations", {})
        annotations |= {f"{STAGE}/delay": f"{span.least:g}s", f"{STAGE}/jitter-delay": f"{span.most:g}s"}
        return 1
    return sum(_mark(entry, span) for entry in value.values())
