"""Controllers on a real server: they converge, they never die, and they see their own writes."""

import asyncio
import logging
from random import Random

import pytest

from lightship.client.client import Client
from lightship.control import controller as control
from lightship.control.controller import Controller
from lightship.control.manager import Manager
from lightship.control.outcome import Done, Outcome, RequeueAfter, Terminal
from lightship.control.watch import Watch, itself
from lightship.meta import errors, objects
from lightship.meta.objects import Key, Obj
from tests.client.backends import Backend, Site
from tests.client.faults import Faults, FaultyTransport
from tests.control import toys
from tests.control.toys import CHILDREN, CONFIG_MAPS, PARENTS, Toy, observer, quiet, until


class Scripted:
    """Ends each reconcile of a key as the next step of its script says; `Done` after the last."""

    def __init__(self, *script: Outcome | BaseException) -> None:
        self.script = list(script)
        self.keys: list[Key] = []

    async def reconcile(self, key: Key) -> Outcome:
        self.keys.append(key)
        step = self.script.pop(0) if self.script else Done()
        if isinstance(step, BaseException):
            raise step
        return step


def scripted(site: Site, manager: Manager, *script: Outcome | BaseException) -> tuple[Scripted, Controller]:
    reconciler = Scripted(*script)
    found = Controller("scripted", reconciler, watches=[itself(CONFIG_MAPS, labels=PARENTS, namespace=site.namespace)])
    manager.add(found)
    return reconciler, found


@pytest.mark.parametrize("generate", [False, True], ids=["names of ours", "names of the server"])
def test_a_toy_converges_and_creates_no_child_twice(backend: Backend, generate: bool) -> None:
    async def scenario(site: Site) -> None:
        manager = toys.manager(site)
        toy = Toy(manager, site.namespace, generate=generate)
        controller = manager.add(toys.controller(toy, site.namespace, workers=2))
        async with manager.running(), observer(site, CHILDREN) as children, observer(site, PARENTS) as parents:
            for name in ("a", "b"):
                await site.client.create(CONFIG_MAPS, toys.parent(site, name, 5))
            await children.wait_until(lambda: len(children) >= 10)
            await parents.wait_until(lambda: all(obj["data"].get("found") == "5" for obj in parents.list()))
            await quiet(site, controller)
            assert len(children) == 10
            assert toy.created == 10
            await site.client.patch(CONFIG_MAPS, "a", {"data": {"replicas": "2"}}, site.namespace)
            await children.wait_until(lambda: len(children) <= 7)
            await quiet(site, controller)
            assert len(children) == 7
            assert controller.statistics()["retry"] == 0
            assert controller.statistics()["conflict"] == 0

    backend.run(scenario)


@pytest.mark.parametrize("seed", range(4))
def test_a_toy_converges_on_a_bad_day(backend: Backend, seed: int) -> None:
    async def scenario(site: Site) -> None:
        faults = Faults(Random(seed), refuse=0.2, lose_answer=0.2, read=0.1, drop_watch=0.1, expire_watch=0.1, repeat_event=0.3)
        manager = toys.manager(site, Client(FaultyTransport(site.transport, faults)))
        toy = Toy(manager, site.namespace)
        controller = manager.add(toys.controller(toy, site.namespace, workers=3))
        async with manager.running(), observer(site, CHILDREN) as children, observer(site, PARENTS) as parents:
            names = [f"p{number}" for number in range(4)]
            for name in names:
                await site.client.create(CONFIG_MAPS, toys.parent(site, name, 4))
            await children.wait_until(lambda: len(children) == 16)
            for name in names:
                await site.client.patch(CONFIG_MAPS, name, {"data": {"replicas": "2"}}, site.namespace)
            await children.wait_until(lambda: len(children) == 8)
            faults.stop()
            await parents.wait_until(lambda: all(obj["data"].get("found") == "2" for obj in parents.list()))
            assert {objects.name(obj) for obj in children.list()} == {f"{name}-{number}" for name in names for number in range(2)}
            assert controller.statistics()["retry"] > 0
            assert faults.happened > 10

    backend.run(scenario)


def test_no_child_is_created_twice_when_watches_break(backend: Backend) -> None:
    """With names of the server's choice a second create would be seen: only waiting for one's own writes prevents it."""

    async def scenario(site: Site) -> None:
        faults = Faults(Random(1), drop_watch=0.3, expire_watch=0.2, repeat_event=0.3)
        manager = toys.manager(site, Client(FaultyTransport(site.transport, faults)))
        toy = Toy(manager, site.namespace, generate=True)
        controller = manager.add(toys.controller(toy, site.namespace))
        async with manager.running(), observer(site, CHILDREN) as children:
            await site.client.create(CONFIG_MAPS, toys.parent(site, "a", 6))
            for _ in range(50):
                controller.enqueue(Key(site.namespace, "a"))
                await site.clock.sleep(0.005)
            await children.wait_until(lambda: len(children) >= 6)
            faults.stop()
            await quiet(site, controller)
            assert (len(children), toy.created) == (6, 6)

    backend.run(scenario)


