"""What is kept of jobs that have finished, and when they go: the pure core as tables, the controller on our API server."""

from collections.abc import AsyncIterator
from random import Random
from typing import Any

import pytest

from lightship.kinds import CONFIG_MAPS, PODS
from lightship.meta import errors, objects, times
from lightship.meta.errors import StatusError
from lightship.meta.objects import Obj
from lightship.meta.rest import LogOptions, Transport
from lightship.train import history
from lightship.train.api import TRAIN_JOBS
from lightship.train.api.runs import PRIORITY_CLASS, TRAIN_JOB_RUNS, TTL
from lightship.train.history import Log, Tail
from lightship.train.plugins import FRAMEWORK
from tests.client.faults import Faults, FaultyTransport
from tests.train import make, site
from tests.train.make import condition, counts
from tests.train.site import Site

END = "2023-11-14T22:30:00Z"
ENDED = times.parse(END)


def finished(name: str = "mnist", type: str = "Complete", **notes: str) -> Obj:
    job = make.stored(make.job(name, trainer={"numNodes": 2}), conditions=[condition(type, "AllJobsCompleted", "done", when=END)])
    job["metadata"]["annotations"] = notes
    return job


def pod(name: str, *, step: str = "node", index: int = 0, phase: str = "Succeeded", code: int = 0) -> Obj:
    labels = {
        "jobset.sigs.k8s.io/jobset-name": "mnist",
        "jobset.sigs.k8s.io/replicatedjob-name": step,
        "batch.kubernetes.io/job-completion-index": str(index),
    }
    state = {"terminated": {"exitCode": code, "reason": "Completed"}}
    status = {"phase": phase, "startTime": END, "containerStatuses": [{"name": step, "state": state}]}
    spec = {"containers": [{"name": step, "image": "i"}]}
    return {"metadata": {"name": name, "namespace": "default", "labels": labels}, "spec": spec, "status": status}


@pytest.mark.parametrize(
    ("job", "now", "want"),
    [
        (finished(), ENDED, None),
        (finished(**{TTL: "60"}), ENDED, 60.0),
        (finished(**{TTL: "60"}), ENDED + 61, -1.0),
        (finished(**{TTL: "0"}), ENDED, 0.0),
        (finished(**{TTL: "soon"}), ENDED, None),
        (make.stored(make.job()), ENDED, None),
    ],
)
def test_when_a_job_may_go(job: Obj, now: float, want: float | None) -> None:
    assert history.seconds_left(job, now) == want


def test_whose_logs_are_kept() -> None:
    pods = [pod(f"n{i}", index=i) for i in range(20)]
    pods += [pod("bad", index=30, phase="Failed", code=3), pod("data", step="dataset-initializer")]
    found = history.sources(pods)
    assert len(found) == history.MOST_PODS
    assert (found[0].pod, found[0].exit_code) == ("bad", 3), "what failed tells most"
    assert [s.pod for s in found[1:4]] == ["n0", "n1", "n2"]
    assert history.sources(pods[-1:])[0].key == "dataset-initializer-0.dataset-initializer"


def test_only_the_end_of_a_long_log_is_kept_from_the_beginning_of_a_line() -> None:
    tail = Tail(20)
    for i in range(100):
        tail.feed(f"line {i}\n".encode())
    assert tail.text() == "line 98\nline 99\n"
    assert tail.size == sum(len(f"line {i}\n") for i in range(100))
    short = Tail(20)
    short.feed(b"all of \xff it")
    assert short.text() == "all of � it"


def test_old_and_many_runs_go() -> None:
    def run(name: str, end: float) -> Obj:
        return {"metadata": {"name": name}, "status": {"completionTime": times.rfc3339(end)}}

    runs = [run(f"r{i}", ENDED - i) for i in range(history.KEPT + 2)]
    old = run("old", ENDED - history.KEPT_SECONDS - 1)
    assert [objects.name(r) for r in history.surplus([old, *runs], ENDED)] == [f"r{history.KEPT}", f"r{history.KEPT + 1}", "old"]
    assert history.surplus(runs[:5], ENDED) == []


