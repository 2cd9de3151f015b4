"""Images with files of their own, from an OCI layout to processes that see nothing else: as root, and as an ordinary user.

The image is made of this machine's shell and the libraries that it needs.
"""

import os
import re
import subprocess
import tempfile
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from lightship.aio.clock import SystemClock
from lightship.node.images import unpacked
from lightship.node.images.environments import Environment
from lightship.node.images.store import Store
from lightship.node.inputs.env import Command
from lightship.node.pods import containers
from lightship.node.runtimes.runtime import Security

from .contract import World
from .test_oci import Entries, Layout, entry, folder, link
from .test_sandbox import abilities
from .test_sandbox_volumes import play, play_without_root

Told = Callable[[World, Path], Coroutine[Any, Any, None]]

pytestmark = pytest.mark.slow


def needs_namespaces() -> None:
    if not abilities().sandbox:
        pytest.skip(abilities().reason)


@pytest.fixture(autouse=True)
def _namespaces() -> None:
    needs_namespaces()


def programs(*names: str) -> Entries:
    """Programs of this machine with their libraries."""
    paths = [os.path.realpath(f"/bin/{name}") for name in names]
    needed = subprocess.run(["ldd", *paths], capture_output=True, text=True, check=True).stdout
    libraries = set(re.findall(r"(?:=> )?(/\S+) \(0x", needed))
    return [
        *(entry(f"bin/{name}", Path(path).read_bytes(), mode=0o755) for name, path in zip(names, paths, strict=True)),
        *(entry(path.lstrip("/"), Path(path).read_bytes(), mode=0o755) for path in sorted(libraries)),
    ]


def make(directory: Path) -> Layout:
    layout = Layout(directory / "layout")
    passwd = entry("etc/passwd", b"root:x:0:0::/root:/bin/sh\napp:x:1000:1000::/srv:/bin/sh\n")
    traps = [link("sys", "/etc"), link("proc", str(directory)), link("tmp", "/srv"), link("etc/hosts", "/../../../etc/passwd")]
    layout.image(
        [folder("bin"), folder("etc"), passwd, entry("etc/issue", b"an image\n"), folder("srv", mode=0o777), *traps],
        programs("sh", "cat", "ls", "id"),
        Env=["PATH=/bin", "GREETING=hello"],
        Entrypoint=["/bin/sh", "-c"],
        Cmd=["echo $GREETING; pwd; cat /etc/issue; ls /"],
        WorkingDir="/srv",
    )
    return layout


async def start(w: World, directory: Path, *args: str, user: int | None = None) -> str:
    """Run the image as a pod would; what it printed."""
    made = await unpack(directory)
    await w.pod()
    argv = containers.argv(Command([], list(args), {}), made)
    _, text = await w.run(argv, root=made.root, env=made.variables, cwd=made.working_dir, security=Security(uid=user))
    return text


async def unpack(directory: Path) -> Environment:
    store = Store(directory / "store", SystemClock())
    try:
        return await unpacked.ensure(store, str(directory / "layout"), lambda line: None)
    finally:
        store.close()


async def story(w: World, directory: Path) -> None:
    text = await start(w, directory)
    assert text.splitlines()[:3] == ["hello", "/srv", "an image"]
    assert set(text.split()[4:]) >= {"bin", "dev", "etc", "proc", "srv", "sys"}
    assert "home" not in text.split(), "nothing of the host is there"


async def writing(w: World, directory: Path) -> None:
    script = "echo x > /etc/issue && echo y > /new && cat /etc/issue /new && cat /proc/self/comm && ls /dev/null && id -u"
    assert (await start(w, directory, script)).splitlines() == ["x", "y", "cat", "/dev/null", "0"]
    again = await start(w, directory, "cat /etc/issue; cat /new 2>/dev/null || echo gone")
    assert again.splitlines()[0] == "an image"
    assert again.splitlines()[-1] == "gone", "what a container writes goes with it"


@pytest.mark.parametrize("told", [story, writing])
def test_as_root(tmp_path: Path, told: Told) -> None:
    if os.geteuid() != 0:
        pytest.skip("needs root")
    make(tmp_path)
    play(tmp_path / "pods", lambda w: told(w, tmp_path))


@pytest.mark.parametrize("told", [story, writing])
def test_without_root(told: Told) -> None:
    if os.geteuid() != 0:
        pytest.skip("needs root, to give it up")
    with tempfile.TemporaryDirectory() as name:  # pytest's own directories are root's
        place = Path(name)
        make(place)
        for path in (place, *place.rglob("*")):
            os.chown(path, 1001, 1001, follow_symlinks=False)
        play_without_root(place / "pods", lambda w: told(w, place))
