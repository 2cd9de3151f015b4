"""Claims through the bind loop, on our API server in virtual time."""

from random import Random
from typing import Any, cast

import pytest

from lightship.cli.cluster import Cluster
from lightship.client.http import HttpTransport
from lightship.kinds import DEVICE_CLASSES, NODES, PODS, RESOURCE_CLAIMS, RESOURCE_SLICES
from lightship.meta import conditions, objects
from lightship.meta.objects import Obj
from lightship.meta.rest import DeleteOptions
from lightship.scheduler.cli import explain_pod
from tests.client.faults import Faults
from tests.scheduler.test_controller import Site, run

DRIVER = "gpu.example.com"
FINALIZER = "resource.kubernetes.io/delete-protection"


async def publish(here: Site, node: str, *devices: Obj, **spec: Any) -> None:
    pool = {"name": node, "generation": 1, "resourceSliceCount": 1}
    place = {} if spec.get("nodeSelector") or spec.get("allNodes") else {"nodeName": node}
    spec = {"driver": DRIVER, "pool": pool, "devices": list(devices), **place, **spec}
    await here.client.create(RESOURCE_SLICES, {"metadata": {"name": f"{node}-{DRIVER}"}, "spec": spec})


def gpus(count: int, **more: Any) -> list[Obj]:
    return [{"name": f"gpu-{i}", "attributes": {"index": {"int": i}}, **more} for i in range(count)]


async def classes(here: Site, name: str = "gpu", **spec: Any) -> None:
    selector = {"cel": {"expression": f'device.driver == "{DRIVER}"'}}
    await here.client.create(DEVICE_CLASSES, {"metadata": {"name": name}, "spec": {"selectors": [selector], **spec}})


async def claim(here: Site, name: str, count: int = 1, **devices: Any) -> Obj:
    requests = [{"name": "r", "exactly": {"deviceClassName": "gpu", "count": count}}]
    spec = {"devices": {"requests": requests, **devices}}
    return await here.client.create(RESOURCE_CLAIMS, {"metadata": {"name": name, "namespace": "default"}, "spec": spec})


def using(*claims: str) -> dict[str, Any]:
    containers = [{"name": "main", "image": "python", "resources": {"claims": [{"name": name} for name in claims]}}]
    return {"containers": containers, "resourceClaims": [{"name": name, "resourceClaimName": name} for name in claims]}


async def allocated(here: Site, name: str) -> list[str]:
    """`pool/device` of what a claim has."""
    allocation = objects.status(await here.client.get(RESOURCE_CLAIMS, name, "default")).get("allocation") or {}
    return [f"{result['pool']}/{result['device']}" for result in (allocation.get("devices") or {}).get("results") or ()]


async def reserved(here: Site, name: str) -> list[str]:
    status = objects.status(await here.client.get(RESOURCE_CLAIMS, name, "default"))
    return [consumer["name"] for consumer in status.get("reservedFor") or ()]


def test_a_claim_gets_a_device_and_its_pod_that_devices_node() -> None:
    async def work(here: Site) -> None:
        await here.add_node("n1")
        await here.add_node("n2")
        await classes(here)
        await publish(here, "n2", *gpus(2))
        await claim(here, "c")
        await here.add("p", **using("c"))
        assert await here.until_placed("p") == {"p": "n2"}
        found = await here.client.get(RESOURCE_CLAIMS, "c", "default")
        assert FINALIZER in objects.meta(found)["finalizers"]
        pod = await here.client.get(PODS, "p", "default")
        allocation = found["status"]["allocation"]
        assert allocation.pop("allocationTimestamp")
        fields = [{"key": "metadata.name", "operator": "In", "values": ["n2"]}]
        assert found["status"] == {
            "allocation": {
                "devices": {"results": [{"request": "r", "driver": DRIVER, "pool": "n2", "device": "gpu-0"}]},
                "nodeSelector": {"nodeSelectorTerms": [{"matchFields": fields}]},
            },
            "reservedFor": [{"resource": "pods", "name": "p", "uid": objects.uid(pod)}],
        }

    run(work)


