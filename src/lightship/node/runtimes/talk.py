"""The node's side of its sockets to the launcher and to the inits of sandboxes: packets awaited on the event loop.

`sandbox` asks with it; what is said is told in `launch.wire` and `launch.init`.
"""

import asyncio
import socket
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from lightship.node.launch import entering, wire

from . import descriptors
from .runtime import ContainerError, RuntimeUnavailableError


class Started(NamedTuple):
    pid: int
    """On the host."""
    terminal: int
    """Descriptor of the node's end of a terminal that was made inside the pod; -1 for none."""


async def started(
    control: socket.socket,
    request: dict[str, Any],
    files: Sequence[int],
    groups: list[int],
    sent: Callable[[], None] | None = None,
    lent: socket.socket | None = None,
    door: socket.socket | None = None,
) -> Started:
    """Ask the init for a program and wait until it runs; `sent` is called when the init has its own copies of `files`.

    `groups` are what the program enters by (`launch.entering`); they are closed here. `lent`: a template to fork it from. `door`: where
    its processes will ask for forks.
    """
    near, far = wire.pair()
    near.setblocking(False)
    pid, terminal = 0, -1
    with near:
        try:
            with far:
                more = [held.fileno() for held in (door, lent) if held is not None]
                asked = {**request, "lent": lent is not None, "door": door is not None, entering.GROUPS: len(groups)}
                wire.send(control, asked, [*files, far.fileno(), *more, *groups])
        except OSError as error:
            raise ContainerError("SandboxGone", f"the sandbox has ended: {error.strerror}") from error
        finally:
            descriptors.close(*groups)
        if sent is not None:
            sent()
        try:
            while (told := await packet(near)) is not None:
                if told.message:
                    descriptors.close(*told.fds)
                    raise _refused(told.message)
                pid = told.pid
                for fd in told.fds:  # one, once
                    descriptors.close(terminal)
                    terminal = fd
            if not pid:
                raise ContainerError("SandboxGone", "the sandbox ended before the container could start")
        except OSError as error:
            descriptors.close(terminal)
            raise ContainerError("StartError", f"what starts the program does not make sense: {error.strerror}") from error
        except BaseException:
            descriptors.close(terminal)
            raise
    return Started(pid, terminal)


def _refused(report: dict[str, Any]) -> ContainerError:
    """Why a program could not be started, as it says itself, from inside the pod."""
    code = report.get("code")
    return ContainerError(str(report.get("reason")), str(report.get("message")), code if isinstance(code, int) else 128)


async def socket_inside(control: socket.socket, *, datagram: bool) -> socket.socket:
    """A non-blocking socket in the network of a sandbox. Raises `OSError`."""
    near, far = wire.pair()
    near.setblocking(False)
    with near:
        with far:
            wire.send(control, {"op": "socket", "datagram": datagram}, [far.fileno()])
        answer = await packet(near)
    if answer is None or not answer.fds:
        raise ConnectionRefusedError("the sandbox has ended")
    made = socket.socket(fileno=answer.fds[0])
    made.setblocking(False)
    return made


async def packet(sock: socket.socket) -> wire.Packet | None:
    """The next packet; None when the other end is closed."""
    loop = asyncio.get_running_loop()
    while True:
        try:
            return wire.receive(sock)
        except BlockingIOError:
            pass
        except ConnectionResetError:
            return None
        readable = loop.create_future()
        loop.add_reader(sock.fileno(), _resolve, readable)
        try:
            await readable
        finally:
            loop.remove_reader(sock.fileno())


def _resolve(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)


def expect(found: wire.Packet | None, event: str) -> wire.Packet:
    if found is None:
        raise RuntimeUnavailableError("the helper process has ended")
    if found.message.get("event") != event:
        raise RuntimeUnavailableError(found.message.get("message", "the helper process answers nonsense"))
    return found
