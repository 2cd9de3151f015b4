"""Watching: where it begins, what it tells, in which order, and how it ends."""

import asyncio
from typing import Any

import pytest

from lightship.apiserver.requests import Bookmark, Request
from lightship.apiserver.verbs import watching as core
from lightship.meta import codec
from lightship.meta.rest import WatchOptions
from lightship.store import Event

from .site import ADMIN, CONFIG_MAPS, PODS, Site, config_map, pod, refused, run

END = "k8s.io/initial-events-end"


def test_observe_add_update_and_delete_on_configmaps() -> None:
    async def test(site: Site) -> None:
        begin = str(site.store.revision)
        async with site.watching(CONFIG_MAPS, resource_version=begin) as watching:
            await site.create(CONFIG_MAPS, config_map("a"))
            await site.patch(CONFIG_MAPS, "a", {"data": {"a": "2"}})
            await site.delete(CONFIG_MAPS, "a")
            assert await watching.take(3) == [("ADDED", "a"), ("MODIFIED", "a"), ("DELETED", "a")]
            versions = [int(e.object["metadata"]["resourceVersion"]) for e in watching.events]
            assert versions == sorted(set(versions))
            assert versions[-1] == site.store.revision, "a deletion is told under its own revision"
            assert watching.events[-1].object["data"] == {"a": "2"}

    run(test)


def test_start_from_a_specific_version_and_from_the_last_one_observed() -> None:
    async def test(site: Site) -> None:
        first = await site.create(CONFIG_MAPS, config_map("a"))
        await site.create(CONFIG_MAPS, config_map("b"))
        await site.delete(CONFIG_MAPS, "a")
        async with site.watching(CONFIG_MAPS, resource_version=first["metadata"]["resourceVersion"]) as watching:
            assert await watching.take(1) == [("ADDED", "b")]
            last = watching.events[-1].object["metadata"]["resourceVersion"]
        async with site.watching(CONFIG_MAPS, resource_version=last) as watching:
            assert await watching.take(1) == [("DELETED", "a")]

    run(test)


@pytest.mark.parametrize("version", ["", "0"])
def test_without_a_version_the_present_comes_first(version: str) -> None:
    async def test(site: Site) -> None:
        for name in ("b", "a"):
            await site.create(CONFIG_MAPS, config_map(name))
        async with site.watching(CONFIG_MAPS, resource_version=version, allow_bookmarks=False) as watching:
            assert await watching.take(2) == [("ADDED", "a"), ("ADDED", "b")]
            await site.delete(CONFIG_MAPS, "b")
            assert await watching.take(1) == [("DELETED", "b")]

    run(test)


def test_other_namespaces_are_not_seen() -> None:
    async def test(site: Site) -> None:
        async with site.watching(CONFIG_MAPS, resource_version=str(site.store.revision)) as watching:
            await site.create(CONFIG_MAPS, config_map("far"), "kube-system")
            await site.create(CONFIG_MAPS, config_map("near"))
            assert await watching.take(1) == [("ADDED", "near")]

    run(test)


def test_deletion_when_an_object_stops_meeting_the_selector() -> None:
    async def test(site: Site) -> None:
        begin = str(site.store.revision)
        async with site.watching(CONFIG_MAPS, resource_version=begin, label_selector="see=yes") as watching:
            await site.create(CONFIG_MAPS, config_map("a", labels={"see": "yes"}))
            await site.create(CONFIG_MAPS, config_map("never", labels={"see": "no"}))
            left = await site.patch(CONFIG_MAPS, "a", {"metadata": {"labels": {"see": "no"}}, "data": {"a": "2"}})
            await site.patch(CONFIG_MAPS, "a", {"data": {"a": "3"}})
            await site.patch(CONFIG_MAPS, "a", {"metadata": {"labels": {"see": "yes"}}})
            await site.patch(CONFIG_MAPS, "a", {"data": {"a": "4"}})
            await site.delete(CONFIG_MAPS, "never")
            await site.delete(CONFIG_MAPS, "a")
            want = [("ADDED", "a"), ("DELETED", "a"), ("ADDED", "a"), ("MODIFIED", "a"), ("DELETED", "a")]
            assert await watching.take(5) == want
            gone = watching.events[1].object
            assert gone["metadata"]["labels"] == {"see": "yes"}, "as it was last seen"
            assert gone["data"] == {"a": "1"}
            assert gone["metadata"]["resourceVersion"] == left["metadata"]["resourceVersion"]

    run(test)


