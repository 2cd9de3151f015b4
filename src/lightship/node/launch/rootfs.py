"""Builds the file tree that one container sees, and makes it the root directory of the calling process.

Called by a container's process between fork and exec, in a mount namespace of its own. The plan (what to show where) was decided in
`runtimes.layout`; here it is only carried out. All of the host that a plan does not name is gone when `enter` returns: volumes are put in
place after the old root is detached, so that no symbolic link inside a volume can lead a mount or a directory back to the host.
"""

import errno
import os
import stat
from typing import Any

from . import layers, linux, names, subpath

_STAGED = "/dev/.staged"
_ROOM = "/dev/.room"
_DEVICES = ("null", "zero", "full", "random", "urandom", "tty")
_DEVICE_LINKS = {
    "fd": "/proc/self/fd",
    "stdin": "/proc/self/fd/0",
    "stdout": "/proc/self/fd/1",
    "stderr": "/proc/self/fd/2",
    "ptmx": "pts/ptmx",
}
# Kernel settings of the whole machine: shown, never writable, since uid 0 of a pod may be the real one.
_FROZEN = ("bus", "fs", "irq", "sys", "sysrq-trigger")
_HIDDEN = ("acpi", "kcore", "keys", "latency_stats", "sched_debug", "scsi", "timer_list")
_SMALL = 65_536
"""Bytes of a file that is copied at once: configuration, pages, keys, scripts. Programs are shown where they are."""
_SAFE = linux.MS_NOSUID | linux.MS_NODEV | linux.MS_NOEXEC


def enter(plan: dict[str, Any]) -> None:
    """Change into the tree described by `plan` (see `runtimes.layout.plan`). Raises `OSError` saying what could not be shown."""
    stage = plan["stage"]
    layered = _root(plan, stage)
    for number, path in enumerate(plan["system"], 1):
        _system(path, stage + path, f"{plan['layers']}/{number}" if layered else "")
    _kernel_files(stage, plan["all_processes"], privileged=plan["privileged"], unmasked=plan["unmasked"])
    _control_groups(stage, plan["groups"])
    _devices(stage, plan["shm"])
    mounts = plan["mounts"] if layered else [*_private_mounts(plan), *({**mount, "layer": ""} for mount in plan["mounts"])]
    _stage(stage, mounts)
    linux.pivot(stage)
    drafts = names.ensure(*plan["user"])
    rooms = [_place(f"{_STAGED}/{position}", mount) for position, mount in enumerate(mounts)]
    for draft in drafts:
        os.unlink(draft)
    _clear_stage(len(mounts))
    for room in [*filter(None, rooms), *(["/"] if plan["read_only"] else [])]:
        linux.close_one(room)


def _root(plan: dict[str, Any], stage: str) -> bool:
    """The top of the tree, at `stage`: an image's, or one of our own in memory. Whether there are writable layers."""
    if plan["image"]:
        if not layers.over(plan["image"], stage, f"{plan['layers']}/0"):
            raise OSError(errno.EOPNOTSUPP, "this machine cannot mount overlayfs here, which images with a file tree of their own need")
        return True
    linux.mount("tmpfs", stage, "tmpfs", linux.MS_NOSUID | linux.MS_NODEV, "mode=755,size=64m")
    for path in plan["directories"]:
        _make_directory(stage + path)
    for path, text in plan["links"].items():
        os.symlink(text, stage + path)
    for private in plan["private"]:
        _make_private(stage + private["target"], private, plan["owner"])
    return bool(plan["layers"]) and layers.over(stage, stage, f"{plan['layers']}/0")


def _make_directory(path: str) -> None:
    """As `os.makedirs`, quicker where the parents are there."""
    try:
        os.mkdir(path)
    except FileExistsError:
        pass
    except FileNotFoundError:
        os.makedirs(path)


def _make_private(path: str, private: dict[str, Any], owner: list[int] | None) -> None:
    _make_directory(path)
    os.chmod(path, private["mode"])
    if owner is not None:
        os.chown(path, *owner)


def _private_mounts(plan: dict[str, Any]) -> list[dict[str, Any]]:
    """Without layers, the directories that a container may fill are mounts of their own: on disk, since memory would soon be full."""
    found = []
    for number, private in enumerate(plan["private"]):
        source = f"{plan['layers']}/private/{number}"
        _make_private(source, private, plan["owner"])
        found.append({"source": source, "target": private["target"], "read_only": False, "layer": "", "size": None, "sub_path": ""})
    return found