def test_a_watch_that_has_died_unnoticed_is_not_believed(backend: Backend, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(control, "CATCH_UP_SECONDS", 0.2)

    async def scenario(site: Site) -> None:
        faults = Faults(Random(1))
        faults.deaf = True
        await site.client.create(CONFIG_MAPS, toys.parent(site, "a", 3))
        manager = toys.manager(site, Client(FaultyTransport(site.transport, faults)))
        toy = Toy(manager, site.namespace, generate=True)
        controller = manager.add(toys.controller(toy, site.namespace))
        async with manager.running(), observer(site, CHILDREN) as children:
            await children.wait_until(lambda: len(children) >= 3)
            faults.stop()
            before = toy.reconciles
            controller.enqueue(Key(site.namespace, "a"))
            await until(site, lambda: toy.reconciles > before)
            await quiet(site, controller)
            assert (len(children), toy.created) == (3, 3)

    backend.run(scenario)


def test_without_tracking_the_same_toy_creates_children_twice(backend: Backend) -> None:
    """The test above can fail: take away the tracking client and it does."""
    if not backend.virtual:
        pytest.skip("a race that only virtual time decides")

    async def scenario(site: Site) -> None:
        faults = Faults(Random(1), drop_watch=0.3)
        manager = toys.manager(site, Client(FaultyTransport(site.transport, faults)))
        toy = Toy(manager, site.namespace, generate=True)
        toy.client = site.client
        controller = manager.add(toys.controller(toy, site.namespace))
        async with manager.running():
            await site.client.create(CONFIG_MAPS, toys.parent(site, "a", 6))
            for _ in range(50):
                controller.enqueue(Key(site.namespace, "a"))
                await site.clock.sleep(0.005)
            assert toy.created > 6

    backend.run(scenario)


def test_requeue_after_comes_back_at_its_time(backend: Backend) -> None:
    async def scenario(site: Site) -> None:
        manager = toys.manager(site)
        reconciler, controller = scripted(site, manager, RequeueAfter(0.2), RequeueAfter(0.1))
        async with manager.running():
            started = site.clock.monotonic()
            await site.client.create(CONFIG_MAPS, toys.parent(site, "a", 0))
            await until(site, lambda: len(reconciler.keys) == 3)
            assert site.clock.monotonic() - started >= 0.3
            statistics = controller.statistics()
            assert (statistics["requeue"], statistics["done"]) == (2, 1)

    backend.run(scenario)


def test_failures_are_tried_again_and_shown(backend: Backend, caplog: pytest.LogCaptureFixture) -> None:
    async def scenario(site: Site) -> None:
        manager = toys.manager(site)
        refused = errors.unavailable("come back later")
        reconciler, controller = scripted(site, manager, KeyError("spec"), refused, asyncio.CancelledError(), ExceptionGroup("", [refused]))
        async with manager.running():
            await site.client.create(CONFIG_MAPS, toys.parent(site, "a", 0))
            await until(site, lambda: len(reconciler.keys) == 5)
            await quiet(site, controller)
            assert controller.statistics()["retry"] == 4
            assert controller.queue.failures(Key(site.namespace, "a")) == 0

    backend.run(scenario)
    shown = [record for record in caplog.records if record.name == "lightship.control.controller"]
    assert [record.exc_info is not None for record in shown] == [True, False, True, False], "a traceback for surprises only"
    assert "failures=1" in shown[0].getMessage()
    assert "come back later" in shown[3].getMessage()


def test_the_same_refusal_is_told_once(backend: Backend, caplog: pytest.LogCaptureFixture) -> None:
    first, other = (errors.invalid("ConfigMap", "a", [errors.invalid_value("data", word, "never")]) for word in ("x", "y"))

    async def scenario(site: Site) -> None:
        manager = toys.manager(site)
        script = (
            first,
            first,
            ExceptionGroup("", [first]),
            other,
            errors.unavailable("now"),
            errors.unavailable("now"),
            first,
            Done(),
            first,
        )
        reconciler, controller = scripted(site, manager, *script)
        async with manager.running():
            await site.client.create(CONFIG_MAPS, toys.parent(site, "a", 0))
            await until(site, lambda: len(reconciler.keys) == 8)
            controller.enqueue(Key(site.namespace, "a"))
            await until(site, lambda: len(reconciler.keys) == 10)
            await quiet(site, controller)

    backend.run(scenario)
    shown = [record.getMessage() for record in caplog.records if record.name == "lightship.control.controller"]
    told = [1, 4, 5, 6, 7, 1]
    assert [f"failures={number} " in line for number, line in zip(told, shown, strict=True)] == [True] * len(told)


def test_a_conflict_is_everyday_life(backend: Backend, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)

    async def scenario(site: Site) -> None:
        manager = toys.manager(site)
        conflict = errors.conflict("configmaps", "a", errors.MODIFIED)
        reconciler, controller = scripted(site, manager, conflict, ExceptionGroup("", [conflict, conflict]))
        async with manager.running():
            await site.client.create(CONFIG_MAPS, toys.parent(site, "a", 0))
            await until(site, lambda: len(reconciler.keys) == 3)
            assert controller.statistics()["conflict"] == 2

    backend.run(scenario)
    assert [record for record in caplog.records if record.name == "lightship.control.controller"] == []


def test_terminal_waits_for_a_change(backend: Backend, caplog: pytest.LogCaptureFixture) -> None:
    async def scenario(site: Site) -> None:
        manager = toys.manager(site)
        reconciler, controller = scripted(site, manager, Terminal("NoSuchThing", "there is none"))
        async with manager.running():
            created = await site.client.create(CONFIG_MAPS, toys.parent(site, "a", 0))
            await until(site, lambda: controller.statistics()["terminal"] == 1)
            await quiet(site, controller)
            assert len(reconciler.keys) == 1
            await site.client.update(CONFIG_MAPS, created | {"data": {"replicas": "1"}})
            await until(site, lambda: controller.statistics()["done"] == 1)

    backend.run(scenario)
    assert "error=NoSuchThing: there is none" in caplog.text


def test_many_keys_are_worked_on_at_once_but_each_by_one_worker(backend: Backend) -> None:
    class Slow:
        def __init__(self, site: Site) -> None:
            self.site = site
            self.now: set[Key] = set()
            self.most = 0
            self.count = 0

        async def reconcile(self, key: Key) -> Outcome:
            assert key not in self.now
            self.now.add(key)
            self.most = max(self.most, len(self.now))
            await self.site.clock.sleep(0.05)
            self.now.remove(key)
            self.count += 1
            return Done()

    async def scenario(site: Site) -> None:
        manager = toys.manager(site)
        slow = Slow(site)
        controller = manager.add(
            Controller("slow", slow, watches=[itself(CONFIG_MAPS, labels=PARENTS, namespace=site.namespace)], workers=4)
        )
        async with manager.running():
            for number in range(8):
                await site.client.create(CONFIG_MAPS, toys.parent(site, f"a{number}", 0))
            for _ in range(5):
                controller.enqueue(Key(site.namespace, "a0"))
                await site.clock.sleep(0.02)
            await quiet(site, controller)
            assert slow.most == 4
            assert slow.count >= 8
            assert controller.statistics()["retry"] == 0

    backend.run(scenario)


def test_own_writes_are_seen_in_the_next_reconcile(backend: Backend) -> None:
    """Writes, deletes and writes to objects outside the informer's selection, with tasks of the reconciler's own."""

    class Writer:
        def __init__(self, manager: Manager, site: Site) -> None:
            self.client = manager.client
            self.site = site
            self.informer = manager.cache.informer(CONFIG_MAPS, namespace=site.namespace, labels=PARENTS)
            self.stale = 0
            self.rounds = 0
            self.expected: Obj | None = None

        async def reconcile(self, key: Key) -> Outcome:
            if self.rounds == 20:
                return Done()
            self.rounds += 1
            found = self.informer.get(key)
            if self.expected is not None and (found is None or objects.revision(found) < objects.revision(self.expected)):
                self.stale += 1
            async with asyncio.TaskGroup() as group:
                group.create_task(self.client.apply(CONFIG_MAPS, self.site.config_map(f"outside-{self.rounds}")))
                patch = {"data": {"round": str(self.rounds)}}
                written = group.create_task(self.client.patch(CONFIG_MAPS, "a", patch, self.site.namespace))
            self.expected = written.result()
            return RequeueAfter(0)

    async def scenario(site: Site) -> None:
        manager = toys.manager(site)
        writer = Writer(manager, site)
        controller = manager.add(Controller("w", writer, watches=[itself(CONFIG_MAPS, labels=PARENTS, namespace=site.namespace)]))
        await site.client.create(CONFIG_MAPS, toys.parent(site, "a", 0))
        async with manager.running():
            started = site.clock.monotonic()
            await until(site, lambda: writer.rounds >= 20)
            await quiet(site, controller)
            assert writer.stale == 0
            assert site.clock.monotonic() - started < 8, "no wait for a write that the informer will never see"

    backend.run(scenario)


def test_a_key_mapper_that_fails_is_not_the_end(backend: Backend, caplog: pytest.LogCaptureFixture) -> None:
    async def scenario(site: Site) -> None:
        manager = toys.manager(site)
        reconciler = Scripted()
        broken = Watch(CONFIG_MAPS, lambda obj: [Key("", obj["data"]["no such field"])], PARENTS, "", site.namespace)
        watches = [broken, itself(CONFIG_MAPS, labels=PARENTS, namespace=site.namespace)]
        controller = manager.add(Controller("c", reconciler, watches=watches))
        async with manager.running():
            await site.client.create(CONFIG_MAPS, toys.parent(site, "a", 0))
            await until(site, lambda: controller.statistics()["done"] == 1)

    backend.run(scenario)
    assert "KeyError: 'no such field'" in caplog.text
