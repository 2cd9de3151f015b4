"""What the official SDK sends, recorded: every call of `TrainerClient` as HTTP requests, and what we make of the bodies.

The transcript in `golden/` is that of SDK 0.5.0. `test_the_sdk_sends_what_was_recorded` compares it with the SDK that is installed
(set LIGHTSHIP_WRITE_GOLDEN=1 to record anew); the other tests need no SDK and hold us to the recorded bodies.
"""

import json
import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from lightship.kinds import PODS
from lightship.meta.objects import Obj
from lightship.train.api import CLUSTER_TRAINING_RUNTIMES, TRAIN_JOBS
from lightship.train.bootstrap import bootstrap
from tests.train import site
from tests.train.plane import Plane, plane
from tests.train.site import Site

GOLDEN = Path(__file__).parent / "golden" / "sdk-0.5.json"


def transcript() -> dict[str, list[Obj]]:
    found: dict[str, list[Obj]] = json.loads(GOLDEN.read_text())
    return found


def body(call: str) -> Obj:
    """The TrainJob that a call has posted."""
    (found,) = (request["body"] for request in transcript()[call] if request["method"] == "POST")
    return found  # type: ignore[no-any-return]  # JSON


def made_of(body: Obj) -> tuple[Obj, Obj]:
    """(TrainJob as stored, JobSet) that come of a recorded body."""
    found: list[Obj] = []

    async def scenario(s: Site) -> None:
        await bootstrap(s.client)
        # The SDK names no namespace in the body, only in the path.
        stored = await s.client.create(TRAIN_JOBS, {**body, "metadata": {**body["metadata"], "namespace": "default"}})
        async with s.controllers():
            jobset = await s.until(lambda: s.jobset(stored["metadata"]["name"]))
        found.extend((stored, jobset))

    site.run(scenario)
    return found[0], found[1]


def test_the_recorded_function_becomes_a_jobset() -> None:
    job, jobset = made_of(body("train function"))
    assert job["spec"]["activeDeadlineSeconds"] == 600
    assert job["metadata"]["labels"] == {"team": "vision"}
    assert job["metadata"]["annotations"] == {"note": "first"}
    template = jobset["spec"]["replicatedJobs"][0]["template"]["spec"]
    assert (template["parallelism"], template["completions"]) == (2, 2)
    container = template["template"]["spec"]["containers"][0]
    shell, flag, script = container["command"]
    assert (shell, flag) == ("bash", "-c")
    assert 'torchrun "test_wire.py"' in script
    assert "PACKAGES=(scikit-learn)" in script
    assert "train(**{'epochs': 3})" in script
    assert container["resources"] == {"limits": {"cpu": "1", "memory": "512Mi"}, "requests": {"cpu": "1", "memory": "512Mi"}}
    env = {e["name"]: e.get("value") for e in container["env"]}
    assert env == {
        "LR": "0.1",
        "PET_NNODES": "2",
        "PET_NPROC_PER_NODE": "1",
        "PET_NODE_RANK": None,
        "PET_MASTER_ADDR": "func-node-0-0.func",
        "PET_MASTER_PORT": "29500",
    }


def test_the_recorded_container_becomes_a_jobset() -> None:
    job, jobset = made_of(body("train container"))
    assert job["spec"]["runtimePatches"][0]["manager"] == "trainer.kubeflow.org/kubeflow-sdk"
    assert "time" in job["spec"]["runtimePatches"][0]
    pod = jobset["spec"]["replicatedJobs"][0]["template"]["spec"]["template"]["spec"]
    assert pod["nodeSelector"] == {"disk": "ssd"}
    assert pod["volumes"] == [{"name": "scratch", "emptyDir": {}}]
    container = pod["containers"][0]
    assert (container["image"], container["command"], container["args"]) == ("mine:1", ["python"], ["-m", "mine"])
    assert container["volumeMounts"] == [{"name": "scratch", "mountPath": "/scratch"}]


def test_the_recorded_builtin_trainer_becomes_a_jobset() -> None:
    _, jobset = made_of(body("train builtin"))
    dataset, model, node = (job["template"]["spec"]["template"]["spec"]["containers"][0] for job in jobset["spec"]["replicatedJobs"])
    assert {"name": "STORAGE_URI", "value": "hf://tatsu-lab/alpaca/data"} in dataset["env"]
    assert {"name": "ACCESS_TOKEN", "value": "secret"} in model["env"]
    assert node["command"][:2] == ["tune", "run"]
    assert "epochs=1" in node["args"]


def test_the_recorded_mpi_job_becomes_a_launcher_and_nodes() -> None:
    _, jobset = made_of(body("train mpi"))
    node, launcher = (job["template"]["spec"] for job in jobset["spec"]["replicatedJobs"])
    assert (launcher["completions"], node["completions"]) == (1, 2), "the launcher is the third node"
    command = launcher["template"]["spec"]["containers"][0]["command"]
    assert command[:-1] == ["mpirun", "--hostfile", "/etc/mpi/hostfile", "bash", "-c"]
    assert "> /home/mpiuser/test_wire.py" in command[-1].replace('"', "")
    assert node["template"]["spec"]["containers"][0]["command"][0] == "/usr/sbin/sshd"


