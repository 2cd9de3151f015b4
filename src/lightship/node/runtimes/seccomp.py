"""What containers may ask of the kernel: our `RuntimeDefault`, `Unconfined`, and profiles from files, as programs for the kernel.

Pure but for reading a profile; called by `layout`, which hands the bytes to the process that becomes the container. `RuntimeDefault`
allows every known call but those that container engines refuse, and is wider for a container with the capability that a call is about.
Contract: core/v1 SeccompProfile; the JSON form of profiles is that of the OCI runtime spec and of Docker (`names`, `includes`).
"""

import errno
import json
import os
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from . import syscalls
from .bpf import ALLOW, KILL_PROCESS, KILL_THREAD, LOG, TRACE, TRAP, Condition, Rule, Verdict, compile_filter, refuse

RUNTIME_DEFAULT, UNCONFINED = "RuntimeDefault", "Unconfined"

# Each line: what is refused, after the capability that lifts it; `-`: nothing does. Facts: the default profiles of Docker and containerd.
_REFUSED_LINES = """
SYS_ADMIN mount umount2 mount_setattr move_mount open_tree open_tree_attr fsopen fsconfig fsmount fspick pivot_root listmount statmount
SYS_ADMIN bpf fanotify_init lookup_dcookie perf_event_open quotactl quotactl_fd setdomainname sethostname setns syslog unshare
BPF bpf
PERFMON perf_event_open
SYSLOG syslog
DAC_READ_SEARCH open_by_handle_at
SYS_BOOT reboot kexec_load kexec_file_load
SYS_MODULE delete_module init_module finit_module create_module query_module get_kernel_syms
SYS_PACCT acct
SYS_RAWIO iopl ioperm
SYS_TIME settimeofday clock_settime
SYS_TTY_CONFIG vhangup
SYS_NICE move_pages migrate_pages set_mempolicy_home_node
- add_key request_key keyctl io_uring_setup io_uring_enter io_uring_register userfaultfd nfsservctl swapon swapoff
- sysfs _sysctl uselib ustat vserver afs_syscall getpmsg putpmsg security tuxcall
"""
_REFUSED = [(words[0], frozenset(words[1:])) for words in map(str.split, _REFUSED_LINES.strip().splitlines())]
_MOUNTING = _REFUSED[0][1]
_NEW_NAMESPACES = 0x7E020000  # the CLONE_NEW* flags but that for clocks, which shares its bit with the exit signal
_AF_VSOCK = 40
_PERSONALITIES = (0x0, 0x8, 0x20000, 0x20008, 0xFFFFFFFF)
_TERMINAL_INPUT = (0x5412, 0x541C)  # TIOCSTI, TIOCLINUX: typing into somebody else's terminal
_LOWER_HALF = 0xFFFFFFFF  # all that the kernel looks at where an argument is an int
_DENIED = refuse(errno.EPERM)
_ABSENT = refuse(errno.ENOSYS)

_COMPARISONS = {
    "SCMP_CMP_NE": "!=",
    "SCMP_CMP_LT": "<",
    "SCMP_CMP_LE": "<=",
    "SCMP_CMP_EQ": "==",
    "SCMP_CMP_GE": ">=",
    "SCMP_CMP_GT": ">",
    "SCMP_CMP_MASKED_EQ": "&",
}
_ACTIONS = {
    "SCMP_ACT_ALLOW": ALLOW,
    "SCMP_ACT_LOG": LOG,
    "SCMP_ACT_TRAP": TRAP,
    "SCMP_ACT_KILL": KILL_THREAD,
    "SCMP_ACT_KILL_THREAD": KILL_THREAD,
    "SCMP_ACT_KILL_PROCESS": KILL_PROCESS,
}


def program(profile: str, capabilities: frozenset[str], *, real_root: bool) -> bytes:
    """The filter of a container; empty for none. `real_root`: its uid 0 is the machine's.

    Raises `ValueError` for a profile that makes no sense, `OSError` for a file that cannot be read.
    """
    machine = os.uname().machine
    if not syscalls.architecture(machine):
        if profile not in (RUNTIME_DEFAULT, UNCONFINED):
            raise ValueError(f"seccomp profile {profile}: the calls of {machine} are not known here")
        return b""
    if profile == RUNTIME_DEFAULT:
        return _default(machine, capabilities, real_root)
    if profile == UNCONFINED:
        # Who may mount could take away what keeps the machine's settings read-only, and those trust their owner.
        return _without_mounting(machine) if real_root and "SYS_ADMIN" in capabilities else b""
    return from_profile(_read(profile), machine, capabilities)


