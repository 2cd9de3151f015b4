"""From the creation of a pod to the first line of its program, through the whole platform: forked and executed, one and many at once.

    python -m benchmarks.pod_first_line [--rounds 15] [--many 100] [--tiers root,rootless,host] [--torch]

In turn, each round: a pod whose program is forked from a template, the same pod with LIGHTSHIP_WARM=0, bare fork and exec of the same
interpreter, and the same below bubblewrap where that is installed (namespaces and a file tree, but no network, no address, no API). The
programs print the clock as their first act, or after common imports. In every tier of the node, a platform each: as root, as another user
(who runs the bare programs as well), in host mode. With `--torch`: the same for `import torch`, and torchrun of a
script of one line, which imports torch in its agent and in its worker. The first pod of each kind is not counted: it makes the template.
"""

import argparse
import asyncio
import contextlib
import functools
import os
import shlex
import shutil
import statistics
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import kubernetes
import urllib3

from benchmarks.report import Series, machine, table
from benchmarks.startup import platform
from benchmarks.tiers import NAMES, Tier, tier
from lightship.aio.clock import SystemClock
from lightship.node.images.environments import Environments, cache_directory

PLAIN, TORCH = f"python:{sys.version_info.major}.{sys.version_info.minor}", "pytorch/pytorch:2.13.0-cuda13.0-cudnn9-runtime"
NOTHING = "import time; print(time.time(), flush=True)"
COMMON = f"import argparse, asyncio, json, logging, pathlib, subprocess, threading, urllib.request; {NOTHING}"
IMPORT_TORCH = f"import torch; {NOTHING}"
TORCHRUN = ["torchrun", "--standalone", "--nproc-per-node", "1", "/programs/first.py"]
COLD = {"LIGHTSHIP_WARM": "0"}
Command = list[str]
WRITERS = 16
"""Connections by which pods are created."""


class Pods:
    """Creates pods, and knows from a watch when each was bound and from its log when its program began."""

    def __init__(self, kubeconfig: str) -> None:
        config = kubernetes.client.Configuration()
        kubernetes.config.load_kube_config(kubeconfig, client_configuration=config)
        config.connection_pool_maxsize = WRITERS + 1
        self._core = kubernetes.client.CoreV1Api(kubernetes.client.ApiClient(config))
        self._core.create_namespaced_config_map("default", {"metadata": {"name": "programs"}, "data": {"first.py": IMPORT_TORCH}})
        self._bound: dict[str, float] = {}
        self._created: dict[str, float] = {}
        self._ended: dict[str, threading.Event] = {}
        threading.Thread(target=self._watch, daemon=True).start()

    def _watch(self) -> None:
        with contextlib.suppress(urllib3.exceptions.HTTPError):  # the platform ends before we do
            self._note()

    def _note(self) -> None:
        for event in kubernetes.watch.Watch().stream(self._core.list_namespaced_pod, "default"):
            pod = event["object"]
            if pod.spec.node_name:
                self._bound.setdefault(pod.metadata.name, time.time())
            if pod.status.phase in ("Succeeded", "Failed") and pod.metadata.name in self._ended:
                self._ended[pod.metadata.name].set()

    def run(self, image: str, command: Command, env: dict[str, str]) -> tuple[float, float]:
        """Seconds from its creation, and from when a client saw it bound, to its first line."""
        return self.first_line(self.create(image, command, env))

    def create(self, image: str, command: Command, env: dict[str, str]) -> str:
        """Its name."""
        name = f"p{uuid.uuid4().hex[:12]}"
        variables = [{"name": key, "value": value} for key, value in env.items()]
        mounts = [{"name": "programs", "mountPath": "/programs"}] if command == TORCHRUN else []
        volumes = [{"name": "programs", "configMap": {"name": "programs"}}] if mounts else []
        container = {"name": "main", "image": image, "command": command, "env": variables, "volumeMounts": mounts}
        pod = {"metadata": {"name": name}, "spec": {"restartPolicy": "Never", "containers": [container], "volumes": volumes}}
        self._ended[name] = threading.Event()
        self._created[name] = time.time()
        self._core.create_namespaced_pod("default", pod)
        return name

    def first_line(self, name: str) -> tuple[float, float]:
        """Of a pod that was created, once it has ended; it is deleted."""
        self.wait_ended(name)
        first = float(self._core.read_namespaced_pod_log(name, "default").split()[-1])
        self._core.delete_namespaced_pod(name, "default", grace_period_seconds=0)
        return first - self._created[name], first - self._bound[name]

    def wait_ended(self, name: str) -> None:
        if not self._ended[name].wait(300):
            raise TimeoutError(name)


