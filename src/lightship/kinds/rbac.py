"""Kinds of the group `rbac.authorization.k8s.io/v1`.

The table of one API group: facts from the data, and which rules belong to which kind. Read by `kinds`, which everybody else imports.
Contract: kube 1.36 rbac/v1.
"""

from lightship.kinds import facts
from lightship.meta.resources import Resource

CLUSTER_ROLE_BINDINGS = facts.resource("rbac.authorization.k8s.io/v1/clusterrolebindings")
CLUSTER_ROLES = facts.resource("rbac.authorization.k8s.io/v1/clusterroles")
ROLE_BINDINGS = facts.resource("rbac.authorization.k8s.io/v1/rolebindings")
ROLES = facts.resource("rbac.authorization.k8s.io/v1/roles")

RESOURCES: tuple[Resource, ...] = (CLUSTER_ROLE_BINDINGS, CLUSTER_ROLES, ROLE_BINDINGS, ROLES)