def test_the_recorded_question_for_packages_becomes_a_jobset_of_one_process() -> None:
    _, jobset = made_of(body("get_runtime_packages"))
    launcher = jobset["spec"]["replicatedJobs"][1]["template"]["spec"]["template"]["spec"]["containers"][0]
    assert launcher["command"][:3] == ["mpirun", "-np", "1"]


def train(epochs: int) -> None:
    print(f"{epochs} epochs")


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # the SDK's own imports
def test_the_sdk_sends_what_was_recorded(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    with plane() as running:
        ends(running, "mlx-distributed", "launcher", "packages of MLX")
        recorded = play(running.kubeconfig, monkeypatch)
        assert capsys.readouterr().out.splitlines() == ["packages of MLX"]
        left = running.run(running.client.list(TRAIN_JOBS, "default")).items
        assert {job["metadata"]["name"] for job in left} == {"builtin", "container", "mpi"}
        pods = running.run(running.client.list(PODS, "default")).items
    assert pods
    if os.environ.get("LIGHTSHIP_WRITE_GOLDEN"):
        GOLDEN.write_text(json.dumps(recorded, indent=1) + "\n")
    assert recorded == transcript()


def ends(running: Plane, runtime: str, step: str, log: str) -> None:
    """Have the pods of a runtime's step print something and end."""
    found = running.run(running.client.get(CLUSTER_TRAINING_RUNTIMES, runtime))
    (job,) = (job for job in found["spec"]["template"]["spec"]["replicatedJobs"] if job["name"] == step)
    job["template"]["spec"]["template"]["spec"]["containers"][0]["env"] = [{"name": "EXIT", "value": "0"}, {"name": "LOG", "value": log}]
    running.run(running.client.update(CLUSTER_TRAINING_RUNTIMES, found))


def play(kubeconfig: str, monkeypatch: pytest.MonkeyPatch) -> dict[str, list[Obj]]:
    """Make every call once; call → the requests that it sent, in a fixed order, since the SDK sends some of them in parallel."""
    from kubeflow import trainer as t
    from kubeflow.common.types import KubernetesBackendConfig
    from kubeflow.trainer import BuiltinTrainer, CustomTrainer, CustomTrainerContainer, TorchTuneConfig, TrainerClient
    from kubeflow.trainer import options as o

    recorded: dict[str, list[Obj]] = {}
    with recording(monkeypatch) as sent:

        def call(name: str, do: Callable[[], Any]) -> Any:
            sent.clear()
            answer = do()
            recorded[name] = sorted(sent, key=lambda r: (r["method"], r["path"], json.dumps(r.get("query", {}))))
            return answer

        client: Any = call("TrainerClient", lambda: TrainerClient(KubernetesBackendConfig(config_file=kubeconfig)))
        call("list_runtimes", client.list_runtimes)
        runtime = call("get_runtime", lambda: client.get_runtime("torch-distributed"))
        function = CustomTrainer(
            func=train,
            func_args={"epochs": 3},
            packages_to_install=["scikit-learn"],
            pip_index_urls=["https://packages.example/simple"],
            num_nodes=2,
            resources_per_node={"cpu": 1, "memory": "512Mi"},
            env={"LR": "0.1"},
        )
        options = [o.Name("func"), o.Labels({"team": "vision"}), o.Annotations({"note": "first"}), o.ActiveDeadlineSeconds(600)]
        call("train function", lambda: client.train(runtime=runtime, trainer=function, options=options))
        container = CustomTrainerContainer(image="mine:1", env={"EXIT": "0", "LOG": "hello"})
        options = [o.Name("container"), o.TrainerCommand(["python"]), o.TrainerArgs(["-m", "mine"]), patch(o)]
        call("train container", lambda: client.train(runtime="torch-distributed", trainer=container, options=options))
        client.wait_for_job_status("func", status={"Running"}, timeout=20, polling_interval=1)
        client.wait_for_job_status("container", timeout=20, polling_interval=1)
        assert call("get_job", lambda: client.get_job("container")).status == "Complete"
        assert {job.name for job in call("list_jobs", client.list_jobs)} == {"func", "container"}
        assert list(client.get_job_logs("container")) == ["hello"]
        call("get_job_logs", lambda: list(client.get_job_logs("container")))
        assert call("get_job_logs follow", lambda: list(client.get_job_logs("container", follow=True))) == ["hello"]
        assert call("get_job_events", lambda: client.get_job_events("container"))
        call("wait_for_job_status", lambda: client.wait_for_job_status("container", timeout=20, polling_interval=1))
        call("delete_job", lambda: client.delete_job("func"))
        builtin = BuiltinTrainer(config=TorchTuneConfig(epochs=1, resources_per_node={"cpu": 1}))
        data = t.HuggingFaceDatasetInitializer(storage_uri="hf://tatsu-lab/alpaca/data")
        model = t.HuggingFaceModelInitializer(storage_uri="hf://meta-llama/Llama-3.2-1B-Instruct", access_token="secret")
        sources = t.Initializer(dataset=data, model=model)
        options = [o.Name("builtin")]
        runtime = "torchtune-llama3.2-1b"
        call("train builtin", lambda: client.train(runtime=runtime, trainer=builtin, initializer=sources, options=options))
        mpi(client, call)
        packages(client, call)
    return named(recorded)


def mpi(client: Any, call: Callable[[str, Callable[[], Any]], Any]) -> None:
    """A launcher that is a node itself, and two nodes beside it: the SDK counts them from 0, and asks each for its container `node`."""
    from kubeflow.trainer import CustomTrainer
    from kubeflow.trainer.options import Name

    trainer = CustomTrainer(func=train, func_args={"epochs": 3}, num_nodes=3, env={"EXIT": "0", "LOG": "rank 0"})
    call("train mpi", lambda: client.train(runtime="deepspeed-distributed", trainer=trainer, options=[Name("mpi")]))
    client.wait_for_job_status("mpi", timeout=20, polling_interval=1)
    steps = {step.name: step.pod_name.rpartition("-")[0] for step in call("get_job mpi", lambda: client.get_job("mpi")).steps}
    assert steps == {"node-0": "mpi-launcher-0-0", "node-1": "mpi-node-0-0", "node-2": "mpi-node-0-1"}
    assert call("get_job_logs mpi", lambda: list(client.get_job_logs("mpi"))) == ["rank 0"]
    call("get_job_logs mpi node-2", lambda: list(client.get_job_logs("mpi", step="node-2")))


def packages(client: Any, call: Callable[[str, Callable[[], Any]], Any]) -> None:
    """What a runtime has installed: a job that prints it, is waited for, and is deleted."""
    runtime = client.get_runtime("mlx-distributed")
    call("get_runtime_packages", lambda: client.get_runtime_packages(runtime))


def named(recorded: dict[str, list[Obj]]) -> dict[str, list[Obj]]:
    """Without what differs each time: names that are made up, and how often `get_runtime_packages` had to ask. Nor is its program kept."""
    found: dict[str, list[Obj]] = {call: [json.loads(_tidy(json.dumps(r))) for r in requests] for call, requests in recorded.items()}
    polled = found["get_runtime_packages"]
    return {**found, "get_runtime_packages": [r for i, r in enumerate(polled) if r not in polled[:i]]}


def _tidy(text: str) -> str:
    text = re.sub(r"\b((?:mpi|container)-(?:launcher|node)-0-\d)-[a-z0-9]{5}\b", r"\1-pod", text)
    text = re.sub(r"\b[a-z][0-9a-f]{11}-((?:launcher|node)-0-\d)-[a-z0-9]{5}\b", r"job-\1-pod", text)
    text = re.sub(r"\b[a-z][0-9a-f]{11}\b", "job", text)
    return re.sub(r"def print_packages.*?EOM", "...EOM", text)


def patch(o: Any) -> Any:
    pod = o.PodSpecPatch(
        node_selector={"disk": "ssd"},
        volumes=[{"name": "scratch", "emptyDir": {}}],
        containers=[o.ContainerPatch(name="node", volume_mounts=[{"name": "scratch", "mountPath": "/scratch"}])],
    )
    job = o.JobTemplatePatch(spec=o.JobSpecPatch(template=o.PodTemplatePatch(spec=pod)))
    jobset = o.JobSetSpecPatch(replicated_jobs=[o.ReplicatedJobPatch(name="node", template=job)])
    return o.RuntimePatch(training_runtime_spec=o.TrainingRuntimeSpecPatch(template=o.JobSetTemplatePatch(spec=jobset)))


@contextmanager
def recording(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Obj]]:
    """Everything that the Kubernetes client sends while the block lasts."""
    from kubernetes.client.rest import RESTClientObject

    sent: list[Obj] = []
    original = RESTClientObject.request

    def request(self: Any, method: str, url: str, *args: Any, **kwargs: Any) -> Any:
        said: Obj = {"method": method, "path": "/" + url.split("/", 3)[3]}
        query = {str(k): str(v) for k, v in kwargs.get("query_params") or ()}
        if query:
            said["query"] = query
        if kwargs.get("body") is not None:
            said["body"] = kwargs["body"]
        sent.append(said)
        return original(self, method, url, *args, **kwargs)

    with monkeypatch.context() as patched:
        patched.setattr(RESTClientObject, "request", request)
        yield sent
