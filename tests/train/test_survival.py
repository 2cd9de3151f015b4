"""A real PyTorch job on two nodes that is interrupted in every way there is: no step is lost, none is taken twice.

Real time is unavoidable here: pods are processes, and what kills them is SIGKILL. Waits are for lines of the log and states of objects.
"""

import importlib.util
import os
import re
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.platform.kit import PODS, Home, Process, Site, descendants, eventually
from tests.train.breathing import breathe

pytestmark = [pytest.mark.slow, pytest.mark.torch, pytest.mark.filterwarnings("ignore::DeprecationWarning")]
EXAMPLES = Path(__file__).parents[2] / "examples" / "train"
JOBS = "/apis/trainer.kubeflow.org/v1alpha1/namespaces/default/trainjobs"
NAME = "survivor"
JOB = f"{JOBS}/{NAME}"
BUILD_SECONDS = 900
"""The first pod waits for its environment to be built, which downloads torch."""
SECONDS = 180


@pytest.fixture
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    made = Home(tmp_path_factory.mktemp("h"))
    yield made
    made.close()


def example(name: str) -> Any:
    """A module of the examples."""
    spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def submit(
    site: Site,
    func: Any,
    annotations: dict[str, str],
    *,
    num_nodes: int,
    env: dict[str, str] | None = None,
    name: str = NAME,
    runtime: str = "torch-distributed",
    image: str | None = None,
    **args: Any,
) -> None:
    """Have a function train, called with `args`."""
    from kubeflow.common.types import KubernetesBackendConfig
    from kubeflow.trainer import CustomTrainer, TrainerClient
    from kubeflow.trainer.options import Annotations, Name

    client = TrainerClient(KubernetesBackendConfig(config_file=str(site.kubeconfig)))
    resources = {"cpu": "600m"}  # what the SDK makes a limit of: with less, importing is what takes the time
    trainer = CustomTrainer(func=func, func_args=args, num_nodes=num_nodes, resources_per_node=resources, env=env, image=image)
    said = {f"lightship.dev/{word}": value for word, value in annotations.items()}
    client.train(runtime=runtime, trainer=trainer, options=[Name(name), Annotations(said)])


class Watched:
    """What the job's first node has printed, over all the pods that it had."""

    def __init__(self, site: Site, name: str = NAME) -> None:
        self.site = site
        self._name = name
        self._told: dict[str, list[str]] = {}

    def lines(self) -> list[str]:
        try:
            labels = f"batch.kubernetes.io/job-completion-index%3D0,jobset.sigs.k8s.io/jobset-name%3D{self._name}"
            pods = self.site.api.get(f"{PODS}?labelSelector={labels}")["items"]
            for pod in sorted(pods, key=lambda p: str(p["metadata"]["creationTimestamp"])):
                answer = self.site.api.call("GET", f"{PODS}/{pod['metadata']['name']}/log")
                if answer.code == 200:
                    self._told[pod["metadata"]["uid"]] = str(answer.body).splitlines()
        except OSError:
            pass  # the platform is between its lives
        return [line for lines in self._told.values() for line in lines]

    def wait(self, pattern: str, *, times: int = 1, seconds: float = SECONDS) -> re.Match[str]:
        """The last of at least so many lines that match."""

        def look() -> re.Match[str] | None:
            found = [m for line in self.lines() if (m := re.match(pattern, line))]
            return found[-1] if len(found) >= times else None

        def detail() -> str:
            return "\n".join([*self.lines()[-30:], str(self.site.api.get(f"{JOBS}/{self._name}").get("status"))])

        found = eventually(look, f"{times} lines like {pattern}", detail, seconds=seconds)
        assert found is not None
        return found

    def steps(self) -> list[int]:
        return [int(step) for step in self.found(r"step (\d+) of")]

    def found(self, pattern: str) -> list[str]:
        """The first group of all lines that match."""
        return [m[1] for line in self.lines() if (m := re.match(pattern, line))]

    def after(self, step: int) -> None:
        """Wait until the job is well past a step."""
        self.wait(rf"step {step + 5} of")


