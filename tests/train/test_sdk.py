"""The official, unmodified Kubeflow SDK against a running platform: every call of `TrainerClient` and every option.

The functions below travel to the pods as source. They run on the interpreter of the tests through a plain runtime; only the tests marked
`torch` need the torch environment. Real time is unavoidable here: the SDK polls, and pods are processes.
"""

import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from lightship.aio.clock import SystemClock, pause
from lightship.builtin.api import JOB_SETS
from lightship.kinds import CONFIG_MAPS, JOBS, PODS
from lightship.meta import objects
from lightship.meta.objects import Obj
from lightship.meta.resources import Resource
from lightship.testing import Cluster, cluster
from lightship.train.api import CLUSTER_TRAINING_RUNTIMES, TRAIN_JOBS
from lightship.train.bootstrap import runtimes
from lightship.train.runtime.digits import train_digits
from tests.train import make

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore::DeprecationWarning")]
SECONDS = 60


@pytest.fixture(scope="module")
def platform() -> Iterator[Cluster]:
    with cluster() as running:
        runtime = make.runtime(
            "plain", policy={"numNodes": 1}, labels={"trainer.kubeflow.org/framework": "plain"}, node={"image": "python"}
        )
        job = runtime["spec"]["template"]["spec"]["replicatedJobs"][0]["template"]["spec"]
        job["backoffLimit"] = 0
        job["template"]["spec"]["restartPolicy"] = "Never"
        running.run(running.client.create(CLUSTER_TRAINING_RUNTIMES, runtime))
        yield running


@pytest.fixture(scope="module")
def sdk(platform: Cluster) -> Any:
    from kubeflow.common.types import KubernetesBackendConfig
    from kubeflow.trainer import TrainerClient

    return TrainerClient(KubernetesBackendConfig(config_file=platform.kubeconfig))


def train(sdk: Any, func: Callable[..., None], *options: Any, runtime: str = "plain", **trainer: Any) -> str:
    from kubeflow.trainer import CustomTrainer

    name: str = sdk.train(runtime=runtime, trainer=CustomTrainer(func=func, **trainer), options=list(options))
    return name


def wait(sdk: Any, name: str, *status: str, timeout: int = SECONDS) -> Any:
    return sdk.wait_for_job_status(name, status=set(status or ("Complete",)), timeout=timeout, polling_interval=1)


def listed(platform: Cluster, resource: Resource, job: str) -> list[Obj]:
    """Objects that a job made, by their name."""
    found = platform.run(platform.client.list(resource, "default")).items
    return [obj for obj in found if objects.name(obj).startswith(job)]


def until(check: Callable[[], bool]) -> None:
    """Wait for what no call of the SDK waits for."""
    clock = SystemClock()
    deadline = clock.monotonic() + SECONDS
    while not check():
        assert clock.monotonic() < deadline, "waited in vain"
        pause(0.05)


def trainjob(platform: Cluster, name: str) -> Obj:
    return platform.run(platform.client.get(TRAIN_JOBS, name, "default"))


def greet(who: str) -> None:
    import os

    print(f"hello {who} from {os.environ['JOB_COMPLETION_INDEX']} with {os.environ['GREETING']}")


def endless() -> None:
    import threading

    print("running", flush=True)
    threading.Event().wait()


def test_runtimes(sdk: Any) -> None:
    listed = {r.name: r for r in sdk.list_runtimes()}
    assert set(listed) == {"plain", *map(objects.name, runtimes())}
    assert listed["trl-sft"].trainer.command == listed["torchtune-llama3.2-1b"].trainer.command == ("tune", "run")
    torch = sdk.get_runtime("torch-distributed")
    assert (torch.trainer.framework, torch.trainer.num_nodes, torch.trainer.command[0]) == ("torch", 1, "bash")
    with pytest.raises(RuntimeError, match="Failed to get Runtime: gone"):
        sdk.get_runtime("gone")


