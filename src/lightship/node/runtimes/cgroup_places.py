"""Where this process may have control groups of its own: found by trying, in the mounts and groups that /proc tells of.

Called by `enforcement` once, in a thread. Everything of ours lies below a directory `lightship`, inside the group that the platform itself
is in (so that whatever limits the platform limits its pods too), or for version 2, where groups with processes have no children, beside it
(`scopes` has seen to that). Pods that outlived a platform are where that one had put them.
Directories of platforms that are gone are removed, with what still runs in them.
"""

import contextlib
import logging
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple, TypeVar

from . import scopes
from .cgroup import Tree, Version1, Version2, enable, erase, shares, weight
from .cgroup_mounts import Mounted, memberships, mounted, own_directory, started

log = logging.getLogger(__name__)
T = TypeVar("T")

TOP = "lightship"
_WANTED_2 = frozenset({"memory", "cpu", "pids"})
_TRIES = 10
_DEEP = 8
"""How far down leftovers are looked for."""


class Place(NamedTuple):
    """Trees of ours, and the directories to remove at the end."""

    tree: Tree
    bases: list[Path]


class OwnMemory(NamedTuple):
    """Of the group that we are in, with all below it: bytes that it may have, and that cannot be taken from it."""

    limit: int
    working_set: int


def own_memory() -> OwnMemory | None:
    """None where nobody limits us. Reads a few files."""
    try:
        mounts = mounted(Path("/proc/self/mountinfo").read_text())
        paths = memberships(Path("/proc/self/cgroup").read_text())
        for mount in mounts:
            if "memory" in mount.controllers:
                return _limited(Version1({"memory": own_directory(mount, paths["memory"])}).own_memory())
        for mount in mounts:
            if not mount.controllers:
                return _limited(_own_memory_2(own_directory(mount, paths[""]), mount.point))
    except (OSError, ValueError, KeyError):
        pass
    return None


def _limited(found: tuple[int, int]) -> OwnMemory | None:
    return OwnMemory(*found) if found[0] < 2**62 else None


def _own_memory_2(directory: Path, top: Path) -> tuple[int, int]:
    """The closest of all limits above us, with what is used there."""
    found = (2**63, 0)
    for group in _candidates(directory, top):
        limit = group / "memory.max"
        if limit.exists() and (text := limit.read_text().strip()) != "max" and int(text) < found[0]:
            found = (int(text), Version2(group, frozenset()).usage("").working_set)
    return found


def open_place(name: str) -> Place | None:
    """Directories for the instance `name`, new or found again; None when this machine lets us have none that limit memory."""
    try:
        mounts = mounted(Path("/proc/self/mountinfo").read_text())
        paths = memberships(Path("/proc/self/cgroup").read_text())
    except OSError:
        return None
    known = [top / name for top in sweep([mount.point for mount in mounts]) if (top / name).is_dir()]
    return _version_2(mounts, paths, name, known) or _version_1(mounts, paths, name, known)


def _version_1(mounts: list[Mounted], paths: dict[str, str], name: str, known: list[Path]) -> Place | None:
    bases: dict[str, Path] = {}
    for mount in mounts:
        for controller in sorted(mount.controllers & paths.keys()):
            there = (base for base in known if base.is_relative_to(mount.point))
            base = next(there, own_directory(mount, paths[controller]) / TOP / name)
            if base in bases.values() or _made(base):
                bases.setdefault(controller, base)
    kept = list(dict.fromkeys(bases.values()))
    if "memory" not in bases:
        _forget(kept)
        return None
    _weigh(bases.get("cpu"), "cpu.shares", shares(_cpus()))
    return Place(Version1(bases), kept)


def _version_2(mounts: list[Mounted], paths: dict[str, str], name: str, known: list[Path]) -> Place | None:
    mount = next((m for m in mounts if not m.controllers), None)
    if mount is None or "" not in paths:
        return None
    own = own_directory(mount, paths[""])
    again = [base.parent.parent for base in known if base.is_relative_to(mount.point)]
    for parent in [*again, *_candidates(own.parent if own.name == scopes.NODE else own, mount.point)]:
        try:
            offered = _WANTED_2 & set((parent / "cgroup.controllers").read_text().split())
        except OSError:
            continue
        if "memory" in offered and (base := _handed_down(parent, name, offered)):
            return Place(Version2(base, offered), [base])
    return None


