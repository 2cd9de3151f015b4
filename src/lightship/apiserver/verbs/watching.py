"""Watches: what the store publishes, seen through a request's selectors, with bookmarks and an end.

`registry.watch` returns the stream; HTTP writes each item's `.wire`, `local` reads the objects. An unselective watch passes the store's
batches on untouched, so that all watchers share one encoded line per event.
Contract: Kubernetes API concepts "watch", "bookmarks", "streaming lists" (KEP-3157); apiserver pkg/storage/cacher.
"""

from collections.abc import AsyncGenerator

from lightship.apiserver.core import Core
from lightship.apiserver.requests import Batch, Bookmark, Request
from lightship.apiserver.served import Served
from lightship.meta import codec, errors
from lightship.meta.errors import Cause
from lightship.meta.rest import WatchOptions
from lightship.store import Compacted, Event, Future, Overflow, Record, Watch

from .listing import NOT_OLDER_THAN, parse_revision, too_old
from .selection import Selection

MIN_TIMEOUT = 1800.0
"""Seconds; a watch whose client names no timeout ends at a random moment between this and twice this, so that clients spread."""
LAST_BOOKMARK = 2.0
"""Seconds before its end at which a watch sends a last bookmark, from which the client goes on."""


async def stream(core: Core, served: Served, request: Request, options: WatchOptions) -> AsyncGenerator[Batch, None]:
    """Batches of items until the timeout, or until the reader is too slow. Raises 410, 422 and 504 before the first item.

    A watch from a revision of the future says nothing until then.
    """
    check_watch_options(options)
    selection = Selection(served.resource, options.label_selector, options.field_selector)
    prefix = served.under(request.namespace)
    since, initial = await _start(core, served, selection, prefix, options)
    floor = 0
    try:
        watch = core.store.watch(prefix, since)
    except Compacted as error:
        raise too_old(error.asked, error.oldest) from error
    except Future as error:
        watch, floor = core.store.watch(prefix, error.current), error.asked
    try:
        if initial:
            yield initial
        if options.allow_bookmarks and (options.send_initial_events or not options.resource_version):
            yield [Bookmark(served.resource, since, initial_events_end=True)]
        timeout = options.timeout or core.random.uniform(MIN_TIMEOUT, 2 * MIN_TIMEOUT)
        async for batch in _follow(core, served, watch, selection, timeout, floor, bookmarks=options.allow_bookmarks):
            yield batch
    finally:
        watch.close()


async def _start(core: Core, served: Served, selection: Selection, prefix: str, options: WatchOptions) -> tuple[int, list[Event]]:
    """The revision after which the watch goes on, and the state that it begins with."""
    asked = parse_revision(options.resource_version)
    if asked and not options.send_initial_events:
        return asked, []
    if asked > core.store.revision:
        raise errors.future_revision(asked, core.store.revision)
    page = core.store.list(prefix)
    await served.ready(page.records)
    records = (served.read(record) for record in page.records)
    return page.revision, [Event("ADDED", r, None) for r in records if selection.finds(r)]


async def _follow(
    core: Core, served: Served, watch: Watch, selection: Selection, timeout: float, floor: int, *, bookmarks: bool
) -> AsyncGenerator[Batch, None]:
    """What comes after the revision `floor`."""
    clock = core.clock
    end = clock.monotonic() + timeout
    last_bookmark = max(end - LAST_BOOKMARK, clock.monotonic())
    next_bookmark = min(clock.monotonic() + core.bookmark_every, last_bookmark) if bookmarks else end
    untouched = selection.everything and served.as_stored
    while (now := clock.monotonic()) < end and not watch.closed:
        gone = core.catalogue.served(served.resource) is None
        try:
            events = await watch.ready(0 if gone else max(min(next_bookmark, end) - now, 0))
        except Overflow:
            return
        if floor:
            events = [event for event in events if event.record.revision > floor]
        # Read together with the batch: nothing up to here is still unsent.
        revision = max(core.store.revision, floor)
        if not untouched:
            await served.ready([r for event in events for r in (event.record, event.previous) if r is not None])
        shown = events if untouched else [e for event in events if (e := _seen(served, selection, event))]
        if shown:
            yield shown
        if gone and not events:
            return
        if clock.monotonic() >= next_bookmark < end:
            yield [Bookmark(served.resource, revision)]
            now = clock.monotonic()
            next_bookmark = end if now >= last_bookmark else min(now + core.bookmark_every, last_bookmark)


def _seen(served: Served, selection: Selection, event: Event) -> Event | None:
    """The event as a watcher with this selection must be told it, or None."""
    record = served.read(event.record)
    if selection.everything:
        return event if record is event.record else Event(event.type, record, event.previous)
    before = served.read(event.previous) if event.previous else None
    was = before is not None and selection.finds(before)
    if event.type == "DELETED":
        return Event("DELETED", record, before) if was else None
    if selection.finds(record):
        if was == (event.type == "MODIFIED"):
            return event if record is event.record else Event(event.type, record, before)
        return Event("MODIFIED" if was else "ADDED", record, before)
    return Event("DELETED", _at_revision(before, record.revision), before) if before and was else None


def _at_revision(record: Record, revision: int) -> Record:
    """What a watcher last knew of an object that left its selection, under the revision at which it left."""
    obj = {**record.obj, "metadata": {**record.obj["metadata"], "resourceVersion": str(revision)}}
    return Record(record.key, codec.encode(obj), revision, obj)


def check_watch_options(options: WatchOptions) -> None:
    """Raises 422 for combinations of parameters that mean nothing."""
    match = options.resource_version_match
    causes: list[Cause] = []
    if options.send_initial_events and match != NOT_OLDER_THAN:
        why = f"sendInitialEvents requires setting resourceVersionMatch to {NOT_OLDER_THAN}"
        causes.append(errors.forbidden_field("resourceVersionMatch", why))
    if match:
        if not options.send_initial_events:
            why = "resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided"
            causes.append(errors.forbidden_field("resourceVersionMatch", why))
        if match != NOT_OLDER_THAN:
            causes.append(errors.not_supported("resourceVersionMatch", match, (NOT_OLDER_THAN,)))
    if causes:
        raise errors.invalid("ListOptions", "", causes, "meta.k8s.io")
