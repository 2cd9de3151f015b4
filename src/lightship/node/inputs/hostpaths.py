"""Files and directories of the host that a pod wants to see: whether the node allows it, and whether they are what the pod says.

Called by `volumes`. Contract: kubelet hostPath type checks and their texts; a path without a type is made as container engines make it.
"""

import posixpath
import stat
from collections.abc import Mapping
from pathlib import Path

from lightship.meta.objects import Obj

from .sources import MissingError

_CHECKS = {
    "Directory": (stat.S_ISDIR, "a directory"),
    "DirectoryOrCreate": (stat.S_ISDIR, "a directory"),
    "File": (stat.S_ISREG, "a file"),
    "FileOrCreate": (stat.S_ISREG, "a file"),
    "Socket": (stat.S_ISSOCK, "a socket file"),
    "CharDevice": (stat.S_ISCHR, "a character device"),
    "BlockDevice": (stat.S_ISBLK, "a block device"),
}


def placed(source: Obj, machine: Mapping[str, Path]) -> Obj:
    """The same volume where this node has it, for what several nodes of one machine must have for themselves (`Policy.machine`)."""
    path = posixpath.normpath(source.get("path") or "/")
    for directory, own in machine.items():
        if path == directory or path.startswith(directory + "/"):
            return {**source, "path": str(own) + path[len(directory) :]}
    return source


def check(source: Obj, *, allowed: bool) -> None:
    """Make what is to be made. Raises `MissingError` for a path that is not allowed or not of its type, `OSError` for one not to be had."""
    path, kind = Path(source.get("path") or "/"), source.get("type") or ""
    if not allowed:
        raise MissingError(f"hostPath {path} is not allowed on this node: use emptyDir, or start the node with --allow-host-path")
    if ".." in path.parts:
        raise MissingError(f"invalid HostPath `{path}`: must not contain '..'")
    if kind and kind not in _CHECKS:
        raise MissingError(f"{kind} is an invalid volume type")
    if kind in ("", "DirectoryOrCreate") and not path.exists():
        path.mkdir(parents=True, mode=0o755, exist_ok=True)
    elif kind == "FileOrCreate" and not path.exists():
        path.touch(mode=0o644, exist_ok=True)
    if kind:
        is_kind, words = _CHECKS[kind]
        if not path.exists() or not is_kind(path.stat().st_mode):
            raise MissingError(f"hostPath type check failed: {path} is not {words}")
