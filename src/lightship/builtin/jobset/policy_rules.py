"""What a failure policy must keep to. Pure: called by `rules`, which puts the texts into refusals.

Contract: JobSet 0.12 vjobset.kb.io.
"""

import re
from collections.abc import Iterator, Sequence

from lightship.builtin.jobset import children, policies
from lightship.builtin.jobset.gates import Gates
from lightship.meta.objects import Obj

MOST_REPLICAS = 1024
"""Of a replicated job whose Jobs can be restarted one by one: as many attempts fit into the status."""
LONGEST_NAME = 128
REASONS = ("BackoffLimitExceeded", "DeadlineExceeded", "FailedIndexes", "MaxFailedIndexesExceeded", "PodFailurePolicy")
_NAME = re.compile("[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?")
_DISABLED = "RestartJob and RestartJobAndIgnoreMaxRestarts failure policy actions are not allowed when RestartJob feature gate is disabled"
_TOO_MANY = (
    "JobSet cannot have a failure policy rule with RestartJob or RestartJobAndIgnoreMaxRestarts action and a replicated job "
    f"with replicas > {MOST_REPLICAS}"
)


def problems(policy: Obj | None, replicated_jobs: Sequence[Obj], gates: Gates) -> Iterator[str]:
    rules = (policy or {}).get("rules") or []
    if any(rule["action"] in policies.SINGLE for rule in rules):
        if not gates.restart_job:
            yield _DISABLED
            return
        if any(children.replicas(replicated) > MOST_REPLICAS for replicated in replicated_jobs):
            yield _TOO_MANY
    known = {replicated["name"] for replicated in replicated_jobs}
    by_name: dict[str, list[int]] = {}
    for index, rule in enumerate(rules):
        yield from _rule(rule, known)
        by_name.setdefault(rule.get("name", ""), []).append(index)
    for name, indices in by_name.items():
        if len(indices) > 1:
            listed = " ".join(map(str, indices))
            yield f"rule names are not unique, rules with indices [{listed}] all have the same name '{name}'"


def _rule(rule: Obj, known: set[str]) -> Iterator[str]:
    name = rule.get("name", "")
    length = len(name.encode())
    if not 1 <= length <= LONGEST_NAME:
        limits = f"the rule name must be at least 1 characters long and at most {LONGEST_NAME} characters long"
        yield f"invalid failure policy rule name of length {length}, {limits}"
    if not _NAME.fullmatch(name):
        yield (
            f"invalid failure policy rule name '{name}', a failure policy rule name must start with an alphabetic character, optionally "
            "followed by a string of alphanumeric characters or '_,:', and must end with an alphanumeric character or '_'"
        )
    for target in rule.get("targetReplicatedJobs") or []:
        if target not in known:
            yield f"invalid replicatedJob name '{target}' in failure policy does not appear in .spec.ReplicatedJobs"
    for reason in rule.get("onJobFailureReasons") or []:
        if reason not in REASONS:
            yield f"invalid job failure reason '{reason}' in failure policy is not a recognized job failure reason"
