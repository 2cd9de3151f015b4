"""Finds a file below a volume that others may be changing, without ever being led out of it.

Called in a container's own mount namespace (`rootfs`) for `subPath` mounts, and by host mode's `farm`. The path is resolved once, and then
walked again from the volume on without following any link: whoever swaps a directory for a link in between gets an error, not a file of
the host's. Missing directories are made with the permissions of the volume. Contract: kubelet subpath, symbolic links inside are allowed.
"""

import errno
import os
import stat

_PATH = getattr(os, "O_PATH", os.O_RDONLY) | os.O_NOFOLLOW | os.O_CLOEXEC
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class SubPathError(OSError):
    """A sub path that cannot be made or leaves its volume. Tells nothing of the host, since a pod's owner reads it."""


def prepare(volume: str, sub_path: str, what: str) -> int:
    """A descriptor of `sub_path` below `volume`, made as a directory when it is missing. Raises `SubPathError` about `what`."""
    wanted = os.path.join(volume, sub_path)
    try:
        if os.path.isabs(sub_path) or ".." in sub_path.split("/"):
            raise PermissionError(errno.EPERM, "leaves the volume")
        if not os.path.exists(wanted):
            _make(os.path.realpath(volume), sub_path)
    except OSError as error:
        raise SubPathError(error.errno, f"failed to create subPath directory for {what}") from error
    try:
        return _open(os.path.realpath(volume), os.path.realpath(wanted))
    except OSError as error:
        raise SubPathError(error.errno, f"failed to prepare subPath for {what}") from error


def open_file(volume: str, path: str) -> int:
    """A descriptor to read what is at `path` below `volume`, without waiting for anybody. Raises `OSError`."""
    base = os.path.realpath(volume)
    return _open(base, os.path.realpath(os.path.join(base, path.lstrip("/"))), os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)


def resolve(volume: str, sub_path: str, what: str) -> str:
    """The true path of `sub_path`, for where nothing can be mounted and so nothing can be held on to. Raises `SubPathError`."""
    os.close(prepare(volume, sub_path, what))
    return os.path.realpath(os.path.join(volume, sub_path))


def _open(base: str, real: str, flags: int = _PATH) -> int:
    """Walk from `base` to `real`, neither of which has links in it (any more)."""
    if real != base and not real.startswith(base.rstrip("/") + "/"):
        raise PermissionError(errno.EPERM, "leaves the volume")
    found = os.open(base, flags)
    for name in os.path.relpath(real, base).split("/") if real != base else ():
        above, found = found, _step(found, name, flags)
        os.close(above)
    return found


def _step(above: int, name: str, flags: int) -> int:
    try:
        found = os.open(name, flags, dir_fd=above)
    except OSError:
        os.close(above)
        raise
    if stat.S_ISLNK(os.fstat(found).st_mode):  # what O_PATH opens instead of failing
        os.close(found)
        os.close(above)
        raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))
    return found


def _make(base: str, sub_path: str) -> None:
    """The missing directories of a path, each one entered only as what we have just made."""
    names = [name for name in sub_path.split("/") if name not in ("", ".")]
    existing = base
    while names and os.path.exists(os.path.join(existing, names[0])):
        existing = os.path.join(existing, names.pop(0))
    mode = stat.S_IMODE(os.stat(base).st_mode)
    above = _open(base, os.path.realpath(existing), _DIRECTORY)
    try:
        for name in names:
            try:
                os.mkdir(name, dir_fd=above)
            except FileExistsError:
                pass  # by another container of the pod: entered below only if it is a directory
            made = os.open(name, _DIRECTORY, dir_fd=above)
            os.close(above)
            above = made
            os.fchmod(above, mode)  # what the umask has taken
    finally:
        os.close(above)
