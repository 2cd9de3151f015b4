"""Host mode's substitute for mounts: a folder of symbolic links per container, and text that leads there.

Pure but for `plant`. A mount's target cannot be made to exist at its true path without a mount namespace, and nothing outside the pod's
own directory is ever written; so `/data/x` becomes `<farm>/data/x` wherever command, environment or working directory spell it out.
A program that knows a path by heart will not find it: that is the limit of host mode. Called by `runtimes.process` only.
"""

import os
import re
from collections.abc import Callable, Iterable
from pathlib import Path

from lightship.node.launch import subpath

from .runtime import Mount


def plant(farm: Path, mounts: Iterable[Mount], what: Callable[[Mount], str] = lambda mount: mount.name) -> None:
    """Create the links, parents first; `what` names a mount in messages.

    Raises `OSError` when a source is missing, a sub path leaves its volume or two targets exclude each other.
    """
    for mount in sorted(mounts, key=lambda m: len(Path(m.target).parts)):
        spot = _below(farm, mount.target)
        spot.parent.mkdir(parents=True, exist_ok=True)
        if not mount.source:
            spot.mkdir(exist_ok=True)
            continue
        os.stat(mount.source)
        source = subpath.resolve(mount.source, mount.sub_path, what(mount)) if mount.sub_path else mount.source
        if spot.is_symlink():
            spot.unlink()
        if spot.parent.resolve().is_relative_to(farm.resolve()):
            spot.symlink_to(source)
        elif not spot.exists():
            raise FileNotFoundError(2, "host mode cannot mount inside another volume", mount.target)


def housed(cwd: str, mounts: list[Mount]) -> tuple[str, list[Mount]]:
    """A working directory, absolute, and what to plant so that there is one: itself, too, unless it is in a volume or the machine's own."""
    path = os.path.normpath("/" + cwd.lstrip("/"))
    if _around(path, mounts) or (os.path.isdir(path) and os.access(path, os.X_OK)):
        return path, mounts
    return path, [*mounts, Mount(target=path)]


def enter(farm: Path, cwd: str, mounts: Iterable[Mount]) -> Path | None:
    """Make the working directory below what is planted, as container engines do; None where it is the machine's own. Raises `OSError`."""
    mount = _around(cwd, mounts)
    if mount is None:
        return None
    spot = _below(farm, cwd)
    if not mount.read_only:
        spot.mkdir(parents=True, exist_ok=True)
    return spot


def _around(path: str, mounts: Iterable[Mount]) -> Mount | None:
    """The innermost mount that a path is at or below."""
    around = [m for m in mounts if (path + "/").startswith(os.path.normpath(m.target).rstrip("/") + "/")]
    return max(around, key=lambda m: len(os.path.normpath(m.target)), default=None)


def rewrite(text: str, farm: Path, mounts: Iterable[Mount]) -> str:
    """`text` with every path at or below a mount's target led into the farm; longer targets win."""
    targets = sorted({os.path.normpath(m.target) for m in mounts}, key=len, reverse=True)
    if not targets:
        return text
    # A target counts where a path begins and ends with it, or goes on with a slash: not inside of longer names.
    pattern = r"(?<![\w./-])(?:" + "|".join(map(re.escape, targets)) + r")(?![\w.-])"
    return re.sub(pattern, lambda found: str(_below(farm, found.group())), text)


def _below(farm: Path, target: str) -> Path:
    return farm / os.path.normpath(target).lstrip("/")