def test_pods_that_come_together_never_get_one_device() -> None:
    async def work(here: Site) -> None:
        await classes(here)
        for node in ("n1", "n2"):
            await here.add_node(node)
            await publish(here, node, *gpus(3))
        names = [f"p{i}" for i in range(8)]
        for name in names:
            await claim(here, name)
        for name in names:
            await here.add(name, **using(name))

        async def six() -> bool:
            return sum([bool(await here.node_of(name)) for name in names]) == 6

        await here.until(six)
        await here.manager.clock.sleep(30)
        devices = [device for name in names for device in await allocated(here, name)]
        assert len(devices) == len(set(devices)) == 6
        waiting = [name for name in names if not await here.node_of(name)]
        said = await here.until_waiting(waiting[0])
        assert said["reason"] == "Unschedulable"
        preemption = "still not schedulable, preemption: 0/2 nodes are available: 2 Preemption is not helpful for scheduling."
        assert said["message"] == (
            f"0/2 nodes are available: 2 cannot allocate all claims. {preemption} "
            f"The claim {waiting[0]} asks for 1 device of class gpu; node n2 has 0 of 3 left."
        )

    run(work)


def test_devices_that_come_free_are_given_on() -> None:
    async def work(here: Site) -> None:
        await classes(here)
        await here.add_node("n1")
        await publish(here, "n1", *gpus(1))
        await claim(here, "a")
        await claim(here, "b")
        await here.add("p", **using("a"))
        await here.until_placed("p")
        await here.add("q", **using("b"))
        await here.until_waiting("q")
        await here.client.delete(PODS, "p", "default", DeleteOptions(grace_period_seconds=0))
        found = await here.client.get(RESOURCE_CLAIMS, "a", "default")
        await here.client.update_status(RESOURCE_CLAIMS, {**found, "status": {}})
        assert await here.until_placed("q") == {"q": "n1"}

    run(work)


def test_a_shared_claim_brings_its_pods_to_one_node() -> None:
    async def work(here: Site) -> None:
        await classes(here)
        for node in ("n1", "n2", "n3"):
            await here.add_node(node)
            await publish(here, node, *gpus(1))
        await claim(here, "c")
        names = [f"p{i}" for i in range(5)]
        await here.add(*names, **using("c"))
        placed = await here.until_placed(*names)
        assert len(set(placed.values())) == 1
        assert sorted(await reserved(here, "c")) == names
        assert len(await allocated(here, "c")) == 1

    run(work)


def test_what_is_missing_is_said_and_waited_for() -> None:
    async def work(here: Site) -> None:
        await here.add_node("n1")
        await here.add("p", **using("c"))
        said = await here.until_waiting("p")
        assert said["message"].startswith('0/1 nodes are available: resourceclaim.resource.k8s.io "c" not found.')
        await claim(here, "c")

        async def no_class() -> bool:
            pod = await here.client.get(PODS, "p", "default")
            return "request r: device class gpu does not exist" in (conditions.get(pod, "PodScheduled") or {}).get("message", "")

        await here.until(no_class)
        await classes(here)

        async def no_device() -> bool:
            pod = await here.client.get(PODS, "p", "default")
            return "1 cannot allocate all claims." in (conditions.get(pod, "PodScheduled") or {}).get("message", "")

        await here.until(no_device)
        await publish(here, "n1", *gpus(1))
        await here.until_placed("p")

    run(work)


def test_a_claim_that_is_not_made_yet_is_waited_for_without_a_word() -> None:
    async def work(here: Site) -> None:
        await here.add_node("n1")
        await classes(here)
        await publish(here, "n1", *gpus(1))
        uses = [{"name": "x", "resourceClaimTemplateName": "t"}]
        containers = [{"name": "main", "image": "python", "resources": {"claims": [{"name": "x"}]}}]
        await here.add("p", containers=containers, resourceClaims=uses)
        await here.manager.clock.sleep(20)
        assert await here.events("FailedScheduling") == []
        pod = await here.client.get(PODS, "p", "default")
        made = {
            "metadata": {
                "name": "p-x-abc",
                "namespace": "default",
                "ownerReferences": [objects.owner_reference({"apiVersion": "v1", "kind": "Pod", **pod})],
            },
            "spec": {"devices": {"requests": [{"name": "r", "exactly": {"deviceClassName": "gpu"}}]}},
        }
        await here.client.create(RESOURCE_CLAIMS, made)
        status = {"resourceClaimStatuses": [{"name": "x", "resourceClaimName": "p-x-abc"}]}
        await here.client.patch(PODS, "p", {"status": status}, "default", subresource="status")
        await here.until_placed("p")
        assert await reserved(here, "p-x-abc") == ["p"]

    run(work)


