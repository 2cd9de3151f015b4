"""A real podman for tests: a service of its own, with storage of its own and an image made on the spot, from no registry.

`podman()` skips, with the reason, where there is none. `EngineWorld` is `contract.World` with that image in every container.
"""

import asyncio
import itertools
import os
import resource
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from lightship.aio.clock import SystemClock
from lightship.node.runtimes.engine.runtime import EngineRuntime
from lightship.node.runtimes.runtime import Mount

from .contract import World

IMAGE = "localhost/lightship-test:1"
APPLETS = [
    *("sh", "sleep", "env", "seq", "true", "cat", "ls", "echo", "mkdir", "id", "hostname", "test"),
    *("kill", "ps", "stat", "rm", "stty", "nslookup", "wget", "pwd", "httpd", "tail"),
]
SHOWN = ("/usr", "/lib", "/lib64", sys.prefix, sys.base_prefix)
"""What a container must be shown of this machine to run its Python."""


class Service(NamedTuple):
    """An engine that listens."""

    socket: str
    command: list[str]
    """`podman` with the options for this storage."""


@contextmanager
def podman() -> Iterator[Service]:
    """Skips the test where podman is not to be had."""
    if shutil.which("podman") is None or shutil.which("runc") is None:
        pytest.skip("there is no podman with runc on this machine")
    if os.geteuid() != 0:
        pytest.skip("the tests do not run as root")
    busybox = shutil.which("busybox")
    if busybox is None:
        pytest.skip("there is no busybox on this machine")
    with tempfile.TemporaryDirectory(prefix="engine-", ignore_cleanup_errors=True) as directory:
        home = Path(directory)
        (home / "containers.conf").write_text(_settings())
        command = ["podman", "--root", f"{home}/storage", "--runroot", f"{home}/run", "--tmpdir", f"{home}/tmp"]
        env = {**os.environ, "CONTAINERS_CONF": f"{home}/containers.conf"}
        _image(home / "image.tar", busybox)
        made = subprocess.run([*command, "import", f"{home}/image.tar", IMAGE], env=env, capture_output=True, text=True, check=False)
        if made.returncode:
            pytest.skip(f"podman cannot keep an image here: {made.stderr.strip()}")
        with (home / "log").open("wb") as log:
            service = subprocess.Popen([*command, "system", "service", "--time=0", f"unix://{home}/socket"], env=env, stderr=log, cwd=home)
        try:
            while not (home / "socket").exists():
                assert service.poll() is None, (home / "log").read_text()
            yield Service(f"{home}/socket", command)
        finally:
            subprocess.run([*command, "rm", "--all", "--force", "--time=0"], env=env, capture_output=True, check=False)
            service.terminate()
            service.wait()
            subprocess.run(["umount", f"{home}/storage/overlay"], capture_output=True, check=False)


def _settings() -> str:
    """What this machine needs: limits that we may give, and the OCI runtime that knows all arrangements of control groups."""
    files, processes = resource.getrlimit(resource.RLIMIT_NOFILE)[1], resource.getrlimit(resource.RLIMIT_NPROC)[1]
    limits = [f'"{name}={value}:{value}"' for name, value in (("nofile", min(files, 4096)), ("nproc", min(processes, 4096)))]
    engine = ['cgroup_manager = "cgroupfs"', 'events_logger = "file"', 'runtime = "runc"']
    return "\n".join(["[containers]", f"default_ulimits = [{', '.join(limits)}]", "[engine]", *engine, ""])


def _libraries(program: str) -> list[tuple[str, str]]:
    """What a program is loaded with, and where in a file tree: nothing for one that is whole."""
    told = subprocess.run(["ldd", program], capture_output=True, text=True, check=False).stdout
    files = [word for line in told.splitlines() for word in line.split() if word.startswith("/")]
    return [(file, file.lstrip("/")) for file in files]


def _image(path: Path, busybox: str) -> None:
    with tarfile.open(path, "w") as tar:
        for directory in ("bin", "usr", "usr/bin", "tmp", "etc", "lib", "lib64", "proc", "sys", "dev"):
            entry = tarfile.TarInfo(directory)
            entry.type, entry.mode = tarfile.DIRTYPE, 0o1777 if directory == "tmp" else 0o755
            tar.addfile(entry)
        for file, place in ((busybox, "bin/busybox"), *_libraries(busybox)):
            tar.add(os.path.realpath(file), place)
        for applet, place in itertools.product(APPLETS, ("bin", "usr/bin")):
            entry = tarfile.TarInfo(f"{place}/{applet}")
            entry.type, entry.linkname = tarfile.SYMTYPE, "/bin/busybox"
            tar.addfile(entry)


class EngineWorld(World):
    """Its containers run an image."""

    async def start(self, argv: list[str], *, pod: str = "a", name: str = "main", **extra: Any) -> str:
        return await super().start(argv, pod=pod, name=name, image=IMAGE, **extra)

    async def python(self, script: str, **extra: Any) -> str:
        return await self.start([sys.executable, "-I", "-S", "-u", "-c", script], mounts=_shown(), **extra)


def _shown() -> list[Mount]:
    """Under their names, and where these lead."""
    there = {place: str(Path(place).resolve()) for place in SHOWN if Path(place).is_dir()}
    return [Mount(source=real, target=place, read_only=True) for place, real in {**{v: v for v in there.values()}, **there}.items()]


@asynccontextmanager
async def engine_world(runtime: EngineRuntime, directory: Path) -> AsyncIterator[EngineWorld]:
    async with asyncio.timeout(120):
        await runtime.start()
        try:
            yield EngineWorld(runtime, directory)
        finally:
            await runtime.close()


def drive(service: Service, directory: Path, story: Callable[[EngineWorld], Any], **options: Any) -> None:
    async def main() -> None:
        async with engine_world(EngineRuntime(service.socket, "podman", clock=SystemClock(), **options), directory) as w:
            await story(w)

    asyncio.run(main())
