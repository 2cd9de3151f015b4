"""Upstream's own test tables for JobSet, held against our cores: `jobset_cases.jsonl`, made by `tools/make_jobset_cases.py`.

Refusals are held against the whole of what upstream's webhook answers, not only against what its tests look for. Left out are
TestDeleteFollowerPods, of a function that upstream's controller never reaches, and where the fake client of a case fails.
"""

import json
import re
from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from lightship.builtin.jobset import (
    changes,
    children,
    controller,
    defaults,
    elastic,
    inplace,
    placement,
    policies,
    rules,
    startup,
    statuses,
    sync,
    terms,
    volume_rules,
    volumes,
)
from lightship.builtin.jobset.admission import _invalid
from lightship.builtin.jobset.draft import Draft
from lightship.builtin.jobset.errors import JobSetError
from lightship.builtin.jobset.gates import Gates
from lightship.builtin.jobset.placement import PlacementError
from lightship.builtin.jobset.statuses import Jobs
from lightship.meta import objects, times
from lightship.meta.objects import Obj

ROWS = [json.loads(line) for line in (Path(__file__).parent / "jobset_cases.jsonl").read_text().splitlines()]
LEFT_OUT = {"TestDeleteFollowerPods"}
NOW = 1_700_000_000.0
CHECKS: dict[str, Callable[[Obj], None]] = {}
_VALUE = re.compile(r"Invalid value: [\[{].*[\]}]: ")
"""Structs as Go writes them, with every field that there might be."""


def check(function: Callable[[Obj], None]) -> Callable[[Obj], None]:
    CHECKS["".join(word.title() for word in function.__name__.split("_"))] = function
    return function


def named(row: Obj) -> str:
    return f"{row['test']}: {row['case'].get('name') or row['case'].get('desc')}"


@pytest.mark.parametrize("row", [row for row in ROWS if row["test"] not in LEFT_OUT], ids=named)
def test_as_upstream_has_it(row: Obj) -> None:
    case = row["case"] | {"answer": row.get("answer")}
    for field in ("js", "jobSet"):
        if field in case:
            case[field] = {"apiVersion": "jobset.x-k8s.io/v1alpha2", "kind": "JobSet"} | case[field]
    CHECKS[row["test"].removeprefix("Test").replace("TTL", "Ttl")](case)


def test_every_table_is_held_against_something() -> None:
    assert {row["test"].removeprefix("Test").replace("TTL", "Ttl") for row in ROWS if row["test"] not in LEFT_OUT} == set(CHECKS)


def jobs(given: Obj) -> Jobs:
    return Jobs(*(given[field] for field in Jobs._fields))


def outcome(what: Callable[[], Any]) -> str:
    """What an error says; empty for none."""
    try:
        what()
    except (JobSetError, PlacementError) as error:
        return str(error)
    return ""


def full(value: Any) -> Any:
    """Without what means nothing to Go, and quantities of claims as they are."""
    if isinstance(value, dict):
        return {k: found for k, v in value.items() if (found := full(v)) not in (None, {}, [])}
    return [full(item) for item in value] if isinstance(value, list) else value


@check
def dependency_reached_status(case: Obj) -> None:
    entries = {entry["name"]: entry for entry in case["rJobsStatuses"]}
    assert startup.are_met(case["rJob"], case["rJobReplicas"], entries) == case["expected"]


@check
def find_first_failed_job(case: Obj) -> None:
    failed = [job for job in case["failedJobs"] if statuses.finished(job) == "Failed"]
    found = policies.first(failed) if failed else None
    assert objects.name(found or {}) == objects.name(case["expected"] or {})


@check
def failure_policy_rule_is_applicable(case: Obj) -> None:
    failure = {"type": "Failed", "status": "True", "reason": case["jobFailureReason"], "message": case["jobFailureMessage"]}
    job = case["failedJob"] | {"status": {"conditions": [failure]}} if case["failedJob"] else {}
    assert policies.applies(case["rule"], job) == case["expected"]