def test_an_expression_that_fails_stops_only_its_pod() -> None:
    async def work(here: Site) -> None:
        await here.add_node("n1")
        await classes(here)
        await publish(here, "n1", *gpus(2))
        selectors = [{"cel": {"expression": 'device.attributes["other.example.com"].missing == 1'}}]
        requests = [{"name": "r", "exactly": {"deviceClassName": "gpu", "selectors": selectors}}]
        await here.client.create(
            RESOURCE_CLAIMS, {"metadata": {"name": "bad", "namespace": "default"}, "spec": {"devices": {"requests": requests}}}
        )
        await claim(here, "good")
        await here.add("p", **using("bad"))
        await here.add("q", **using("good"))
        await here.until_placed("q")
        said = await here.until_waiting("p")
        assert said["reason"] == "SchedulerError"
        assert said["message"] == (
            'running "DynamicResources" filter plugin: claim default/bad: selector #0: CEL runtime error: no such key: missing'
        )

    run(work)


def test_the_first_of_a_list_decides_between_nodes() -> None:
    async def work(here: Site) -> None:
        await classes(here)
        await here.add_node("n1")
        await here.add_node("n2")
        await publish(here, "n1", {"name": "old", "attributes": {"model": {"string": "a"}}})
        await publish(here, "n2", {"name": "new", "attributes": {"model": {"string": "b"}}})
        ways = [
            {
                "name": model,
                "deviceClassName": "gpu",
                "selectors": [{"cel": {"expression": f'device.attributes["{DRIVER}"].model == "{model}"'}}],
            }
            for model in ("b", "a")
        ]
        spec = {"devices": {"requests": [{"name": "r", "firstAvailable": ways}]}}
        for name in ("c", "d"):
            await here.client.create(RESOURCE_CLAIMS, {"metadata": {"name": name, "namespace": "default"}, "spec": spec})
        await here.add("p", **using("c"))
        assert await here.until_placed("p") == {"p": "n2"}
        await here.add("q", **using("d"))
        assert await here.until_placed("q") == {"q": "n1"}

    run(work)


def test_extended_resources_are_drawn_from_devices_where_a_node_has_none_of_its_own() -> None:
    async def work(here: Site) -> None:
        await classes(here, extendedResourceName="example.com/gpu")
        await here.add_node("n1")
        await publish(here, "n1", *gpus(3))
        resources = {"requests": {"example.com/gpu": "2"}, "limits": {"example.com/gpu": "2"}}
        await here.add("p", containers=[{"name": "main", "image": "python", "resources": resources}])
        await here.until_placed("p")
        pod = await here.client.get(PODS, "p", "default")
        told = pod["status"]["extendedResourceClaimStatus"]
        mapping = {"containerName": "main", "resourceName": "example.com/gpu", "requestName": "container-0-request-0"}
        assert told["requestMappings"] == [mapping]
        made = await here.client.get(RESOURCE_CLAIMS, told["resourceClaimName"], "default")
        assert objects.name(made).startswith("p-extended-resources-")
        assert objects.annotations(made) == {"resource.kubernetes.io/extended-resource-claim": "true"}
        assert objects.is_controlled_by(made, pod)
        assert await allocated(here, objects.name(made)) == ["n1/gpu-0", "n1/gpu-1"]
        assert await reserved(here, objects.name(made)) == ["p"]
        await here.add("q", containers=[{"name": "main", "image": "python", "resources": resources}])
        assert "1 cannot allocate all claims." in (await here.until_waiting("q"))["message"]
        await here.add_node("n2", extended={"example.com/gpu": "2"})
        assert await here.until_placed("q") == {"q": "n2"}
        assert "extendedResourceClaimStatus" not in (await here.client.get(PODS, "q", "default"))["status"]

    run(work)


