"""Where the socket of podman or Docker is on this machine.

Called by `choice` for `--runtime podman` and `docker`. Contract: DOCKER_HOST as both engines' clients read it; the usual places.
"""

import os
from collections.abc import Mapping
from pathlib import Path

from lightship.node.runtimes.runtime import RuntimeUnavailableError

ENGINES = ("podman", "docker")
_UNIX = "unix://"


def places(engine: str, environment: Mapping[str, str]) -> list[str]:
    """Where to look, in order. What DOCKER_HOST names comes alone."""
    said = environment.get("DOCKER_HOST", "")
    if said:
        return [said.removeprefix(_UNIX)] if said.startswith(_UNIX) else []
    private = environment.get("XDG_RUNTIME_DIR", "")
    if engine == "podman":
        found = [f"{private}/podman/podman.sock" if private else "", "/run/podman/podman.sock"]
        return [path for path in (reversed(found) if os.geteuid() == 0 else found) if path]
    return [
        path
        for path in ("/var/run/docker.sock", f"{private}/docker.sock" if private else "", f"{Path.home()}/.docker/run/docker.sock")
        if path
    ]


def socket_of(engine: str, environment: Mapping[str, str]) -> str:
    """The first that is there. Raises `RuntimeUnavailableError` with what to do."""
    looked = places(engine, environment)
    for path in looked:
        if os.access(path, os.W_OK):
            return path
    said = environment.get("DOCKER_HOST", "")
    if said and not looked:
        raise RuntimeUnavailableError(f'DOCKER_HOST="{said}" is no unix socket: an engine on another machine cannot run pods of this one')
    start = "podman system service --time=0" if engine == "podman" else "the Docker daemon"
    mine = [path for path in looked if os.path.exists(path)]
    if mine:
        raise RuntimeUnavailableError(f"{mine[0]} is there, but this user may not use it")
    raise RuntimeUnavailableError(f"no {engine} is listening at {' or '.join(looked)}: start {start}, or name its socket in DOCKER_HOST")
