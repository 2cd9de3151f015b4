"""Volumes as the processes of a sandbox see them: memory that containers share, sub paths, what is left afterwards.

As root and, in a child that gives root up, as an ordinary user. Skipped, with the reason, where there are no namespaces.
"""

import asyncio
import os
import shutil
import sys
import tempfile
import traceback
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any

import pytest

from lightship.aio.clock import SystemClock
from lightship.node.runtimes.runtime import ContainerError, Mount, Security, Tmpfs
from lightship.node.runtimes.sandbox import SandboxRuntime

from .contract import World, world
from .test_sandbox import abilities

PUBLIC = "/usr/bin/python3"
Story = Callable[[World], Coroutine[Any, Any, None]]


@pytest.fixture(autouse=True)
def _needs_namespaces() -> None:
    if not abilities().sandbox:
        pytest.skip(abilities().reason)


def play(directory: Path, story: Story) -> None:
    async def main() -> None:
        async with world(SandboxRuntime(clock=SystemClock()), directory) as w:
            await story(w)

    asyncio.run(main())


def play_without_root(directory: Path, story: Story) -> None:
    """In a child, since nobody becomes root again."""
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            os.setgroups([])
            os.setresgid(1001, 1001, 1001)
            os.setresuid(1001, 1001, 1001)
            sys.executable = PUBLIC  # ours may be in root's home
            play(directory, story)
            code = 0
        except BaseException:
            traceback.print_exc()
        finally:
            sys.stderr.flush()
            os._exit(code)
    assert os.waitpid(pid, 0)[1] == 0, "see what the child has printed"


@pytest.fixture(params=["root", "rootless"])
def tell(request: pytest.FixtureRequest) -> Iterator[Callable[[Story], None]]:
    """Plays a story in one of the tiers; `World.directory` is where it may write."""
    if request.param == "root" and os.geteuid() != 0:
        pytest.skip("not root")
    directory = Path(tempfile.mkdtemp())
    try:
        if request.param == "rootless" and os.geteuid() == 0:
            if not os.access(PUBLIC, os.X_OK):
                pytest.skip(f"there is no {PUBLIC}, which everybody may run")
            os.chown(directory, 1001, 1001)
            yield lambda story: play_without_root(directory, story)
        else:
            yield lambda story: play(directory, story)
    finally:
        shutil.rmtree(directory)


def directory(w: World, name: str) -> str:
    made = w.directory / name
    made.mkdir()
    return str(made)


def mounted(path: str) -> bool:
    """In the host's tree, which the test lives in."""
    return path in Path("/proc/self/mountinfo").read_text()


def test_memory_is_shared_by_the_containers_of_a_pod_and_by_nobody_else(tell: Callable[[Story], None]) -> None:
    async def story(w: World) -> None:
        path = directory(w, "memory")
        mounts = [Mount(source=path, target="/fast")]
        await w.pod(memory=[Tmpfs(path=path, size=1 << 20)])
        script = "stat -f -c %T /fast; stat -c %a /fast; echo x > /fast/x; head -c 2M /dev/zero > /fast/y"
        end, text = await w.sh(f"{script} || ! rm /fast/y", mounts=mounts)
        assert (end.code, text.splitlines()[:2]) == (1, ["tmpfs", "1777"])
        deep = Mount(source=path, sub_path="a/b", name="v", target="/deep")
        _, text = await w.sh("cat /fast/x; echo y > /deep/y; cat /fast/a/b/y", mounts=[*mounts, deep], name="other")
        assert text == "x\ny\n"
        assert os.listdir(path) == [], "the host sees an empty directory"
        assert not mounted(path)

    tell(story)


def test_memory_that_belongs_to_a_group(tell: Callable[[Story], None]) -> None:
    async def story(w: World) -> None:
        path = directory(w, "memory")
        gid = 123 if os.geteuid() == 0 else 0
        await w.pod(memory=[Tmpfs(path=path, gid=gid)])
        _, text = await w.sh("touch /fast/x; stat -c '%a %g' /fast /fast/x", mounts=[Mount(source=path, target="/fast")])
        assert text == f"3777 {gid}\n644 {gid}\n"

    tell(story)


def test_a_volume_may_take_the_place_of_shared_memory_and_of_our_files(tell: Callable[[Story], None]) -> None:
    async def story(w: World) -> None:
        path, file = directory(w, "memory"), w.directory / "file"
        file.write_text("mine\n")
        await w.pod(memory=[Tmpfs(path=path, size=1 << 20)])
        mounts = [Mount(source=path, target="/dev/shm"), Mount(source=str(file), target="/etc/resolv.conf", read_only=True)]
        _, text = await w.sh("df -k /dev/shm | tail -1 | tr -s ' ' | cut -d ' ' -f 2; cat /etc/resolv.conf", mounts=mounts)
        assert text == "1024\nmine\n"

    tell(story)


def test_overlapping_mounts_in_any_order(tell: Callable[[Story], None]) -> None:
    async def story(w: World) -> None:
        outer, inner = directory(w, "outer"), directory(w, "inner")
        await w.pod()
        mounts = [Mount(source=inner, target="/v/in"), Mount(source=outer, target="/v", read_only=True)]
        os.mkdir(f"{outer}/in")
        _, text = await w.sh("touch /v/in/x && echo yes; touch /v/x 2>/dev/null || echo no; ls /v", mounts=mounts)
        assert text == "yes\nno\nin\n"
        assert os.listdir(inner) == ["x"]

    tell(story)


def test_a_volume_that_holds_the_files_of_pods(tell: Callable[[Story], None]) -> None:
    async def story(w: World) -> None:
        path = directory(w, "memory")
        await w.pod(memory=[Tmpfs(path=path)])
        for sub_path in ("", "."):
            mounts = [Mount(source=str(w.directory), target="/all", sub_path=sub_path, name="v"), Mount(source=path, target="/fast")]
            end, text = await w.sh(
                "find /all/pod-a -name root | while read r; do ls -A $r; done; grep -c ' /all' /proc/mounts", mounts=mounts
            )
            assert (end.code, int(text) < 6) == (0, True), text

    tell(story)


def test_a_source_that_is_gone(tell: Callable[[Story], None]) -> None:
    async def story(w: World) -> None:
        await w.pod()
        with pytest.raises(ContainerError) as raised:
            await w.sh("true", mounts=[Mount(source="/not/there", target="/v")])
        assert raised.value.reason == "CreateContainerError"
        assert "/not/there" in raised.value.message

    tell(story)


def test_every_user_reads_and_writes_an_empty_directory(tell: Callable[[Story], None]) -> None:
    async def story(w: World) -> None:
        path = directory(w, "empty")
        os.chmod(path, 0o777)
        await w.pod()
        for uid in (0, 1000):
            script = f"echo x > /v/f{uid} && id -u && stat -c %u /v/f{uid}"
            end, text = await w.sh(script, mounts=[Mount(source=path, target="/v")], security=Security(uid=uid, gid=uid))
            assert (end.code, text) == (0, f"{uid}\n{uid}\n")

    tell(story)
