"""The same tests as somebody who is not root, with the system's interpreter: the tier that most users have.

Each file is run by another pytest. As root only; who is somebody else already has run them all.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow
BECOME = ("setpriv", "--reuid=1001", "--regid=1001", "--clear-groups", "--")
HERE = Path(__file__).parent


def interpreter(env: dict[str, str]) -> str:
    """One that another user can start, and start again by its name; empty when there is none."""
    again = "import subprocess, sys; subprocess.run([sys.executable, '-c', 'import msgspec, pytest'], check=True)"
    for found in (sys.executable, "/usr/bin/python3"):
        if subprocess.run([*BECOME, found, "-c", again], env=env, capture_output=True, check=False).returncode == 0:
            return found
    return ""


@pytest.mark.parametrize(
    ("file", "chosen"),
    [
        ("test_streams.py", "Sandboxes"),
        ("test_sandbox.py", ""),
        ("test_process.py", ""),
        ("test_end_to_end.py", "not pip"),
        ("test_features.py", ""),
        ("test_network_end_to_end.py", ""),
        ("test_adoption.py", ""),
    ],
)
def test_the_same_holds_without_root(file: str, chosen: str) -> None:
    if os.geteuid() != 0 or shutil.which("setpriv") is None:
        pytest.skip("needs root, to become somebody else")
    with tempfile.TemporaryDirectory(dir="/tmp") as room:
        os.chown(room, 1001, 1001)
        env = {"PATH": os.environ["PATH"], "HOME": room, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
        python = interpreter(env)
        if not python:
            pytest.skip("no interpreter that another user may start")
        command = [*BECOME, python, "-m", "pytest", "-q", "-p", "no:cacheprovider", f"--basetemp={room}/t", str(HERE / file)]
        done = subprocess.run([*command, *(("-k", chosen) if chosen else ())], capture_output=True, text=True, env=env, check=False)
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-1000:]
