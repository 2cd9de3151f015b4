"""Pauses between restarts: how long pods of an attempt are held, and that they are let go."""

from dataclasses import replace
from random import Random

import pytest

from lightship.client.client import Client
from lightship.kinds import PODS
from lightship.meta import objects, times
from lightship.meta.objects import Obj
from lightship.train import backoff
from lightship.train.api import TRAIN_JOBS
from tests.client.faults import Faults, FaultyTransport
from tests.train import make, site
from tests.train.site import Site
from tests.train.test_lasting import annotated, build, of_node

GATE = {"name": "lightship.dev/backoff"}


def pod(attempt: int, created: float = make.CREATED_SECONDS, name: str = "mnist-node-0-0", gates: tuple[Obj, ...] = (GATE,)) -> Obj:
    labels = {"jobset.sigs.k8s.io/jobset-name": "mnist", "jobset.sigs.k8s.io/restart-attempt": str(attempt)}
    metadata = {"name": name, "namespace": "default", "labels": labels, "creationTimestamp": times.rfc3339(created)}
    spec = {"containers": [{"name": "node", "image": "x"}], "schedulingGates": list(gates)}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}


@pytest.mark.parametrize(("attempt", "want"), [(0, 0), (1, 5), (2, 10), (3, 20), (7, 300), (5000, 300)])
def test_pauses_double(attempt: int, want: float) -> None:
    assert backoff.release(pod(attempt), 5, make.CREATED_SECONDS) == want
    assert backoff.release(pod(attempt), 5, make.CREATED_SECONDS + want) <= 0


def test_only_jobs_that_ask_for_pauses_have_the_gate() -> None:
    held, _ = build(annotated({"max-restarts": "3", "restart-backoff-seconds": "5"}))
    assert of_node(held)["template"]["spec"]["schedulingGates"] == [GATE]
    for said in ({"max-restarts": "3"}, {"max-restarts": "3", "restart-backoff-seconds": "5", "restart-scope": "rank"}):
        free, _ = build(annotated(said))
        assert "schedulingGates" not in of_node(free)["template"]["spec"]


async def gates(s: Site, name: str) -> list[str]:
    found = await s.client.get(PODS, name, "default")
    return [gate["name"] for gate in objects.spec(found).get("schedulingGates") or ()]


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
def test_pods_are_let_go_when_their_time_has_come(seed: int) -> None:
    faults = Faults(Random(seed), refuse=0.15, lose_answer=0.15, read=0.1, drop_watch=0.1, expire_watch=0.05, repeat_event=0.1)

    async def scenario(s: Site) -> None:
        await s.runtime()
        await s.client.create(TRAIN_JOBS, annotated({"max-restarts": "3", "restart-backoff-seconds": "60"}))
        faulty = replace(s, acting=Client(FaultyTransport(s.acting.transport, faults)))
        async with faulty.controllers():
            other = {"name": "acme.io/hold"}
            for attempt in (0, 1):
                await s.client.create(PODS, pod(attempt, s.clock.now(), f"pod-{attempt}", (other, GATE)))
            await s.client.create(PODS, pod(2, s.clock.now(), "pod-2"))
            await s.settle(30)
            assert [await gates(s, f"pod-{n}") for n in range(3)] == [["acme.io/hold"], ["acme.io/hold", GATE["name"]], [GATE["name"]]]
            await s.settle(45)
            assert [await gates(s, f"pod-{n}") for n in range(3)] == [["acme.io/hold"], ["acme.io/hold"], [GATE["name"]]]
            await s.settle(60)
            assert await gates(s, "pod-2") == []

    site.run(scenario)


def test_without_such_jobs_nobody_is_asked_for_pods() -> None:
    async def scenario(s: Site) -> None:
        await s.runtime()
        await s.client.create(TRAIN_JOBS, annotated({"max-restarts": "3"}))
        async with s.controllers() as manager:
            await s.until(s.jobset)
            assert manager.statistics()["trainjob-backoff"]["done"] == 0

    site.run(scenario)
