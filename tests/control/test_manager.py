"""The manager: what starts when, events that are written, leaders that come and go, finalizers."""

import asyncio
from random import Random

import pytest

from lightship import kinds
from lightship.aio.tasks import background
from lightship.client.client import Client
from lightship.control import finalizers
from lightship.control.controller import Controller
from lightship.control.events import QUEUE, Recorder
from lightship.control.leader import Election, LeadershipLost, Terms
from lightship.control.manager import Manager
from lightship.control.outcome import Done, Outcome
from lightship.control.watch import itself
from lightship.meta import errors, objects
from lightship.meta.errors import StatusError
from lightship.meta.objects import Key, Obj
from tests.client.backends import Backend, Site
from tests.client.faults import Faults, FaultyTransport
from tests.control import toys
from tests.control.toys import CONFIG_MAPS, PARENTS, until

QUICK = Terms(lease=1.0, renew_within=0.6, retry=0.1)


class Keys:
    """Remembers what it was asked to reconcile."""

    def __init__(self) -> None:
        self.keys: list[Key] = []

    async def reconcile(self, key: Key) -> Outcome:
        self.keys.append(key)
        return Done()


def add_keys(site: Site, manager: Manager) -> Keys:
    keys = Keys()
    manager.add(Controller("keys", keys, watches=[itself(CONFIG_MAPS, labels=PARENTS, namespace=site.namespace)]))
    return keys


async def events_of(site: Site, obj: Obj) -> list[Obj]:
    listing = await site.client.list(kinds.EVENTS, objects.namespace(obj) or "default")
    found = [event for event in listing.items if event["involvedObject"].get("uid") == objects.uid(obj)]
    return sorted(found, key=lambda event: event["message"])


# Starting


def test_workers_start_when_all_informers_have_their_lists(backend: Backend) -> None:
    async def scenario(site: Site) -> None:
        faults = Faults(Random(0), read=1.0)
        await site.client.create(CONFIG_MAPS, toys.parent(site, "a", 0))
        manager = toys.manager(site, Client(FaultyTransport(site.transport, faults)))
        keys = add_keys(site, manager)
        async with background(manager.run()):
            await until(site, lambda: faults.happened > 1)
            assert keys.keys == []
            faults.stop()
            await manager.wait_synced()
            await until(site, lambda: keys.keys == [Key(site.namespace, "a")])

    backend.run(scenario)


def test_controllers_come_before_the_run(backend: Backend) -> None:
    async def scenario(site: Site) -> None:
        manager = toys.manager(site)
        async with manager.running():
            with pytest.raises(RuntimeError, match='controller "keys" came too late'):
                add_keys(site, manager)

    backend.run(scenario)


def test_the_end_of_the_block_ends_everything(backend: Backend) -> None:
    async def scenario(site: Site) -> None:
        before = asyncio.all_tasks()
        transport = FaultyTransport(site.transport, Faults(Random(0)))
        manager = toys.manager(site, Client(transport))
        add_keys(site, manager)
        async with manager.running():
            assert manager.statistics()["keys"]["working"] == 0
        assert transport.open_watches == 0
        # The server's own tasks may come with requests; ours carry our names.
        left = {task.get_name() for task in asyncio.all_tasks() - before}
        assert not [name for name in left if name.startswith(("keys", "informer", "events"))]

    backend.run(scenario)


def test_an_error_in_the_block_is_raised_as_it_is(backend: Backend) -> None:
    async def scenario(site: Site) -> None:
        manager = toys.manager(site)

        async def fail() -> None:
            async with manager.running():
                raise KeyError("mine")

        with pytest.raises(KeyError, match="mine"):
            await fail()

    backend.run(scenario)


# Events


