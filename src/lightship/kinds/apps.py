"""Kinds of the group `apps/v1`.

The table of one API group: facts from the data, and which rules belong to which kind. Read by `kinds`, which everybody else imports.
Contract: kube 1.36 apps/v1.
"""

from lightship.kinds import facts
from lightship.meta.resources import Resource

CONTROLLER_REVISIONS = facts.resource("apps/v1/controllerrevisions")
DAEMON_SETS = facts.resource("apps/v1/daemonsets")
DEPLOYMENTS = facts.resource("apps/v1/deployments")
REPLICA_SETS = facts.resource("apps/v1/replicasets")
STATEFUL_SETS = facts.resource("apps/v1/statefulsets")

RESOURCES: tuple[Resource, ...] = (CONTROLLER_REVISIONS, DAEMON_SETS, DEPLOYMENTS, REPLICA_SETS, STATEFUL_SETS)