def test_shares_of_a_device_have_ids_and_add_up() -> None:
    async def work(here: Site) -> None:
        await classes(here)
        await here.add_node("n1")
        policy = {"default": "4", "validRange": {"min": "4", "step": "4"}}
        await publish(here, "n1", *gpus(1, allowMultipleAllocations=True, capacity={"memory": {"value": "16", "requestPolicy": policy}}))
        for name, memory in (("a", "5"), ("b", "4"), ("c", "8")):
            exact = {"deviceClassName": "gpu", "capacity": {"requests": {"memory": memory}}}
            spec = {"devices": {"requests": [{"name": "r", "exactly": exact}]}}
            await here.client.create(RESOURCE_CLAIMS, {"metadata": {"name": name, "namespace": "default"}, "spec": spec})
            await here.add(name, **using(name))
        await here.until_placed("a", "b")
        assert "1 cannot allocate all claims." in (await here.until_waiting("c"))["message"]
        shares = []
        for name in ("a", "b"):
            found = await here.client.get(RESOURCE_CLAIMS, name, "default")
            (result,) = found["status"]["allocation"]["devices"]["results"]
            shares.append((result["shareID"], result["consumedCapacity"]["memory"]))
        assert [amount for _, amount in shares] == ["8", "4"]
        assert len({share for share, _ in shares}) == 2

    run(work)


def test_a_pod_waits_for_its_devices_and_goes_elsewhere_when_they_fail() -> None:
    async def tell(here: Site, type: str) -> None:
        found = await here.client.get(RESOURCE_CLAIMS, "c", "default")
        (result,) = found["status"]["allocation"]["devices"]["results"]
        condition = {"type": type, "status": "True", "reason": "Said", "message": "so", "lastTransitionTime": "2026-01-01T00:00:00Z"}
        device = {field: result[field] for field in ("driver", "pool", "device")} | {"conditions": [condition]}
        await here.client.update_status(RESOURCE_CLAIMS, {**found, "status": {**found["status"], "devices": [device]}})

    async def work(here: Site) -> None:
        await classes(here)
        conditional = {"bindingConditions": ["Attached"], "bindingFailureConditions": ["Failed"], "bindsToNode": True}
        for node in ("n1", "n2"):
            await here.add_node(node)
        await publish(here, "n1", *gpus(2, **conditional))
        await claim(here, "c")
        await here.add("p", **using("c"))
        message = "waiting for binding conditions for device on node n1"

        async def waits() -> bool:
            return message in await here.events("BindingConditionsPending")

        await here.until(waits)
        assert await here.node_of("p") == ""
        await tell(here, "Failed")

        async def refused() -> bool:
            return any("device binding failed: claim=c, reason=Said" in said for said in await here.events("FailedScheduling"))

        await here.until(refused)

        async def anew() -> bool:
            found = await here.client.get(RESOURCE_CLAIMS, "c", "default")
            return bool(found["status"].get("allocation")) and not found["status"].get("devices")

        await here.until(anew)
        assert await here.node_of("p") == ""
        await tell(here, "Attached")
        assert await here.until_placed("p") == {"p": "n1"}

    run(work)


def test_a_claim_whose_node_is_gone_is_allocated_anew() -> None:
    async def work(here: Site) -> None:
        await classes(here)
        await here.add_node("n1")
        await publish(here, "n1", *gpus(1))
        created = await claim(here, "c")
        results = [{"request": "r", "driver": DRIVER, "pool": "n9", "device": "gpu-0"}]
        fields = [{"key": "metadata.name", "operator": "In", "values": ["n9"]}]
        selector = {"nodeSelectorTerms": [{"matchFields": fields}]}
        marked = await here.client.patch(RESOURCE_CLAIMS, "c", {"metadata": {"finalizers": [FINALIZER]}}, "default")
        status = {"allocation": {"devices": {"results": results}, "nodeSelector": selector}}
        await here.client.update_status(RESOURCE_CLAIMS, {**marked, "status": status})
        await here.add("p", **using("c"))
        assert await here.until_placed("p") == {"p": "n1"}
        assert objects.uid(created) == objects.uid(await here.client.get(RESOURCE_CLAIMS, "c", "default"))
        assert await allocated(here, "c") == ["n1/gpu-0"]
        (said,) = await here.events("FailedScheduling")
        assert said.startswith(
            "0/1 nodes are available: 1 resourceclaim not available on the node. deallocation of ResourceClaim completed, "
        )

    run(work)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(8))