@check
def find_first_failed_policy_rule_and_job(case: Obj) -> None:
    failed = [job for job in case["failedOwnedJobs"] or [] if statuses.finished(job) == "Failed"]
    if not failed:
        assert case["expectedJob"] is None
        return
    rule, job = policies.match(case["rules"] or [], failed)
    assert rule == case["expectedFailurePolicyRule"]
    assert rule is None or job == case["expectedJob"], "without a rule nobody asks for the job here"


@check
def apply_failure_policy_rule_action(case: Obj) -> None:
    draft = Draft(case["jobSet"], NOW, Gates(restart_job=case["enableRestartJob"]))
    policies.apply(draft, case["failurePolicyAction"], case["rule"], case["matchingFailedJob"])
    want = case["expectedJobSetStatus"]
    for condition in [*draft.conditions, *want.get("conditions", [])]:
        del condition["lastTransitionTime"], condition["message"]
    assert full(draft.finished()) == full(want)


@check
def is_in_place_restart_strategy(case: Obj) -> None:
    assert inplace.is_wanted(case["js"]) == case["want"]


@check
def get_max_container_restart_count(case: Obj) -> None:
    assert inplace.most_container_restarts(case["childPods"]["items"]) == case["want"]


@check
def get_in_place_restart_attempts(case: Obj) -> None:
    pods = case["childPods"]["items"]
    assert bool(outcome(lambda: inplace.attempts(pods))) == case["wantErr"]
    assert case["wantErr"] or inplace.attempts(pods) == case["want"]


@check
def exceeded_max_restarts(case: Obj) -> None:
    limit = case["js"]["spec"]["failurePolicy"].get("maxRestarts", 0)
    assert inplace.exceeds(Draft(case["js"], NOW), case["inPlaceRestartAttempts"], limit) == case["want"]


@check
def get_total_number_of_pods(case: Obj) -> None:
    assert bool(outcome(lambda: inplace.total_pods(case["js"]))) == case["wantErr"]
    assert case["wantErr"] or inplace.total_pods(case["js"]) == case["want"]


@check
def all_equal(case: Obj) -> None:
    """Of as many pods as there are to be: the attempt becomes the current one when all are at it."""
    pods = [pod(str(value), str(value)) for value in case["values"] or []]
    draft = in_place({}, pods)
    assert ("currentInPlaceRestartAttempt" in draft.status) == case["want"]


def pod(name: str, attempt: str) -> Obj:
    return {"metadata": {"name": name, "annotations": {terms.IN_PLACE_RESTART_ATTEMPT: attempt}}}


def in_place(status: Obj, pods: list[Obj]) -> Draft:
    """The pods of a JobSet that are all there, at their attempts."""
    job = {"parallelism": len(pods), "completions": len(pods)}
    policy = {"restartStrategy": "InPlaceRestart", "maxRestarts": 99}
    draft = Draft({"spec": {"failurePolicy": policy, "replicatedJobs": [{"name": "a", "template": {"spec": job}}]}, "status": status}, NOW)
    inplace.apply(draft, pods)
    return draft


@check
def update_current_in_place_restart_attempt(case: Obj) -> None:
    status = case["js"]["status"]
    draft = in_place(status, [pod(str(n), str(n)) for n in case["inPlaceRestartAttempts"]])
    assert draft.status.get(inplace.CURRENT) == case["wantStatus"]
    assert (draft.status != status) == case["wantUpdated"]


@check
def update_previous_in_place_restart_attempt(case: Obj) -> None:
    status = case["js"]["status"]
    draft = Draft(case["js"], NOW)
    inplace.outdate(draft, case["inPlaceRestartAttempts"] or [])
    assert draft.status.get(inplace.PREVIOUS) == case["wantStatus"]
    assert (draft.status != status) == case["wantUpdated"]


