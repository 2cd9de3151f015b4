"""Devices found in the files of a machine, told to a cluster, handed out, and injected by CDI: all but the agent."""

import json
from pathlib import Path

import pytest

from lightship.node.machine.devices import cdi, finding, own, slices
from lightship.node.machine.devices.cdi import CdiError
from lightship.node.machine.devices.device import environment
from lightship.node.machine.devices.finding import DevicesError
from lightship.node.machine.devices.ledger import DevicesExhaustedError, Ledger
from lightship.node.runtimes.runtime import Mount

UUID = "GPU-fef8089b-4820-abfc-e83e-94318197576e"


def machine(root: Path, *, nvidia: int = 0, amd: int = 0) -> Path:
    """The files that the kernel shows of so many cards."""
    for path in ("dev/dri", "sys/bus/pci/devices", "proc/driver/nvidia/gpus"):
        (root / path).mkdir(parents=True)
    for number in range(nvidia):
        address = f"0000:0{number + 1}:00.0"
        (root / f"dev/nvidia{number}").touch()
        (root / f"proc/driver/nvidia/gpus/{address}").mkdir()
        facts = {"Model": "NVIDIA H100 80GB HBM3", "GPU UUID": UUID if not number else "GPU-????????-????", "Device Minor": number}
        lines = [f"{name}: \t {value}" for name, value in (*facts.items(), ("Bus Location", address))]
        (root / f"proc/driver/nvidia/gpus/{address}/information").write_text("\n".join(lines))
        plug(root, address, f"sys/devices/pci0000:0{number}/0000:00:01.0/{address}")
    if nvidia:
        (root / "dev/nvidiactl").touch()
        version = "NVRM version: NVIDIA UNIX x86_64 Kernel Module  550.54.15  Tue Mar  5 22:23:56 UTC 2024"
        (root / "proc/driver/nvidia/version").write_text(version)
    for number in range(amd):
        address, card = f"0000:8{number}:00.0", root / f"sys/class/drm/renderD{128 + number}"
        (root / "dev/kfd").touch()
        (root / f"dev/dri/renderD{128 + number}").touch()
        place = plug(root, address, f"sys/devices/pci0000:80/{address}")
        for name, text in (
            ("vendor", "0x1002"),
            ("product_name", "Instinct MI300X"),
            ("unique_id", "abc"),
            ("mem_info_vram_total", "1024"),
        ):
            (place / name).write_text(text + "\n")
        card.mkdir(parents=True)
        (card / "device").symlink_to(place)
    return root


def plug(root: Path, address: str, place: str) -> Path:
    (root / place).mkdir(parents=True)
    (root / "sys/bus/pci/devices" / address).symlink_to(root / place)
    return root / place


def test_nvidia_by_the_files_of_its_driver(tmp_path: Path) -> None:
    one, other = finding.look("n1", {}, root=machine(tmp_path, nvidia=2))
    assert (one.name, one.resource, one.uuid, one.files) == ("gpu-0", "nvidia.com/gpu", UUID, ["/dev/nvidia0"])
    assert one.attributes == {
        "type": {"string": "gpu"},
        "index": {"int": 0},
        "minor": {"int": 0},
        "uuid": {"string": UUID},
        "productName": {"string": "NVIDIA H100 80GB HBM3"},
        "driverVersion": {"version": "550.54.15"},
        "resource.kubernetes.io/pciBusID": {"string": "0000:01:00.0"},
        "resource.kubernetes.io/pcieRoot": {"string": "pci0000:00"},
    }
    assert other.uuid == ""
    assert "uuid" not in other.attributes


def test_what_only_nvidia_smi_knows(tmp_path: Path) -> None:
    found = finding.look("n1", {}, root=machine(tmp_path, nvidia=2, amd=1))
    one, other, amd = finding.measured(found, lambda: "0, GPU-a, 81559, 9.0\n1, GPU-b, [N/A], [N/A]\nnot this\n")
    assert (one.uuid, one.memory) == ("GPU-a", 81559 * 2**20)
    assert one.attributes["cudaComputeCapability"] == {"version": "9.0.0"}
    assert (other.uuid, other.memory) == ("GPU-b", 0)
    assert amd == found[2]


def test_amd_by_its_render_nodes(tmp_path: Path) -> None:
    (found,) = finding.look("n1", {}, root=machine(tmp_path, amd=1))
    assert (found.name, found.resource, found.files, found.memory) == ("gpu-amd-0", "amd.com/gpu", ["/dev/dri/renderD128"], 1024)
    assert found.attributes["productName"] == {"string": "Instinct MI300X"}
    assert found.attributes["pciAddr"] == {"string": "0000:80:00.0"}
    assert found.attributes["resource.kubernetes.io/pcieRoot"] == {"string": "pci0000:80"}


def test_a_render_node_of_another_maker_is_none_of_ours(tmp_path: Path) -> None:
    machine(tmp_path, amd=1)
    (tmp_path / "sys/devices/pci0000:80/0000:80:00.0/vendor").write_text("0x8086")
    assert finding.look("n1", {}, root=tmp_path) == []