def test_a_function_on_two_nodes(sdk: Any) -> None:
    name = train(sdk, greet, func_args={"who": "you"}, num_nodes=2, env={"GREETING": "a bow"})
    assert re.fullmatch("[a-z][0-9a-f]{11}", name)
    job = wait(sdk, name)
    assert (job.status, job.num_nodes, job.runtime.name) == ("Complete", 2, "plain")
    assert [(step.name, step.status) for step in sorted(job.steps, key=lambda s: s.name)] == [
        ("node-0", "Succeeded"),
        ("node-1", "Succeeded"),
    ]
    for node in (0, 1):
        assert list(sdk.get_job_logs(name, step=f"node-{node}")) == [f"hello you from {node} with a bow"]
    assert name in [j.name for j in sdk.list_jobs(runtime=sdk.get_runtime("plain"))]
    assert name not in [j.name for j in sdk.list_jobs(runtime=sdk.get_runtime("torch-distributed"))]
    reasons = {(e.involved_object_kind, e.reason) for e in sdk.get_job_events(name)}
    assert {("Pod", "Scheduled"), ("Pod", "Started"), ("JobSet", "AllJobsCompleted")} <= reasons


def test_logs_are_followed_while_the_job_runs(sdk: Any) -> None:
    def slowly() -> None:
        import threading

        for number in range(3):
            print("line", number, flush=True)
            threading.Event().wait(1)

    name = train(sdk, slowly)
    wait(sdk, name, "Running", "Complete")
    lines = iter(sdk.get_job_logs(name, follow=True))
    assert next(lines) == "line 0"
    assert sdk.get_job(name).status != "Complete", "the first line came before the last"
    assert list(lines) == ["line 1", "line 2"]
    wait(sdk, name)


def test_packages_are_there_when_the_function_runs(sdk: Any) -> None:
    def use() -> None:
        import iniconfig

        print("have", iniconfig.__name__)

    name = train(sdk, use, packages_to_install=["iniconfig"])  # pytest brings it along: pip finds it without a network
    wait(sdk, name)
    assert list(sdk.get_job_logs(name)) == ["Successfully installed Python packages (user): iniconfig", "have iniconfig"]


def test_a_container_with_every_option(sdk: Any, platform: Cluster) -> None:
    from kubeflow.trainer import CustomTrainerContainer
    from kubeflow.trainer import options as o

    pod = o.PodSpecPatch(
        volumes=[{"name": "scratch", "emptyDir": {}}],
        containers=[o.ContainerPatch(name="node", volume_mounts=[{"name": "scratch", "mountPath": "/mnt/scratch"}])],
    )
    job = o.JobTemplatePatch(spec=o.JobSpecPatch(template=o.PodTemplatePatch(metadata={"labels": {"queue": "fast"}}, spec=pod)))
    jobset = o.JobSetSpecPatch(replicated_jobs=[o.ReplicatedJobPatch(name="node", template=job)])
    patch = o.RuntimePatch(training_runtime_spec=o.TrainingRuntimeSpecPatch(template=o.JobSetTemplatePatch(spec=jobset)))
    options = [
        o.Name("with-options"),
        o.Labels({"team": "vision"}),
        o.Annotations({"note": "x"}),
        o.TrainerCommand(["sh", "-c"]),
        o.TrainerArgs(["echo $MINE > /mnt/scratch/a && cat /mnt/scratch/a"]),
        o.ActiveDeadlineSeconds(300),
        patch,
    ]
    trainer = CustomTrainerContainer(image="busybox", env={"MINE": "shell"}, resources_per_node={"cpu": "500m", "memory": "64Mi"})
    assert sdk.train(runtime="plain", trainer=trainer, options=options) == "with-options"
    step = wait(sdk, "with-options").steps[0]
    assert (step.device, step.device_count) == ("cpu", "500m")
    assert list(sdk.get_job_logs("with-options")) == ["shell"]
    found = trainjob(platform, "with-options")
    assert (objects.labels(found), objects.annotations(found)) == ({"team": "vision"}, {"note": "x"})
    assert objects.labels(listed(platform, PODS, "with-options")[0])["queue"] == "fast"


def test_a_function_that_raises_fails_the_job(sdk: Any, platform: Cluster) -> None:
    def fail() -> None:
        raise ValueError("no such learning rate")

    name = train(sdk, fail)
    assert wait(sdk, name, "Failed").status == "Failed"
    log = "\n".join(sdk.get_job_logs(name))
    assert "Traceback (most recent call last)" in log
    assert "ValueError: no such learning rate" in log
    state = listed(platform, PODS, name)[0]["status"]["containerStatuses"][0]["state"]
    assert state["terminated"]["exitCode"] == 1
    condition = trainjob(platform, name)["status"]["conditions"][0]
    assert (condition["type"], condition["status"], condition["reason"]) == ("Failed", "True", "FailedJobs")
    with pytest.raises(RuntimeError, match=f"TrainJob {name} is Failed"):
        wait(sdk, name)


