"""Runtime patches: what controllers and clients lay over a runtime's template for one TrainJob.

Called by `plan.make`, in the order of the list, later patches over earlier ones. Only the few fields that a PodSpecPatch has can be
patched, so a table of merge keys is all there is to know; the schema has refused anything else.
Contract: Trainer 2.3, `spec.runtimePatches`; strategic merge by the patch strategies of JobSet and PodSpec.
"""

from typing import Any

from lightship.meta.objects import Obj, copy

_MERGE_KEYS = {
    "replicatedJobs": "name",
    "containers": "name",
    "initContainers": "name",
    "volumes": "name",
    "env": "name",
    "volumeMounts": "mountPath",
    "imagePullSecrets": "name",
    "schedulingGates": "name",
}
"""Lists that merge item by item; any other list (tolerations, selector terms) is replaced whole."""
_UNIONS = {"volumes", "env"}
"""Lists whose items hold exactly one of several sources: a patch that names another source replaces the item."""


def metadata(patches: list[Obj], field: str) -> dict[str, str]:
    """Labels or annotations that the patches give the JobSet itself."""
    merged: dict[str, str] = {}
    for patch in patches:
        template = (patch.get("trainingRuntimeSpec") or {}).get("template") or {}
        merged.update((template.get("metadata") or {}).get(field) or {})
    return merged


def apply(spec: Obj, patches: list[Obj]) -> Obj:
    """The JobSet spec with all patches laid over it. Replicated jobs keep the runtime's order."""
    for patch in patches:
        template = (patch.get("trainingRuntimeSpec") or {}).get("template") or {}
        if template.get("spec"):
            spec = _merge(spec, template["spec"])
    return spec


def _merge(old: Obj, patch: Obj) -> Obj:
    merged = dict(old)
    for field, value in patch.items():
        before = merged.get(field)
        if value is None:
            merged.pop(field, None)
        elif isinstance(value, dict) and isinstance(before, dict):
            merged[field] = _merge(before, value)
        elif isinstance(value, list) and field in _MERGE_KEYS:
            merged[field] = _merge_list(before or [], value, field)
        else:
            merged[field] = copy(value)
    return merged


def _merge_list(old: list[Any], patch: list[Any], field: str) -> list[Any]:
    key = _MERGE_KEYS[field]
    merged = list(old)
    for item in patch:
        at = next((i for i, before in enumerate(merged) if before.get(key) == item.get(key)), None)
        if at is None:
            merged.append(copy(item))
        elif field in _UNIONS and set(merged[at]) != set(item):
            merged[at] = copy(item)
        else:
            merged[at] = _merge(merged[at], item)
    return _ordered(merged, [item.get(key) for item in old], [item.get(key) for item in patch], key)


def _ordered(merged: list[Any], old: list[Any], patch: list[Any], key: str) -> list[Any]:
    """In the order of strategic merge: a patch's items keep their own order and go before what comes behind them; of items that only
    the patch has, nothing comes before."""
    patched = sorted((item for item in merged if item.get(key) in patch), key=lambda item: patch.index(item.get(key)))
    kept = [item for item in merged if item.get(key) not in patch]
    found: list[Any] = []
    while patched and kept:
        name = patched[0].get(key)
        first = name in old and old.index(kept[0].get(key)) < old.index(name)
        found.append(kept.pop(0) if first else patched.pop(0))
    return [*found, *patched, *kept]
