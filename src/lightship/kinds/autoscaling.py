"""Kinds of the group `autoscaling`, in both of its versions.

The table of one API group: facts from the data, and which rules belong to which kind. Read by `kinds`, which everybody else imports.
Contract: kube 1.36 autoscaling/v2, autoscaling/v1.
"""

from lightship.kinds import facts
from lightship.meta.resources import Resource

HORIZONTAL_POD_AUTOSCALERS = facts.resource("autoscaling/v2/horizontalpodautoscalers")
HORIZONTAL_POD_AUTOSCALERS_V1 = facts.resource("autoscaling/v1/horizontalpodautoscalers")

RESOURCES: tuple[Resource, ...] = (HORIZONTAL_POD_AUTOSCALERS, HORIZONTAL_POD_AUTOSCALERS_V1)
