"""Programs for the kernel, run here by an interpreter of our own: what they decide is what the profile says."""

import errno
import json
import random
import struct
from pathlib import Path
from typing import Any

import pytest

from lightship.node.runtimes import bpf, capabilities, seccomp, syscalls
from lightship.node.runtimes.bpf import ALLOW, KILL_PROCESS, Condition, Rule, Verdict
from lightship.node.runtimes.runtime import Security

X86, ARM = (syscalls.architecture(machine) for machine in ("x86_64", "aarch64"))
DENIED, ABSENT = bpf.refuse(errno.EPERM), bpf.refuse(errno.ENOSYS)
COMPARE = {
    "==": lambda a, c: a == c.value,
    "!=": lambda a, c: a != c.value,
    "<": lambda a, c: a < c.value,
    "<=": lambda a, c: a <= c.value,
    ">": lambda a, c: a > c.value,
    ">=": lambda a, c: a >= c.value,
    "&": lambda a, c: (a & c.mask) == c.value,
}


def verdict(program: bytes, number: int, *arguments: int, architecture: int = X86) -> int:
    """Contract: the classic BPF machine, as far as seccomp allows it."""
    data = struct.pack("=IIQ6Q", number, architecture, 0, *arguments, *[0] * (6 - len(arguments)))
    code = list(struct.iter_unpack("=HBBI", program))
    at, accumulator = 0, 0
    while True:
        operation, yes, no, k = code[at]
        at += 1
        if operation == 0x20:
            (accumulator,) = struct.unpack_from("=I", data, k)
        elif operation == 0x54:
            accumulator &= k
        elif operation == 0x05:
            at += k
        elif operation == 0x06:
            return int(k)
        else:
            holds = {0x15: accumulator == k, 0x25: accumulator > k, 0x35: accumulator >= k}[operation]
            at += yes if holds else no


def expected(calls: dict[int, Verdict], unknown: int, number: int, arguments: list[int]) -> int:
    found = calls.get(number, Verdict(unknown))
    for rule in found.rules:
        if all(COMPARE[c.compare](arguments[c.argument], c) for c in rule.conditions):
            return rule.verdict
    return found.otherwise


@pytest.mark.parametrize("seed", range(20))
def test_programs_decide_as_their_rules_say(seed: int) -> None:
    chance = random.Random(seed)
    values = [0, 1, 7, 0xFFFFFFFF, 0x1_0000_0000, 0x1_0000_0001, 0x7_0000_0007, (1 << 64) - 1]

    def condition() -> Condition:
        value, mask = chance.choice(values), chance.choice(values)
        compare = chance.choice(list(COMPARE))
        return Condition(chance.randrange(6), compare, value & mask if compare == "&" else value, mask)

    def rules() -> tuple[Rule, ...]:
        count = chance.randrange(4)
        return tuple(Rule(tuple(condition() for _ in range(chance.randrange(1, 4))), chance.choice([ALLOW, DENIED])) for _ in range(count))

    calls = {chance.randrange(500): Verdict(chance.choice([ALLOW, DENIED, ABSENT]), rules()) for _ in range(chance.choice([0, 1, 200]))}
    program = bpf.compile_filter(X86, calls, KILL_PROCESS)
    for _ in range(2_000):
        number, arguments = chance.randrange(520), [chance.choice(values) for _ in range(6)]
        assert verdict(program, number, *arguments) == expected(calls, KILL_PROCESS, number, arguments)


def test_foreign_conventions_are_as_if_absent() -> None:
    program = bpf.compile_filter(X86, {0: Verdict(ALLOW)}, ALLOW)
    assert verdict(program, 0, architecture=ARM) == ABSENT
    assert verdict(program, 0x40000000) == ABSENT
    assert verdict(program, 0) == ALLOW


def named(capability: str = "", *, real_root: bool = True, machine: str = "x86_64") -> Any:
    held = capabilities.USUAL | ({capability} if capability else set())
    program = seccomp._default(machine, held, real_root)
    numbers, architecture = syscalls.numbers(machine), syscalls.architecture(machine)
    return lambda name, *arguments: verdict(program, numbers[name], *arguments, architecture=architecture)


@pytest.mark.parametrize("machine", ["x86_64", "aarch64"])
def test_the_default_refuses_what_engines_refuse(machine: str) -> None:
    ask = named(machine=machine)
    for name in ("read", "openat", "execve", "ptrace", "futex_waitv", "landlock_restrict_self", "setresuid", "mbind", "chroot"):
        assert ask(name) == ALLOW, name
    for name in ("mount", "unshare", "setns", "bpf", "keyctl", "io_uring_setup", "kexec_load", "perf_event_open", "open_by_handle_at"):
        assert ask(name) == DENIED, name
    assert ask("clone3") == ABSENT
    assert ask("clone", 0x01200011) == ALLOW
    assert ask("clone", 0x10000011) == DENIED
    assert ask("socket", 2) == ALLOW
    assert ask("socket", 40) == ask("socket", 40 | 1 << 32) == DENIED
    assert ask("ioctl", 0, 0x5401) == ALLOW
    assert ask("ioctl", 0, 0x5412) == ask("ioctl", 0, 0x5412 | 1 << 40) == DENIED
    assert ask("personality", 0xFFFFFFFF) == ALLOW
    assert ask("personality", 0x0040000) == DENIED


