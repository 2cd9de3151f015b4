"""The launcher's life and the talk with it: the process that holds the pod network and makes sandboxes (`launch.launcher`).

`sandbox` starts one, or goes on with the one that another agent has left, and asks it for things. What is said is told in `launch.wire`
and `launch.podnet`. Of pods it knows nothing: a sandbox is a request to it like any other.
"""

import asyncio
import contextlib
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lightship.node.launch import wire
from lightship.node.network import facts as network

from . import adoption, idmap
from .runtime import RuntimeUnavailableError
from .talk import expect, packet

_BOOT = "import sys; sys.path.append(sys.argv[1]); from launch import launcher; launcher.main(int(sys.argv[2]))"
_INHERITED = ("LD_LIBRARY_PATH",)  # an interpreter may need it to find its own library
_START_SECONDS = 20.0
_LOST = "the pod network is gone, since its helper process was killed"


class Launcher:
    """One that runs. Everything it has made ends with it."""

    def __init__(self, control: socket.socket, pidfd: int, *, pid: int = 0, ids: int = 1) -> None:
        """Takes both descriptors. `pid`: as this process sees it, where that is known; `ids`: how many user ids it maps."""
        self.control = control
        self.pidfd = pidfd
        self.pid = pid
        self.ids = ids
        self._asking = asyncio.Lock()

    def ask(self, request: dict[str, Any], fds: Sequence[int] = ()) -> None:
        """Hand over a request. Raises `RuntimeUnavailableError`."""
        try:
            wire.send(self.control, request, fds)
        except OSError as error:
            raise RuntimeUnavailableError(_LOST) from error

    async def answer(self, request: dict[str, Any]) -> wire.Packet:
        """What it says to a request about the network. Raises `OSError`, `RuntimeUnavailableError`."""
        async with self._asking:
            self.ask(request)
            answer = await packet(self.control)
        if answer is None:
            raise RuntimeUnavailableError(_LOST)
        if answer.message["event"] == "refused":
            where = f": {request['address']}:{request['port']}" if request.get("address") else ""
            raise OSError(answer.message["errno"], answer.message["message"] + where)
        return answer

    async def socket(self, request: dict[str, Any]) -> socket.socket:
        """The socket that is the answer, non-blocking. Raises as `answer`."""
        made = socket.socket(fileno=(await self.answer(request)).fds[0])
        made.setblocking(False)
        return made

    async def wait_lost(self) -> str:
        """Until it has ended; what that means to pods."""
        loop, gone = asyncio.get_running_loop(), asyncio.Event()
        pidfd = os.dup(self.pidfd)  # `close` may come first
        loop.add_reader(pidfd, gone.set)
        try:
            await gone.wait()
        finally:
            loop.remove_reader(pidfd)
            os.close(pidfd)
        return _LOST

    def close(self) -> None:
        """End it, and let go."""
        self.control.close()
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(self.pidfd, signal.SIGKILL)
        os.close(self.pidfd)


async def spawn(door: Path | None) -> Launcher:
    """A new one, ready; `door`: where the next agent may find it. Raises `RuntimeUnavailableError` when this machine cannot."""
    near, far = wire.pair()
    near.setblocking(False)
    try:
        process = _interpreter(far)
        try:
            async with asyncio.timeout(_START_SECONDS):
                return await _shake_hands(near, process.pid, door)
        except BaseException:
            near.close()
            process.kill()
            raise
        finally:
            process.wait()  # it has handed over to its child, process 1 of the new namespaces, and ended
    except TimeoutError as error:
        raise RuntimeUnavailableError(f"no pod network: its helper process did not answer in {_START_SECONDS:.0f} s") from error
    except (OSError, RuntimeUnavailableError) as error:
        raise RuntimeUnavailableError(f"no pod network: {error}") from error


async def _shake_hands(near: socket.socket, pid: int, door: Path | None) -> Launcher:
    expect(await packet(near), "unshared")
    ids = idmap.write(pid)
    with contextlib.ExitStack() as stack:
        fds = [stack.enter_context(adoption.listen(door)).fileno()] if door is not None else []
        wire.send(near, _settings(door), fds)
    ready = expect(await packet(near), "ready")
    return Launcher(near, os.pidfd_open(ready.pid), pid=ready.pid, ids=ids)


def _settings(door: Path | None) -> dict[str, Any]:
    """What the launcher must know to raise the pod network, and to wait for a next agent."""
    return {
        "door": str(door or ""),
        "gateway": network.GATEWAY,
        "addresses": [network.API_ADDRESS, network.DNS_ADDRESS],
        "mask": os.geteuid() == 0,
        "patience": adoption.PATIENCE,
    }


def _interpreter(far: socket.socket) -> subprocess.Popen[bytes]:
    """Start the launcher's interpreter; it inherits nothing but its end of the socket."""
    with far:
        return subprocess.Popen(
            [sys.executable, "-I", "-S", "-c", _BOOT, str(Path(__file__).parent.parent), str(far.fileno())],
            pass_fds=[far.fileno()],
            env={name: os.environ[name] for name in _INHERITED if name in os.environ},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            cwd="/",
            start_new_session=True,
        )
