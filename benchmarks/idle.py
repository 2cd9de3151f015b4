"""What a platform costs that has nothing to do: without pods, with idle pods, and with pods that are only probed.

    python -m benchmarks.idle [--rounds 3] [--seconds 10] [--pods 1,50,200] [--probed 20]

Without pods `lightship up` stands beside kube-apiserver with etcd, kube-controller-manager and kube-scheduler where `oracle/build` has made
them (they have no node and run no pods); both are looked at during the same seconds. Processor time is that of all threads of all
processes, in percent of one core; memory is PSS, which counts shared pages once. Then pods that sleep, as many as asked for: what the
platform (of two nodes where one does not take so many), its launcher and the first processes of the pods take more than before, by pod;
the pods' own programs do not count. Then pods whose program serves, each probed every second, for each kind of probe (a program that a
probe executes is the pod's own).
"""

import argparse
import os
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import kubernetes

from benchmarks.report import Series, machine, table
from benchmarks.startup import memory, platform, tree, wait_for, whole
from benchmarks.tiers import HERE
from oracle import programs, servers

OURS = (b"launcher.main", b"-m\0lightship\0")
"""In the command lines of the platform, its launcher and the first processes of pods; not of programs, nor of the templates of programs."""
SERVER = ["python", "-m", "http.server", "8080"]
PROBES: dict[str, dict[str, Any]] = {
    "http": {"httpGet": {"path": "/", "port": 8080}},
    "tcp": {"tcpSocket": {"port": 8080}},
    "exec": {"exec": {"command": ["true"]}},
}
MOST = 105
"""Pods that one node takes."""
REST = 3.0
"""Seconds in which what has just been started comes to rest."""


class Cost(NamedTuple):
    """Of some processes, over a while."""

    percent: float
    wakes: float
    megabytes: float


def cost(groups: dict[str, list[int]], seconds: float) -> dict[str, Cost]:
    """What each group of processes takes during the same seconds."""
    before = {name: _used(pids) for name, pids in groups.items()}
    begun = time.monotonic()
    time.sleep(seconds)
    took = time.monotonic() - begun
    found = {}
    for name, pids in groups.items():
        used, wakes = _used(pids)
        found[name] = Cost((used - before[name][0]) / took * 100, (wakes - before[name][1]) / took, memory(pids, "Pss"))
    return found


def _used(pids: list[int]) -> tuple[float, int]:
    """(seconds of processor time, times that a thread went to sleep) so far."""
    used, wakes = 0, 0
    for pid in pids:
        for thread in Path(f"/proc/{pid}/task").glob("*"):
            try:
                used += int((thread / "schedstat").read_text().split()[0])
                lines = (thread / "status").read_text().splitlines()
            except OSError:
                continue  # it has ended
            wakes += next(int(line.split()[1]) for line in lines if line.startswith("voluntary_ctxt_switches"))
    return used / 1e9, wakes


def used(pids: list[int]) -> float:
    """Seconds of processor time so far."""
    return _used(pids)[0]


def ours(pid: int) -> list[int]:
    """The processes of a platform, without those of its pods."""
    return [found for found in whole(pid) if any(word in Path(f"/proc/{found}/cmdline").read_bytes() for word in OURS)]


@contextmanager
def peer() -> Iterator[list[int]]:
    """The processes of a control plane of upstream's programs; none where they are missing."""
    if programs.missing("etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler"):
        yield []
        return
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="kube-idle-", ignore_cleanup_errors=True)))
        real = stack.enter_context(servers.started(servers.REAL, directory))
        manager = programs.controller_manager(real.kubeconfig, directory, port=programs.free_port())
        scheduler = programs.scheduler(real.kubeconfig, directory, port=programs.free_port())
        stack.enter_context(programs.running("kube-controller-manager", manager, directory))
        stack.enter_context(programs.running("kube-scheduler", scheduler, directory))
        yield tree(os.getpid())[1:]