def test_a_count_takes_real_devices_first_and_pretends_the_rest(tmp_path: Path) -> None:
    machine(tmp_path, nvidia=2)
    assert [d.simulated for d in finding.look("n1", {"LIGHTSHIP_GPUS": "1"}, root=tmp_path)] == [False]
    assert [d.simulated for d in finding.look("n1", {"LIGHTSHIP_GPUS": "3"}, root=tmp_path)] == [False, False, True]
    assert finding.look("n1", {"LIGHTSHIP_GPUS": "0"}, root=tmp_path) == []
    assert [d.name for d in finding.look("n2", {"LIGHTSHIP_GPUS": "1"}, real=False, root=tmp_path)] == ["gpu-0"]


def test_every_node_pretends_devices_of_its_own() -> None:
    (one,), (other,) = (finding.look(name, {"LIGHTSHIP_GPUS": "1"}, real=False) for name in ("n1", "n2"))
    assert one.uuid != other.uuid
    assert one == finding.look("n1", {"LIGHTSHIP_GPUS": "1"}, real=False)[0]


def test_a_file_of_devices(tmp_path: Path) -> None:
    path = tmp_path / "devices.yaml"
    path.write_text("devices:\n- {productName: NVIDIA H100, memory: 80Gi, count: 2, attributes: {mig: true}}\n- {vendor: amd.com}\n")
    found = finding.look("n1", {"LIGHTSHIP_DEVICES": str(path), "LIGHTSHIP_GPUS": "9"}, real=False)
    assert [(d.name, d.vendor, d.memory // 2**30) for d in found] == [
        ("gpu-0", "nvidia.com", 80),
        ("gpu-1", "nvidia.com", 80),
        ("gpu-2", "amd.com", 16),
    ]
    assert found[0].attributes["mig"] == {"bool": True}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("devices: 3", 'a list "devices" is wanted'),
        ("devices: [{vendor: example.com}]", 'vendor "example.com" is not known: nvidia.com or amd.com'),
        ("devices: [{colour: red}]", "colour is not known; a device has attributes, count, memory, productName, vendor"),
        ("devices: [{count: many}]", 'count is "many": set it to the number'),
        ("devices: [{memory: lots}]", "memory lots is no amount: write 80Gi"),
        ("devices: [{count: 129}]", "more than 128 devices are too many for a node"),
        ("{", "cannot be read"),
    ],
)
def test_a_file_that_is_none_is_refused(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "devices.yaml"
    path.write_text(text)
    with pytest.raises(DevicesError, match=said):
        finding.look("n1", {"LIGHTSHIP_DEVICES": str(path)}, real=False)


def test_a_count_that_is_none_is_refused() -> None:
    with pytest.raises(DevicesError, match='LIGHTSHIP_GPUS is "many": set it to the number of GPUs pods may use'):
        finding.look("n1", {"LIGHTSHIP_GPUS": "many"}, real=False)
    with pytest.raises(DevicesError, match="129 devices are too many: a node can have 128"):
        finding.look("n1", {"LIGHTSHIP_GPUS": "129"}, real=False)


def test_a_slice_speaks_of_a_device_as_its_makers_driver_does() -> None:
    found = slices.resource_slice("n1", "uid", finding.look("n1", {"LIGHTSHIP_GPUS": "1"}, real=False), 1)
    (told,) = found["spec"]["devices"]
    assert told["attributes"]["gpu.nvidia.com/productName"] == {"string": "Simulated GPU"}
    assert told["attributes"]["simulated"] == {"bool": True}
    assert told["capacity"] == {"gpu.nvidia.com/memory": {"value": "16Gi"}}


# who has which ----------------------------------------------------------------------------------------------------------------------


def ledger(path: Path | None = None, count: int = 3) -> Ledger:
    return Ledger(finding.look("n1", {"LIGHTSHIP_GPUS": str(count)}, real=False), path)


def names(held: Ledger, pod: str, container: str, count: int) -> list[str]:
    return [d.name for d in held.assign(pod, container, "nvidia.com/gpu", count)]


def test_devices_stay_with_their_container_until_the_pod_is_gone() -> None:
    held = ledger()
    assert names(held, "p", "a", 2) == ["gpu-0", "gpu-1"]
    assert names(held, "p", "a", 2) == ["gpu-0", "gpu-1"]
    assert names(held, "q", "a", 1) == ["gpu-2"]
    with pytest.raises(DevicesExhaustedError, match=r"unavailable for nvidia.com/gpu. Requested: 1, Available: 0"):
        names(held, "q", "b", 1)
    held.release("p")
    assert names(held, "q", "b", 1) == ["gpu-0"]
    assert names(held, "r", "none", 0) == []
    assert names(held, "r", "other", 0) == []


def test_a_device_is_given_once_whichever_way_it_is_asked_for() -> None:
    held = ledger()
    held.claim("claim", ["gpu-0"])
    assert names(held, "p", "a", 1) == ["gpu-1"]
    with pytest.raises(DevicesExhaustedError, match="device gpu-1 is in use by container a of pod p"):
        held.claim("other", ["gpu-1"])
    with pytest.raises(DevicesExhaustedError, match="device gpu-0 is in use by claim claim"):
        held.claim("other", ["gpu-0"])
    with pytest.raises(DevicesExhaustedError, match="there is no device gpu-9 on this node"):
        held.claim("other", ["gpu-9"])
    held.promised = {"gpu-2"}
    with pytest.raises(DevicesExhaustedError, match="Available: 0"):
        names(held, "q", "a", 1)
    held.claim("third", ["gpu-2"])
    held.claim("third", ["gpu-2"])


def test_holders_are_known_again_after_a_restart(tmp_path: Path) -> None:
    held = ledger(tmp_path / "held.json")
    names(held, "p", "a", 1)
    held.claim("claim", ["gpu-1"])
    again = ledger(tmp_path / "held.json")
    assert [d.name for d in again.free()] == ["gpu-2"]
    assert names(again, "p", "a", 1) == ["gpu-0"]
    again.keep_only({"other"})
    assert [d.name for d in ledger(tmp_path / "held.json").free()] == ["gpu-0", "gpu-2"]


def test_what_cannot_be_read_is_nothing(tmp_path: Path) -> None:
    (tmp_path / "held.json").write_text("{half")
    assert len(ledger(tmp_path / "held.json").free()) == 3


# what containers see ----------------------------------------------------------------------------------------------------------------


def test_variables_count_as_the_program_sees_devices(tmp_path: Path) -> None:
    machine(tmp_path, nvidia=2, amd=1)
    _, second, amd = finding.look("n1", {}, root=tmp_path)
    assert environment([second, amd], renumbered=True) == {
        "CUDA_VISIBLE_DEVICES": "0",
        "NVIDIA_VISIBLE_DEVICES": "1",
        "HIP_VISIBLE_DEVICES": "0",
        "ROCR_VISIBLE_DEVICES": "0",
    }
    assert environment([second], renumbered=False)["CUDA_VISIBLE_DEVICES"] == "1"


def test_a_sandbox_is_shown_its_own_files_only(tmp_path: Path) -> None:
    _, second = finding.look("n1", {}, root=machine(tmp_path, nvidia=2))
    shown = [m.target for m in own.edits([second], sandboxed=True).mounts]
    assert shown == ["/dev/nvidia1", "/dev/nvidiactl", "/dev/nvidia-uvm", "/dev/nvidia-uvm-tools", "/dev/nvidia-modeset"]
    assert own.edits([second], sandboxed=False).mounts == []
    assert own.edits(finding.look("n1", {"LIGHTSHIP_GPUS": "1"}, real=False), sandboxed=True).mounts == []


def spec(directory: Path, name: str, body: object) -> Path:
    directory.mkdir(exist_ok=True)
    (directory / name).write_text(json.dumps(body))
    return directory


def test_cdi_edits_of_the_file_and_of_the_devices(tmp_path: Path) -> None:
    body = {
        "cdiVersion": "0.6.0",
        "kind": "example.com/gpu",
        "containerEdits": {"env": ["ALL=1"], "hooks": [{"hookName": "createContainer", "path": "/bin/true"}]},
        "devices": [
            {
                "name": "one",
                "containerEdits": {
                    "env": ["ONE=a=b", "ALL=2"],
                    "deviceNodes": [{"path": "/dev/gpu", "hostPath": "/dev/null"}, {"path": "/dev/zero"}],
                    "mounts": [{"hostPath": "/lib", "containerPath": "/gpu/lib", "options": ["ro", "bind"]}],
                    "additionalGIDs": [44],
                },
            },
            {"name": "two", "containerEdits": {"env": ["TWO=2"]}},
        ],
    }
    found = cdi.resolve(["example.com/gpu=one", "example.com/gpu=two"], [spec(tmp_path / "cdi", "a.json", body), tmp_path / "none"])
    assert found.env == {"ALL": "2", "ONE": "a=b", "TWO": "2"}
    assert [(m.source, m.target) for m in found.mounts] == [("/dev/null", "/dev/gpu"), ("/dev/zero", "/dev/zero"), ("/lib", "/gpu/lib")]
    assert found.mounts[2] == Mount(source="/lib", target="/gpu/lib", read_only=True, name="example.com/gpu=one")
    assert found.groups == [44]


def test_cdi_devices_that_are_not_there(tmp_path: Path) -> None:
    spec(tmp_path, "bad.json", ["no spec"])
    (tmp_path / "worse.yaml").write_text("{")
    edits = {"deviceNodes": [{"path": "/dev/not-here"}]}
    spec(tmp_path, "b.json", {"kind": "example.com/gpu", "devices": [{"name": "gone", "containerEdits": edits}]})
    with pytest.raises(CdiError, match=r"unresolvable CDI devices example.com/gpu=one"):
        cdi.resolve(["example.com/gpu=one"], [tmp_path])
    with pytest.raises(CdiError, match=r"example.com/gpu=gone: failed to stat CDI host device '/dev/not-here'"):
        cdi.resolve(["example.com/gpu=gone"], [tmp_path])
