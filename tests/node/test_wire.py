"""What comes through a control socket that has fallen into the hands of a pod: refused in words, with nothing read, kept or waited for."""

import asyncio
import errno
import os
import resource
import socket
from collections.abc import Callable

import pytest

from lightship.node.launch import wire
from lightship.node.runtimes import talk
from lightship.node.runtimes.runtime import ContainerError

from .contract import until


def sparse() -> int:
    made = os.memfd_create("large")
    os.truncate(made, 1 << 40)
    return made


def pipe() -> int:
    read, write = os.pipe()
    os.close(write)
    return read


def silent() -> int:
    """A pipe that says nothing and does not end: both its ends in one."""
    path = f"/tmp/.wire-{os.getpid()}"
    os.mkfifo(path)
    try:
        return os.open(path, os.O_RDWR)
    finally:
        os.unlink(path)


def null() -> int:
    return os.open("/dev/null", os.O_RDWR)


Files = list[Callable[[], int]]
BAD: dict[str, tuple[bytes, Files]] = {
    "garbage": (b"\xff\x00\xfe", []),
    "no object": (b"[1]", [null]),
    "a number without end": (b'{"a":' + b"9" * 30_000 + b"}", []),
    "deep": (b"[" * 30_000, [null]),
    "cut off": (b'{"a":', [null] * 20),
    "too long": (b'{"a":"' + b"x" * 100_000 + b'"}', [null]),
    "no file": (b"@", []),
    "a file without end": (b"@", [sparse, null]),
    "an empty file": (b"@", [null]),
    "a pipe": (b"@", [pipe]),
    "a silent pipe": (b"@", [silent, null]),
    "only files": (b"", [null, null]),
}


def hand_over(sock: socket.socket, body: bytes, files: Files) -> None:
    fds = [make() for make in files]
    try:
        socket.send_fds(sock, [body], fds)
    finally:
        for fd in fds:
            os.close(fd)


def held() -> int:
    return len(os.listdir("/proc/self/fd"))


@pytest.mark.parametrize("name", BAD)
def test_what_nobody_would_send_is_an_error_and_leaves_nothing(name: str) -> None:
    near, far = wire.pair()
    with near, far:
        near.settimeout(20)
        before, memory = held(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        hand_over(far, *BAD[name])
        with pytest.raises(OSError, match=os.strerror(errno.EBADMSG)):
            wire.receive(near)
        wire.send(far, {"then": "x" * 100_000})
        packet = wire.receive(near)
        assert packet is not None
        assert len(packet.message["then"]) == 100_000, "the next one is understood"
        assert held() == before
        assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - memory < 64 << 10, "kilobytes"


REPORTS = {**BAD, "no reason": (b'{"code":"x"}', [null]), "many terminals": (b"{}", [null] * 9)}


@pytest.mark.parametrize("name", REPORTS)
def test_a_program_that_reports_nonsense_of_its_start_fails_alone(name: str) -> None:
    async def main() -> None:
        node, init = wire.pair()
        node.setblocking(False)
        init.setblocking(False)
        with node, init:
            before = held()
            starting = asyncio.create_task(talk.started(node, {"op": "execute"}, [], []))
            asked = await talk.packet(init)
            assert asked is not None
            with socket.socket(fileno=asked.fds[0]) as report:
                hand_over(report, *REPORTS[name])
            if name == "many terminals":
                started = await starting
                os.close(started.terminal)
            else:
                with pytest.raises(ContainerError):
                    await starting
            await until(lambda: held() == before)

    asyncio.run(asyncio.wait_for(main(), 30))
