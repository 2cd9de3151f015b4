"""Devices of pods, by number and by claim, on our own API server; a scheduler's part is written by hand."""

import asyncio
from typing import Any

import pytest

from lightship import kinds
from lightship.aio import virtual
from lightship.client import Client
from lightship.meta import objects
from lightship.meta.objects import Obj
from lightship.meta.resources import Resource
from lightship.meta.rest import DeleteOptions
from lightship.node.machine.devices import podclaims
from lightship.node.machine.devices.device import DRIVER
from lightship.node.machine.devices.podclaims import ClaimError

from . import site
from .make import container, pod
from .site import ADMIN, Site

GPUS = {"LIGHTSHIP_GPUS": "2"}


def by_number(count: int, name: str = "main") -> Obj:
    return container(name, resources={"limits": {"nvidia.com/gpu": str(count)}, "requests": {"nvidia.com/gpu": str(count)}})


def by_claim(name: str = "main", claim: str = "gpu", request: str = "") -> Obj:
    asked = {"name": claim, **({"request": request} if request else {})}
    return container(name, resources={"claims": [asked]})


async def claim(s: Site, name: str = "c", requests: tuple[str, ...] = ("r",)) -> Obj:
    wanted = [{"name": r, "exactly": {"deviceClassName": DRIVER}} for r in requests]
    body = {"metadata": {"name": name, "namespace": "default"}, "spec": {"devices": {"requests": wanted}}}
    return await s.client.create(kinds.RESOURCE_CLAIMS, body)


def result(device: str, request: str = "r", driver: str = DRIVER, **more: Any) -> Obj:
    return {"request": request, "driver": driver, "pool": "n1", "device": device, **more}


async def allocate(s: Site, name: str, *results: Obj, pods: tuple[Obj, ...] = ()) -> Obj:
    """As a scheduler does right before it binds the pods."""
    found = await s.client.get(kinds.RESOURCE_CLAIMS, name, "default")
    reserved = [{"resource": "pods", "name": objects.name(p), "uid": objects.uid(p)} for p in pods]
    status = {"allocation": {"devices": {"results": list(results)}}, "reservedFor": reserved}
    return await s.client.patch_status(kinds.RESOURCE_CLAIMS, found, status)


async def deallocate(s: Site, name: str) -> None:
    found = await s.client.get(kinds.RESOURCE_CLAIMS, name, "default")
    await s.client.patch_status(kinds.RESOURCE_CLAIMS, found, {})


async def until(s: Site, resource: Resource, name: str, holds: Any) -> Obj:
    informer = s.agent._manager.cache.informer(resource)
    key = objects.Key("", name)
    async with asyncio.timeout(600):
        await informer.wait_until(lambda: (found := informer.get(key)) is not None and holds(found))
    return await s.client.get(resource, name)


async def slice_shows(s: Site, *names: str) -> Obj:
    return await until(
        s, kinds.RESOURCE_SLICES, f"n1-{DRIVER}", lambda o: [d["name"] for d in o["spec"].get("devices") or ()] == list(names)
    )


async def allocatable(s: Site, count: int) -> Obj:
    return await until(s, kinds.NODES, "n1", lambda node: node["status"]["allocatable"].get("nvidia.com/gpu") == str(count))


def env(s: Site, name: str = "main") -> dict[str, str]:
    return {k: v for k, v in s.runtime.spec(name).env.items() if "VISIBLE" in k}


def test_a_node_offers_its_devices_both_ways() -> None:
    async def scenario(s: Site) -> None:
        node = await s.client.get(kinds.NODES, "n1")
        assert node["status"]["capacity"]["nvidia.com/gpu"] == "2"
        told = await slice_shows(s, "gpu-0", "gpu-1")
        assert (told["spec"]["driver"], told["spec"]["nodeName"]) == (DRIVER, "n1")
        assert objects.owners(told)[0]["uid"] == objects.uid(node)

    site.run(scenario, environ=GPUS)


