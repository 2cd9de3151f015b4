"""Refused writes, lost answers and broken watches: the room's controllers get there in the end, and make nothing twice."""

from collections import defaultdict
from collections.abc import Awaitable, Callable
from dataclasses import replace
from random import Random
from typing import TypeVar

import pytest

from lightship.builtin.api import COSCHEDULING_POD_GROUPS, JOB_SETS
from lightship.client.client import Client
from lightship.control.manager import Manager
from lightship.kinds import CONFIG_MAPS, JOBS, PODS, SECRETS
from lightship.meta import codec, conditions, objects
from lightship.meta.errors import unavailable
from lightship.meta.objects import Key, Obj
from lightship.meta.resources import Resource
from lightship.meta.rest import Transport
from lightship.train.plugins.volcano import POD_GROUPS as VOLCANO_POD_GROUPS
from tests.client.delegating import Delegating
from tests.client.faults import Faults, FaultyTransport
from tests.train import make, site
from tests.train.site import Site
from tests.train.test_elastic import elastic

T = TypeVar("T")
MADE = (JOB_SETS, SECRETS, CONFIG_MAPS, COSCHEDULING_POD_GROUPS, VOLCANO_POD_GROUPS)
"""Kinds of what the controller makes of a job."""
ALWAYS = {"JobSet mnist", "ConfigMap mnist-runtime-snapshot", "ConfigMap mnist-tls-config"}
_MPI = [make.replicated_job(name, step=step, containers=[{"name": "node"}]) for name, step in (("launcher", "trainer"), ("node", ""))]
FRAMEWORKS: dict[str, tuple[Obj, set[str]]] = {
    "mpi-coscheduling": (
        {"policy": {"numNodes": 1, "mpi": {"runLauncherAsNode": True}}, "jobs": _MPI, "podGroupPolicy": {"coscheduling": {}}},
        {"Secret mnist-mpi-ssh-auth", "ConfigMap mnist-mpi-hostfile", "PodGroup mnist"},
    ),
    "flux-volcano": (
        {"policy": {"numNodes": 2, "flux": {}}, "podGroupPolicy": {"volcano": {}}},
        {"ConfigMap mnist-flux-entrypoint", "Secret mnist-flux-curve", "PodGroup mnist"},
    ),
}
"""A runtime for each framework in a gang, and what its jobs have besides what all have."""
Lives = dict[str, dict[str, set[bytes]]]
"""By kind and name: the uids that an object ever had, and what it ever held under each."""
GONE = "gone"
"""Instead of a uid."""


def bad_day(seed: int) -> Faults:
    return Faults(Random(seed), refuse=0.15, lose_answer=0.15, read=0.1, drop_watch=0.1, expire_watch=0.05, repeat_event=0.1)


class OneFault(Delegating):
    """`inner`, but for the write of this number, from 1: it is refused, or takes effect and its answer is lost. Events do not count."""

    def __init__(self, inner: Transport, number: int = 0, *, lost: bool = False) -> None:
        super().__init__(inner)
        self.number = number
        self.lost = lost
        self.writes = 0

    async def _write(self, what: str, resource: Resource, name: str, ask: Callable[[], Awaitable[T]]) -> T:
        self.writes += resource.kind != "Event"
        fails = self.writes == self.number and resource.kind != "Event"
        if fails and not self.lost:
            raise unavailable("refused before it took effect")
        answer = await ask()
        if fails:
            raise unavailable("the answer was lost")
        return answer


async def _nothing(s: Site) -> None:
    pass


