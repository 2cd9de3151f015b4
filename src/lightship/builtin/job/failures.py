"""What a failed pod means for its Job under a pod failure policy: fail it all or its index, count it, or
overlook it.

Pure; called by `sync` for each pod that has failed and was not counted yet. Without a policy every failure counts.
Contract: batch/v1 PodFailurePolicy.
"""

from typing import NamedTuple

from lightship.builtin.job.verdict import Verdict
from lightship.meta import objects
from lightship.meta.objects import Obj


class Judgement(NamedTuple):
    counts: bool
    verdict: Verdict | None
    fails_index: bool = False


def judge(job: Obj, pod: Obj) -> Judgement:
    """The first rule that matches decides."""
    for number, rule in enumerate(objects.get_path(job, "spec", "podFailurePolicy", "rules") or ()):
        what = _exit_code(rule.get("onExitCodes"), pod) or _condition(rule.get("onPodConditions"), pod)
        if what is None:
            continue
        action = rule.get("action")
        if action == "FailJob":
            return Judgement(True, Verdict(False, "PodFailurePolicy", f"{what} matching FailJob rule at index {number}"))
        return Judgement(action != "Ignore", None, action == "FailIndex")
    return Judgement(True, None)


def _exit_code(requirement: Obj | None, pod: Obj) -> str | None:
    """The container whose exit code the requirement is about, in words."""
    if not requirement:
        return None
    status = objects.status(pod)
    for container in (*(status.get("containerStatuses") or ()), *(status.get("initContainerStatuses") or ())):
        code = objects.get_path(container, "state", "terminated", "exitCode")
        if code and requirement.get("containerName") in (None, container.get("name")) and _matches(requirement, code):
            return f"Container {container.get('name')} for pod {objects.key(pod)} failed with exit code {code}"
    return None


def _matches(requirement: Obj, code: int) -> bool:
    listed = code in (requirement.get("values") or ())
    return listed if requirement.get("operator") == "In" else not listed


def _condition(patterns: list[Obj] | None, pod: Obj) -> str | None:
    for condition in objects.status(pod).get("conditions") or ():
        for pattern in patterns or ():
            if pattern.get("type") == condition.get("type") and (pattern.get("status") or "True") == condition.get("status"):
                return f"Pod {objects.key(pod)} has condition {condition['type']}"
    return None
