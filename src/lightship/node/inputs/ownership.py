"""Whose a pod's files are: `fsGroup` and `runAsUser`, applied to volumes.

Decides purely (`of`), changes files without following a link (`apply`). Called by `volumes` when a volume is made or written, and for
claims before a pod's first container. Where we may not give files away, as without root, the files stay ours, which the pod is as well.
Contract: kubelet volume ownership (`fsGroup`, `fsGroupChangePolicy`) and the owner of service account tokens.
"""

import os
import stat
from pathlib import Path
from typing import NamedTuple

from lightship.meta import objects
from lightship.meta.objects import Obj

_READ_WRITE, _READ_ONLY, _ENTER = 0o660, 0o440, 0o110
_PATH = getattr(os, "O_PATH", 0)


class Owner(NamedTuple):
    """Ids that a pod's files should have; None: whatever they have."""

    uid: int | None = None
    """The one user of all containers, if there is just one."""
    gid: int | None = None
    """The pod's `fsGroup`."""


NOBODY_IN_PARTICULAR = Owner()


def of(pod: Obj) -> Owner:
    """What the security contexts of a pod say."""
    spec = objects.spec(pod)
    common = spec.get("securityContext") or {}
    containers = [*(spec.get("initContainers") or ()), *(spec.get("containers") or ())]
    users = {(c.get("securityContext") or {}).get("runAsUser", common.get("runAsUser")) for c in containers}
    return Owner(users.pop() if len(users) == 1 else None, common.get("fsGroup"))


def with_group(mode: int, *, directory: bool, read_only: bool) -> int:
    """The permissions of a file that the pod's group may use."""
    mode |= _READ_ONLY if read_only else _READ_WRITE
    return mode | _ENTER | stat.S_ISGID if directory else mode


def mismatch(path: Path, gid: int) -> bool:
    """Does the top directory of a volume show that it was not given to the group yet?"""
    found = path.stat()
    wanted = (_READ_WRITE | _ENTER) | stat.S_ISGID
    return found.st_gid != gid or not stat.S_ISDIR(found.st_mode) or found.st_mode & wanted != wanted


def apply(path: Path, gid: int, *, read_only: bool = False) -> None:
    """Give everything at and below `path` to a group, the top last. Blocks. Raises `OSError` for a `path` that is not there."""
    for _, directories, files, descriptor in os.fwalk(path, topdown=False, follow_symlinks=False):
        for name in [*files, *directories]:
            _give(name, descriptor, gid, read_only=read_only)
    _give(str(path), None, gid, read_only=read_only)


def give_user(path: Path, uid: int) -> None:
    """Make a file one user's own, where we may."""
    try:
        os.chown(path, uid, -1, follow_symlinks=False)
    except PermissionError:
        pass


def _give(name: str, above: int | None, gid: int, *, read_only: bool) -> None:
    try:
        mode = os.stat(name, dir_fd=above, follow_symlinks=False).st_mode
    except FileNotFoundError:
        return  # another pod has taken it away meanwhile
    try:
        os.chown(name, -1, gid, dir_fd=above, follow_symlinks=False)
    except PermissionError:
        pass
    if not stat.S_ISLNK(mode):
        _chmod(name, above, with_group(stat.S_IMODE(mode), directory=stat.S_ISDIR(mode), read_only=read_only))


def _chmod(name: str, above: int | None, mode: int) -> None:
    """Not by name: that may have become a link that leads out of the volume."""
    if not _PATH:
        os.chmod(name, mode, dir_fd=above, follow_symlinks=False)
        return
    try:
        held = os.open(name, _PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=above)
    except FileNotFoundError:
        return
    try:
        if not stat.S_ISLNK(os.fstat(held).st_mode):
            os.chmod(f"/proc/self/fd/{held}", mode)
    except PermissionError:
        pass
    finally:
        os.close(held)
