"""The Job's pure cores: index notation, names, books, limits and decisions, as tables."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lightship.builtin.job import failures, indexes, ledger, limits, podset
from lightship.builtin.job.sync import Plan, is_ours, sync
from lightship.meta import conditions, objects, times
from lightship.meta.objects import Obj
from tests.builtin import make

NOW = 1_700_000_000.0


def job(status: Obj | None = None, **spec: Any) -> Obj:
    found = make.job(**spec)
    found["metadata"]["uid"] = "job-uid"
    found["status"] = status or {}
    return found


def pod(owner: Obj, name: str, phase: str = "Pending", *, index: int | None = None, tracked: bool = True, leaving: bool = False) -> Obj:
    built = podset.build(owner, index, f"{name}-xxxxx")
    built["metadata"] |= {"name": name, "uid": f"uid-{name}", "creationTimestamp": times.rfc3339(NOW - 100)}
    if not tracked:
        built["metadata"]["finalizers"] = []
    if leaving:
        built["metadata"]["deletionTimestamp"] = times.rfc3339(NOW)
    built["status"] = {"phase": phase}
    return built


NOTATION = [("", set()), ("3", {3}), ("0,1", {0, 1}), ("0-2", {0, 1, 2}), ("0-2,4", {0, 1, 2, 4}), ("1,3-5,7,8", {1, 3, 4, 5, 7, 8})]


@pytest.mark.parametrize(("text", "found"), NOTATION)
def test_indexes_are_written_as_the_api_writes_them(text: str, found: set[int]) -> None:
    assert indexes.parse(text) == found
    assert indexes.render(found) == text


@given(st.sets(st.integers(0, 60)))
def test_indexes_survive_being_written(found: set[int]) -> None:
    assert indexes.parse(indexes.render(found)) == found


def test_a_pod_of_an_indexed_job() -> None:
    template = make.pod_spec(initContainers=[{"name": "init"}])
    template["containers"][0]["env"] = [{"name": "JOB_COMPLETION_INDEX", "value": "mine"}]
    owner = job(completionMode="Indexed", completions=3, pod=template)
    built = podset.build(owner, 2, "job-2-abcde")
    meta = built["metadata"]
    assert (meta["name"], meta["generateName"]) == ("job-2-abcde", "job-2-")
    assert meta["finalizers"] == ["batch.kubernetes.io/job-tracking"]
    assert meta["labels"]["batch.kubernetes.io/job-completion-index"] == "2"
    assert meta["annotations"] == {"batch.kubernetes.io/job-completion-index": "2"}
    assert meta["labels"]["job-name"] == meta["labels"]["batch.kubernetes.io/job-name"] == "job"
    assert meta["labels"]["controller-uid"] == meta["labels"]["batch.kubernetes.io/controller-uid"] == "job-uid"
    assert meta["ownerReferences"][0]["controller"] is True
    assert built["spec"]["hostname"] == "job-2"
    assert built["spec"]["containers"][0]["env"] == [{"name": "JOB_COMPLETION_INDEX", "value": "mine"}]
    field = built["spec"]["initContainers"][0]["env"][0]["valueFrom"]["fieldRef"]["fieldPath"]
    assert field == "metadata.labels['batch.kubernetes.io/job-completion-index']"


def test_names_are_determined_and_skip_those_taken() -> None:
    owner = job()
    names = podset.names(owner, 0, 0, [])
    first, second = next(names), next(names)
    assert first != second
    assert first.startswith("job-0-")
    assert len(first) == len("job-0-abcde")
    assert next(podset.names(owner, 0, 0, [])) == first
    assert next(podset.names(owner, 0, 0, [first])) == second
    assert next(podset.names(owner, 0, 1, [])) == second
    owner["metadata"]["name"] = "j" * 63
    assert len(next(podset.names(owner, 12, 0, []))) == 63
    assert next(podset.names(owner, 12, 0, [])).startswith("j" * 54 + "-12-")


def decide(status: Obj | None = None, pods: list[tuple[Any, ...]] | None = None, **spec: Any) -> tuple[Obj, Plan]:
    owner = job(status, **spec)
    indexed = spec.get("completionMode") == "Indexed"
    made = [pod(owner, f"p{i}", p[0], index=p[1] if indexed and len(p) > 1 else None) for i, p in enumerate(pods or [])]
    return owner, sync(owner, made, NOW)


WANTED = [
    ("one by default", {}, [], 1),
    ("as many as in parallel", {"parallelism": 3}, [], 3),
    ("no more than are missing", {"parallelism": 3, "completions": 2}, [], 2),
    ("none in parallel", {"parallelism": 0, "completions": 2}, [], 0),
    ("the rest", {"parallelism": 3, "completions": 5}, [("Running",)], 2),
    ("none when all run", {"parallelism": 1, "completions": 1}, [("Running",)], 0),
    ("no new worker after the first success", {"parallelism": 3}, [("Succeeded",), ("Running",)], 0),
    (
        "an index that failed a while ago",
        {"completionMode": "Indexed", "completions": 2, "parallelism": 2},
        [("Running", 0), ("Failed", 1)],
        1,
    ),
    ("suspended", {"suspend": True, "parallelism": 2}, [], 0),
]


@pytest.mark.parametrize(("name", "spec", "pods", "want"), WANTED, ids=[row[0] for row in WANTED])
def test_how_many_pods_are_created(name: str, spec: Obj, pods: list[tuple[Any, ...]], want: int) -> None:
    _, plan = decide(None, pods, **spec)
    assert len(plan.create) == want


def test_a_failed_index_comes_back_after_its_pause() -> None:
    owner = job(completionMode="Indexed", completions=1)
    failed = pod(owner, "p0", "Failed", index=0)
    failed["status"]["containerStatuses"] = [{"state": {"terminated": {"finishedAt": times.rfc3339(NOW)}}}]
    assert sync(owner, [failed], NOW).requeue == 10
    assert sync(owner, [failed], NOW + 4).requeue == 6
    later = sync(owner, [failed], NOW + 10)
    assert [objects.annotations(p)[podset.INDEX] for p in later.create] == ["0"]


PAUSES = [([], 0), ([0], 10), ([0, 0], 20), ([0, 0, 0], 40), ([0] * 20, 600)]


@pytest.mark.parametrize(("failed_at", "want"), PAUSES)
def test_pauses_double_up_to_ten_minutes(failed_at: list[float], want: float) -> None:
    owner = job()
    pods = []
    for number, at in enumerate(failed_at):
        failed = pod(owner, f"p{number}", "Failed")
        failed["status"]["containerStatuses"] = [{"state": {"terminated": {"finishedAt": times.rfc3339(NOW + at)}}}]
        pods.append(failed)
    assert limits.seconds_to_wait(pods, NOW) == want


def test_a_success_ends_the_pauses() -> None:
    owner = job()
    pods = [pod(owner, "a", "Failed"), pod(owner, "b", "Succeeded")]
    for found, at in zip(pods, (NOW - 5, NOW), strict=True):
        found["status"]["containerStatuses"] = [{"state": {"terminated": {"finishedAt": times.rfc3339(at)}}}]
    assert limits.seconds_to_wait(pods, NOW) == 0


def test_a_failed_pod_without_records_does_not_hold_the_job_for_ever() -> None:
    owner = job()
    assert limits.seconds_to_wait([pod(owner, "a", "Failed")], NOW) == 0, "it is a hundred seconds old"


def test_restarts_in_place_count_against_the_limit() -> None:
    owner = job(backoffLimit=3, pod=make.pod_spec(restartPolicy="OnFailure"))
    running = pod(owner, "p", "Running")
    running["status"]["containerStatuses"] = [{"restartCount": 2}]
    assert not limits.has_failed_too_often(owner, [running], 0)
    running["status"]["containerStatuses"] = [{"restartCount": 3}]
    assert limits.has_failed_too_often(owner, [running], 0)


def test_the_books_in_three_steps() -> None:
    """Each step is stored before the next; whatever comes between, the count stays right."""
    owner = job(completions=1, parallelism=1)
    failed = pod(owner, "p", "Failed")
    first = sync(owner, [failed], NOW)
    assert first.status["uncountedTerminatedPods"] == {"failed": ["uid-p"]}
    assert "failed" not in first.status
    assert first.release == [failed]
    assert first.settled["failed"] == 1
    assert first.settled["uncountedTerminatedPods"] == {}
    # Stopped after the status was stored: the pod still has its finalizer and is not entered again.
    owner["status"] = first.status
    again = sync(owner, [failed], NOW)
    assert again.status["uncountedTerminatedPods"] == {"failed": ["uid-p"]}
    # Stopped after the finalizer was removed, or the pod is gone altogether: the count is settled at once.
    failed["metadata"]["finalizers"] = []
    for pods in ([failed], []):
        settled = sync(owner, pods, NOW)
        assert settled.status["failed"] == 1
        assert settled.status["uncountedTerminatedPods"] == {}
    # Settled: the pod is never looked at again.
    owner["status"] = first.settled
    assert sync(owner, [failed], NOW).settled["failed"] == 1


def test_pods_beyond_the_last_index_and_doubles_are_dropped_uncounted() -> None:
    owner = job(completionMode="Indexed", completions=2, parallelism=2)
    pods = [pod(owner, f"p{n}", "Running", index=n) for n in (0, 1, 5)]
    pods.append(pod(owner, "double", "Pending", index=1))
    plan = sync(owner, pods, NOW)
    assert sorted(map(objects.name, plan.drop)) == ["double", "p5"]
    assert plan.create == []
    assert plan.status["active"] == 2
    assert plan.status["terminating"] == 2


def test_a_pod_on_its_way_out_counts_as_failed_unless_only_failures_are_replaced() -> None:
    owner = job(completions=1)
    leaving = pod(owner, "p", "Running", leaving=True)
    assert sync(owner, [leaving], NOW).status["uncountedTerminatedPods"] == {"failed": ["uid-p"]}
    patient = job(completions=1, podReplacementPolicy="Failed")
    plan = sync(patient, [pod(patient, "p", "Running", leaving=True)], NOW)
    assert plan.status["uncountedTerminatedPods"] == {}
    assert plan.create == []
    assert plan.status["terminating"] == 1


def test_success_waits_for_pods_that_still_terminate() -> None:
    owner = job(completions=1)
    pods = [pod(owner, "done", "Succeeded"), pod(owner, "late", "Running", tracked=False, leaving=True)]
    plan = sync(owner, pods, NOW)
    assert conditions.find(plan.settled["conditions"], "SuccessCriteriaMet")
    assert conditions.find(plan.settled["conditions"], "Complete") is None
    owner["status"] = plan.settled
    pods[0]["metadata"]["finalizers"] = []
    last = sync(owner, pods[:1], NOW)
    assert conditions.find(last.settled["conditions"], "Complete")
    assert [note.reason for note in last.notes] == ["Completed"]


def test_a_finished_job_only_lets_go_of_its_pods() -> None:
    owner = job({"conditions": [{"type": "Complete", "status": "True"}], "succeeded": 1})
    left = pod(owner, "left", "Running")
    plan = sync(owner, [left], NOW)
    assert plan.release == [left]
    assert plan.status == plan.settled == owner["status"]
    assert (plan.create, plan.delete, plan.drop, plan.notes) == ([], [], [], [])


def test_a_second_look_at_what_was_done_does_nothing() -> None:
    owner = job(completionMode="Indexed", completions=2, parallelism=2)
    plan = sync(owner, [], NOW)
    owner["status"] = plan.settled
    for number, made in enumerate(plan.create):
        made["metadata"]["uid"] = f"uid-{number}"
    again = sync(owner, plan.create, NOW + 5)
    assert (again.create, again.drop, again.delete, again.release, again.notes) == ([], [], [], [], [])
    assert again.status == again.settled == plan.settled


def test_success_policy_ends_an_indexed_job_early() -> None:
    rules = {"rules": [{"succeededIndexes": "0", "succeededCount": 1}]}
    owner = job(completionMode="Indexed", completions=3, parallelism=3, successPolicy=rules)
    pods = [pod(owner, "p0", "Succeeded", index=0), pod(owner, "p1", "Running", index=1)]
    plan = sync(owner, pods, NOW)
    met = conditions.find(plan.settled["conditions"], "SuccessCriteriaMet") or {}
    assert (met["reason"], met["message"]) == ("SuccessPolicy", "Matched rules at index 0")
    assert [objects.name(p) for p in plan.drop] == ["p1"]


EXIT_42 = {"action": "FailJob", "onExitCodes": {"operator": "In", "values": [42]}}
DISRUPTED = {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget"}]}


def test_a_pod_failure_policy_may_fail_the_job_or_overlook_a_failure() -> None:
    owner = job(backoffLimit=5, podFailurePolicy={"rules": [EXIT_42, DISRUPTED]})
    fatal = pod(owner, "p", "Failed")
    fatal["status"]["containerStatuses"] = [{"name": "main", "state": {"terminated": {"exitCode": 42}}}]
    judgement = failures.judge(owner, fatal)
    assert judgement.verdict is not None
    assert judgement.verdict.reason == "PodFailurePolicy"
    assert judgement.verdict.message == "Container main for pod default/p failed with exit code 42 matching FailJob rule at index 0"
    plan = sync(owner, [fatal], NOW)
    assert conditions.find(plan.settled["conditions"], "Failed")
    moved = pod(owner, "p", "Failed")
    moved["status"]["conditions"] = [{"type": "DisruptionTarget", "status": "True"}]
    books = ledger.read(owner, [moved])
    ledger.enter(books, owner, [moved], NOW)
    assert books.total_failed == 0
    assert books.release == [moved]
    other = pod(owner, "p", "Failed")
    assert failures.judge(owner, other) == failures.Judgement(True, None)


def test_indexes_in_another_notation_are_refused() -> None:
    with pytest.raises(ValueError, match="invalid literal"):
        indexes.parse("one")


@pytest.mark.parametrize(("manager", "want"), [(None, True), ("kubernetes.io/job-controller", True), ("kueue.x-k8s.io/multikueue", False)])
def test_somebody_elses_job_is_recognised(manager: str | None, want: bool) -> None:
    owner = job()
    if manager:
        owner["spec"]["managedBy"] = manager
    assert is_ours(owner) is want