def test_fields_select_too() -> None:
    async def test(site: Site) -> None:
        begin = str(site.store.revision)
        async with site.watching(PODS, "", resource_version=begin, field_selector="spec.nodeName=n1") as watching:
            await site.create(PODS, pod("p"))
            binding = {"metadata": {"name": "p"}, "target": {"kind": "Node", "name": "n1"}}
            await site.api.create(PODS, "default", binding, name="p", subresource="binding")
            assert await watching.take(1) == [("ADDED", "p")]
            assert watching.events[0].object["spec"]["nodeName"] == "n1"

    run(test)


def test_all_watchers_receive_the_same_events_in_the_same_order() -> None:
    async def test(site: Site) -> None:
        begin = str(site.store.revision)

        async def watch() -> list[str]:
            async with site.watching(CONFIG_MAPS, resource_version=begin, allow_bookmarks=False) as watching:
                await watching.take(60)
                return [e.object["metadata"]["resourceVersion"] for e in watching.events]

        async def write(name: str) -> None:
            await site.create(CONFIG_MAPS, config_map(name))
            await site.patch(CONFIG_MAPS, name, {"data": {"a": "2"}})
            await site.delete(CONFIG_MAPS, name)

        async with asyncio.TaskGroup() as group:
            watches = [group.create_task(watch()) for _ in range(10)]
            for i in range(20):
                group.create_task(write(f"c{i}"))
        seen = [task.result() for task in watches]
        assert all(s == seen[0] for s in seen)
        assert [int(v) for v in seen[0]] == sorted(int(v) for v in seen[0])

    run(test)


def test_watchers_share_the_bytes_of_an_event() -> None:
    async def test(site: Site) -> None:
        request = Request(ADMIN, CONFIG_MAPS, "default")
        options = WatchOptions(resource_version=str(site.store.revision), timeout=60)
        streams = [site.server.registry.watch(request, options) for _ in range(2)]
        tasks = [asyncio.ensure_future(anext(s)) for s in streams]
        await asyncio.sleep(0)
        await site.create(CONFIG_MAPS, config_map("a"))
        (one,), (two,) = [await t for t in tasks]
        assert one is two
        assert isinstance(one, Event)
        line = codec.decode(one.wire)
        assert (line["type"], line["object"]["metadata"]["name"]) == ("ADDED", "a")
        for stream in streams:
            await stream.aclose()

    run(test)


def test_bookmarks_every_minute_and_shortly_before_the_end() -> None:
    async def test(site: Site) -> None:
        begin = site.clock.monotonic()
        at: list[float] = []
        async with site.watching(CONFIG_MAPS, resource_version=str(site.store.revision), timeout=150) as watching:
            await site.create(PODS, pod("elsewhere"))
            for _ in range(3):
                assert await watching.take(1) == [("BOOKMARK", "")]
                at.append(site.clock.monotonic() - begin)
            assert await watching.rest() == []
            at.append(site.clock.monotonic() - begin)
        assert at == pytest.approx([60, 120, 148, 150], abs=0.01)
        mark = watching.events[0].object
        assert (mark["kind"], mark["apiVersion"]) == ("ConfigMap", "v1")
        assert mark["metadata"]["resourceVersion"] == str(site.store.revision), "what others wrote moves it on"
        assert "annotations" not in mark["metadata"]

    run(test)


def test_no_bookmarks_for_those_who_do_not_want_them() -> None:
    async def test(site: Site) -> None:
        version = str(site.store.revision)
        async with site.watching(CONFIG_MAPS, resource_version=version, allow_bookmarks=False, timeout=300) as watching:
            assert await watching.rest() == []

    run(test)


def test_watch_list_ends_its_initial_events_with_a_bookmark() -> None:
    async def test(site: Site) -> None:
        for name in ("a", "b"):
            await site.create(CONFIG_MAPS, config_map(name, labels={"see": name}))
        streaming: dict[str, Any] = {"send_initial_events": True, "resource_version_match": "NotOlderThan"}
        async with site.watching(CONFIG_MAPS, **streaming) as watching:
            assert await watching.take(3) == [("ADDED", "a"), ("ADDED", "b"), ("BOOKMARK", "")]
            end = watching.events[-1].object["metadata"]
            assert end["annotations"] == {END: "true"}
            assert end["resourceVersion"] == str(site.store.revision)
            await site.create(CONFIG_MAPS, config_map("c"))
            assert await watching.take(1) == [("ADDED", "c")]
        async with site.watching(CONFIG_MAPS, label_selector="see=b", **streaming) as watching:
            assert await watching.take(2) == [("ADDED", "b"), ("BOOKMARK", "")]
        async with site.watching(CONFIG_MAPS, "kube-public", **streaming) as watching:
            assert await watching.take(1) == [("BOOKMARK", "")]
        with refused(504, "Timeout", "Too large resource version"):
            async with site.watching(CONFIG_MAPS, resource_version="9999", **streaming) as watching:
                await watching.take(1)

    run(test)