def test_a_node_without_devices_offers_none() -> None:
    async def scenario(s: Site) -> None:
        assert not s.agent.has_devices
        assert (await s.client.list(kinds.RESOURCE_SLICES)).items == []

    site.run(scenario)


def test_a_pod_by_number_leaves_less_to_claim() -> None:
    async def scenario(s: Site) -> None:
        await slice_shows(s, "gpu-0", "gpu-1")
        await s.run_pod(pod(by_number(1), restartPolicy="Never"))
        await s.until_phase("Running")
        assert env(s)["CUDA_VISIBLE_DEVICES"] == "0"
        assert env(s)["NVIDIA_VISIBLE_DEVICES"].startswith("GPU-")
        await slice_shows(s, "gpu-1")
        s.runtime.end("main", 0)
        await s.until_phase("Succeeded")
        told = await slice_shows(s, "gpu-0", "gpu-1")
        assert told["spec"]["pool"]["generation"] == 3

    site.run(scenario, environ=GPUS)


def test_what_a_pod_says_itself_wins() -> None:
    async def scenario(s: Site) -> None:
        own = {**by_number(1), "env": [{"name": "CUDA_VISIBLE_DEVICES", "value": ""}]}
        await s.run_pod(pod(own))
        await s.until_phase("Running")
        assert env(s)["CUDA_VISIBLE_DEVICES"] == ""

    site.run(scenario, environ=GPUS)


async def begun(s: Site, name: str) -> None:
    await s.until(lambda p: any(c.name == name for c in s.runtime.containers.values()))


def test_devices_of_init_containers_are_used_again() -> None:
    async def scenario(s: Site) -> None:
        await s.run_pod(pod(by_number(2), inits=[by_number(2, "first"), by_number(1, "second")]))
        for name, seen in (("first", "0,1"), ("second", "0")):
            await begun(s, name)
            assert env(s, name)["CUDA_VISIBLE_DEVICES"] == seen
            s.runtime.end(name, 0)
        await s.until_phase("Running")
        assert env(s)["CUDA_VISIBLE_DEVICES"] == "0,1"

    site.run(scenario, environ=GPUS)


def test_a_pod_that_was_promised_what_a_claim_has_is_rejected() -> None:
    async def scenario(s: Site) -> None:
        await claim(s)
        await allocate(s, "c", result("gpu-0"))
        await allocatable(s, 1)
        await s.run_pod(pod(by_number(2)))
        failed = await s.until_phase("Failed")
        assert failed["status"]["reason"] == "UnexpectedAdmissionError"
        assert failed["status"]["message"] == (
            "Pod was rejected: Allocate failed due to requested number of devices unavailable for nvidia.com/gpu. "
            "Requested: 2, Available: 1, which is unexpected"
        )
        await deallocate(s, "c")
        await allocatable(s, 2)

    site.run(scenario, environ=GPUS)


def test_a_pod_waits_until_its_claim_is_its_own() -> None:
    async def scenario(s: Site) -> None:
        made = await claim(s)
        created = await s.run_pod(pod(by_claim(), resourceClaims=[{"name": "gpu", "resourceClaimName": "c"}], restartPolicy="Never"))
        prefix = "Failed to prepare dynamic resources: prepare dynamic resources: "
        refused = f"pod p ({objects.uid(created)}) is not allowed to use ResourceClaim c ({objects.uid(made)})"
        await until_event(s, prefix + refused)
        assert s.runtime.sandboxes == {}
        await allocate(s, "c", result("gpu-1"), pods=(created,))
        await s.until_phase("Running")
        assert env(s)["CUDA_VISIBLE_DEVICES"] == "0"
        assert s.agent._desk.ledger.given_by_claim() == {"gpu-1"}
        await s.until(lambda p: bool(p["status"]["containerStatuses"][0].get("allocatedResourcesStatus")))
        running = await s.client.get(kinds.PODS, "p", "default")
        assert running["status"]["containerStatuses"][0]["allocatedResourcesStatus"] == [
            {"name": "claim:gpu", "resources": [{"resourceID": "lightship.dev/gpu=gpu-1", "health": "Healthy"}]}
        ]
        s.runtime.end("main", 0)
        await s.until_phase("Succeeded")
        assert s.agent._desk.ledger.given_by_claim() == set()
        assert s.agent._desk.prepared.pods() == set()

    site.run(scenario, environ=GPUS)