def play(framework: str, weather: Callable[[Transport], Transport], meanwhile: site.Scenario = _nothing) -> Lives:
    """A job of the framework from its submission to its end, and all that was ever made of it."""
    lives: Lives = defaultdict(lambda: defaultdict(set))

    async def scenario(s: Site) -> None:
        acting = replace(s, acting=Client(weather(s.acting.transport)))
        await s.runtime(**FRAMEWORKS[framework][0])
        people = Manager(s.client, clock=s.clock, random=Random(1))
        for resource in MADE:
            people.cache.informer(resource).on_change(lambda key, old, new, r=resource: _note(lives, r, key, new))  # type: ignore[misc]
        async with people.running(), acting.controllers(ca_pem="authority"):
            await s.submit()
            jobset = await s.until(s.jobset)
            assert {name for name in lives if not name.startswith("JobSet")} >= FRAMEWORKS[framework][1], "there before any pod is"
            await meanwhile(s)
            await s.settle(10.0)
            await s.client.patch_status(JOB_SETS, jobset, {"conditions": [make.condition("Completed", "AllJobsCompleted")]})

            async def ended() -> bool | None:
                return conditions.is_true(await s.job(), "Complete") or None

            await s.until(ended)
            await s.settle(10.0)

    site.run(scenario, more=(VOLCANO_POD_GROUPS,))
    return lives


def _note(lives: Lives, resource: Resource, key: Key, obj: Obj | None) -> None:
    held = {field: (obj or {}).get(field) for field in ("spec", "data", "type")}
    lives[f"{resource.kind} {key.name}"][objects.uid(obj) if obj else GONE].add(codec.encode(held))


def assert_made_once(framework: str, lives: Lives) -> None:
    assert set(lives) == ALWAYS | FRAMEWORKS[framework][1]
    assert {name: len(uids) for name, uids in lives.items()} == dict.fromkeys(lives, 1), "made again, or gone"
    assert {name: len(held) for name, uids in lives.items() for held in uids.values()} == dict.fromkeys(lives, 1), "changed"


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_whatever_write_fails_all_is_made_once(framework: str) -> None:
    """Every single write, refused or with its answer lost."""
    good: list[OneFault] = []

    def note(inner: Transport) -> Transport:
        good.append(OneFault(inner))
        return good[-1]

    assert_made_once(framework, play(framework, note))
    assert good[0].writes >= len(ALWAYS | FRAMEWORKS[framework][1]) + 1, "and the status"
    for number in range(1, good[0].writes + 1):
        for lost in (False, True):
            assert_made_once(framework, play(framework, lambda inner, n=number, lost=lost: OneFault(inner, n, lost=lost)))  # type: ignore[misc]


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_all_is_made_once(framework: str, seed: int) -> None:
    faults = bad_day(seed + 900)
    assert_made_once(framework, play(framework, lambda inner: FaultyTransport(inner, faults)))
    assert faults.happened > 0


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_what_is_lost_is_made_once_more(framework: str, seed: int) -> None:
    faults = bad_day(seed + 800)
    beside = FRAMEWORKS[framework][1] | {"ConfigMap mnist-tls-config"}

    async def lose(s: Site) -> None:
        for resource in MADE[1:]:
            for obj in (await s.client.list(resource, "default")).items:
                if f"{resource.kind} {objects.name(obj)}" in beside:
                    await s.client.delete(resource, objects.name(obj), "default")
        await s.settle(60.0)

    lives = play(framework, lambda inner: FaultyTransport(inner, faults), lose)
    assert {name: len(uids.keys() - {GONE}) for name, uids in lives.items()} == {name: 1 + (name in beside) for name in lives}
    assert all(len(held) == 1 for uids in lives.values() for held in uids.values())
    assert faults.happened > 0


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(4))
def test_an_elastic_job_breathes(seed: int) -> None:
    faults = bad_day(seed + 700)

    async def scenario(s: Site) -> None:
        stage = await elastic(s, 4)
        async with s.controllers():
            await stage.becomes(4)
            await s.patch({"metadata": {"annotations": {"lightship.dev/nodes": "2"}}})
            await stage.becomes(2)
            stage.places = 1
            await s.client.delete(PODS, "mnist-1", "default")
            await stage.becomes(1)
            stage.places = 4
            await stage.becomes(2)
            await s.patch({"metadata": {"annotations": {"lightship.dev/nodes": None}}})
            await stage.becomes(4)
            assert len((await s.client.list(JOBS, "default")).items) == 1

    site.run(lambda s: scenario(replace(s, acting=Client(FaultyTransport(s.acting.transport, faults)))))
    assert faults.happened > 0
