"""Pods in control groups: `<instance>/<quality of service>/<pod>/<container>`, limits at each level, everything counted by the kernel.

The `enforcement.Enforcer` of machines that let us have control groups (`cgroup_places`); `cgroup` knows how the two versions are written.
"""

import asyncio
import contextlib
import logging
import os
from typing import NamedTuple

from . import cgroup, cgroup_places, processes
from .cgroup import Version1, Version2
from .cgroup_places import Place
from .runtime import ContainerSpec, Limits, SandboxSpec, Usage

log = logging.getLogger(__name__)

_CLASSES = {"Guaranteed": "guaranteed", "Burstable": "burstable", "BestEffort": "besteffort"}
_LOOKS = (0.005, 0.05, 0.5, 5.0)
"""Seconds after an alarm."""


class _Pod(NamedTuple):
    path: str
    qos: str
    cpu_request: float
    containers: dict[str, str]
    """Paths by id."""


class Groups:
    """See `enforcement.Enforcer`."""

    reason = ""

    def __init__(self, place: Place, all_pods: Limits) -> None:
        self._place = place
        self._tree = place.tree
        self._pods: dict[str, _Pod] = {}
        self._owners: dict[str, _Pod] = {}  # by container
        self._alarms: dict[str, int] = {}  # descriptors by container
        self._pids = processes.for_a_pod(os.cpu_count() or 1)
        self._tree.make("")
        self._tree.configure("", all_pods)
        for name in _CLASSES.values():
            self._tree.make(name)
            self._tree.configure(name, Limits())

    @property
    def kind(self) -> str:
        return self._tree.kind

    def add_sandbox(self, spec: SandboxSpec) -> None:
        known = self._pods.get(spec.id)
        if known is not None:
            self.update(spec.id, spec.limits)
            return
        qos = _CLASSES.get(spec.qos, "burstable")
        path = f"{qos}/{spec.id.replace('/', '_')}"
        self._tree.make(path)
        self._tree.configure(path, self._bounded(spec.limits), fresh=True)
        self._pods[spec.id] = _Pod(path, qos, spec.limits.cpu_request, {})
        self._weigh(qos)

    def _bounded(self, limits: Limits) -> Limits:
        pids = self._pids if limits.pids is None else limits.pids
        return Limits(cpu_request=limits.cpu_request, cpu=limits.cpu, memory=limits.memory, pids=pids)

    def _weigh(self, qos: str) -> None:
        """A class weighs as much as its pods together. Contract: kubelet qosContainerManager; best effort weighs next to nothing."""
        total = 0.0 if qos == "besteffort" else sum(pod.cpu_request for pod in self._pods.values() if pod.qos == qos)
        with contextlib.suppress(OSError):
            self._tree.configure(qos, Limits(cpu_request=total), fresh=True)

    def own_pids(self, spec: SandboxSpec) -> int:
        return 0

    def add_container(self, spec: ContainerSpec) -> list[int]:
        pod = self._pods[spec.sandbox_id]
        path = f"{pod.path}/{spec.id.replace('/', '_')}"
        self._tree.make(path)
        try:
            self._tree.configure(path, spec.limits, fresh=True)
            self._kill_together(spec.id, path)
            joining = cgroup.join(self._tree, path)
        except OSError:
            self._forget_alarm(spec.id)
            with contextlib.suppress(OSError):
                cgroup.remove(self._tree, path)
            raise
        pod.containers[spec.id] = path
        self._owners[spec.id] = pod
        return joining

    def _kill_together(self, container_id: str, path: str) -> None:
        """What is left of a container that lost a process would seldom work: it ends as a whole."""
        if isinstance(self._tree, Version2):
            self._tree.together(path)
        elif isinstance(self._tree, Version1):
            alarm = self._alarms[container_id] = self._tree.on_memory_kill(path)
            asyncio.get_running_loop().add_reader(alarm, self._out_of_memory, container_id, path)

    def _out_of_memory(self, container_id: str, path: str) -> None:
        """It rings before the kernel kills, and in every group below the one whose limit was met: who has lost a process shows soon."""
        with contextlib.suppress(BlockingIOError):
            os.eventfd_read(self._alarms[container_id])
        loop = asyncio.get_running_loop()
        for delay in _LOOKS:
            loop.call_later(delay, self._end_if_bereft, container_id, path)

    def _end_if_bereft(self, container_id: str, path: str) -> None:
        if container_id in self._alarms:
            with contextlib.suppress(OSError):
                if self._tree.memory_kills(path):
                    cgroup.kill(self._tree.directories(path)[0])

    def views(self, container_id: str) -> dict[str, str]:
        pod = self._owners[container_id]
        return {name: str(directory) for name, directory in self._tree.views(pod.containers[container_id]).items()}

    def join(self, container_id: str) -> list[int]:
        pod = self._owners.get(container_id)
        return cgroup.join(self._tree, pod.containers[container_id]) if pod else []

    def started(self, container_id: str, pid: int) -> None:
        pass  # it came in by itself

    def ended(self, container_id: str) -> bool:
        self._forget_alarm(container_id)
        pod = self._owners.pop(container_id, None)
        if pod is None:
            return False
        path = pod.containers.pop(container_id)
        for directory in self._tree.directories(path)[:1]:
            cgroup.kill(directory)  # what has left its process group in host mode
        killed = False
        with contextlib.suppress(OSError):
            killed = self._tree.memory_kills(path) > 0
        for directory in self._tree.directories(path):
            with contextlib.suppress(OSError):  # what it left running ends with the pod, and the directory with it
                directory.rmdir()
        return killed

    def _forget_alarm(self, container_id: str) -> None:
        alarm = self._alarms.pop(container_id, -1)
        if alarm >= 0:
            asyncio.get_running_loop().remove_reader(alarm)
            os.close(alarm)

    def update(self, id: str, limits: Limits) -> None:
        if id in self._pods:
            pod = self._pods[id] = self._pods[id]._replace(cpu_request=limits.cpu_request)
            for container_id in pod.containers:
                self._owners[container_id] = pod
            self._tree.configure(pod.path, self._bounded(limits))
            self._weigh(pod.qos)
        elif id in self._owners:
            self._tree.configure(self._owners[id].containers[id], limits)

    async def usage(self) -> dict[str, Usage]:
        paths = {id: pod.path for id, pod in self._pods.items()}
        paths |= {id: pod.containers[id] for id, pod in self._owners.items()}
        return await asyncio.to_thread(self._read, paths)

    def _read(self, paths: dict[str, str]) -> dict[str, Usage]:
        found = {}
        for id, path in paths.items():
            with contextlib.suppress(OSError, ValueError):  # it has ended meanwhile
                found[id] = self._tree.usage(path)
        return found

    async def remove_others(self) -> None:
        """What an agent that was killed had made for pods that it did not come to make."""
        await asyncio.to_thread(self._remove_all_but, {pod.path for pod in self._pods.values()})

    def _remove_all_but(self, known: set[str]) -> None:
        for name in _CLASSES.values():
            top = self._tree.directories(name)[0]
            for path in [f"{name}/{entry.name}" for entry in os.scandir(top) if entry.is_dir()]:
                if path not in known:
                    cgroup.remove(self._tree, path)

    async def remove_sandbox(self, sandbox_id: str) -> None:
        pod = self._pods.pop(sandbox_id, None)
        if pod is None:
            return
        for container_id in list(pod.containers):
            self._forget_alarm(container_id)
            self._owners.pop(container_id, None)
        self._weigh(pod.qos)
        try:
            await asyncio.to_thread(cgroup.remove, self._tree, pod.path)
        except OSError as error:
            log.warning("a control group stays path=%s reason=%s", pod.path, error)

    async def close(self) -> None:
        for sandbox_id in list(self._pods):
            await self.remove_sandbox(sandbox_id)
        await asyncio.to_thread(cgroup_places.close_place, self._place)
