"""The Node object of this machine, and the Lease that says it is alive.

Pure builders (`capacity`, `node`, `lease`) and a small loop, `Heartbeat`, that the agent runs. The node is written only when it differs;
liveness is the Lease's, one small write every ten seconds. Contract: core/v1 Node, coordination.k8s.io/v1 Lease, kubelet defaults.
"""

import logging
import os
import platform
import shutil
import sys
from collections.abc import Collection
from pathlib import Path
from typing import NamedTuple

import msgspec

from lightship import __version__, kinds
from lightship.aio.clock import Clock
from lightship.client import Client
from lightship.meta import conditions, errors, objects, times
from lightship.meta.objects import Obj
from lightship.node.runtimes import enforcement

log = logging.getLogger(__name__)

RUNTIME_ANNOTATION = "lightship.dev/runtime"
REASON_ANNOTATION = "lightship.dev/runtime-reason"
LIMITS_ANNOTATION = "lightship.dev/limits"
POLICIES_ANNOTATION = "lightship.dev/network-policies"
LEASE_NAMESPACE = "kube-node-lease"
LEASE_SECONDS = 40
RENEW_SECONDS = 10.0
MAX_PODS = 110

_ARCHITECTURES = {"x86_64": "amd64", "AMD64": "amd64", "aarch64": "arm64", "arm64": "arm64"}
_PRESSURES = {
    "MemoryPressure": (
        ("KubeletHasSufficientMemory", "kubelet has sufficient memory available"),
        ("KubeletHasInsufficientMemory", "kubelet has insufficient memory available"),
    ),
    "DiskPressure": (("KubeletHasNoDiskPressure", "kubelet has no disk pressure"), ("KubeletHasDiskPressure", "kubelet has disk pressure")),
    "PIDPressure": (
        ("KubeletHasSufficientPID", "kubelet has sufficient PID available"),
        ("KubeletHasInsufficientPID", "kubelet has insufficient PID available"),
    ),
}
"""Reason and message of each condition when it is well, and when it is not."""
_PRESSURE_EVENTS = {
    "MemoryPressure": ("NodeHasSufficientMemory", "NodeHasInsufficientMemory"),
    "DiskPressure": ("NodeHasNoDiskPressure", "NodeHasDiskPressure"),
    "PIDPressure": ("NodeHasSufficientPID", "NodeHasInsufficientPID"),
}


class Machine(msgspec.Struct, frozen=True, kw_only=True):
    """What this machine has and is."""

    cpus: int
    memory: int
    storage: int
    os: str
    architecture: str
    kernel: str
    os_image: str
    machine_id: str
    boot_id: str


class Identity(msgspec.Struct, frozen=True, kw_only=True):
    """Who the node is in the cluster."""

    name: str
    address: str
    runtime: str
    runtime_reason: str = ""
    limits: tuple[str, str] = ("", "")
    """Who keeps limits, and why it is not the kernel if it is not."""
    policies_reason: str = ""
    """Why network policies are not enforced, if they are not."""


def look(data: Path) -> Machine:
    """Measure this machine; `data` is where pods write. Its devices are `devices.finding`'s."""
    return Machine(
        cpus=_cpus(),
        memory=enforcement.machine_memory(),
        storage=shutil.disk_usage(data).total,
        os=sys.platform,
        architecture=_ARCHITECTURES.get(platform.machine(), platform.machine()),
        kernel=platform.release(),
        os_image=_os_image(),
        machine_id=_first_line("/etc/machine-id"),
        boot_id=_first_line("/proc/sys/kernel/random/boot_id"),
    )


def capacity(machine: Machine, *, reserved: int = 0) -> dict[str, str]:
    """Resources by name; with `reserved` bytes of memory taken away, what pods may use."""
    return {
        "cpu": str(machine.cpus),
        "memory": f"{(machine.memory - reserved) // 1024}Ki",
        "ephemeral-storage": f"{machine.storage // 1024}Ki",
        "pods": str(MAX_PODS),
    }


def allocatable(machine: Machine) -> dict[str, str]:
    return capacity(machine, reserved=machine.memory - enforcement.memory_for_pods(machine.memory))


def metadata(identity: Identity, machine: Machine) -> Obj:
    labels = {"kubernetes.io/hostname": identity.name, "kubernetes.io/os": machine.os, "kubernetes.io/arch": machine.architecture}
    annotations = {RUNTIME_ANNOTATION: identity.runtime}
    if identity.runtime_reason:
        annotations[REASON_ANNOTATION] = identity.runtime_reason
    if any(identity.limits):
        annotations[LIMITS_ANNOTATION] = ": ".join(filter(None, identity.limits))
    if identity.policies_reason:
        annotations[POLICIES_ANNOTATION] = f"not enforced: {identity.policies_reason}"
    return {"name": identity.name, "labels": labels, "annotations": annotations}


class Extended(NamedTuple):
    """How many of each extended resource there are, and how many pods may have."""

    capacity: dict[str, int]
    allocatable: dict[str, int]


def status(
    identity: Identity, machine: Machine, old: Obj, now: float, pressures: Collection[str] = (), extended: Extended | None = None
) -> Obj:
    """The node's status; what others wrote into `old` is kept. `pressures` are the conditions of that kind that hold."""
    devices = extended or Extended({}, {})
    listed: list[Obj] = list(old.get("conditions") or ())
    for type, words in _PRESSURES.items():
        reason, message = words[type in pressures]
        listed = _beat(conditions.set_condition(listed, type, type in pressures, reason, message, now), type, now)
    listed = conditions.set_condition(listed, "Ready", "True", "KubeletReady", "kubelet is posting ready status", now)
    return {
        **old,
        "capacity": _others(old.get("capacity")) | capacity(machine) | _amounts(devices.capacity),
        "allocatable": _others(old.get("allocatable")) | allocatable(machine) | _amounts(devices.allocatable),
        "conditions": _beat(listed, "Ready", now),
        "addresses": [{"type": "InternalIP", "address": identity.address}, {"type": "Hostname", "address": identity.name}],
        "daemonEndpoints": old.get("daemonEndpoints") or {"kubeletEndpoint": {"Port": 0}},
        "nodeInfo": _node_info(machine),
    }


