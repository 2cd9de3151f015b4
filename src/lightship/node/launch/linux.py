"""System calls that Python does not bind: namespaces, mounts, capabilities (Linux only, through libc).

Called by the launcher, by the init of each sandbox and by the probe. Knows nothing of pods; every call raises `OSError` with the path
or the flag that it was about. Importable everywhere: libc is looked up at the first call.
Contract: unshare(2), setns(2), mount(2), mount_setattr(2), pivot_root(2), umount2(2), capabilities(7), prctl(2).
"""

import ctypes
import os
from collections.abc import Collection
from functools import cache
from typing import Any

NEW_NS = 0x00020000
NEW_UTS = 0x04000000
NEW_IPC = 0x08000000
NEW_USER = 0x10000000
NEW_PID = 0x20000000
NEW_NET = 0x40000000

MS_RDONLY = 1
MS_NOSUID = 2
MS_NODEV = 4
MS_NOEXEC = 8
MS_REMOUNT = 32
MS_BIND = 4096
MS_MOVE = 8192
MS_REC = 16384
MS_PRIVATE = 1 << 18
MNT_DETACH = 2

_AT_FDCWD = -100
_AT_RECURSIVE = 0x8000
_MOUNT_ATTR_RDONLY = 1
_SYS_MOUNT_SETATTR = 442
# glibc has no wrapper; the number is the generic one everywhere but on the oldest ports.
_SYS_PIVOT_ROOT = {"x86_64": 155, "i686": 217, "armv7l": 218, "ppc64le": 203, "s390x": 217}
_SYS_SECCOMP = {"x86_64": 317, "i686": 354, "armv7l": 383, "ppc64le": 358, "s390x": 348}
_SYS_KEYCTL = {"x86_64": 250, "i686": 288, "armv7l": 311, "ppc64le": 271, "s390x": 280}
_KEYCTL_JOIN_SESSION_KEYRING = 1

_SECCOMP_SET_MODE_FILTER = 1
_SECCOMP_ALL_THREADS, _SECCOMP_NO_SLOWER_SPECULATION = 1, 4

_PR_CAPBSET_DROP = 24
_PR_SET_CHILD_SUBREAPER = 36
_PR_SET_NO_NEW_PRIVS = 38
_PR_CAP_AMBIENT = 47
_PR_CAP_AMBIENT_CLEAR_ALL = 4
_CAPABILITY_VERSION_3 = 0x20080522


class _CapHeader(ctypes.Structure):
    _fields_ = (("version", ctypes.c_uint32), ("pid", ctypes.c_int))


class _CapData(ctypes.Structure):
    _fields_ = (("effective", ctypes.c_uint32), ("permitted", ctypes.c_uint32), ("inheritable", ctypes.c_uint32))


class _Filter(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("instructions", ctypes.c_char_p))


class _MountAttributes(ctypes.Structure):
    _fields_ = (("set", ctypes.c_uint64), ("clear", ctypes.c_uint64), ("propagation", ctypes.c_uint64), ("userns", ctypes.c_uint64))


@cache
def _libc() -> Any:
    libc = ctypes.CDLL(None, use_errno=True)
    libc.mount.argtypes = (ctypes.c_char_p, ctypes.c_char_p, ctypes.c_char_p, ctypes.c_ulong, ctypes.c_char_p)
    libc.umount2.argtypes = (ctypes.c_char_p, ctypes.c_int)
    libc.sethostname.argtypes = (ctypes.c_char_p, ctypes.c_size_t)
    libc.prctl.argtypes = (ctypes.c_int, ctypes.c_ulong, ctypes.c_ulong, ctypes.c_ulong, ctypes.c_ulong)
    libc.syscall.restype = ctypes.c_long
    return libc


def _check(result: int, what: str) -> None:
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, f"{what}: {os.strerror(code)}")


def unshare(flags: int) -> None:
    """Leave the namespaces named by `flags` (NEW_*) for fresh ones; NEW_PID takes effect for the next child."""
    _check(_libc().unshare(ctypes.c_int(flags)), f"unshare {flags:#x}")


def setns(fd: int, flag: int) -> None:
    """Enter the namespace behind `fd`; for NEW_PID, the next child does."""
    _check(_libc().setns(ctypes.c_int(fd), ctypes.c_int(flag)), f"setns {flag:#x}")


def mount(source: str, target: str, kind: str = "", flags: int = 0, options: str = "") -> None:
    arguments = (os.fsencode(source), os.fsencode(target), kind.encode() or None, flags, options.encode() or None)
    _check(_libc().mount(*arguments), f"mount {kind or 'bind'} {source} on {target}")


def bind(source: str, target: str) -> None:
    """Show a file or directory, with all that is mounted below it, a second time at `target`."""
    mount(source, target, flags=MS_BIND | MS_REC)


def move(source: str, target: str) -> None:
    mount(source, target, flags=MS_MOVE)


def unmount(target: str) -> None:
    """Detach a mount and all below it, at once, even when in use."""
    _check(_libc().umount2(os.fsencode(target), MNT_DETACH), f"umount {target}")


