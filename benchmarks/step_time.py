"""What a training step costs under a TrainJob and under bare `torchrun`, by the same script: two processes that train together.

    python -m benchmarks.step_time [--steps 3000] [--turn 0.4]

Three ways run at the same time: bare torchrun with two workers, a TrainJob of one node with two workers, and one of two nodes with a worker
each. They take turns of less than a second: the workers of the others are stopped (SIGSTOP), so that a machine whose speed drifts within a
minute treats all alike. Steps that are not wholly within a turn do not count, nor do the first fifty of each way; of a turn the median step
counts, and ours are divided by that of bare torchrun in the same round. The script is data-parallel training (DDP, gloo) of a small network
with one thread per process. The aim is one percent; starts of the same program differ by more, so run it several times. Told besides: what
the platform itself takes while they train.
"""

import argparse
import os
import signal
import statistics
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import IO, Any, NamedTuple

import kubernetes

from benchmarks import idle
from benchmarks.launch import GROUP, VERSION, environment_of
from benchmarks.report import Series, machine, table
from benchmarks.startup import platform, wait_for

SCRIPT = """
import os, time
open("/proc/self/comm", "w").write(os.environ["STEPS_AS"])
import torch, torch.distributed as dist
from torch.nn.parallel import DistributedDataParallel
torch.set_num_threads(1)
dist.init_process_group("gloo")
torch.manual_seed(0)
network = torch.nn.Sequential(*(torch.nn.Sequential(torch.nn.Linear(512, 512), torch.nn.ReLU()) for _ in range(4)))
model = DistributedDataParallel(network)
optimizer = torch.optim.AdamW(model.parameters())
batch = torch.randn(128, 512)
steps = []
for step in range(STEPS):
    begun = time.monotonic()
    optimizer.zero_grad()
    model(batch).square().mean().backward()
    optimizer.step()
    steps.append((begun, time.monotonic()))
if dist.get_rank() == 0:
    for begun, ended in steps:
        print("step", begun, ended, flush=False)
    print("done", flush=True)
dist.barrier()
dist.destroy_process_group()
"""
BARE, ONE, TWO = "bare torchrun", "TrainJob, one node", "TrainJob, two nodes"
NAMES = {BARE: "steps-bare", ONE: "steps-one", TWO: "steps-two"}
"""What the workers of each way are called by the kernel, so that they are found from outside their pods."""
WORKERS = 2
WARMING = 50
PATIENCE = 300


class Turn(NamedTuple):
    """When one way alone was running, in seconds of the monotonic clock."""

    way: str
    begun: float
    ended: float


class Jobs:
    """The script as TrainJobs."""

    def __init__(self, client: Any, script: str) -> None:
        self._custom, self._core = kubernetes.client.CustomObjectsApi(client), kubernetes.client.CoreV1Api(client)
        self._script = script

    def submit(self, way: str, nodes: int, processes: int) -> None:
        command = f"cat > steps.py <<'EOF'\n{self._script}EOF\nexec torchrun steps.py"
        trainer = {"numNodes": nodes, "numProcPerNode": processes, "command": ["bash", "-c", command]}
        spec = {"runtimeRef": {"name": "torch-distributed"}, "trainer": {**trainer, "env": [{"name": "STEPS_AS", "value": NAMES[way]}]}}
        body = {"apiVersion": f"{GROUP}/{VERSION}", "kind": "TrainJob", "metadata": {"name": NAMES[way]}, "spec": spec}
        self._custom.create_namespaced_custom_object(GROUP, VERSION, "default", "trainjobs", body)

    def log(self, way: str) -> str:
        """Of node 0, once it has ended. By a watch: who asks again and again takes from the processor that trains."""
        selector = f"jobset.sigs.k8s.io/jobset-name={NAMES[way]},batch.kubernetes.io/job-completion-index=0"
        found = kubernetes.watch.Watch().stream(
            self._core.list_namespaced_pod, "default", label_selector=selector, timeout_seconds=PATIENCE
        )
        for event in found:
            if event["object"].status.phase in ("Succeeded", "Failed"):
                return str(self._core.read_namespaced_pod_log(event["object"].metadata.name, "default"))
        raise TimeoutError(selector)


def workers(way: str) -> list[int]:
    """Processes of a way that train."""
    return [int(entry.parent.name) for entry in Path("/proc").glob("[0-9]*/comm") if _text(entry).strip() == NAMES[way]]


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""


