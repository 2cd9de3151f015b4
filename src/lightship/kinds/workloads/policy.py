"""Kinds of the group `policy/v1`.

The table of one API group: facts from the data, and which rules belong to which kind. Read by `kinds`, which everybody else imports.
Contract: kube 1.36 policy/v1.
"""

from lightship.kinds import facts
from lightship.meta.resources import Part, Resource

from . import budgets

POD_DISRUPTION_BUDGETS = facts.resource(
    "policy/v1/poddisruptionbudgets",
    prepare=budgets.prepare,
    validate=budgets.validate,
    parts={"status": Part(validate=budgets.validate_status)},
    row=budgets.row,
    unconditional_update=False,
)

RESOURCES: tuple[Resource, ...] = (POD_DISRUPTION_BUDGETS,)