def _others(amounts: dict[str, str] | None) -> dict[str, str]:
    """Extended resources, which somebody else may have told of."""
    return {name: amount for name, amount in (amounts or {}).items() if "/" in name}


def _without_extended(status: Obj) -> Obj:
    """What an earlier node had is not there before somebody offers it again."""
    kept = {side: {k: v for k, v in (status.get(side) or {}).items() if "/" not in k} for side in ("capacity", "allocatable")}
    return {**status, **kept}


def _amounts(counts: dict[str, int]) -> dict[str, str]:
    return {name: str(count) for name, count in counts.items()}


def transitions(old: Collection[str], new: Collection[str]) -> list[str]:
    """Reasons of the events that tell which pressures have begun and ended."""
    return [_PRESSURE_EVENTS[type][type in new] for type in _PRESSURES if (type in new) != (type in old)]


def _beat(listed: list[Obj], type: str, now: float) -> list[Obj]:
    """`lastHeartbeatTime` where it is missing; a beating one would be a write of the whole node each time."""
    return [c if c["type"] != type or c.get("lastHeartbeatTime") else {**c, "lastHeartbeatTime": times.rfc3339(now)} for c in listed]


def _node_info(machine: Machine) -> Obj:
    return {
        "machineID": machine.machine_id,
        "systemUUID": machine.machine_id,
        "bootID": machine.boot_id,
        "kernelVersion": machine.kernel,
        "osImage": machine.os_image,
        "containerRuntimeVersion": f"lightship://{__version__}",
        "kubeletVersion": f"lightship-{__version__}",
        "kubeProxyVersion": "",
        "operatingSystem": machine.os,
        "architecture": machine.architecture,
    }


def lease(name: str, now: float) -> Obj:
    return {
        "apiVersion": "coordination.k8s.io/v1",
        "kind": "Lease",
        "metadata": {"name": name, "namespace": LEASE_NAMESPACE},
        "spec": {"holderIdentity": name, "leaseDurationSeconds": LEASE_SECONDS, "renewTime": times.rfc3339_micro(now)},
    }


class Heartbeat:
    """Keeps Node and Lease true."""

    def __init__(self, client: Client, identity: Identity, machine: Machine, clock: Clock) -> None:
        self._client = client
        self._identity = identity
        self._machine = machine
        self._clock = clock
        self._pressures: frozenset[str] = frozenset()
        self._extended = Extended({}, {})
        self._begun = False

    def begin(self, capacity: dict[str, int], allocatable: dict[str, int]) -> None:
        """What to offer from the first registration on."""
        self._extended = Extended(capacity, allocatable)

    async def offer(self, capacity: dict[str, int], allocatable: dict[str, int]) -> None:
        """How many there are of each extended resource, and how many pods may have; of what is no more there are 0."""
        gone = dict.fromkeys(self._extended.capacity.keys() - capacity.keys(), 0)
        wanted = Extended(gone | capacity, gone | allocatable)
        if wanted != self._extended:
            self._extended = wanted
            await self.register()

    async def tell(self, pressures: frozenset[str]) -> None:
        """The conditions of lack (`MemoryPressure`, ...) that hold now."""
        if pressures != self._pressures:
            self._pressures = pressures
            await self.register()

    async def register(self) -> Obj:
        """Create the Node, or bring it up to date, and make it Ready."""
        wanted = {"apiVersion": "v1", "kind": "Node", "metadata": metadata(self._identity, self._machine)}
        while True:
            node = await self._client.apply(kinds.NODES, wanted)
            before = objects.status(node) if self._begun else _without_extended(objects.status(node))
            ready = status(self._identity, self._machine, before, self._clock.now(), self._pressures, self._extended)
            try:
                told = await self._client.patch_status(kinds.NODES, node, ready)
                self._begun = True
                return told
            except errors.StatusError as error:
                if not (errors.is_conflict(error) or errors.is_not_found(error)):
                    raise  # somebody else wrote or deleted it meanwhile: once more

    async def renew(self) -> None:
        """One sign of life; a Node that somebody deleted comes back."""
        await self._client.apply(kinds.LEASES, lease(self._identity.name, self._clock.now()))
        if await self._client.get_or_none(kinds.NODES, self._identity.name) is None:
            await self.register()

    async def run(self) -> None:
        """Renew until cancelled. What the server refuses today (a namespace that is not there yet, an outage) the next beat may bring."""
        while True:
            try:
                await self.renew()
            except errors.StatusError as error:
                log.warning("no heartbeat node=%s code=%d message=%s", self._identity.name, error.code, error.message)
            await self._clock.sleep(RENEW_SECONDS)


def _cpus() -> int:
    """Processors that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0)) or 1
    return os.cpu_count() or 1


def _first_line(path: str) -> str:
    try:
        return Path(path).read_text().strip().split("\n")[0]
    except OSError:
        return ""


def _os_image() -> str:
    if sys.platform == "darwin":
        return f"macOS {platform.mac_ver()[0]}"
    try:
        return platform.freedesktop_os_release().get("PRETTY_NAME", "Linux")
    except OSError:
        return "Linux"
