"""One stored object under its several names: versions of a custom kind, and Events, which two groups share.

Custom objects are stored in the storage version of their definition and shown in the version that a request asks for. `Versions` is that
knowledge of one custom kind, shared by the `served.Served` of each of its versions. Converting by webhook means to wait; so reading stays
synchronous and raises `Unconverted` for what no webhook has answered yet, and whoever can wait calls `Unconverted.convert` and reads again.
Contract: CustomResourceDefinition conversion strategies `None` (only apiVersion changes) and `Webhook`; k8s.io/kubernetes events v1.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import NamedTuple, Protocol, TypeAlias

from lightship.kinds import event_rules
from lightship.kinds.workloads import autoscaler_versions
from lightship.meta.objects import Obj, copy, split_api_version
from lightship.meta.resources import Resource
from lightship.meta.schema import Compiled

NEVER = 2**63
"""A revision after which nothing is written."""
Schema: TypeAlias = Callable[[], Compiled | None]
"""Compiles a schema when it is needed."""
_EVENT_FIELDS_BACK = {new: old for old, new in event_rules.NEW_NAMES.items()}


def convert(obj: Obj, resource: Resource) -> Obj:
    """The object as `resource` serves it: itself when it already is, otherwise a new dict that shares its parts."""
    api_version = resource.api_version
    stored = obj.get("apiVersion", "")
    if stored == api_version:
        return obj
    if resource.kind == "HorizontalPodAutoscaler" and resource.group == "autoscaling":
        return autoscaler_versions.convert(obj, resource.version)
    if resource.kind == "Event" and split_api_version(stored)[0] != resource.group:
        names = _EVENT_FIELDS_BACK if resource.group == "" else event_rules.NEW_NAMES
        obj = {names.get(key, key): value for key, value in obj.items()}
        for field in () if resource.group == "" else ("reportingController", "reportingInstance"):
            if obj.get(field) == "":
                del obj[field]
    return {**obj, "apiVersion": api_version}


class Converter(Protocol):
    """A webhook that converts; `webhook.Webhook` is one."""

    def known(self, obj: Obj, api_version: str) -> Obj | None:
        """What it has answered for this object already."""
        ...

    async def convert(self, objects: Sequence[Obj], api_version: str) -> None:
        """Ask it, so that all these are `known`. Raises `StatusError` (500) with what is wrong."""
        ...


class Family(NamedTuple):
    """What `catalogue.add` must know of a custom kind beside the versions that it serves."""

    storage: str
    """The apiVersion in which objects are stored from now on."""
    stored: Collection[str]
    """Every apiVersion in which there may be stored objects."""
    hidden: Sequence[Resource] = ()
    """Versions that are not served."""
    converter: "Callable[[Versions], Converter] | None" = None


class Unconverted(Exception):  # noqa: N818  it is a request to wait
    """Objects must be converted by a webhook before they can be read as `api_version`."""

    def __init__(self, converter: Converter, objects: Sequence[Obj], api_version: str) -> None:
        super().__init__(f"{len(objects)} objects must be converted to {api_version} first")
        self._converter = converter
        self._objects = objects
        self._api_version = api_version

    async def convert(self) -> None:
        """Raises `StatusError`."""
        await self._converter.convert(self._objects, self._api_version)


class Versions:
    """All versions of one custom kind: the one that is stored, each one's schema, and who converts (None: only apiVersion changes)."""

    def __init__(self, storage: str, stored: Collection[str], schemas: Mapping[str, Schema], stored_since: int) -> None:
        self.storage = storage
        self.converter: Converter | None = None
        self.stored_since = stored_since
        """Objects written up to this revision may lack the defaults, or have the fields, of other times."""
        self._stored = stored
        self._schemas = schemas

    def uniform_since(self, api_version: str) -> int:
        """Objects written after this revision are shown by a version just as they are stored."""
        return self.stored_since if set(self._stored) <= {api_version} else NEVER

    def shown(self, obj: Obj, revision: int, api_version: str) -> Obj:
        """A stored object as a version shows it; the very same one when nothing is to be changed. Raises `Unconverted`."""
        if revision <= self.stored_since:
            obj = self._refreshed(obj)
        return obj if obj["apiVersion"] == api_version else self.converted(obj, api_version)

    def converted(self, obj: Obj, api_version: str) -> Obj:
        """An object of one version as another, without the fields that the other does not know. Raises `Unconverted`."""
        if obj["apiVersion"] == api_version:
            return obj
        if self.converter is None:
            return self._pruned({**obj, "apiVersion": api_version})
        known = self.converter.known(obj, api_version)
        if known is None:
            raise Unconverted(self.converter, [obj], api_version)
        return known

    def to_store(self, obj: Obj) -> Obj:
        """An object of any version as it is stored: with the defaults of that version, for readers to find. Raises `Unconverted`."""
        if obj["apiVersion"] == self.storage:
            return obj
        found = copy(self.converted(obj, self.storage))
        compiled = self._compiled(self.storage)
        if compiled is not None:
            compiled.default(found)
        # The revision goes into the metadata of both.
        return {**found, "metadata": obj["metadata"]} if self.converter is None else found

    def missing(self, objects: Sequence[Obj], api_version: str) -> Unconverted | None:
        """What must happen before these can be `shown`, all at once; None when they can be."""
        if self.converter is None:
            return None
        left = [o for o in objects if o["apiVersion"] != api_version and self.converter.known(o, api_version) is None]
        return Unconverted(self.converter, left, api_version) if left else None

    def pruned(self, obj: Obj) -> Obj:
        """What a webhook has made, as the server takes it: without unknown fields. `obj` is private to the caller."""
        return self._pruned(obj)

    def _refreshed(self, obj: Obj) -> Obj:
        """With the defaults of today, and without what is no longer known."""
        compiled = self._compiled(obj["apiVersion"])
        if compiled is None:
            return obj
        fresh: Obj = copy(obj)
        compiled.prune(fresh)
        compiled.default(fresh)
        return obj if fresh == obj else fresh

    def _pruned(self, obj: Obj) -> Obj:
        compiled = self._compiled(obj["apiVersion"])
        if compiled is None or not compiled.unknown(obj):
            return obj
        fresh: Obj = copy(obj)
        compiled.prune(fresh)
        return fresh

    def _compiled(self, api_version: str) -> Compiled | None:
        found = self._schemas.get(api_version)
        return found() if found is not None else None
