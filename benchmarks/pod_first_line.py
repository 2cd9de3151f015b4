"""From the creation of a pod to the first line of its program, through the whole platform: forked and executed, one and many at once.

    python -m benchmarks.pod_first_line [--rounds 15] [--many 100] [--torch]

In turn, each round: a pod whose program is forked from a template, the same pod with LIGHTSHIP_WARM=0, bare fork and exec of the same
interpreter, and the same below bubblewrap where that is installed (namespaces and a file tree, but no network, no address, no API). The
programs print the clock as their first act, or after common imports. With `--torch`: the same for `import torch`, and torchrun of a
script of one line, which imports torch in its agent and in its worker. The first pod of each kind is not counted: it makes the template.
"""

import argparse
import asyncio
import contextlib
import os
import shlex
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import kubernetes
import urllib3

from benchmarks.report import Series, machine, table
from benchmarks.startup import platform, wait_for
from lightship.aio.clock import SystemClock
from lightship.node.images.environments import Environments, cache_directory

PLAIN, TORCH = f"python:{sys.version_info.major}.{sys.version_info.minor}", "pytorch/pytorch:2.13.0-cuda13.0-cudnn9-runtime"
NOTHING = "import time; print(time.time(), flush=True)"
COMMON = f"import argparse, asyncio, json, logging, pathlib, subprocess, threading, urllib.request; {NOTHING}"
IMPORT_TORCH = f"import torch; {NOTHING}"
TORCHRUN = ["torchrun", "--standalone", "--nproc-per-node", "1", "/programs/first.py"]
COLD = {"LIGHTSHIP_WARM": "0"}
Command = list[str]


class Pods:
    """Creates pods, and knows from a watch when each was bound and from its log when its program began."""

    def __init__(self, kubeconfig: str) -> None:
        client = kubernetes.config.new_client_from_config(kubeconfig)
        self._core = kubernetes.client.CoreV1Api(client)
        self._core.create_namespaced_config_map("default", {"metadata": {"name": "programs"}, "data": {"first.py": IMPORT_TORCH}})
        self._bound: dict[str, float] = {}
        self._ended: set[str] = set()
        self._count = 0
        threading.Thread(target=self._watch, daemon=True).start()

    def _watch(self) -> None:
        with contextlib.suppress(urllib3.exceptions.HTTPError):  # the platform ends before we do
            self._note()

    def _note(self) -> None:
        for event in kubernetes.watch.Watch().stream(self._core.list_namespaced_pod, "default"):
            pod = event["object"]
            if pod.spec.node_name:
                self._bound.setdefault(pod.metadata.name, time.time())
            if pod.status.phase in ("Succeeded", "Failed"):
                self._ended.add(pod.metadata.name)

    def run(self, image: str, command: Command, env: dict[str, str]) -> tuple[float, float]:
        """Seconds from its creation, and from when a client saw it bound, to its first line."""
        self._count += 1
        name = f"p{self._count}-{threading.get_ident() % 100_000}"
        variables = [{"name": key, "value": value} for key, value in env.items()]
        mounts = [{"name": "programs", "mountPath": "/programs"}] if command == TORCHRUN else []
        volumes = [{"name": "programs", "configMap": {"name": "programs"}}] if mounts else []
        container = {"name": "main", "image": image, "command": command, "env": variables, "volumeMounts": mounts}
        pod = {"metadata": {"name": name}, "spec": {"restartPolicy": "Never", "containers": [container], "volumes": volumes}}
        created = time.time()
        self._core.create_namespaced_pod("default", pod)
        wait_for(lambda: name in self._ended, 300)
        first = float(self._core.read_namespaced_pod_log(name, "default").split()[-1])
        self._core.delete_namespaced_pod(name, "default", grace_period_seconds=0)
        return first - created, first - self._bound[name]


def bare(python: str, command: Command) -> float:
    """Seconds from fork and exec to the first line, of what a pod would run."""
    environment = {"PATH": f"{os.path.dirname(python)}:/usr/bin:/bin", "PYTHONUNBUFFERED": "1", "HOME": "/tmp"}
    with tempfile.NamedTemporaryFile("w", suffix=".py") as script:
        script.write(IMPORT_TORCH)
        script.flush()
        argv = [script.name if word == TORCHRUN[-1] else word for word in command]
        begun = time.time()
        done = subprocess.run(argv, env=environment, capture_output=True, text=True, check=True)
        return float(done.stdout.split()[-1]) - begun


def in_bubblewrap(command: Command) -> Command:
    return [*shlex.split("bwrap --unshare-all --hostname p --ro-bind / / --dev /dev --proc /proc --tmpfs /tmp"), *command]


def one_at_a_time(pods: Pods, image: str, python: str, what: str, command: Command, rounds: int) -> list[Series]:
    own = [python if command[0] == "python" else f"{os.path.dirname(python)}/{command[0]}", *command[1:]]
    ways: dict[str, Callable[[], Any]] = {
        "forked": lambda: pods.run(image, command, {}),
        "executed": lambda: pods.run(image, command, COLD),
        "bare exec": lambda: bare(python, own),
    }
    if shutil.which("bwrap") and command != TORCHRUN:
        ways["bubblewrap"] = lambda: bare(python, in_bubblewrap(own))
    found = {name: Series(f"{what}: {name}, ms") for name in ways} | {"bound": Series(f"{what}: forked, from bound, ms")}
    pods.run(image, command, {})
    pods.run(image, command, {})
    for _ in range(rounds):
        for name, way in ways.items():
            result = way()
            found[name].add(1000 * (result[0] if isinstance(result, tuple) else result))
            if name == "forked":
                found["bound"].add(1000 * result[1])
    return list(found.values())


def many_at_once(pods: Pods, image: str, what: str, command: Command, count: int) -> list[Series]:
    found = []
    for name, env in (("forked", {}), ("executed", COLD)):
        with ThreadPoolExecutor(count) as threads:
            results = list(threads.map(lambda _, env=env: pods.run(image, command, env), range(count)))
        found.append(Series(f"{what}: {count} at once, {name}, ms", [1000 * first for first, _ in results]))
    return found


def quantiles(series: list[Series]) -> str:
    rows = [f"| {s.name} | {s.median:.1f} | {statistics.quantiles(s.values, n=100)[98]:.1f} |" for s in series if len(s.values) > 1]
    return "\n".join(["| figure | p50 | p99 |", "|---|---|---|", *rows])


def interpreter(requirements: list[str]) -> str:
    """The one that pods of such an image run, for the bare runs."""
    environments = Environments(cache_directory(), SystemClock())
    return asyncio.run(environments.ensure(requirements, print)).python


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--many", type=int, default=100)
    parser.add_argument("--torch", action="store_true")
    arguments = parser.parse_args()
    series = []
    with platform() as (status, _):
        pods = Pods(status["kubeconfig"])
        if arguments.torch:
            python = interpreter(["torch==2.13.0", "numpy", "scikit-learn"])
            for what, command in (("import torch", ["python", "-c", IMPORT_TORCH]), ("torchrun", TORCHRUN)):
                series += one_at_a_time(pods, TORCH, python, what, command, arguments.rounds)
        else:
            python = interpreter([])
            for what, text in (("nothing", NOTHING), ("common imports", COMMON)):
                series += one_at_a_time(pods, PLAIN, python, what, ["python", "-c", text], arguments.rounds)
                series += many_at_once(pods, PLAIN, what, ["python", "-c", text], arguments.many)
    print(machine(), table(series), quantiles(series), sep="\n\n")


if __name__ == "__main__":
    main()
