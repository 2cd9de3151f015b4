"""Terminals, pipes, attaching, programs beside containers: the contract of streams in every tier."""

import os
import shutil
import subprocess
import sys
import tempfile

import pytest

from lightship.aio.clock import SystemClock
from lightship.node.runtimes.process import ProcessRuntime
from lightship.node.runtimes.sandbox import SandboxRuntime

from .streams_contract import StreamsContract
from .test_sandbox import abilities


@pytest.mark.slow
class TestStreamsOfProcesses(StreamsContract):
    def make(self) -> ProcessRuntime:
        return ProcessRuntime(clock=SystemClock())


@pytest.mark.slow
class TestStreamsOfSandboxes(StreamsContract):
    @pytest.fixture(autouse=True)
    def _needs_namespaces(self) -> None:
        if not abilities().sandbox:
            pytest.skip(abilities().reason)

    def make(self) -> SandboxRuntime:
        return SandboxRuntime(clock=SystemClock())


BECOME = ["setpriv", "--reuid", "1001", "--regid", "1001", "--clear-groups", "--inh-caps=-all"]


def _interpreter(env: dict[str, str]) -> str:
    """One that another user can start, and start again by its name; empty when there is none."""
    again = "import subprocess, sys; subprocess.run([sys.executable, '-c', 'import msgspec, pytest'], check=True)"
    for found in (sys.executable, "/usr/bin/python3"):
        if subprocess.run([*BECOME, found, "-c", again], env=env, capture_output=True, check=False).returncode == 0:
            return found
    return ""


@pytest.mark.slow
def test_the_same_holds_without_root() -> None:
    if os.geteuid() != 0 or shutil.which("setpriv") is None:
        pytest.skip("needs root, to become somebody else")
    with tempfile.TemporaryDirectory(dir="/tmp") as room:
        os.chown(room, 1001, 1001)
        env = {"PATH": os.environ["PATH"], "HOME": room, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
        python = _interpreter(env)
        if not python:
            pytest.skip("no interpreter that another user may start")
        command = [*BECOME, python, "-m", "pytest", "-q", "-p", "no:cacheprovider", f"--basetemp={room}/t", "-k", "Sandboxes", __file__]
        done = subprocess.run(command, capture_output=True, text=True, env=env, check=False)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-1000:]
    assert "skipped" not in done.stdout.splitlines()[-1]
