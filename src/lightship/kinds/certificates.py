"""Kinds of the group `certificates.k8s.io/v1`.

The table of one API group: facts from the data, and which rules belong to which kind. Read by `kinds`, which everybody else imports.
Contract: kube 1.36 certificates/v1.
"""

from lightship.kinds import facts
from lightship.meta.resources import Resource

CERTIFICATE_SIGNING_REQUESTS = facts.resource("certificates.k8s.io/v1/certificatesigningrequests")

RESOURCES: tuple[Resource, ...] = (CERTIFICATE_SIGNING_REQUESTS,)
