"""How much of the disk pods use, and whether it is more than they may: measured for those only that have limits.

`quotas` and `excess` are pure; `measure` walks directories and blocks, up to a budget of entries, so that a pod with a million files
cannot keep the node busy (what was found by then counts: at least so much is used). Contract: kubelet localStorageEviction; its texts.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from lightship.kinds import pods
from lightship.meta import objects, quantity
from lightship.meta.objects import Obj

BUDGET = 200_000
"""Entries looked at for one directory."""
_STORAGE = "ephemeral-storage"


class Quotas(NamedTuple):
    """What a pod may have on disk, as it was written; nothing where it has no limits."""

    volumes: Mapping[str, str]
    pod: str
    containers: Mapping[str, str]

    def __bool__(self) -> bool:
        return bool(self.volumes or self.pod or self.containers)


def quotas(pod: Obj) -> Quotas:
    spec = objects.spec(pod)
    sized = {v["name"]: limit for v in spec.get("volumes") or () if (limit := _size_limit(v))}
    limits = {c["name"]: ((c.get("resources") or {}).get("limits") or {}).get(_STORAGE) for c in spec.get("containers") or ()}
    whole = pods.total_limits(pod).get(_STORAGE, "")
    return Quotas(sized, whole, {name: limit for name, limit in limits.items() if limit and quantity.to_int(limit)})


def _size_limit(volume: Obj) -> str:
    limit = (volume.get("emptyDir") or {}).get("sizeLimit")
    return str(limit) if limit and quantity.to_int(limit) > 0 else ""


def excess(wanted: Quotas, used: Mapping[str, int]) -> str:
    """Why the pod has to go; empty when it may stay. `used`: see `statistics.Pod.disk`."""
    for name, limit in wanted.volumes.items():
        if used.get(f"volume/{name}", 0) > quantity.to_int(limit):
            return f'Usage of EmptyDir volume "{name}" exceeds the limit "{quantity.canonical(limit)}". '
    if wanted.pod and sum(amount for key, amount in used.items() if not key.startswith("memory/")) > quantity.to_int(wanted.pod):
        return f"Pod ephemeral local storage usage exceeds the total limit of containers {quantity.canonical(wanted.pod)}. "
    for name, limit in wanted.containers.items():
        if used.get(f"logs/{name}", 0) + used.get(f"rootfs/{name}", 0) > quantity.to_int(limit):
            return f'Container {name} exceeded its local ephemeral storage limit "{quantity.canonical(limit)}". '
    return ""


def measure(paths: Mapping[str, Path]) -> dict[str, int]:
    """Bytes on disk below each path. Blocks."""
    return {name: size(path) for name, path in paths.items()}


def size(path: Path) -> int:
    """Bytes that a directory takes on disk; files with several names count once. What lies on another disk is not ours."""
    try:
        top = os.stat(path)
    except OSError:
        return 0
    total, looked, linked, waiting = 0, 0, set(), [os.fspath(path)]
    while waiting and looked < BUDGET:
        try:
            with os.scandir(waiting.pop()) as entries:
                for entry in entries:
                    looked += 1
                    found = entry.stat(follow_symlinks=False)
                    if found.st_dev != top.st_dev or found.st_ino in linked:
                        continue
                    total += found.st_blocks * 512
                    if entry.is_dir(follow_symlinks=False):
                        waiting.append(entry.path)
                    elif found.st_nlink > 1:
                        linked.add(found.st_ino)
        except OSError:
            continue  # it has gone meanwhile, or nobody may look into it
    return total
