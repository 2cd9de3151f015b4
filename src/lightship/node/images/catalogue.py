"""The catalogue: which environment an image name means.

The built-in table knows the usual names; `images.json` in the platform's data directory, written by `lightship images map`, comes first
and is read again at every resolution; what other packages offer comes last. An image that matches nothing is refused with the command that
maps it. Called by the agent.
"""

import asyncio
import contextlib
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

import msgspec

from . import offered, passthrough, programs, requirements, table, trees, unpacked
from .builtin import BUILTIN
from .environments import Environment
from .installer import BuildError, Progress
from .requirements import RequirementsError
from .store import Store, Stored
from .table import Entry, MappingsError


class Builder(Protocol):
    """What makes environments (`environments.Environments`)."""

    @property
    def tools(self) -> Path:
        """Where links to tools of this machine are kept."""
        ...

    @property
    def store(self) -> Store | None:
        """Where environments are kept; None for those that are kept nowhere."""
        ...

    async def ensure(self, requirements: Sequence[str], progress: Progress, extra: Sequence[str] = ()) -> Environment: ...


class ImageError(Exception):
    """An image that cannot be had: unknown, or its environment could not be built."""


class Catalogue:
    """Resolves image names; `file` is the user's own table, which need not exist."""

    def __init__(self, file: Path, builder: Builder) -> None:
        self._file = file
        self._builder = builder
        self._listeners: list[asyncio.Event] = []
        self.users: list[Callable[[], set[str]]] = []
        """Each tells the names of environments that it uses now; what none of them names may be removed."""

    async def resolve(self, image: str, progress: Progress, brought: str = "", policy: str = "") -> Environment:
        """The environment of an image, ready to use; `brought` is what the pod asks for besides (`requirements`). Raises `ImageError`.

        `policy` is the pod's for pulling, which means nothing where nothing is pulled.
        """
        entry = self.find(image)
        if entry is None:
            raise ImageError(f'no environment is mapped to image "{image}"; map it: lightship images map "{image}" --packages ...')
        absent = programs.missing(entry.requires)
        if absent:
            raise ImageError(f'the environment for image "{image}" could not be made: {absent}')
        files = _files(entry)
        extra = _extra(entry, brought)
        if entry.oci:
            return await self._unpacked(entry, image, progress)
        try:
            found = _existing(entry) if entry.python else await self._builder.ensure(table.packages_for(entry, image), progress, extra)
            tools = await asyncio.to_thread(self._tools, entry.tools) if entry.tools else None
        except (BuildError, OSError) as error:
            raise ImageError(f'the environment for image "{image}" could not be made: {error}') from error
        self._remember(found.name, image)
        return _shaped(found, entry, files, tools)

    async def _unpacked(self, entry: Entry, image: str, progress: Progress) -> Environment:
        if self._builder.store is None:
            raise ImageError(f'image "{image}" has files of its own, which are kept nowhere here')
        try:
            found = await unpacked.ensure(self._builder.store, entry.oci, progress)
        except BuildError as error:
            raise ImageError(f'the environment for image "{image}" could not be made: {error}') from error
        self._remember(found.name, image)
        return found

    def files(self, environment: Environment) -> Path:
        """A directory of this machine with the image's own files, for volumes. Blocks for a moment the first time; raises `OSError`."""
        return trees.of(environment, self._builder.tools)

    def find(self, image: str) -> Entry | None:
        """The first entry that matches. Raises `ImageError` when the user's table is broken."""
        return entry_for(self._file, image)

    async def stored(self) -> list[Stored]:
        """What is kept on this machine."""
        store = self._builder.store
        return await asyncio.to_thread(store.listed) if store else []

    def listen(self) -> asyncio.Event:
        """Set whenever an image name leads to an environment for the first time; who waits for it clears it."""
        self._listeners.append(asyncio.Event())
        return self._listeners[-1]

    def tidy(self, older_than: float) -> Store | None:
        """Give back what no user names any more and nobody asked for since `older_than` seconds; the store, for who removes more."""
        store = self._builder.store
        if store is not None:
            store.release(set().union(*(names() for names in self.users)), older_than)
        return store

    def _remember(self, name: str, image: str) -> None:
        store = self._builder.store
        with contextlib.suppress(OSError):  # on a full disk pods still start
            if store is not None and store.path(name).is_dir() and store.remember(name, image):
                for event in self._listeners:
                    event.set()

    def _tools(self, name: str) -> Environment | None:
        program = programs.find(name)
        if program is None:
            return None
        place = str(programs.applets(program, self._builder.tools))
        # Scripts name their shell by its path.
        return Environment(name=name, path=[place], read_only_paths=[place, program], files={"/bin/sh": program})


