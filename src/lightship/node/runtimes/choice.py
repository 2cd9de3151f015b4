"""Chooses the runtime for this machine and starts it: namespaces where they are to be had, host mode elsewhere.

Called by `main` once. The environment variable LIGHTSHIP_RUNTIME (`sandbox` or `process`) overrides. The good case costs no probe:
the sandbox runtime is simply started, and only when that fails is the machine examined for the reason.
"""

import asyncio
import os
import sys
from pathlib import Path
from typing import NamedTuple

from lightship.aio.clock import Clock

from . import probe
from .process import ProcessRuntime
from .runtime import Runtime, RuntimeUnavailableError
from .sandbox import SandboxRuntime

VARIABLE = "LIGHTSHIP_RUNTIME"


class Chosen(NamedTuple):
    """A started runtime, and why it is not the better one (empty when it is, or was asked for)."""

    runtime: Runtime
    reason: str


async def open_runtime(clock: Clock, wanted: str = "auto", door: Path | None = None) -> Chosen:
    """`wanted` is `auto`, `sandbox` or `process`; LIGHTSHIP_RUNTIME decides for `auto`. `door`: see `SandboxRuntime`.

    Raises `RuntimeUnavailableError` when the one that was asked for cannot be had, `ValueError` for an unknown name.
    """
    asked = wanted if wanted != "auto" else os.environ.get(VARIABLE, "")
    if asked not in ("", "sandbox", "process"):
        raise ValueError(f'{VARIABLE}="{asked}": choose "sandbox" or "process", or leave it unset')
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
    if runtime.kind == "sandbox" and sys.platform != "linux":
        raise RuntimeUnavailableError(f"namespaces are a feature of Linux, this is {sys.platform}")
    await runtime.start()
    return runtime