def worker(rank: int, name: str = NAME, variable: str = "RANK") -> Process:
    """The process of a rank of the job, by its variable, among all that the platform has started."""
    for process in descendants(os.getpid()) + descendants(1):
        try:
            found = Path(f"/proc/{process.pid}/environ").read_bytes().split(b"\0")
            program = os.path.basename(os.readlink(f"/proc/{process.pid}/exe"))
        except OSError:
            continue
        meets_at = f"={name}-node-0-0.{name}".encode()
        if f"{variable}={rank}".encode() in found and meets_at in b"\0".join(found) and program.startswith("python"):
            return process
    raise LookupError(f"no process is rank {rank}")


def launchers(process: Process) -> list[int]:
    """The helpers above a process in a pod, the innermost first: the one that holds its pod, ..., the one that holds all pods."""
    pid, found = process.pid, []
    while pid > 1:
        if b"launcher.main" in Path(f"/proc/{pid}/cmdline").read_bytes():
            found.append(pid)
        pid = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    return found


def complete(site: Site, name: str = NAME) -> None:
    def is_complete() -> bool:
        conditions = site.api.get(f"{JOBS}/{name}").get("status", {}).get("conditions") or [{}]
        return bool(conditions[-1].get("type") == "Complete")

    eventually(is_complete, f"{name} is complete", seconds=SECONDS)


def test_a_job_survives_its_workers_its_platform_its_node_and_a_pause(home: Home) -> None:
    site = home.up()
    submit(site, example("survivor").train, {"checkpoint": "true", "max-restarts": "2"}, num_nodes=2, epochs=8, steps=10, seconds=0.1)
    log = Watched(site)

    log.wait("step 12 of", seconds=BUILD_SECONDS)
    os.kill(worker(1).pid, signal.SIGKILL)
    resumed = int(log.wait(r"rank 0 of 2 goes on after step (\d+)", times=2)[1])
    assert resumed >= 10, "the epoch that was done is not done again"

    log.after(resumed)
    site.kill()
    site = home.up()
    log = log_of(site, log)
    log.wait(rf"step {resumed + 10} of")

    os.kill(launchers(worker(0))[-1], signal.SIGKILL)
    resumed = int(log.wait(r"rank 0 of 2 goes on after step (\d+)", times=3)[1])

    log.after(resumed)
    assert site.api.call("PATCH", JOB, {"spec": {"suspend": True}}, content_type="application/merge-patch+json").code == 200
    saved = int(log.wait(r"leaving after step (\d+), which is saved")[1])
    eventually(lambda: not site.api.get(PODS)["items"], "its pods are gone")
    assert site.api.call("PATCH", JOB, {"spec": {"suspend": False}}, content_type="application/merge-patch+json").code == 200
    resumed = int(log.wait(r"rank 0 of 2 goes on after step (\d+)", times=4)[1])
    assert resumed == saved, "a pause costs no step"

    assert log.wait(r"finished with (\d+) losses")[1] == "80", "each step counts once"
    complete(site)


def log_of(site: Site, before: Watched, name: str = NAME) -> Watched:
    """The same log, asked for at the platform's new life."""
    found = Watched(site, name)
    found._told = before._told
    return found


def test_nodes_join_and_leave_while_a_job_trains(home: Home) -> None:
    site = home.up()
    soon = {"PET_RDZV_CONF": "last_call_timeout=1,keep_alive_interval=1,keep_alive_max_attempt=5"}
    submit(site, breathe, {"max-nodes": "2", "nodes": "1"}, num_nodes=1, env=soon)
    log = Watched(site)
    log.wait("step 20 of", seconds=BUILD_SECONDS)
    first = pods(site)
    assert len(first) == 1
    annotate(site, nodes="2")
    log.wait("step 40 of 60 on 2")
    assert len(pods(site)) == 2
    annotate(site, nodes="1")
    end = log.wait(r"nodes (.*), at most (\S+) from")
    assert end[1] == "[1, 2, 1]"
    assert float(end[2]) < 0.001, "the curve is that of a job which nobody disturbed"
    assert log.steps() == list(range(1, 61)), "no step is lost, and none is taken twice"
    assert pods(site) == first, "node 0 has been there from the beginning to the end"
    complete(site)


def annotate(site: Site, **said: str) -> None:
    change = {"metadata": {"annotations": {f"lightship.dev/{name}": value for name, value in said.items()}}}
    assert site.api.call("PATCH", JOB, change, content_type="application/merge-patch+json").code == 200


def pods(site: Site) -> list[str]:
    """The uids of the job's nodes."""
    return [pod["metadata"]["uid"] for pod in site.api.get(PODS)["items"]]
