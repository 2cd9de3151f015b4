"""Kinds of the group `events.k8s.io/v1`: the Events of the core group under other names.

The table of one API group: facts from the data, and which rules belong to which kind. Read by `kinds`, which everybody else imports.
Contract: kube 1.36 events/v1.
"""

from lightship.meta.resources import Resource

from . import event_rules, facts

_EVENT_V1_FIELDS: dict[str, tuple[str, ...]] = {
    **{f"regarding.{field}": ("regarding", field) for field in event_rules.REFERENCE},
    "reason": ("reason",),
    "reportingController": ("reportingController",),
    "type": ("type",),
}

EVENTS_V1 = facts.resource(
    "events.k8s.io/v1/events",
    selectable=_EVENT_V1_FIELDS,
    default=event_rules.default_v1,
    validate=event_rules.validate_v1,
    row=event_rules.row,
    storage=("", "events"),
)

RESOURCES: tuple[Resource, ...] = (EVENTS_V1,)
