"""Progress on whole platforms: pods that report by the SDK's call, by our one line and by hand, with and without a pod network.

Real time is unavoidable: pods are processes. What the jobs leave behind, and `lightship train logs` of a job that is gone, is here too.
"""

from collections.abc import Iterator
from typing import Any, cast

import pytest

from lightship.aio.clock import SystemClock, pause
from lightship.cli.cluster import Cluster as Place
from lightship.kinds import PODS
from lightship.meta import objects
from lightship.meta.objects import Obj
from lightship.testing import Cluster, cluster
from lightship.train.api import CLUSTER_TRAINING_RUNTIMES, TRAIN_JOBS
from lightship.train.api.runs import TTL
from lightship.train.status import is_finished
from tests.train import make
from tests.train.test_cli import parse

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore::DeprecationWarning")]
SECONDS = 60

BY_HAND = """
import json, os, ssl, urllib.request
token = open(os.environ["KUBEFLOW_TRAINER_SERVER_TOKEN"]).read()
status = {"progressPercentage": 42, "estimatedRemainingSeconds": 120, "lastUpdatedTime": "2026-06-12T03:00:00.5+00:00",
          "metrics": [{"name": "loss", "value": "0.123"}, {"name": "accuracy", "value": "0.95"}]}
request = urllib.request.Request(os.environ["KUBEFLOW_TRAINER_SERVER_URL"], json.dumps({"trainerStatus": status}).encode(),
                                 {"Authorization": "Bearer " + token})
trusted = ssl.create_default_context(cafile=os.environ["KUBEFLOW_TRAINER_SERVER_CA_CERT"])
print(urllib.request.urlopen(request, context=trusted).status)
"""
BY_ONE_LINE = """
from lightship.train.runtime.progress import progress, report
for step in progress(range(20)):
    report(loss=1 / (step + 1))
"""
BY_THE_SDK = """
from kubeflow.trainer import update_trainjob_status
print(update_trainjob_status(progress_percent=30, estimated_remaining_seconds=9, metrics={"loss": 0.5}))
"""
BY_HUGGING_FACE = """
import torch
from transformers import GPT2Config, GPT2LMHeadModel, Trainer, TrainingArguments
model = GPT2LMHeadModel(GPT2Config(vocab_size=32, n_positions=16, n_embd=16, n_layer=1, n_head=2))
words = [{"input_ids": torch.arange(16), "labels": torch.arange(16)} for _ in range(16)]
arguments = TrainingArguments("/tmp/out", max_steps=4, per_device_train_batch_size=4, logging_steps=1, save_strategy="no", use_cpu=True)
Trainer(model, arguments, train_dataset=words).train()
"""


@pytest.fixture(scope="module", params=["auto", "process"])
def platform(request: pytest.FixtureRequest) -> Iterator[Cluster]:
    with cluster(runtime=request.param) as running:
        node = {"image": "python", "env": [{"name": "PYTHONUNBUFFERED", "value": "1"}]}
        runtime = make.runtime("plain", policy={"numNodes": 1}, node=node)
        job = runtime["spec"]["template"]["spec"]["replicatedJobs"][0]["template"]["spec"]
        job["backoffLimit"] = 0
        job["template"]["spec"]["restartPolicy"] = "Never"
        running.run(running.client.create(CLUSTER_TRAINING_RUNTIMES, runtime))
        yield running


def finish(platform: Cluster, name: str, program: str, *, patience: float = SECONDS, **trainer: Any) -> Obj:
    """Run a program as a TrainJob to its end."""
    job = make.job(name, runtime="plain", trainer={"command": ["python3", "-c", program], **trainer})
    platform.run(platform.client.create(TRAIN_JOBS, job))
    clock = SystemClock()
    deadline = clock.monotonic() + patience
    while not is_finished(job):
        assert clock.monotonic() < deadline, "waited in vain"
        pause(0.05)
        job = platform.run(platform.client.get(TRAIN_JOBS, name, "default"))
    return job


def told(job: Obj) -> Obj:
    """What was reported, without its time."""
    assert objects.status(job)["conditions"][-1]["type"] == "Complete"
    return {k: v for k, v in objects.status(job).get("trainerStatus", {}).items() if k != "lastUpdatedTime"}


def test_by_hand(platform: Cluster) -> None:
    assert objects.status(finish(platform, "hand", BY_HAND))["trainerStatus"] == {
        "progressPercentage": 42,
        "estimatedRemainingSeconds": 120,
        "metrics": [{"name": "loss", "value": "0.123"}, {"name": "accuracy", "value": "0.95"}],
        "lastUpdatedTime": "2026-06-12T03:00:00Z",
    }


def test_by_one_line_on_two_nodes(platform: Cluster) -> None:
    job = finish(platform, "line", BY_ONE_LINE, numNodes=2)
    assert told(job) == {"progressPercentage": 100, "estimatedRemainingSeconds": 0, "metrics": [{"name": "loss", "value": "0.05"}]}


def test_by_the_sdk(platform: Cluster) -> None:
    job = finish(platform, "sdk", BY_THE_SDK)
    assert told(job) == {"progressPercentage": 30, "estimatedRemainingSeconds": 9, "metrics": [{"name": "loss", "value": "0.5"}]}


def test_a_job_that_is_gone_still_says_what_it_printed(platform: Cluster, capsys: pytest.CaptureFixture[str]) -> None:
    finish(platform, "gone", 'print("epoch 1 of 1")')
    platform.run(platform.client.patch(TRAIN_JOBS, "gone", {"metadata": {"annotations": {TTL: "0"}}}, "default"))
    clock = SystemClock()
    deadline = clock.monotonic() + SECONDS
    selector = "jobset.sigs.k8s.io/jobset-name=gone"
    while platform.run(platform.client.list(PODS, "default", labels=selector)).items:
        assert clock.monotonic() < deadline, "waited in vain"
        pause(0.05)
    for words in (("history", "gone"), ("logs", "gone")):
        args = parse(*words)
        platform.run(args.do(Place(cast(Any, platform.client.transport), "default"), args))
    _, row, *printed = capsys.readouterr().out.splitlines()
    assert row.split()[0] == "gone"
    assert row.split()[2:4] == ["Complete", "AllJobsCompleted"]
    assert printed == ["epoch 1 of 1"]


@pytest.mark.torch
def test_by_hugging_face() -> None:
    """Its own callback, of which the program knows nothing. Building the environment may take a while, once."""
    with cluster() as platform:
        runtime = make.runtime("plain", policy={"numNodes": 1}, node={"image": "huggingface/transformers-pytorch-gpu"})
        platform.run(platform.client.create(CLUSTER_TRAINING_RUNTIMES, runtime))
        status = told(finish(platform, "hf", BY_HUGGING_FACE, patience=1800))
        assert (status["progressPercentage"], status["estimatedRemainingSeconds"]) == (100, 0)
        metrics = {metric["name"]: float(metric["value"]) for metric in status["metrics"]}
        assert metrics["epoch"] == 1
        assert 2 < metrics["train_loss"] < 4
