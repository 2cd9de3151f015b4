"""What nodes and pods use, from the runtime's counters to metrics.k8s.io and the kubelet's statistics; in virtual time."""

import asyncio

import pytest

from lightship.aio import virtual
from lightship.aio.clock import LoopClock
from lightship.kinds import metrics
from lightship.meta import errors, objects
from lightship.meta.objects import Obj
from lightship.meta.rest import Measurement
from lightship.node.machine import sampling
from lightship.node.machine.sampling import Look, NodeUsage, Rates, Sampler
from lightship.node.runtimes.runtime import Usage

from . import make, site
from .site import Site

MIB = 2**20


def used(cpu: float, memory: int = 64 * MIB) -> Usage:
    return Usage(cpu=int(cpu * 1e9), memory=memory + MIB, working_set=memory, rss=memory - MIB, processes=3)


class Counters:
    """Processors that are busy by the half: half a second of processor time passes in each second."""

    def __init__(self, clock: LoopClock) -> None:
        self.clock = clock
        self.looks = 0

    async def usage(self) -> dict[str, Usage]:
        self.looks += 1
        return {"c": used(self.clock.monotonic() / 2)} | ({"new": used(9)} if self.looks > 2 else {})

    def node(self) -> NodeUsage:
        return NodeUsage(cpu=7, working_set=8, available=9)


class TestSampling:
    def test_the_first_to_ask_waits_a_second_and_others_get_the_same(self) -> None:
        async def story() -> None:
            counters = Counters(LoopClock())
            sampler = Sampler(counters.usage, counters.node, counters.clock)
            first, second = await asyncio.gather(sampler.rates(), sampler.rates())
            assert first == second
            assert (first.window, first.of("c"), first.node, counters.looks) == (sampling.FIRST_WINDOW, 500_000_000, 0, 2)

        virtual.run(story())

    def test_later_answers_are_of_the_time_between_and_old_looks_are_forgotten(self) -> None:
        async def story() -> list[Rates]:
            counters = Counters(LoopClock())
            sampler = Sampler(counters.usage, counters.node, counters.clock)
            found = []
            for pause in (0.0, 5.0, 30.0, 5.0, 1000.0):
                await counters.clock.sleep(pause)
                found.append(await sampler.rates())
            return found

        found = virtual.run(story())
        assert [round(rates.window) for rates in found] == [1, 1, 35, 35, 1]
        assert [rates.of("c") for rates in found] == [500_000_000] * 5
        assert [rates.of("new") for rates in found] == [None, None, None, None, 0], "not at both looks"

    def test_what_is_new_since_the_last_look_is_measured_since_its_start(self) -> None:
        node = NodeUsage(cpu=0, working_set=0, available=0)
        rates = Rates(Look(100.0, 5100.0, node, {"c": used(4), "new": used(3)}), Look(60.0, 5060.0, node, {"c": used(2)}))
        assert rates.of("c", 5000.0) == 50_000_000
        assert rates.of("new", 5090.0) == 300_000_000
        assert rates.of("new", 5099.5) is None, "too short ago"
        assert rates.of("new") is None
        assert rates.of("gone", 5090.0) is None


def test_what_is_used_can_be_asked_for() -> None:
    async def story(here: Site) -> None:
        await running(here)
        pods = (await here.client.list(metrics.POD_METRICS, "default")).items
        assert [(p["metadata"]["name"], p["containers"]) for p in pods] == [
            ("p", [{"name": "main", "usage": {"cpu": "0", "memory": "64Mi"}}])
        ]
        (node,) = (await here.client.list(metrics.NODE_METRICS)).items
        assert node["metadata"]["name"] == "n1"
        assert node["window"] == "1s"
        assert node["usage"]["memory"].endswith(("Ki", "Mi", "Gi"))
        one = await here.client.get(metrics.POD_METRICS, "p", "default")
        assert one["kind"] == "PodMetrics"
        assert one["metadata"]["labels"] == {"app": "p"}

    site.run(story)


def test_selectors_look_at_the_pods_themselves() -> None:
    async def story(here: Site) -> None:
        await running(here)
        for selector, want in (("app=p", 1), ("app=q", 0)):
            assert len((await here.client.list(metrics.POD_METRICS, "default", labels=selector)).items) == want
        assert not (await here.client.list(metrics.POD_METRICS, "elsewhere")).items

    site.run(story)


def test_what_is_not_known_is_not_found() -> None:
    async def story(here: Site) -> None:
        for resource, name, want in (
            (metrics.POD_METRICS, "q", 'podmetrics.metrics.k8s.io "default/q" not found'),
            (metrics.NODE_METRICS, "n7", 'nodemetrics.metrics.k8s.io "n7" not found'),
        ):
            with pytest.raises(errors.StatusError) as refused:
                await here.client.get(resource, name, "default" if resource.namespaced else "")
            assert (refused.value.code, refused.value.message) == (404, want)

    site.run(story)


def test_the_node_tells_statistics_as_a_kubelet() -> None:
    async def story(here: Site) -> None:
        pod = await running(here)
        told = await here.agent.measuring.summary()
        assert told["node"]["nodeName"] == "n1"
        assert told["node"]["fs"]["capacityBytes"] > 0
        (shown,) = told["pods"]
        assert shown["podRef"] == {"name": "p", "namespace": "default", "uid": objects.uid(pod)}
        assert shown["process_stats"] == {"process_count": 3}
        (container,) = shown["containers"]
        assert container["cpu"] | {"time": ""} == {"time": "", "usageCoreNanoSeconds": 3_000_000_000, "usageNanoCores": 0}
        assert container["memory"]["workingSetBytes"] == 64 * MIB
        text = await here.agent.measuring.resource_metrics()
        assert 'container_cpu_usage_seconds_total{container="main",namespace="default",pod="p"} 3 ' in text
        assert 'pod_memory_working_set_bytes{namespace="default",pod="p"} 67108864 ' in text
        text = await here.agent.measuring.cadvisor_metrics()
        assert 'container_memory_rss{container="main",namespace="default",pod="p",id=' in text
        assert "machine_cpu_cores" in text

    site.run(story)


def test_a_measurement_is_of_what_runs() -> None:
    async def story(here: Site) -> Measurement:
        await running(here)
        here.runtime.end("main", 0)
        await here.until_phase("Succeeded")
        return await here.agent.measure()

    assert site.run(story).pods.popitem()[1] == {}


async def running(here: Site) -> Obj:
    """A pod that runs and uses something."""
    pod = make.pod(restartPolicy="Never")
    pod["metadata"]["labels"] = {"app": "p"}
    await here.run_pod(pod)
    found = await here.until_phase("Running")
    here.runtime.used = {objects.uid(found): used(4), here.runtime.spec("main").id: used(3)}
    return found
