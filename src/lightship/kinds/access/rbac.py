"""Kinds of the group `rbac.authorization.k8s.io/v1`.

The table of one API group: facts from the data, and which rules belong to which kind. Read by `kinds`, which everybody else imports.
Contract: kube 1.36 rbac/v1.
"""

from lightship.kinds import facts
from lightship.meta.resources import Resource

from . import rbac_rules

CLUSTER_ROLE_BINDINGS = facts.resource(
    "rbac.authorization.k8s.io/v1/clusterrolebindings",
    default=rbac_rules.default_binding,
    validate=rbac_rules.validate_cluster_binding,
    row=rbac_rules.binding_row,
)
CLUSTER_ROLES = facts.resource(
    "rbac.authorization.k8s.io/v1/clusterroles",
    default=rbac_rules.default_role,
    validate=rbac_rules.validate_cluster_role,
    row=rbac_rules.role_row,
)
ROLE_BINDINGS = facts.resource(
    "rbac.authorization.k8s.io/v1/rolebindings",
    default=rbac_rules.default_binding,
    validate=rbac_rules.validate_binding,
    row=rbac_rules.binding_row,
)
ROLES = facts.resource(
    "rbac.authorization.k8s.io/v1/roles",
    default=rbac_rules.default_role,
    validate=rbac_rules.validate_role,
    row=rbac_rules.role_row,
)

RESOURCES: tuple[Resource, ...] = (CLUSTER_ROLE_BINDINGS, CLUSTER_ROLES, ROLE_BINDINGS, ROLES)
