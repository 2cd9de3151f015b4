"""The engine runtime over a real podman, where there is one: the contract of all runtimes, and what only an engine does."""

import asyncio
import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from lightship.aio.clock import SystemClock
from lightship.node.pods import commands
from lightship.node.runtimes.engine.runtime import EngineRuntime
from lightship.node.runtimes.runtime import ContainerError, Limits, Mount, RuntimeUnavailableError, Security
from tests.platform.kit import eventually

from .contract import RuntimeContract, World, gone, open_things
from .engines import IMAGE, Service, drive, podman

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def service() -> Iterator[Service]:
    with podman() as found:
        yield found


class TestPodman(RuntimeContract):
    service: Service

    @pytest.fixture(autouse=True)
    def _service(self, service: Service) -> None:
        self.service = service

    def drive(self, directory: Path, story: Callable[[World], Any]) -> None:
        drive(self.service, directory, story)

    def test_nothing_stays_behind(self, tmp_path: Path) -> None:
        """An engine takes down what it has mounted in its own time."""

        async def story(w: World) -> None:
            await w.pod()
            await w.start(["/bin/sleep", "1000"])

        self.drive(tmp_path, story)
        fds, mounts, _ = open_things()
        for number in range(3):
            self.drive(tmp_path / str(number), story)
        # One mount may have been on its way down when it was counted; three pods that left one each would show.
        eventually(lambda: open_things()[0] <= fds and open_things()[1] <= mounts + 1, "all is as before")

    def test_signals_reach_the_program(self, tmp_path: Path) -> None:
        """Process 1 of a container hears only what it listens to."""

        async def story(w: World) -> None:
            await w.pod()
            polite = await w.start(["/bin/sh", "-c", "trap 'echo bye; exit 3' TERM; echo up; while :; do sleep 0.01; done"], name="polite")
            await w.line(polite, "up")
            await w.runtime.signal(polite, signal.SIGTERM)
            assert (await w.exit(polite))[1:3] == (3, 0)
            await w.runtime.signal(polite, signal.SIGTERM)  # ended: nothing happens

        self.drive(tmp_path, story)

    def test_what_cannot_be_executed_says_so(self, tmp_path: Path) -> None:
        plain = tmp_path / "plain"
        plain.write_text("x")
        mounts = [Mount(source=str(plain), target="/place/plain")]
        cases = [(["no-such-program"], 127), (["/no/such/program"], 127), (["/place/plain"], 126), ([], 127)]

        async def story(w: World) -> None:
            await w.pod()
            for argv, want_code in cases:
                with pytest.raises(ContainerError) as caught:
                    await w.start(argv, mounts=mounts)
                assert (caught.value.reason, caught.value.exit_code) == ("StartError", want_code), argv
            _, text = await w.sh("echo still fine")
            assert text == "still fine\n"
            assert len(w.exits) == 1, "a container that never ran has no exit"

        self.drive(tmp_path, story)

    def test_the_private_directory_is_fresh_at_every_start(self, tmp_path: Path) -> None:
        """An image has no directory of that kind, but what was written to its tree is gone."""

        async def story(w: World) -> None:
            await w.pod()
            for _ in range(2):
                _, text = await w.sh("ls /tmp && echo x > /tmp/file && echo written")
                assert text == "written\n"

        self.drive(tmp_path, story)

    def test_a_program_beside_a_container_is_killed_when_nobody_waits_for_it(self, tmp_path: Path) -> None:
        async def story(w: World) -> None:
            token = f"3000.{os.getpid()}"
            await w.pod()
            main = await w.start(["/bin/sleep", "1000"])
            found = await commands.run(w.runtime, main, ["/bin/sh", "-c", "echo out; echo err >&2; exit 3"])
            assert (found.code, sorted(found.output.split())) == (3, ["err", "out"])
            with pytest.raises(TimeoutError):
                await commands.run(w.runtime, main, ["/bin/sleep", token], 2.0)
            await gone(f"sleep\0{token}")
            assert not w.exits, "the container goes on"
            missing = await commands.run(w.runtime, main, ["/no/such/program"])
            assert missing.code == 127
            assert "/no/such/program" in missing.output

        self.drive(tmp_path, story)


def test_a_pod_has_one_network_and_one_name(service: Service, tmp_path: Path) -> None:
    async def story(w: World) -> None:
        address = await w.pod(hosts="10.1.2.3\tfar")
        _, first = await w.sh("hostname; cat /etc/hosts; stat -L -c %i /proc/self/ns/net", name="one")
        _, second = await w.sh("hostname; stat -L -c %i /proc/self/ns/net", name="two")
        assert second.split()[0] == "a"
        assert first.split()[-1] == second.split()[-1]
        assert f"{address}\ta" in first
        assert "10.1.2.3\tfar" in first
        with await w.runtime.open_socket(sandbox_id="uid-a") as inside:
            assert os.readlink("/proc/self/ns/net"), "this thread is at home"
            with pytest.raises(ConnectionRefusedError):
                await asyncio.get_running_loop().sock_connect(inside, ("127.0.0.1", 1))

    drive(service, tmp_path, story)


