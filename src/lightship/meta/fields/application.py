"""An apply: a configuration merged into a live object, what its manager no longer mentions taken away, and conflicts found.

The core of server-side apply, pure; `apiserver.applying` calls it and words its refusals. Versions other than the request's matter only
where managers wrote through them. Contract: structured-merge-diff v6 merge.Updater; apimachinery pkg/util/managedfields.
"""

from collections.abc import Sequence
from typing import NamedTuple

from lightship.meta.fields import sets
from lightship.meta.fields.comparing import Comparison, compare
from lightship.meta.fields.extents import field_set
from lightship.meta.fields.filters import Filter
from lightship.meta.fields.merging import merge
from lightship.meta.fields.ownership import STRIPPED, Manager, Versions, fields_of, identity, in_order, with_fields
from lightship.meta.fields.reconciling import reconcile, with_named
from lightship.meta.fields.removing import remove
from lightship.meta.fields.sets import LEAF, FieldSet, Path
from lightship.meta.fields.types import Type
from lightship.meta.objects import Obj


class Conflict(NamedTuple):
    """A field that somebody else manages and has another value for."""

    entry: Obj
    path: Path


class Conflicts(Exception):  # noqa: N818 - what was found
    def __init__(self, found: list[Conflict]) -> None:
        super().__init__(f"{len(found)} conflicts")
        self.found = found


class Applied(NamedTuple):
    """The merged object (None: it is as it was), and the entries of its managed fields."""

    obj: Obj | None
    entries: list[Obj]


def reconciled(live: Obj, entries: Sequence[Obj], versions: Versions) -> list[Obj]:
    """Entries as the schemas of today would have them; those of versions that are gone are dropped."""
    if not versions.changing and len({entry["apiVersion"] for entry in entries}) <= 1 and entries:
        # The types of built-in kinds are what they were when the entries were written.
        return list(entries) if versions.type_of(entries[0]["apiVersion"]) is not None else []
    out = []
    for entry in entries:
        type = versions.type_of(entry["apiVersion"])
        if type is not None and versions.convert(live, entry["apiVersion"]) is not None:
            out.append(with_fields(entry, reconcile(type, fields_of(entry))))
    return out


def comparisons(
    old: Obj, new: Obj, entries: Sequence[Obj], version: str, versions: Versions, keep: Filter | None
) -> dict[str, Comparison | None]:
    """What changes between two objects, in `version` and in all versions that entries are of."""
    found: dict[str, Comparison | None] = {}
    for each in {version, *(entry["apiVersion"] for entry in entries)}:
        type, before, after = versions.type_of(each), versions.convert(old, each), versions.convert(new, each)
        known = type is not None and before is not None and after is not None
        found[each] = compare(type, before, after).kept_by(keep) if type is not None and known else None
    return found


def apply(
    live: Obj, config: Obj, entries: Sequence[Obj], manager: Manager, versions: Versions, keep: Filter | None, *, time: str, force: bool
) -> Applied:
    """Apply `config`. Raises `Conflicts` unless forced, `ValueError` when a version of the object has no type."""
    type = _type(versions, manager.api_version)
    entries = reconciled(live, entries, versions)
    merged: Obj = merge(type, live, config)
    last = next((entry for entry in entries if manager.is_of(entry)), None)
    mine = field_set(type, config)
    mine = mine if keep is None else keep(mine)
    entry = manager.entry(mine, (last or {}).get("time"))
    others = [other for other in entries if other is not last]
    let_go = last is not None and sets.difference(fields_of(last), mine)
    new = _prune(merged, [*others, entry], last, manager, versions) if last is not None and let_go else merged
    same = new == live
    kept = others
    if not same:
        changes = comparisons(live, new, others, manager.api_version, versions, keep)
        if not force:
            _refuse_conflicts(others, changes)
        kept = _without_changed(others, changes)
    own = sets.difference(mine, STRIPPED)
    if own:
        kept.append(manager.entry(own, entry.get("time") if same else time))
    return Applied(None if same else new, in_order(kept))


def _type(versions: Versions, version: str) -> Type:
    found = versions.type_of(version)
    if found is None:
        raise ValueError(f"no corresponding type for {version}")
    return found


def _refuse_conflicts(others: Sequence[Obj], changes: dict[str, Comparison | None]) -> None:
    found: list[Conflict] = []
    for entry in sorted(others, key=identity):
        change = changes[entry["apiVersion"]]
        if change is not None:
            found.extend(Conflict(entry, path) for path in sets.paths(sets.intersection(fields_of(entry), change.changed)))
    if found:
        raise Conflicts(found)


def _without_changed(others: Sequence[Obj], changes: dict[str, Comparison | None]) -> list[Obj]:
    kept = []
    for entry in others:
        change = changes[entry["apiVersion"]]
        if change is None:
            continue
        left = sets.difference(sets.difference(fields_of(entry), change.changed), change.removed)
        if left:
            kept.append(with_fields(entry, left))
    return kept


def _prune(merged: Obj, entries: Sequence[Obj], last: Obj, manager: Manager, versions: Versions) -> Obj:
    """Without what this manager applied before and now does not, unless somebody else manages it too."""
    version = last["apiVersion"]
    type, at_last = versions.type_of(version), versions.convert(merged, version)
    if type is None or at_last is None:
        return merged
    before = with_named(type, fields_of(last))
    pruned = remove(type, at_last, before) or {}
    pruned = _add_back_owned(at_last, pruned, version, entries, versions)
    back = versions.convert(pruned, version)
    if back is None:
        return merged
    gone = sets.difference(with_named(type, field_set(type, at_last)), with_named(type, field_set(type, back)))
    left = remove(type, at_last, sets.intersection(gone, before)) or {}
    return versions.convert(left, manager.api_version) or left


def _add_back_owned(merged: Obj, pruned: Obj, first: str, entries: Sequence[Obj], versions: Versions) -> Obj:
    """`pruned` with what any manager still claims, version by version, beginning with the one that was pruned."""
    owned: dict[str, FieldSet] = {first: LEAF}
    for entry in entries:
        owned[entry["apiVersion"]] = sets.union(owned.get(entry["apiVersion"], LEAF), fields_of(entry))
    if not owned[first]:
        del owned[first]
    for version, claimed in owned.items():
        type, whole, part = versions.type_of(version), versions.convert(merged, version), versions.convert(pruned, version)
        if type is None or whole is None or part is None:
            continue
        wanted = sets.union(with_named(type, field_set(type, part)), with_named(type, claimed))
        merged = whole
        pruned = remove(type, whole, sets.difference(with_named(type, field_set(type, whole)), wanted)) or {}
    return pruned
