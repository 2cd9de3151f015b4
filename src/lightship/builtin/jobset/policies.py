"""Success and failure policies of a JobSet: which Jobs count, which rule applies, what it does.

Pure: called by `sync` when Jobs have ended. Contract: JobSet 0.12 with its default feature gates (single Jobs are not restarted).
"""

import re
from typing import NamedTuple

from lightship.builtin.jobset import terms
from lightship.builtin.jobset.children import replicas, replicated_jobs
from lightship.builtin.jobset.draft import Draft
from lightship.meta import conditions, objects, times
from lightship.meta.objects import Obj

DEFAULT_ACTION = "RestartJobSet"


class Restart(NamedTuple):
    event_reason: str
    message: str
    counts: bool


_RESTARTS = {
    "RestartJobSet": Restart(terms.RESTART_ACTION, terms.RESTART_ACTION_MESSAGE, counts=True),
    "RestartJobSetAndIgnoreMaxRestarts": Restart(terms.RESTART_IGNORE_ACTION, terms.RESTART_IGNORE_ACTION_MESSAGE, counts=False),
}


def has_succeeded(jobset: Obj, successful: list[Obj]) -> bool:
    """Have enough Jobs succeeded for the whole to be complete?"""
    policy = objects.spec(jobset).get("successPolicy") or {}
    targets = policy.get("targetReplicatedJobs") or []
    done = sum(1 for job in successful if not targets or objects.labels(job).get(terms.REPLICATED_JOB) in targets)
    if policy.get("operator") == "Any":
        return done >= 1
    return done >= sum(replicas(r) for r in replicated_jobs(jobset) if not targets or r["name"] in targets)


def apply_failure_policy(draft: Draft, failed: list[Obj]) -> None:
    """Fail or restart the JobSet because Jobs have failed."""
    policy = objects.spec(draft.jobset).get("failurePolicy")
    if policy is None:
        draft.fail(terms.FAILED_JOBS, _naming(terms.FAILED_JOBS_MESSAGE, _first(failed)))
        return
    rule, job = _matching(policy.get("rules") or [], failed)
    action = rule["action"] if rule else DEFAULT_ACTION
    if action == "FailJobSet":
        draft.fail(terms.FAIL_ACTION, _naming(terms.FAIL_ACTION_MESSAGE, job))
        return
    restart = _RESTARTS[action]
    if restart.counts and draft.status.get("restartsCountTowardsMax", 0) >= policy.get("maxRestarts", 0):
        draft.fail(terms.REACHED_MAX_RESTARTS, _naming(terms.REACHED_MAX_RESTARTS_MESSAGE, job))
        return
    reason = f"FailurePolicy_{rule['name']}" if rule else terms.RESTARTING_DEFAULT_POLICY
    draft.restart(reason, _naming(restart.message, job), event_reason=restart.event_reason, counts=restart.counts)


def _matching(rules: list[Obj], failed: list[Obj]) -> tuple[Obj | None, Obj]:
    """The first rule that applies to a failed Job, with the earliest Job it applies to; no rule: the first failed Job."""
    for rule in rules:
        if matched := [job for job in failed if _applies(rule, job)]:
            return rule, _first(matched)
    return None, _first(failed)


def _applies(rule: Obj, job: Obj) -> bool:
    failure = conditions.get(job, "Failed") or {}
    reasons, patterns = rule.get("onJobFailureReasons"), rule.get("onJobFailureMessagePatterns")
    targets = rule.get("targetReplicatedJobs")
    if reasons and failure.get("reason") not in reasons:
        return False
    if patterns and not any(_found(pattern, failure.get("message") or "") for pattern in patterns):
        return False
    parent = objects.labels(job).get(terms.REPLICATED_JOB)
    return bool(parent) and (not targets or parent in targets)


def _found(pattern: str, message: str) -> bool:
    """A pattern that is no regular expression matches nothing."""
    try:
        return re.search(pattern, message) is not None
    except re.error:
        return False


def _first(failed: list[Obj]) -> Obj:
    """The Job that failed first; of several within the same second, the one listed first."""
    return min(failed, key=_failed_at)


def _failed_at(job: Obj) -> float:
    stamp = (conditions.get(job, "Failed") or {}).get("lastTransitionTime")
    return times.parse(stamp) if stamp else float("inf")


def _naming(message: str, job: Obj) -> str:
    return f"{message} (first failed job: {objects.name(job)})"