def test_on_a_bad_day_every_pod_gets_its_own_devices(seed: int) -> None:
    """Refused writes, lost answers, broken watches: in the end all that can have devices have them, no two the same."""
    faults = Faults(Random(seed), refuse=0.15, lose_answer=0.2, read=0.1, drop_watch=0.1, expire_watch=0.05, repeat_event=0.1)

    async def work(here: Site) -> None:
        await classes(here, extendedResourceName="example.com/gpu")
        for node in ("n1", "n2"):
            await here.add_node(node)
            await publish(here, node, *gpus(4))
        await claim(here, "shared")
        names = [f"p{i}" for i in range(4)]
        for name in names:
            await claim(here, name)
            await here.add(name, **using(name))
        await here.add("s1", **using("shared"))
        await here.add("s2", **using("shared"))
        resources = {"requests": {"example.com/gpu": "1"}, "limits": {"example.com/gpu": "1"}}
        await here.add("e1", "e2", containers=[{"name": "main", "image": "python", "resources": resources}])
        every = [*names, "s1", "s2", "e1", "e2"]
        placed = await here.until_placed(*every)
        await here.manager.clock.sleep(30)
        assert placed["s1"] == placed["s2"]
        claims = (await here.client.list(RESOURCE_CLAIMS)).items
        used = [
            f"{r['pool']}/{r['device']}"
            for c in claims
            for r in ((c["status"].get("allocation") or {}).get("devices") or {}).get("results") or ()
        ]
        assert len(used) == len(set(used))
        for name in names:
            (device,) = await allocated(here, name)
            assert device.startswith(placed[name])
            assert await reserved(here, name) == [name]
        assert sorted(await reserved(here, "shared")) == ["s1", "s2"]
        for name in ("e1", "e2"):
            made = (await here.client.get(PODS, name, "default"))["status"]["extendedResourceClaimStatus"]["resourceClaimName"]
            assert (await allocated(here, made))[0].startswith(placed[name])
        assert faults.happened > 0

    run(work, faults)


def test_gone_nodes_are_no_longer_offered() -> None:
    async def work(here: Site) -> None:
        await classes(here)
        await here.add_node("n1")
        await publish(here, "n1", *gpus(1))
        await claim(here, "c")
        await here.client.delete(NODES, "n1")
        await here.add("p", **using("c"))
        said = await here.until_waiting("p")
        assert "no nodes available" in said["message"]

    run(work)


def test_the_command_line_tells_which_node_lacks_what(capsys: pytest.CaptureFixture[str]) -> None:
    async def work(here: Site) -> None:
        await classes(here)
        for node, count in (("n1", 2), ("n2", 1)):
            await here.add_node(node)
            await publish(here, node, *gpus(count))
        await claim(here, "a", 2)
        await claim(here, "b", 2)
        await here.add("p", **using("a"))
        await here.until_placed("p")
        await here.add("q", **using("b"))
        await here.until_waiting("q")
        asked = Cluster(cast(HttpTransport, here.client.transport), "default")
        for name in ("p", "q"):
            await explain_pod(asked, name, "")

    run(work)
    placed, waiting = capsys.readouterr().out.split("Pod default/q ")
    assert placed.startswith("Pod default/p is on node n1; 1 of 2 nodes could run it now.")
    assert "resourceclaim not available on the node" in placed
    assert waiting.startswith("has no node; 0 of 2 nodes could run it now.")
    assert "The claim b asks for 2 devices of class gpu; node n1 has 0 of 2 left." in waiting
    assert "The claim b asks for 2 devices of class gpu; node n2 has 1 of 1 left." in waiting
