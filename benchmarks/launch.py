"""What a one-node torch TrainJob costs over bare `torchrun` of the same script, and where the time goes.

    python -m benchmarks.launch [--rounds 5] [--local-process]

Both run the same file with the same interpreter on the same machine, in turn. Bare: from `exec` of torchrun to its end. Ours: from POST
of the TrainJob to its Complete condition, with the moments at which a watching client saw each step. `--local-process` also times the
SDK's own local-process backend, which builds an environment for every job (minutes, and gigabytes from the package index).
"""

import argparse
import json
import shutil
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import kubernetes
from kubeflow.trainer import CustomTrainer, LocalProcessBackendConfig, TrainerClient

from benchmarks.report import Series, machine, table
from benchmarks.startup import platform, wait_for

SCRIPT = "import time; print('first line', time.time(), flush=True)\nimport torch\nprint('torch', time.time(), flush=True)\n"
GROUP, VERSION = "trainer.kubeflow.org", "v1alpha1"
FINISHED = ("Complete", "Failed")
_WHERE = "python -c 'import sys; print(sys.prefix + \"/bin/torchrun\")'"


def train_job(name: str, command: str) -> dict[str, Any]:
    return {
        "apiVersion": f"{GROUP}/{VERSION}",
        "kind": "TrainJob",
        "metadata": {"name": name},
        "spec": {"runtimeRef": {"name": "torch-distributed"}, "trainer": {"numNodes": 1, "command": ["bash", "-c", command]}},
    }


class Watching:
    """Notes when a client that watches sees each step of one job."""

    def __init__(self, client: Any, name: str) -> None:
        self.seen: dict[str, float] = {}
        self._name = name
        core, custom = kubernetes.client.CoreV1Api(client), kubernetes.client.CustomObjectsApi(client)
        self._threads = [
            threading.Thread(target=self._watch, args=(core.list_namespaced_pod, ("default",), self._pod), daemon=True),
            threading.Thread(
                target=self._watch,
                args=(custom.list_namespaced_custom_object, (GROUP, VERSION, "default", "trainjobs"), self._job),
                daemon=True,
            ),
        ]
        for thread in self._threads:
            thread.start()

    def wait(self) -> None:
        for thread in self._threads:
            thread.join(60)

    def _note(self, step: str) -> None:
        self.seen.setdefault(step, time.time())

    def _watch(self, call: Callable[..., Any], args: tuple[str, ...], note: Callable[[dict[str, Any]], bool]) -> None:
        for event in kubernetes.watch.Watch().stream(call, *args, timeout_seconds=60):
            found = event["raw_object"] if isinstance(event.get("raw_object"), dict) else event["object"]
            if note(found):
                return

    def _pod(self, pod: dict[str, Any]) -> bool:
        if pod["metadata"].get("labels", {}).get("jobset.sigs.k8s.io/jobset-name") != self._name:
            return False
        self._note("pod created")
        if pod["spec"].get("nodeName"):
            self._note("pod scheduled")
        phase = pod.get("status", {}).get("phase")
        if phase in ("Running", "Succeeded", "Failed"):
            self._note("pod running")
        if phase in ("Succeeded", "Failed"):
            self._note("pod ended")
        return phase in ("Succeeded", "Failed")

    def _job(self, job: dict[str, Any]) -> bool:
        if job["metadata"]["name"] != self._name:
            return False
        done = any(c["type"] in FINISHED and c["status"] == "True" for c in job.get("status", {}).get("conditions", []))
        if done:
            self._note("TrainJob complete")
        return done


def ours(client: Any, name: str) -> tuple[float, dict[str, float]]:
    """Seconds from POST to the Complete condition, and from POST to each step."""
    watching = Watching(client, name)
    command = f"cat > script.py <<'EOF'\n{SCRIPT}EOF\nexec torchrun script.py"
    custom, core = kubernetes.client.CustomObjectsApi(client), kubernetes.client.CoreV1Api(client)
    begun = time.time()
    custom.create_namespaced_custom_object(GROUP, VERSION, "default", "trainjobs", train_job(name, command))
    watching.wait()
    total = watching.seen["TrainJob complete"] - begun
    pod = core.list_namespaced_pod("default", label_selector=f"jobset.sigs.k8s.io/jobset-name={name}").items[0].metadata.name
    steps = {step: at - begun for step, at in watching.seen.items()}
    for line in core.read_namespaced_pod_log(pod, "default").splitlines():
        if line.startswith(("first line", "torch ")):
            steps[line.rpartition(" ")[0]] = float(line.rpartition(" ")[2]) - begun
    return total, steps


def bare(torchrun: str, directory: Path) -> tuple[float, float]:
    """Seconds of bare torchrun from exec to end, and to the script's first line."""
    script = directory / "script.py"
    script.write_text(SCRIPT)
    begun = time.time()
    done = subprocess.run([torchrun, "--standalone", "--nproc-per-node=1", str(script)], capture_output=True, text=True, check=True)
    total = time.time() - begun
    first = next(float(line.rpartition(" ")[2]) for line in done.stdout.splitlines() if line.startswith("first line"))
    return total, first - begun


def environment_of(client: Any) -> str:
    """Path of torchrun in the environment that the runtime's image means; building it is not what is measured."""
    custom, core = kubernetes.client.CustomObjectsApi(client), kubernetes.client.CoreV1Api(client)
    custom.create_namespaced_custom_object(GROUP, VERSION, "default", "trainjobs", train_job("prepare", _WHERE))

    def finished() -> str:
        pods = core.list_namespaced_pod("default", label_selector="jobset.sigs.k8s.io/jobset-name=prepare").items
        return core.read_namespaced_pod_log(pods[0].metadata.name, "default") if pods and pods[0].status.phase == "Succeeded" else ""

    return str(wait_for(finished, 600)).strip()


def local_process() -> float:
    """Seconds of the SDK's own local-process backend for a function that prints one line, environment included."""

    def hello() -> None:
        print("hello")

    begun = time.time()
    client = TrainerClient(LocalProcessBackendConfig())
    job = client.train(runtime=client.get_runtime("torch-distributed"), trainer=CustomTrainer(func=hello, packages_to_install=["torch"]))
    client.wait_for_job_status(job, timeout=1200)
    return time.time() - begun


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--local-process", action="store_true")
    args = parser.parse_args()
    series: dict[str, Series] = {}

    def add(name: str, value: float) -> None:
        series.setdefault(name, Series(name)).add(value)

    directory = Path(tempfile.mkdtemp(prefix="lightship-launch-"))
    with platform() as (status, _):
        client = kubernetes.config.new_client_from_config(status["kubeconfig"])
        torchrun = environment_of(client)
        for number in range(args.rounds):
            total, first = bare(torchrun, directory)
            add("bare torchrun: whole run, s", total)
            add("bare torchrun: to the script's first line, s", first)
            whole, steps = ours(client, f"job-{number}")
            add("TrainJob: POST to Complete, s", whole)
            for step, at in sorted(steps.items(), key=lambda item: item[1]):
                add(f"TrainJob: to {step}, s", at)
            add("overhead over bare, s", whole - total)
    shutil.rmtree(directory, ignore_errors=True)
    if args.local_process:
        add("SDK local-process backend, s", local_process())
    print(machine())
    print(table(list(series.values())))
    print(json.dumps({"ratio": round(series["TrainJob: POST to Complete, s"].median / series["bare torchrun: whole run, s"].median, 3)}))


if __name__ == "__main__":
    main()
