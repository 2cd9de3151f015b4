"""The door of a container at which its processes ask for forks of a template: a folder shown in its file tree, and a socket in it.

Called by `sandbox` for containers that `templates` serves, and when somebody knocks. The folder holds a small program (`launch.entry`)
under the names of the environment's commands, to be found first on the PATH; the socket is the init's to listen at (`launch.desk`).
`make` blocks for a millisecond.
"""

import contextlib
import os
import shutil
import socket
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import msgspec

from lightship.node.launch import entry, warmth, wire

from . import layout
from .enforcement import Enforcer
from .holding import Sandbox
from .runtime import ContainerSpec, Mount, SandboxSpec
from .templates import Templates

_LONGEST_LINE = 120
"""Bytes of a first line that every kernel reads to its end."""


def pays(templates: Templates, limits: Enforcer, pod: SandboxSpec, spec: ContainerSpec, request: Mapping[str, Any]) -> bool:
    """Whether a container gets a door. The watchdog knows processes by their parents, and those of forks are not in the container."""
    watched = limits.kind == "watchdog" and (spec.limits.memory or pod.limits.memory)
    return not watched and templates.serves(spec, request)


def answer(sandbox: Sandbox, container_id: str, number: int, templates: Templates) -> None:
    """A process of a container has knocked: its init is lent a template, or told that there is none."""
    container, lent = sandbox.containers.get(container_id), None
    if container is not None:
        lent = templates.knocked(container.spec, layout.environment(container.spec, layout.hostname(sandbox.spec)))
    with contextlib.suppress(OSError):  # the sandbox is dying, and all in it
        wire.send(sandbox.control, {"op": "lend", "number": number}, [lent.fileno()] if lent is not None else [])


def make(spec: ContainerSpec, directory: Path, env: Mapping[str, str]) -> tuple[ContainerSpec, socket.socket | None]:
    """The container with a door, and the socket that listens at it; as it was, and None, when its interpreter cannot be named in a script.

    `env` is its whole environment. Raises `OSError`.
    """
    python = spec.warm.python if spec.warm is not None else ""
    line = f"#!{python} -IS\n"
    if not python or len(os.fsencode(line)) > _LONGEST_LINE or " " in python:
        return spec, None
    shutil.rmtree(directory, ignore_errors=True)
    (directory / "bin").mkdir(parents=True)
    program = directory / "entry"
    program.write_text(line + _text())
    program.chmod(0o755)
    for name in _commands(os.path.dirname(python), python, os.stat(os.path.dirname(python)).st_mtime_ns):
        os.symlink("../entry", directory / "bin" / name)
    shown = Mount(source=str(directory), target=os.path.dirname(warmth.COMMANDS), read_only=True)
    variables = {**spec.env, "PATH": f"{warmth.COMMANDS}:{env['PATH']}"}
    return msgspec.structs.replace(spec, env=variables, mounts=[*spec.mounts, shown]), _listen(directory)


def _listen(directory: Path) -> socket.socket:
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    held = os.open(directory, os.O_PATH | os.O_DIRECTORY)
    try:
        path = f"/proc/self/fd/{held}/door"  # the real one may be too long for a socket's name
        listener.bind(path)
        os.chmod(path, 0o666)
        listener.listen(64)
    except BaseException:
        listener.close()
        raise
    finally:
        os.close(held)
    return listener


@lru_cache(maxsize=64)
def _commands(directory: str, python: str, changed: int) -> tuple[str, ...]:
    """The interpreter's names, and the scripts that it runs."""
    return tuple(sorted(name for name in os.listdir(directory) if _is_ours(f"{directory}/{name}", python)))


def _is_ours(path: str, python: str) -> bool:
    name = os.path.basename(path)
    try:
        if name.startswith("python"):
            return os.path.samefile(path, python)
        with open(path, "rb") as file:
            return os.access(path, os.X_OK) and file.readline(256) == b"#!" + os.fsencode(python) + b"\n"
    except OSError:
        return False


@lru_cache(maxsize=1)
def _text() -> str:
    return Path(entry.__file__).read_text()