def _system(path: str, target: str, layer: str) -> None:
    """One of the host's own directories: to write on with a layer, else only to read."""
    os.makedirs(target, exist_ok=True)
    if not layer or not layers.over(path, target, layer):
        linux.bind(path, target)
        linux.make_read_only(target)
        return
    for point in layers.mounts_below(path):
        shown = target + point[len(path) :]
        if os.path.exists(shown):
            linux.bind(point, shown)
            linux.make_read_only(shown)


def mount_memory(volume: dict[str, Any]) -> None:
    """Make a volume in memory, anybody's to write into, or its group's files when it has one. For all containers of a sandbox."""
    options = ["mode=1777"] if volume["gid"] is None else ["mode=3777", f"gid={volume['gid']}"]
    if volume["size"] is not None:
        options.append(f"size={volume['size']}")
    linux.mount("tmpfs", volume["path"], "tmpfs", linux.MS_NOSUID | linux.MS_NODEV, ",".join(options))


def mask(path: str, *, directory: bool) -> None:
    """Hide what is at `path` behind nothing: an empty directory or an empty device."""
    if directory:
        linux.mount("tmpfs", path, "tmpfs", linux.MS_RDONLY | _SAFE, "mode=755,size=0")
    else:
        linux.bind("/dev/null", path)


def _kernel_files(stage: str, all_processes: str, *, privileged: bool, unmasked: bool) -> None:
    proc = _own_directory(stage + "/proc")
    if all_processes:
        linux.bind(all_processes, proc)
    else:
        linux.mount("proc", proc, "proc", _SAFE)
    for name in _FROZEN:
        path = f"{proc}/{name}"
        if os.path.exists(path):
            linux.bind(path, path)
            linux.make_read_only(path)
    if privileged:  # these are the pod's own
        linux.bind(f"{proc}/sys/net", f"{proc}/sys/net")
        linux.make_writable(f"{proc}/sys/net")
    for name in () if unmasked else _HIDDEN:
        path = f"{proc}/{name}"
        if os.path.exists(path):
            mask(path, directory=os.path.isdir(path))
    sys = _own_directory(stage + "/sys")
    try:
        linux.mount("sysfs", sys, "sysfs", linux.MS_RDONLY | _SAFE)
    except OSError:
        pass  # a host that hides parts of its own /sys lets nobody mount another; pods do without


def _control_groups(stage: str, groups: dict[str, str]) -> None:
    """The container's own limits, to be read by programs that fit themselves into them."""
    place = stage + "/sys/fs/cgroup"
    if not groups or not os.path.ismount(stage + "/sys") or not os.path.isdir(place):
        return
    if list(groups) != [""]:
        linux.mount("tmpfs", place, "tmpfs", _SAFE, "mode=755,size=64k")
    for name, source in groups.items():
        target = f"{place}/{name}" if name else place
        os.makedirs(target, exist_ok=True)
        linux.bind(source, target)
    linux.make_read_only(place)


def _own_directory(path: str) -> str:
    """A mount point that is what it seems: an image's could be a link to anywhere."""
    if os.path.islink(path):
        os.unlink(path)
    os.makedirs(path, exist_ok=True)
    return path


def _devices(stage: str, shm: str) -> None:
    dev = _own_directory(stage + "/dev")
    linux.mount("tmpfs", dev, "tmpfs", linux.MS_NOSUID, "mode=755,size=1m")
    for name in _DEVICES:
        os.close(os.open(f"{dev}/{name}", os.O_CREAT | os.O_CLOEXEC))
        linux.bind(f"/dev/{name}", f"{dev}/{name}")
    for name, text in _DEVICE_LINKS.items():
        os.symlink(text, f"{dev}/{name}")
    os.mkdir(dev + "/pts")
    linux.mount("devpts", dev + "/pts", "devpts", linux.MS_NOSUID | linux.MS_NOEXEC, "newinstance,ptmxmode=0666,mode=620")
    os.mkdir(dev + "/shm")
    linux.bind(shm, dev + "/shm")


