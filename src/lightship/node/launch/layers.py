"""Writable layers over what is only to be read: a container may write anywhere, and nobody else ever sees it.

Called by `rootfs` for the container's root and each of the host's system directories, and by the launcher to take private files out of
them. Made of overlayfs, which a user namespace may mount from Linux 5.11 on; where it cannot be had, callers show things read-only.
"""

import errno
import os
import stat
from functools import cache

from . import linux

_CANNOT = frozenset({errno.EINVAL, errno.EPERM, errno.ENODEV, errno.EOPNOTSUPP, errno.ELOOP, errno.EACCES})

_UNKNOWN = 65_534
_INSTALLED_TO = ("bin", "lib", "sbin", "share", "local/bin", "local/lib", "local/share")


def over(lower: str, target: str, where: str) -> bool:
    """Show the directory `lower` at `target`, changes going to the new directory `where`. False: this machine cannot do it there."""
    upper, work = f"{where}/upper", f"{where}/work"
    os.makedirs(where)
    os.mkdir(upper)
    os.mkdir(work)
    top, made = os.stat(lower), os.stat(upper)  # the merged directory looks like the upper one
    if top.st_uid == _UNKNOWN:
        _open(lower, upper)
    elif (top.st_uid, top.st_gid) != (made.st_uid, made.st_gid):
        os.chown(upper, top.st_uid, top.st_gid)
    if top.st_mode != made.st_mode:
        os.chmod(upper, stat.S_IMODE(top.st_mode))
    # Nothing in it outlives its container: `volatile` makes no sync wait for the disk.
    options = f"lowerdir={_plain(lower)},upperdir={_plain(upper)},workdir={_plain(work)},userxattr,volatile"
    return _mount(target, options)


def without(lower: str, hidden: list[str], room: str) -> bool:
    """Take the `hidden` paths below `lower` out of sight, for this mount namespace. `room`: a directory that nobody uses meanwhile."""
    linux.mount("tmpfs", room, "tmpfs", linux.MS_NOSUID | linux.MS_NODEV, "mode=755")
    try:
        for path in hidden:
            spot = f"{room}/{os.path.relpath(path, lower)}"
            os.makedirs(os.path.dirname(spot), exist_ok=True)
            os.mknod(spot, stat.S_IFCHR, os.makedev(0, 0))  # overlayfs: not there, whatever lies below
        return _mount(lower, f"lowerdir={_plain(room)}:{_plain(lower)}")
    except OSError:
        return False
    finally:
        linux.unmount(room)


def mounts_below(path: str) -> list[str]:
    """Where something is mounted below a directory, outermost only: layers do not show it."""
    found: list[str] = []
    for point in _mount_points():
        if point.startswith(path + "/") and not any(point.startswith(outer + "/") for outer in found):
            found.append(point)
    return found


@cache
def _mount_points() -> list[str]:
    """Of this process' mount namespace when it first asks; its children need not look again."""
    with open("/proc/self/mountinfo") as file:
        points = [line.split(" ", 5)[4] for line in file]
    return sorted({point.encode().decode("unicode_escape").encode("latin-1").decode() if "\\" in point else point for point in points})


def _mount(target: str, options: str) -> bool:
    try:
        linux.mount("overlay", target, "overlay", linux.MS_NODEV, options)
        return True
    except OSError as error:
        if error.errno in _CANNOT:
            return False
        raise


def _open(lower: str, upper: str) -> None:
    """Make ours, in the layer, the directories that programs are installed to: root of the machine, whose they are, is nobody here."""
    for name in _INSTALLED_TO:
        if os.path.isdir(f"{lower}/{name}"):
            os.makedirs(f"{upper}/{name}", exist_ok=True)


def _plain(path: str) -> str:
    """Without what means something in mount options."""
    return path.replace("\\", "\\\\").replace(":", "\\:").replace(",", "\\,")
