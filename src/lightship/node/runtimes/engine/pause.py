"""The image of the container that holds a pod's network: one program of a few bytes that waits for good, made here, from no registry.

`runtime` loads it into the engine once. As process 1 of a pod that shares processes it also buries whoever has lost its parent: a process
that ignores SIGCHLD needs no more than that. Contract: the archive of `docker save`; ELF; the kernel's numbers of calls on each machine.
"""

import hashlib
import io
import json
import struct
import tarfile
from typing import NamedTuple

NAME = "localhost/lightship/pause:1"
"""Raise the tag when the program changes."""
PROGRAM = "/pause"

_BASE = 0x400000
_HEADERS = 64 + 56
_ACTION = struct.pack("<QQQQ", 1, 0, 0, 0)
"""`struct sigaction` of the kernel: SIG_IGN, no flags, no mask."""


class _Machine(NamedTuple):
    elf: int
    code: bytes
    """It is followed by `_ACTION`."""


def _amd64() -> bytes:
    ignore = b"\x6a\x11\x5f\x48\x8d\x35%s\x31\xd2\x6a\x08\x41\x5a\x6a\x0d\x58\x0f\x05"
    # push 17; pop rdi; lea rsi, [action]; xor edx, edx; push 8; pop r10; push 13; pop rax; syscall: rt_sigaction(SIGCHLD, action, 0, 8)
    wait = b"\x6a\x22\x58\x0f\x05\xeb\xf9"  # again: push 34; pop rax; syscall; jmp again: pause()
    length = len(ignore) - 2 + 4 + len(wait)
    return ignore % struct.pack("<i", length - 10) + wait


def _arm64() -> bytes:
    def set_register(number: int, value: int) -> int:
        return 0xD2800000 | value << 5 | number

    call = 0xD4000001
    words = [set_register(0, 17), 0, set_register(2, 0), set_register(3, 8), set_register(8, 134), call]  # rt_sigaction as above
    wait = [*(set_register(number, 0) for number in range(5)), set_register(8, 73), call]  # ppoll(0, 0, 0, 0)
    again = 0x14000000 | (-len(wait) & 0x3FFFFFF)
    words += [*wait, again]
    words[1] = 0x10000000 | (len(words) - 1) << 5 | 1  # the address of the action
    return struct.pack(f"<{len(words)}I", *words)


_MACHINES = {"amd64": _Machine(62, _amd64()), "arm64": _Machine(183, _arm64())}


def program(architecture: str) -> bytes:
    """The executable, for `amd64` or `arm64`. Raises `LookupError` for others."""
    machine = _MACHINES[architecture]
    size = _HEADERS + len(machine.code) + len(_ACTION)
    ident = b"\x7fELF\x02\x01\x01" + bytes(9)
    header = struct.pack("<HHIQQQIHHHHHH", 2, machine.elf, 1, _BASE + _HEADERS, 64, 0, 0, 64, 56, 1, 64, 0, 0)
    segment = struct.pack("<IIQQQQQQ", 1, 5, 0, _BASE, _BASE, size, size, 0x1000)
    return ident + header + segment + machine.code + _ACTION


def archive(architecture: str) -> bytes:
    """The image, as `docker load` takes it. Raises `LookupError` as `program`."""
    layer = _tar({PROGRAM[1:]: program(architecture)}, mode=0o755)
    config = {
        "architecture": architecture,
        "os": "linux",
        "config": {"Entrypoint": [PROGRAM], "Env": []},
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{hashlib.sha256(layer).hexdigest()}"]},
        "history": [{"created_by": "lightship"}],
    }
    text = json.dumps(config).encode()
    name = f"{hashlib.sha256(text).hexdigest()}.json"
    manifest = [{"Config": name, "RepoTags": [NAME], "Layers": ["layer.tar"]}]
    return _tar({name: text, "layer.tar": layer, "manifest.json": json.dumps(manifest).encode()})


def _tar(files: dict[str, bytes], mode: int = 0o644) -> bytes:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for name, data in files.items():
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(data), mode
            tar.addfile(entry, io.BytesIO(data))
    return made.getvalue()
