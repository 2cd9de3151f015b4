"""The agent's side of `launch.keeping`: what it hands over while it lives, and how the next one gets it back.

`sandbox` calls it. A door is a socket in the platform's data directory, which nobody else can enter. Whoever comes through it gets every
descriptor by which pods are held, so there is only ever one: the platform's own lock sees to that.
"""

import asyncio
import contextlib
import os
import signal
import socket
from collections import deque
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from lightship.node.launch import wire

from . import descriptors, talk

PATIENCE = 300.0
"""Seconds for which pods go on without the platform."""
_SECONDS = 20.0


class Kept(NamedTuple):
    """One thing that was handed over."""

    key: str
    what: dict[str, Any]
    fds: list[int]


class Found(NamedTuple):
    """A launcher whose agent is gone."""

    launcher: socket.socket
    pidfd: int
    kept: list[Kept]


@contextlib.contextmanager
def _short(door: Path) -> Any:
    """A path to the same place that is short enough for a socket's address."""
    directory = os.open(door.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{directory}/{door.name}"
    finally:
        os.close(directory)


def listen(door: Path) -> socket.socket:
    """A new door, in place of what is left of an old one. Raises `OSError`."""
    door.unlink(missing_ok=True)
    made = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    try:
        with _short(door) as path:
            made.bind(path)
        door.chmod(0o600)
        made.listen(1)
    except BaseException:
        made.close()
        raise
    return made


async def find(door: Path) -> Found | None:
    """What an agent that was killed has left behind; None when there is nothing, or nobody answers."""
    made = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    made.setblocking(False)
    kept: list[Kept] = []
    try:
        wire.know_senders(made)
        with _short(door) as path:
            made.connect(path)
        async with asyncio.timeout(_SECONDS):
            while (packet := await talk.packet(made)) is not None:
                if packet.message["event"] == "all":
                    return Found(made, os.pidfd_open(packet.pid), kept)
                kept.append(Kept(packet.message["key"], packet.message["what"], packet.fds))
    except (OSError, TimeoutError):
        pass
    except BaseException:
        made.close()
        raise
    made.close()
    for found in kept:
        descriptors.close(*found.fds)
    return None


async def end(door: Path) -> int:
    """End what an agent that was killed has left running; how many pods that were."""
    found = await find(door)
    if found is None:
        return 0
    give_up(found)
    return sum(kept.key.startswith("pod/") and kept.key.count("/") == 1 for kept in found.kept)


def give_up(found: Found) -> None:
    """End the launcher, and so all pods."""
    with contextlib.suppress(ProcessLookupError):
        signal.pidfd_send_signal(found.pidfd, signal.SIGKILL)
    os.close(found.pidfd)
    found.launcher.close()
    for kept in found.kept:
        descriptors.close(*kept.fds)


class Keeper:
    """Hands things over, in order, without ever waiting for the launcher: what its socket does not take at once goes as soon as it can."""

    def __init__(self, launcher: socket.socket) -> None:
        self._launcher = launcher
        self._waiting: deque[tuple[dict[str, Any], list[int]]] = deque()

    def keep(self, key: str, what: dict[str, Any], fds: Sequence[int] = ()) -> None:
        """Copies of `fds` go with it."""
        self._send({"op": "keep", "key": key, "what": what}, fds)

    def forget(self, key: str) -> None:
        """All that was kept by this key and below it."""
        self._send({"op": "forget", "key": key}, ())

    def close(self) -> None:
        """What has not been sent was not meant for anybody else."""
        if self._waiting:
            asyncio.get_running_loop().remove_writer(self._launcher.fileno())
        for _, fds in self._waiting:
            descriptors.close(*fds)
        self._waiting.clear()

    def _send(self, message: dict[str, Any], fds: Sequence[int]) -> None:
        if not self._waiting:
            try:
                wire.send(self._launcher, message, fds)
                return
            except BlockingIOError:
                asyncio.get_running_loop().add_writer(self._launcher.fileno(), self._go_on)
            except OSError:
                return  # the launcher is gone, and with it everything that could be kept
        self._waiting.append((message, [os.dup(fd) for fd in fds]))

    def _go_on(self) -> None:
        while self._waiting:
            message, fds = self._waiting[0]
            try:
                wire.send(self._launcher, message, fds)
            except BlockingIOError:
                return
            except OSError:
                pass
            descriptors.close(*fds)
            self._waiting.popleft()
        asyncio.get_running_loop().remove_writer(self._launcher.fileno())