def test_a_run_tells_what_became_of_the_job() -> None:
    job = finished()
    job["status"]["trainerStatus"] = {"progressPercentage": 100}
    log = Log(history.sources([pod("p")])[0], "hello\n", 6)
    jobset = make.jobset(restarts=2, conditions=[])
    run = history.make(job, jobset, [pod("p")], [log])
    assert run["metadata"]["name"] == f"mnist-{make.UID[:8]}"
    assert run["spec"] == {"trainJob": {"name": "mnist", "uid": make.UID}, "runtimeRef": {"name": "torch-distributed"}, "numNodes": 2}
    assert run["status"] == {
        "state": "Complete",
        "reason": "AllJobsCompleted",
        "message": "done",
        "creationTime": make.CREATED,
        "startTime": END,
        "completionTime": END,
        "restarts": 2,
        "trainerStatus": {"progressPercentage": 100},
        "logs": [{"step": "node", "node": 0, "container": "node", "pod": "p", "exitCode": 0, "key": "node-0.node", "bytes": 6}],
    }


class Printing:
    """A transport whose pods print; everything else is the server's."""

    def __init__(self, inner: Transport, texts: dict[str, str | StatusError]) -> None:
        self._inner = inner
        self.texts = texts

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    async def logs(self, namespace: str, pod: str, options: LogOptions) -> AsyncIterator[bytes]:
        found = self.texts.get(pod, "")
        if isinstance(found, StatusError):
            raise found
        yield found.encode()


async def finish(s: Site, *names: str, **notes: str) -> Obj:
    """A TrainJob with pods of these names, whose JobSet is complete."""
    await s.runtime()
    job = make.job(trainer={"numNodes": 2})
    job["metadata"]["annotations"] = notes
    await s.client.create(TRAIN_JOBS, job)
    for i, name in enumerate(names):
        made = pod(name, index=i)
        await s.client.create(PODS, {k: v for k, v in made.items() if k != "status"})
        await s.client.patch(PODS, name, {"status": made["status"]}, "default", subresource="status")
    await s.until(s.jobset)
    done = condition("Completed", "AllJobsCompleted", "jobset completed successfully", when=times.rfc3339(s.clock.now()))
    await s.report(replicatedJobsStatus=[counts(succeeded=1)], conditions=[done])
    return await s.job()


async def only_run(s: Site) -> Obj | None:
    found = (await s.client.list(TRAIN_JOB_RUNS, "default")).items
    assert len(found) <= 1
    return found[0] if found else None


async def kept(s: Site) -> dict[str, str] | None:
    run = await only_run(s)
    found = await s.client.get_or_none(CONFIG_MAPS, objects.name(run) + "-logs", "default") if run else None
    return found["data"] if found else None


def printing(s: Site, **texts: str | StatusError) -> Printing:
    transport = Printing(s.acting.transport, {name.replace("_", "-"): text for name, text in texts.items()})
    s.acting.transport = transport
    return transport


def test_a_finished_job_leaves_a_run_and_its_logs() -> None:
    async def scenario(s: Site) -> None:
        printing(s, mnist_a="epoch 1\nepoch 2\n", mnist_b="")
        async with s.controllers() as manager:
            await finish(s, "mnist-a", "mnist-b")
            logs = await s.until(lambda: kept(s))
            assert logs == {"node-0.node": "epoch 1\nepoch 2\n"}
            run = await only_run(s)
            assert run is not None
            assert [log.get("key") for log in run["status"]["logs"]] == ["node-0.node", None]
            written = objects.revision(run)
            await s.patch({"metadata": {"annotations": {"touched": "1"}}})
            await s.settle()
            again = await only_run(s)
            assert again is not None
            assert objects.revision(again) == written
            assert manager.statistics()["trainjob-aftercare"]["retry"] == 0

    site.run(scenario)