def _stage(stage: str, mounts: list[dict[str, Any]]) -> None:
    """Take hold of everything from the host, at places where no volume has a say."""
    os.mkdir(stage + _STAGED)
    for position, mount in enumerate(mounts):
        spot = f"{stage}{_STAGED}/{position}"
        if not mount["source"]:
            os.mkdir(spot)
            size = f",size={mount['size']}" if mount["size"] is not None else ""
            linux.mount("tmpfs", spot, "tmpfs", linux.MS_NOSUID | linux.MS_NODEV, "mode=1777" + size)
        elif mount["layer"] and os.path.isdir(mount["source"]) and _layered(mount, spot):
            continue
        elif mount["sub_path"]:
            held = subpath.prepare(mount["source"], mount["sub_path"], mount["what"])
            try:
                _show(f"/proc/self/fd/{held}", spot, stage)
            finally:
                os.close(held)
        else:
            _show(mount["source"], spot, stage)
        if mount["read_only"]:
            linux.make_read_only(spot)


def _layered(mount: dict[str, Any], spot: str) -> bool:
    """Show a directory of the image with a layer of its own; False, and nothing done, where there can be none."""
    os.mkdir(spot)
    if layers.over(mount["source"], spot, mount["layer"]):
        return True
    os.rmdir(spot)
    return False


def _show(source: str, spot: str, stage: str) -> None:
    if os.path.isdir(source):
        os.mkdir(spot)
    else:
        os.close(os.open(spot, os.O_CREAT | os.O_CLOEXEC))
    linux.bind(source, spot)
    above, below = os.path.realpath(source).rstrip("/") + "/", os.path.realpath(stage)
    if below.startswith(above):
        _unmount_all(f"{spot}/{below[len(above) :]}")  # the tree in the making is nobody's to see, least of all inside itself


def _unmount_all(path: str) -> None:
    """Whatever is mounted at a place, and below that."""
    while True:
        try:
            linux.unmount(path)
        except OSError as error:
            if error.errno == errno.EINVAL:
                return
            raise


def _place(spot: str, mount: dict[str, Any]) -> str:
    """Move a staged mount to its path in the new tree, which is the only tree left. Returns the room that had to be made, if any."""
    room = ""
    directory = os.path.isdir(spot)
    if mount["layer"] and not directory and _copy(spot, mount["target"]):
        return room
    target = os.path.realpath(mount["target"])
    try:
        _make_target(target, directory=directory)
    except OSError as error:
        if error.errno not in (errno.EROFS, errno.EACCES):
            raise
        room = _nearest_directory(target)
        _make_room(room)
        _make_target(target, directory=directory)
    linux.move(spot, target)
    return room


def _copy(spot: str, target: str) -> bool:
    """Put a small file of the image into the container's layer, where it may be changed and moved; False: better shown where it is."""
    with open(spot, "rb") as file:
        found = os.fstat(file.fileno())
        if not stat.S_ISREG(found.st_mode) or found.st_size > _SMALL:
            return False
        content = file.read()
    place = os.path.join(os.path.realpath(os.path.dirname(target)), os.path.basename(target))
    try:
        os.makedirs(os.path.dirname(place), exist_ok=True)
        if os.path.lexists(place):
            os.unlink(place)
        made = os.open(place, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC)
    except OSError:
        return False  # something there is only to be read
    with open(made, "wb") as file:
        file.write(content)
        os.fchmod(made, stat.S_IMODE(found.st_mode))
    linux.unmount(spot)
    return True


def _make_target(target: str, *, directory: bool) -> None:
    if directory:
        os.makedirs(target, exist_ok=True)
    elif not os.path.lexists(target):
        os.makedirs(os.path.dirname(target), exist_ok=True)
        os.close(os.open(target, os.O_CREAT | os.O_CLOEXEC))


def _nearest_directory(path: str) -> str:
    while not os.path.isdir(path):
        path = os.path.dirname(path)
    return path


def _make_room(directory: str) -> None:
    """Put a writable directory over a read-only one and show all the old entries in it, so that a mount point can be added."""
    os.mkdir(_ROOM)
    linux.bind(directory, _ROOM)
    linux.mount("tmpfs", directory, "tmpfs", linux.MS_NOSUID | linux.MS_NODEV, "mode=755,size=1m")
    with os.scandir(_ROOM) as entries:
        for entry in entries:
            shown = f"{directory}/{entry.name}"
            if entry.is_symlink():
                os.symlink(os.readlink(entry.path), shown)
                continue
            _make_target(shown, directory=entry.is_dir())
            linux.bind(entry.path, shown)
    linux.unmount(_ROOM)
    os.rmdir(_ROOM)


def _clear_stage(count: int) -> None:
    for position in range(count):
        spot = f"{_STAGED}/{position}"
        if os.path.isdir(spot):
            os.rmdir(spot)
        else:
            os.unlink(spot)
    os.rmdir(_STAGED)
