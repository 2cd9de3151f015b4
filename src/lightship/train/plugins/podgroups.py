"""What both kinds of PodGroup say of a TrainJob: how many pods it has, and what they ask for together.

Called by `coscheduling` and `volcano`, after the framework plugins have settled the counts. Pure.
Contract: Trainer 2.3: every replicated job counts once, initializers too.
"""

from lightship.kinds import pods as podlib
from lightship.meta import quantity
from lightship.meta.objects import Obj
from lightship.meta.resources import Resource

from .plan import Care, Component, Plan


def component(plan: Plan, resource: Resource, **more: object) -> Component:
    """The PodGroup of a TrainJob, which has its name."""
    total: dict[str, str] = {}
    for pods in plan.pod_sets:
        total = quantity.add(total, times(podlib.total_requests(pods.pod_template), pods.count))
    spec: Obj = {"minMember": sum(pods.count for pods in plan.pod_sets), "minResources": total, **more}
    group = {"apiVersion": resource.api_version, "kind": resource.kind, "metadata": plan.metadata(plan.name), "spec": spec}
    return Component(resource, group, care=Care.THERE)


def times(amounts: dict[str, str], count: int) -> dict[str, str]:
    """What so many pods ask for together, in the notation that one is in."""
    total: dict[str, str] = {}
    doubled = amounts
    while count:
        if count & 1:
            total = quantity.add(total, doubled)
        doubled, count = quantity.add(doubled, doubled), count >> 1
    return total
