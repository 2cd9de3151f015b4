"""metadata.managedFields of every write: who came to own what, set in the object before admission sees it.

`writing` calls `created` and `updated` for creates, updates, patches and status writes, `subresources` calls `scaled`; applies bring their
own (`applying`). A create's set is one compiled walk; an update walks only what differs, and touches only the entries that lose or gain
something. Pure but for what it sets. Contract: apimachinery pkg/util/managedfields, apiserver pkg/endpoints/handlers.
"""

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

from lightship import kinds
from lightship.apiserver.conversion.versions import convert
from lightship.apiserver.requests import Request
from lightship.apiserver.served import Served
from lightship.meta import errors, schema
from lightship.meta.errors import Cause
from lightship.meta.fields import elements, ownership, types
from lightship.meta.fields.application import comparisons, reconciled
from lightship.meta.fields.comparing import Comparison, compare, creation
from lightship.meta.fields.filters import Filter
from lightship.meta.fields.ownership import UPDATE, Manager
from lightship.meta.fields.sets import LEAF, FieldSet
from lightship.meta.fields.types import Type
from lightship.meta.objects import Obj
from lightship.meta.resources import Resource
from lightship.meta.rest import WriteOptions
from lightship.meta.schema import Compiled

from . import resets

MANAGER_LENGTH = 128
"""The longest name of a manager, in bytes."""
SUBRESOURCE_LENGTH = 256
_UNTOLD = (ValueError, RecursionError)
"""Objects of which nobody can tell who owns what (their items cannot be told apart, or they are nested too deeply) have no entries."""
INVALID_AFTER_ADMISSION = (
    ".metadata.managedFields was in an invalid state after admission; this could be caused by an outdated mutating admission controller; "
    "please fix your requests: "
)


class Owned:
    """How the fields of one resource are owned: made once for each `Served`, kept in its `owned`. Satisfies `ownership.Versions`."""

    __slots__ = ("_creation", "_filters", "_served", "resource", "siblings", "type")

    def __init__(
        self, resource: Resource, compiled: Compiled | None, siblings: Callable[[], Sequence[Served]], served: Served | None = None
    ) -> None:
        self._served = served
        self.resource = resource
        self.type: Type = types.of(compiled.node) if compiled is not None else types.DEDUCED
        self.siblings = siblings
        """The same kind in all versions that are served."""
        self._creation: Any = None
        self._filters: dict[str, Filter | None] = {}

    def filter(self, subresource: str) -> Filter | None:
        if subresource not in self._filters:
            self._filters[subresource] = resets.of(self.resource, subresource)
        return self._filters[subresource]

    @property
    def changing(self) -> bool:
        return self.resource.custom

    def extent(self, obj: Obj) -> FieldSet:
        """What a new object adds to nothing, of what is anybody's."""
        if self._creation is None:
            skip: dict[str, Any] = dict(ownership.SKIPPED)
            skip.update({path[0]: True for path in resets.main_paths(self.resource)})
            self._creation = creation(self.type, skip) or (lambda obj: LEAF)
        found: FieldSet = self._creation(obj)
        return found

    def type_of(self, api_version: str) -> Type | None:
        if api_version == self.resource.api_version:
            return self.type
        served = self._sibling(api_version)
        return of(served, self.siblings).type if served is not None else None

    def convert(self, obj: Obj, api_version: str) -> Obj | None:
        """Raises `conversion.Unconverted`."""
        if obj.get("apiVersion") == api_version:
            return obj
        sibling = self._sibling(api_version)
        if sibling is None:
            return None
        if self._served is not None and self._served.versions is not None:
            return self._served.versions.converted(obj, api_version)
        return convert(obj, sibling.resource)

    def _sibling(self, api_version: str) -> Served | None:
        return next((s for s in self.siblings() if s.resource.api_version == api_version), None)


class Applied(list[Obj]):
    """Entries that an apply has settled: nothing more is to be found out for this write."""


def of(served: Served, siblings: Callable[[], Sequence[Served]]) -> Owned:
    found: Owned | None = served.owned
    if found is None:
        found = served.owned = Owned(served.resource, served.compiled(), siblings, served)
    return found


@lru_cache(maxsize=16)
def of_kind(group: str, version: str, kind: str) -> Owned:
    """How the fields of a built-in kind are owned that is never stored: a Scale, a Binding, a TokenRequest."""
    resource = Resource(group=group, version=version, kind=kind, plural=kind.lower() + "s")
    return Owned(resource, schema.compile({"$ref": reference(group, version, kind)}, kinds.definitions()), tuple)


def reference(group: str, version: str, kind: str) -> str:
    """Where the schema of a built-in kind is."""
    return f"#/components/schemas/io.k8s.api.{group.partition('.')[0] or 'core'}.{version}.{kind}"


def manager(request: Request, options: WriteOptions) -> str:
    """Who writes: as the client says, or as it calls itself."""
    return options.field_manager or _from_user_agent(request.user_agent) or ownership.UNKNOWN


@lru_cache(maxsize=1024)
def _from_user_agent(text: str) -> str:
    name, length = "", 0
    for character in text.partition("/")[0]:
        if not character.isprintable():
            continue
        length += len(character.encode("utf-8", "replace"))
        if length > MANAGER_LENGTH:
            break
        name += character
    return name