def turns(pids: dict[str, list[int]], seconds: float) -> Iterator[Turn]:
    """One way after the other, each round in another order, until the first has ended; all go on then."""
    ways = list(pids)
    try:
        for found in pids.values():
            _signal(found, signal.SIGSTOP)
        while True:
            ways.append(ways.pop(0))
            for way in ways:
                _signal(pids[way], signal.SIGCONT)
                begun = time.monotonic()
                time.sleep(seconds)
                ended = time.monotonic()
                if not all(_alive(pid, NAMES[way]) for pid in pids[way]):
                    return
                _signal(pids[way], signal.SIGSTOP)
                yield Turn(way, begun, ended)
    finally:
        for found in pids.values():
            _signal(found, signal.SIGCONT)


def _alive(pid: int, name: str) -> bool:
    return _text(Path(f"/proc/{pid}/comm")).strip() == name and ") Z " not in _text(Path(f"/proc/{pid}/stat"))


def _signal(pids: list[int], signum: int) -> None:
    for pid in pids:
        try:
            os.kill(pid, signum)
        except ProcessLookupError:
            continue


def steps_of(log: str) -> list[tuple[float, float]]:
    """When each step began and ended."""
    if "done" not in log.splitlines():
        raise RuntimeError(f"the script did not end well: {log[-2000:]}")
    return [(float(line.split()[1]), float(line.split()[2])) for line in log.splitlines() if line.startswith("step ")][WARMING:]


def per_turn(steps: list[tuple[float, float]], taken: list[Turn]) -> list[float]:
    """Milliseconds of the median step of each turn; nothing (nan) for a turn in which there was none."""
    within = ([1000 * (ended - begun) for begun, ended in steps if turn.begun <= begun and ended <= turn.ended] for turn in taken)
    return [statistics.median(found) if found else float("nan") for found in within]


def _run(steps: int, seconds: float, stack: ExitStack) -> tuple[dict[str, list[float]], float]:
    """The median step of each way, turn by turn; and what the platform took meanwhile, in percent of a core."""
    status, _ = stack.enter_context(platform())
    client = kubernetes.config.new_client_from_config(status["kubeconfig"])
    torchrun = environment_of(client)
    text = SCRIPT.replace("STEPS)", f"{steps})")
    directory = Path(stack.enter_context(tempfile.TemporaryDirectory()))
    (directory / "steps.py").write_text(text)
    jobs = Jobs(client, text)
    output: IO[str] = stack.enter_context((directory / "output").open("w"))
    argv = [torchrun, "--standalone", f"--nproc-per-node={WORKERS}", str(directory / "steps.py")]
    bare = subprocess.Popen(argv, stdout=output, env={**os.environ, "STEPS_AS": NAMES[BARE], "OMP_NUM_THREADS": "1"})
    jobs.submit(ONE, 1, WORKERS)
    jobs.submit(TWO, WORKERS, 1)
    wait_for(lambda: all(len(workers(way)) == WORKERS for way in NAMES), PATIENCE)
    own = idle.ours(status["pid"])
    begun, before = time.monotonic(), idle.used(own)
    taken = list(turns({way: workers(way) for way in NAMES}, seconds))
    percent = 100 * (idle.used(own) - before) / (time.monotonic() - begun)
    bare.wait(PATIENCE)
    logs = {BARE: (directory / "output").read_text(), ONE: jobs.log(ONE), TWO: jobs.log(TWO)}
    return {way: per_turn(steps_of(logs[way]), [turn for turn in taken if turn.way == way]) for way in NAMES}, percent


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--steps", type=int, default=3000)
    parser.add_argument("--turn", type=float, default=0.4, help="seconds")
    options = parser.parse_args()
    with ExitStack() as stack:
        found, percent = _run(options.steps, options.turn, stack)
    rounds = [values for values in zip(*found.values(), strict=False) if all(value == value for value in values)]
    series = [Series(f"{way}, median step of a turn, ms", [values[number] for values in rounds]) for number, way in enumerate(found)]
    print(machine(), table(series), sep="\n\n")
    for ours in series[1:]:
        ratios = [one / other for one, other in zip(ours.values, series[0].values, strict=True)]
        print(f"{ours.name}, against bare torchrun: {_told(ratios)}")
    print(f"the platform takes {percent:.2f} % of a core while they train")


def _told(ratios: list[float]) -> str:
    """The median, how sure it is (a standard error: 1.25 sigma over the root of the rounds), and the middle half of the rounds."""
    lower, median, upper = (100 * (ratio - 1) for ratio in statistics.quantiles(ratios, n=4))
    error = 125 * statistics.stdev(ratios) / len(ratios) ** 0.5
    return f"{median:+.2f} % (+/- {error:.2f}), half of {len(ratios)} rounds between {lower:+.1f} and {upper:+.1f}"


if __name__ == "__main__":
    main()
