"""The life of a platform in this process: from ready to asked to stop, begun anew when its pod network is lost.

Called by `up` and `demo`, in the foreground or after `daemon` has detached. Imported only there, because it brings the whole house along.
"""

import asyncio
import gc
import signal
import sys
from collections.abc import Callable
from typing import Any

from lightship.cli.errors import CliError
from lightship.node.runtimes.runtime import RuntimeUnavailableError

from .instance import Instance, Running
from .loops import new_event_loop
from .platform import Config, Platform

LOSS_SECONDS = 60.0
MOST_LOSSES = 5
"""A pod network that is lost more often than this within `LOSS_SECONDS` is not begun again."""


def serve(
    instance: Instance,
    ready: Callable[[Running], None],
    **options: Any,
) -> None:
    """Run the platform in this process until SIGTERM or SIGINT; `options` are fields of `Config`. Raises `CliError` if it cannot start."""
    config = Config(instance=instance, **options)
    lock = instance.lock()
    _ignore_alone()

    async def main() -> None:
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for signum in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(signum, stop.set)
        losses: list[float] = []
        while not stop.is_set():
            try:
                # Who waits for the platform is told once: after that he has gone, and his pipe's number may mean another file.
                await _serve_once(config, stop, (lambda running: None) if losses else ready)
            except RuntimeUnavailableError as error:
                losses = [at for at in losses if at > loop.time() - LOSS_SECONDS] + [loop.time()]
                if len(losses) > MOST_LOSSES:
                    raise CliError(f"{error}, {len(losses)} times in {LOSS_SECONDS:g} s", hint=f"its log: {instance.log}") from error
                print(f"lightship: {error}; starting anew", file=sys.stderr, flush=True)

    try:
        with asyncio.Runner(loop_factory=new_event_loop) as runner:
            runner.run(main())
    except OSError as error:
        where = error.filename2 or error.filename or instance.data_dir
        raise CliError(f"{where}: {error.strerror or error}", hint="the data directory must be readable and writable") from error
    finally:
        instance.withdraw()
        del lock


def _ignore_alone() -> None:
    """What this process was told to ignore (SIGHUP below `nohup`) it ignores, and what it starts does not: a handler ends with `exec`."""
    for signum in range(1, 32):
        if signal.getsignal(signum) is signal.SIG_IGN and signum not in (signal.SIGPIPE, signal.SIGXFSZ):
            signal.signal(signum, lambda *_: None)


async def _serve_once(config: Config, stop: asyncio.Event, ready: Callable[[Running], None]) -> None:
    """One life of the platform, until it is asked to stop."""
    async with Platform(config) as platform:
        config.instance.announce(platform.running)
        # What start-up made stays for good, and so does most of what is stored: the collector need not walk all of it again and again.
        gc.freeze()
        gc.set_threshold(10_000, 10, 1_000)
        ready(platform.running)
        await stop.wait()
        print("lightship: stopping", file=sys.stderr, flush=True)