@check
def get_associated_pods(case: Obj) -> None:
    found = [pod for pod in case["pods"] if list(controller._by_jobset(pod)) == ["default/test-jobset"]]
    assert [objects.name(pod) for pod in found] == case["want"]


@check
def reconcile_in_place_restart(case: Obj) -> None:
    draft = Draft(case["js"], NOW)
    inplace.apply(draft, case["pods"])
    assert (draft.status != case["js"]["status"]) == case["wantShouldUpdate"]
    assert ("terminalState" in draft.status) == case["wantFailed"]
    for field in (inplace.CURRENT, inplace.PREVIOUS) if not case["wantFailed"] else ():
        assert draft.status.get(field) == case["wantStatus"].get(field)


@check
def is_job_finished(case: Obj) -> None:
    found = statuses.finished({"status": {"conditions": case["conditions"]}})
    assert (found, bool(found)) == (case["wantConditionType"], case["finished"])


@check
def construct_jobs_from_template(case: Obj) -> None:
    draft = Draft(case["js"], NOW, Gates(restart_job=case["restartJobEnabled"]))
    found: list[Obj] = []
    for replicated in children.replicated_jobs(case["js"]):
        found += sync.missing(draft, replicated, jobs(case["ownedJobs"]))
    for job in found:
        del job["metadata"]["ownerReferences"]
        del job["apiVersion"], job["kind"]
    assert full(found) == full(case["want"] or [])


@check
def update_conditions(case: Obj) -> None:
    for condition in case["js"]["status"].get("conditions") or []:
        condition["lastTransitionTime"] = times.rfc3339(NOW)
    draft = Draft(case["js"], NOW)
    new = (case["opts"] or {}).get("condition")
    if new is None:
        assert not case["expectedUpdate"]
        return
    draft.set(new["type"], new["status"] == "True", new.get("reason", ""), new.get("message", ""))
    assert bool(draft.notes) == case["expectedUpdate"]
    assert (draft.conditions != (case["js"]["status"].get("conditions") or [])) == case["expectedUpdate"]


@check
def calculate_replicated_job_statuses(case: Obj) -> None:
    found = statuses.replicated_jobs_status(Draft(case["js"], NOW), jobs(case["jobs"]))
    assert sorted(found, key=lambda entry: str(entry["name"])) == sorted(case["expected"], key=lambda entry: str(entry["name"]))
    assert [entry["name"] for entry in found] == sorted((entry["name"] for entry in found), reverse=True)


@check
def create_headless_svc_if_necessary(case: Obj) -> None:
    around = sync.Around(service=bool(case["existingService"]))
    made = sync.sync(case["jobSet"], [], NOW, around).service
    assert (made is not None) == (case["expectServiceCreate"] or case["expectErr"])
    if made is not None and case["expectServiceCreate"]:
        assert objects.name(made) == case["expectServiceName"]
        assert made["spec"]["publishNotReadyAddresses"] == case["expectPublishNotReadyAddresses"]


def marks(case: Obj, replicated: str, index: int) -> Obj:
    found = next((r for r in children.replicated_jobs(case["jobSet"]) if r["name"] == replicated), None)
    return objects.labels(children.job(case["jobSet"], found, index, 0)) if found else {}


@check
def global_job_index(case: Obj) -> None:
    assert marks(case, case["replicatedJob"], case["jobIdx"]).get(terms.JOB_GLOBAL_INDEX, "") == case["expectedJobGlobalIndex"]


@check
def global_replicas(case: Obj) -> None:
    every = children.replicated_jobs(case["jobSet"])
    assert not every or marks(case, every[0]["name"], 0)[terms.GLOBAL_REPLICAS] == case["expectedGlobalReplicas"]


@check
def group_job_index(case: Obj) -> None:
    found = marks(case, case["replicatedJob"], case["jobIdx"])
    of_group = found.get(terms.GROUP_NAME) == case["groupName"]
    assert (found[terms.JOB_GROUP_INDEX] if of_group else "") == case["expectedGroupJobIndex"]


