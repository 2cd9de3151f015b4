"""What every runtime must do, whatever it is made of: `RuntimeContract` is inherited by one test class per backend.

`World` is a started runtime with a memory: it keeps exits, hands out pods and containers, and reads logs back. Tests end on exits,
never on sleeps; the clock is the real one because real processes run.
"""

import asyncio
import itertools
import os
import signal
import stat
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from lightship.aio.clock import SystemClock
from lightship.node.pods import commands
from lightship.node.runtimes.runtime import ContainerError, ContainerSpec, Exit, Mount, Runtime, SandboxSpec

CLOCK = SystemClock()
PYTHON = [sys.prefix, sys.base_prefix]
"""What a container must be shown to run `sys.executable`."""


class World:
    def __init__(self, runtime: Runtime, directory: Path) -> None:
        self.runtime = runtime
        self.directory = directory
        self.exits: dict[str, Exit] = {}
        self.changed = asyncio.Event()
        self._count = 0
        runtime.on_exit(self._remember)

    def _remember(self, end: Exit) -> None:
        assert end.container_id not in self.exits, "an exit is told once"
        self.exits[end.container_id] = end
        self.changed.set()

    def pod_directory(self, name: str) -> Path:
        return self.directory / f"pod-{name}"

    async def pod(self, name: str = "a", **extra: Any) -> str:
        spec = SandboxSpec(id=f"uid-{name}", name=name, namespace="default", directory=str(self.pod_directory(name)), **extra)
        return await self.runtime.create_sandbox(spec)

    async def start(self, argv: list[str], *, pod: str = "a", name: str = "main", **extra: Any) -> str:
        """The id of a container that runs."""
        self._count += 1
        container_id = f"{pod}-{name}-{self._count}"
        log = self.pod_directory(pod) / name / f"{self._count}.log"
        env = extra.pop("env", {})
        spec = ContainerSpec(id=container_id, sandbox_id=f"uid-{pod}", name=name, argv=argv, env=env, log_path=str(log), **extra)
        assert await self.runtime.start_container(spec) > 1
        return container_id

    async def exit(self, container_id: str) -> Exit:
        while container_id not in self.exits:
            self.changed.clear()
            await self.changed.wait()
        return self.exits[container_id]

    def raw_log(self, container_id: str) -> str:
        pod, name, count = container_id.rsplit("-", 2)
        return (self.pod_directory(pod) / name / f"{count}.log").read_text()

    def log(self, container_id: str) -> str:
        """What it said; a last line without an end is given one."""
        lines = [line.split(" ", 3) for line in self.raw_log(container_id).splitlines()]
        text = "".join(text + ("\n" if tag == "F" else "") for _, _, tag, text in lines)
        return text if text.endswith("\n") or not text else text + "\n"

    async def line(self, container_id: str, wanted: str) -> None:
        """Wait until a running container has printed something."""
        await until(lambda: wanted in self.raw_log(container_id))

    async def run(self, argv: list[str], **extra: Any) -> tuple[Exit, str]:
        container_id = await self.start(argv, **extra)
        return await self.exit(container_id), self.log(container_id)

    async def sh(self, script: str, **extra: Any) -> tuple[Exit, str]:
        return await self.run(["/bin/sh", "-c", script], **extra)

    async def python(self, script: str, **extra: Any) -> str:
        shown = [path for path in PYTHON if os.access(path, os.R_OK)]  # none of them in the tier of a user who has no such right
        return await self.start([sys.executable, "-I", "-S", "-u", "-c", script], read_only_paths=shown, **extra)


@asynccontextmanager
async def world(runtime: Runtime, directory: Path) -> AsyncIterator[World]:
    async with asyncio.timeout(30):
        await runtime.start()
        try:
            yield World(runtime, directory)
        finally:
            await runtime.close()


