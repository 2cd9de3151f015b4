"""What a TrainJob's status says, from the job, its JobSet and the clock."""

from typing import Any

import pytest

from lightship.meta.objects import Obj
from lightship.train.status import Decision, Failure, decide, is_finished
from tests.train import make
from tests.train.make import CREATED_SECONDS as T0
from tests.train.make import condition, counts

SUSPENDED = condition("Suspended", "Suspended", "TrainJob is suspended")
RESUMED = condition("Suspended", "Resumed", "TrainJob is resumed", status="False")
COMPLETE = condition("Complete", "AllJobsCompleted", "jobset completed successfully")
DEADLINE = condition("Failed", "DeadlineExceeded", "TrainJob exceeded its active deadline")
ALL_DONE = condition("Completed", "AllJobsCompleted", "jobset completed successfully")


def trainjob(*conditions: Obj, **spec: Any) -> Obj:
    return make.stored(make.job(**spec), **({"conditions": list(conditions)} if conditions else {}))


@pytest.mark.parametrize(
    ("job", "jobset", "want"),
    [
        pytest.param(trainjob(), None, [], id="nothing there yet"),
        pytest.param(trainjob(), make.jobset(), [], id="just made"),
        pytest.param(trainjob(), make.jobset(replicatedJobsStatus=[counts(active=1)]), [], id="running has no condition"),
        pytest.param(trainjob(suspend=True), None, [SUSPENDED], id="suspended"),
        pytest.param(trainjob(SUSPENDED), make.jobset(), [RESUMED], id="resumed"),
        pytest.param(trainjob(RESUMED), make.jobset(), [RESUMED], id="resumed before"),
        pytest.param(trainjob(), make.jobset(conditions=[ALL_DONE]), [COMPLETE], id="complete"),
        pytest.param(
            trainjob(RESUMED), make.jobset(conditions=[ALL_DONE]), [RESUMED, COMPLETE], id="complete after it was suspended for a while"
        ),
        pytest.param(
            trainjob(),
            make.jobset(conditions=[condition("Failed", "FailedJobs", "jobset failed due to one or more job failures")]),
            [condition("Failed", "FailedJobs", "jobset failed due to one or more job failures")],
            id="failed: reason and message are the jobset's",
        ),
        pytest.param(
            trainjob(),
            make.jobset(conditions=[condition("Failed", "FailedJobs", status="False"), condition("StartupPolicyInProgress", "x")]),
            [],
            id="other conditions of the jobset are its own business",
        ),
        pytest.param(trainjob(COMPLETE, suspend=True), None, [COMPLETE], id="an end is final"),
        pytest.param(trainjob(COMPLETE), make.jobset(conditions=[condition("Failed", "Late")]), [COMPLETE], id="whatever comes later"),
    ],
)
def test_conditions(job: Obj, jobset: Obj | None, want: list[Obj]) -> None:
    decision = decide(job, jobset, T0)
    assert decision.status.get("conditions", []) == want
    assert is_finished({"status": decision.status}) == any(c["type"] in ("Complete", "Failed") for c in want)
    assert not decision.delete_jobset
    assert decision.requeue_after is None


def test_conditions_move_when_they_change() -> None:
    resumed = decide(trainjob(SUSPENDED), None, T0 + 60).status["conditions"][0]
    assert resumed["lastTransitionTime"] == "2023-11-14T22:14:20Z"


def test_a_failure_of_our_own_ends_the_job() -> None:
    decision = decide(trainjob(), None, T0, Failure("TrainingRuntimeNotSupported", "no such thing"))
    assert decision.status["conditions"] == [condition("Failed", "TrainingRuntimeNotSupported", "no such thing")]


def test_jobs_status_is_the_jobsets_one_to_one() -> None:
    jobs = [counts("dataset-initializer", succeeded=1), {"name": "node", "active": 2, "ready": 1}]
    decision = decide(trainjob(), make.jobset(replicatedJobsStatus=jobs), T0)
    assert decision.status == {"jobsStatus": [counts("dataset-initializer", succeeded=1), counts("node", active=2, ready=1)]}


def test_jobs_status_stays_when_the_jobset_is_gone() -> None:
    job = make.stored(make.job(), conditions=[COMPLETE], jobsStatus=[counts(succeeded=1)])
    assert decide(job, None, T0).status == job["status"]


def test_nothing_to_say_is_no_status() -> None:
    assert decide(trainjob(), make.jobset(replicatedJobsStatus=[]), T0) == Decision({}, None, False)


@pytest.mark.parametrize(
    ("job", "after", "want"),
    [
        pytest.param(trainjob(activeDeadlineSeconds=60), 0, 60, id="from its creation"),
        pytest.param(trainjob(activeDeadlineSeconds=60), 59.5, 0.5, id="nearly"),
        pytest.param(trainjob(activeDeadlineSeconds=60), 60, "exceeded", id="over"),
        pytest.param(trainjob(SUSPENDED, activeDeadlineSeconds=60, suspend=True), 600, None, id="a suspended job has time"),
        pytest.param(trainjob(SUSPENDED, activeDeadlineSeconds=60), 600, 60, id="from when it is resumed"),
        pytest.param(
            trainjob(condition("Suspended", "Resumed", status="False", when="2023-11-14T22:23:20Z"), activeDeadlineSeconds=60),
            610,
            50,
            id="from when it was resumed",
        ),
        pytest.param(trainjob(COMPLETE, activeDeadlineSeconds=60), 600, None, id="a finished job has no deadline"),
    ],
)
def test_deadlines(job: Obj, after: float, want: float | str | None) -> None:
    decision = decide(job, make.jobset(), T0 + after)
    failed = [c for c in decision.status.get("conditions", []) if c["type"] == "Failed"]
    if want == "exceeded":
        assert failed == [{**DEADLINE, "lastTransitionTime": "2023-11-14T22:14:20Z"}]
        assert decision.delete_jobset
        assert decision.requeue_after is None
    else:
        assert not failed
        assert not decision.delete_jobset
        assert decision.requeue_after == want


def test_a_jobset_that_outlived_the_deadline_is_deleted_still() -> None:
    assert decide(trainjob(DEADLINE), make.jobset(), T0 + 99).delete_jobset
    assert not decide(trainjob(DEADLINE), None, T0 + 99).delete_jobset


def test_a_job_that_ends_just_in_time_is_complete() -> None:
    decision = decide(trainjob(activeDeadlineSeconds=60), make.jobset(conditions=[ALL_DONE]), T0 + 61)
    assert decision.status["conditions"] == [COMPLETE]