def test_capabilities_widen_it_but_who_is_root_of_the_machine_never_mounts() -> None:
    assert named("SYS_ADMIN", real_root=False)("mount") == ALLOW
    assert named("SYS_ADMIN")("mount") == DENIED
    assert named("SYS_ADMIN")("unshare") == named("SYS_ADMIN")("clone3") == ALLOW
    assert named("BPF")("bpf") == ALLOW
    assert named("BPF")("mount") == DENIED


def test_calls_that_came_later_do_not_exist() -> None:
    assert verdict(seccomp._default("x86_64", capabilities.USUAL, True), 999) == ABSENT


def test_profiles_are_read_in_both_forms(tmp_path: Path) -> None:
    profile = {
        "defaultAction": "SCMP_ACT_ERRNO",
        "defaultErrnoRet": errno.ENOSYS,
        "syscalls": [
            {"names": ["read", "write", "no_such_call"], "action": "SCMP_ACT_ALLOW"},
            {"name": "mkdir", "action": "SCMP_ACT_KILL_PROCESS"},
            {"names": ["personality"], "action": "SCMP_ACT_ALLOW", "args": [{"index": 0, "value": 8, "op": "SCMP_CMP_EQ"}]},
            {
                "names": ["clone"],
                "action": "SCMP_ACT_ALLOW",
                "args": [{"index": 0, "value": 0x7E020000, "valueTwo": 0, "op": "SCMP_CMP_MASKED_EQ"}],
            },
            {"names": ["mount"], "action": "SCMP_ACT_ALLOW", "includes": {"caps": ["CAP_SYS_ADMIN"]}},
            {"names": ["umount2"], "action": "SCMP_ACT_ALLOW", "excludes": {"arches": ["amd64"]}},
        ],
    }
    program = seccomp.from_profile(profile, "x86_64", ["CHOWN"])
    numbers = syscalls.numbers("x86_64")
    want = {"read": ALLOW, "mkdir": KILL_PROCESS, "open": ABSENT, "mount": ABSENT, "umount2": ABSENT, "personality": ABSENT, "clone": ALLOW}
    assert {name: verdict(program, numbers[name]) for name in want} == want
    assert verdict(program, numbers["personality"], 8) == ALLOW
    assert verdict(seccomp.from_profile(profile, "x86_64", ["SYS_ADMIN"]), numbers["mount"]) == ALLOW
    path = tmp_path / "profile.json"
    path.write_text(json.dumps(profile))
    assert seccomp._read(str(path)) == profile


@pytest.mark.parametrize("text", ["{", "[]", "{}"])
def test_profiles_that_make_no_sense_are_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "profile.json"
    path.write_text(text)
    with pytest.raises(ValueError, match="seccomp profile"):
        seccomp._read(str(path))


@pytest.mark.parametrize(
    ("entry", "want"),
    [
        ({"names": ["read"], "action": "SCMP_ACT_NOTIFY"}, "SCMP_ACT_NOTIFY"),
        ({"names": ["read"], "action": "SCMP_ACT_ALLOW", "args": [{"index": 0, "value": 0, "op": "SCMP_CMP_XX"}]}, "SCMP_CMP_XX"),
    ],
)
def test_rules_that_cannot_be_kept_are_refused(entry: dict[str, Any], want: str) -> None:
    with pytest.raises(ValueError, match=want):
        seccomp.from_profile({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [entry]}, "x86_64", [])


@pytest.mark.parametrize(
    ("security", "want"),
    [
        (Security(), capabilities.USUAL),
        (Security(add_capabilities=["NET_RAW", "CAP_SYS_TIME"]), capabilities.USUAL | {"NET_RAW", "SYS_TIME"}),
        (Security(drop_capabilities=["ALL"]), frozenset()),
        (Security(drop_capabilities=["ALL"], add_capabilities=["CHOWN"]), {"CHOWN"}),
        (Security(add_capabilities=["ALL"], drop_capabilities=["SYS_ADMIN"]), frozenset(capabilities.NAMES) - {"SYS_ADMIN"}),
        (Security(privileged=True, drop_capabilities=["ALL"]), frozenset(capabilities.NAMES)),
    ],
)
def test_what_is_granted(security: Security, want: frozenset[str]) -> None:
    assert capabilities.granted(security) == want


def test_numbers_of_capabilities() -> None:
    assert capabilities.numbers(frozenset({"CHOWN", "SYS_ADMIN", "CHECKPOINT_RESTORE"})) == [0, 21, 40]
    with pytest.raises(ValueError, match="NO_SUCH"):
        capabilities.granted(Security(add_capabilities=["NO_SUCH"]))


def test_numbers_of_calls() -> None:
    assert {name: syscalls.numbers("x86_64")[name] for name in ("read", "execve", "seccomp", "rseq", "io_uring_setup")} == {
        "read": 0,
        "execve": 59,
        "seccomp": 317,
        "rseq": 334,
        "io_uring_setup": 425,
    }
    assert {name: syscalls.numbers("aarch64")[name] for name in ("io_setup", "read", "clone", "kexec_file_load", "mseal")} == {
        "io_setup": 0,
        "read": 63,
        "clone": 220,
        "kexec_file_load": 294,
        "mseal": 462,
    }
    assert syscalls.numbers("riscv64") == {}
