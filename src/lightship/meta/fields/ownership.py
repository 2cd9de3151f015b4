"""Who manages which fields: the entries of metadata.managedFields, and what an update does to them.

Entries are plain dicts as they travel on the wire, shared with the object that they came from and never changed; what an update does not
touch stays the very same dict. Called by `apiserver.managed` for every write, and by `application`.
Contract: apimachinery pkg/util/managedfields; metav1.ManagedFieldsEntry.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

from lightship.meta import times
from lightship.meta.fields import codec, sets
from lightship.meta.fields.comparing import Comparison
from lightship.meta.fields.sets import LEAF, FieldSet
from lightship.meta.fields.types import Type
from lightship.meta.objects import Obj

APPLY, UPDATE = "Apply", "Update"
MAX_UPDATERS = 10
"""Entries of updates that an object keeps; what is older goes into `ANCIENT`."""
ANCIENT = "ancient-changes"
BEFORE_FIRST_APPLY = "before-first-apply"
UNKNOWN = "unknown"
_META = ("name", "namespace", "creationTimestamp", "selfLink", "uid", "clusterName", "generation", "managedFields", "resourceVersion")
STRIPPED = sets.of(("f:apiVersion",), ("f:kind",), ("f:metadata",), *(sets.names("metadata", name) for name in _META))
"""Fields that are nobody's: the server's own, and what says which object it is."""
SKIPPED: Mapping[str, Any] = {"apiVersion": True, "kind": True, "metadata": dict.fromkeys(_META, True)}
"""The same, as `extents.Presence` takes it."""


class Manager(NamedTuple):
    """Who writes, how and through which version and subresource."""

    name: str
    operation: str
    api_version: str
    subresource: str = ""

    def is_of(self, entry: Obj) -> bool:
        """Is this the entry of this manager? One that applies keeps its entry through all versions."""
        return (
            entry.get("manager", "") == self.name
            and entry["operation"] == self.operation
            and entry.get("subresource", "") == self.subresource
            and (self.operation == APPLY or entry["apiVersion"] == self.api_version)
        )

    def entry(self, fields: FieldSet, time: str | None) -> Obj:
        """A new entry, its fields in the order in which Go writes them."""
        made: Obj = {"manager": self.name} if self.name else {}
        made["operation"] = self.operation
        made["apiVersion"] = self.api_version
        if time is not None:
            made["time"] = time
        made["fieldsType"] = "FieldsV1"
        made["fieldsV1"] = fields
        if self.subresource:
            made["subresource"] = self.subresource
        return made


class Versions(Protocol):
    """The versions of one kind; `None` for one that is not served (any more)."""

    @property
    def changing(self) -> bool:
        """May their types be others than when objects were written?"""
        ...

    def type_of(self, api_version: str) -> Type | None: ...

    def convert(self, obj: Obj, api_version: str) -> Obj | None: ...


def fields_of(entry: Obj) -> FieldSet:
    found: FieldSet | None = entry.get("fieldsV1")
    return LEAF if found is None else found


def with_fields(entry: Obj, fields: FieldSet) -> Obj:
    return entry if fields is entry.get("fieldsV1") else {**entry, "fieldsV1": fields}


def read(entries: Sequence[Any]) -> list[Obj]:
    """Entries that a client sent, made canonical. Raises `ValueError` for what the real server cannot decode."""
    found: dict[str, Obj] = {}
    for place, entry in enumerate(entries):
        if entry.get("operation") not in (APPLY, UPDATE):
            raise ValueError("operation must be `Apply` or `Update`")
        if not entry.get("apiVersion"):
            raise ValueError("apiVersion must not be empty")
        if not entry.get("fieldsType"):
            raise ValueError(f"missing fieldsType in managed fields entry {place}")
        if entry["fieldsType"] != "FieldsV1":
            raise ValueError(f'invalid fieldsType "{entry["fieldsType"]}" in managed fields entry {place}')
        manager = Manager(entry.get("manager") or "", entry["operation"], entry["apiVersion"], entry.get("subresource") or "")
        made = manager.entry(codec.read(entry.get("fieldsV1")), _time(entry.get("time")))
        found[identity(made)] = made
    return in_order(found.values())


def _time(text: Any) -> str | None:
    return times.rfc3339(times.parse(text)) if isinstance(text, str) and text else None


def identity(entry: Obj) -> str:
    """What an entry is told apart by, as the real server spells it; conflicts are sorted by it."""
    made = {"manager": entry.get("manager") or "", "operation": entry["operation"]}
    if entry["operation"] != APPLY:
        made["apiVersion"] = entry["apiVersion"]
    if entry.get("subresource"):
        made["subresource"] = entry["subresource"]
    return json.dumps({key: value for key, value in made.items() if value}, separators=(",", ":"), ensure_ascii=False)


def in_order(entries: Iterable[Obj]) -> list[Obj]:
    """Entries as the real server sorts them: appliers, then updaters, the oldest first."""
    return sorted(entries, key=_rank)


def _rank(entry: Obj) -> tuple[str, str, str, str, str]:
    return entry["operation"], entry.get("time") or "", entry.get("manager", ""), entry["apiVersion"], entry.get("subresource", "")


def created(manager: Manager, fields: FieldSet, time: str) -> list[Obj]:
    """The entries of an object that was just created."""
    return [manager.entry(fields, time)] if fields else []


def updated(entries: Sequence[Obj], manager: Manager, changes: Mapping[str, Comparison | None], time: str) -> Sequence[Obj]:
    """The entries after an update by `manager`; the very same when it changes none.

    `changes` tells, for each version that entries are of, what the update changes there; None for a version that is gone.
    """
    change = changes[manager.api_version]
    gained = sets.difference(change.changed, STRIPPED) if change is not None else LEAF
    out: list[Obj] = []
    mine: FieldSet = LEAF
    touched = False
    for entry in entries:
        lost = changes[entry["apiVersion"]]
        if gained and manager.is_of(entry):
            # What changed is its own again at once.
            mine = fields_of(entry) if lost is not None and not lost.removed else _left(entry, lost)
            continue
        left = _left(entry, lost)
        if left is entry.get("fieldsV1"):
            out.append(entry)
        else:
            touched = True
            if left:
                out.append({**entry, "fieldsV1": left})
    if not gained:
        return in_order(out) if touched else entries
    made = manager.entry(sets.union(mine, gained), time)
    last = not out or _rank(out[-1]) <= _rank(made)
    out.append(made)
    if len(out) > MAX_UPDATERS:
        return in_order(capped(out))
    return out if last else in_order(out)


def _left(entry: Obj, change: Comparison | None) -> FieldSet:
    """What an entry keeps when the fields that changed become somebody else's."""
    if change is None:
        return LEAF
    fields = fields_of(entry)
    for part in change:
        if part:
            fields = sets.difference(fields, part)
    return fields


