"""Kinds of the group `coordination.k8s.io/v1`.

The table of one API group: facts from the data, and which rules belong to which kind. Read by `kinds`, which everybody else imports.
Contract: kube 1.36 coordination/v1.
"""

from lightship.kinds import cluster, facts
from lightship.meta.resources import Resource

LEASES = facts.resource("coordination.k8s.io/v1/leases", validate=cluster.validate_lease, row=cluster.lease_row, unconditional_update=False)

RESOURCES: tuple[Resource, ...] = (LEASES,)
