"""The engine runtime over an engine that only pretends: the contract of all runtimes, what is asked of an engine, what it may answer."""

import asyncio
import os
import signal
import struct
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from lightship.aio.clock import SystemClock
from lightship.node.images.catalogue import ImageError
from lightship.node.images.environments import Environments
from lightship.node.images.pulled import PulledImages
from lightship.node.runtimes.engine import ends, find, memory, pause, reaching, refusals, wanted
from lightship.node.runtimes.engine.client import Client
from lightship.node.runtimes.engine.runtime import EngineRuntime
from lightship.node.runtimes.runtime import (
    ContainerError,
    ContainerSpec,
    Exit,
    Limits,
    Mount,
    RuntimeUnavailableError,
    SandboxSpec,
    Security,
)

from .contract import RuntimeContract, World, until
from .engine_stand_in import IMAGE, Container, Program, StandIn

SANDBOX = SandboxSpec(id="uid-a", name="a", namespace="default", directory="/nowhere")
CONTAINER = ContainerSpec(
    id="c-1", sandbox_id="uid-a", name="main", argv=["/bin/sh", "-c", "true"], env={"A": "b"}, log_path="/l", image=IMAGE
)


class StandInWorld(World):
    def __init__(self, runtime: EngineRuntime, directory: Path, engine: StandIn) -> None:
        super().__init__(runtime, directory)
        self.engine = engine

    async def start(self, argv: list[str], *, pod: str = "a", name: str = "main", **extra: Any) -> str:
        extra.pop("read_only_paths", None)
        return await super().start(argv, pod=pod, name=name, image=IMAGE, **extra)


def drive(directory: Path, story: Callable[[StandInWorld], Any], engine: StandIn | None = None) -> StandIn:
    engine = engine or StandIn()

    directory.mkdir(exist_ok=True)

    async def main() -> None:
        async with asyncio.timeout(30), engine.listening(directory / "socket") as path:
            runtime = EngineRuntime(path, "docker", clock=SystemClock())
            await runtime.start()
            try:
                await story(StandInWorld(runtime, directory, engine))
            finally:
                await runtime.close()
            assert not engine.containers, "nothing stays behind"

    asyncio.run(main())
    return engine


@pytest.fixture(autouse=True)
def _nothing_of_the_machine_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reaching, "open_services", lambda: "not in this test")