def test_events_reach_the_server_and_repetitions_are_counted(backend: Backend) -> None:
    async def scenario(site: Site) -> None:
        manager = toys.manager(site)
        obj = await site.client.create(CONFIG_MAPS, site.config_map("a"))
        async with manager.running():
            for _ in range(3):
                manager.recorder.event(obj, "Warning", "Failed", "at first it did not work")
            manager.recorder.event(obj, "Normal", "Worked", "then it did", field_path="data.x")
            await manager.recorder.flush()
        failed, worked = await events_of(site, obj)
        assert (failed["reason"], failed["count"], failed["type"]) == ("Failed", 3, "Warning")
        assert (worked["reason"], worked["count"], worked["involvedObject"]["fieldPath"]) == ("Worked", 1, "data.x")
        assert worked["source"]["component"] == "toys"
        assert worked["involvedObject"]["uid"] == objects.uid(obj)

    backend.run(scenario)


def test_events_of_cluster_scoped_objects_and_long_messages(backend: Backend) -> None:
    async def scenario(site: Site) -> None:
        manager = toys.manager(site)
        obj = await site.client.get(kinds.NAMESPACES, site.namespace)
        async with manager.running():
            manager.recorder.event(obj, "Normal", "Said", "ä" * 3000)
            await manager.recorder.flush()
        (event,) = await events_of(site, obj)
        assert objects.namespace(event) == "default"
        assert len(event["message"].encode()) <= 1024
        assert event["message"].endswith("ä...")
        await site.client.delete(kinds.EVENTS, objects.name(event), "default")

    backend.run(scenario)


def test_an_event_that_expired_meanwhile_is_written_again(backend: Backend) -> None:
    async def scenario(site: Site) -> None:
        manager = toys.manager(site)
        obj = await site.client.create(CONFIG_MAPS, site.config_map("a"))
        async with manager.running():
            manager.recorder.event(obj, "Normal", "Said", "once")
            await manager.recorder.flush()
            (event,) = await events_of(site, obj)
            await site.client.delete(kinds.EVENTS, objects.name(event), site.namespace)
            manager.recorder.event(obj, "Normal", "Said", "once")
            await manager.recorder.flush()
        (event,) = await events_of(site, obj)
        assert event["count"] == 2

    backend.run(scenario)


