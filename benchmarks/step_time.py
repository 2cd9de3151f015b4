"""What a training step costs under a TrainJob and under bare `torchrun`, by the same script: two processes that train together.

    python -m benchmarks.step_time [--rounds 5] [--steps 300]

In turn, each round: bare torchrun with two workers, a TrainJob of one node with two workers, and one of two nodes with a worker each. The
script is data-parallel training (DDP, gloo) of a small network with one thread per process; it times every step but the first fifty and
tells the median and the mean. The aim is one percent.
"""

import argparse
import json
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import kubernetes

from benchmarks.launch import GROUP, VERSION, environment_of
from benchmarks.report import Series, machine, table
from benchmarks.startup import platform

SCRIPT = """
import json, os, sys, time
import torch, torch.distributed as dist
from torch.nn.parallel import DistributedDataParallel
torch.set_num_threads(1)
dist.init_process_group("gloo")
torch.manual_seed(0)
network = torch.nn.Sequential(*(torch.nn.Sequential(torch.nn.Linear(512, 512), torch.nn.ReLU()) for _ in range(4)))
model = DistributedDataParallel(network)
optimizer = torch.optim.AdamW(model.parameters())
batch = torch.randn(128, 512)
times = []
for step in range(STEPS):
    begun = time.perf_counter()
    optimizer.zero_grad()
    model(batch).square().mean().backward()
    optimizer.step()
    times.append(time.perf_counter() - begun)
times = sorted(times[50:])
if dist.get_rank() == 0:
    print("steps " + json.dumps({"median": times[len(times) // 2], "mean": sum(times) / len(times)}), flush=True)
dist.barrier()
dist.destroy_process_group()
"""
POD_SECONDS = 300


class Steps:
    """Runs the script in each way; answers are the median and the mean step in milliseconds."""

    def __init__(self, kubeconfig: str, steps: int, directory: Path) -> None:
        client = kubernetes.config.new_client_from_config(kubeconfig)
        self._custom, self._core = kubernetes.client.CustomObjectsApi(client), kubernetes.client.CoreV1Api(client)
        self._torchrun = environment_of(client)
        self._script = directory / "steps.py"
        self._script.write_text(SCRIPT.replace("STEPS", str(steps)))
        self._count = 0

    def bare(self) -> tuple[float, float]:
        argv = [self._torchrun, "--standalone", "--nproc-per-node=2", str(self._script)]
        return _told(subprocess.run(argv, capture_output=True, text=True, check=True).stdout)

    def job(self, nodes: int, processes: int) -> tuple[float, float]:
        self._count += 1
        name = f"steps-{self._count}"
        command = f"cat > steps.py <<'EOF'\n{self._script.read_text()}EOF\nexec torchrun steps.py"
        trainer = {"numNodes": nodes, "numProcPerNode": processes, "command": ["bash", "-c", command]}
        spec = {"runtimeRef": {"name": "torch-distributed"}, "trainer": trainer}
        body = {"apiVersion": f"{GROUP}/{VERSION}", "kind": "TrainJob", "metadata": {"name": name}, "spec": spec}
        self._custom.create_namespaced_custom_object(GROUP, VERSION, "default", "trainjobs", body)
        selector = f"jobset.sigs.k8s.io/jobset-name={name},batch.kubernetes.io/job-completion-index=0"

        told = _told(self._log_of(selector))
        self._custom.delete_namespaced_custom_object(GROUP, VERSION, "default", "trainjobs", name)
        return told

    def _log_of(self, selector: str) -> str:
        """The log of a pod that has ended. By a watch: who asks again and again takes from the processor that trains."""
        found = kubernetes.watch.Watch().stream(
            self._core.list_namespaced_pod, "default", label_selector=selector, timeout_seconds=POD_SECONDS
        )
        for event in found:
            if event["object"].status.phase in ("Succeeded", "Failed"):
                return str(self._core.read_namespaced_pod_log(event["object"].metadata.name, "default"))
        raise TimeoutError(selector)


def _told(text: str) -> tuple[float, float]:
    line = next((line for line in text.splitlines() if line.startswith("steps ")), None)
    if line is None:
        raise RuntimeError(f"the script did not end well: {text[-2000:]}")
    found: dict[str, Any] = json.loads(line.partition(" ")[2])
    return 1000 * found["median"], 1000 * found["mean"]


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=300)
    options = parser.parse_args()
    with platform() as (status, _), tempfile.TemporaryDirectory() as directory:
        steps = Steps(status["kubeconfig"], options.steps, Path(directory))
        ways: dict[str, Callable[[], tuple[float, float]]] = {
            "bare torchrun": steps.bare,
            "TrainJob, one node": lambda: steps.job(1, 2),
            "TrainJob, two nodes": lambda: steps.job(2, 1),
        }
        medians = {name: Series(f"{name}, median step, ms") for name in ways}
        means = {name: Series(f"{name}, mean step, ms") for name in ways}
        for _ in range(options.rounds):
            for name, way in ways.items():
                median, mean = way()
                medians[name].add(median)
                means[name].add(mean)
    print(machine(), table([*medians.values(), *means.values()]), sep="\n\n")
    bare = medians["bare torchrun"]
    for name, series in list(medians.items())[1:]:
        ratios = Series("", [ours / theirs for ours, theirs in zip(series.values, bare.values, strict=True)])
        print(f"{name}: {100 * (ratios.median - 1):+.1f} % of a step, round by round ({100 * (min(ratios.values) - 1):+.1f} to "
              f"{100 * (max(ratios.values) - 1):+.1f})")  # fmt: skip


if __name__ == "__main__":
    main()
