"""Cached Python environments: what an image's packages are turned into, once per machine, shared by all instances.

An environment is (1) a thin virtual environment over an interpreter that has the packages already, made in milliseconds, or (2) one into
which the packages were installed, with uv where there is one. Both see the base interpreter's packages and the user's (`pip install
--user` works in a pod), and always have pip. They live below `~/.cache/lightship/environments` (LIGHTSHIP_CACHE overrides), where `store`
keeps crashes, second builders and removal apart. Called by `catalogue`.
"""

import asyncio
import hashlib
import os
import sys
from collections.abc import Sequence
from pathlib import Path

import msgspec

from lightship.aio.clock import Clock

from . import installer, interpreter, venvs
from .installer import BuildError, Progress
from .interpreter import Interpreter
from .store import Record, Store

VERSION = 2
"""Part of every name: raise it when what is built changes."""


class Environment(msgspec.Struct, frozen=True, kw_only=True):
    """What a container runs in, instead of an image's file system."""

    name: str
    path: list[str]
    """Directories for PATH, before those of the host."""
    variables: dict[str, str] = {}
    read_only_paths: list[str] = []
    command: list[str] = []
    """What runs when the container says nothing."""
    python: str = ""
    """The interpreter that `python` means inside; empty when the image brings none of ours."""
    packages: list[str] = []
    entrypoint: list[str] = []
    """What the container's `args` are given to, unless it has a `command`."""
    working_dir: str = ""
    user: str = ""
    """`uid` or `uid:gid`; empty: root."""
    files: dict[str, str] = {}
    """What the image adds to the file tree: path in the container → file or directory on the host. Changes
    stay in the container's own layer; where there are no layers, it is read-only."""
    image: str = ""
    """An image of an engine of containers, which has all files itself: its id."""
    python_path: list[str] = []
    """Directories in the container that PYTHONPATH ends with, whatever the pod's own says."""
    downloads: str = ""
    """Where the container sees what programs of its namespace have fetched before; empty: nowhere."""
    root: str = ""
    """Directory with a whole file tree of its own (an unpacked OCI image); empty: the host's system directories."""


def cache_directory() -> Path:
    """Where environments are kept: LIGHTSHIP_CACHE, or `lightship` in the user's cache directory."""
    override = os.environ.get("LIGHTSHIP_CACHE")
    if override:
        return Path(override).expanduser()
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "lightship"


class Environments:
    """Finds and builds environments below one directory; `user` is who uses them, as `lightship env` shows it."""

    def __init__(self, directory: Path, clock: Clock, user: str = "") -> None:
        self.store = Store(directory / "environments", clock, user)
        self.tools = directory / "tools"
        """Where links to tools of this machine are kept: see `programs.applets`."""

    async def ensure(self, requirements: Sequence[str], progress: Progress, extra: Sequence[str] = ()) -> Environment:
        """An environment that has these packages, built if need be; versions of `extra` ones count to the letter. Raises `BuildError`."""
        try:
            for candidate in (interpreter.running(), interpreter.base()):
                if candidate.satisfies(requirements):
                    if candidate.satisfies(extra, exactly=True):
                        return await self._over(candidate, [*requirements, *extra], progress)
                    return await self._installed(extra, candidate, progress)
            return await self._installed([*requirements, *extra], interpreter.base(), progress)
        except OSError as error:
            raise BuildError(f"{error.strerror or error}: {error.filename or self.store.directory}") from error

    async def _over(self, python: Interpreter, requirements: Sequence[str], progress: Progress) -> Environment:
        name = f"over-{_digest(*_identity(python))}"
        path = self.store.path(name)

        async def build(draft: Path) -> Record:
            await asyncio.to_thread(venvs.create, draft, python)
            await installer.add_pip(draft, progress)
            venvs.relocate(draft, path)
            return Record()

        await self.store.lease(name, build)
        await _compile_once(path, python.packages, requirements, progress)
        return Environment(
            name=name,
            python=str(path / "bin" / "python"),
            path=[str(path / "bin"), str(python.scripts)],
            read_only_paths=[str(path), *map(str, python.roots)],
            packages=list(requirements),
        )

    async def _installed(self, packages: Sequence[str], over: Interpreter, progress: Progress) -> Environment:
        """An environment with packages of its own, which also sees those of `over`."""
        wanted = sorted(packages)
        plain = over == interpreter.base()
        name = f"packages-{_digest(*(_python() if plain else _identity(over)), *wanted)}"
        path = self.store.path(name)

        async def build(draft: Path) -> Record:
            progress(f"building an environment with {', '.join(wanted)} (once; kept in {path})")
            await asyncio.to_thread(venvs.create, draft, over)
            await installer.install(draft, wanted, progress)
            await installer.add_pip(draft, progress)
            await installer.compile_all(draft, [venvs.site_packages(draft)], progress, moved=(draft, path))
            venvs.relocate(draft, path)
            return Record(packages=wanted)

        await self.store.lease(name, build)
        return Environment(
            name=name,
            python=str(path / "bin" / "python"),
            path=[str(path / "bin"), *([] if plain else [str(over.scripts)])],
            read_only_paths=[str(path), *map(str, over.roots)],
            packages=wanted,
        )


async def _compile_once(environment: Path, places: Sequence[Path], requirements: Sequence[str], progress: Progress) -> None:
    """Packages that are used where they are may never have been imported there (uv does not compile them)."""
    marker = environment / f"compiled-{_digest(*requirements)}"
    if requirements and not _exists(marker):
        await installer.compile_all(environment, [place for place in places if os.access(place, os.W_OK)], progress)
        marker.touch()


def _identity(python: Interpreter) -> tuple[str, ...]:
    """What an environment over an interpreter depends on, down to when its scripts changed."""
    return (*_python(), *map(str, python.packages), _stamp(python.scripts))


def _python() -> tuple[str, str]:
    """Which Python environments are made of."""
    return sys.version, sys._base_executable  # type: ignore[attr-defined]  # CPython keeps it there


def _exists(path: Path) -> bool:
    return path.exists()


def _stamp(scripts: Path) -> str:
    try:
        return str(scripts.stat().st_mtime_ns)
    except OSError:
        return ""


def _digest(*parts: str) -> str:
    return hashlib.blake2b("\0".join((str(VERSION), *parts)).encode(), digest_size=8).hexdigest()
