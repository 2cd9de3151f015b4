"""A local copy of the objects of one kind that keeps itself up to date: list once, then watch; list again when the history is gone.

Controllers read from it instead of asking the server, and hear of changes through callbacks. `Cache` creates informers and the manager
runs them. Level-triggered by design: callbacks say *that* a key changed, what holds now is read from the informer.
Objects that the server has in this very process are left there, and decoded when they are asked for (`meta.stored`).
Contract: Kubernetes API concepts, "efficient detection of changes"; resourceVersions are comparable integers (KEP-5504).
"""

import asyncio
import logging
import sys
from collections.abc import Callable, Iterable
from random import Random
from typing import TypeAlias

from lightship.aio.backoff import Backoff
from lightship.aio.clock import Clock
from lightship.aio.streams import closing
from lightship.client.client import Client
from lightship.client.filter import Filter
from lightship.meta import errors, objects
from lightship.meta.objects import Key, Obj
from lightship.meta.resources import Resource
from lightship.meta.rest import Listing, WatchEvent, WatchOptions
from lightship.meta.stored import Held, glance, held_of, key_of, read

log = logging.getLogger(__name__)

OnChange: TypeAlias = Callable[[Key, Obj | None, Obj | None], None]
"""(key, object before or None, object now or None); called synchronously and in order, must not block."""
Objects: TypeAlias = list[Obj]
Keys: TypeAlias = list[Key]
IndexFunction: TypeAlias = Callable[[Obj], Iterable[str]]
"""The values under which an object is found again."""

WATCH_SECONDS = 300
"""Each watch is asked to end after this long and up to as long again, so that a dead connection cannot starve an informer for ever."""

FEW = 256
"""A list of no more objects than this is worth remembering decoded."""

HEALTHY_SECONDS = 10
"""A watch that lasted this long, or brought anything, was no failure: the next one starts without a long wait."""


def by_controller(obj: Obj) -> Iterable[str]:
    """Index function: the uid of the controlling owner."""
    owner = objects.controller_of(obj)
    return (owner["uid"],) if owner and owner.get("uid") else ()