@pytest.mark.slow
class TestEngine(RuntimeContract):
    def drive(self, directory: Path, story: Callable[[Any], Any]) -> None:
        drive(directory, story)

    def test_what_cannot_be_executed_says_so(self, tmp_path: Path) -> None:
        async def story(w: StandInWorld) -> None:
            await w.pod()
            for argv, want_code in ((["no-such-program"], 127), (["/no/such/program"], 127), (["/etc/passwd"], 126), ([], 127)):
                with pytest.raises(ContainerError) as caught:
                    await w.start(argv)
                assert (caught.value.reason, caught.value.exit_code) == ("StartError", want_code), argv
            assert not w.exits

        drive(tmp_path, story)

    def test_the_environment_is_the_given_one(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """A host name is given by the agent."""

        async def story(w: StandInWorld) -> None:
            await w.pod()
            _, text = await w.run(["/usr/bin/env"], env={"GREETING": "hello you"})
            assert "GREETING=hello you" in text.splitlines()

        drive(tmp_path, story)

    test_volumes_are_shared_between_the_containers_of_a_pod = None  # type: ignore[assignment]  # it mounts nothing: test_podman has it
    test_the_private_directory_is_fresh_at_every_start = None  # type: ignore[assignment]  # likewise

    def test_sub_paths_are_made_and_never_lead_out_of_their_volume(self, tmp_path: Path) -> None:
        (tmp_path / "volume").mkdir()
        (tmp_path / "volume/out").symlink_to("..")

        async def story(w: StandInWorld) -> None:
            await w.pod()
            mount = Mount(source=str(tmp_path / "volume"), target="/v", sub_path="made/deep", name="v")
            await w.sh("true", mounts=[mount])
            shown = w.engine.created[-1]["HostConfig"]["Mounts"]
            assert [m["Source"] for m in shown if m["Target"] == "/v"] == [str(tmp_path / "volume/made/deep")]
            with pytest.raises(ContainerError) as raised:
                await w.sh("true", mounts=[Mount(source=str(tmp_path / "volume"), target="/v", sub_path="out", name="v")])
            assert raised.value.reason == "CreateContainerConfigError"

        drive(tmp_path, story)


def test_what_an_engine_is_asked_for() -> None:
    spec = msgspec.structs.replace(
        CONTAINER,
        security=Security(uid=5, gid=6, groups=[7], add_capabilities=["NET_ADMIN"], read_only_root=True, allow_escalation=False),
        limits=Limits(cpu_request=0.5, cpu=0.25, memory=1000, oom_score_adj=-997),
        mounts=[Mount(source="/v", target="/data", read_only=True), Mount(target="/scratch", size=10)],
        cwd="/w",
    )
    asked = wanted.container(spec, SANDBOX, "holder", "owner", "docker")
    assert (asked["Entrypoint"], asked["Cmd"], asked["Env"], asked["User"]) == (["/bin/sh"], ["-c", "true"], ["A=b"], "5:6")
    assert asked["Labels"][wanted.OWNER] == "owner"
    assert "Hostname" not in asked
    host = asked["HostConfig"]
    assert (host["NetworkMode"], host["IpcMode"], host["PidMode"]) == ("container:holder", "container:holder", "")
    assert (host["CpuShares"], host["CpuQuota"], host["Memory"], host["MemorySwap"]) == (512, 25_000, 1000, 1000)
    assert (host["OomScoreAdj"], host["SecurityOpt"], host["GroupAdd"]) == (0, ["no-new-privileges"], ["7"])
    assert [m["Target"] for m in host["Mounts"]] == ["/data", "/scratch"]
    assert host["Mounts"][1] == {"Type": "tmpfs", "Target": "/scratch", "TmpfsOptions": {"SizeBytes": 10}}
    assert wanted.container(spec, SANDBOX, "holder", "owner", "podman")["Hostname"] == "a"


@pytest.mark.parametrize(
    ("extra", "want"),
    [
        ({"share_processes": True}, "container:holder"),
        ({"host_processes": True}, "host"),
        ({}, ""),
    ],
)
def test_whose_processes_a_container_sees(extra: dict[str, Any], want: str) -> None:
    sandbox = msgspec.structs.replace(SANDBOX, **extra)
    assert wanted.container(CONTAINER, sandbox, "holder", "owner", "docker")["HostConfig"]["PidMode"] == want
    looking = msgspec.structs.replace(CONTAINER, target="other")
    assert wanted.container(looking, SANDBOX, "holder", "owner", "docker")["HostConfig"]["PidMode"] == "container:other"


def test_seccomp_profiles_are_read_for_docker_and_named_to_podman(tmp_path: Path) -> None:
    profile = tmp_path / "profile.json"
    profile.write_text("{}")
    spec = msgspec.structs.replace(CONTAINER, security=Security(seccomp=str(profile), unmasked_proc=True))
    options = {engine: wanted.container(spec, SANDBOX, "h", "o", engine)["HostConfig"]["SecurityOpt"] for engine in ("docker", "podman")}
    assert options == {"docker": ["systempaths=unconfined", "seccomp={}"], "podman": ["unmask=ALL", f"seccomp={profile}"]}


@pytest.mark.parametrize(
    ("message", "want"),
    [
        ('exec: "x": executable file not found in $PATH: unknown', ("StartError", 127)),
        ("crun: executable file `x` not found in $PATH: No such file or directory", ("StartError", 127)),
        ('unable to start container process: exec: "/etc": permission denied', ("StartError", 126)),
        ("exec /x: exec format error", ("StartError", 126)),
        ("invalid mount config for type bind", ("CreateContainerError", 128)),
    ],
)
def test_why_a_container_did_not_start(message: str, want: tuple[str, int]) -> None:
    error = refusals.refused(CONTAINER, message)
    assert (error.reason, error.exit_code) == want


def test_how_a_container_has_ended() -> None:
    state = {"ExitCode": 137, "OOMKilled": False, "FinishedAt": "1970-01-01T00:00:05Z"}
    assert ends.told("c", state, 0, 9.0) == Exit("c", 137, 0, 5.0, "")
    assert ends.told("c", state, signal.SIGKILL, 9.0) == Exit("c", 137, 9, 5.0, "")
    assert ends.told("c", {**state, "OOMKilled": True}, 0, 9.0) == Exit("c", 137, 9, 5.0, "OOMKilled")
    assert ends.told("c", {}, 0, 9.0) == Exit("c", 137, 9, 9.0, "")


def test_who_died_for_memory_when_nobody_counted() -> None:
    state = {"ExitCode": 137, "OOMKilled": False}
    assert ends.out_of_memory(state, None, 0), "a kill that is not ours"
    assert not ends.out_of_memory(state, None, signal.SIGKILL)
    assert not ends.out_of_memory({**state, "ExitCode": 1}, None, 0)
    assert not ends.out_of_memory(state, False, 0), "somebody inside killed it"
    assert ends.out_of_memory({**state, "OOMKilled": True}, False, signal.SIGKILL)


def test_deaths_for_memory_are_counted_by_the_kernel(tmp_path: Path) -> None:
    for text, want in (("oom_kill_disable 0\nunder_oom 0\noom_kill 0\n", False), ("low 0\noom 1\noom_kill 1\n", True)):
        (tmp_path / "file").write_text(text)
        assert memory.killed(tmp_path / "file") == want
    assert memory.killed(None) is None, "it had ended before it was seen"
    assert memory.killed(tmp_path / "none") is None, "its group was removed first"
    assert memory.counter(2**22 + 1) is None


def test_the_image_of_the_pause_container_is_a_program() -> None:
    for machine, want in (("amd64", 62), ("arm64", 183)):
        made = pause.program(machine)
        assert made[:5] == b"\x7fELF\x02"
        assert struct.unpack_from("<HH", made, 16) == (2, want)
        assert len(made) < 256
    with pytest.raises(LookupError):
        pause.archive("s390x")


@pytest.mark.skipif(os.uname().machine != "x86_64", reason="it is a program for another machine")
def test_the_pause_program_waits_and_buries(tmp_path: Path) -> None:
    program = tmp_path / "pause"
    program.write_bytes(pause.program("amd64"))
    program.chmod(0o755)
    with subprocess.Popen([str(program)]) as process:

        def ignored() -> int:
            lines = Path(f"/proc/{process.pid}/status").read_text().splitlines()
            return int(next(line.split()[1] for line in lines if line.startswith("SigIgn")), 16)

        asyncio.run(until(lambda: bool(ignored() & 1 << (signal.SIGCHLD - 1))))
        assert process.poll() is None
        process.kill()


def test_where_an_engine_is_looked_for(tmp_path: Path) -> None:
    (tmp_path / "socket").touch()
    assert find.socket_of("docker", {"DOCKER_HOST": f"unix://{tmp_path}/socket"}) == f"{tmp_path}/socket"
    with pytest.raises(RuntimeUnavailableError, match="no podman is listening at /no/such: start podman system service"):
        find.socket_of("podman", {"DOCKER_HOST": "unix:///no/such"})
    with pytest.raises(RuntimeUnavailableError, match="no unix socket"):
        find.socket_of("docker", {"DOCKER_HOST": "tcp://elsewhere:2375"})
    assert f"{tmp_path}/podman/podman.sock" in find.places("podman", {"XDG_RUNTIME_DIR": str(tmp_path)})


def test_images_are_those_of_the_engine(tmp_path: Path) -> None:
    engine, told = StandIn(), list[str]()
    engine.registry = {"example.com/app:latest": "", "example.com/bad:1": "manifest unknown"}

    async def main() -> None:
        async with engine.listening(tmp_path / "socket") as path:
            client = Client(path)
            await client.negotiate()
            images = PulledImages(tmp_path / "images.json", Environments(tmp_path, SystemClock()), client)
            found = await images.resolve(IMAGE, told.append, policy="Never")
            assert (found.image, found.command, found.user) == ("sha256:" + "1" * 64, ["/bin/sh"], "7:8")
            assert not told, "nothing was pulled"
            assert (await images.resolve("example.com/app", told.append, policy="IfNotPresent")).entrypoint == ["/app"]
            assert told[0] == "by the engine"
            for name, policy, words in (
                ("example.com/bad:1", "Always", "manifest unknown"),
                ("example.com/none:1", "IfNotPresent", "repository does not exist"),
                ("example.com/none:1", "Never", "not present"),
            ):
                with pytest.raises(ImageError, match=words):
                    await images.resolve(name, told.append, policy=policy)

    asyncio.run(main())


@pytest.mark.slow
def test_limits_usage_and_windows(tmp_path: Path) -> None:
    async def story(w: StandInWorld) -> None:
        await w.pod()
        main = await w.start(["/bin/sleep", "1000"], tty=True)
        await w.runtime.update(main, Limits(memory=99))
        with pytest.raises(ContainerError, match="cannot be set"):
            await w.runtime.update(main, Limits(memory=13))
        await w.runtime.update("unknown", Limits())
        used = await w.runtime.usage()
        assert (used[main].working_set, used["uid-a"].cpu) == (4000, 7)
        w.runtime.attach(main).resize(100, 30)
        sizes = next(c.sizes for c in w.engine.containers.values() if c.config.get("Tty"))
        await until(lambda: sizes == ["100x30"])

    assert drive(tmp_path, story).updated[0]["Memory"] == 99


@pytest.mark.slow
def test_an_engine_that_was_away_is_asked_again(tmp_path: Path) -> None:
    async def story(w: StandInWorld) -> None:
        await w.pod()
        main = await w.start(["/bin/sh", "-c", "read x; exit 3"], stdin=True)
        await until(lambda: any("/events" in line for line in w.engine.asked))
        w.engine.hang_up()
        await w.runtime.attach(main).write(b"go\n")
        assert (await w.exit(main)).code == 3

    drive(tmp_path, story)


@pytest.mark.slow
def test_containers_of_a_dead_platform_are_removed(tmp_path: Path) -> None:
    engine = StandIn()
    here = os.stat("/proc/self/ns/pid").st_ino
    for number, owner in ((1, f"{here}-{os.getpid()}-1"), (2, f"{here + 1}-1-1")):
        config = {"Labels": {wanted.OWNER: owner}, "HostConfig": {"NetworkMode": "bridge"}}
        engine.containers[str(number)] = Container(str(number), f"left{number}", config, Program([], {}, tty=False))

    async def story(w: StandInWorld) -> None:
        assert list(w.engine.containers) == ["2"], "of another machine's processes nobody here can tell"
        w.engine.containers.clear()

    drive(tmp_path, story, engine)


@pytest.mark.slow
def test_a_pod_without_its_network_ends(tmp_path: Path) -> None:
    async def story(w: StandInWorld) -> None:
        await w.pod()
        main = await w.start(["/bin/sleep", "1000"])
        holder = next(c for c in w.engine.containers.values() if "_pod_" in c.name)
        assert holder.program.process is not None
        holder.program.process.kill()
        assert (await w.exit(main)).code == 137
        with pytest.raises(ContainerError) as caught:
            await w.start(["/bin/true"])
        assert caught.value.reason == "SandboxGone"
        await w.pod()
        assert (await w.sh("echo again"))[1] == "again\n"

    drive(tmp_path, story)


def test_an_engine_that_is_not_there(tmp_path: Path) -> None:
    async def main() -> None:
        with pytest.raises(RuntimeUnavailableError, match="cannot be asked: No such file or directory"):
            await EngineRuntime(str(tmp_path / "none"), "podman", clock=SystemClock()).start()

    asyncio.run(main())