def without_pods(pid: int, rounds: int, seconds: float) -> list[Series]:
    with peer() as pids:
        groups = {"lightship up": ours(pid)} | ({"kube-apiserver, etcd, controllers, scheduler": pids} if pids else {})
        time.sleep(2 * REST)
        found = {name: [Series(f"{name}: {what}") for what in ("CPU, %", "wake-ups per s", "PSS, MB")] for name in groups}
        for _ in range(rounds):
            for name, measured in cost(groups, seconds).items():
                for series, value in zip(found[name], measured, strict=True):
                    series.add(value)
    return [series for group in found.values() for series in group]


class Pods:
    """Pods that run until they are told to go, all of one kind."""

    def __init__(self, core: Any, kind: str, container: dict[str, Any]) -> None:
        self._core = core
        self._kind = kind
        self._container = {"name": "main", **container}
        self._count = 0

    def grow(self, count: int) -> None:
        """Until so many are ready."""
        with ThreadPoolExecutor(8) as threads:
            list(threads.map(self._create, range(self._count, count)))
        self._count = count
        wait_for(lambda: sum(_is_ready(pod) for pod in self._listed()) == count, 300)

    def end(self) -> None:
        self._core.delete_collection_namespaced_pod("default", label_selector=f"kind={self._kind}", grace_period_seconds=0)
        wait_for(lambda: not self._listed(), 120)

    def _create(self, number: int) -> None:
        spec = {"containers": [self._container], "terminationGracePeriodSeconds": 0}
        meta = {"name": f"{self._kind}-{number}", "labels": {"kind": self._kind}}
        self._core.create_namespaced_pod("default", {"metadata": meta, "spec": spec})

    def _listed(self) -> list[Any]:
        time.sleep(0.2)
        found: list[Any] = self._core.list_namespaced_pod("default", label_selector=f"kind={self._kind}").items
        return found


def _is_ready(pod: Any) -> bool:
    return any(condition.type == "Ready" and condition.status == "True" for condition in pod.status.conditions or ())


def with_pods(core: Any, pid: int, counts: list[int], seconds: float) -> list[Series]:
    before = cost({"": ours(pid)}, seconds)[""]
    found = []
    pods = Pods(core, "idle", {"image": "busybox", "command": ["sleep", "1000000"]})
    for count in counts:
        pods.grow(count)
        time.sleep(REST)
        now = cost({"": ours(pid)}, seconds)[""]
        found.append(Series(f"{count} idle pods: PSS by pod, MB", [(now.megabytes - before.megabytes) / count]))
        found.append(Series(f"{count} idle pods: CPU by pod, %", [(now.percent - before.percent) / count]))
    pods.end()
    return found


def probed(core: Any, pid: int, count: int, seconds: float) -> list[Series]:
    """Milliseconds of processor time for a probe, over what the same pods cost without."""
    image = "python:3.11"
    found = []
    for kind, handler in {"none": {}, **PROBES}.items():
        probe = {"livenessProbe": {**handler, "periodSeconds": 1, "failureThreshold": 1000}} if handler else {}
        pods = Pods(core, f"probed-{kind}", {"image": image, "command": SERVER, **probe})
        pods.grow(count)
        time.sleep(REST)
        percent = cost({"": ours(pid)}, seconds)[""].percent
        pods.end()
        if not handler:
            before = percent
        else:
            found.append(Series(f"{kind} probe, ms of CPU", [(percent - before) * 10 / count]))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--pods", default="1,50,200", help="how many, in rising order")
    parser.add_argument("--probed", type=int, default=20, help="how many pods with probes")
    options = parser.parse_args()
    counts = [int(count) for count in options.pods.split(",")]
    with platform() as (status, _):
        series = without_pods(int(status["pid"]), options.rounds, options.seconds)
    with platform(HERE, "--agents", str(1 + max(counts) // MOST)) as (status, _):
        pid = int(status["pid"])
        core = kubernetes.client.CoreV1Api(kubernetes.config.new_client_from_config(status["kubeconfig"]))
        series += with_pods(core, pid, counts, options.seconds)
        series += probed(core, pid, options.probed, options.seconds)
    print(machine(), table(series), sep="\n\n")


if __name__ == "__main__":
    main()
