"""Chooses the runtime for this machine and starts it: namespaces where they are to be had, host mode elsewhere, an engine when asked for.

Called by `main` once. The environment variable LIGHTSHIP_RUNTIME overrides. The good case costs no probe:
the sandbox runtime is simply started, and only when that fails is the machine examined for the reason.
"""

import asyncio
import os
import sys
from pathlib import Path
from typing import NamedTuple

from lightship.aio.clock import Clock

from . import probe
from .engine import find
from .engine.runtime import EngineRuntime
from .process import ProcessRuntime
from .runtime import Runtime, RuntimeUnavailableError
from .sandbox import SandboxRuntime

VARIABLE = "LIGHTSHIP_RUNTIME"
NAMES = ("sandbox", "process", *find.ENGINES)


class Chosen(NamedTuple):
    """A started runtime, and why it is not the better one (empty when it is, or was asked for)."""

    runtime: Runtime
    reason: str


async def open_runtime(clock: Clock, wanted: str = "auto", door: Path | None = None, *, allow_host: bool = False) -> Chosen:
    """`wanted` is `auto` or one of `NAMES`; LIGHTSHIP_RUNTIME decides for `auto`.

    `door`: see `SandboxRuntime`; `allow_host`: see `EngineRuntime`.

    Raises `RuntimeUnavailableError` when the one that was asked for cannot be had, `ValueError` for an unknown name.
    """
    asked = wanted if wanted != "auto" else os.environ.get(VARIABLE, "")
    if asked not in ("", *NAMES):
        raise ValueError(f'{VARIABLE}="{asked}": choose one of {", ".join(NAMES)}, or leave it unset')
    if asked in find.ENGINES:
        return Chosen(await _started(EngineRuntime(find.socket_of(asked, os.environ), asked, clock=clock, allow_host=allow_host)), "")
    reason = ""
    if asked != "process":
        try:
            return Chosen(await _started(SandboxRuntime(clock=clock, door=door)), "")
        except RuntimeUnavailableError as error:
            found = await asyncio.to_thread(probe.probe)
            reason = found.reason or str(error)
            if asked == "sandbox":
                raise RuntimeUnavailableError(f'{VARIABLE}="sandbox", but {reason}') from error
    return Chosen(await _started(ProcessRuntime(clock=clock)), reason)


async def _started(runtime: Runtime) -> Runtime:
    if runtime.kind != "process" and sys.platform != "linux":
        what = "namespaces are a feature of Linux" if runtime.kind == "sandbox" else f"{runtime.kind} runs pods on Linux only"
        raise RuntimeUnavailableError(f"{what}, this is {sys.platform}")
    await runtime.start()
    return runtime
