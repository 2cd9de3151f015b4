"""Kinds of the group `apiregistration.k8s.io/v1`.

The table of one API group: facts from the data, and which rules belong to which kind. Read by `kinds`, which everybody else imports.
Contract: kube-aggregator 1.36 apiregistration/v1.
"""

from lightship.kinds import facts
from lightship.meta.resources import Resource

API_SERVICES = facts.resource("apiregistration.k8s.io/v1/apiservices")

RESOURCES: tuple[Resource, ...] = (API_SERVICES,)