@check
def group_replicas(case: Obj) -> None:
    numbers = count()
    every = [r | {"name": str(next(numbers))} for r in children.replicated_jobs(case["jobSet"])]
    case = case | {"jobSet": case["jobSet"] | {"spec": {"replicatedJobs": every}}}
    mine = next((r["name"] for r in every if r.get("groupName", "") == case["groupName"]), None)
    assert (marks(case, mine, 0)[terms.GROUP_REPLICAS] if mine else "0") == case["expectedGroupReplicas"]


@check
def sync_job_scaling(case: Obj) -> None:
    found = list(elastic.changes(case["jobSet"], case["activeJobs"])) if case["enableElasticJobSet"] else []
    assert bool(found) == case["expectPatch"]
    assert all(patch == {"spec": {"parallelism": 8, "completions": 8}} for _, patch in found)


@check
def validate_pod_placements(case: Obj) -> None:
    if not case["forceClientErr"]:
        said = outcome(lambda: placement.check(case["leaderPod"], case["node"], case["podList"]["items"]))
        # On the wire an empty selector is none.
        assert said == re.sub("is missing key: .*", "is nil", case["wantErr"]) if case["wantErr"] else not said


@check
def list_pods_for_job(case: Obj) -> None:
    mine = [pod for pod in case["pods"] if list(controller._by_job(pod))[:1] and controller._owner(pod) == "job-uid-1"]
    assert len(mine) == case["expectedCount"]


@check
def in_order_startup_policy(case: Obj) -> None:
    assert startup.is_in_order({"spec": {"startupPolicy": case["startupPolicy"]}}) == case["expected"]


@check
def replicated_job_started(case: Obj) -> None:
    assert startup.has_started({"replicas": case["replicas"]}, case["replicatedJobStatus"]) == case["expected"]


@check
def job_matches_success_policy(case: Obj) -> None:
    assert bool(policies.matching(case["js"], [case["job"]])) == case["expected"]


@check
def replicated_job_matches_success_policy(case: Obj) -> None:
    spec = case["js"]["spec"] | {"replicatedJobs": [case["replicatedJob"] | {"replicas": 1}]}
    assert bool(policies.expected({"spec": spec})) == case["expected"]


@check
def num_jobs_matching_success_policy(case: Obj) -> None:
    assert policies.matching(case["js"], case["jobs"]) == case["expected"]


@check
def num_jobs_expected_to_succeed(case: Obj) -> None:
    assert policies.expected(case["js"]) == case["expected"]


def finished(jobset: Obj, now: float) -> sync.Plan:
    return sync.sync(jobset, [], now, sync.Around())


def has_time(jobset: Obj) -> bool:
    """Has it a time at which it finished? Upstream's reports that it has none; a server stores no such condition."""
    return any(c.get("lastTransitionTime") and c["type"] in ("Completed", "Failed") for c in jobset["status"].get("conditions") or [])


@check
def execute_ttl_after_finished_policy(case: Obj) -> None:
    if not has_time(case["jobset"]):
        assert case["expectErr"] or not case["expectRequeueAfter"]
        return
    plan = finished(case["jobset"], NOW)
    assert (plan.expire, plan.requeue or 0) == (case["expectDeletion"], case["expectRequeueAfter"] / 1e9)


@check
def check_if_ttl_expired(case: Obj) -> None:
    if not has_time(case["jobset"]) or objects.is_deleting(case["jobset"]):
        assert not case["expectExpired"]
        return
    assert finished(case["jobset"], times.parse(case["clock"])).expire == case["expectExpired"]


@check
def time_left(case: Obj) -> None:
    if not has_time(case["jobset"]) or not case["now"]:
        assert case["expectErr"]
        return
    plan = finished(case["jobset"], times.parse(case["now"]))
    assert (plan.requeue or 0) == max(0, case["expectedTimeLeft"] / 1e9)


