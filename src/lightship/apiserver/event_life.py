"""Events end an hour after their last write, so that a cluster does not drown in what was once worth telling.

Run by the platform beside the server. Writers pay nothing: once a minute the store's revision is noted, and what was last written at or
before the revision of an hour ago goes. A restart forgets what was noted, and so gives what there is another hour at most.
Contract: kube-apiserver --event-ttl (1h); watchers see the deletions.
"""

from collections import deque

from lightship.aio.clock import Clock
from lightship.meta.objects import Obj
from lightship.store import Delete, RevisionMismatch, Store, StoreError

from .verbs.writing import encoder

LIFE = 3600.0
"""Seconds."""
STEP = 60.0
"""Seconds between two looks: by so much an event may outlive its hour."""
_EVENTS = "core/events"
_PAGE = 500
"""Events looked at, and removed in one commit, before others get their turn."""


def _last(event: Obj) -> Obj:
    """An event as those see it last who watch it: under a revision of its own."""
    return {**event, "metadata": dict(event["metadata"])}


class EventLife:
    """What ends the Events of one store."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._noted: deque[tuple[float, int]] = deque()
        """When there was which revision, oldest first."""

    async def run(self) -> None:
        """For as long as the server runs."""
        while True:
            self._noted.append((self._clock.monotonic(), self._store.revision))
            await self._clock.sleep(STEP)
            ended = self._ended()
            if ended is not None and not self._store.is_empty(_EVENTS):
                await self._remove(ended)

    def _ended(self) -> int | None:
        """The revision that was current an hour ago."""
        found = None
        while self._noted and self._noted[0][0] <= self._clock.monotonic() - LIFE:
            found = self._noted.popleft()[1]
        return found

    async def _remove(self, revision: int) -> None:
        after = ""
        while True:
            page = self._store.list(f"{_EVENTS}/", after=after, limit=_PAGE)
            old = [record for record in page.records if record.revision <= revision]
            if old:
                try:
                    await self._store.commit(*(Delete(r.key, encoder(_last(r.obj)), r.revision) for r in old))
                except (RevisionMismatch, StoreError):
                    return  # somebody was faster, or the medium fails: the next look is another try
            if not page.next:
                return
            after = page.next
            await self._clock.sleep(0)
