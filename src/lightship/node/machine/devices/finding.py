"""What accelerators there are: NVIDIA's and AMD's by the files of the kernel, and simulated ones for trying things without any.

`look` is quick and reads a few files; `measured` asks nvidia-smi, where there is one, for what no file tells. Roots can be elsewhere, for
tests. Contract: /proc/driver/nvidia, /sys/class/drm, /sys/bus/pci; attributes of NVIDIA's k8s-dra-driver-gpu and AMD's k8s-gpu-dra-driver.
"""

import os
import re
import shutil
import subprocess
import uuid
from collections.abc import Callable, Mapping
from pathlib import Path

import msgspec
import yaml

from lightship.meta import quantity
from lightship.meta.objects import Obj

from . import COUNT, FILE, MOST
from .device import VENDORS, Device

PCI_ROOT, PCI_BUS = "resource.kubernetes.io/pcieRoot", "resource.kubernetes.io/pciBusID"
_ADDRESS = re.compile(r"[0-9a-f]{4,8}:[0-9a-f]{2}:[0-9a-f]{2}\.[0-9a-f]")
_AMD = "0x1002"
_SMI_SECONDS = 20.0
_SIMULATED_MEMORY = "16Gi"
_NAMESPACE = uuid.UUID("6f0c8a4e-4a0e-5d0b-9d35-8d1f6f7c2b10")


class DevicesError(Exception):
    """A file or a variable that tells of devices cannot be understood; says what to write instead."""


def look(node: str, environ: Mapping[str, str], *, real: bool = True, root: Path = Path("/")) -> list[Device]:
    """The devices of a node, by name. Without `real`, those of the machine are another node's. Raises `DevicesError`."""
    found = [*nvidia(root), *amd(root)] if real else []
    if environ.get(FILE):
        found += simulated(node, environ[FILE], len(found))
    elif environ.get(COUNT):
        wanted = _count(environ[COUNT])
        found = found[:wanted]
        found += [_simulate(node, number, {}) for number in range(len(found), wanted)]
    if len(found) > MOST:
        raise DevicesError(f"{len(found)} devices are too many: a node can have {MOST}")
    return found


def nvidia(root: Path) -> list[Device]:
    """By /dev/nvidia0, /dev/nvidia1, ...; what the driver tells of each is below /proc/driver/nvidia/gpus."""
    told = _information(root / "proc/driver/nvidia/gpus")
    version = re.search(r"Kernel Module\s+(?:for \S+\s+)?([\d.]+)", _text(root / "proc/driver/nvidia/version"))
    minors = sorted(int(p.name[6:]) for p in (root / "dev").glob("nvidia[0-9]*") if p.name[6:].isdigit())
    found = []
    for index, minor in enumerate(minors):
        facts = told.get(minor, {})
        attributes: dict[str, Obj] = {"type": {"string": "gpu"}, "index": {"int": index}, "minor": {"int": minor}}
        for name, value in (("uuid", facts.get("GPU UUID")), ("productName", facts.get("Model"))):
            if value:
                attributes[name] = {"string": value[:64]}
        if version and re.fullmatch(r"\d+\.\d+\.\d+", version[1]):
            attributes["driverVersion"] = {"version": ".".join(str(int(part)) for part in version[1].split("."))}
        attributes |= _pci(root, (facts.get("Bus Location") or "").lower())
        files = [f"/dev/nvidia{minor}"]
        found.append(Device(name=f"gpu-{index}", index=index, uuid=_true(facts.get("GPU UUID")), files=files, attributes=attributes))
    return found


def _true(identity: str | None) -> str:
    """The driver shows `GPU-????????-...` until somebody has used the device."""
    return identity if identity and "?" not in identity else ""


def _information(directory: Path) -> dict[int, dict[str, str]]:
    """By minor number, the lines of each GPU's `information`."""
    found: dict[int, dict[str, str]] = {}
    for file in directory.glob("*/information"):
        facts = {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in _text(file).splitlines())}
        if (facts.get("Device Minor") or "").isdigit():
            if "?" in facts.get("GPU UUID", ""):
                del facts["GPU UUID"]
            found[int(facts["Device Minor"])] = facts
    return found


def amd(root: Path) -> list[Device]:
    """By the render nodes of AMD's cards, where the compute driver is loaded."""
    if not (root / "dev/kfd").exists():
        return []
    nodes = sorted(int(p.name[7:]) for p in (root / "dev/dri").glob("renderD*") if p.name[7:].isdigit())
    found: list[Device] = []
    for minor in nodes:
        card = root / f"sys/class/drm/renderD{minor}/device"
        if _text(card / "vendor").strip() != _AMD:
            continue
        index = len(found)
        attributes: dict[str, Obj] = {"type": {"string": "gpu"}, "renderIndex": {"int": minor}}
        identity, product = _text(card / "unique_id").strip(), _text(card / "product_name").strip()
        attributes |= {"productName": {"string": product[:64]}} if product else {}
        attributes |= {"deviceID": {"string": identity}} if identity else {}
        address = os.path.basename(os.path.realpath(card))
        attributes |= _pci(root, address) | ({"pciAddr": {"string": address}} if _ADDRESS.fullmatch(address) else {})
        memory = _text(card / "mem_info_vram_total").strip()
        files = [f"/dev/dri/renderD{minor}"]
        found.append(
            Device(
                name=f"gpu-amd-{index}",
                vendor="amd.com",
                index=index,
                uuid=identity,
                files=files,
                attributes=attributes,
                memory=int(memory) if memory.isdigit() else 0,
            )
        )
    return found


