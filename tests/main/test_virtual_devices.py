"""A whole platform whose nodes have devices to be cut and to be shared: pods come, end and are deleted, and nothing is given away twice."""

from collections import defaultdict
from decimal import Decimal
from typing import Any

import pytest

from lightship import kinds
from lightship.main import virtual
from lightship.meta import codec, objects, quantity
from lightship.meta.objects import Obj
from lightship.meta.rest import DeleteOptions
from lightship.store import Event
from lightship.testing import in_virtual_time

CARDS, NICS = "cards.example.com", "nics.example.com"
MEMORY, BANDWIDTH = 40, 10
SIZES = {"whole": 40, "half": 20, "quarter": 10}
NODES = 3


class Books:
    """What the store tells of claims, added up anew with every change."""

    def __init__(self) -> None:
        self.results: dict[str, list[Obj]] = {}
        self.most: defaultdict[str, Decimal] = defaultdict(Decimal)
        """The most that was ever given away of a card's memory and a link's bandwidth, by device."""
        self.taken: set[str] = set()
        """Names of all parts that were ever given away."""
        self.wrong: list[str] = []

    def tell(self, event: Event) -> None:
        obj = codec.decode(event.record.value)
        if obj.get("kind") != "ResourceClaim":
            return
        devices = (objects.status(obj).get("allocation") or {}).get("devices") or {}
        found = [] if event.type == "DELETED" else devices.get("results") or []
        self.results[f"{objects.namespace(obj)}/{objects.name(obj)}"] = found
        self._count()

    def _count(self) -> None:
        used: defaultdict[str, Decimal] = defaultdict(Decimal)
        alone: set[tuple[str, str]] = set()
        for result in (result for results in self.results.values() for result in results):
            pool, device = result["pool"], result["device"]
            if result["driver"] == NICS:
                used[f"{pool} nic"] += quantity.parse(result["consumedCapacity"]["bandwidth"])
                continue
            if (pool, device) in alone:
                self.wrong.append(f"{pool}/{device} twice")
            alone.add((pool, device))
            self.taken.add(device)
            used[f"{pool} card"] += SIZES[device.split("-")[0]]
        for name, amount in used.items():
            self.most[name] = max(self.most[name], amount)


async def publish(there: virtual.VirtualPlatform, node: str) -> None:
    """A card that is one, two or four devices, and a link that many may share."""

    async def slice(name: str, driver: str, pool: Obj, **what: Any) -> None:
        spec = {"driver": driver, "pool": {"name": node, "generation": 1, **pool}, "nodeName": node, **what}
        await there.client.create(kinds.RESOURCE_SLICES, {"metadata": {"name": f"{node}-{name}"}, "spec": spec})

    counters = [{"name": "card", "counters": {"memory": {"value": f"{MEMORY}Gi"}}}]
    await slice("counters", CARDS, {"resourceSliceCount": 2}, sharedCounters=counters)
    parts = [("whole", 0), ("half", 0), ("half", 1), *(("quarter", number) for number in range(4))]
    devices = [
        {
            "name": f"{size}-{number}",
            "attributes": {"size": {"string": size}},
            "consumesCounters": [{"counterSet": "card", "counters": {"memory": {"value": f"{SIZES[size]}Gi"}}}],
        }
        for size, number in parts
    ]
    await slice("parts", CARDS, {"resourceSliceCount": 2}, devices=devices)
    policy = {"default": "1", "validRange": {"min": "1", "step": "1"}}
    capacity = {"bandwidth": {"value": str(BANDWIDTH), "requestPolicy": policy}}
    await slice("nic", NICS, {"resourceSliceCount": 1}, devices=[{"name": "nic", "allowMultipleAllocations": True, "capacity": capacity}])


def part(*sizes: str) -> Obj:
    """A request for the first of these parts that there is."""
    ways = [
        {
            "name": size,
            "deviceClassName": "cards",
            "selectors": [{"cel": {"expression": f'device.attributes["{CARDS}"].size == "{size}"'}}],
        }
        for size in sizes
    ]
    return {"name": "part", "firstAvailable": ways}


