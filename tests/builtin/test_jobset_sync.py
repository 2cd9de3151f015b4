"""The JobSet's pure cores: children and decisions, as tables."""

import hashlib
from typing import Any

import pytest

from lightship.builtin.jobset import children, defaults
from lightship.builtin.jobset.sync import Around, sync
from lightship.meta import conditions, objects, times
from lightship.meta.objects import Obj
from tests.builtin import make

NOW = 1_700_000_000.0
THERE = Around()
PREFIX = "jobset.sigs.k8s.io/"


def jobset(*jobs: Obj, status: Obj | None = None, **spec: Any) -> Obj:
    found = defaults.defaulted(make.jobset("js", *jobs, **spec))
    found["metadata"]["uid"] = "js-uid"
    found["status"] = status or {}
    return found


def child(owner: Obj, index: int = 0, replicated: int = 0, *, ended: str = "", attempt: int = 0, at: float = NOW, **status: Any) -> Obj:
    made = children.job(owner, owner["spec"]["replicatedJobs"][replicated], index, attempt)
    made["metadata"]["uid"] = f"uid-{objects.name(made)}-{attempt}"
    made["status"] = dict(status)
    if ended:
        failed = {
            "type": ended,
            "status": "True",
            "reason": "BackoffLimitExceeded",
            "message": "m",
            "lastTransitionTime": times.rfc3339(at),
        }
        made["status"]["conditions"] = [failed]
    return made


def test_the_marks_of_a_job_and_its_pods() -> None:
    owner = jobset(make.replicated("a", replicas=2), make.replicated("b", replicas=3) | {"groupName": "workers"}, make.replicated("c"))
    made = children.job(owner, owner["spec"]["replicatedJobs"][1], 2, 4)
    want = {
        f"{PREFIX}jobset-name": "js",
        f"{PREFIX}jobset-uid": "js-uid",
        f"{PREFIX}replicatedjob-name": "b",
        f"{PREFIX}replicatedjob-replicas": "3",
        f"{PREFIX}global-replicas": "6",
        f"{PREFIX}job-index": "2",
        f"{PREFIX}job-global-index": "4",
        f"{PREFIX}job-key": hashlib.sha1(b"default/js-b-2").hexdigest(),
        f"{PREFIX}restart-attempt": "4",
        f"{PREFIX}group-name": "workers",
        f"{PREFIX}group-replicas": "3",
        f"{PREFIX}job-group-index": "2",
    }
    assert objects.name(made) == "js-b-2"
    for marked in (made, made["spec"]["template"]):
        assert objects.labels(marked) == want
        assert objects.annotations(marked) == want
    assert made["spec"]["template"]["spec"]["subdomain"] == "js"
    assert made["spec"]["suspend"] is False
    assert objects.controller_of(made) == objects.owner_reference(owner)


def test_labels_of_the_template_are_kept() -> None:
    owner = jobset()
    owner["spec"]["replicatedJobs"][0]["template"]["metadata"] = {
        "labels": {"trainer.kubeflow.org/trainjob-ancestor-step": "trainer"},
        "name": "x",
    }
    made = child(owner)
    assert objects.labels(made)["trainer.kubeflow.org/trainjob-ancestor-step"] == "trainer"
    assert objects.name(made) == "js-node-0"


def test_no_hostnames_no_service_and_no_domain() -> None:
    owner = jobset(network={"enableDNSHostnames": False})
    assert sync(owner, [], NOW, Around(service=False)).service is None
    assert "subdomain" not in child(owner)["spec"]["template"]["spec"]


def test_a_coordinator_is_told_to_everybody() -> None:
    owner = jobset(coordinator={"replicatedJob": "node", "jobIndex": 0, "podIndex": 1}, network={"subdomain": "net"})
    assert objects.labels(child(owner))[f"{PREFIX}coordinator"] == "js-node-0-1.net"


def test_exclusive_placement_by_labelled_nodes() -> None:
    owner = jobset()
    owner["metadata"]["annotations"] = {
        "alpha.jobset.sigs.k8s.io/exclusive-topology": "rack",
        "alpha.jobset.sigs.k8s.io/node-selector": "true",
    }
    pod = child(owner)["spec"]["template"]["spec"]
    assert pod["nodeSelector"] == {"alpha.jobset.sigs.k8s.io/namespaced-job": "default_js-node-0"}
    assert pod["tolerations"][0]["key"] == "alpha.jobset.sigs.k8s.io/no-schedule"


