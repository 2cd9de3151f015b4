"""Elastic PyTorch: the number of nodes to start with, and agents that know it may change.

`train.elastic` changes the number while the job runs; here the JobSet is built so that this is possible.
Contract: ours (annotations `lightship.dev/min-nodes`, `max-nodes`, `nodes`), in the words of upstream's proposal KEP-2903.
"""

from collections.abc import Iterator

from lightship.meta.errors import Cause
from lightship.meta.objects import Obj
from lightship.train import lasting
from lightship.train.api import names
from lightship.train.api.causes import rejected

from . import rendezvous
from .plan import Plan, child


class Elastic:
    name = "Elastic"

    def validate(self, plan: Plan) -> Iterator[Cause]:
        bounds = lasting.elastic(plan.job)
        if bounds is None:
            return
        said = f"metadata.annotations[{names.MAX_NODES}]"
        if plan.source != "torch" or plan.trainer is None or plan.trainer_spec is None:
            why = "only PyTorch jobs with a spec.trainer can be elastic: use a runtime whose mlPolicy is torch"
            yield rejected(said, str(bounds.most), why)
        nodes = (plan.trainer_spec or {}).get("numNodes")
        if nodes is not None and not bounds.least <= nodes <= bounds.most:
            yield rejected("spec.trainer.numNodes", nodes, f"must be between {bounds.least} and {bounds.most}, which the annotations say")

    def enforce_pod_spec(self, plan: Plan) -> None:
        bounds, pods = lasting.elastic(plan.job), plan.trainer
        if bounds is None or pods is None or plan.source != "torch":
            return
        asked = pods.count if bounds.asked is None else bounds.asked
        pods.count = max(bounds.least, min(asked, bounds.most))
        child(pods.job, "template", "spec")["completionMode"] = "Indexed"
        said: Obj = plan.job["metadata"].get("annotations") or {}
        restarts = lasting.restarts(plan.job) if names.MAX_RESTARTS in said else None
        workers = restarts.limit if restarts else lasting.WORKER_RESTARTS
        rendezvous.meet_again(plan, workers, f"{bounds.least}:{bounds.most}")
