"""Kinds of the group `discovery.k8s.io/v1`.

The table of one API group: facts from the data, and which rules belong to which kind. Read by `kinds`, which everybody else imports.
Contract: kube 1.36 discovery/v1.
"""

from lightship.kinds import facts
from lightship.meta.resources import Resource

from . import endpoint_slices

ENDPOINT_SLICES = facts.resource(
    "discovery.k8s.io/v1/endpointslices",
    prepare=endpoint_slices.prepare,
    default=endpoint_slices.default,
    validate=endpoint_slices.validate,
    warn=endpoint_slices.warn,
    row=endpoint_slices.row,
)

RESOURCES: tuple[Resource, ...] = (ENDPOINT_SLICES,)
