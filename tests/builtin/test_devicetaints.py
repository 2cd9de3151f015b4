"""Devices with taints, and who has to leave for them, on our API server in virtual time."""

from typing import Any

import pytest

from lightship.builtin.devicetaints import decide
from lightship.kinds import PODS, RESOURCE_CLAIMS, RESOURCE_SLICES
from lightship.meta import conditions, objects, times
from lightship.meta.objects import Obj
from tests.builtin import make
from tests.builtin.site import Site, run

ONLY = ("device-taint-eviction",)
T0 = 1_000_000.0


def piece(*taints: Obj, generation: int = 1, name: str = "s") -> Obj:
    pool = {"name": "pool", "generation": generation, "resourceSliceCount": 1}
    devices: list[Obj] = [{"name": "gpu-0", **({"taints": list(taints)} if taints else {})}, {"name": "gpu-1"}]
    spec = {"driver": "gpu.example.com", "pool": pool, "nodeName": "n", "devices": devices}
    return {"apiVersion": "resource.k8s.io/v1", "kind": "ResourceSlice", "metadata": {"name": name}, "spec": spec}


def taint(effect: str = "NoExecute", at: float = T0, **more: Any) -> Obj:
    return {"key": "example.com/broken", "effect": effect, "timeAdded": times.rfc3339(at), **more}


def bearing(seconds: int | None = None, **more: Any) -> Obj:
    found = {"key": "example.com/broken", "operator": "Exists", "effect": "NoExecute", **more}
    return found if seconds is None else {**found, "tolerationSeconds": seconds}


def claim(*tolerations: Obj, device: str = "gpu-0") -> Obj:
    result = {"request": "r", "driver": "gpu.example.com", "pool": "pool", "device": device, "tolerations": list(tolerations)}
    return {"status": {"allocation": {"devices": {"results": [result]}}}}


@pytest.mark.parametrize(
    ("slices", "used", "until"),
    [
        pytest.param([piece()], claim(), decide.NEVER, id="no taint"),
        pytest.param([piece(taint())], claim(), T0, id="at once"),
        pytest.param([piece(taint("NoSchedule"))], claim(), decide.NEVER, id="not to be scheduled only"),
        pytest.param([piece(taint("None"))], claim(), decide.NEVER, id="no effect"),
        pytest.param([piece(taint())], claim(device="gpu-1"), decide.NEVER, id="another device"),
        pytest.param([piece(taint())], claim(bearing()), decide.NEVER, id="borne for good"),
        pytest.param([piece(taint())], claim(bearing(60)), T0 + 60, id="borne for a while"),
        pytest.param([piece(taint())], claim(bearing(-5)), T0, id="borne for less than nothing"),
        pytest.param([piece(taint())], claim(bearing(60), bearing(20)), T0 + 20, id="the shortest counts"),
        pytest.param([piece(taint())], claim(bearing(60), bearing()), decide.NEVER, id="one for good is enough"),
        pytest.param([piece(taint())], claim(bearing(effect="NoSchedule")), T0, id="bearing another effect"),
        pytest.param([piece(taint())], claim(bearing(key="example.com/hot")), T0, id="bearing another key"),
        pytest.param([piece(taint(at=T0 + 9), taint(at=T0 + 3, value="x"))], claim(), T0 + 3, id="the earliest of two"),
        pytest.param([piece(taint()), piece(generation=2, name="t")], claim(), decide.NEVER, id="of an old generation"),
        pytest.param([piece(), piece(taint(), generation=2, name="t")], claim(), T0, id="of the newest generation"),
        pytest.param([], claim(), decide.NEVER, id="a device that is gone"),
    ],
)
def test_until_when_a_claim_may_be_used(slices: list[Obj], used: Obj, until: float) -> None:
    assert decide.claim_until(used, lambda driver, pool: slices) == until


async def using(here: Site, name: str, *tolerations: Obj, node: str = "n") -> Obj:
    """A pod with a claim that is allocated to it."""
    spec: Obj = {"devices": {"requests": [{"name": "r", "exactly": {"deviceClassName": "gpu", "tolerations": list(tolerations)}}]}}
    metadata = {"name": name, "namespace": "default"}
    made = await here.client.create(RESOURCE_CLAIMS, {"metadata": metadata, "spec": spec})
    pod = {**make.pod_spec(nodeName=node), "resourceClaims": [{"name": "gpu", "resourceClaimName": name}]}
    user = await here.client.create(PODS, {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": pod})
    consumers = [{"resource": "pods", "name": name, "uid": objects.uid(user)}]
    status = {**claim(*tolerations)["status"], "reservedFor": consumers}
    await here.client.update_status(RESOURCE_CLAIMS, {**made, "status": status})
    return await here.move(user, "Running", ready=True)


async def taints(here: Site, *listed: Obj) -> None:
    found = await here.client.get(RESOURCE_SLICES, "s")
    wanted = piece(*listed)["spec"]
    await here.client.update(RESOURCE_SLICES, {**found, "spec": wanted})


def test_who_uses_a_broken_device_leaves_when_he_has_borne_it_long_enough() -> None:
    async def work(here: Site) -> None:
        await here.client.create(RESOURCE_SLICES, piece())
        for name, tolerations in (("now", []), ("later", [bearing(30)]), ("never", [bearing()])):
            await using(here, name, *tolerations)
        await here.settle()
        assert not [pod for pod in await here.pods() if objects.is_deleting(pod)]
        await taints(here, taint(at=here.manager.clock.now()))
        await here.settle()
        gone = [pod for pod in await here.pods() if objects.is_deleting(pod)]
        assert [objects.name(pod) for pod in gone] == ["now"]
        told = conditions.get(gone[0], "DisruptionTarget") or {}
        assert (told["reason"], told["message"]) == (
            "DeletionByDeviceTaintManager",
            "Device Taint manager: deleting due to NoExecute taint",
        )
        assert ("DeviceTaintManagerEviction", "Marking for deletion") in await here.events("now")
        await here.manager.clock.sleep(40)
        assert {objects.name(pod) for pod in await here.pods() if objects.is_deleting(pod)} == {"now", "later"}

    run(work, only=ONLY)


def test_a_device_that_is_mended_in_time_drives_nobody_out() -> None:
    async def work(here: Site) -> None:
        await here.client.create(RESOURCE_SLICES, piece(taint(at=here.manager.clock.now())))
        await using(here, "later", bearing(30))
        await here.settle()
        await taints(here)
        await here.manager.clock.sleep(60)
        assert not [pod for pod in await here.pods() if objects.is_deleting(pod)]
        assert ("DeviceTaintManagerEviction", "Cancelling deletion") in await here.events("later")

    run(work, only=ONLY)