def test_a_job_goes_when_its_time_to_live_is_over_and_its_run_stays() -> None:
    async def scenario(s: Site) -> None:
        printing(s, mnist_a="hello\n")
        async with s.controllers():
            await finish(s, "mnist-a", **{TTL: "100"})
            await s.settle(95)
            assert await s.client.get_or_none(TRAIN_JOBS, "mnist", "default") is not None
            await s.settle(10)
            gone = await s.client.get_or_none(TRAIN_JOBS, "mnist", "default")
            assert gone is None or objects.is_deleting(gone)
            assert await kept(s) == {"node-0.node": "hello\n"}

    site.run(scenario)


def test_a_time_to_live_that_comes_later_counts_too() -> None:
    async def scenario(s: Site) -> None:
        async with s.controllers():
            await finish(s)
            await s.settle(50)
            await s.patch({"metadata": {"annotations": {TTL: "20"}}})
            await s.settle(1)
            gone = await s.client.get_or_none(TRAIN_JOBS, "mnist", "default")
            assert gone is None or objects.is_deleting(gone)

    site.run(scenario)


def test_logs_that_cannot_be_had_are_asked_for_again_and_then_explained() -> None:
    async def scenario(s: Site) -> None:
        transport = printing(s, mnist_a=errors.unavailable("the node is away"), mnist_b=errors.not_found("pods", "mnist-b"))
        async with s.controllers():
            await finish(s, "mnist-a", "mnist-b")
            await s.settle(10)
            assert await only_run(s) is None, "the node may come back"
            await s.settle(300)
            run = await only_run(s)
            assert run is not None
            assert [log["problem"] for log in run["status"]["logs"]] == ["the node is away", 'pods "mnist-b" not found']
            assert await kept(s) is None
            assert transport.texts

    site.run(scenario)


def test_a_job_that_others_manage_leaves_nothing() -> None:
    async def scenario(s: Site) -> None:
        await s.runtime()
        job = await s.submit(managedBy="kueue.x-k8s.io/multikueue", suspend=True)
        async with s.controllers():
            await s.client.patch_status(TRAIN_JOBS, job, {"conditions": [condition("Complete", "AllJobsCompleted")]})
            await s.settle(10)
            assert await only_run(s) is None

    site.run(scenario)


@pytest.mark.parametrize(("note", "value"), [(TTL, "-1"), (TTL, "1h"), (PRIORITY_CLASS, "Not A Name")])
def test_annotations_that_mean_nothing_are_refused(note: str, value: str) -> None:
    async def scenario(s: Site) -> None:
        await s.runtime()
        job = make.job()
        job["metadata"]["annotations"] = {note: value}
        with pytest.raises(StatusError, match=f"metadata.annotations\\[{note}\\]: Invalid value"):
            await s.client.create(TRAIN_JOBS, job)

    site.run(scenario)


def test_a_priority_class_is_that_of_all_pods() -> None:
    job = make.stored(make.job(trainer={}))
    job["metadata"]["annotations"] = {PRIORITY_CLASS: "urgent"}
    runtime = make.runtime(jobs=[make.initializer("dataset-initializer"), make.replicated_job("node", step="trainer")])
    jobset = FRAMEWORK.build(job, runtime)[-1].obj
    pods = [r["template"]["spec"]["template"]["spec"] for r in jobset["spec"]["replicatedJobs"]]
    assert [p["priorityClassName"] for p in pods] == ["urgent", "urgent"]


@pytest.mark.parametrize("seed", range(4))
def test_on_bad_days_nothing_is_lost_and_nothing_is_there_twice(seed: int) -> None:
    faults = Faults(Random(seed + 70), refuse=0.15, lose_answer=0.15, read=0.1, drop_watch=0.1, expire_watch=0.05, repeat_event=0.1)

    async def scenario(s: Site) -> None:
        printing(s, mnist_a="hello\n")
        s.acting.transport = FaultyTransport(s.acting.transport, faults)
        async with s.controllers():
            await finish(s, "mnist-a", **{TTL: "100"})
            await s.settle(90)
            assert await kept(s) == {"node-0.node": "hello\n"}
            faults.stop()
            await s.settle(30)
            gone = await s.client.get_or_none(TRAIN_JOBS, "mnist", "default")
            assert gone is None or objects.is_deleting(gone)
            assert await only_run(s) is not None

    site.run(scenario)
