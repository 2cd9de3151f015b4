"""Volcano: the PodGroup that its scheduler places as a whole, in a queue, with a priority, near each other in the network.

The kind is Volcano's own: where it is not installed, the TrainJob waits and its event says so. The queue comes from an annotation of the
runtime's template (which a runtime patch may change), the priority from the pods' class, of which `check_cluster` sees that it is there.
Contract: Trainer 2.3 volcano plugin; `scheduling.volcano.sh/v1beta1` PodGroup.
"""

from collections.abc import Iterator
from typing import Any

from lightship.client.client import Client
from lightship.kinds import PRIORITY_CLASSES
from lightship.meta import errors
from lightship.meta.errors import Cause, invalid_value
from lightship.meta.objects import Obj
from lightship.meta.resources import Resource

from . import podgroups
from .plan import Component, Plan

POD_GROUPS = Resource(group="scheduling.volcano.sh", version="v1beta1", kind="PodGroup", plural="podgroups", custom=True)
GROUP_NAME = "scheduling.k8s.io/group-name"
QUEUE_NAME = "scheduling.volcano.sh/queue-name"
HIGHEST = ("system-cluster-critical", "system-node-critical")
"""Classes that need not exist: with one of them, upstream asks no further."""


class Volcano:
    name = "Volcano"

    def validate(self, plan: Plan) -> Iterator[Cause]:
        if _policy(plan) is not None and plan.annotations.get(QUEUE_NAME) == "":
            yield invalid_value(f"spec.annotations[{QUEUE_NAME}]", "", "Volcano queue name must not be empty")

    async def check_cluster(self, plan: Plan, client: Client) -> list[Cause]:
        """Do the priority classes exist that the pods name?"""
        causes: list[Cause] = []
        for name in _priority_classes(plan) if _policy(plan) is not None else ():
            if name in HIGHEST:
                break
            if await client.get_or_none(PRIORITY_CLASSES, name) is None:
                what = errors.not_found(f"{PRIORITY_CLASSES.plural}.{PRIORITY_CLASSES.group}", name).message
                causes.append(invalid_value("spec.templateSpec.priorityClassName", name, f'PriorityClass "{name}" doesn\'t exist: {what}'))
        return causes

    def enforce_pod_group_policy(self, plan: Plan) -> None:
        if _policy(plan) is not None:
            plan.pod_annotations[GROUP_NAME] = plan.name

    def build(self, plan: Plan) -> list[Component]:
        policy = _policy(plan)
        if policy is None:
            return []
        more: dict[str, Any] = {}
        if QUEUE_NAME in plan.annotations:
            more["queue"] = plan.annotations[QUEUE_NAME]
        for name in _priority_classes(plan):
            more["priorityClassName"] = name  # the last replicated job's word counts
        if policy.get("networkTopology"):
            more["networkTopology"] = dict(policy["networkTopology"])
        return [podgroups.component(plan, POD_GROUPS, **more)]


def _policy(plan: Plan) -> Obj | None:
    return plan.pod_group_policy.get("volcano")


def _priority_classes(plan: Plan) -> Iterator[str]:
    for pods in plan.pod_sets:
        if name := pods.pod.get("priorityClassName"):
            yield name
