"""Kinds of the group `scheduling.k8s.io/v1`.

The table of one API group: facts from the data, and which rules belong to which kind. Read by `kinds`, which everybody else imports.
Contract: kube 1.36 scheduling/v1.
"""

from lightship.meta.resources import Resource

from . import facts, priority_classes

PRIORITY_CLASSES = facts.resource(
    "scheduling.k8s.io/v1/priorityclasses",
    prepare=priority_classes.prepare,
    default=priority_classes.default,
    validate=priority_classes.validate,
    row=priority_classes.row,
)

RESOURCES: tuple[Resource, ...] = (PRIORITY_CLASSES,)
