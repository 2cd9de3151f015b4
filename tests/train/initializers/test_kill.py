"""kill -9 in the middle, and start again: what came is not fetched a second time. Processes are real, the server holds bodies half way."""

import random
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from lightship.train.runtime.initializers.partial import PART
from tests.train.initializers.servers import Web
from tests.train.initializers.stage import contents, finish, start, variables

pytestmark = pytest.mark.slow
BIG = random.Random(3).randbytes(3 * PART)


@pytest.mark.parametrize("shared", [False, True])
def test_killed_and_started_again(tmp_path: Path, shared: bool) -> None:
    more = {"LIGHTSHIP_DOWNLOAD_WORKERS": "2"}
    if shared:
        (tmp_path / "d").mkdir()
        more["LIGHTSHIP_DOWNLOADS"] = str(tmp_path / "d")
    with Web({"big.bin": BIG}) as web:
        web.faults.gates = [None, None, threading.Event(), threading.Event()]  # the listing and a part; then two that never end
        process = start(tmp_path / "w", f"{web.url}/big.bin", **more)
        for _ in range(2):
            assert web.reached.acquire(timeout=60)
        process.kill()
        process.communicate(timeout=60)
        before = len(web.asked)
        web.faults.gates = []
        # With what is shared, another pod, in another workspace, goes on where this one was killed.
        code, output = finish(tmp_path / ("v" if shared else "w"), f"{web.url}/big.bin", **more)
        assert code == 0, output
        assert "big.bin: going on after 8.0 MiB of 24.0 MiB" in output
        again = [asked.range for asked in web.asked[before:]]
        assert len(set(again[1:])) == len(again[1:]) == 2, "the listing, and the two parts that were held"
    assert contents(tmp_path / ("v" if shared else "w") / "dataset") == {"big.bin": BIG}


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="only Linux tells a program how much it had at most")
def test_memory_stays_bounded(tmp_path: Path) -> None:
    """Of 256 MiB no more than a chunk for each worker is in memory, beside Python itself."""
    with (tmp_path / "big.bin").open("wb") as file:
        file.truncate(256 << 20)
    program = "import os; from lightship.train.runtime.initializers import program; program.main('dataset', os.environ)"
    command = [sys.executable, "-c", f"{program}; print(open('/proc/self/status').read())"]
    environment = variables(tmp_path / "w", f"file://{tmp_path}/big.bin", {})
    output = subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout
    most = int(output.partition("VmHWM:")[2].split()[0])
    assert (tmp_path / "w" / "dataset" / "big.bin").stat().st_size == 256 << 20
    assert most < 64 << 10, f"{most} KiB"