def entry_for(file: Path, image: str) -> Entry | None:
    """The first entry that matches an image: of the user's table, of those built in, of other packages'. Raises `ImageError`."""
    try:
        own = table.read_mappings(file)
    except MappingsError as error:
        raise ImageError(str(error)) from error
    known = next((entry for entry in (*own, *BUILTIN) if table.matches(entry.pattern, image)), None)
    return known or next((entry for entry, _ in offered.entries() if table.matches(entry.pattern, image)), None)


def _shaped(found: Environment, entry: Entry, files: dict[str, str], tools: Environment | None) -> Environment:
    """The environment with all that the entry says beside packages, and with this package beside those of its own."""
    host = passthrough.settings(os.environ, Path.home())
    return msgspec.structs.replace(
        found,
        command=entry.command,
        entrypoint=entry.entrypoint,
        path=[*entry.path, *(tools.path if tools else ()), *found.path],
        variables={**host.variables, **found.variables, **entry.variables},
        read_only_paths=[*found.read_only_paths, *(tools.read_only_paths if tools else ()), *host.paths],
        working_dir=entry.working_dir,
        user=entry.user,
        downloads=entry.downloads,
        files={**(tools.files if tools else {}), **_package(entry), **files},
        python_path=[programs.PACKAGE_PATH] if entry.packages else [],
    )


def _package(entry: Entry) -> dict[str, str]:
    """Programs of frameworks may import `lightship.*.runtime`: to report progress, to keep checkpoints."""
    return {f"{programs.PACKAGE_PATH}/{programs.PACKAGE.name}": str(programs.PACKAGE)} if entry.packages else {}


def _extra(entry: Entry, brought: str) -> list[str]:
    """The packages that a pod brings."""
    try:
        extra = requirements.parse(brought)
    except RequirementsError as error:
        raise ImageError(str(error)) from error
    if extra and (entry.python or entry.oci):
        raise ImageError(
            f"annotation {requirements.ANNOTATION}: nothing is installed into {entry.python or entry.oci}, which is yours; "
            f'map "{entry.pattern}" to --packages instead'
        )
    return extra


def _files(entry: Entry) -> dict[str, str]:
    """What the entry shows, at its places on this machine."""
    found = {}
    for target, source in entry.files.items():
        path = source.replace("{served}", str(programs.SERVED))
        if not target.startswith("/") or not os.path.isabs(path) or not os.path.exists(path):
            raise ImageError(f'image pattern "{entry.pattern}" shows {path} at {target}: it is not there, or not an absolute path')
        found[target] = path
    return found


def _existing(entry: Entry) -> Environment:
    """An interpreter of the user's own, taken as it is."""
    python = Path(entry.python).expanduser()
    if not os.access(python, os.X_OK):
        raise ImageError(f'image pattern "{entry.pattern}" is mapped to {python}, which is not there or not executable')
    prefix = python.parent.parent
    home = _base_of(prefix)
    roots = dict.fromkeys(str(p) for p in (prefix, prefix.resolve(), *([home, home.resolve()] if home else [])))
    return Environment(name=f"python-{python}", python=str(python), path=[str(python.parent)], read_only_paths=list(roots))


def _base_of(prefix: Path) -> Path | None:
    """The installation that a virtual environment was made from."""
    try:
        lines = (prefix / "pyvenv.cfg").read_text().splitlines()
    except OSError:
        return None
    home = next((line.partition("=")[2].strip() for line in lines if line.partition("=")[0].strip() == "home"), "")
    return Path(home).parent if home else None
