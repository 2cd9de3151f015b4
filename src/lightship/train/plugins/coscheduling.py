"""Coscheduling: all pods of a TrainJob get a node at once, or none does.

The PodGroup carries the TrainJob's name, and every pod its label. Our own scheduler goes by both, as scheduler-plugins' does; on a cluster
that does not serve the kind, the TrainJob waits and its event says so.
Contract: Trainer 2.3 coscheduling plugin; `scheduling.x-k8s.io/v1alpha1` PodGroup.
"""

from lightship.builtin.api import COSCHEDULING_POD_GROUPS
from lightship.meta.objects import Obj

from . import podgroups
from .plan import Component, Plan

LABEL = "scheduling.x-k8s.io/pod-group"
DEFAULT_TIMEOUT_SECONDS = 60
"""What the definition of runtimes fills in."""


class Coscheduling:
    name = "CoScheduling"

    def enforce_pod_group_policy(self, plan: Plan) -> None:
        if _policy(plan) is not None:
            plan.pod_labels[LABEL] = plan.name

    def build(self, plan: Plan) -> list[Component]:
        policy = _policy(plan)
        if policy is None:
            return []
        timeout = policy.get("scheduleTimeoutSeconds", DEFAULT_TIMEOUT_SECONDS)
        return [podgroups.component(plan, COSCHEDULING_POD_GROUPS, scheduleTimeoutSeconds=timeout)]


def _policy(plan: Plan) -> Obj | None:
    return plan.pod_group_policy.get("coscheduling")
