"""What a platform was told to ignore, and what its pods are not."""

import subprocess
import sys

import pytest

PROGRAM = """
import os, signal, subprocess
from lightship.main.serving import _ignore_alone
signal.signal(signal.SIGHUP, signal.SIG_IGN)
_ignore_alone()
os.kill(os.getpid(), signal.SIGHUP)
print(subprocess.run(["grep", "SigIgn", "/proc/self/status"], capture_output=True, text=True).stdout)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="asks Linux' /proc")
def test_what_is_ignored_is_ignored_here_and_not_in_children() -> None:
    ran = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True)
    assert ran.stdout.split() == ["SigIgn:", "0000000000000000"]
