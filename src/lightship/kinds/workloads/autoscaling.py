"""Kinds of the group `autoscaling`, in both of its versions.

The table of one API group: facts from the data, and which rules belong to which kind. Read by `kinds`, which everybody else imports.
Contract: kube 1.36 autoscaling/v2, autoscaling/v1.
"""

from lightship.kinds import facts
from lightship.meta.resources import Part, Resource

from . import autoscaler_checks, autoscaler_rules

HORIZONTAL_POD_AUTOSCALERS = facts.resource(
    "autoscaling/v2/horizontalpodautoscalers",
    prepare=autoscaler_rules.prepare,
    default=autoscaler_rules.default,
    validate=autoscaler_checks.validate,
    parts={"status": Part(prepare=autoscaler_rules.prepare_status, validate=autoscaler_checks.validate_status)},
    row=autoscaler_rules.row,
)
HORIZONTAL_POD_AUTOSCALERS_V1 = facts.resource(
    "autoscaling/v1/horizontalpodautoscalers",
    prepare=autoscaler_rules.prepare_v1,
    default=autoscaler_rules.default_v1,
    validate=autoscaler_checks.validate_v1,
    parts={"status": Part(validate=autoscaler_checks.validate_status)},
    row=autoscaler_rules.row_v1,
)

RESOURCES: tuple[Resource, ...] = (HORIZONTAL_POD_AUTOSCALERS, HORIZONTAL_POD_AUTOSCALERS_V1)