def test_a_deadline_ends_the_job(sdk: Any, platform: Cluster) -> None:
    from kubeflow.trainer import options as o

    name = train(sdk, endless, o.ActiveDeadlineSeconds(3))
    wait(sdk, name, "Running")
    wait(sdk, name, "Failed")
    assert trainjob(platform, name)["status"]["conditions"][0]["reason"] == "DeadlineExceeded"
    assert listed(platform, JOB_SETS, name) == []


def test_suspend_and_resume(sdk: Any, platform: Cluster) -> None:
    name = train(sdk, endless)
    wait(sdk, name, "Running")
    platform.run(platform.client.patch(TRAIN_JOBS, name, {"spec": {"suspend": True}}, "default"))
    until(lambda: listed(platform, PODS, name) == [])
    assert sdk.get_job(name).status == "Created"
    platform.run(platform.client.patch(TRAIN_JOBS, name, {"spec": {"suspend": False}}, "default"))
    until(lambda: any(p["status"].get("phase") == "Running" for p in listed(platform, PODS, name)))
    assert trainjob(platform, name)["status"]["conditions"][0]["reason"] == "Resumed"
    sdk.delete_job(name)


def test_deleting_a_job_leaves_nothing(sdk: Any, platform: Cluster) -> None:
    name = train(sdk, endless, num_nodes=2)
    wait(sdk, name, "Running")
    sdk.delete_job(name)
    until(lambda: not any(listed(platform, resource, name) for resource in (JOB_SETS, JOBS, PODS, CONFIG_MAPS)))
    with pytest.raises(RuntimeError, match="Failed to get TrainJob"):
        sdk.get_job(name)


def test_what_a_machine_lacks_is_said(sdk: Any) -> None:
    name = train(sdk, endless, resources_per_node={"cpu": 100_000})
    until(lambda: any(e.reason == "FailedScheduling" for e in sdk.get_job_events(name)))
    message = next(e.message for e in sdk.get_job_events(name) if e.reason == "FailedScheduling")
    assert "Insufficient cpu" in message
    assert sdk.get_job(name).status == "Created"
    sdk.delete_job(name)


def test_refusals_reach_the_user(sdk: Any) -> None:
    from kubeflow.trainer import options as o

    with pytest.raises(RuntimeError) as refused:
        train(sdk, endless, o.Name("Bad_Name"))
    assert "metadata.name must match RFC 1035 DNS label format" in str(refused.value.__cause__)
    with pytest.raises(RuntimeError) as reserved:
        train(sdk, endless, runtime="torch-distributed", env={"PET_NNODES": "3"})
    assert "must not have reserved envs, invalid envs configured: [PET_NNODES]" in str(reserved.value.__cause__)


def test_packages_of_a_runtime(sdk: Any, capsys: pytest.CaptureFixture[str]) -> None:
    sdk.get_runtime_packages(sdk.get_runtime("plain"))
    printed = capsys.readouterr().out
    assert printed.startswith("Python: 3.")
    assert "msgspec" in printed
    assert [j.name for j in sdk.list_jobs() if j.status == "Running"] == []


@pytest.mark.torch
def test_torch_nodes_find_each_other(sdk: Any) -> None:
    def rendezvous() -> None:
        import torch
        import torch.distributed as dist

        dist.init_process_group("gloo")
        total = torch.ones(1)
        dist.all_reduce(total)
        print("rank", dist.get_rank(), "of", dist.get_world_size(), "sum", int(total.item()), flush=True)
        dist.destroy_process_group()

    name = train(sdk, rendezvous, runtime="torch-distributed", num_nodes=2)
    wait(sdk, name, timeout=600)
    for node in (0, 1):
        assert f"rank {node} of 2 sum 2" in list(sdk.get_job_logs(name, step=f"node-{node}"))


@pytest.mark.torch
def test_digits_are_learnt_on_two_nodes(sdk: Any) -> None:
    name = train(sdk, train_digits, runtime="torch-distributed", num_nodes=2, func_args={"epochs": 6})
    wait(sdk, name, timeout=600)
    log = list(sdk.get_job_logs(name))
    epochs = [line for line in log if re.fullmatch(r"epoch \d+/6 loss [0-9.]+ accuracy [0-9.]+%", line)]
    assert len(epochs) == 6
    assert float(epochs[-1].split()[-1].rstrip("%")) > 97
