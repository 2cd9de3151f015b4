"""Host mode: the runtime contract, and what is special where pods are ordinary processes."""

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from lightship.aio.clock import SystemClock
from lightship.node.runtimes import farm
from lightship.node.runtimes.process import ROOT_VARIABLE, WAY_IN, ProcessRuntime
from lightship.node.runtimes.runtime import ContainerError, Mount

from .contract import RuntimeContract, World, gone, processes

REAL = os.path.realpath("/usr/bin")


class TestProcessRuntime(RuntimeContract):
    def make(self) -> ProcessRuntime:
        return ProcessRuntime(clock=SystemClock())

    @pytest.mark.skipif(sys.platform != "linux", reason="only Linux answers at all of 127/8")
    def test_each_pod_has_an_address_that_works(self, tmp_path: Path) -> None:
        async def story(w: World) -> None:
            first, second = await w.pod("a"), await w.pod("b")
            assert first != second
            serve = "import socket,sys; s=socket.create_server((sys.argv[1],0)); print(s.getsockname()[0])"
            _, text = await w.run([sys.executable, "-I", "-S", "-c", serve, first])
            assert text == first + "\n"

        self.drive(tmp_path, story)

    def test_a_node_of_an_mpi_job_is_refused(self, tmp_path: Path) -> None:
        async def story(w: World) -> None:
            await w.pod()
            sshd = Mount(source="/bin/sh", target=WAY_IN, of_image=True)
            with pytest.raises(ContainerError, match="nodes of MPI jobs need a network each") as refused:
                await w.start([WAY_IN, "-De"], mounts=[sshd])
            assert refused.value.reason == "StartError", "which ends the job, in these words"
            assert (await w.run(["/bin/sh", "-c", "echo alone"], mounts=[sshd]))[1] == "alone\n"

        self.drive(tmp_path, story)

    def test_an_image_with_files_of_its_own_is_refused(self, tmp_path: Path) -> None:
        async def story(w: World) -> None:
            await w.pod()
            with pytest.raises(ContainerError, match="host mode shows no image with files of its own"):
                await w.sh("true", root=str(tmp_path))

        self.drive(tmp_path, story)

    def test_nothing_is_written_outside_of_the_pod(self, tmp_path: Path) -> None:
        volume = tmp_path / "volume"
        volume.mkdir()

        async def story(w: World) -> None:
            await w.pod()
            mounts = [Mount(source=str(volume), target="/lightship-test-data"), Mount(target="/lightship-test-memory")]
            _, text = await w.sh(
                f'ls ${ROOT_VARIABLE}; touch "$A" "$B/x"', mounts=mounts, env={"A": "/lightship-test-data/y", "B": "/lightship-test-memory"}
            )
            assert text.split() == ["lightship-test-data", "lightship-test-memory"]

        self.drive(tmp_path, story)
        assert [p.name for p in volume.iterdir()] == ["y"]
        assert not Path("/lightship-test-data").exists()

    def test_a_working_directory_that_the_machine_lacks_is_the_containers_own(self, tmp_path: Path) -> None:
        """As the one of an image, which in a sandbox is made: also words that spell it out lead there."""
        volume = tmp_path / "volume"
        volume.mkdir()

        async def story(w: World) -> None:
            await w.pod()
            home = "/lightship-test-home/user"
            _, text = await w.sh('touch made; pwd -P; ls "$HOME"', cwd=home, env={"HOME": home})
            where, *listed = text.split()
            assert (where.endswith(f"/root{home}"), listed) == (True, ["made"])
            mounts = [Mount(source=str(volume), target="/lightship-test-data")]
            _, text = await w.sh("touch made; pwd -P", cwd="/lightship-test-data/run/1", mounts=mounts)
            assert text.split() == [f"{volume}/run/1"]
            _, text = await w.sh("pwd -P", cwd="/usr/bin")
            assert text.split() == [REAL]

        self.drive(tmp_path, story)
        assert (volume / "run/1/made").exists()
        assert not Path("/lightship-test-home").exists()

    @pytest.mark.slow
    def test_pods_end_with_the_node_even_if_that_is_killed(self, tmp_path: Path) -> None:
        token = f"3000.{os.getpid()}"
        with subprocess.Popen(
            [sys.executable, "-m", "tests.node.victim", "process", str(tmp_path), token], stdout=subprocess.PIPE
        ) as victim:
            assert victim.stdout is not None
            assert victim.stdout.readline() == b"up 0\n"
            assert processes(f"sleep\0{token}")
            victim.send_signal(signal.SIGKILL)
        asyncio.run(asyncio.wait_for(gone(f"sleep\0{token}"), 10))


@pytest.mark.parametrize(
    ("text", "want"),
    [
        ("/data", "F/data"),
        ("/data/", "F/data/"),
        ("--in=/data/x.csv:/other", "--in=F/data/x.csv:/other"),
        ("/database", "/database"),
        ("/my/data", "/my/data"),
        ("open('/data/deep/y')", "open('F/data/deep/y')"),
        ("/data.csv", "/data.csv"),
        ("http://host/data", "http://host/data"),
        ("", ""),
    ],
)
def test_paths_are_led_into_the_farm(text: str, want: str) -> None:
    mounts = [Mount(source="/v/1", target="/data"), Mount(source="/v/2", target="/data/deep/")]
    assert farm.rewrite(text, Path("/farm"), mounts) == want.replace("F", "/farm")


def test_a_farm_never_plants_inside_a_volume(tmp_path: Path) -> None:
    volume, other = tmp_path / "volume", tmp_path / "other"
    volume.mkdir()
    other.mkdir()
    mounts = [Mount(source=str(other), target="/data/inner"), Mount(source=str(volume), target="/data")]
    with pytest.raises(FileNotFoundError, match="inside another volume"):
        farm.plant(tmp_path / "farm", mounts)
    assert not list(volume.iterdir())