def processes(token: str) -> list[int]:
    """Process ids on the host whose command line holds `token`; the dead do not count."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                if token.encode() in (entry / "cmdline").read_bytes():
                    found.append(int(entry.name))
            except OSError:
                pass
    return found


def pid_of(pidfd: int) -> int:
    lines = Path(f"/proc/self/fdinfo/{pidfd}").read_text().splitlines()
    return int(next(line.split()[1] for line in lines if line.startswith("Pid:")))


async def gone(token: str) -> None:
    await until(lambda: not processes(token))


async def until(condition: Callable[[], bool]) -> None:
    """For what the kernel or another process brings about and tells nobody."""
    for _ in itertools.count():
        if condition():
            return
        await CLOCK.sleep(0.002)


class RuntimeContract:
    """Inherit it and give `make`."""

    def make(self) -> Runtime:
        raise NotImplementedError

    def drive(self, directory: Path, story: Callable[[World], Any]) -> None:
        async def main() -> None:
            async with world(self.make(), directory) as w:
                await story(w)

        asyncio.run(main())

    def test_output_becomes_log_lines_and_the_code_is_told(self, tmp_path: Path) -> None:
        async def story(w: World) -> None:
            await w.pod()
            end = await w.start(["/bin/sh", "-c", "echo one; echo two >&2; printf three; exit 7"])
            assert (await w.exit(end))[:3] == (end, 7, 0)
            lines = [line.split(" ", 1)[1] for line in w.raw_log(end).splitlines()]
            assert sorted(lines) == ["stderr F two", "stdout F one", "stdout P three"]

        self.drive(tmp_path, story)

    def test_the_environment_is_the_given_one(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("OF_THE_HOST", "1")

        async def story(w: World) -> None:
            await w.pod()
            _, text = await w.run(["/usr/bin/env"], env={"GREETING": "hello you", "PATH": "/usr/bin:/bin", "HOME": "/tmp"})
            found = dict(line.split("=", 1) for line in text.splitlines())
            assert found["GREETING"] == "hello you"
            assert found["PATH"] == "/usr/bin:/bin"
            assert found["HOME"] == "/tmp"
            assert found["HOSTNAME"] == "a"
            assert "OF_THE_HOST" not in found

        self.drive(tmp_path, story)

    def test_signals_reach_the_program(self, tmp_path: Path) -> None:
        async def story(w: World) -> None:
            await w.pod()
            polite = await w.start(["/bin/sh", "-c", "trap 'echo bye; exit 3' TERM; echo up; while :; do sleep 0.01; done"], name="polite")
            plain = await w.start(["/bin/sleep", "1000"], name="plain")
            await w.line(polite, "up")
            await w.runtime.signal(polite, signal.SIGTERM)
            await w.runtime.signal(plain, signal.SIGTERM)
            assert (await w.exit(polite))[1:3] == (3, 0)
            assert (await w.exit(plain))[1:3] == (143, signal.SIGTERM)
            await w.runtime.signal(plain, signal.SIGTERM)  # ended: nothing happens

        self.drive(tmp_path, story)

    @pytest.mark.parametrize("how", ["killed", "by itself"])
    def test_the_end_of_a_container_is_the_end_of_its_children(self, tmp_path: Path, how: str) -> None:
        async def story(w: World) -> None:
            token = f"1000.{os.getpid()}"
            await w.pod()
            tail = "wait" if how == "killed" else "exit 0"
            end = await w.start(["/bin/sh", "-c", f"sleep {token} & echo up; {tail}"])
            if how == "killed":
                await w.line(end, "up")
                await w.runtime.signal(end, signal.SIGKILL)
            assert (await w.exit(end)).code == (137 if how == "killed" else 0)
            await gone(f"sleep\0{token}")

        self.drive(tmp_path, story)

    def test_what_cannot_be_executed_says_so(self, tmp_path: Path) -> None:
        plain, script, empty = tmp_path / "plain", tmp_path / "script", tmp_path / "empty"
        plain.write_text("x")
        script.write_text("#!/no/such/interpreter\n")
        script.chmod(0o755)
        empty.write_bytes(b"\0\1\2\3")
        empty.chmod(0o755)
        mounts = [Mount(source=str(p), target=f"/place/{p.name}") for p in (plain, script, empty)]
        cases = [
            (["no-such-program"], 127, "not found in $PATH"),
            (["/no/such/program"], 127, "no such file"),
            (["/place/plain"], 126, "ermission denied"),
            (["/place/empty"], 126, "xec format error"),
            (["/place/script"], 127, ""),
            ([], 127, "no command"),
        ]

        async def story(w: World) -> None:
            await w.pod()
            for argv, want_code, want_text in cases:
                with pytest.raises(ContainerError) as caught:
                    await w.start(argv, mounts=mounts)
                assert (caught.value.reason, caught.value.exit_code) == ("StartError", want_code), argv
                assert want_text in caught.value.message
            _, text = await w.sh("echo still fine")
            assert text == "still fine\n"
            assert len(w.exits) == 1, "a container that never ran has no exit"

        self.drive(tmp_path, story)

    def test_a_missing_mount_source_is_named(self, tmp_path: Path) -> None:
        async def story(w: World) -> None:
            await w.pod()
            with pytest.raises(ContainerError, match="/no/such/source") as caught:
                await w.start(["/bin/true"], mounts=[Mount(source="/no/such/source", target="/data")])
            assert caught.value.reason == "CreateContainerError"

        self.drive(tmp_path, story)

    def test_without_a_sandbox_there_is_no_container(self, tmp_path: Path) -> None:
        async def story(w: World) -> None:
            with pytest.raises(ContainerError) as caught:
                await w.start(["/bin/true"])
            assert caught.value.reason == "SandboxGone"

        self.drive(tmp_path, story)

    def test_all_output_is_in_the_log_when_the_exit_is_told(self, tmp_path: Path) -> None:
        async def story(w: World) -> None:
            await w.pod()
            _, text = await w.run(["/usr/bin/seq", "1", "100000"])
            assert text.splitlines() == [str(n) for n in range(1, 100_001)]

        self.drive(tmp_path, story)

    def test_long_commands_and_environments_arrive(self, tmp_path: Path) -> None:
        async def story(w: World) -> None:
            await w.pod()
            big = "x" * 100_000
            _, text = await w.sh("echo ${#A} ${#B} ${#C} ${#1}; : " + big, env={"A": big, "B": big, "C": big})
            assert text == "100000 100000 100000 0\n"

        self.drive(tmp_path, story)

    def test_volumes_are_shared_between_the_containers_of_a_pod(self, tmp_path: Path) -> None:
        volume = tmp_path / "volume"
        volume.mkdir()
        mounts = [Mount(source=str(volume), target="/data/deep")]

        async def story(w: World) -> None:
            await w.pod()
            await w.sh("echo hello > /data/deep/greeting", mounts=mounts, name="writer")
            _, text = await w.sh('cat "$PLACE/greeting"', mounts=mounts, name="reader", env={"PLACE": "/data/deep"})
            assert text == "hello\n"
            assert (volume / "greeting").read_text() == "hello\n"

        self.drive(tmp_path, story)

    def test_sub_paths_are_made_and_never_lead_out_of_their_volume(self, tmp_path: Path) -> None:
        volume, secret = tmp_path / "volume", tmp_path / "secret"
        (volume / "..1").mkdir(parents=True)
        (volume / "..1/key").write_text("value")
        (volume / "..data").symlink_to("..1")
        (volume / "key").symlink_to("..data/key")
        secret.mkdir()
        (volume / "out").symlink_to("../secret")

        def shown(sub_path: str, **more: Any) -> dict[str, Any]:
            mount = Mount(source=str(volume), target="/shown/here", sub_path=sub_path, name="v", **more)
            return {"mounts": [mount], "env": {"PLACE": "/shown/here"}}

        async def story(w: World) -> None:
            await w.pod()
            await w.sh('echo new > "$PLACE/file"', **shown("made/deep"))
            assert (volume / "made/deep/file").read_text() == "new\n"
            _, text = await w.sh('cat "$PLACE"', **shown("key", read_only=True))
            assert text.rstrip() == "value"
            for escape in ("out", "out/further"):
                with pytest.raises(ContainerError) as raised:
                    await w.sh("true", **shown(escape))
                assert raised.value.reason == "CreateContainerConfigError"
                assert raised.value.message.endswith('for volumeMount "v" of container "main"')
            assert not list(secret.iterdir())

        self.drive(tmp_path, story)

    def test_the_private_directory_is_fresh_at_every_start(self, tmp_path: Path) -> None:
        async def story(w: World) -> None:
            await w.pod()
            for _ in range(2):
                _, text = await w.sh(
                    'test "$(pwd -P)" = "$(cd "$HOME" && pwd -P)" && ls && echo x > file && mkdir -m 0 closed && echo written'
                )
                assert text == "written\n"

        self.drive(tmp_path, story)

    def test_a_program_beside_a_container_is_killed_when_nobody_waits_for_it(self, tmp_path: Path) -> None:
        async def story(w: World) -> None:
            token = f"3000.{os.getpid()}"
            await w.pod()
            main = await w.start(["/bin/sleep", "1000"])
            found = await commands.run(w.runtime, main, ["/bin/sh", "-c", "echo out; echo err >&2; exit 3"])
            assert found == commands.Outcome(3, "out\nerr\n")
            with pytest.raises(TimeoutError):
                await commands.run(w.runtime, main, ["/bin/sleep", token], 0.2)
            await gone(f"sleep\0{token}")
            assert not w.exits, "the container goes on"
            with pytest.raises(ContainerError):
                await commands.run(w.runtime, main, ["/no/such/program"])
            noisy = await commands.run(w.runtime, main, ["/usr/bin/seq", "1", "100000"])
            assert (noisy.code, len(noisy.output)) == (0, commands.OUTPUT_BYTES)

        self.drive(tmp_path, story)

    def test_removing_a_sandbox_kills_and_tells(self, tmp_path: Path) -> None:
        async def story(w: World) -> None:
            token = f"2000.{os.getpid()}"
            address = await w.pod()
            assert await w.pod() == address, "the same pod keeps its address"
            end = await w.start(["/bin/sh", "-c", f"trap '' TERM; sleep {token}"])
            await w.runtime.remove_sandbox("uid-a")
            assert (await w.exit(end))[1:3] == (137, 9)
            await w.runtime.remove_sandbox("uid-a")
            await gone(f"sleep\0{token}")
            assert w.pod_directory("a").is_dir(), "the directory is the agent's"
            assert not (w.pod_directory("a") / "sandbox").exists(), "what is in it of ours is gone"

        self.drive(tmp_path, story)

    def test_many_containers_at_once(self, tmp_path: Path) -> None:
        async def story(w: World) -> None:
            await asyncio.gather(*(w.pod(f"p{n}") for n in range(4)))
            found = await asyncio.gather(*(w.sh(f"echo {n}", pod=f"p{n % 4}", name=f"c{n}") for n in range(12)))
            assert [text for _, text in found] == [f"{n}\n" for n in range(12)]

        self.drive(tmp_path, story)

    def test_a_listening_socket_is_ready_to_accept(self, tmp_path: Path) -> None:
        async def story(w: World) -> None:
            for datagram in (False, True):
                with await w.runtime.listen("127.0.0.1", 0, datagram=datagram) as sock:
                    assert sock.getsockname()[1] > 0
                    assert not sock.getblocking()

        self.drive(tmp_path, story)

    def test_the_node_reaches_pods(self, tmp_path: Path) -> None:
        async def story(w: World) -> None:
            address = await w.pod()
            serve = f"import socket; s = socket.create_server(({address!r}, 0)); print(s.getsockname()[1]); s.accept()[0].sendall(b'hi')"
            server = await w.python(serve)
            await w.line(server, "\n")
            loop = asyncio.get_running_loop()
            with await w.runtime.open_socket() as sock:
                await loop.sock_connect(sock, (address, int(w.log(server))))
                assert await loop.sock_recv(sock, 10) == b"hi"

        self.drive(tmp_path, story)

    def test_nothing_stays_behind(self, tmp_path: Path) -> None:
        async def story(w: World) -> None:
            await w.pod()
            await w.start(["/bin/sleep", "1000"])

        self.drive(tmp_path, story)  # whatever is opened once and for all is open now
        before = open_things()
        self.drive(tmp_path / "again", story)
        assert open_things() == before
        assert not list(tmp_path.glob("**/sandbox"))


def open_things() -> tuple[int, int, set[int]]:
    """Descriptors, mounts and children of this process."""
    fds = [fd for fd in os.listdir("/proc/self/fd") if not _is_gone(fd)]
    children = Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
    return len(fds), len(Path("/proc/self/mountinfo").read_text().splitlines()), set(map(int, children))


def _is_gone(fd: str) -> bool:
    try:
        return not stat.S_IFMT(os.fstat(int(fd)).st_mode)
    except OSError:
        return True
