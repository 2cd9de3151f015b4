"""The machine's clock is set, by an hour forwards or backwards, while pods run: waits stay as long as they were, in virtual time."""

import pytest

from lightship import kinds
from lightship.aio.clock import LoopClock
from lightship.meta import objects, times
from lightship.meta.objects import Obj
from lightship.node.images.keeper import removable
from lightship.node.images.store import Record, Stored
from lightship.node.pods.evicting import INTERVAL

from . import make, site
from .site import Site

HOURS = pytest.mark.parametrize("jump", [3600.0, -3600.0])


def set_clock(here: Site, seconds: float) -> None:
    assert isinstance(here.clock, LoopClock)
    here.clock._epoch += seconds


async def elapsed(here: Site, until: object) -> float:
    began = here.clock.monotonic()
    await until  # type: ignore[misc]  # what `Site.until` returns
    return here.clock.monotonic() - began


@HOURS
def test_a_back_off_is_as_long_as_before(jump: float) -> None:
    async def story(here: Site) -> None:
        await here.run_pod(make.pod(restartPolicy="Always"))
        await here.until_phase("Running")
        here.runtime.end("main", 1)
        await here.until(lambda pod: restarts(pod) == 1)
        here.runtime.end("main", 1)
        await here.until_waiting("CrashLoopBackOff")
        await here.clock.sleep(4)
        set_clock(here, jump)
        assert 5 < await elapsed(here, here.until(lambda pod: restarts(pod) == 2)) < 8, "10 s since the end"

    site.run(story)


@HOURS
def test_who_ends_has_all_of_its_grace_and_no_more(jump: float) -> None:
    async def story(here: Site) -> None:
        here.runtime.stubborn = True
        await here.run_pod(make.pod(terminationGracePeriodSeconds=30))
        await here.until_phase("Running")
        await here.client.delete(kinds.PODS, "p", "default")
        await here.clock.sleep(5)
        set_clock(here, jump)
        await here.clock.sleep(20)
        assert [signum for _, signum in here.runtime.signals] == [15]
        assert 4 < await elapsed(here, here.until_gone()) < 8
        assert [signum for _, signum in here.runtime.signals] == [15, 9]

    site.run(story)


@HOURS
def test_a_deadline_is_counted_in_seconds_that_pass(jump: float) -> None:
    async def story(here: Site) -> None:
        await here.run_pod(make.pod(activeDeadlineSeconds=100))
        started = times.parse(objects.status(await here.until_phase("Running"))["startTime"])
        await here.clock.sleep(60)
        set_clock(here, jump)
        pod_failed = await elapsed(here, here.until_phase("Failed"))
        assert 38 < pod_failed < 43
        found = await here.client.get(kinds.PODS, "p", "default")
        assert objects.status(found)["reason"] == "DeadlineExceeded"
        assert times.parse(objects.status(found)["startTime"]) == started, "what was told stays as it was told"

    site.run(story)


@HOURS
def test_what_failed_is_tried_again_in_time(jump: float) -> None:
    async def story(here: Site) -> None:
        await here.run_pod(make.pod(make.container(image="nobody/knows:this")))
        await here.until_waiting("ImagePullBackOff")
        before = await pulls(here)
        set_clock(here, jump)
        await here.clock.sleep(300 + INTERVAL)
        assert await pulls(here) > before

    site.run(story)


class Issuer:
    """Of tokens that are told apart by their numbers, for ten minutes of the clock that the node has."""

    def __init__(self, clock: LoopClock) -> None:
        self._clock = clock
        self.issued = 0

    async def create_subresource(self, *_: object) -> Obj:
        self.issued += 1
        return {"status": {"token": str(self.issued), "expirationTimestamp": times.rfc3339(self._clock.now() + 600)}}


@HOURS
def test_tokens_are_renewed_and_the_lease_goes_on(jump: float) -> None:
    async def story(here: Site) -> None:
        assert isinstance(here.clock, LoopClock)
        await here.run_pod(make.pod())
        await here.until_phase("Running")
        (worker,) = here.agent._workers.values()
        issuer = worker._filling._tokens._client = Issuer(here.clock)  # type: ignore[assignment]
        shown = {"name": "t", "projected": {"sources": [{"serviceAccountToken": {"path": "token"}}]}}
        pod = {**worker.pod, "spec": {**worker.pod["spec"], "volumes": [shown]}}
        worker.subject.pod = pod
        assert [*(await worker._filling._tokens.of(pod)).values()] == ["1"]
        set_clock(here, jump)
        await here.clock.sleep(2 * INTERVAL)
        assert [*(await worker._filling._tokens.of(pod)).values()] == ["2"]
        assert [*(await worker._filling._tokens.of(pod)).values()] == ["2"]
        assert issuer.issued == 2
        lease = await here.client.get(kinds.LEASES, "n1", "kube-node-lease")
        assert abs(times.parse(objects.spec(lease)["renewTime"]) - here.clock.now()) < 15

    site.run(story)


def test_what_was_used_in_the_future_is_not_in_use() -> None:
    found = [Stored("old", Record(), 5_000.0, []), Stored("fresh", Record(), 1_000.0, [])]
    assert [s.name for s in removable(found, 1_010.0, 120.0)] == ["old"]


def restarts(pod: Obj) -> int:
    return int((objects.status(pod).get("containerStatuses") or [{}])[0].get("restartCount") or 0)


async def pulls(here: Site) -> int:
    """How often an image was asked for in vain."""
    await here.events()
    listed = (await here.client.list(kinds.EVENTS, "default")).items
    return sum(event.get("count") or 1 for event in listed if event["message"] == "Error: ErrImagePull")
