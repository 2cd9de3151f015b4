"""What other installed packages offer under a name of ours: the entry points of one group, found for a millisecond and loaded on demand.

`find` reads the few text files in which packages declare them, instead of importing `importlib.metadata` (50 ms) at every start for what
hardly anybody has. Called by rooms that let strangers add to them. What an entry point is good for, its caller knows.
Contract: the entry points specification of packaging.python.org (`entry_points.txt` in PEP 376's `.dist-info`).
"""

import functools
import importlib
import os
import re
import sys
from collections.abc import Sequence
from typing import NamedTuple

_INFO = re.compile(r"^(?P<name>.+?)-(?P<version>[^-]+)(?:-py[\d.]+)?\.(?:dist|egg)-info$")


class EntryPoint(NamedTuple):
    """One line of a package's `entry_points.txt`."""

    name: str
    value: str
    """`module` or `module:attribute`."""
    distribution: str
    version: str

    @property
    def origin(self) -> str:
        """Who brought it, for messages."""
        return f"{self.distribution} {self.version}"


class LoadError(Exception):
    """An entry point leads nowhere, or its module raised while it was imported; the message says which, of which package."""


@functools.cache
def find(group: str) -> tuple[EntryPoint, ...]:
    """The entry points of a group in all packages that this interpreter sees, by name. Asked once per process."""
    return tuple(scan(group, sys.path))


def scan(group: str, places: Sequence[str]) -> list[EntryPoint]:
    """The same in directories like those of `sys.path`: of two installations of a package the first counts, and of equal names, too."""
    header = f"[{group}]"
    seen: set[str] = set()
    found: dict[str, EntryPoint] = {}
    for place in dict.fromkeys(places):
        for entry in _listed(place):
            match = _INFO.match(entry)
            if match is None or match["name"].lower() in seen:
                continue
            seen.add(match["name"].lower())
            text = _read(os.path.join(place, entry, "entry_points.txt"))
            if header in text:
                for name, value in _section(text, header):
                    found.setdefault(name, EntryPoint(name, value, match["name"].replace("_", "-"), match["version"]))
    return [found[name] for name in sorted(found)]


def load(point: EntryPoint) -> object:
    """What an entry point stands for; imports its module. Raises `LoadError` whatever goes wrong in there."""
    module, _, attributes = point.value.partition(":")
    try:
        target: object = importlib.import_module(module.strip())
        for attribute in filter(None, attributes.strip().split(".")):
            target = getattr(target, attribute)
    except (Exception, SystemExit) as error:  # a stranger's module: nothing that it does may end ours
        raise LoadError(f'"{point.name}" of package {point.origin} cannot be loaded: {type(error).__name__}: {error}') from error
    return target


def _section(text: str, header: str) -> list[tuple[str, str]]:
    inside, lines = False, []
    for line in map(str.strip, text.splitlines()):
        if line.startswith("["):
            inside = line == header
        elif inside and line and line[0] not in "#;":
            name, _, value = line.partition("=")
            lines.append((name.strip(), value.partition("[")[0].strip()))  # extras behind the value mean nothing any more
    return lines


def _listed(place: str) -> list[str]:
    try:
        return sorted(os.listdir(place or os.curdir))
    except OSError:
        return []


def _read(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read()
    except OSError:
        return ""
