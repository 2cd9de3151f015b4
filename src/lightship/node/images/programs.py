"""Programs of this machine that images need: where they are, the package that would bring them, and busybox's many names.

Called by `catalogue`. A user's PATH often lacks the folders of servers, so those are searched as well. Installs nothing.
"""

import hashlib
import os
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

SERVED = Path(__file__).parent / "served"
"""Configuration and pages that we bring for images of servers."""
PACKAGE = Path(__file__).parents[2]
"""This very package, whose `runtime` modules programs in pods may import."""
PACKAGE_PATH = "/opt/lightship"
"""Where it is shown to pods whose image has packages."""
_ALSO = ("/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin")
_LIST_SECONDS = 10.0
_SHELL, _SHELLS = "bash", ("sh", "ash")
"""BusyBox's shell, in the versions that distributions have, loses variables whose names are no words of its own (`a-b`), which pods may
have; the one that keeps them answers in its place where there is one."""


def find(name: str) -> str | None:
    """The absolute path of a program, None when this machine lacks it."""
    return shutil.which(name, path=os.pathsep.join([os.environ.get("PATH", ""), *_ALSO]))


def missing(requires: Mapping[str, str]) -> str:
    """What to install, in one line; empty when everything is there."""
    absent = {program: package for program, package in requires.items() if find(program) is None}
    if not absent:
        return ""
    return f"this machine lacks {', '.join(absent)}; on Debian: apt-get install {' '.join(sorted(set(absent.values())))}"


def applets(program: str, directory: Path) -> Path:
    """A directory with a link for each name that a multi-call program answers to, made once below `directory`.

    Blocks for a few milliseconds the first time. Raises `OSError` when the program will not tell its names.
    """
    stat = os.stat(program)
    shell = find(_SHELL)
    digest = hashlib.blake2b(f"{program}\0{stat.st_mtime_ns}\0{stat.st_size}\0{shell}".encode(), digest_size=8).hexdigest()
    place = directory / f"applets-{digest}"
    if place.is_dir():
        return place
    try:
        told = subprocess.run([program, "--list"], capture_output=True, text=True, timeout=_LIST_SECONDS, check=True).stdout.split()
    except (subprocess.SubprocessError, UnicodeDecodeError) as error:
        raise OSError(f"{program} does not list its names: {error}") from error
    draft = directory / f"{place.name}.{os.getpid()}"
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir(parents=True)
    for name in told:
        if "/" not in name and not name.startswith("."):
            (draft / name).symlink_to(shell if shell and name in _SHELLS else program)
    try:
        draft.rename(place)
    except OSError:
        shutil.rmtree(draft, ignore_errors=True)  # somebody else was faster
        if not place.is_dir():
            raise
    return place