def close_one(target: str) -> None:
    """Forbid writes through the mount at `target`, but not through those below it."""
    shown = os.statvfs(target).f_flag & (MS_NOSUID | MS_NODEV | MS_NOEXEC)
    mount("none", target, flags=MS_REMOUNT | MS_BIND | MS_RDONLY | shown)


def make_writable(target: str) -> None:
    """Allow writes through a mount that `make_read_only` of one above it has closed. A kernel before 5.12 had left it open."""
    attributes = _MountAttributes(clear=_MOUNT_ATTR_RDONLY)
    arguments = (_SYS_MOUNT_SETATTR, _AT_FDCWD, os.fsencode(target), _AT_RECURSIVE, ctypes.byref(attributes), ctypes.sizeof(attributes))
    _libc().syscall(*arguments)


def make_private(target: str) -> None:
    """Let no later mount below `target` spread to other namespaces or come from them."""
    mount("none", target, flags=MS_REC | MS_PRIVATE)


def make_read_only(target: str) -> None:
    """Forbid writes through a bind mount and those below it (on kernels before 5.12: only through the top one)."""
    attributes = _MountAttributes(set=_MOUNT_ATTR_RDONLY)
    arguments = (_SYS_MOUNT_SETATTR, _AT_FDCWD, os.fsencode(target), _AT_RECURSIVE, ctypes.byref(attributes), ctypes.sizeof(attributes))
    if _libc().syscall(*arguments) == 0:
        return
    # A remount must repeat the flags that the owner of the file system has locked: those that it shows already.
    shown = os.statvfs(target).f_flag & (MS_NOSUID | MS_NODEV | MS_NOEXEC)
    mount("none", target, flags=MS_REMOUNT | MS_BIND | MS_RDONLY | shown)


def pivot(new_root: str) -> None:
    """Make the mount at `new_root` the root directory and lose the old one."""
    os.chdir(new_root)
    number = _SYS_PIVOT_ROOT.get(os.uname().machine, 41)
    _check(_libc().syscall(number, b".", b"."), f"pivot_root {new_root}")
    unmount(".")  # the old root lies on top of the new one now
    os.chdir("/")


def set_hostname(name: str) -> None:
    encoded = name.encode()
    _check(_libc().sethostname(encoded, len(encoded)), f"sethostname {name}")


def forget_keys() -> None:
    """Leave the kernel keys of the user's session (tickets, disk keys) for an empty ring. A kernel without keys is as good."""
    number = _SYS_KEYCTL.get(os.uname().machine, 219)
    _libc().syscall(number, _KEYCTL_JOIN_SESSION_KEYRING, None)


def adopt(*, orphans: bool) -> None:
    """Whether descendants that lose their parent become children of this process, and not of its namespace's first."""
    _check(_libc().prctl(_PR_SET_CHILD_SUBREAPER, int(orphans), 0, 0, 0), "prctl CHILD_SUBREAPER")


def forbid_new_privileges() -> None:
    """Set-uid programs and file capabilities grant nothing from here on."""
    _check(_libc().prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "prctl NO_NEW_PRIVS")


def filter_calls(program: bytes) -> None:
    """Have the kernel ask `program` (struct sock_filter, in a row) about every system call from here on, in all threads, for good.

    Needs `forbid_new_privileges` before it, or the right to administer the user namespace.
    """
    libc, number = _libc(), _SYS_SECCOMP.get(os.uname().machine, 277)
    filters = _Filter(len(program) // 8, program)
    for flags in (_SECCOMP_ALL_THREADS | _SECCOMP_NO_SLOWER_SPECULATION, _SECCOMP_ALL_THREADS):
        result = libc.syscall(number, _SECCOMP_SET_MODE_FILTER, flags, ctypes.byref(filters))
        if result == 0:
            return
    _check(-1, "seccomp")


def bound_capabilities(keep: Collection[int]) -> None:
    """No program run from here on can ever hold more than `keep`."""
    for capability in range(64):
        if capability not in keep and _libc().prctl(_PR_CAPBSET_DROP, capability, 0, 0, 0) < 0:
            break  # past the kernel's last capability
    _libc().prctl(_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0)


def hold_capabilities(keep: Collection[int]) -> None:
    """Give up what this process holds beyond `keep`."""
    low = sum(1 << c for c in keep if c < 32)
    high = sum(1 << (c - 32) for c in keep if c >= 32)
    data = (_CapData * 2)(_CapData(low, low, 0), _CapData(high, high, 0))
    _check(_libc().capset(ctypes.byref(_CapHeader(_CAPABILITY_VERSION_3, 0)), data), "capset")


def setting(name: str, value: str) -> None:
    """Write /proc/sys/`name`; a kernel that has no such setting needs no telling."""
    try:
        with open(f"/proc/sys/{name}", "w") as file:
            file.write(value)
    except OSError:
        pass


def explain(error: OSError) -> str:
    """What went wrong and with what, without the number."""
    return f"{error.strerror}: {error.filename}" if error.filename else str(error.strerror or error)
