"""Whose processes a container sees: its own, its pod's, or all of the cluster's. As root and rootless."""

import os
import signal
from collections.abc import Iterator

import pytest

from lightship.node.runtimes.runtime import ContainerError

from . import tiers
from .contract import World, gone, processes
from .tiers import PYTHON, Tier

SEEN = "cd /proc && for p in [0-9]*; do test -r $p/cmdline && tr '\\0' ' ' < $p/cmdline && echo; done"

pytestmark = pytest.mark.slow


@pytest.fixture(params=["root", "rootless"])
def tier(request: pytest.FixtureRequest) -> Iterator[Tier]:
    with tiers.tier(request.param) as found:
        yield found


async def beside(w: World, container: str, script: str) -> tuple[int, str]:
    """A program beside a container: its exit code and output."""
    read, write = os.pipe()
    null = os.open("/dev/null", os.O_RDONLY)
    done = await w.runtime.execute(container, ["/bin/sh", "-c", script], (null, write, write))
    os.close(null)
    os.close(write)
    code = await done
    text = os.read(read, 60_000).decode()
    os.close(read)
    return code, text


def test_a_container_is_alone_and_first(tier: Tier) -> None:
    async def story(w: World) -> None:
        await w.pod()
        other = await w.start(["/bin/sleep", "1000"], name="other")
        _, text = await w.sh("echo $$; ls -d /proc/[0-9]*; kill -9 2 3 4 5 6 7 2>/dev/null; test -e /proc/2; echo $?", name="main")
        assert text.split() == ["1", "/proc/1", "1"]
        assert other not in w.exits

    tier.drive(story)


def test_containers_that_share_see_and_signal_each_other(tier: Tier) -> None:
    async def story(w: World) -> None:
        await w.pod(share_processes=True)
        other = await w.start(["/bin/sleep", "1000"], name="other")
        _, text = await w.sh(f"{SEEN}; kill -9 1; kill -INT 1; kill -TERM 1; kill -9 $(pgrep sleep); test $$ != 1 && echo fine")
        assert "/bin/sleep 1000" in text
        assert text.endswith("fine\n")
        assert (await w.exit(other))[1:3] == (137, 9)
        assert (await w.sh("ls -A /proc/1/root/ && echo nothing"))[1] == "nothing\n"

    tier.drive(story)


@pytest.mark.parametrize("share", [False, True])
def test_leftovers_end_with_their_container(tier: Tier, *, share: bool) -> None:
    async def story(w: World) -> None:
        token = f"6{int(share)}00.{os.getpid()}"
        await w.pod(share_processes=share)
        neighbour = await w.start(["/bin/sleep", token + "1"], name="neighbour")
        for how in ("exit 3", "kill -9 $$"):
            await w.sh(f"setsid setsid sleep {token}0 & setsid sleep {token}0 & sleep 0.02; {how}")
            assert not processes(f"sleep\0{token}0"), "gone when the exit is told"
        assert processes(f"sleep\0{token}1")
        assert neighbour not in w.exits

    tier.drive(story)


@pytest.mark.parametrize("share", [False, True])
def test_programs_beside_a_container_are_among_its_processes(tier: Tier, *, share: bool) -> None:
    async def story(w: World) -> None:
        token = f"7{int(share)}00.{os.getpid()}"
        await w.pod(share_processes=share)
        main = await w.start(["/bin/sleep", token])
        code, text = await beside(w, main, SEEN + "; exit 5")
        assert code == 5
        assert f"sleep {token}" in text
        if not share:
            running = await w.runtime.execute(main, ["/bin/sleep", token + "1"], _nothing())
            await w.runtime.signal(main, signal.SIGKILL)
            assert await running == 137, "it ends with its container"
            assert (await w.exit(main)).code == 137
            await gone(f"sleep\0{token}1")

    tier.drive(story)


def _nothing() -> tuple[int, int, int]:
    null = os.open("/dev/null", os.O_RDWR)
    return null, null, null


HANDLES = "import signal, sys; signal.signal(signal.SIGTERM, lambda *_: sys.exit(7)); print('up', flush=True); signal.pause()"
WAITS = "import signal; signal.pthread_sigmask(0, [15]); print('up', flush=True); signal.sigwait([15]); raise SystemExit(8)"
IGNORES = "import signal; signal.signal(15, signal.SIG_IGN); print('up', flush=True)\nwhile True: signal.pause()"
PLAIN = "import signal; print('up', flush=True); signal.pause()"


@pytest.mark.parametrize(("script", "want"), [(PLAIN, (143, 15)), (HANDLES, (7, 0)), (WAITS, (8, 0)), (IGNORES, None)])
def test_a_first_process_ends_as_any_other_would(tier: Tier, script: str, want: tuple[int, int] | None) -> None:
    async def story(w: World) -> None:
        await w.pod()
        main = await w.start([PYTHON, "-c", script])
        await w.line(main, "up")
        await w.runtime.signal(main, signal.SIGWINCH)
        await w.runtime.signal(main, signal.SIGTERM)
        if want is None:
            assert (await beside(w, main, "grep -c SigIgn /proc/1/status"))[1] == "1\n", "it is still there"
            await w.runtime.signal(main, signal.SIGKILL)
        assert (await w.exit(main))[1:3] == (want or (137, 9))

    tier.drive(story)


def test_a_pod_may_see_all_processes_of_the_cluster_but_not_signal_them(tier: Tier) -> None:
    async def story(w: World) -> None:
        token = f"8000.{os.getpid()}"
        await w.pod("a", host_processes=True)
        await w.pod("b")
        other = await w.start(["/bin/sleep", token], pod="b")
        _, text = await w.sh(f"{SEEN}; kill -9 $(grep -l {token} /proc/[0-9]*/cmdline | cut -d / -f 3) 2>/dev/null")
        assert f"sleep {token}" in text
        assert (await w.sh(SEEN, pod="b"))[1].count("sleep") == 0
        assert other not in w.exits

    tier.drive(story)


def test_queues_are_the_pods_or_the_clusters(tier: Tier) -> None:
    count = "ipcs -q | grep -c ^0x"

    async def story(w: World) -> None:
        for name, host in (("a", True), ("b", True), ("c", False)):
            await w.pod(name, host_ipc=host)
        await w.sh("ipcmk -Q -p 0666", pod="a")
        assert [(await w.sh(count, pod=name))[1] for name in "abc"] == ["1\n", "1\n", "0\n"]

    tier.drive(story)


def test_a_container_may_join_the_processes_of_another(tier: Tier) -> None:
    async def story(w: World) -> None:
        await w.pod()
        other = await w.start(["/bin/sleep", "1000"], name="other")
        _, text = await w.sh(f"{SEEN}; kill -9 1; echo done", name="debug", target=other)
        assert "/bin/sleep 1000" in text
        assert text.endswith("done\n"), "the first process is out of reach of its own namespace"
        assert other not in w.exits
        with pytest.raises(ContainerError, match="does not run"):
            await w.sh("true", name="late", target="gone")

    tier.drive(story)
