"""One suite in every world: upstream's programs in place of ours, ours in place of theirs, on our server and on the real one.

All scenarios of a world are played at once, each in a namespace of its own; each is a test. One that fails is played again alone, where
pytest reruns it. Worlds mostly wait: while the tests of one are told, the next is started and played.
"""

import asyncio
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack

import pytest

from lightship.client import kubeconfig
from oracle import servers
from oracle import worlds as programs
from tests.pairings import scenarios, worlds
from tests.pairings.user import Eyes, User
from tests.upstream.marked import marks

pytestmark = marks("jobset", files=("jobset",))
AT_ONCE = 16
"""Scenarios that are played side by side in a world."""
WORLDS = 2
"""Worlds that are alive at a time: the one whose tests are told, and the next."""
SLOW = ("jobs.job_whose_indexes_are_tried_again", "housekeeping.namespace_deleted_with_all_in_it")
"""Somebody waits for ten seconds there, by contract: they begin first."""
Results = dict[str, BaseException | None]


class Stage:
    """A world, and what came of the scenarios there."""

    def __init__(self, world: worlds.World) -> None:
        self.world = world
        self._stack = ExitStack()
        self._running: programs.World | None = None
        self._results: Results = {}

    @property
    def running(self) -> programs.World:
        assert self._running is not None, "opened before"
        return self._running

    def open(self) -> "Stage":
        """Start the world and play everything there once."""
        with ExitStack() as stack:
            self._running = stack.enter_context(worlds.started(self.world))
            self._results = asyncio.run(self._play(sorted(scenarios.NAMES, key=lambda name: name not in SLOW)))
            self._stack = stack.pop_all()
        return self

    def close(self) -> None:
        self._stack.close()

    def result(self, name: str) -> None:
        """Raise what went wrong with a scenario, if anything did. It is played anew when it is asked for once more."""
        if name not in self._results:
            self._results |= asyncio.run(self._play([name]))
        if (error := self._results.pop(name)) is not None:
            raise AssertionError(f"{error}\n{self._last_words()}") from error

    async def _play(self, names: list[str]) -> Results:
        transport = kubeconfig.load(self.running.server.kubeconfig).transport()
        free = asyncio.Semaphore(AT_ONCE)
        results: Results = {}

        async def one(name: str, eyes: Eyes) -> None:
            async with free:
                try:
                    async with User(transport, eyes, name.partition(".")[2].replace("_", "-")[:40]).at_home() as user:
                        await scenarios.NAMES[name](user)
                except Exception as error:  # told by the test of that name
                    results[name] = error
                else:
                    results[name] = None

        try:
            async with Eyes(transport).open() as eyes, asyncio.TaskGroup() as group:
                for name in names:
                    group.create_task(one(name, eyes))
        finally:
            await transport.close()
        return results

    def _last_words(self) -> str:
        return "\n".join(f"--- {name}:\n{process.end_of_log(1500)}" for name, process in self.running.running.items())


class Tour:
    """The worlds that are asked for, one after the other; the next is under way while one is looked at."""

    def __init__(self, wanted: list[worlds.World]) -> None:
        self._wanted = wanted
        self._threads = ThreadPoolExecutor(WORLDS, thread_name_prefix="world")
        self._opened: dict[str, Future[Stage]] = {}

    def enter(self, world: worlds.World) -> Stage:
        here = self._wanted.index(world)
        for near in self._wanted[here : here + WORLDS]:
            if near.name not in self._opened:
                self._opened[near.name] = self._threads.submit(Stage(near).open)
        return self._opened[world.name].result()

    def leave(self, world: worlds.World) -> None:
        """It is started anew where somebody comes back."""
        found = self._opened.pop(world.name)
        if found.exception() is None:
            found.result().close()

    def end(self) -> None:
        for name in list(self._opened):
            self.leave(next(world for world in self._wanted if world.name == name))
        self._threads.shutdown()


@pytest.fixture(scope="module")
def tour(request: pytest.FixtureRequest) -> Iterator[Tour]:
    chosen = [item.callspec.params.get("stage") for item in request.session.items if hasattr(item, "callspec")]
    found = Tour([world for world in worlds.MATRIX if world in chosen])
    yield found
    found.end()


@pytest.fixture(scope="module", params=worlds.MATRIX, ids=lambda world: world.name)
def stage(request: pytest.FixtureRequest, tour: Tour) -> Iterator[Stage]:
    try:
        yield tour.enter(request.param)
    finally:
        tour.leave(request.param)


@pytest.mark.parametrize("name", scenarios.NAMES)
def test_holds(stage: Stage, name: str) -> None:
    stage.result(name)


def test_nobody_died(stage: Stage) -> None:
    assert stage.running.dead() == []
    assert stage.world.server in (servers.OURS, servers.REAL)
