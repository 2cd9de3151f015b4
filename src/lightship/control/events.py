"""Events: what controllers tell people about an object, as `kubectl describe` shows it.

Reconcilers call `Recorder.event`, which never blocks and never raises; a background task writes core/v1 Events. The same thing said again
within ten minutes raises the count of the event that is there. What to write is decided by `Correlator`, which is pure.
Contract: core/v1 Event; client-go tools/record (names, namespaces, counting).
"""

import asyncio
import hashlib
import logging
from collections import OrderedDict
from typing import Literal, NamedTuple, TypeAlias

from lightship.aio.backoff import exponential
from lightship.aio.clock import Clock
from lightship.client.client import Client
from lightship.kinds import EVENTS
from lightship.meta import errors, objects, times
from lightship.meta.objects import Obj

log = logging.getLogger(__name__)

EventKind: TypeAlias = Literal["Normal", "Warning"]

SAME_WITHIN = 600.0
"""Seconds within which a repetition is counted instead of written anew."""
REMEMBERED = 4096
"""Events that can be recognised as repeated; beyond it the oldest are forgotten."""
QUEUE = 1000
"""Events that may wait to be written; beyond it new ones are dropped and counted."""
MESSAGE_BYTES = 1024
"""The API's limit for messages."""
ATTEMPTS = 8
FIRST_RETRY = 0.1
LAST_RETRY = 5.0
"""How often and at what distances an event is offered to a server that is away: about 20 seconds in all."""


class Said(NamedTuple):
    """One call of `Recorder.event`, with the time when it was made."""

    involved: Obj
    type: EventKind
    reason: str
    message: str
    now: float


class Write(NamedTuple):
    """What to write: a whole event, and the patch that does instead where the event exists already (None for a new one)."""

    event: Obj
    patch: Obj | None


class _Known:
    """An event that was written and may be said again."""

    __slots__ = ("count", "first", "last", "name")

    def __init__(self, name: str, now: float) -> None:
        self.name = name
        self.count = 1
        self.first = now
        self.last = now


class Correlator:
    """Decides whether what is said is new or a repetition. Pure but for its memory."""

    def __init__(self, component: str) -> None:
        self._component = component
        self._known: OrderedDict[tuple[str, ...], _Known] = OrderedDict()

    def observe(self, said: Said) -> Write:
        """The write that tells it."""
        involved = said.involved
        subject = tuple(involved.get(part, "") for part in ("kind", "namespace", "name", "uid", "fieldPath"))
        identity = (*subject, said.type, said.reason, said.message)
        known = self._known.get(identity)
        if known is None or said.now - known.last > SAME_WITHIN:
            known = _Known(_event_name(involved, identity, self._component, said.now), said.now)
            self._known[identity] = known
            self._known.move_to_end(identity)
            if len(self._known) > REMEMBERED:
                self._known.popitem(last=False)
            return Write(self._event(said, known), None)
        known.count += 1
        known.last = said.now
        self._known.move_to_end(identity)
        return Write(self._event(said, known), {"count": known.count, "lastTimestamp": times.rfc3339(known.last)})

    def _event(self, said: Said, known: _Known) -> Obj:
        return {
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {"name": known.name, "namespace": said.involved.get("namespace") or "default"},
            "involvedObject": said.involved,
            "reason": said.reason,
            "message": said.message,
            "type": said.type,
            "source": {"component": self._component},
            "reportingComponent": self._component,
            "reportingInstance": "",
            "firstTimestamp": times.rfc3339(known.first),
            "lastTimestamp": times.rfc3339(known.last),
            "count": known.count,
        }


def _event_name(involved: Obj, identity: tuple[str, ...], component: str, now: float) -> str:
    """`<object>.<16 hex digits>`: the time is part of the hash, so that a later run of the same program finds another name."""
    digest = hashlib.blake2b("\0".join((*identity, component, repr(now))).encode(), digest_size=8).hexdigest()
    return f"{involved.get('name', '')[:230].rstrip('-.')}.{digest}"


def reference(obj: Obj, field_path: str = "") -> Obj:
    """The `involvedObject` that points to `obj`."""
    found: Obj = {"apiVersion": obj.get("apiVersion", ""), "kind": obj.get("kind", "")}
    for field in ("namespace", "name", "uid", "resourceVersion"):
        value = objects.meta(obj).get(field)
        if value:
            found[field] = value
    if field_path:
        found["fieldPath"] = field_path
    return found


def _fit(message: str) -> str:
    """A message within the limit, cut between characters where it must be."""
    data = message.encode()
    if len(data) <= MESSAGE_BYTES:
        return message
    return data[: MESSAGE_BYTES - 3].decode(errors="ignore") + "..."


class Recorder:
    """Says things about objects in the name of `component`."""

    def __init__(self, client: Client, component: str, clock: Clock) -> None:
        self._client = client
        self._clock = clock
        self._correlator = Correlator(component)
        self._queue: asyncio.Queue[Said] = asyncio.Queue(QUEUE)
        self.dropped = 0
        """Events that were lost: the queue was full or the server would not take them."""

    def event(self, obj: Obj, type: EventKind, reason: str, message: str, *, field_path: str = "") -> None:
        """Tell people what happened to `obj`. Returns at once, never raises."""
        try:
            self._queue.put_nowait(Said(reference(obj, field_path), type, reason, _fit(message), self._clock.now()))
        except asyncio.QueueFull:
            self.dropped += 1

    async def flush(self) -> None:
        """Wait until everything said so far is written or given up."""
        await self._queue.join()

    async def run(self) -> None:
        """Write events until cancelled."""
        while True:
            said = await self._queue.get()
            try:
                await self._deliver(self._correlator.observe(said))
            except Exception as error:  # events are a courtesy: none of them may stop the others
                self.dropped += 1
                level = logging.DEBUG if errors.is_namespace_terminating(error) else logging.WARNING
                log.log(level, "event lost reason=%s error=%s", said.reason, error)
            finally:
                self._queue.task_done()

    async def _deliver(self, write: Write) -> None:
        """Write, and try again for a while when the server is away."""
        for attempt in range(ATTEMPTS):
            try:
                await self._write(write)
                return
            except errors.StatusError as error:
                if error.code < 500 or attempt == ATTEMPTS - 1:
                    raise
            await self._clock.sleep(exponential(attempt, FIRST_RETRY, LAST_RETRY))

    async def _write(self, write: Write) -> None:
        if write.patch is not None:
            try:
                await self._client.patch(EVENTS, objects.name(write.event), write.patch, objects.namespace(write.event))
            except errors.StatusError as error:
                if not errors.is_not_found(error):  # it may have outlived its hour: then write it again
                    raise
            else:
                return
        try:
            await self._client.create(EVENTS, write.event)
        except errors.StatusError as error:
            if not errors.is_already_exists(error):
                raise