def test_first_look_creates_service_and_jobs() -> None:
    owner = jobset(make.replicated("a", replicas=2), make.replicated("b"))
    plan = sync(owner, [], NOW, Around(service=False))
    assert [objects.name(job) for job in plan.create] == ["js-a-0", "js-a-1", "js-b-0"]
    assert plan.service is not None
    assert plan.status["restarts"] == 0
    assert [entry["name"] for entry in plan.status["replicatedJobsStatus"]] == ["b", "a"]
    assert plan.notes == []
    owner["status"] = plan.status
    again = sync(owner, plan.create, NOW, THERE)
    assert (again.create, again.service, again.delete, again.suspend, again.resume, again.notes) == ([], None, [], [], [], [])
    assert again.status == plan.status


READY = [
    ({"ready": 2}, {}, 1),
    ({"ready": 1}, {}, 0),
    ({"ready": 1, "succeeded": 1}, {}, 1),
    ({"ready": 1}, {"completions": 1}, 1),
]


@pytest.mark.parametrize(("status", "spec", "want"), READY)
def test_when_a_job_is_ready(status: Obj, spec: Obj, want: int) -> None:
    owner = jobset(make.replicated(pods=2))
    job = child(owner, **status)
    job["spec"] |= spec
    plan = sync(owner, [job], NOW, THERE)
    assert plan.status["replicatedJobsStatus"][0]["ready"] == want


DEPENDENCIES = [
    ("not begun", "Ready", {}, "", False),
    ("ready", "Ready", {"ready": 1}, "", True),
    ("ready is not complete", "Complete", {"ready": 1}, "", False),
    ("complete", "Complete", {}, "Complete", True),
    ("complete is ready", "Ready", {}, "Complete", True),
]


@pytest.mark.parametrize(("name", "wanted", "status", "ended", "want"), DEPENDENCIES, ids=[row[0] for row in DEPENDENCIES])
def test_dependencies(name: str, wanted: str, status: Obj, ended: str, want: bool) -> None:
    owner = jobset(make.replicated("a"), make.replicated("b", depends_on=[{"name": "a", "status": wanted}]))
    plan = sync(owner, [child(owner, ended=ended, **status)], NOW, THERE)
    assert ([objects.name(job) for job in plan.create] == ["js-b-0"]) is want


def test_success_of_any_target() -> None:
    owner = jobset(make.replicated("a", replicas=2), make.replicated("b"), successPolicy={"operator": "Any", "targetReplicatedJobs": ["a"]})
    jobs = [child(owner, 0), child(owner, 1), child(owner, 0, 1, ended="Complete")]
    assert "conditions" not in sync(owner, jobs, NOW, THERE).status
    jobs[1] = child(owner, 1, ended="Complete")
    status = sync(owner, jobs, NOW, THERE).status
    assert status["terminalState"] == "Completed"
    owner["status"] = status
    after = sync(owner, jobs, NOW, THERE)
    assert [objects.name(job) for job in after.delete] == ["js-a-0"], "what still runs is stopped"


FAIL_RULE = {"name": "stop", "action": "FailJobSet", "onJobFailureReasons": ["BackoffLimitExceeded"]}
IGNORE_RULE = {"name": "again", "action": "RestartJobSetAndIgnoreMaxRestarts", "targetReplicatedJobs": ["node"]}
POLICIES: list[tuple[str, Obj | None, int, str, str, int]] = [
    ("none", None, 0, "Failed", "FailedJobs", 0),
    ("restart", {"maxRestarts": 2}, 1, "RestartingJobSet", "DefaultFailurePolicy", 1),
    ("too often", {"maxRestarts": 2}, 2, "Failed", "ReachedMaxRestarts", 0),
    ("a rule that fails", {"maxRestarts": 2, "rules": [FAIL_RULE]}, 0, "Failed", "FailJobSetFailurePolicyAction", 0),
    ("a rule that does not count", {"maxRestarts": 0, "rules": [IGNORE_RULE]}, 0, "RestartingJobSet", "FailurePolicy_again", 1),
    (
        "a rule for others",
        {"maxRestarts": 1, "rules": [{**FAIL_RULE, "targetReplicatedJobs": ["x"]}]},
        0,
        "RestartingJobSet",
        "DefaultFailurePolicy",
        1,
    ),
    (
        "a rule by message",
        {"maxRestarts": 1, "rules": [{**FAIL_RULE, "onJobFailureMessagePatterns": ["^m$"]}]},
        0,
        "Failed",
        "FailJobSetFailurePolicyAction",
        0,
    ),
    (
        "a pattern that is none",
        {"maxRestarts": 1, "rules": [{**FAIL_RULE, "onJobFailureMessagePatterns": ["("]}]},
        0,
        "RestartingJobSet",
        "DefaultFailurePolicy",
        1,
    ),
]


