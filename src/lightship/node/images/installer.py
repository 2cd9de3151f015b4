"""Puts packages into a virtual environment: uv where there is one, pip otherwise, and bytecode for all of it.

Called by `environments`. What an installer says is passed on line by line; how it failed is told in one line, with what to do when the
package index was out of reach. Knows no image.
"""

import asyncio
import os
import re
import shutil
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from . import building, venvs

Progress = Callable[[str], None]
"""Told one line whenever something worth showing happens."""

_UNREACHABLE = re.compile(
    r"error sending request|dns error|failed to lookup|name resolution|Name or service not known|nodename nor servname"
    r"|Connection refused|Network is unreachable|No route to host|timed out|NewConnectionError|Failed to establish a new connection"
    r"|operation timed out|tunnel error|network was disabled|Max retries exceeded",
    re.IGNORECASE,
)
"""What uv and pip say when no index answers."""


class BuildError(Exception):
    """An environment could not be built; the message ends with what the installer said last."""


class _FailedError(BuildError):
    """A program ended with an error; `said` are its last lines."""

    def __init__(self, message: str, said: Sequence[str]) -> None:
        super().__init__(message)
        self.said = said

    @property
    def unreachable(self) -> bool:
        return any(_UNREACHABLE.search(line) for line in self.said)


def find_uv() -> str | None:
    """uv beside the running interpreter, or on PATH."""
    beside = Path(sys.prefix) / "bin" / "uv"
    return str(beside) if os.access(beside, os.X_OK) else shutil.which("uv")


async def install(environment: Path, requirements: Sequence[str], progress: Progress) -> None:
    """Put packages into an environment. Raises `BuildError`."""
    try:
        await _install(environment, requirements, progress)
    except _FailedError as error:
        if not error.unreachable:
            raise
        raise BuildError(
            f"{', '.join(requirements)}: not on this machine, and no package index could be reached ({error.said[-1]}); "
            "go online once, or map the image to an interpreter that has them: lightship images map IMAGE --python PATH"
        ) from error


async def _install(environment: Path, requirements: Sequence[str], progress: Progress) -> None:
    python, uv = str(environment / "bin" / "python"), find_uv()
    if not uv:
        await add_pip(environment, progress)
        quiet = ["--disable-pip-version-check", "--no-warn-script-location", "--progress-bar", "off"]
        await _run([python, "-m", "pip", "install", *quiet, *requirements], progress)
        return
    command = [uv, "pip", "install", "--no-progress", "--python", python, *requirements]
    try:
        await _run(command, progress)
    except _FailedError as error:
        if not error.unreachable:
            raise
        progress("no package index answers; trying what was fetched before")
        try:
            await _run([*command, "--offline"], progress)
        except _FailedError:
            raise error from None


async def add_pip(environment: Path, progress: Progress) -> None:
    """Every environment has pip, for those who install more inside a pod. Raises `BuildError`."""
    if venvs.has_pip(environment) or await asyncio.to_thread(venvs.unpack_bundled_pip, environment):
        venvs.pip_scripts(environment)
        return
    uv = find_uv()
    if not uv:
        raise BuildError("this Python brings no pip: install the python3-venv package of your system, or uv")
    await _run([uv, "pip", "install", "--no-progress", "--python", str(environment / "bin" / "python"), "pip"], progress)


async def compile_all(environment: Path, places: Sequence[Path], progress: Progress, moved: tuple[Path, Path] | None = None) -> None:
    """Bytecode for everything: pods see their environment read-only and would compile it again at each start, for seconds.

    `moved`: where the environment is and where it will be, so that tracebacks name its final place.
    """
    if not places:
        return
    progress("compiling the packages (once)")
    names = ["-s", str(moved[0]), "-p", str(moved[1])] if moved else []
    python = str(environment / "bin" / "python")
    try:
        await _run([python, "-m", "compileall", "-qq", "-j", "0", *names, *map(str, places)], progress)
    except BuildError:
        pass  # some package always brings a file for another Python


_MISLEADING = ("PYTHONPATH", "PYTHONHOME")
"""With these pip takes for installed what the environment will not have."""


async def _run(argv: list[str], progress: Progress) -> None:
    last: list[str] = []

    def told(line: str) -> None:
        progress(line)
        last.append(line)
        del last[:-10]

    code = await building.run(argv, {name: value for name, value in os.environ.items() if name not in _MISLEADING}, told)
    if code != 0:
        raise _FailedError(f"{Path(argv[0]).name} ended with {code}: " + "; ".join(last), last)