def test_a_recorder_never_raises(backend: Backend, caplog: pytest.LogCaptureFixture) -> None:
    async def scenario(site: Site) -> None:
        faults = Faults(Random(0))
        recorder = Recorder(Client(FaultyTransport(site.transport, faults)), "toys", site.clock)
        obj = await site.client.create(CONFIG_MAPS, site.config_map("a"))
        for number in range(QUEUE + 5):
            recorder.event(obj, "Normal", "Said", str(number // 500))
        assert recorder.dropped == 5
        elsewhere = site.config_map("a") | {"metadata": {"name": "a", "namespace": "no-such-namespace"}}
        async with background(recorder.run()):
            await recorder.flush()
            recorder.event(elsewhere, "Normal", "Said", "into the void")
            recorder.event({}, "Normal", "Said", "about nothing")
            await recorder.flush()
            lost = recorder.dropped
            assert lost >= 6
            faults.refuse = 1.0
            recorder.event(obj, "Normal", "Said", "while the server is away")
            await until(site, lambda: faults.happened >= 2)
            faults.stop()
            await recorder.flush()
            assert recorder.dropped == lost, "the server came back before we gave up"
        assert {event["message"] for event in await events_of(site, obj)} == {"0", "1", "while the server is away"}

    backend.run(scenario)
    assert "event lost" in caplog.text


# Leaders


def election(site: Site, identity: str, client: Client | None = None, terms: Terms = QUICK) -> Election:
    return Election(client or site.client, "toys", site.namespace, identity, clock=site.clock, random=Random(identity), terms=terms)


def test_one_leads_and_the_next_follows_at_once_when_it_gives_up(backend: Backend) -> None:
    async def scenario(site: Site) -> None:
        managers = [Manager(site.client, clock=site.clock, random=Random(0), election=election(site, name)) for name in ("one", "two")]
        first, second = (add_keys(site, manager) for manager in managers)
        await site.client.create(CONFIG_MAPS, toys.parent(site, "a", 0))
        async with asyncio.TaskGroup() as group:
            one = group.create_task(managers[0].run())
            await until(site, lambda: bool(first.keys))
            two = group.create_task(managers[1].run())
            lease = await site.client.get(kinds.LEASES, "toys", site.namespace)
            assert lease["spec"]["holderIdentity"] == "one"
            await site.clock.sleep(2 * QUICK.retry)
            assert second.keys == []
            assert not managers[1].cache.of(CONFIG_MAPS)[0].synced, "who does not lead reads nothing: it would be old when it matters"
            one.cancel()
            started = site.clock.monotonic()
            await managers[1].wait_synced()
            assert site.clock.monotonic() - started < QUICK.lease / 2, "the lease was given back, not waited for"
            await until(site, lambda: bool(second.keys))
            lease = await site.client.get(kinds.LEASES, "toys", site.namespace)
            assert (lease["spec"]["holderIdentity"], lease["spec"]["leaseTransitions"]) == ("two", 1)
            two.cancel()

    backend.run(scenario)


def test_a_leader_that_vanished_is_followed_when_its_lease_ran_out(backend: Backend) -> None:
    async def scenario(site: Site) -> None:
        gone, next_one = election(site, "gone"), election(site, "next")
        await gone.acquire()
        assert gone.leading
        started = site.clock.monotonic()
        await next_one.acquire()
        assert QUICK.lease - 0.5 <= site.clock.monotonic() - started < QUICK.lease + 1.0
        assert next_one.leading

    backend.run(scenario)


def test_a_leader_that_cannot_renew_stops_before_others_may_follow(backend: Backend) -> None:
    async def scenario(site: Site) -> None:
        faults = Faults(Random(0))
        client = Client(FaultyTransport(site.transport, faults))
        mine = election(site, "mine", client)
        manager = Manager(client, clock=site.clock, random=Random(0), election=mine)
        keys = add_keys(site, manager)
        failed: list[BaseException] = []

        async def run() -> None:
            try:
                await manager.run()
            except* LeadershipLost as group:
                failed.extend(group.exceptions)

        async with asyncio.TaskGroup() as group:
            group.create_task(run())
            await manager.wait_synced()
            faults.refuse = 1.0
            started = site.clock.monotonic()
            await until(site, lambda: bool(failed))
            assert site.clock.monotonic() - started < QUICK.lease
            faults.stop()
            await site.client.create(CONFIG_MAPS, toys.parent(site, "late", 0))
            await site.clock.sleep(0.05)
            assert keys.keys == [], "no worker is left"

    backend.run(scenario)


def test_leading_lasts_as_long_as_renewing_works(backend: Backend) -> None:
    async def scenario(site: Site) -> None:
        mine, other = election(site, "mine"), election(site, "other")
        await mine.acquire()
        async with background(mine.hold()), background(other.acquire()) as waiting:
            await site.clock.sleep(3 * QUICK.lease)
            assert mine.leading
            assert not other.leading
            assert not waiting.done()

    backend.run(scenario)


# Finalizers


def test_finalizers_hold_an_object_until_the_last_is_gone(backend: Backend) -> None:
    async def scenario(site: Site) -> None:
        client = site.client
        obj = await client.create(CONFIG_MAPS, site.config_map("a"))
        obj = await finalizers.add(client, CONFIG_MAPS, obj, "toys.dev/one")
        both = await finalizers.add(client, CONFIG_MAPS, obj, "toys.dev/two")
        assert finalizers.finalizers(both) == ["toys.dev/one", "toys.dev/two"]
        assert await finalizers.add(client, CONFIG_MAPS, both, "toys.dev/two") is both
        with pytest.raises(StatusError) as stale:
            await finalizers.remove(client, CONFIG_MAPS, obj, "toys.dev/one")
        assert errors.is_conflict(stale.value), "made for a list that is no longer there"
        await client.delete(CONFIG_MAPS, "a", site.namespace)
        dying = await client.get(CONFIG_MAPS, "a", site.namespace)
        assert objects.is_deleting(dying)
        assert await finalizers.add(client, CONFIG_MAPS, dying, "toys.dev/three") is dying
        dying = await finalizers.remove(client, CONFIG_MAPS, dying, "toys.dev/one")
        assert not finalizers.has(dying, "toys.dev/one")
        await finalizers.remove(client, CONFIG_MAPS, dying, "toys.dev/two")
        assert await client.get_or_none(CONFIG_MAPS, "a", site.namespace) is None

    backend.run(scenario)