REFUSED: list[tuple[str, dict[str, Any], int, str, str]] = [
    (
        "initial events without match",
        {"send_initial_events": True},
        422,
        "Invalid",
        "resourceVersionMatch: Forbidden: sendInitialEvents requires setting resourceVersionMatch to NotOlderThan",
    ),
    (
        "match without initial events",
        {"resource_version_match": "NotOlderThan"},
        422,
        "Invalid",
        "resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided",
    ),
    (
        "exact",
        {"send_initial_events": True, "resource_version_match": "Exact"},
        422,
        "Invalid",
        'Unsupported value: "Exact": supported values: "NotOlderThan"',
    ),
    ("no number", {"resource_version": "x"}, 400, "BadRequest", "invalid resource version"),
    ("field", {"field_selector": "foo=bar"}, 400, "BadRequest", "is not a known field selector"),
]


@pytest.mark.parametrize(("options", "code", "reason", "message"), [c[1:] for c in REFUSED], ids=[c[0] for c in REFUSED])
def test_watch_refuses(options: dict[str, Any], code: int, reason: str, message: str) -> None:
    async def test(site: Site) -> None:
        with refused(code, reason, message):
            async with site.watching(CONFIG_MAPS, **options) as watching:
                await watching.take(1)

    run(test)


def test_a_version_of_the_future_is_waited_for() -> None:
    async def test(site: Site) -> None:
        ahead = str(site.store.revision + 2)
        async with site.watching(CONFIG_MAPS, resource_version=ahead) as watching:
            for name in ("a", "b", "c"):
                await site.create(CONFIG_MAPS, config_map(name))
            assert await watching.take(1) == [("ADDED", "c")], "what came before is not told"

    run(test)


def test_too_old_a_version_is_gone() -> None:
    async def test(site: Site) -> None:
        old = await site.create(CONFIG_MAPS, config_map("a"))
        await site.create(CONFIG_MAPS, config_map("b"))
        await site.create(CONFIG_MAPS, config_map("c"))
        site.store.compact(site.store.revision)
        with refused(410, "Expired", "too old resource version"):
            async with site.watching(CONFIG_MAPS, resource_version=old["metadata"]["resourceVersion"]) as watching:
                await watching.take(1)

    run(test)


def test_default_timeout_is_spread_over_half_an_hour() -> None:
    async def test(site: Site) -> None:
        ends = []
        for _ in range(5):
            begin = site.clock.monotonic()
            options = WatchOptions(resource_version=str(site.store.revision), allow_bookmarks=False)
            async for _batch in site.server.registry.watch(Request(ADMIN, CONFIG_MAPS, "default"), options):
                pass
            ends.append(site.clock.monotonic() - begin)
        assert all(core.MIN_TIMEOUT <= end <= 2 * core.MIN_TIMEOUT for end in ends)
        assert len(set(ends)) == 5

    run(test)


def test_a_slow_watcher_is_dropped_and_holds_up_nobody() -> None:
    async def test(site: Site) -> None:
        request = Request(ADMIN, CONFIG_MAPS, "default")
        stream = site.server.registry.watch(request, WatchOptions(resource_version=str(site.store.revision)))
        waiting = asyncio.ensure_future(anext(stream))
        await asyncio.sleep(0)
        await site.create(CONFIG_MAPS, config_map("a"))
        assert len(await waiting) == 1
        channel = next(iter(site.store._hub._channels["core/configmaps"].values()))
        next(iter(channel.watches)).buffer = 3
        channel._next_look = 0
        for i in range(10):
            await site.create(CONFIG_MAPS, config_map(f"c{i}"))
        assert [batch async for batch in stream] == [], "it must list again: nothing more is sent"
        assert len(await site.names(CONFIG_MAPS)) == 11

    run(test)


def test_closing_the_store_ends_watches() -> None:
    async def test(site: Site) -> None:
        async with site.watching(CONFIG_MAPS, resource_version=str(site.store.revision)) as watching:
            ended = asyncio.ensure_future(watching.rest())
            await site.clock.sleep(1)
            await site.store.close()
            assert await ended == []

    run(test)


def test_bookmark_on_the_wire() -> None:
    line = codec.decode(Bookmark(CONFIG_MAPS, 7, initial_events_end=True).wire)
    assert line["type"] == "BOOKMARK"
    assert line["object"]["metadata"] == {"resourceVersion": "7", "annotations": {END: "true"}}
