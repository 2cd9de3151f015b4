"""What a node says of itself."""

from pathlib import Path

import msgspec

from lightship import kinds
from lightship.control.manager import background
from lightship.meta import conditions, errors, quantity
from lightship.meta.objects import Obj
from lightship.node.machine import nodestatus
from lightship.node.machine.nodestatus import Heartbeat, Identity, Machine
from lightship.node.runtimes import enforcement

from . import site
from .site import Site

MACHINE = Machine(
    cpus=8,
    memory=16 * 2**30,
    storage=100 * 2**30,
    os="linux",
    architecture="amd64",
    kernel="6.1",
    os_image="Debian",
    machine_id="m",
    boot_id="b",
)
WHO = Identity(name="n1", address="192.0.2.1", runtime="process", runtime_reason="no namespaces")


def test_capacity_and_allocatable() -> None:
    assert nodestatus.capacity(MACHINE) == {
        "cpu": "8",
        "memory": "16777216Ki",
        "ephemeral-storage": "104857600Ki",
        "pods": "110",
    }
    kept = quantity.to_int("16777216Ki") - quantity.to_int(nodestatus.allocatable(MACHINE)["memory"])
    assert kept == enforcement.RESERVED_MEMORY


def test_this_machine_can_be_measured(tmp_path: Path) -> None:
    found = nodestatus.look(tmp_path)
    assert found.cpus >= 1
    assert found.memory > 2**28


def test_status_keeps_what_others_wrote_and_is_stable() -> None:
    first = nodestatus.status(WHO, MACHINE, {"images": ["x"], "conditions": [{"type": "Custom", "status": "True"}]}, 100.0)
    assert first["images"] == ["x"]
    node = {"status": first}
    assert conditions.is_true(node, "Custom")
    assert conditions.is_true(node, "Ready")
    assert conditions.is_false(node, "MemoryPressure")
    assert nodestatus.status(WHO, MACHINE, first, 999.0) == first


def test_the_reason_for_host_mode_is_told() -> None:
    annotations = nodestatus.metadata(WHO, MACHINE)["annotations"]
    assert annotations == {"lightship.dev/runtime": "process", "lightship.dev/runtime-reason": "no namespaces"}
    watched = nodestatus.metadata(msgspec.structs.replace(WHO, limits=("watchdog", "log in")), MACHINE)["annotations"]
    assert watched["lightship.dev/limits"] == "watchdog: log in"


def test_a_heartbeat_that_is_refused_is_not_the_end() -> None:
    async def scenario(s: Site) -> None:
        refused: list[float] = []

        class Refusing(Heartbeat):
            async def renew(self) -> None:
                if len(refused) < 3:
                    refused.append(s.clock.now())
                    raise errors.unavailable("gone for lunch")
                await super().renew()

        beat = Refusing(s.client, Identity(name="n2", address="", runtime="sandbox"), MACHINE, s.clock)
        async with background(beat.run()):
            await s.clock.sleep(31)
            assert len(refused) == 3
            lease: Obj = await s.client.get(kinds.LEASES, "n2", nodestatus.LEASE_NAMESPACE)
            assert lease["spec"]["holderIdentity"] == "n2"
            assert conditions.is_true(await s.client.get(kinds.NODES, "n2"), "Ready")

    site.run(scenario)


def test_extended_resources_of_others_stay_and_ours_go_to_zero() -> None:
    async def scenario(s: Site) -> None:
        heartbeat = Heartbeat(s.client, WHO, MACHINE, s.clock)
        await heartbeat.register()
        await heartbeat.offer({"nvidia.com/gpu": 2}, {"nvidia.com/gpu": 1})
        node = await s.client.get(kinds.NODES, "n1")
        assert (node["status"]["capacity"]["nvidia.com/gpu"], node["status"]["allocatable"]["nvidia.com/gpu"]) == ("2", "1")
        dongles = {side: {**node["status"][side], "example.com/dongle": "3"} for side in ("capacity", "allocatable")}
        await s.client.patch_status(kinds.NODES, node, {**node["status"], **dongles})
        await heartbeat.offer({}, {})
        node = await s.client.get(kinds.NODES, "n1")
        assert node["status"]["capacity"]["example.com/dongle"] == "3"
        assert node["status"]["capacity"]["nvidia.com/gpu"] == "0"
        await Heartbeat(s.client, WHO, MACHINE, s.clock).register()
        node = await s.client.get(kinds.NODES, "n1")
        assert not [name for name in node["status"]["capacity"] if "/" in name]

    site.run(scenario)
