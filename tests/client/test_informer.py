"""Informers: the local copy is right whatever the server and the way to it do."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from random import Random

import pytest

from lightship import kinds
from lightship.aio.tasks import background
from lightship.client.cache import Cache
from lightship.client.client import Client
from lightship.client.informer import Informer
from lightship.meta import objects
from lightship.meta.objects import Key, Obj
from tests.client.backends import Backend, Site
from tests.client.faults import Faults, FaultyTransport

CONFIG_MAPS = kinds.CONFIG_MAPS


@asynccontextmanager
async def running(cache: Cache) -> AsyncIterator[Cache]:
    async with background(cache.run()):
        await cache.wait_synced()
        yield cache


def cache_of(site: Site, client: Client | None = None) -> Cache:
    return Cache(client or site.client, clock=site.clock, random=Random(0))


class Heard:
    """What a listener was told."""

    def __init__(self, informer: Informer) -> None:
        self.changes: list[tuple[str, str | None, str | None]] = []
        informer.on_change(self._change)

    def _change(self, key: Key, old: Obj | None, new: Obj | None) -> None:
        self.changes.append((key.name, objects.get_path(old, "data", "x"), objects.get_path(new, "data", "x")))


def test_an_informer_holds_what_is_there_and_hears_what_changes(backend: Backend) -> None:
    async def scenario(site: Site) -> None:
        client, cache = site.client, cache_of(site)
        await client.create(CONFIG_MAPS, site.config_map("a", {"x": "1"}))
        informer = cache.informer(CONFIG_MAPS, namespace=site.namespace, labels="!internal", fields="metadata.name!=kube-root-ca.crt")
        heard = Heard(informer)
        async with running(cache):
            assert [objects.name(obj) for obj in informer.list()] == ["a"]
            b = await client.create(CONFIG_MAPS, site.config_map("b", {"x": "1"}))
            await informer.wait_revision(objects.revision(b))
            assert informer.get(objects.key(b)) == b
            b = await client.patch(CONFIG_MAPS, "b", {"data": {"x": "2"}}, site.namespace)
            await client.delete(CONFIG_MAPS, "a", site.namespace)
            last = await client.create(CONFIG_MAPS, site.config_map("c", {"x": "1"}))
            await informer.wait_revision(objects.revision(last))
            assert heard.changes == [("a", None, "1"), ("b", None, "1"), ("b", "1", "2"), ("a", "1", None), ("c", None, "1")]
            assert informer.get(Key(site.namespace, "a")) is None
            assert [objects.name(obj) for obj in informer.list(site.namespace)] == ["b", "c"]
            assert informer.list("elsewhere") == []

    backend.run(scenario)


def test_objects_that_are_no_news_any_more_are_as_they_were(backend: Backend) -> None:
    async def scenario(site: Site) -> None:
        client, cache = site.client, cache_of(site)
        informer = cache.informer(CONFIG_MAPS, namespace=site.namespace, labels="app=x")
        informer.add_index("x", lambda obj: obj["data"]["x"])
        made = [
            await client.create(CONFIG_MAPS, site.config_map(f"m{number}", {"x": "ab"[number % 2], "text": "t" * 300}, labels={"app": "x"}))
            for number in range(60)
        ]
        async with running(cache):
            assert informer.list() == informer.list(site.namespace)
            assert {objects.name(obj): obj for obj in informer.list()} == {objects.name(obj): obj for obj in made}
            keys = [objects.key(obj) for obj in made]
            assert sorted(informer.keys(site.namespace)) == sorted(keys)
            assert all(key in informer for key in keys)
            assert Key(site.namespace, "other") not in informer
            assert sorted(informer.keys_by_index("x", "a")) == sorted(keys[::2])
            changed = await client.patch(CONFIG_MAPS, "m0", {"data": {"x": "b"}}, site.namespace)
            await informer.wait_write(keys[0], changed)
            assert informer.get(keys[0]) == changed
            assert len(informer.by_index("x", "a")) == 29
            assert keys[0] in informer.keys_by_index("x", "b")

    backend.run(scenario)


def test_an_object_that_leaves_the_selection_is_gone(backend: Backend) -> None:
    async def scenario(site: Site) -> None:
        client, cache = site.client, cache_of(site)
        informer = cache.informer(CONFIG_MAPS, namespace=site.namespace, labels="app=x")
        heard = Heard(informer)
        await client.create(CONFIG_MAPS, site.config_map("a", {"x": "1"}, labels={"app": "x"}))
        async with running(cache):
            left = await client.patch(CONFIG_MAPS, "a", {"metadata": {"labels": {"app": "y"}}}, site.namespace)
            await informer.wait_write(objects.key(left), left)
            assert len(informer) == 0
            assert heard.changes == [("a", None, "1"), ("a", "1", None)]

    backend.run(scenario)


def test_waiting_for_writes_that_are_none_of_ours_does_not_wait(backend: Backend) -> None:
    async def scenario(site: Site) -> None:
        client, cache = site.client, cache_of(site)
        informer = cache.informer(CONFIG_MAPS, namespace=site.namespace, labels="app=x")
        async with running(cache):
            other = await client.create(CONFIG_MAPS, site.config_map("a"))
            assert informer.reflects(objects.key(other), other)
            ours = await client.create(CONFIG_MAPS, site.config_map("b", labels={"app": "x"}))
            await informer.wait_write(objects.key(ours), ours)
            assert informer.get(objects.key(ours)) == ours

    backend.run(scenario)


def test_waiting_for_a_delete(backend: Backend) -> None:
    async def scenario(site: Site) -> None:
        client, cache = site.client, cache_of(site)
        informer = cache.informer(CONFIG_MAPS, namespace=site.namespace)
        created = await client.create(CONFIG_MAPS, site.config_map("a"))
        async with running(cache):
            answer = await client.delete(CONFIG_MAPS, "a", site.namespace)
            assert answer is not None
            await informer.wait_write(objects.key(created), answer)
            assert informer.get(objects.key(created)) is None
            again = await client.create(CONFIG_MAPS, site.config_map("a"))
            await informer.wait_write(objects.key(again), again)
            assert informer.reflects(objects.key(created), answer), "it is another object of the same name"

    backend.run(scenario)


def test_indexes_follow_changes(backend: Backend) -> None:
    async def scenario(site: Site) -> None:
        client, cache = site.client, cache_of(site)
        informer = cache.informer(CONFIG_MAPS, namespace=site.namespace, labels="app")

        def by_app(obj: Obj) -> list[str]:
            return [objects.labels(obj)["app"]]

        informer.add_index("app", by_app)
        owner = await client.create(CONFIG_MAPS, site.config_map("owner", labels={"app": "x"}))
        child = site.config_map("child", labels={"app": "y"}, ownerReferences=[objects.owner_reference(owner)])
        await client.create(CONFIG_MAPS, child)
        async with running(cache):
            assert [objects.name(obj) for obj in informer.owned_by(owner)] == ["child"]
            assert [objects.name(obj) for obj in informer.by_index("app", "x")] == ["owner"]
            moved = await client.patch(CONFIG_MAPS, "owner", {"metadata": {"labels": {"app": "y"}}}, site.namespace)
            await informer.wait_write(objects.key(moved), moved)
            assert informer.by_index("app", "x") == []
            assert {objects.name(obj) for obj in informer.by_index("app", "y")} == {"owner", "child"}
            informer.add_index("app", by_app)
            with pytest.raises(ValueError, match="another index"):
                informer.add_index("app", lambda obj: [])

    backend.run(scenario)


def test_informers_are_shared_and_start_late_too(backend: Backend) -> None:
    async def scenario(site: Site) -> None:
        cache = cache_of(site)
        first = cache.informer(CONFIG_MAPS, namespace=site.namespace)
        assert cache.informer(CONFIG_MAPS, namespace=site.namespace) is first
        created = await site.client.create(CONFIG_MAPS, site.config_map("a"))
        async with running(cache):
            late = cache.informer(CONFIG_MAPS, namespace=site.namespace, fields="metadata.name=a")
            assert late is not first
            await late.wait_synced()
            assert late.list() == [created]
            heard = Heard(late)
            assert heard.changes == [("a", None, None)], "a late listener is told what is here already"
            found = cache.of(CONFIG_MAPS)
            assert set(found) == {first, late}
            cache.informer(CONFIG_MAPS, fields="metadata.name=b")
            assert set(found) == {first, late}, "who goes through them is not disturbed by new ones"

    backend.run(scenario)


def test_a_listener_that_fails_costs_the_others_nothing(backend: Backend, caplog: pytest.LogCaptureFixture) -> None:
    async def scenario(site: Site) -> None:
        cache = cache_of(site)
        informer = cache.informer(CONFIG_MAPS, namespace=site.namespace, fields="metadata.name=a")

        def fail(key: Key, old: Obj | None, new: Obj | None) -> None:
            raise RuntimeError("no")

        informer.on_change(fail)
        heard = Heard(informer)
        async with running(cache):
            created = await site.client.create(CONFIG_MAPS, site.config_map("a", {"x": "1"}))
            await informer.wait_write(objects.key(created), created)
            assert heard.changes == [("a", None, "1")]

    backend.run(scenario)
    assert "on_change callback failed" in caplog.text


def test_an_index_function_that_fails_leaves_the_object_out(backend: Backend, caplog: pytest.LogCaptureFixture) -> None:
    async def scenario(site: Site) -> None:
        cache = cache_of(site)
        informer = cache.informer(CONFIG_MAPS, namespace=site.namespace, labels="app")
        informer.add_index("x", lambda obj: [obj["data"]["x"]])
        async with running(cache):
            await site.client.create(CONFIG_MAPS, site.config_map("odd", {"y": "1"}, labels={"app": "x"}))
            good = await site.client.create(CONFIG_MAPS, site.config_map("good", {"x": "1"}, labels={"app": "x"}))
            await informer.wait_write(objects.key(good), good)
            assert informer.by_index("x", "1") == [good]
            assert len(informer) == 2

    backend.run(scenario)
    assert "index function failed" in caplog.text


def test_an_expired_watch_lists_again_and_tells_the_difference(backend: Backend) -> None:
    async def scenario(site: Site) -> None:
        faults = Faults(Random(0))
        transport = FaultyTransport(site.transport, faults)
        cache = cache_of(site, Client(transport))
        informer = cache.informer(CONFIG_MAPS, namespace=site.namespace, labels="app")
        heard = Heard(informer)
        labels = {"app": "x"}
        for name in ("kept", "changed", "gone"):
            await site.client.create(CONFIG_MAPS, site.config_map(name, {"x": "1"}, labels=labels))
        async with running(cache):
            assert transport.lists == 1
            heard.changes.clear()
            faults.expire_watch = 1.0  # from the next event on nothing comes through
            await site.client.delete(CONFIG_MAPS, "gone", site.namespace)
            await site.client.patch(CONFIG_MAPS, "changed", {"data": {"x": "2"}}, site.namespace)
            last = await site.client.create(CONFIG_MAPS, site.config_map("new", {"x": "1"}, labels=labels))
            await informer.wait_write(objects.key(last), last)
            assert transport.lists >= 2
            assert sorted(heard.changes) == [("changed", "1", "2"), ("gone", "1", None), ("new", None, "1")]

    backend.run(scenario)


def test_a_dropped_watch_goes_on_where_it_was_without_listing(backend: Backend) -> None:
    async def scenario(site: Site) -> None:
        faults = Faults(Random(0))
        transport = FaultyTransport(site.transport, faults)
        cache = cache_of(site, Client(transport))
        informer = cache.informer(CONFIG_MAPS, namespace=site.namespace, labels="app")
        heard = Heard(informer)
        async with running(cache):
            for number in range(5):
                faults.drop_watch = 1.0
                created = await site.client.create(CONFIG_MAPS, site.config_map(f"a{number}", {"x": "1"}, labels={"app": "x"}))
                watches = transport.watches
                while transport.watches == watches:
                    await site.clock.sleep(0.01)
                faults.stop()
                await informer.wait_write(objects.key(created), created)
            assert transport.lists == 1
            assert transport.watches >= 6
            assert [name for name, _, _ in heard.changes] == ["a0", "a1", "a2", "a3", "a4"]

    backend.run(scenario)


def test_a_server_that_is_down_at_first_is_waited_for(backend: Backend, caplog: pytest.LogCaptureFixture) -> None:
    async def scenario(site: Site) -> None:
        faults = Faults(Random(0), read=1.0)
        cache = cache_of(site, Client(FaultyTransport(site.transport, faults)))
        informer = cache.informer(CONFIG_MAPS, namespace=site.namespace)
        async with background(cache.run()):
            while faults.happened < 2:
                await site.clock.sleep(0.01)
            assert not informer.synced
            faults.stop()
            await informer.wait_synced()

    backend.run(scenario)
    assert "informer refused, retrying" in caplog.text


def test_cancelling_closes_the_watch(backend: Backend) -> None:
    async def scenario(site: Site) -> None:
        transport = FaultyTransport(site.transport, Faults(Random(0)))
        cache = cache_of(site, Client(transport))
        cache.informer(CONFIG_MAPS, namespace=site.namespace)
        async with running(cache):
            while not transport.open_watches:
                await site.clock.sleep(0.01)
        assert transport.open_watches == 0

    backend.run(scenario)


@pytest.mark.parametrize("seed", range(5))
def test_after_a_bad_day_the_copy_is_the_truth(backend: Backend, seed: int) -> None:
    """Random writes while watches drop, expire and repeat events: no listener hears a change that did not follow from the one before."""

    async def scenario(site: Site) -> None:
        random = Random(seed)
        faults = Faults(Random(seed), read=0.2, drop_watch=0.1, expire_watch=0.1, repeat_event=0.3)
        cache = cache_of(site, Client(FaultyTransport(site.transport, faults)))
        informer = cache.informer(CONFIG_MAPS, namespace=site.namespace, labels="app")
        mirror: dict[Key, Obj] = {}

        def follow(key: Key, old: Obj | None, new: Obj | None) -> None:
            assert mirror.get(key) == old
            if new is None:
                del mirror[key]
            else:
                mirror[key] = new

        informer.on_change(follow)
        async with running(cache):
            for step in range(60):
                name = f"a{random.randrange(6)}"
                if random.random() < 0.3:
                    await site.client.delete(CONFIG_MAPS, name, site.namespace, missing_ok=True)
                else:
                    await site.client.apply(CONFIG_MAPS, site.config_map(name, {"x": str(step)}, labels={"app": "x"}))
                await site.clock.sleep(random.random() * 0.02)
            faults.stop()
            last = await site.client.apply(CONFIG_MAPS, site.config_map("last", labels={"app": "x"}))
            await informer.wait_write(objects.key(last), last)
            listing = await site.client.list(CONFIG_MAPS, site.namespace, labels="app")
            want = {objects.key(obj): obj for obj in listing.items}
            assert {objects.key(obj): obj for obj in informer.list()} == want
            assert mirror == want
            assert faults.happened > 5

    backend.run(scenario)