@check
def requeue_job_set_after(case: Obj) -> None:
    if not has_time(case["js"]):
        assert case["expectErr"] or not case["expectRequeueAfter"]
        return
    assert (finished(case["js"], NOW).requeue or 0) == case["expectRequeueAfter"] / 1e9


@check
def reconcile_volume_claim_policies(case: Obj) -> None:
    if case["expectErrStr"]:
        return
    there = [objects.name(case["existingPVC"])] if case["existingPVC"] else []
    found = [claim for claim in volumes.claims(case["jobSet"]) if objects.name(claim) not in there]
    want = [{"apiVersion": "v1", "kind": "PersistentVolumeClaim"} | claim for claim in case["expectedPVCs"]]
    for claim in want:
        claim["metadata"].pop("resourceVersion", None)
        for owner in claim["metadata"].get("ownerReferences") or []:
            owner.setdefault("uid", "")
    assert full(found) == full(want)


@check
def add_volumes(case: Obj) -> None:
    spec = case["job"]["spec"]["template"]["spec"]
    volumes.add(spec, case["jobSet"])
    assert full(spec.get("volumes") or []) == full(case["expectedVolumes"] or [])


@check
def job_set_defaulting(case: Obj) -> None:
    defaults.default(case["js"])
    assert full(case["js"]["spec"]) == full(case["want"]["spec"])


def refusal(jobset: Obj, causes: list[Any]) -> str | None:
    found = _invalid(objects.name(jobset), causes).message if causes else None
    return found and found.removeprefix('admission webhook "vjobset.kb.io" denied the request: ')


@check
def validate_create(case: Obj) -> None:
    gates = Gates(in_place_restart=case["enableInPlaceRestart"], restart_job=case["enableRestartJob"])
    existing = {objects.name(claim): claim for claim in case["existingObjs"] or []}
    said = refusal(case["js"], rules.problems(case["js"], gates) + volume_rules.problems(case["js"], existing))
    assert same_text(said, case["answer"])


@check
def validate_update(case: Obj) -> None:
    said = refusal(case["js"], changes.problems(case["js"], case["oldJs"], Gates(elastic=case["enableElasticJobSet"])))
    assert same_text(said, case["answer"])


def same_text(said: str | None, answer: str | None) -> bool:
    """Structs in the middle of texts have all their fields in Go, and only those that are filled here."""
    return _VALUE.sub("", said or "") == _VALUE.sub("", answer or "")


@check
def default(case: Obj) -> None:
    """The leader's part of the mutating webhook for pods; what asks the server is in `test_jobset_features`."""
    pod, want = case["pod"], case["wantPod"]
    if want is None or not placement.is_ours(pod):
        assert want is None or full(want) == full(pod)
        return
    placement.note_priority(pod)
    if placement.is_exclusive(pod) and placement.is_leader(pod):
        placement.keep_apart(pod)
    if not placement.is_exclusive(pod) or placement.is_leader(pod):
        assert full(pod) == full(want)


@check
def leader_pod_name(case: Obj) -> None:
    assert bool(outcome(lambda: placement.leader_name(case["pod"]))) == case["wantErr"]
    assert case["wantErr"] or placement.leader_name(case["pod"]) == case["want"]


@check
def pods_owned_by_same_job(case: Obj) -> None:
    assert outcome(lambda: placement.same_job(case["leaderPod"], case["followerPod"])) == (case["wantResult"] or "")


@check
def leader_pod_for_follower(case: Obj) -> None:
    candidates = [pod for pod in case["existingPods"] or [] if objects.namespace(pod) == objects.namespace(case["followerPod"])]
    said = outcome(lambda: placement.leader(case["followerPod"], candidates))
    assert case["wantErr"] in said
    assert bool(case["wantErr"]) == bool(said)
