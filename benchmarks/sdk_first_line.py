"""From `train` of the unmodified Kubeflow SDK to the first line of the user's function on every node: forked, executed, and bare torchrun.

    python -m benchmarks.sdk_first_line [--rounds 3] [--nodes 2] [--packages PACKAGE ...]

The SDK's jobs start a shell, which starts torchrun, which starts the function's file: nothing that the platform could see beforehand. The
first job of all makes the template and is told apart; then, in turn, jobs as they are, jobs with LIGHTSHIP_WARM=0, and torchrun of a file
with the same line by fork and exec, which imports torch twice as well. `--packages` are installed by the job before it trains.
"""

import argparse
import os
import subprocess
import tempfile
import time
from collections.abc import Callable

import kubernetes
from kubeflow.common.types import KubernetesBackendConfig
from kubeflow.trainer import CustomTrainer, TrainerClient

from benchmarks.pod_first_line import COLD, interpreter
from benchmarks.report import Series, machine, table
from benchmarks.startup import platform

LINE = "first line"
SECONDS = 300


def first() -> None:
    """Travels to the pods as source."""
    import time  # noqa: PLC0415 - there it is all that there is

    print("first line", time.time(), flush=True)


class Jobs:
    """Runs jobs one after the other."""

    def __init__(self, kubeconfig: str, nodes: int, packages: list[str]) -> None:
        self._sdk = TrainerClient(KubernetesBackendConfig(config_file=kubeconfig))
        self._core = kubernetes.client.CoreV1Api(kubernetes.config.new_client_from_config(kubeconfig))
        self._nodes, self._packages = nodes, packages

    def run(self, env: dict[str, str]) -> float:
        """Milliseconds until the last node has come to the function."""
        trainer = CustomTrainer(func=first, num_nodes=self._nodes, env=env or None, packages_to_install=self._packages or None)
        begun = time.time()
        name = self._sdk.train(runtime="torch-distributed", trainer=trainer)
        self._sdk.wait_for_job_status(name, timeout=SECONDS, polling_interval=1)
        pods = [pod.metadata.name for pod in self._core.list_namespaced_pod("default").items if pod.metadata.name.startswith(name)]
        lines = [self._core.read_namespaced_pod_log(pod, "default").splitlines() for pod in pods]
        told = [float(line.split()[-1]) for text in lines for line in text if LINE in line]
        if len(told) != self._nodes:
            raise RuntimeError(f"{name}: {lines}")
        self._sdk.delete_job(name)
        return 1000 * (max(told) - begun)


def bare(torchrun: str) -> float:
    """Milliseconds from fork and exec of torchrun to the first line of a script."""
    with tempfile.NamedTemporaryFile("w", suffix=".py") as script:
        script.write("import time\nprint('first line', time.time(), flush=True)\n")
        script.flush()
        begun = time.time()
        argv = [torchrun, "--standalone", "--nproc-per-node", "1", script.name]
        done = subprocess.run(argv, capture_output=True, text=True, check=True, env={"PATH": os.environ["PATH"], "HOME": "/tmp"})
        return 1000 * (float(done.stdout.split()[-1]) - begun)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--nodes", type=int, default=2)
    parser.add_argument("--packages", nargs="*", default=[])
    arguments = parser.parse_args()
    torchrun = os.path.join(os.path.dirname(interpreter(["torch==2.13.0", "torchvision", "numpy", "scikit-learn"])), "torchrun")
    with platform() as (status, _):
        jobs = Jobs(status["kubeconfig"], arguments.nodes, arguments.packages)
        ways: dict[str, Callable[[], float]] = {
            "as it is": lambda: jobs.run({}),
            "LIGHTSHIP_WARM=0": lambda: jobs.run(COLD),
            "bare torchrun": lambda: bare(torchrun),
        }
        very_first = Series(f"SDK job of {arguments.nodes} nodes, the first of all, ms", [jobs.run({})])
        found = {name: Series(f"SDK job of {arguments.nodes} nodes, {name}, ms") for name in ways if "bare" not in name}
        found["bare torchrun"] = Series("bare torchrun, ms")
        for _ in range(arguments.rounds):
            for name, way in ways.items():
                found[name].add(way())
    print(machine(), table([very_first, *found.values()]), sep="\n\n")


if __name__ == "__main__":
    main()
