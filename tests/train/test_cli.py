"""`lightship train` on our API server: what it prints and what it asks for."""

import argparse
import json
from collections.abc import Awaitable, Callable
from typing import Any, cast

import pytest

from lightship.cli.cluster import Cluster
from lightship.cli.errors import CliError
from lightship.kinds import PODS
from lightship.meta import objects
from lightship.meta.errors import StatusError
from lightship.meta.objects import Obj
from lightship.train import cli
from lightship.train.api import TRAIN_JOBS
from lightship.train.bootstrap import bootstrap
from tests.train import site
from tests.train.make import condition, counts
from tests.train.site import Site


def parse(*words: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    cli.arguments(parser)
    return parser.parse_args(words)


async def do(s: Site, *words: str) -> None:
    args = parse(*words)
    await args.do(Cluster(cast(Any, s.client.transport), args.namespace or "default"), args)


def run(scenario: Callable[[Site], Awaitable[None]]) -> None:
    async def prepared(s: Site) -> None:
        await bootstrap(s.client)
        await scenario(s)

    site.run(prepared)


def test_jobs_are_listed_with_their_state(capsys: pytest.CaptureFixture[str]) -> None:
    async def scenario(s: Site) -> None:
        await do(s, "list")
        await s.submit("held", suspend=True)
        await s.submit("new")
        for name, status in (
            ("busy", {"jobsStatus": [counts(active=1, ready=1)]}),
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
    assert [line.split()[:4] for line in lines[:5]] == [
        ["NAME", "RUNTIME", "NODES", "STATE"],
        ["busy", "torch-distributed", "2", "Running"],
        ["done", "torch-distributed", "2", "Complete"],
        ["held", "torch-distributed", "default", "Suspended"],
        ["new", "torch-distributed", "default", "Pending"],
    ]
    assert lines[5] == "trainjob.trainer.kubeflow.org/busy"
    shown = json.loads("\n".join(lines[9:]))
    assert [item["kind"] for item in shown["items"]] == ["TrainJob"] * 4


def test_runtimes_are_listed_with_their_image(capsys: pytest.CaptureFixture[str]) -> None:
    run(lambda s: do(s, "runtimes"))
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["NAME", "FRAMEWORK", "SCOPE", "IMAGE"]
    assert lines[2].split() == ["torch-distributed", "torch", "cluster", "pytorch/pytorch:2.13.0-cuda13.0-cudnn9-runtime"]


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


def pod(name: str, index: int) -> Obj:
    labels = {
        "jobset.sigs.k8s.io/jobset-name": "mnist",
        "jobset.sigs.k8s.io/replicatedjob-name": "node",
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
        found = await cli._started_pod(cluster, args, s.clock)
        assert objects.name(found) == "new"

    run(scenario)