class Informer:
    """The objects of one resource, in one namespace or all, that match the selectors. Objects are shared: never mutate one."""

    def __init__(
        self,
        client: Client,
        resource: Resource,
        *,
        namespace: str = "",
        labels: str = "",
        fields: str = "",
        clock: Clock,
        random: Random,
        watch_seconds: float = WATCH_SECONDS,
    ) -> None:
        self.resource = resource
        self.revision = 0
        """Everything that happened up to this resourceVersion is reflected here."""
        self._client = client
        self._filter = Filter(resource, namespace, labels, fields)
        self._clock = clock
        self._random = random
        self._watch_seconds = watch_seconds
        self._objects: dict[Key, Held] = {}
        self._indexes: dict[str, tuple[IndexFunction, dict[str, dict[Key, None]]]] = {}
        self._callbacks: list[OnChange] = []
        self._waiters: list[tuple[Callable[[], bool], asyncio.Future[None]]] = []
        self._synced = False
        self._listed = False
        self._watching: asyncio.Timeout | None = None

    # Reading

    def get(self, key: Key) -> Obj | None:
        held = self._objects.get(key)
        return None if held is None else read(held)

    def glance(self, key: Key) -> Obj | None:
        """As `get`, for who looks at each of many objects once: nothing stays decoded on that account."""
        held = self._objects.get(key)
        return None if held is None else glance(held)

    def list(self, namespace: str = "") -> Objects:
        """All objects, or those of one namespace. Of many objects, an index of the few that matter is better."""
        found = [self._objects[key] for key in self.keys(namespace)]
        return list(map(read if len(found) <= FEW else glance, found))

    def keys(self, namespace: str = "") -> Keys:
        """The keys of `list`, without a look at the objects."""
        return [key for key in self._objects if not namespace or key.namespace == namespace]

    def version(self, key: Key) -> str:
        """The resourceVersion of an object, without a look at it; empty when it is not here."""
        held = self._objects.get(key)
        return "" if held is None else str(_revision(held))

    def __contains__(self, key: Key) -> bool:
        return key in self._objects

    def __len__(self) -> int:
        return len(self._objects)

    def by_index(self, name: str, value: str) -> Objects:
        """The objects that the index function of `name` put under `value`. Of many, nothing stays decoded."""
        keys = self.keys_by_index(name, value)
        return list(map(read if len(keys) <= FEW else glance, (self._objects[key] for key in keys)))

    def keys_by_index(self, name: str, value: str) -> Keys:
        """The keys of `by_index`, without a look at the objects."""
        return list(self._indexes[name][1].get(value, ()))

    def count_by_index(self, name: str, value: str) -> int:
        """How many `by_index` would give."""
        return len(self._indexes[name][1].get(value, ()))

    def add_index(self, name: str, function: IndexFunction) -> None:
        """Keep an index; asking for the same one twice is fine, a different one under the same name a `ValueError`."""
        known = self._indexes.get(name)
        if known is not None:
            if known[0] is not function:
                raise ValueError(f'informer of {self.resource.plural} has another index "{name}" already: choose another name')
            return
        self._indexes[name] = (function, {})
        for key, held in self._objects.items():
            self._index(name, key, None, glance(held))

    def owned_by(self, owner: Obj) -> Objects:
        """The objects whose controlling owner is `owner` (by uid)."""
        self.add_index("controller", by_controller)
        return self.by_index("controller", objects.uid(owner))

    # Hearing of changes

    def on_change(self, callback: OnChange) -> None:
        """Call back on every change from now on, and at once for what is here already."""
        self._callbacks.append(callback)
        for key, held in list(self._objects.items()):
            self._call(callback, key, None, glance(held))

    @property
    def synced(self) -> bool:
        """Has the first list arrived?"""
        return self._synced

    async def wait_synced(self) -> None:
        await self.wait_until(lambda: self._synced)

    async def wait_revision(self, revision: int) -> None:
        """Wait until everything up to `revision` is reflected here (never wait for a revision of a write that changed nothing here)."""
        await self.wait_until(lambda: self.revision >= revision)

    async def wait_write(self, key: Key, answer: Obj) -> None:
        """Wait until a write to `key` that the server answered with `answer` (an object, or a delete's `Status`) is reflected here."""
        await self.wait_until(lambda: self.reflects(key, answer))

    async def wait_until(self, condition: Callable[[], bool]) -> None:
        """Wait until `condition` holds; it is looked at after every change and every bookmark."""
        if condition():
            return
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        entry = (condition, future)
        self._waiters.append(entry)
        try:
            await future
        finally:
            if entry in self._waiters:
                self._waiters.remove(entry)

    def reflects(self, key: Key, answer: Obj) -> bool:
        """Is this write seen here, or one that never will be, since the object is not one of ours?"""
        cached = self._objects.get(key)
        if answer.get("kind") == "Status":
            uid = objects.get_path(answer, "details", "uid")
            return cached is None or (uid is not None and objects.uid(glance(cached)) != uid)
        if self.revision >= objects.revision(answer):
            return True
        # An object that leaves the selection still brings a DELETED event, one that never was in it brings nothing.
        return cached is None and not self._filter.matches(answer)

    # Keeping up

    def list_anew(self) -> None:
        """Give up the watch that is under way, which may be dead and not know it."""
        self._listed = False
        watching, self._watching = self._watching, None
        if watching is not None:
            watching.reschedule(asyncio.get_running_loop().time())

    async def run(self) -> None:
        """List and watch until cancelled. Whatever goes wrong is logged and tried again with back-off."""
        backoff = Backoff(0.05, 30.0, random=self._random)
        while True:
            before, started = self.revision, self._clock.monotonic()
            try:
                if not self._listed:
                    self._replace(await self._client.list(self.resource, self._filter.namespace, **self._filter.selectors()))
                async with asyncio.timeout(None) as self._watching:
                    await self._follow()
            except TimeoutError:
                log.debug("watch given up resource=%r revision=%d", self.resource, self.revision)
            except errors.StatusError as error:
                self._failed(error)
            except Exception:
                log.exception("informer failed, retrying resource=%r", self.resource)
            finally:
                self._watching = None
            if self.revision != before or self._clock.monotonic() - started > HEALTHY_SECONDS:
                backoff.reset()
            await self._clock.sleep(backoff.next())

    async def _follow(self) -> None:
        """One watch, from where we are to where the server ends it."""
        options = WatchOptions(
            label_selector=self._filter.labels,
            field_selector=self._filter.fields,
            resource_version=str(self.revision),
            timeout=int(self._watch_seconds * (1 + self._random.random())),
        )
        async with closing(self._client.watch(self.resource, self._filter.namespace, options)) as events:
            async for event in events:
                self._apply(event)

    def _failed(self, error: errors.StatusError) -> None:
        if errors.is_expired(error):
            self._listed = False
            log.debug("watch expired, listing again resource=%r revision=%d", self.resource, self.revision)
            return
        text = "informer refused, retrying resource=%r code=%d reason=%s message=%s"
        log.warning(text, self.resource, error.code, error.reason, error.message)

    def _replace(self, listing: Listing) -> None:
        """Take a fresh list; what vanished between the last watch and now is told as deleted."""
        found = {_thin(key_of(held)): held for held in held_of(listing.items)}
        # Before the callbacks: whoever they wake must see a revision that is not older than what they see.
        self.revision = int(listing.resource_version or 0)
        for key in [key for key in self._objects if key not in found]:
            self._set(key, None, None)
        for key, held in found.items():
            self._set(key, held, glance(held))
        self._listed = self._synced = True
        self._wake()

    def _apply(self, event: WatchEvent) -> None:
        revision = objects.revision(event.object)
        if event.type == "BOOKMARK":
            self.revision = max(self.revision, revision)
            self._wake()
            return
        key = _thin(objects.key(event.object))
        cached = self._objects.get(key)
        if event.type == "DELETED":
            # Compared with the object, not with our revision: some servers put the last revision before the deletion here.
            if cached is not None and _revision(cached) <= revision:
                self.revision = max(self.revision, revision)
                self._set(key, None, None)
        elif revision >= self.revision and (cached is None or _revision(cached) < revision):
            self.revision = revision
            self._set(key, event.stored or event.object, event.object)
        self.revision = max(self.revision, revision)
        self._wake()

    def _set(self, key: Key, held: Held | None, new: Obj | None) -> None:
        """Hold what is `new` when looked at from now on."""
        before = self._objects.get(key)
        if before is held:
            return
        old = None if before is None else glance(before)
        if old and new and objects.revision(old) == objects.revision(new) and objects.uid(old) == objects.uid(new):
            return
        if held is None:
            del self._objects[key]
        else:
            self._objects[key] = held
        for name in self._indexes:
            self._index(name, key, old, new)
        for callback in self._callbacks:
            self._call(callback, key, old, new)

    def _index(self, name: str, key: Key, old: Obj | None, new: Obj | None) -> None:
        function, values = self._indexes[name]
        if old is not None:
            for value in self._values(name, function, old):
                entries = values.get(value, {})
                entries.pop(key, None)
                if not entries:
                    values.pop(value, None)
        if new is not None:
            for value in self._values(name, function, new):
                values.setdefault(value, {})[key] = None

    def _values(self, name: str, function: IndexFunction, obj: Obj) -> tuple[str, ...]:
        try:
            return tuple(function(obj))
        except Exception:  # an odd object is in no index, but must not stop the informer
            log.exception("index function failed resource=%r index=%s key=%s", self.resource, name, objects.key(obj))
            return ()

    def _call(self, callback: OnChange, key: Key, old: Obj | None, new: Obj | None) -> None:
        try:
            callback(key, old, new)
        except Exception:  # one listener's mistake must not cost the others their news
            log.exception("on_change callback failed resource=%r key=%s", self.resource, key)

    def _wake(self) -> None:
        if not self._waiters:
            return
        waiting, self._waiters = self._waiters, []
        for entry in waiting:
            condition, future = entry
            if future.done():
                continue
            if condition():
                future.set_result(None)
            else:
                self._waiters.append(entry)


def _thin(key: Key) -> Key:
    """The key as it is kept: there are many, and their namespaces are few."""
    return Key(sys.intern(key.namespace), key.name)


def _revision(held: Held) -> int:
    return objects.revision(held) if isinstance(held, dict) else held.revision
