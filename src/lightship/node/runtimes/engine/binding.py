"""What of this machine's files an engine is told to show: sub paths followed, and all of it there.

`runtime` calls it right before a container is made. Between this and the engine's own look containers of the pod may change what is below
a volume: see docs/critiques.md.
"""

import errno
import os
from pathlib import Path

import msgspec

from lightship.node.launch import subpath
from lightship.node.runtimes import layout
from lightship.node.runtimes.runtime import ContainerSpec, Mount


def resolved(spec: ContainerSpec) -> list[Mount]:
    """The container's mounts without sub paths. Raises `SubPathError`, `OSError`. Blocks."""
    return [_resolve(mount, spec) for mount in spec.mounts]


def _resolve(mount: Mount, spec: ContainerSpec) -> Mount:
    if mount.sub_path:
        source = subpath.resolve(mount.source, mount.sub_path, layout.what(mount, spec))
        return msgspec.structs.replace(mount, source=source, sub_path="")
    if mount.source and not Path(mount.source).exists():
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), mount.source)
    return mount