async def until_event(s: Site, message: str) -> None:
    async with asyncio.timeout(600):
        while message not in [text for _, text in await s.events()]:
            await s.clock.sleep(0.1)


def test_requests_go_to_the_containers_that_name_them() -> None:
    async def scenario(s: Site) -> None:
        await claim(s, requests=("a", "b"))
        containers = [by_claim("one", request="a"), by_claim("both"), container("none")]
        created = await s.run_pod(pod(*containers, resourceClaims=[{"name": "gpu", "resourceClaimName": "c"}]))
        await allocate(s, "c", result("gpu-0", "a"), result("gpu-1", "b"), pods=(created,))
        await s.until_phase("Running")
        assert [env(s, name).get("CUDA_VISIBLE_DEVICES") for name in ("one", "both", "none")] == ["0", "0,1", None]

    site.run(scenario, environ=GPUS)


def test_a_claim_is_shared_and_given_back_by_the_last() -> None:
    async def scenario(s: Site) -> None:
        await claim(s)
        wanted = pod(by_claim(), resourceClaims=[{"name": "gpu", "resourceClaimName": "c"}], restartPolicy="Never")
        one, other = (
            await s.run_pod(wanted),
            await s.run_pod({**wanted, "spec": {**wanted["spec"], "containers": [by_claim("b")]}}, name="q"),
        )
        await allocate(s, "c", result("gpu-0"), pods=(one, other))
        await s.until_phase("Running")
        await s.until_phase("Running", "q")
        s.runtime.end("main", 0)
        await s.until_phase("Succeeded")
        assert s.agent._desk.ledger.given_by_claim() == {"gpu-0"}
        s.runtime.end("b", 0)
        await s.until_phase("Succeeded", "q")
        assert s.agent._desk.ledger.given_by_claim() == set()

    site.run(scenario, environ=GPUS)


def test_admin_access_takes_nothing_away() -> None:
    async def scenario(s: Site) -> None:
        await s.run_pod(pod(by_number(2)))
        await s.until_phase("Running")
        admin = {"resource.kubernetes.io/admin-access": "true"}
        await s.client.patch(kinds.NAMESPACES, "default", {"metadata": {"labels": admin}})
        body = {"requests": [{"name": "r", "exactly": {"deviceClassName": DRIVER, "adminAccess": True}}]}
        await s.client.create(kinds.RESOURCE_CLAIMS, {"metadata": {"name": "c", "namespace": "default"}, "spec": {"devices": body}})
        looking = pod(by_claim("look"), resourceClaims=[{"name": "gpu", "resourceClaimName": "c"}])
        created = await s.run_pod(looking, name="q")
        await allocate(s, "c", result("gpu-0", adminAccess=True), pods=(created,))
        await s.until_phase("Running", "q")
        assert env(s, "look")["CUDA_VISIBLE_DEVICES"] == "0"
        await allocatable(s, 2)

    site.run(scenario, environ=GPUS)


