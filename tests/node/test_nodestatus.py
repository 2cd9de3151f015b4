"""What a node says of itself, and devices handed out."""

from pathlib import Path

import msgspec
import pytest

from lightship import kinds
from lightship.control.manager import background
from lightship.meta import conditions, errors, quantity
from lightship.meta.objects import Obj
from lightship.node.machine import nodestatus
from lightship.node.machine.devices import Devices, DevicesExhaustedError
from lightship.node.machine.nodestatus import Heartbeat, Identity, Machine
from lightship.node.runtimes import enforcement

from . import site
from .site import Site

MACHINE = Machine(
    cpus=8,
    memory=16 * 2**30,
    storage=100 * 2**30,
    gpus=2,
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
        "nvidia.com/gpu": "2",
    }
    kept = quantity.to_int("16777216Ki") - quantity.to_int(nodestatus.allocatable(MACHINE)["memory"])
    assert kept == enforcement.RESERVED_MEMORY


def test_this_machine_can_be_measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIGHTSHIP_GPUS", "4")
    found = nodestatus.look(tmp_path)
    assert found.cpus >= 1
    assert found.memory > 2**28
    assert found.gpus == 4
    monkeypatch.setenv("LIGHTSHIP_GPUS", "many")
    with pytest.raises(ValueError, match='LIGHTSHIP_GPUS is "many": set it to the number of GPUs pods may use'):
        nodestatus.look(tmp_path)


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


def test_devices_stay_with_their_container_until_the_pod_is_gone() -> None:
    devices = Devices(3)
    assert devices.assign("p", "a", 2) == [0, 1]
    assert devices.assign("p", "a", 2) == [0, 1]
    assert devices.assign("q", "a", 1) == [2]
    with pytest.raises(DevicesExhaustedError, match="1 GPUs wanted by container b, 0 are free"):
        devices.assign("q", "b", 1)
    devices.release("p")
    assert devices.assign("q", "b", 1) == [0]
    assert devices.assign("r", "none", 0) == []