class Bare:
    """What a pod would run, run by us: forked and executed, or below bubblewrap."""

    def __init__(self, tier: Tier, python: str) -> None:
        self._tier = tier
        self._python = python

    def run(self, command: Command, wrapper: Command) -> float:
        """Seconds to the first line."""
        environment = {"PATH": f"{os.path.dirname(self._python)}:/usr/bin:/bin", "PYTHONUNBUFFERED": "1", "HOME": "/tmp"}
        program = self._python if command[0] == "python" else f"{os.path.dirname(self._python)}/{command[0]}"
        with tempfile.NamedTemporaryFile("w", suffix=".py") as script:
            script.write(IMPORT_TORCH)
            script.flush()
            argv = [program, *(script.name if word == TORCHRUN[-1] else word for word in command[1:])]
            begun = time.time()
            return float(self._tier.only(environment).run([*wrapper, *argv]).split()[-1]) - begun

    def wrappers(self, command: Command) -> dict[str, Command]:
        found: dict[str, Command] = {"bare exec": []}
        if shutil.which("bwrap") and command != TORCHRUN:
            found["bubblewrap"] = shlex.split("bwrap --unshare-all --hostname p --ro-bind / / --dev /dev --proc /proc --tmpfs /tmp")
        return found


def one_at_a_time(pods: Pods, alone: Bare, image: str, what: str, command: Command, rounds: int) -> list[Series]:
    ways: dict[str, Callable[[], Any]] = {
        "forked": lambda: pods.run(image, command, {}),
        "executed": lambda: pods.run(image, command, COLD),
    }
    ways |= {name: functools.partial(alone.run, command, wrapper) for name, wrapper in alone.wrappers(command).items()}
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


def many_at_once(pods: Pods, alone: Bare, image: str, what: str, command: Command, count: int) -> list[Series]:
    """Each from its own creation. The bare programs are begun by one thread each."""
    found = []
    for name, env in (("forked", {}), ("executed", COLD)):
        with ThreadPoolExecutor(WRITERS) as threads:
            names = list(threads.map(lambda _, env=env: pods.create(image, command, env), range(count)))
            for pod in names:
                pods.wait_ended(pod)  # nothing but the pods is to do meanwhile
            results = list(threads.map(pods.first_line, names))
        found.append(Series(f"{what}: {count} at once, {name}, ms", [1000 * first for first, _ in results]))
    for name, wrapper in alone.wrappers(command).items():
        with ThreadPoolExecutor(count) as threads:
            taken = list(threads.map(lambda _, wrapper=wrapper: alone.run(command, wrapper), range(count)))
        found.append(Series(f"{what}: {count} at once, {name}, ms", [1000 * first for first in taken]))
    return found


def quantiles(series: list[Series]) -> str:
    rows = [f"| {s.name} | {s.median:.1f} | {statistics.quantiles(s.values, n=100)[98]:.1f} |" for s in series if len(s.values) > 1]
    return "\n".join(["| figure | p50 | p99 |", "|---|---|---|", *rows])


def interpreter(requirements: list[str]) -> str:
    """The one that pods of such an image run, for the bare runs."""
    environments = Environments(cache_directory(), SystemClock())
    return asyncio.run(environments.ensure(requirements, print)).python


def in_tier(tier: Tier, options: argparse.Namespace) -> list[Series]:
    series = []
    with platform(tier) as (status, _):
        pods = Pods(status["kubeconfig"])
        if options.torch:
            alone = Bare(tier, interpreter(["torch==2.13.0", "torchvision", "numpy", "scikit-learn"]))
            for what, command in (("import torch", ["python", "-c", IMPORT_TORCH]), ("torchrun", TORCHRUN)):
                series += one_at_a_time(pods, alone, TORCH, f"{tier.name}, {what}", command, options.rounds)
        else:
            alone = Bare(tier, interpreter([]) if tier.user is None else tier.python)
            for what, text in (("nothing", NOTHING), ("common imports", COMMON)):
                series += one_at_a_time(pods, alone, PLAIN, f"{tier.name}, {what}", ["python", "-c", text], options.rounds)
            series += many_at_once(pods, alone, PLAIN, f"{tier.name}, nothing", ["python", "-c", NOTHING], options.many)
    return series


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--many", type=int, default=100)
    parser.add_argument("--tiers", default=",".join(NAMES))
    parser.add_argument("--torch", action="store_true", help="in the first of the tiers")
    options = parser.parse_args()
    series = []
    for name in options.tiers.split(",")[: 1 if options.torch else None]:
        with tempfile.TemporaryDirectory(prefix="lightship-home-", ignore_cleanup_errors=True) as home:
            found = tier(name, home)
            if found is None:
                print(f"no tier {name} on this machine")
                continue
            series += in_tier(found, options)
    print(machine(), table(series), quantiles(series), sep="\n\n")


if __name__ == "__main__":
    main()
