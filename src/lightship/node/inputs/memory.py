"""Volumes that live in memory: which of a pod's there are, and how much they may hold.

Pure. `pods.worker` hands the result to the runtime with the sandbox: one tmpfs each, made in the pod's own mount namespace, so that all its
containers share it, its pages count as the pod's, and it is gone with the pod. Contract: kubelet emptyDir with medium `Memory`.
"""

from collections.abc import Iterator, Mapping
from decimal import Decimal
from pathlib import Path

from lightship.meta import objects, quantity
from lightship.meta.objects import Obj
from lightship.node.runtimes.runtime import Tmpfs

MEDIUM = "Memory"


def volumes(pod: Obj, directory: Path, *, gid: int | None, allocatable: Mapping[str, str]) -> list[Tmpfs]:
    """The memory-backed volumes of a pod whose volumes are below `directory`."""
    backed = [v for v in objects.spec(pod).get("volumes") or () if (v.get("emptyDir") or {}).get("medium") == MEDIUM]
    read_by_us = set(_env_files(pod)) if backed else set()
    return [
        Tmpfs(path=str(directory / v["name"]), size=_size(pod, v["emptyDir"], allocatable), gid=gid)
        for v in backed
        if v["name"] not in read_by_us
    ]


def _env_files(pod: Obj) -> Iterator[str]:
    """Volumes with files of variables, which the node reads: it does not see into the pod's mount namespace, so they stay on disk."""
    for container in _containers(pod):
        for entry in container.get("env") or ():
            source = (entry.get("valueFrom") or {}).get("fileKeyRef")
            if source:
                yield source.get("volumeName", "")


def _size(pod: Obj, source: Obj, allocatable: Mapping[str, str]) -> int | None:
    """The least of what the volume, the pod and the node may hold; None: the kernel's default."""
    limits = [quantity.parse(found) for found in (source.get("sizeLimit"), allocatable.get("memory")) if found]
    found = [limit for limit in [*limits, _pod_limit(pod)] if limit is not None and limit > 0]
    return int(min(found)) if found else None


def _pod_limit(pod: Obj) -> Decimal | None:
    """The memory limit of the whole pod; None when one of its containers has none."""
    whole = ((objects.spec(pod).get("resources") or {}).get("limits") or {}).get("memory")
    if whole:
        return quantity.parse(whole)
    running, largest = Decimal(0), Decimal(0)
    for container in _containers(pod):
        limit = ((container.get("resources") or {}).get("limits") or {}).get("memory")
        if not limit:
            return None
        once = container in (objects.spec(pod).get("initContainers") or ()) and container.get("restartPolicy") != "Always"
        if once:
            largest = max(largest, quantity.parse(limit))
        else:
            running += quantity.parse(limit)
    return max(running, largest)


def _containers(pod: Obj) -> list[Obj]:
    spec = objects.spec(pod)
    return [*(spec.get("initContainers") or ()), *(spec.get("containers") or ())]