def from_profile(profile: Mapping[str, Any], machine: str, capabilities: Iterable[str]) -> bytes:
    """The filter that a profile in OCI or Docker form describes. Raises `ValueError`."""
    known, held = syscalls.numbers(machine), {f"CAP_{name}" for name in capabilities}
    unmatched = _action(profile["defaultAction"], profile.get("defaultErrnoRet"))
    rules: dict[int, list[Rule]] = {}
    for entry in profile.get("syscalls") or ():
        if not _applies(entry, machine, held):
            continue
        rule = Rule(tuple(map(_condition, entry.get("args") or ())), _action(entry["action"], entry.get("errnoRet")))
        for name in entry.get("names") or [entry["name"]]:
            if name in known:
                rules.setdefault(known[name], []).append(rule)
    calls = {number: _combined(found, unmatched) for number, found in rules.items()}
    return compile_filter(syscalls.architecture(machine), calls, unmatched)


@cache
def _default(machine: str, capabilities: frozenset[str], real_root: bool) -> bytes:
    known = syscalls.numbers(machine)
    refused = frozenset[str]().union(*(names for _, names in _REFUSED))
    lifted = frozenset[str]().union(*(names for capability, names in _REFUSED if capability in capabilities))
    if real_root:
        lifted -= _MOUNTING
    calls = {number: Verdict(_DENIED if name in refused - lifted else ALLOW) for name, number in known.items()}
    if "SYS_ADMIN" not in capabilities:
        fresh = Rule((Condition(0, "&", 0, _NEW_NAMESPACES),), ALLOW)
        calls[known["clone"]] = Verdict(_DENIED, (fresh,))
        calls[known["clone3"]] = Verdict(_ABSENT)  # its flags are out of a filter's sight; libraries then use `clone`
    calls[known["socket"]] = Verdict(ALLOW, (Rule((Condition(0, "&", _AF_VSOCK, _LOWER_HALF),), _DENIED),))
    calls[known["personality"]] = Verdict(_DENIED, tuple(Rule((Condition(0, "==", value),), ALLOW) for value in _PERSONALITIES))
    typing = tuple(Rule((Condition(1, "&", request, _LOWER_HALF),), _DENIED) for request in _TERMINAL_INPUT)
    calls[known["ioctl"]] = Verdict(ALLOW, typing)
    return compile_filter(syscalls.architecture(machine), calls, _ABSENT)


@cache
def _without_mounting(machine: str) -> bytes:
    known = syscalls.numbers(machine)
    calls = {known[name]: Verdict(_DENIED) for name in _MOUNTING if name in known}
    return compile_filter(syscalls.architecture(machine), calls, ALLOW)


def _read(path: str) -> dict[str, Any]:
    try:
        profile = json.loads(Path(path).read_bytes())
    except ValueError as error:
        raise ValueError(f"seccomp profile {path}: {error}") from error
    if not isinstance(profile, dict) or "defaultAction" not in profile:
        raise ValueError(f"seccomp profile {path}: no defaultAction")
    return profile


def _applies(entry: Mapping[str, Any], machine: str, held: set[str]) -> bool:
    """Docker's conditions on the container and the machine; kernels are all new enough."""
    wanted, unwanted = entry.get("includes") or {}, entry.get("excludes") or {}
    architecture = {"x86_64": "amd64", "aarch64": "arm64"}[machine]
    if not held.issuperset(wanted.get("caps") or ()) or (wanted.get("arches") and architecture not in wanted["arches"]):
        return False
    return held.isdisjoint(unwanted.get("caps") or ()) and architecture not in (unwanted.get("arches") or ())


def _combined(rules: list[Rule], unmatched: int) -> Verdict:
    """A rule without conditions decides for good; several with conditions are alternatives."""
    plain = next((rule for rule in rules if not rule.conditions), None)
    return Verdict(plain.verdict) if plain else Verdict(unmatched, tuple(rules))


def _condition(entry: Mapping[str, Any]) -> Condition:
    compare = _COMPARISONS.get(entry["op"])
    if compare is None:
        raise ValueError(f'seccomp profile: unknown comparison "{entry["op"]}"')
    if compare == "&":
        return Condition(entry["index"], compare, int(entry.get("valueTwo") or 0), int(entry["value"]))
    return Condition(entry["index"], compare, int(entry["value"]))


def _action(name: str, code: int | None) -> int:
    if name == "SCMP_ACT_ERRNO":
        return refuse(errno.EPERM if code is None else code)
    if name == "SCMP_ACT_TRACE":
        return TRACE | (code or 0) & 0xFFFF
    if name not in _ACTIONS:
        raise ValueError(f'seccomp profile: action "{name}" is not supported here')
    return _ACTIONS[name]
