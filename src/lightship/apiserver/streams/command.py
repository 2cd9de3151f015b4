"""Exec and attach: a command in a container, with its streams at the other end of a conversation.

`connect` decides how to talk, the node runs the command; in between, bytes are carried and the end is told as clients expect it.
Contract: Kubernetes remotecommand: the error channel carries a Status whose cause ExitCode is the command's.
"""

import asyncio
import logging

from lightship.meta import codec
from lightship.meta.errors import StatusError
from lightship.meta.objects import Obj
from lightship.meta.rest import CommandOptions, NodeConnection

from .channels import RESIZE, STDERR, STDIN, STDOUT, Channels

log = logging.getLogger(__name__)
_PIECE = 32 * 1024
"""Bytes that go out in one message at most."""


class Console:
    """`meta.rest.CommandIO` over channels: the node reads and writes here."""

    def __init__(self, channels: Channels) -> None:
        self._channels = channels
        self._input: asyncio.Queue[bytes] = asyncio.Queue(16)
        self._sizes: asyncio.Queue[tuple[int, int]] = asyncio.Queue(1)
        self._ended = False
        self.gone = asyncio.Event()
        """Set when the client has left."""

    async def read(self) -> bytes:
        if self._ended and self._input.empty():
            return b""
        data = await self._input.get()
        if not data:
            self._ended = True
        return data

    async def write(self, data: bytes, *, error: bool = False) -> None:
        for at in range(0, len(data), _PIECE):
            await self._channels.send(STDERR if error else STDOUT, data[at : at + _PIECE])

    async def resized(self) -> tuple[int, int]:
        return await self._sizes.get()

    async def pump(self) -> None:
        """Carry what the client says to those who read it, until it has gone."""
        while (received := await self._channels.receive()) is not None:
            channel, data = received
            if channel == STDIN:
                await self._input.put(data or b"")
            elif channel == RESIZE and data:
                size = _size(data)
                if size is not None:
                    if self._sizes.full():
                        self._sizes.get_nowait()  # only the newest counts
                    self._sizes.put_nowait(size)
        await self._input.put(b"")
        self.gone.set()


async def converse(channels: Channels, node: NodeConnection, pod: Obj, options: CommandOptions, *, plain: bool = False) -> None:
    """Run the command to its end, or until the client has gone. `plain`: the client is told of failures only, in words."""
    meta = pod["metadata"]
    console = Console(channels)
    pump = asyncio.create_task(console.pump())
    running = asyncio.create_task(node.run_command(meta["namespace"], meta["name"], meta["uid"], options, console))
    gone = asyncio.create_task(console.gone.wait())
    try:
        # Without input there may be nothing but the end of the client to listen to.
        await asyncio.wait({running, gone}, return_when=asyncio.FIRST_COMPLETED)
        if not running.done() and options.stdin:
            # The command has its end of input, and may still have something to say.
            await asyncio.wait({running}, timeout=1.0)
        if running.done():
            outcome = _outcome(running)
            if not plain:
                await channels.close(codec.encode(outcome))
            else:
                await channels.close(b"" if outcome["status"] == "Success" else outcome["message"].encode())
    except ConnectionError:
        pass
    finally:
        for task in (pump, running, gone):
            task.cancel()
        await asyncio.gather(pump, running, gone, return_exceptions=True)


def _outcome(running: "asyncio.Task[int]") -> Obj:
    """The Status that the error channel carries."""
    error = running.exception()
    if isinstance(error, StatusError):
        return error.status()
    if error is not None:
        log.error("a command could not be run", exc_info=error)
        return StatusError(500, "InternalError", "the command could not be run; see the server's log").status()
    code = running.result()
    if code == 0:
        return {"metadata": {}, "status": "Success"}
    cause = {"reason": "ExitCode", "message": str(code)}
    message = f"command terminated with non-zero exit code: exit status {code}"
    return {"metadata": {}, "status": "Failure", "message": message, "reason": "NonZeroExitCode", "details": {"causes": [cause]}}


def _size(data: bytes) -> tuple[int, int] | None:
    """(columns, rows) of a window."""
    try:
        found = codec.decode(data)
        return min(int(found["Width"]), 0xFFFF), min(int(found["Height"]), 0xFFFF)
    except (ValueError, KeyError, TypeError):
        return None
