"""What was installed where an interpreter looks for packages since a template has started, and whether the template may still stand for it.

A pod may install packages before it runs its program, into its home or over what it has: a program that imports them must get them, and not
what the template has loaded of the same name, nor what a loaded library decided because it had not found them. Called by `basis`.
"""

import os
import re
import site
import sys
from collections.abc import Iterable, Sequence
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

_METADATA = re.compile(r"(.+?)-[^-]*(?:-py[\d.]+)?\.(?:dist-info|egg-info)")
Listing = dict[str, Any]
"""What tells that an entry of a directory has changed, by its name."""


class Missed:
    """As the last finder: notes what was looked for and not found while libraries are loaded, and the packages that were asked about."""

    def __init__(self) -> None:
        self.names: set[str] = set()

    def find_spec(self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None) -> ModuleSpec | None:
        if path is None:
            self.names.add(plain(name))
        return None

    def find_distributions(self, context: Any) -> Iterable[Any]:
        if context.name:
            self.names.add(plain(context.name))
        return ()


def plain(name: str) -> str:
    """What the names of a module, its file and its package have in common."""
    return re.sub("[-_]+", "_", name.partition(".")[0].lower())


def listing(directory: str) -> Listing:
    """Empty for what cannot be read."""
    found: Listing = {}
    try:
        with os.scandir(directory) as entries:
            for entry in entries:
                about = entry.stat()
                found[entry.name] = (about.st_mode, about.st_size if entry.is_file() else 0, about.st_mtime_ns)
    except OSError:
        return {}
    return found


def harmless(before: Listing, now: Listing, known: set[str]) -> bool:
    """Whether what has changed has nothing to do with `known`, the plain names of what a template has loaded or looked for."""
    changed = [name for name in before.keys() | now.keys() if before.get(name) != now.get(name)]
    return not any(_matters(name, known) for name in changed)


def _matters(name: str, known: set[str]) -> bool:
    if name == "__pycache__":
        return False
    metadata = _METADATA.fullmatch(name)
    return name.endswith((".pth", ".egg-link")) or plain(metadata[1] if metadata else name) in known


def user_site() -> str:
    """Where packages of the user's own are, by the HOME that is set by now; empty when there are none or they do not count."""
    site.USER_BASE = site.USER_SITE = None
    place = site.getusersitepackages()
    return place if site.ENABLE_USER_SITE and os.path.isdir(place) else ""


def position(path: list[str]) -> int:
    """Where on a path the user's packages come: before those of the interpreter itself. Contract: `site.main`."""
    own = set(site.getsitepackages([sys.base_prefix, sys.base_exec_prefix]))
    return next((number for number, place in enumerate(path) if place in own), len(path))