def test_more_memory_than_allowed_is_told(service: Service, tmp_path: Path) -> None:
    async def story(w: World) -> None:
        await w.pod()
        end, _ = await w.sh("exec tail /dev/zero", limits=Limits(memory=32 * 2**20))
        assert (end.code, end.reason) == (137, "OOMKilled")
        running = await w.start(["/bin/sleep", "1000"], limits=Limits(memory=64 * 2**20))
        used = await w.runtime.usage()
        assert used[running].processes == 1
        assert used["uid-a"].memory == used[running].memory > 0

    drive(service, tmp_path, story)


def test_input_and_terminals(service: Service, tmp_path: Path) -> None:
    async def story(w: World) -> None:
        await w.pod()
        reader = await w.start(["/bin/sh", "-c", "read line; echo got $line; cat; echo ended"], stdin=True, stdin_once=True)
        client = w.runtime.attach(reader)
        await client.write(b"one\ntwo\n")
        await w.line(reader, "two")
        assert client.end_input()
        assert (await w.exit(reader)).code == 0
        assert w.log(reader).split() == ["got", "one", "two", "ended"]
        terminal = await w.start(
            ["/bin/sh", "-c", "trap 'stty size; exit 0' WINCH; echo up; while :; do sleep 0.05; done"], stdin=True, tty=True
        )
        await w.line(terminal, "up")
        w.runtime.attach(terminal).resize(100, 30)
        assert (await w.exit(terminal)).code == 0
        assert "30 100" in w.log(terminal)

    drive(service, tmp_path, story)


def test_a_terminal_beside_a_container(service: Service, tmp_path: Path) -> None:
    async def story(w: World) -> None:
        await w.pod()
        main = await w.start(["/bin/sleep", "1000"])
        program = await w.runtime.execute(
            main, ["/bin/sh", "-c", "read line; while test \"$(stty size)\" != '20 90'; do sleep 0.05; done; stty size; exit 4"], None
        )
        program.resize(90, 20)
        os.set_blocking(program.terminal, True)
        await asyncio.to_thread(os.write, program.terminal, b"go\n")
        assert await program == 4
        said = b""
        while data := await asyncio.to_thread(os.read, program.terminal, 1000):
            said += data
        os.close(program.terminal)
        assert b"go" in said
        assert b"20 90" in said

    drive(service, tmp_path, story)


def test_what_is_the_machine_s_own_must_be_allowed(service: Service, tmp_path: Path) -> None:
    async def refused(w: World) -> None:
        with pytest.raises(RuntimeUnavailableError, match="hostPID would be this machine's own"):
            await w.pod(host_processes=True)
        await w.pod()
        with pytest.raises(ContainerError, match="privileged"):
            await w.start(["/bin/true"], security=Security(privileged=True))

    async def allowed(w: World) -> None:
        await w.pod(host_network=True)
        end, text = await w.sh("stat -L -c %i /proc/self/ns/net", security=Security(privileged=True))
        assert (end.code, int(text)) == (0, os.stat("/proc/self/ns/net").st_ino)

    drive(service, tmp_path / "no", refused)
    drive(service, tmp_path / "yes", allowed, allow_host=True)


def test_a_pod_whose_network_was_removed_ends(service: Service, tmp_path: Path) -> None:
    async def story(w: World) -> None:
        await w.pod()
        main = await w.start(["/bin/sleep", "1000"])
        runtime: Any = w.runtime
        await runtime.client.call("POST", f"/containers/{runtime._sandboxes['uid-a'].id}/kill", query={"signal": "9"})
        assert (await w.exit(main)).code == 137
        with pytest.raises(ContainerError) as caught:
            await w.start(["/bin/true"])
        assert caught.value.reason == "SandboxGone"
        await w.pod()
        assert (await w.sh("echo again"))[1] == "again\n"

    drive(service, tmp_path, story)


def test_what_a_killed_platform_leaves_is_removed_by_the_next(service: Service, tmp_path: Path) -> None:
    async def leave() -> None:
        runtime: Any = EngineRuntime(service.socket, "podman", clock=SystemClock())
        runtime._owner = runtime._owner.rpartition("-")[0] + "-1"  # as if another process with this number had made it
        await runtime.start()
        w = World(runtime, tmp_path)
        await w.pod()
        await w.start(["/bin/sleep", "1000"], image=IMAGE)
        runtime._follow = None
        for task in list(runtime._tasks):
            task.cancel()

    async def story(w: World) -> None:
        assert not listed()

    def listed() -> list[str]:
        found = subprocess.run([*service.command, "ps", "--all", "--quiet"], capture_output=True, text=True, check=True)
        return found.stdout.split()

    asyncio.run(leave())
    assert len(listed()) == 2
    drive(service, tmp_path, story)