def test_a_device_that_is_in_use_and_a_driver_that_is_not_there() -> None:
    async def scenario(s: Site) -> None:
        await s.run_pod(pod(by_number(1)))
        await s.until_phase("Running")
        for name, chosen in (("c", result("gpu-0")), ("d", result("x", driver="gpu.example.com"))):
            await claim(s, name)
            created = await s.run_pod(pod(by_claim(name), resourceClaims=[{"name": "gpu", "resourceClaimName": name}]), name=name)
            await allocate(s, name, chosen, pods=(created,))
        start = "Failed to prepare dynamic resources: prepare dynamic resources: "
        uid = next(iter(s.runtime.sandboxes))
        used = f"device gpu-0 is in use by container main of pod {uid}"
        await until_event(s, f"{start}NodePrepareResources failed for ResourceClaim c: {used}")
        await until_event(s, f"{start}DRA driver gpu.example.com is not registered")
        await s.client.delete(kinds.PODS, "c", "default")
        await s.client.delete(kinds.PODS, "d", "default")
        await s.until_gone("c")
        await s.until_gone("d")
        assert s.agent._desk.prepared.pods() == set()

    site.run(scenario, environ=GPUS)


def test_a_restarted_node_knows_who_has_what(tmp_path: Any) -> None:
    async def whole() -> None:
        agents: dict[str, Any] = {}
        server = site.make_server(agents)
        async with site.site(server, tmp_path, GPUS) as s:
            await claim(s)
            created = await s.run_pod(pod(by_claim(), resourceClaims=[{"name": "gpu", "resourceClaimName": "c"}]))
            await allocate(s, "c", result("gpu-1"), pods=(created,))
            await s.until_phase("Running")
            await s.run_pod(pod(by_number(1, "other")), name="q")
            await s.until_phase("Running", "q")
        async with site.site(server, tmp_path, GPUS) as s:
            ledger = s.agent._desk.ledger
            assert (ledger.given_by_claim(), ledger.given_by_count()) == ({"gpu-1"}, {"gpu-0"})
            await s.until(lambda p: s.runtime.sandboxes.get(objects.uid(p)) is not None)
            assert ledger.given_by_claim() == {"gpu-1"}
        await Client(server.local(ADMIN)).delete(kinds.PODS, "p", "default", DeleteOptions(grace_period_seconds=0))
        async with site.site(server, tmp_path, GPUS) as s:
            await slice_shows(s, "gpu-1")
            await s.clock.sleep(1)
            assert s.agent._desk.ledger.given_by_claim() == set()

    virtual.run(whole())


@pytest.mark.parametrize(
    ("status", "said"),
    [
        ({}, 'pod "default/p": ResourceClaim not created yet'),
        ({"resourceClaimStatuses": [{"name": "gpu", "resourceClaimName": "p-gpu-x"}]}, ""),
        ({"resourceClaimStatuses": [{"name": "gpu"}]}, ""),
    ],
)
def test_claims_from_templates(status: Obj, said: str) -> None:
    made = pod(by_claim(), resourceClaims=[{"name": "gpu", "resourceClaimTemplateName": "t"}], status={"phase": "Pending", **status})
    if said:
        with pytest.raises(ClaimError, match=said):
            podclaims.named(made)
        return
    found = podclaims.named(made)
    assert [(n.claim, n.generated) for n in found] == (
        [("p-gpu-x", True)] if status["resourceClaimStatuses"][0].get("resourceClaimName") else []
    )
    claimed = {"metadata": {"name": "p-gpu-x", "namespace": "default", "uid": "u"}}
    with pytest.raises(ClaimError, match="was not created for Pod default/p \\(Pod is not owner\\)"):
        podclaims.check(made, claimed, generated=True)


def test_the_claim_that_a_scheduler_makes_of_extended_resources() -> None:
    extended = {
        "resourceClaimName": "p-extended",
        "requestMappings": [{"containerName": "main", "resourceName": "nvidia.com/gpu", "requestName": "container-0-request-0"}],
    }
    made = pod(by_number(1), container("b"), status={"phase": "Pending", "extendedResourceClaimStatus": extended})
    wanted = [(n.claim, request) for c in made["spec"]["containers"] for n, request in podclaims.wanted(made, c)]
    assert wanted == [("p-extended", "container-0-request-0")]
