"""Restarts: what is done when nodes fail, said in the words of JobSet, Job and torchrun.

Of scope `group` the JobSet starts everything anew, `max-restarts` times; of scope `rank` the Job replaces the node that failed, each as
often, and PyTorch's agents meet again by themselves. What a node loses through no fault of the program (preemption, a node that went
away) is made good without counting. A failurePolicy of the runtime stays, only its number is the TrainJob's; so does its podFailurePolicy.
Contract: ours (annotations `lightship.dev/max-restarts`, `restart-scope`); JobSet 0.12 failurePolicy, batch/v1 Job.
"""

from collections.abc import Iterator

from lightship.meta.errors import Cause
from lightship.meta.objects import Obj
from lightship.train import lasting
from lightship.train.api import names
from lightship.train.api.causes import rejected
from lightship.train.lasting import RANK

from . import rendezvous
from .plan import Plan, PodSet, child, upsert

_DISRUPTED = [{"type": "DisruptionTarget", "status": "True"}]
_RULE = "disrupted"


class Restarts:
    name = "Restarts"

    def validate(self, plan: Plan) -> Iterator[Cause]:
        wanted = lasting.restarts(plan.job)
        if wanted is not None and wanted.scope == RANK and plan.source == "mpi":
            why = "must be group for MPI: when one node goes, mpirun ends all"
            yield rejected(f"metadata.annotations[{names.RESTART_SCOPE}]", RANK, why)

    def enforce_pod_spec(self, plan: Plan) -> None:
        wanted = lasting.restarts(plan.job)
        if wanted is None:
            return
        if wanted.scope == RANK and plan.trainer is not None:
            _replace_nodes(plan, plan.trainer, wanted.limit)
        else:
            _restart_group(plan, wanted.limit)
            if wanted.backoff:
                _hold(plan)


def _restart_group(plan: Plan, limit: int) -> None:
    """The JobSet's own policy; a disruption is seen by the Job, which fails for a reason that the JobSet does not count."""
    policy = plan.spec.get("failurePolicy")
    plan.spec["failurePolicy"] = {**(policy or {}), "maxRestarts": limit}
    if policy is not None:
        return
    marked = [pods.name for pods in plan.pod_sets if _judge(pods, "FailJob")]
    if marked:
        rule = {"name": _RULE, "action": "RestartJobSetAndIgnoreMaxRestarts", "onJobFailureReasons": ["PodFailurePolicy"]}
        plan.spec["failurePolicy"]["rules"] = [{**rule, "targetReplicatedJobs": marked}]


def _hold(plan: Plan) -> None:
    """Let pods wait until `train.backoff` says that they may start."""
    for pods in plan.pod_sets:
        upsert(pods.pod, "schedulingGates", [{"name": names.BACKOFF_GATE}])


def _replace_nodes(plan: Plan, pods: PodSet, limit: int) -> None:
    job = child(pods.job, "template", "spec")
    if pods.pod.setdefault("restartPolicy", "Never") == "Never":
        job.pop("backoffLimit", None)
        job.update(backoffLimitPerIndex=limit, maxFailedIndexes=0)
        _judge(pods, "Ignore")
    else:
        job["backoffLimit"] = limit
    if plan.source == "torch":
        rendezvous.meet_again(plan, limit)


def _judge(pods: PodSet, action: str) -> bool:
    """Have the Job look at disruptions; False where it cannot, or the runtime has said something of its own."""
    job = child(pods.job, "template", "spec")
    if pods.pod.get("restartPolicy") != "Never" or job.get("podFailurePolicy") is not None:
        return False
    rule: Obj = {"action": action, "onPodConditions": [dict(c) for c in _DISRUPTED]}
    job["podFailurePolicy"] = {"rules": [rule]}
    return True