def _candidates(own: Path, top: Path) -> Iterator[Path]:
    """The group that we are in, then those around it."""
    yield own
    while own != top and own.is_relative_to(top):
        own = own.parent
        yield own


def _handed_down(parent: Path, name: str, controllers: frozenset[str]) -> Path | None:
    base = parent / TOP / name
    if base.is_dir():  # with pods that run: it takes no process beside them, and none of them may be lost by trying
        return base if os.access(base / "cgroup.procs", os.W_OK) else None
    try:
        enable(parent, controllers)
        _shared(lambda: _make_below(parent, controllers))
        if _made(base):
            _weigh(base, "cpu.weight", weight(_cpus()))
            return base
    except OSError as error:
        log.debug("no control groups directory=%s reason=%s", parent, error)
    return None


def _make_below(parent: Path, controllers: frozenset[str]) -> None:
    (parent / TOP).mkdir(exist_ok=True)
    enable(parent / TOP, controllers)


def _shared(make: Callable[[], T]) -> T:
    """The directory above ours is everybody's, and the last one to leave takes it away: perhaps just when we have found it."""
    for _ in range(_TRIES):
        with contextlib.suppress(FileNotFoundError):
            return make()
    return make()


def _weigh(base: Path | None, file: str, amount: int) -> None:
    """Let all pods together weigh as much as there are processors, beside what else runs here. Contract: kubelet, node allocatable."""
    if base is not None:
        with contextlib.suppress(OSError):
            (base.parent / file).write_text(str(amount))


def _cpus() -> float:
    return float(os.cpu_count() or 1)


def _made(base: Path) -> bool:
    """Make a directory and see whether a process may go there."""
    try:
        _shared(lambda: base.mkdir(parents=True, exist_ok=True))
        with subprocess.Popen(["/bin/cat"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL) as trial:
            (base / "cgroup.procs").write_text(str(trial.pid))
    except OSError:
        _forget([base])
        return False
    return True


def _forget(bases: list[Path]) -> None:
    for base in bases:
        with contextlib.suppress(OSError):
            erase(base)
            base.parent.rmdir()  # unless another platform has something there


def close_place(place: Place) -> None:
    """Remove all that is ours, with what runs in it."""
    _forget(place.bases)


def instance_name(pid: int) -> str:
    """Tells with whom a directory goes: process namespace, process, and when that was started."""
    return f"{os.stat('/proc/self/ns/pid').st_ino}-{pid}-{started(pid)}"


def sweep(points: list[Path]) -> list[Path]:
    """Remove what platforms left behind that were killed; the directories where such things can be."""
    tops = []
    here = os.stat("/proc/self/ns/pid").st_ino
    for point in dict.fromkeys(points):
        for top in _tops(point):
            tops.append(top)
            for name in _names(top):
                if _is_left(name, here):
                    log.info("removing control groups of a platform that is gone directory=%s/%s", top, name)
                    _forget([top / name])
    return tops


def _names(directory: Path) -> list[str]:
    try:
        return os.listdir(directory)
    except OSError:  # its last platform has taken it away meanwhile
        return []


def _tops(point: Path) -> list[Path]:
    found = []
    for directory, names, _ in os.walk(point):
        if TOP in names:
            found.append(Path(directory, TOP))
            names.remove(TOP)
        if len(Path(directory).relative_to(point).parts) >= _DEEP:
            names.clear()
    return found


def is_left(name: str) -> bool:
    """Is it the name of an instance that we would see if it still ran?"""
    return _is_left(name, os.stat("/proc/self/ns/pid").st_ino)


def _is_left(name: str, here: int) -> bool:
    """Only those whose owner we would see if it still ran."""
    words = name.split("-")
    if len(words) < 3 or not all(word.isdigit() for word in words[:3]) or int(words[0]) != here:
        return False
    return started(int(words[1])) != int(words[2])
