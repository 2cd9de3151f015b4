"""A platform as a background process: fork early, detach, report back when it is ready or why it is not.

Called by `up` and `demo`. The fork happens before anything heavy is imported, so starting costs one interpreter, not two. The child's
words go to the log file; the parent hears one line of JSON over a pipe and never has to poll.
"""

import os
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

import msgspec

from lightship.aio.clock import SystemClock, pause
from lightship.cli.errors import CliError

from .instance import Instance, Running


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """The one line from child to parent: either where the platform is, or what went wrong."""

    running: Running | None = None
    error: str = ""
    hint: str = ""
    code: int = 1


Serve = Callable[[Callable[[Running], None]], None]
"""Run the platform to its end, calling back once when it is ready."""


def start(instance: Instance, serve: Serve) -> Running:
    """Start `serve` detached and wait until it is ready. Raises `CliError` with the child's own words when it fails."""
    instance.prepare()
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reader)
        _detach(instance, serve, writer)
    os.close(writer)
    os.waitpid(child, 0)
    with os.fdopen(reader, "rb") as pipe:
        told = pipe.read()
    if not told:
        raise CliError("the platform ended while it was starting", hint=f"its log says why: {instance.log}")
    report = msgspec.json.decode(told, type=Report)
    if report.running is None:
        raise CliError(report.error, hint=report.hint, code=report.code)
    return report.running


def _detach(instance: Instance, serve: Serve, writer: int) -> NoReturn:
    """In the forked child: fork again so that nobody has to reap the platform, then become it."""
    try:
        os.setsid()
        if os.fork():
            os._exit(0)
        try:
            _redirect(instance.log)
        except OSError as error:
            _tell(writer, Report(error=f"the log {instance.log} cannot be written: {error.strerror}", hint="choose another --data-dir"))
            os._exit(1)
        _become(serve, writer)
    finally:
        os._exit(1)


def _become(serve: Serve, writer: int) -> None:
    def ready(running: Running) -> None:
        _tell(writer, Report(running=running))

    try:
        serve(ready)
    except CliError as error:
        print(error.text(), file=sys.stderr, flush=True)
        _tell(writer, Report(error=error.message, hint=error.hint, code=error.code))
        os._exit(error.code)
    except BaseException as error:
        traceback.print_exc()
        _tell(writer, Report(error=f"the platform failed: {error!r}", hint="LIGHTSHIP_DEBUG=1 lightship up --foreground shows more"))
        os._exit(1)
    os._exit(0)


def _tell(writer: int, report: Report) -> None:
    try:
        os.write(writer, msgspec.json.encode(report))
        os.close(writer)
    except OSError:
        pass  # told already, or the parent has gone: the log has it


def _redirect(log: Path) -> None:
    null = os.open(os.devnull, os.O_RDONLY)
    out = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.dup2(null, 0)
    os.dup2(out, 1)
    os.dup2(out, 2)
    os.close(null)
    os.close(out)


def wait_for_end(instance: Instance, *, seconds: float, poll: float = 0.02) -> bool:
    """Wait until nobody holds the data directory; False when it takes longer than `seconds`."""
    clock = SystemClock()
    deadline = clock.monotonic() + seconds
    while instance.running() is not None:
        if clock.monotonic() > deadline:
            return False
        pause(poll)
    return True
