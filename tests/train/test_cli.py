"""`lightship train` on our API server: what it prints and what it asks for."""

import argparse
import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any, cast

import pytest

from lightship.builtin.api import JOB_SETS
from lightship.cli.cluster import Cluster
from lightship.cli.errors import CliError
from lightship.kinds import CONFIG_MAPS, PODS
from lightship.meta import objects
from lightship.meta.errors import StatusError
from lightship.meta.objects import Obj
from lightship.train import cli, history
from lightship.train.api import TRAIN_JOBS
from lightship.train.api.runs import TRAIN_JOB_RUNS
from lightship.train.bootstrap import bootstrap
from lightship.train.cli import logs
from lightship.train.history import Log, Source
from tests.train import make, site
from tests.train.make import condition, counts
from tests.train.site import Site


def parse(*words: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    cli.arguments(parser)
    return parser.parse_args(words)


async def do(s: Site, *words: str) -> int:
    args = parse(*words)
    return cast(int, await args.do(Cluster(cast(Any, s.client.transport), args.namespace or "default"), args) or 0)


def run(scenario: Callable[[Site], Awaitable[Any]]) -> None:
    async def prepared(s: Site) -> None:
        await bootstrap(s.client)
        await scenario(s)

    site.run(prepared)


def reported(left: int) -> Obj:
    """As of a moment that has not come yet, so that nothing of what is left has passed."""
    metrics = [{"name": "loss", "value": "0.25"}]
    return {"progressPercentage": 42, "estimatedRemainingSeconds": left, "metrics": metrics, "lastUpdatedTime": "2099-01-01T00:00:00Z"}


def test_jobs_are_listed_with_their_state(capsys: pytest.CaptureFixture[str]) -> None:
    async def scenario(s: Site) -> None:
        await do(s, "list")
        await s.submit("held", suspend=True)
        await s.submit("new")
        for name, status in (
            ("busy", {"jobsStatus": [counts(active=1, ready=1)], "trainerStatus": reported(90)}),
            ("done", {"conditions": [condition("Complete", "AllJobsCompleted")]}),
        ):
            await s.client.patch_status(TRAIN_JOBS, await s.submit(name, trainer={"numNodes": 2}), status)
        await do(s, "list")
        await do(s, "list", "-o", "name")
        await do(s, "list", "-A", "-o", "json")

    run(scenario)
    empty, _, rest = capsys.readouterr().out.partition("\n")
    assert empty.startswith("No training jobs.")
    lines = rest.splitlines()
    assert [line.split()[:6] for line in lines[:5]] == [
        ["NAME", "RUNTIME", "NODES", "STATE", "PROGRESS", "LEFT"],
        ["busy", "torch-distributed", "2", "Running", "42%", "90s"],
        ["done", "torch-distributed", "2", "Complete", "<none>", "<none>"],
        ["held", "torch-distributed", "default", "Suspended", "<none>", "<none>"],
        ["new", "torch-distributed", "default", "Pending", "<none>", "<none>"],
    ]
    assert lines[5] == "trainjob.trainer.kubeflow.org/busy"
    shown = json.loads("\n".join(lines[9:]))
    assert [item["kind"] for item in shown["items"]] == ["TrainJob"] * 4


def test_runtimes_are_listed_with_their_image(capsys: pytest.CaptureFixture[str]) -> None:
    run(lambda s: do(s, "runtimes"))
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["NAME", "FRAMEWORK", "SCOPE", "IMAGE"]
    torch = next(line for line in lines if line.startswith("torch-distributed"))
    assert torch.split() == [
        "torch-distributed",
        "torch",
        "cluster",
        "pytorch/pytorch:2.13.0-cuda13.0-cudnn9-runtime",
    ]


def test_jobs_are_suspended_resumed_and_deleted(capsys: pytest.CaptureFixture[str]) -> None:
    async def scenario(s: Site) -> None:
        await s.submit()
        await do(s, "suspend", "mnist")
        assert (await s.job())["spec"]["suspend"] is True
        await do(s, "resume", "mnist")
        assert (await s.job())["spec"]["suspend"] is False
        await do(s, "delete", "mnist")
        with pytest.raises(StatusError, match="not found"):
            await do(s, "delete", "mnist")

    run(scenario)
    assert capsys.readouterr().out.splitlines() == [
        "trainjob.trainer.kubeflow.org/mnist suspended",
        "trainjob.trainer.kubeflow.org/mnist resumed",
        "trainjob.trainer.kubeflow.org/mnist deleted",
    ]


def pod(name: str, index: int, step: str = "node") -> Obj:
    labels = {
        "jobset.sigs.k8s.io/jobset-name": "mnist",
        "jobset.sigs.k8s.io/replicatedjob-name": step,
        "batch.kubernetes.io/job-completion-index": str(index),
    }
    metadata = {"name": name, "namespace": "default", "labels": labels}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": {"containers": [{"name": "node", "image": "a"}]}}


@pytest.mark.parametrize(
    ("words", "finished", "want"),
    [
        (("logs", "mnist"), False, "node 0 of mnist has not started: the job is Pending"),
        (("logs", "mnist", "--node", "7"), False, "node 7 of mnist has no pod: the job is Pending"),
        (("logs", "mnist", "--step", "dataset-initializer"), False, "dataset-initializer of mnist has no pod: the job is Pending"),
        (("logs", "-f", "mnist"), True, "node 0 of mnist has not started: the job is Failed"),
    ],
)
def test_logs_say_why_there_are_none(words: tuple[str, ...], finished: bool, want: str) -> None:
    async def scenario(s: Site) -> None:
        job = await s.submit()
        await s.client.create(PODS, pod("a", 0))
        if finished:
            await s.client.patch_status(TRAIN_JOBS, job, {"conditions": [condition("Failed", "FailedJobs")]})
        with pytest.raises(CliError, match=want):
            await do(s, *words)

    run(scenario)


def test_logs_of_no_job_speak_of_the_job() -> None:
    async def scenario(s: Site) -> None:
        with pytest.raises(StatusError, match=r'trainjobs\.trainer\.kubeflow\.org "gone" not found'):
            await do(s, "logs", "gone")

    run(scenario)


def test_logs_follow_the_newest_pod_of_the_node() -> None:
    async def scenario(s: Site) -> None:
        await s.submit()
        args = parse("logs", "mnist", "--node", "1")
        for name, index in (("other", 0), ("old", 1), ("new", 1)):
            made = await s.client.create(PODS, pod(name, index))
            await s.client.patch_status(PODS, made, {"phase": "Running"})
            await s.clock.sleep(2)
        cluster = Cluster(cast(Any, s.client.transport), "default")
        found = await logs._started_pod(cluster, args, s.clock)
        assert objects.name(found) == "new"

    run(scenario)


@pytest.mark.parametrize(("words", "want"), [([], "launcher"), (["--node", "1"], "first"), (["--step", "launcher"], "launcher")])
def test_the_launcher_of_an_mpi_job_is_its_node_0(words: list[str], want: str) -> None:
    async def scenario(s: Site) -> None:
        await s.submit()
        jobs = [make.replicated_job("node"), make.replicated_job("launcher")]
        await s.client.create(JOB_SETS, {**make.jobset(), "spec": {"replicatedJobs": jobs}})
        for name, step in (("first", "node"), ("launcher", "launcher")):
            made = await s.client.create(PODS, pod(name, 0, step))
            await s.client.patch_status(PODS, made, {"phase": "Running"})
        cluster = Cluster(cast(Any, s.client.transport), "default")
        found = await logs._started_pod(cluster, parse("logs", "mnist", *words), s.clock)
        assert objects.name(found) == want

    run(scenario)


def test_one_job_is_shown_with_its_progress(capsys: pytest.CaptureFixture[str]) -> None:
    async def scenario(s: Site) -> None:
        job = await s.submit("mnist", trainer={"numNodes": 2})
        await s.client.patch_status(TRAIN_JOBS, job, {"jobsStatus": [counts(active=1)], "trainerStatus": reported(90)})
        await do(s, "get", "mnist")
        await do(s, "get", "mnist", "-o", "json")

    run(scenario)
    text, brace, document = capsys.readouterr().out.partition("{")
    told = dict(line.split(None, 1) for line in text.splitlines() if not line.startswith(("step", "metric")))
    assert {name: told[name] for name in ("name", "runtime", "state", "progress", "left")} == {
        "name": "mnist",
        "runtime": "torch-distributed",
        "state": "Pending",
        "progress": "42%",
        "left": "90s",
    }
    assert "step node    1 active" in text
    assert "metric loss  0.25" in text
    assert json.loads(brace + document)["kind"] == "TrainJob"


@pytest.mark.parametrize(("end", "status"), [("Complete", 0), ("Failed", 1)])
def test_a_job_is_watched_to_its_end(end: str, status: int, capsys: pytest.CaptureFixture[str]) -> None:
    async def scenario(s: Site) -> None:
        job = await s.submit("mnist")
        watching = asyncio.create_task(do(s, "watch", "mnist"))
        await s.settle(1)
        job = await s.client.patch_status(TRAIN_JOBS, job, {"trainerStatus": reported(3600)})
        await s.settle(1)
        await s.client.patch_status(TRAIN_JOBS, job, {**objects.status(job), "conditions": [condition(end, "AllJobsCompleted")]})
        assert await watching == status

    run(scenario)
    assert capsys.readouterr().out.splitlines() == [
        "mnist  Pending",
        "mnist  Pending  ██████████░░░░░░░░░░░░░░  42%  60m left  loss 0.25",
        f"mnist  {end}  ██████████░░░░░░░░░░░░░░  42%  loss 0.25",
    ]


def test_finished_jobs_are_told_and_what_they_printed(capsys: pytest.CaptureFixture[str]) -> None:
    async def scenario(s: Site) -> None:
        await do(s, "history")
        job = await s.submit("mnist", trainer={"numNodes": 2})
        job = await s.client.patch_status(TRAIN_JOBS, job, {"conditions": [condition("Failed", "FailedJobs", "a node failed")]})
        source = Source("node", 1, "mnist-node-0-1", "node", 1)
        log = Log(source, "it broke\n", 9)
        kept = await s.client.create(TRAIN_JOB_RUNS, history.make(job, None, [], [log]))
        await s.client.create(CONFIG_MAPS, history.logs_of(kept, [log]))
        await s.client.delete(TRAIN_JOBS, "mnist", "default")
        await do(s, "history")
        await do(s, "history", "other")
        await do(s, "logs", "mnist", "--node", "1")
        with pytest.raises(StatusError, match='"mnist" not found'):
            await do(s, "logs", "mnist", "--node", "0")
        await do(s, "history", "-A", "-o", "json")

    run(scenario)
    none, heading, row, other, printed, *rest = capsys.readouterr().out.splitlines()
    assert (none, other, printed) == ("No training job has finished yet.", "No run of other is kept.", "it broke")
    assert heading.split() == ["JOB", "RUN", "STATE", "REASON", "PROGRESS", "TOOK", "ENDED"]
    assert row.split()[0] == "mnist"
    assert row.split()[2:5] == ["Failed", "FailedJobs", "<none>"]
    assert json.loads("\n".join(rest))["items"][0]["kind"] == "TrainJobRun"
