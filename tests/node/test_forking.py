"""Host mode forks programs as sandboxes do, and they behave as executed ones: the table of `test_warm`, with the host's own paths."""

import asyncio
import os
import re
import signal
import sys
from pathlib import Path
from typing import Any

import pytest

from lightship.aio.clock import SystemClock
from lightship.node.runtimes.process import ProcessRuntime
from lightship.node.runtimes.runtime import Security, Warm

from .contract import World, until, world
from .test_sandbox_volumes import PUBLIC, Story
from .test_warm import CASES, SERVE, Case, Warmed, code, lines, text_of

pytestmark = [pytest.mark.slow, pytest.mark.skipif(sys.platform != "linux", reason="only Linux forks in host mode")]
ELSEWHERE = {"what has no module of ours", "facts of another user"}
"""The interpreter of the tests has ours, and may be in root's home."""


class Hosted(Warmed):
    """A pod of host mode, which sees the host's paths."""

    def __init__(self, w: World, python: str = sys.executable) -> None:
        self.world = w
        self.code, self.mark = w.directory / "code", w.directory / "mark"
        self.python = python
        self.warm = Warm(environment="e", python=self.python)
        assert isinstance(w.runtime, ProcessRuntime)
        self.templates = w.runtime._forks.templates

    def _led(self, text: str) -> str:
        return text.replace("/mark/", f"{self.mark}/").replace("/code", str(self.code))

    def lay_out(self, files: dict[str, str]) -> None:
        super().lay_out({name: self._led(text) for name, text in files.items()})

    async def start(self, case: Case, *, warm: bool) -> str:
        extra = {key: self._led(value) if isinstance(value, str) else value for key, value in case.extra.items()}
        env = {"PATH": f"{os.path.dirname(self.python)}:/usr/bin:/bin", "PYTHONUNBUFFERED": "1"}
        env |= {name: self._led(value) for name, value in case.env.items()}
        argv = [self._led(word) for word in case.argv]
        return await self.world.start(argv, env=env, warm=self.warm if warm else None, **extra)


def play(directory: Path, story: Story) -> None:
    directory.chmod(0o755)

    async def main() -> None:
        async with world(ProcessRuntime(clock=SystemClock()), directory) as w:
            await story(w)

    asyncio.run(main())


def seen(result: tuple[Any, ...]) -> tuple[Any, ...]:
    """Without the number of the parent, which is the node in one case, and what the node tells the kernel when a program has begun."""
    code, signum, out, err, marked = result
    out = [line for line in out if not line.startswith("oom_score_adj")]
    return code, signum, *([re.sub(r" \d+ 18 (True|False)", r" \1", line) for line in part] for part in (out, err)), marked


@pytest.mark.parametrize("part", range(6))
def test_warm_programs_behave_as_cold_ones(tmp_path: Path, part: int) -> None:
    async def story(w: World) -> None:
        hosted = Hosted(w)
        await hosted.ready()
        wrong: dict[str, Any] = {}
        for name, case in [(name, case) for name, case in CASES.items() if name not in ELSEWHERE][part::6]:
            hosted.lay_out(case.files)
            cold, warm = [seen(await hosted.run(case, warm=choice)) for choice in (False, True)]
            if warm[:4] != cold[:4]:
                wrong[name] = [(a, b) for a, b in zip(lines(cold), lines(warm), strict=False) if a != b] or (cold, warm)
            elif warm[4] is not None and warm[4] != case.warm:
                wrong[name] = f"forked: {warm[4]}"
            assert cold[4] in (None, False)
        assert not wrong, "\n".join(f"{name}: {what}" for name, what in wrong.items())

    play(tmp_path, story)


def test_nothing_is_left_of_forks(tmp_path: Path) -> None:
    async def story(w: World) -> None:
        before = len(os.listdir("/proc/self/fd"))
        hosted = Hosted(w)
        await hosted.ready()
        held = len(os.listdir("/proc/self/fd"))
        pid = hosted.templates.known()[0].pid
        for _ in range(3):
            assert (await hosted.run(code("print(1)"), warm=True))[2:] == (["1"], [], True)
        assert len(os.listdir("/proc/self/fd")) == held
        await until(lambda: text_of(f"/proc/{pid}/task/{pid}/children") == "")
        hosted.templates.give_back()
        await until(lambda: not os.path.exists(f"/proc/{pid}"))
        await w.runtime.remove_sandbox("uid-a")
        assert len(os.listdir("/proc/self/fd")) == before

    play(tmp_path, story)


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGKILL])
def test_forks_are_signalled_and_outlive_their_template(tmp_path: Path, signum: int) -> None:
    async def story(w: World) -> None:
        hosted = Hosted(w)
        await hosted.ready()
        served = await hosted.start(Case(["python3", "-c", SERVE]), warm=True)
        await w.line(served, "up")
        os.kill(hosted.templates.known()[0].pid, signal.SIGKILL)
        await until(lambda: hosted.templates.known() == [])
        await w.runtime.signal(served, signum)
        assert (await w.exit(served)).signal == signum

    play(tmp_path, story)


def test_a_fork_has_its_user(tmp_path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("not root")
    text = "import os; print(os.getresuid(), os.getresgid(), os.getgroups(), os.stat('/proc/self/fd').st_uid)"

    async def story(w: World) -> None:
        hosted = Hosted(w, PUBLIC)
        await hosted.ready()
        case = Case(["python3", "-c", text], extra={"security": Security(uid=1234, gid=1234)})
        cold, warm = [await hosted.run(case, warm=choice) for choice in (False, True)]
        assert warm == cold
        assert warm[2] == ["(1234, 1234, 1234) (1234, 1234, 1234) [] 1234"]

    play(tmp_path, story)
