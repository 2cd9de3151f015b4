"""Which of Linux' capabilities a container gets, by the names that pods use.

Pure; called by `layout`. Capabilities count inside the cluster's user namespace only: none of them reaches the machine around it.
Contract: core/v1 Capabilities (`ALL`, names without `CAP_`), capabilities(7), linux/capability.h.
"""

from .runtime import Security

_IN_ORDER = """
CHOWN DAC_OVERRIDE DAC_READ_SEARCH FOWNER FSETID KILL SETGID SETUID SETPCAP LINUX_IMMUTABLE NET_BIND_SERVICE NET_BROADCAST NET_ADMIN
NET_RAW IPC_LOCK IPC_OWNER SYS_MODULE SYS_RAWIO SYS_CHROOT SYS_PTRACE SYS_PACCT SYS_ADMIN SYS_BOOT SYS_NICE SYS_RESOURCE SYS_TIME
SYS_TTY_CONFIG MKNOD LEASE AUDIT_WRITE AUDIT_CONTROL SETFCAP MAC_OVERRIDE MAC_ADMIN SYSLOG WAKE_ALARM BLOCK_SUSPEND AUDIT_READ PERFMON
BPF CHECKPOINT_RESTORE
"""
_USUAL = "CHOWN DAC_OVERRIDE FOWNER FSETID KILL SETGID SETUID SETPCAP NET_BIND_SERVICE SYS_CHROOT SETFCAP"
_OVER_OTHERS = frozenset({"SYS_PTRACE", "SYS_ADMIN"})
NAMES = _IN_ORDER.split()
"""In the order of their numbers."""

USUAL = frozenset(_USUAL.split())
"""The set of container engines, less raw sockets, device nodes and audit messages."""


def granted(security: Security, *, sees_others: bool = False) -> frozenset[str]:
    """What root of this container holds, and what no program in it can exceed. Raises `ValueError` for a name that is none.

    `sees_others`: it finds the processes of all pods in /proc, and those that hold them. Who may trace the latter, or has all that they
    have, walks through their root directories into the machine: these see, and no more.
    """
    everything = frozenset(NAMES) - (_OVER_OTHERS if sees_others else frozenset())
    if security.privileged:
        return everything
    added, dropped = _named(security.add_capabilities), _named(security.drop_capabilities)
    held = everything if "ALL" in added else USUAL
    if "ALL" in dropped:
        held = frozenset()
    return ((held | added - {"ALL"}) - dropped) & everything


def numbers(names: frozenset[str]) -> list[int]:
    """As the kernel counts them, in order."""
    return [number for number, name in enumerate(NAMES) if name in names]


def _named(names: list[str]) -> frozenset[str]:
    found = frozenset(name.upper().removeprefix("CAP_") for name in names)
    unknown = found - {"ALL", *NAMES}
    if unknown:
        raise ValueError(f"unknown capability {', '.join(sorted(unknown))}")
    return found
