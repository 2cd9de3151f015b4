"""Kinds of the group `apiextensions.k8s.io/v1`.

The table of one API group: facts from the data, and which rules belong to which kind. Read by `kinds`, which everybody else imports.
Contract: apiextensions-apiserver 1.36.
"""

from lightship.kinds import facts
from lightship.meta.resources import Part, Resource

from . import crd

CUSTOM_RESOURCE_DEFINITIONS = facts.resource(
    "apiextensions.k8s.io/v1/customresourcedefinitions",
    prepare=crd.prepare,
    default=crd.default,
    validate=crd.validate,
    warn=crd.warn,
    parts={"status": Part(validate=crd.validate_status)},
    row=crd.row,
    unconditional_update=False,
)

RESOURCES: tuple[Resource, ...] = (CUSTOM_RESOURCE_DEFINITIONS,)