def check_manager(name: str, field: str = "fieldManager") -> list[Cause]:
    """What is wrong with a manager's name, as an option of a request or in an entry."""
    causes = []
    if len(name.encode("utf-8", "replace")) > MANAGER_LENGTH:
        causes.append(errors.too_long(field, MANAGER_LENGTH))
    for place, character in enumerate(name):
        if not character.isprintable():
            position = len(name[:place].encode("utf-8", "replace"))
            why = f"invalid character U+{ord(character):04X} (at position {position})"
            causes.append(Cause(field, f"Invalid value: {elements.quoted(name)}: {why}"))
    return causes


def check_entries(entries: Sequence[Obj]) -> list[Cause]:
    """What is wrong with entries, some of which a client sent."""
    causes = []
    for place, entry in enumerate(entries):
        causes += check_manager(entry.get("manager", ""), f"metadata.managedFields[{place}].manager")
        if len(entry.get("subresource", "").encode("utf-8", "replace")) > SUBRESOURCE_LENGTH:
            causes.append(errors.too_long(f"metadata.managedFields[{place}].subresource", SUBRESOURCE_LENGTH))
    return causes


def created(owned: Owned, request: Request, obj: Obj, options: WriteOptions, now: str, sent: Any = None) -> None:
    """Set the managedFields of a new object, in place. `sent` is what the client gave for them."""
    meta = obj["metadata"]
    if sent.__class__ is Applied:
        _set(meta, sent)
        return
    who = Manager(manager(request, options), UPDATE, owned.resource.api_version, request.subresource)
    try:
        if sent and not _is_reset(owned, sent) and (base := _readable(sent)):
            entries = _updated(
                owned, who, base, {"apiVersion": who.api_version, "kind": owned.resource.kind}, obj, request.subresource, now
            )
        else:
            entries = ownership.created(who, owned.extent(obj), now)
    except _UNTOLD:
        entries = ()
    _set(meta, entries)


def updated(owned: Owned, request: Request, new: Obj, old: Obj, options: WriteOptions, now: str, sent: Any = None) -> None:
    """Set the managedFields of a changed object, in place; objects that have none get none. `sent` as in `created`."""
    meta = new["metadata"]
    if sent.__class__ is Applied:
        _set(meta, sent)
        return
    entries: Sequence[Obj] = old["metadata"].get("managedFields") or ()
    if sent is not None and sent != entries and not request.subresource:
        entries = () if _is_reset(owned, sent) else _readable(sent) or entries
    if entries:
        who = Manager(manager(request, options), UPDATE, owned.resource.api_version, request.subresource)
        try:
            entries = _updated(owned, who, entries, old, new, request.subresource, now)
        except _UNTOLD:
            entries = ()
    _set(meta, entries)


def _set(meta: Obj, entries: Sequence[Obj]) -> None:
    if entries:
        meta["managedFields"] = list(entries) if entries.__class__ is Applied else entries
    else:
        meta.pop("managedFields", None)


def _updated(owned: Owned, who: Manager, entries: Sequence[Obj], old: Obj, new: Obj, subresource: str, now: str) -> Sequence[Obj]:
    version, keep = who.api_version, owned.filter(subresource)
    if all(entry["apiVersion"] == version for entry in entries):
        change = compare(owned.type, old, new).kept_by(keep)
        if not (change.added or change.modified or change.removed):
            return entries
        return ownership.updated(entries, who, {version: change}, now)
    entries = reconciled(old, entries, owned)
    return ownership.updated(entries, who, comparisons(old, new, entries, version, owned, keep), now)


def _is_reset(owned: Owned, sent: Any) -> bool:
    """Does the client ask to forget who owns what? An empty list says so of built-in kinds only, as the real server has it."""
    return (sent == [] and not owned.resource.custom) or sent == [{}]


def _readable(sent: Any) -> list[Obj]:
    """Entries that a client sent; none when they cannot be read, and then those that are stored count."""
    try:
        return ownership.read(sent)
    except (ValueError, AttributeError, TypeError):
        return []


def check_after_admission(meta: Obj, before: Any, warnings: list[str]) -> None:
    """Put back, in place, managed fields that admission has made unreadable."""
    after = meta.get("managedFields")
    if after is before:
        return
    try:
        ownership.read(after or ())
    except (ValueError, AttributeError, TypeError) as error:
        if before is None:
            meta.pop("managedFields", None)
        else:
            meta["managedFields"] = before
        warnings.append(f"{INVALID_AFTER_ADMISSION}{error}")


def is_only_later(new: Obj, old: Obj) -> bool:
    """Does an object differ from the stored one in nothing but the times of its managed fields? May put those back, in place."""
    after, before = new["metadata"].get("managedFields"), old["metadata"].get("managedFields")
    if not after or not before or after is before or not ownership.same_but_for_times(after, before):
        return False
    new["metadata"]["managedFields"] = before
    if new == old:
        return True
    new["metadata"]["managedFields"] = after
    return False


def before_first_apply(owned: Owned, subresource: str, live: Obj, now: str) -> Sequence[Obj]:
    """Entries for an object that has none, when somebody applies to it: all that is there is an unknown updater's."""
    nothing: Obj = {"apiVersion": owned.resource.api_version, "kind": owned.resource.kind}
    if live.keys() <= nothing.keys():
        return ()
    who = Manager(ownership.BEFORE_FIRST_APPLY, UPDATE, owned.resource.api_version, subresource)
    change: Comparison = compare(owned.type, nothing, live).kept_by(owned.filter(subresource))
    return ownership.updated((), who, {who.api_version: change}, now)