def _pci(root: Path, address: str) -> dict[str, Obj]:
    """Where it is plugged in, in words that all drivers share. NVIDIA writes the domain with eight digits."""
    if not _ADDRESS.fullmatch(address):
        return {}
    address = address[-12:]
    known: dict[str, Obj] = {PCI_BUS: {"string": address}}
    place = os.path.realpath(root / "sys/bus/pci/devices" / address)
    found = re.search(r"/(pci[0-9a-f]{4}:[0-9a-f]{2})/", place)
    return known | ({PCI_ROOT: {"string": found[1]}} if found else {})


def measurable(devices: list[Device]) -> bool:
    """Is there anything to ask nvidia-smi?"""
    return any(d.vendor == "nvidia.com" and not d.simulated for d in devices)


def measured(devices: list[Device], ask: Callable[[], str] | None = None) -> list[Device]:
    """The same with memory and architecture as nvidia-smi tells them; as they were where it is not there. Takes up to seconds."""
    told: dict[str, list[str]] = {}
    for line in (ask or _smi)().splitlines():
        cells = [cell.strip() for cell in line.split(",")]
        if len(cells) == 4:
            told[cells[0]] = cells
    return [_with(d, told.get(str(d.index))) if d.vendor == "nvidia.com" and not d.simulated else d for d in devices]


def _with(device: Device, cells: list[str] | None) -> Device:
    if cells is None:
        return device
    _, identity, mebibytes, capability = cells
    attributes = dict(device.attributes)
    if identity.startswith("GPU-"):
        attributes["uuid"] = {"string": identity[:64]}
    if re.fullmatch(r"\d+\.\d+", capability):
        attributes["cudaComputeCapability"] = {"version": f"{capability}.0"}
    memory = int(mebibytes) * 2**20 if mebibytes.isdigit() else device.memory
    return msgspec.structs.replace(device, uuid=identity or device.uuid, memory=memory, attributes=attributes)


def _smi() -> str:
    program = shutil.which("nvidia-smi")
    if program is None:
        return ""
    query = [program, "--query-gpu=index,uuid,memory.total,compute_cap", "--format=csv,noheader,nounits"]
    try:
        return subprocess.run(query, capture_output=True, text=True, timeout=_SMI_SECONDS, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return ""


def simulated(node: str, path: str, first: int) -> list[Device]:
    """The devices that a file wishes for: a list below `devices`, each with an optional `count`. Raises `DevicesError`."""
    try:
        wanted = yaml.safe_load(Path(path).read_text()) or {}
    except (OSError, yaml.YAMLError) as error:
        raise DevicesError(f"{FILE} names {path}, which cannot be read: {error}") from error
    entries = wanted.get("devices") if isinstance(wanted, dict) else None
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise DevicesError(f'{path}: a list "devices" is wanted, like: devices: [{{productName: NVIDIA H100, memory: 80Gi, count: 2}}]')
    found: list[Device] = []
    for entry in entries:
        for _ in range(_count(str(entry.get("count", 1)), f"{path}: count")):
            found.append(_simulate(node, first + len(found), entry, path))
            if len(found) > MOST:
                raise DevicesError(f"{path}: more than {MOST} devices are too many for a node")
    return found


_KNOWN = {"count", "vendor", "productName", "memory", "attributes"}


def _simulate(node: str, number: int, entry: Obj, path: str = "") -> Device:
    vendor = entry.get("vendor", "nvidia.com")
    strange = sorted(set(entry) - _KNOWN)
    if vendor not in VENDORS or strange:
        wrong = f'vendor "{vendor}" is not known: {" or ".join(VENDORS)}' if vendor not in VENDORS else f"{strange[0]} is not known"
        raise DevicesError(f"{path}: {wrong}; a device has {', '.join(sorted(_KNOWN))}")
    try:
        memory = quantity.to_int(str(entry.get("memory", _SIMULATED_MEMORY)))
    except ValueError as error:
        raise DevicesError(f"{path}: memory {entry['memory']} is no amount: write 80Gi") from error
    identity = f"GPU-{uuid.uuid5(_NAMESPACE, f'{node}/{number}')}"
    own: dict[str, Obj] = {"type": {"string": "gpu"}, "index": {"int": number}, "uuid": {"string": identity}}
    own["productName"] = {"string": str(entry.get("productName", "Simulated GPU"))[:64]}
    own |= {str(key): _attribute(value) for key, value in (entry.get("attributes") or {}).items()}
    return Device(name=f"gpu-{number}", vendor=vendor, index=number, uuid=identity, attributes=own, memory=memory, simulated=True)


def _attribute(value: object) -> Obj:
    if isinstance(value, bool):
        return {"bool": value}
    return {"int": value} if isinstance(value, int) else {"string": str(value)[:64]}


def _count(text: str, what: str = COUNT) -> int:
    if not text.isascii() or not text.isdigit():
        raise DevicesError(f'{what} is "{text}": set it to the number of GPUs pods may use, or unset it')
    return int(text)


def _text(path: Path) -> str:
    try:
        return path.read_text(errors="replace")
    except OSError:
        return ""