def capped(entries: list[Obj]) -> list[Obj]:
    """The entries with the oldest updaters' gone into one for each version, when there are too many."""
    updaters = sorted((e for e in entries if e["operation"] == UPDATE), key=lambda e: (e.get("time") or "", identity(e)))
    excess = len(updaters) - MAX_UPDATERS
    if excess <= 0:
        return entries
    kept = {identity(entry): entry for entry in entries}
    first: dict[str, str] = {}
    for entry in updaters:
        if excess <= 0:
            break
        version, name = entry["apiVersion"], identity(entry)
        if version not in first:
            first[version] = name
            continue
        bucket = Manager(ANCIENT, UPDATE, version)
        label = identity(bucket.entry(LEAF, None))
        if label not in kept:
            kept[label] = kept.pop(first[version])
        merged = sets.union(fields_of(entry), fields_of(kept[label]))
        kept.pop(name, None)
        kept[label] = bucket.entry(merged, entry.get("time"))
        excess -= 1
    return list(kept.values())


def same_but_for_times(one: Sequence[Obj], other: Sequence[Obj]) -> bool:
    """Do two lists of entries differ in nothing but when?"""
    if len(one) != len(other):
        return False
    for mine, theirs in zip(one, other, strict=True):
        if mine is not theirs and {**mine, "time": None} != {**theirs, "time": None}:
            return False
    return True
