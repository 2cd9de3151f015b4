"""Success and failure policies of a JobSet: which Jobs count, which rule applies, what it does.

Pure: called by `sync` when Jobs have ended. Contract: JobSet 0.12; patterns are Go's regular expressions.
"""

from typing import NamedTuple

from lightship.builtin.jobset import terms
from lightship.builtin.jobset.children import replicas, replicated_jobs
from lightship.builtin.jobset.draft import Draft
from lightship.builtin.jobset.errors import JobSetError
from lightship.meta import conditions, objects, times
from lightship.meta.objects import Obj
from lightship.meta.schema import patterns

DEFAULT_ACTION = "RestartJobSet"
FAIL = "FailJobSet"


class Restart(NamedTuple):
    event_reason: str
    message: str
    counts: bool
    whole: bool


_RESTARTS = {
    "RestartJobSet": Restart(terms.RESTART_ACTION, terms.RESTART_ACTION_MESSAGE, counts=True, whole=True),
    "RestartJobSetAndIgnoreMaxRestarts": Restart(
        terms.RESTART_IGNORE_ACTION, terms.RESTART_IGNORE_ACTION_MESSAGE, counts=False, whole=True
    ),
    "RestartJob": Restart(terms.RESTART_JOB_ACTION, terms.RESTART_JOB_ACTION_MESSAGE, counts=True, whole=False),
    "RestartJobAndIgnoreMaxRestarts": Restart(
        terms.RESTART_JOB_IGNORE_ACTION, terms.RESTART_JOB_IGNORE_ACTION_MESSAGE, counts=False, whole=False
    ),
}
SINGLE = tuple(action for action, restart in _RESTARTS.items() if not restart.whole)
"""Actions that restart one Job."""


def has_succeeded(jobset: Obj, successful: list[Obj]) -> bool:
    """Have enough Jobs succeeded for the whole to be complete?"""
    return matching(jobset, successful) >= expected(jobset)


def matching(jobset: Obj, jobs: list[Obj]) -> int:
    """How many of the Jobs count for the success policy."""
    targets = _policy(jobset).get("targetReplicatedJobs") or []
    return sum(1 for job in jobs if not targets or objects.labels(job).get(terms.REPLICATED_JOB) in targets)


def expected(jobset: Obj) -> int:
    """How many Jobs have to succeed."""
    policy = _policy(jobset)
    if policy.get("operator") == "Any":
        return 1
    targets = policy.get("targetReplicatedJobs") or []
    return sum(replicas(r) for r in replicated_jobs(jobset) if not targets or r["name"] in targets)


def _policy(jobset: Obj) -> Obj:
    return objects.spec(jobset).get("successPolicy") or {}


def apply_failure_policy(draft: Draft, failed: list[Obj]) -> None:
    """Fail or restart because Jobs have failed. Raises `JobSetError` when what the policy asks for cannot be done."""
    policy = objects.spec(draft.jobset).get("failurePolicy")
    if policy is None:
        draft.fail(terms.FAILED_JOBS, _naming(terms.FAILED_JOBS_MESSAGE, first(failed)))
        return
    rule, job = match(policy.get("rules") or [], failed)
    apply(draft, rule["action"] if rule else DEFAULT_ACTION, rule, job)


def apply(draft: Draft, action: str, rule: Obj | None, job: Obj) -> None:
    """Carry out one action because of one failed Job. Raises `JobSetError`."""
    if action == FAIL:
        draft.fail(terms.FAIL_ACTION, _naming(terms.FAIL_ACTION_MESSAGE, job))
        return
    restart = _RESTARTS.get(action)
    if restart is None:
        raise JobSetError(f"failed to find a corresponding action for the FailurePolicyRuleAction {action}")
    if not restart.whole and not draft.gates.restart_job:
        raise JobSetError(f"{action} failure policy action cannot be used when the feature gate RestartJob is disabled")
    if restart.counts and _used_up(draft):
        draft.fail(terms.REACHED_MAX_RESTARTS, _naming(terms.REACHED_MAX_RESTARTS_MESSAGE, job))
        return
    message = _naming(restart.message, job)
    if restart.whole:
        reason = f"FailurePolicy_{rule['name']}" if rule else terms.RESTARTING_DEFAULT_POLICY
        draft.restart(reason, message, event_reason=restart.event_reason, counts=restart.counts)
    else:
        _restart_one(draft, job, message, restart)


def _used_up(draft: Draft) -> bool:
    limit = objects.get_path(draft.jobset, "spec", "failurePolicy", "maxRestarts") or 0
    return (draft.all_counted_restarts() if draft.gates.restart_job else draft.counted_restarts) >= limit


def _restart_one(draft: Draft, job: Obj, message: str, restart: Restart) -> None:
    labels, name = objects.labels(job), objects.name(job)
    for label in (terms.REPLICATED_JOB, terms.JOB_INDEX):
        if label not in labels:
            raise JobSetError(f"failed job {name} missing {label} label")
    replicated, index = labels[terms.REPLICATED_JOB], labels[terms.JOB_INDEX]
    if not index.isdecimal():
        raise JobSetError(f"failed job {name} has invalid {terms.JOB_INDEX} label: {index}")
    known = len(draft.job_restarts(replicated))
    if int(index) >= known:
        raise JobSetError(f"failed job {name} has index {index} out of bounds for replicated job {replicated} (replicas: {known})")
    draft.restart_job(replicated, int(index), message, event_reason=restart.event_reason, counts=restart.counts)


def match(rules: list[Obj], failed: list[Obj]) -> tuple[Obj | None, Obj]:
    """The first rule that applies to a failed Job, with the earliest Job it applies to; no rule: the first failed Job."""
    for rule in rules:
        if matched := [job for job in failed if applies(rule, job)]:
            return rule, first(matched)
    return None, first(failed)


def applies(rule: Obj, job: Obj) -> bool:
    """Does a rule of a failure policy apply to a failed Job?"""
    failure = conditions.get(job, "Failed") or {}
    reasons, wanted = rule.get("onJobFailureReasons"), rule.get("onJobFailureMessagePatterns")
    targets = rule.get("targetReplicatedJobs")
    if reasons and failure.get("reason") not in reasons:
        return False
    if wanted and not any(_found(pattern, failure.get("message") or "") for pattern in wanted):
        return False
    parent = objects.labels(job).get(terms.REPLICATED_JOB)
    return bool(parent) and (not targets or parent in targets)


def _found(pattern: str, message: str) -> bool:
    """A pattern that is no regular expression matches nothing."""
    return not patterns.problem(pattern) and patterns.compiled(pattern).search(message) is not None


def first(failed: list[Obj]) -> Obj:
    """The Job that failed first; of several within the same second, the one listed first."""
    return min(failed, key=_failed_at)


def _failed_at(job: Obj) -> float:
    stamp = (conditions.get(job, "Failed") or {}).get("lastTransitionTime")
    return times.parse(stamp) if stamp else float("inf")


def _naming(message: str, job: Obj) -> str:
    return f"{message} (first failed job: {objects.name(job)})"