@pytest.mark.parametrize(("name", "policy", "before", "type", "reason", "restarts"), POLICIES, ids=[row[0] for row in POLICIES])
def test_failure_policies(name: str, policy: Obj | None, before: int, type: str, reason: str, restarts: int) -> None:
    status = {"restarts": 0, "restartsCountTowardsMax": before}
    owner = jobset(status=status, **({"failurePolicy": policy} if policy else {}))
    plan = sync(owner, [child(owner, ended="Failed")], NOW, THERE)
    found = conditions.find(plan.status["conditions"], type) or {}
    assert (found["status"], found["reason"]) == ("True", reason)
    assert found["message"].endswith("(first failed job: js-node-0)")
    assert plan.status["restarts"] == restarts
    assert plan.create == []


def test_the_first_failed_job_is_named() -> None:
    owner = jobset(make.replicated(replicas=2))
    jobs = [child(owner, 0, ended="Failed", at=NOW), child(owner, 1, ended="Failed", at=NOW - 5)]
    plan = sync(owner, jobs, NOW, THERE)
    assert "(first failed job: js-node-1)" in plan.notes[0].message


@pytest.mark.parametrize(("strategy", "want"), [("Recreate", ["js-node-1"]), ("BlockingRecreate", [])])
def test_a_restart_deletes_the_last_attempt_and_creates_the_next(strategy: str, want: list[str]) -> None:
    policy = {"maxRestarts": 1, "restartStrategy": strategy}
    owner = jobset(make.replicated(replicas=2), status={"restarts": 1}, failurePolicy=policy)
    left = child(owner, 0, attempt=0)
    plan = sync(owner, [left], NOW, THERE)
    assert plan.delete == [left]
    assert [objects.name(job) for job in plan.create] == want, "js-node-0 is still there"
    left["metadata"]["deletionTimestamp"] = times.rfc3339(NOW)
    assert sync(owner, [left], NOW, THERE).delete == []


def test_suspension_and_resumption_keep_what_others_added() -> None:
    owner = jobset(suspend=True)
    running = child(jobset())
    plan = sync(owner, [running], NOW, THERE)
    assert plan.suspend == [running]
    assert (conditions.find(plan.status["conditions"], "Suspended") or {})["reason"] == "SuspendedJobs"
    owner["status"] = plan.status
    owner["spec"]["suspend"] = False
    pod = owner["spec"]["replicatedJobs"][0]["template"]["spec"]["template"]
    pod["spec"] |= {"nodeSelector": {"zone": "a"}, "tolerations": [{"key": "x", "operator": "Exists"}]}
    running["spec"]["suspend"] = True
    running["spec"]["template"]["metadata"]["labels"]["theirs"] = "1"
    running["spec"]["template"]["spec"]["nodeSelector"] = {"rack": "7"}
    plan = sync(owner, [running], NOW, THERE)
    ((_, resumed),) = plan.resume
    assert resumed["spec"]["suspend"] is False
    assert resumed["spec"]["template"]["metadata"]["labels"]["theirs"] == "1"
    assert resumed["spec"]["template"]["spec"]["nodeSelector"] == {"rack": "7", "zone": "a"}
    assert resumed["spec"]["template"]["spec"]["tolerations"] == [{"key": "x", "operator": "Exists"}]
    assert (conditions.find(plan.status["conditions"], "Suspended") or {})["status"] == "False"
    assert [note.reason for note in plan.notes] == ["ResumeJobs"]


def test_time_to_live() -> None:
    ended = {"type": "Failed", "status": "True", "reason": "x", "message": "", "lastTransitionTime": times.rfc3339(NOW - 10)}
    owner = jobset(status={"conditions": [ended], "restarts": 0}, ttlSecondsAfterFinished=30)
    plan = sync(owner, [], NOW, THERE)
    assert (plan.expire, plan.requeue) == (False, 20)
    plan = sync(owner, [], NOW + 20, THERE)
    assert (plan.expire, plan.requeue) == (True, None)
