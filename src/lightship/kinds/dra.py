"""Kinds of the group `resource.k8s.io/v1`.

The table of one API group: facts from the data, and which rules belong to which kind. Read by `kinds`, which everybody else imports.
Contract: kube 1.36 resource/v1.
"""

from lightship.kinds import facts
from lightship.meta.resources import Resource

DEVICE_CLASSES = facts.resource("resource.k8s.io/v1/deviceclasses")
RESOURCE_CLAIMS = facts.resource("resource.k8s.io/v1/resourceclaims")
RESOURCE_CLAIM_TEMPLATES = facts.resource("resource.k8s.io/v1/resourceclaimtemplates")
RESOURCE_SLICES = facts.resource("resource.k8s.io/v1/resourceslices")

RESOURCES: tuple[Resource, ...] = (DEVICE_CLASSES, RESOURCE_CLAIMS, RESOURCE_CLAIM_TEMPLATES, RESOURCE_SLICES)
