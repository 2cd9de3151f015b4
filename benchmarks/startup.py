"""How long until the platform is ready, until a pod's user code prints, and what it weighs: beside kube-apiserver with etcd.

    python -m benchmarks.startup [--rounds 7]

Each round starts `lightship up` on an empty directory, waits until it returns (API ready and node Ready), creates a pod and waits for its
first log line, reads the memory of all its processes, and ends it. Where `oracle/build` has made kube-apiserver and etcd,
each round also starts those two to `/readyz` (they run no node and no pod), so that both are measured on the same machine in turn.
"""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import kubernetes

from benchmarks.real_kubernetes import real_api_server
from benchmarks.report import Series, machine, table
from benchmarks.tiers import HERE, Tier

LIGHTSHIP = [sys.executable, "-m", "lightship"]
# As on a user's machine: an installed package has its bytecode, whatever this shell says.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)


def wait_for(condition: Callable[[], Any], seconds: float = 30) -> Any:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        found = condition()
        if found:
            return found
        time.sleep(0.002)
    raise TimeoutError(condition.__name__)


@contextmanager
def platform(tier: Tier = HERE, *flags: str) -> Iterator[tuple[dict[str, Any], float]]:
    """A fresh platform; yields its `status` fields and when it was asked for."""
    directory = tempfile.mkdtemp(prefix="lightship-bench-")
    if tier.user is not None:
        os.chown(directory, tier.user, tier.user)
    begun = time.monotonic()
    said = tier.run([tier.python, "-m", "lightship", "up", "--data-dir", directory, "-o", "json", *flags])
    try:
        yield json.loads(said), begun
    finally:
        tier.run([tier.python, "-m", "lightship", "down", "--data-dir", directory])
        shutil.rmtree(directory, ignore_errors=True)


def tree(pid: int) -> list[int]:
    """A process and all its descendants."""
    parents: dict[int, list[int]] = {}
    for entry in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = entry.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        parents.setdefault(int(fields[1]), []).append(int(entry.parent.name))
    found, queue = [], [pid]
    while queue:
        found.append(queue.pop())
        queue += parents.get(found[-1], [])
    return found


def whole(pid: int) -> list[int]:
    """All processes of the platform that runs as `pid`: also those that own its pod network, which it only holds by descriptors."""
    held = [line.split()[1] for info in Path(f"/proc/{pid}/fdinfo").iterdir() for line in _lines(info) if line.startswith("Pid:")]
    return list(dict.fromkeys([*tree(pid), *(found for owner in map(int, held) if owner > 0 for found in tree(owner))]))


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text().splitlines()
    except OSError:
        return []


def helpers() -> set[int]:
    """Processes that own a pod network: they are nobody's children, so `tree` does not find them."""
    found = set()
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if b"launcher.main" in entry.read_bytes():
                found.add(int(entry.parent.name))
        except OSError:
            continue
    return found


def memory(pids: list[int], field: str = "Rss") -> float:
    """MB of all processes: `Rss` as `ps` shows it, `Pss` counts shared pages once."""
    total = 0
    for pid in pids:
        try:
            text = Path(f"/proc/{pid}/smaps_rollup").read_text()
        except OSError:
            continue
        total += next(int(line.split()[1]) for line in text.splitlines() if line.startswith(field + ":"))
    return total / 1024


def first_line(core: Any, shell: bool) -> None:
    """Create a pod and wait until its user code has printed."""
    command = ["sh", "-c", "echo hello"] if shell else ["python", "-c", "print('hello')"]
    container = {"name": "c", "image": "python:3.11", "command": command}
    pod = {"metadata": {"name": "first"}, "spec": {"restartPolicy": "Never", "containers": [container]}}
    wait_for(lambda: _try(lambda: core.read_namespaced_service_account("default", "default")))
    core.create_namespaced_pod("default", pod)
    wait_for(lambda: _try(lambda: core.read_namespaced_pod_log("first", "default")))


def _try(call: Callable[[], Any]) -> Any:
    try:
        return call()
    except kubernetes.client.ApiException:
        return None


def measure(rounds: int) -> list[Series]:
    ready, printed = Series("lightship up to ready, s"), Series("lightship up to a pod's first line, s")
    rss, pss = Series("lightship idle RSS, MB"), Series("lightship idle PSS, MB")
    peer_ready, peer_rss = Series("kube-apiserver + etcd to /readyz, s"), Series("kube-apiserver + etcd just started RSS, MB")
    with platform():
        pass  # the first start of a fresh checkout compiles what it imports
    for _ in range(rounds):
        with platform() as (status, begun):
            ready.add(time.monotonic() - begun)
            client = kubernetes.config.new_client_from_config(status["kubeconfig"])
            asked = time.monotonic()
            first_line(kubernetes.client.CoreV1Api(client), shell=False)
            printed.add(ready.values[-1] + time.monotonic() - asked)
        others = helpers()
        with platform() as (status, _):
            time.sleep(3)
            whole = [*tree(status["pid"]), *(helpers() - others)]
            rss.add(memory(whole))
            pss.add(memory(whole, "Pss"))
        begun = time.monotonic()
        with real_api_server() as real:
            if real is not None:
                peer_ready.add(time.monotonic() - begun)
                peer_rss.add(sum(memory(tree(pid)) for pid in real.pids))
    return [s for s in (ready, printed, peer_ready, rss, pss, peer_rss) if s.values]


def help_cpu(rounds: int) -> Series:
    """CPU seconds of `lightship --help`, whole process."""
    series = Series("lightship --help, CPU s")
    for _ in range(rounds):
        before = os.times()
        subprocess.run([*LIGHTSHIP, "--help"], stdout=subprocess.DEVNULL, check=True)
        after = os.times()
        series.add(after.children_user + after.children_system - before.children_user - before.children_system)
    return series


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=7)
    args = parser.parse_args()
    series = [*measure(args.rounds), help_cpu(args.rounds)]
    print(machine())
    print(table(series))
    named = {s.name: statistics.median(s.values) for s in series}
    peer = named.get("kube-apiserver + etcd to /readyz, s")
    if peer:
        print(f"\nready: {named['lightship up to ready, s'] / peer:.2f} of the peer's time")


if __name__ == "__main__":
    main()