def share(bandwidth: int) -> Obj:
    return {"name": "link", "exactly": {"deviceClassName": "nics", "capacity": {"requests": {"bandwidth": str(bandwidth)}}}}


async def job(there: virtual.VirtualPlatform, name: str, pods: int, *requests: Obj, side_by_side: int = 6, seconds: int = 20) -> None:
    """A Job of so many pods that run for a while, each with a claim of its own."""
    template = {"metadata": {"name": name, "namespace": "default"}, "spec": {"spec": {"devices": {"requests": list(requests)}}}}
    await there.client.create(kinds.RESOURCE_CLAIM_TEMPLATES, template)
    container = {"name": "c", "image": "x", "resources": {"claims": [{"name": "d"}]}}
    pod = {
        "restartPolicy": "Never",
        "containers": [container],
        "resourceClaims": [{"name": "d", "resourceClaimTemplateName": name}],
    }
    annotations = {
        "pod-complete.stage.kwok.x-k8s.io/delay": f"{seconds}s",
        "pod-complete.stage.kwok.x-k8s.io/jitter-delay": f"{2 * seconds}s",
    }
    spec = {"parallelism": side_by_side, "completions": pods, "template": {"metadata": {"annotations": annotations}, "spec": pod}}
    await there.client.create(kinds.JOBS, {"metadata": {"name": name, "namespace": "default"}, "spec": spec})


async def nodes_with_devices(there: virtual.VirtualPlatform) -> None:
    for name, driver in (("cards", CARDS), ("nics", NICS)):
        selectors = [{"cel": {"expression": f'device.driver == "{driver}"'}}]
        await there.client.create(kinds.DEVICE_CLASSES, {"metadata": {"name": name}, "spec": {"selectors": selectors}})
    for node in (await there.client.list(kinds.NODES)).items:
        await publish(there, objects.name(node))


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
def test_parts_and_shares_are_given_away_once_and_given_back(seed: int) -> None:
    books = Books()

    @in_virtual_time
    async def day() -> None:
        async with virtual.platform(virtual.Setup(seed=seed, nodes=NODES, tell=books.tell)) as there:
            await nodes_with_devices(there)
            await job(there, "big", 5, part("whole"))
            await job(there, "any", 12, part("whole", "half", "quarter"))
            await job(there, "small", 12, part("quarter", "half"), share(3))
            await job(there, "talkative", 12, share(4))
            await job(there, "endless", 4, part("half", "quarter"), share(1), seconds=100_000)
            await there.sleep(300)
            await there.client.delete(kinds.JOBS, "endless", "default", DeleteOptions(propagation_policy="Background"))

            async def done() -> bool:
                jobs = (await there.client.list(kinds.JOBS, "default")).items
                return len(jobs) == 4 and all(objects.status(job).get("succeeded") == objects.spec(job)["completions"] for job in jobs)

            await there.until(done, within=3 * 3600)

            async def given_back() -> bool:
                return not (await there.client.list(kinds.RESOURCE_CLAIMS, "default")).items

            await there.until(given_back)
            await job(there, "after", NODES, part("whole"), share(BANDWIDTH), seconds=1000)

            async def all_run() -> bool:
                pods = (await there.client.list(kinds.PODS, "default", labels="job-name=after")).items
                return sum(kinds.pod_phase(pod) == "Running" for pod in pods) == NODES

            await there.until(all_run)

    day()
    assert not books.wrong
    nodes = {name.split()[0] for name in books.most}
    assert len(nodes) == NODES
    assert {books.most[f"{node} card"] for node in nodes} == {MEMORY}, "all of a card is given away, and no more"
    assert {books.most[f"{node} nic"] for node in nodes} == {BANDWIDTH}
    assert {name.split("-")[0] for name in books.taken} == set(SIZES)
