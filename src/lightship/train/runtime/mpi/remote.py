"""The way into another node of a job: a command there, as if it were here. Also `ssh`, as far as launchers of others use it.

`launch` starts ranks with it, `main` is what Open MPI and scripts find as `ssh`; `agent` is the other side. A node whose name is not known
yet, or where nobody answers yet, is waited for: pods and their names do not come up at once.
"""

import asyncio
import contextlib
import os
import re
import signal
import ssl
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any, BinaryIO

from lightship.aio.clock import LoopClock

from . import agent, credentials, frames

PATIENCE_SECONDS = 60.0
"""For who does not answer yet, and for a name that is not known yet."""
_CLOCK = LoopClock()
_PAUSE_SECONDS = 0.2
_GREETING_SECONDS = 20.0
_FAILED = 255
"""What ssh ends with when it does not come so far as to run the command."""
_TAKES_VALUE = "bcDEeFIiJLlmOopQRSWw"
"""Options of OpenSSH's client that are followed by a value."""


class RemoteError(Exception):
    """A node cannot be reached, or does not do as it is asked; the message names it."""


class Command:
    """One that runs elsewhere. What it writes is told as it comes."""

    def __init__(self, host: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._host = host
        self._reader = reader
        self._writer = writer

    async def wait(self, told: Callable[[bytes, bytes], None]) -> int:
        """Hand on OUTPUT and ERRORS until it ends; its exit code, as a shell has it. Raises `RemoteError`."""
        try:
            while True:
                kind, body = await frames.read(self._reader)
                if kind == frames.EXIT:
                    return int(body)
                if kind == frames.REFUSED:
                    raise RemoteError(f"{self._host}: {body.decode(errors='replace')}")
                told(kind, body)
        except (EOFError, OSError, ValueError, frames.FrameError) as error:
            raise RemoteError(f"{self._host} went away while the command ran ({type(error).__name__})") from error
        finally:
            self._writer.close()

    def signal(self, number: int) -> None:
        self._write(frames.encode(frames.SIGNAL, str(number).encode()))

    def feed(self, data: bytes) -> None:
        """Input; empty: its end."""
        self._write(frames.encode(frames.INPUT, data))

    def _write(self, data: bytes) -> None:
        with contextlib.suppress(OSError, RuntimeError):  # it has ended
            self._writer.write(data)


async def run(
    host: str, asked: Mapping[str, Any], context: ssl.SSLContext, port: int = agent.PORT, patience: float = PATIENCE_SECONDS
) -> Command:
    """Have a command started; `asked` is the body of a RUN frame. Raises `RemoteError`."""
    deadline = _CLOCK.monotonic() + patience
    while True:
        try:
            async with asyncio.timeout(_GREETING_SECONDS):
                reader, writer = await asyncio.open_connection(host, port, ssl=context)
            break
        except ssl.SSLCertVerificationError as error:
            raise RemoteError(f"{host}:{port} does not belong to this job: it has another key") from error
        except (OSError, TimeoutError) as error:
            if _CLOCK.monotonic() > deadline:
                raise RemoteError(f"{host}:{port} cannot be reached: {error or type(error).__name__}") from error
            await _CLOCK.sleep(_PAUSE_SECONDS)
    writer.write(frames.request(dict(asked)))
    return Command(host, reader, writer)


def main() -> None:
    """`ssh [OPTIONS] HOST COMMAND...`: output, input, exit code and signals are the command's."""
    host, port, words = parse(sys.argv[1:])
    try:
        context = credentials.client_context(credentials.key_file())
        code = asyncio.run(_relay(host, port, " ".join(words), context))
    except (credentials.CredentialsError, RemoteError) as error:
        print(f"ssh: {error}", file=sys.stderr)
        code = _FAILED
    sys.stdout.flush()
    os._exit(code)  # a thread may still wait for input


def parse(arguments: Sequence[str]) -> tuple[str, int, list[str]]:
    """Host, port and the words of the command. Ends the program with what is wrong. Contract: ssh(1)."""
    port, rest = agent.PORT, list(arguments)
    while rest and rest[0].startswith("-") and rest[0] != "-":
        option = rest.pop(0)
        if option == "--":
            break
        found = re.match(f"-[^{_TAKES_VALUE}]*([{_TAKES_VALUE}])(.*)", option)
        if found is None:
            continue
        value = found[2] or (rest.pop(0) if rest else "")
        if found[1] == "p" and value.isdecimal():
            port = int(value)
    if len(rest) < 2:
        sys.exit("ssh: a host and a command are needed; there are no shells to log into")
    return rest[0].rpartition("@")[2], port, rest[1:]


async def _relay(host: str, port: int, command: str, context: ssl.SSLContext) -> int:
    remote = await run(host, {"command": command}, context, port)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        loop.add_signal_handler(number, remote.signal, number)
    read_input(loop, remote.feed)
    outputs: dict[bytes, BinaryIO] = {frames.OUTPUT: sys.stdout.buffer, frames.ERRORS: sys.stderr.buffer}

    def write(kind: bytes, body: bytes) -> None:
        with contextlib.suppress(OSError):  # nobody reads any more
            outputs[kind].write(body)
            outputs[kind].flush()

    return await remote.wait(write)


def read_input(loop: asyncio.AbstractEventLoop, feed: Callable[[bytes], None]) -> None:
    """Hand on standard input, whatever it is, to its end; by a thread, since files cannot be waited for."""

    def pump() -> None:
        with contextlib.suppress(OSError, RuntimeError):  # there is none, or the loop has ended
            while data := os.read(0, frames.CHUNK):
                loop.call_soon_threadsafe(feed, data)
        with contextlib.suppress(RuntimeError):
            loop.call_soon_threadsafe(feed, b"")

    threading.Thread(target=pump, daemon=True).start()
