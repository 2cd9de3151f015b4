"""Eviction as the API shows it: status, conditions, events, the node; in virtual time, with signals that the test invents."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from lightship import kinds
from lightship.meta import conditions, objects
from lightship.meta.objects import Obj
from lightship.node.machine.pressure import Signal
from lightship.node.runtimes.runtime import Usage

from . import make, site
from .site import Site

MIB = 2**20
LOW = {"memory.available": Signal(64 * MIB, 8192 * MIB)}
WELL = {"memory.available": Signal(4096 * MIB, 8192 * MIB)}


def test_a_pod_that_fills_its_volume_is_evicted() -> None:
    async def story(here: Site) -> None:
        pretend_disk(here, {"volume/v": 600_000})
        await here.run_pod(make.pod(volumes=[{"name": "v", "emptyDir": {"sizeLimit": "512Ki"}}]))
        pod = await here.until_phase("Failed")
        want = 'Usage of EmptyDir volume "v" exceeds the limit "512Ki". '
        assert (objects.status(pod)["reason"], objects.status(pod)["message"]) == ("Evicted", want)
        assert conditions.get(pod, "DisruptionTarget") is None
        assert ("Evicted", want) in await here.events()
        assert objects.status(pod)["containerStatuses"][0]["state"]["terminated"]["exitCode"] == 143

    site.run(story)


def test_pods_without_limits_are_never_measured() -> None:
    async def story(here: Site) -> None:
        asked = pretend_disk(here, {})
        await here.run_pod(make.pod(volumes=[{"name": "v", "emptyDir": {}}]))
        await here.until_phase("Running")
        await here.clock.sleep(60)
        assert not asked

    site.run(story)


def test_short_of_memory_the_greediest_goes_and_the_node_says_so() -> None:
    async def story(here: Site) -> None:
        for name, request in (("modest", "1Gi"), ("greedy", "1Mi")):
            await here.run_pod(pod(name, requests={"memory": request}))
            await here.until_phase("Running", name)
        for spec in here.runtime.containers.values():
            for id in (spec.id, spec.sandbox_id):
                here.runtime.used[id] = Usage(cpu=0, memory=0, working_set=512 * MIB, rss=0, processes=1)
        told(here, LOW)
        gone = await here.until_phase("Failed", "greedy")
        want = (
            "The node was low on resource: memory. Threshold quantity: 100Mi, available: 64Mi. "
            "Container main was using 512Mi, request is 1Mi, has larger consumption of memory. "
        )
        assert (objects.status(gone)["reason"], objects.status(gone)["message"]) == ("Evicted", want)
        disrupted = conditions.get(gone, "DisruptionTarget")
        assert disrupted is not None
        assert (disrupted["status"], disrupted["reason"], disrupted["message"]) == ("True", "TerminationByKubelet", want)
        told(here, WELL)
        assert await pressure_of(here) == ("True", "KubeletHasInsufficientMemory")
        await here.run_pod(pod("late"))
        late = await here.until_phase("Failed", "late")
        assert objects.status(late)["message"] == "Pod was rejected: The node had condition: [MemoryPressure]. "
        assert not [spec for spec in here.runtime.started if spec.sandbox_id == objects.uid(late)]
        await here.clock.sleep(320)
        assert await pressure_of(here) == ("False", "KubeletHasSufficientMemory")
        assert objects.status(await here.until_phase("Running", "modest"))["phase"] == "Running"
        reasons = [reason for reason, _ in await here.events()]
        assert [r for r in reasons if r.startswith("Node")] == ["NodeHasInsufficientMemory", "NodeHasSufficientMemory"]
        assert "EvictionThresholdMet" in reasons

    site.run(story)


def test_what_nobody_uses_goes_before_any_pod() -> None:
    async def story(here: Site) -> None:
        await here.run_pod(pod("p"))
        await here.until_phase("Running")
        left, asked = [Signal(5, 100)], []

        async def reclaim(signal: str) -> bool:
            asked.append(signal)
            left.append(Signal(50, 100))
            return True

        here.agent.evicting.reclaim = reclaim
        here.agent.evicting.signals = lambda: {"imagefs.available": left[-1]}
        await here.clock.sleep(60)
        assert asked == ["imagefs.available"], "once was enough"
        await here.until_phase("Running")
        assert ("EvictionThresholdMet", "Attempting to reclaim ephemeral-storage") in await here.events()

    site.run(story)


@pytest.mark.parametrize("why_not", ["frees nothing", "another disk", "fails"])
def test_a_pod_goes_when_that_is_not_enough(why_not: str) -> None:
    async def story(here: Site) -> None:
        async def reclaim(signal: str) -> bool:
            if why_not == "fails":
                raise OSError(28, "No space left on device")
            return why_not == "frees nothing"

        pretend_disk(here, {"logs/main": 7 * MIB, "rootfs/main": MIB})
        here.agent.evicting.reclaim = reclaim
        await here.run_pod(pod("p"))
        await here.until_phase("Running")
        told(here, {"nodefs.available": Signal(5, 100)})
        gone = await here.until_phase("Failed")
        assert objects.status(gone)["message"] == (
            "The node was low on resource: ephemeral-storage. Threshold quantity: 10, available: 5. "
            "Container main was using 8Mi, request is 0, has larger consumption of ephemeral-storage. "
        )

    site.run(story)


def test_critical_pods_stay() -> None:
    async def story(here: Site) -> None:
        await here.run_pod(pod("p", priorityClassName="system-node-critical"))
        await here.until_phase("Running")
        told(here, LOW)
        await here.clock.sleep(60)
        assert await pressure_of(here) == ("True", "KubeletHasInsufficientMemory")
        await here.until_phase("Running")

    site.run(story)


def pod(name: str, requests: Obj | None = None, **spec: Any) -> Obj:
    made = make.pod(make.container(resources={"requests": requests} if requests else {}), **spec)
    made["metadata"]["name"] = name
    return made


def told(here: Site, signals: Mapping[str, Signal]) -> None:
    here.agent.evicting.signals = lambda: signals


def pretend_disk(here: Site, used: dict[str, int]) -> list[Mapping[str, Path]]:
    """What was asked for."""
    asked: list[Mapping[str, Path]] = []

    async def measure(paths: Mapping[str, Path]) -> dict[str, int]:
        asked.append(paths)
        return used

    here.agent.evicting.measure = measure  # type: ignore[method-assign]  # threads stand still in virtual time
    return asked


async def pressure_of(here: Site) -> tuple[str, str]:
    found = conditions.get(await here.client.get(kinds.NODES, "n1"), "MemoryPressure")
    assert found is not None
    return found["status"], found["reason"]
