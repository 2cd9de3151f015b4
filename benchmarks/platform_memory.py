"""What a whole platform weighs, `lightship up` with controllers, scheduler and node: idle, with pods, and started again on its data.

    python -m benchmarks.platform_memory [--pods 1000,15000]

Pods that no scheduler takes, so that the node has nothing to do. Megabytes are RSS of the platform's process; what its helpers for the pod
network take is not in it (see `benchmarks.startup`). CPU is the process's, in seconds: of the start, and of the creates.
"""

import argparse
import json
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

import yaml

from benchmarks.comparison import fill
from benchmarks.contenders import Contender
from benchmarks.report import machine
from benchmarks.startup import LIGHTSHIP

REST = 3.0
"""Seconds that a platform is left alone before it is weighed."""


def start(directory: str) -> Contender:
    """`lightship up`, as a server to fill."""
    done = subprocess.run([*LIGHTSHIP, "up", "--data-dir", directory, "-o", "json"], capture_output=True, text=True, check=True)
    status: dict[str, Any] = json.loads(done.stdout)
    token = yaml.safe_load(Path(status["kubeconfig"]).read_text())["users"][0]["user"]["token"]
    return Contender("lightship up", status["api"], token, [status["pid"]], user=token)


def stop(directory: str) -> None:
    subprocess.run([*LIGHTSHIP, "down", "--data-dir", directory], capture_output=True, check=True)


def show(what: str, platform: Contender, cpu: float) -> None:
    time.sleep(REST)
    print(f"| {what} | {platform.rss():.0f} | {cpu:.1f} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--pods", default="1000,15000", help="how many, in rising order")
    counts = [int(count) for count in parser.parse_args().pods.split(",")]
    print(machine())
    print("\n| | MB | CPU s |\n|---|---|---|")
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as directory:
        try:
            platform = start(directory)
            show("just started", platform, platform.cpu())
            for count in counts:
                before = platform.cpu()
                fill(platform, count)
                show(f"{count:,} pods", platform, platform.cpu() - before)
            stop(directory)
            platform = start(directory)
            show("started again on its data", platform, platform.cpu())
        finally:
            stop(directory)


if __name__ == "__main__":
    main()
