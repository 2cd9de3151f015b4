"""`/usr/sbin/sshd` of our MPI images: runs commands for the other nodes of its job, and for nobody else.

Stands in for OpenSSH where `mpirun`'s way into a node is concerned: it listens on the same port, so that the runtime's readiness probe
holds, and is started with the same options. `remote` is its other side. A command gets the container's whole environment, with what
`spec.trainer.env` says; it ends with the connection that it was asked for over. Knows neither MPI nor ranks.
"""

import argparse
import asyncio
import contextlib
import os
import re
import shlex
import signal
import ssl
import sys
from collections.abc import Sequence
from pathlib import Path

from . import credentials, frames, openmpi

PORT = 2222
_GREETING_SECONDS = 20.0
"""How long who connects may take to say what it wants."""
GRACE_SECONDS = 5.0
"""Between the signal and the kill for what outlives its connection."""
_WAITING = 512
_SETTING = re.compile(r"^\s*Port\s+(\d+)\s*$", re.IGNORECASE | re.MULTILINE)


def main() -> None:
    options = _parse(sys.argv[1:])
    try:
        context = credentials.server_context(credentials.key_file())
    except credentials.CredentialsError as error:
        sys.exit(f"sshd: {error}")
    for name, value in openmpi.libraries(openmpi.installed(os.environ.get("PATH", ""))).items():
        os.environ.setdefault(name, value)
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(serve(_port(options), context))


def _parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="sshd", description="Runs commands for the other nodes of an MPI job.")
    parser.add_argument("-D", action="store_true", help="stay in the foreground, which it always does")
    parser.add_argument("-e", action="store_true", help="log to standard error, which it always does")
    parser.add_argument("-f", metavar="FILE", help="OpenSSH's configuration, of which Port counts")
    parser.add_argument("-p", metavar="PORT", type=int, help=f"where to listen (default: {PORT})")
    parser.add_argument("-o", metavar="OPTION", action="append", help="ignored")
    return parser.parse_args(arguments)


def _port(options: argparse.Namespace) -> int:
    if options.p:
        return int(options.p)
    try:
        found = _SETTING.search(Path(options.f).read_text()) if options.f else None
    except OSError:
        found = None  # where our images have none
    return int(found[1]) if found else PORT


async def serve(port: int, context: ssl.SSLContext, host: str | None = None, ready: "asyncio.Future[int] | None" = None) -> None:
    """Answer until a signal ends it. `ready` is given the port, which the system chooses where `port` is 0."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    sessions: set[asyncio.Task[None]] = set()

    def greet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = loop.create_task(_Session(reader, writer).run())
        sessions.add(task)
        task.add_done_callback(sessions.discard)

    # Who only looks whether somebody listens, as probes do, fails the handshake: nothing worth a line.
    loop.set_exception_handler(
        lambda loop, told: None if isinstance(told.get("exception"), OSError) else loop.default_exception_handler(told)
    )
    server = await asyncio.start_server(greet, host, port, ssl=context, backlog=_WAITING, ssl_handshake_timeout=_GREETING_SECONDS)
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    if ready is not None:
        ready.set_result(server.sockets[0].getsockname()[1])
    try:
        await stop.wait()
    finally:
        server.close()
        for task in sessions:
            task.cancel()
        await asyncio.gather(*sessions, return_exceptions=True)


class _Session:
    """One connection: one command."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def run(self) -> None:
        with contextlib.suppress(OSError, EOFError, frames.FrameError, TimeoutError):
            async with asyncio.timeout(_GREETING_SECONDS):
                kind, body = await frames.read(self._reader)
            if kind == frames.RUN:
                await self._answer(frames.parse_request(body))
        self._writer.close()
        with contextlib.suppress(OSError):
            await self._writer.wait_closed()

    async def _answer(self, asked: dict[str, object]) -> None:
        try:
            process = await start(asked)
        except (OSError, ValueError, TypeError) as error:
            await self._send(frames.REFUSED, str(error).encode())
            return
        hearing = asyncio.create_task(self._hear(process))
        telling = asyncio.gather(self._tell(process.stdout, frames.OUTPUT), self._tell(process.stderr, frames.ERRORS))
        try:
            ended = asyncio.create_task(process.wait())
            await asyncio.wait([hearing, ended], return_when=asyncio.FIRST_COMPLETED)
            if ended.done():
                await asyncio.wait([telling], timeout=GRACE_SECONDS)  # a daemon that it leaves behind may hold its output for ever
                await self._send(frames.EXIT, str(as_shell(ended.result())).encode())
        finally:
            hearing.cancel()
            telling.cancel()
            await asyncio.gather(hearing, telling, return_exceptions=True)
            await end(process)

    async def _hear(self, process: asyncio.subprocess.Process) -> None:
        """Pass on input and signals, until the connection ends."""
        assert process.stdin is not None
        with contextlib.suppress(OSError, EOFError, frames.FrameError, ValueError):
            while True:
                kind, body = await frames.read(self._reader)
                if kind == frames.SIGNAL:
                    signal_all(process, int(body))
                elif kind == frames.INPUT and not body:
                    process.stdin.close()
                elif kind == frames.INPUT:
                    with contextlib.suppress(OSError):  # it has ended, or does not read
                        process.stdin.write(body)
                        await process.stdin.drain()

    async def _tell(self, source: asyncio.StreamReader | None, kind: bytes) -> None:
        assert source is not None
        while chunk := await source.read(frames.CHUNK):
            await self._send(kind, chunk)

    async def _send(self, kind: bytes, body: bytes) -> None:
        self._writer.write(frames.encode(kind, body))
        await self._writer.drain()


async def start(asked: dict[str, object]) -> asyncio.subprocess.Process:
    """Start what a request asks for, in a session of its own. Raises `OSError`, `ValueError`, `TypeError`."""
    argv, command, extra, cwd = asked.get("argv"), asked.get("command"), asked.get("env") or {}, asked.get("cwd")
    if not isinstance(extra, dict) or not ((isinstance(argv, list) and argv) or isinstance(command, str)):
        raise ValueError("neither a command nor its words")
    words = list(map(str, argv)) if isinstance(argv, list) else ["/bin/sh", "-c", str(command)]
    pipe = asyncio.subprocess.PIPE
    return await asyncio.create_subprocess_exec(
        *words,
        stdin=pipe,
        stdout=pipe,
        stderr=pipe,
        env={**os.environ, **{str(name): str(value) for name, value in extra.items()}},
        cwd=str(cwd) if cwd and os.access(str(cwd), os.X_OK) else None,
        start_new_session=True,
    )


def signal_all(process: asyncio.subprocess.Process, number: int) -> None:
    """To a command and all that it has started, as far as that has stayed in its group."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, number)


async def end(process: asyncio.subprocess.Process) -> None:
    """End what still runs of a command: asked first, killed then."""
    if process.returncode is None:
        signal_all(process, signal.SIGTERM)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(GRACE_SECONDS):
                await process.wait()
    signal_all(process, signal.SIGKILL)
    if process.returncode is None:
        await process.wait()


def as_shell(code: int) -> int:
    """An exit status as a shell tells it: 128 and the signal for who died of one."""
    return 128 - code if code < 0 else code


def quoted(words: Sequence[str]) -> str:
    """A command line for the shell that is this one in words."""
    return shlex.join(words)


if __name__ == "__main__":
    main()
