"""Kinds of the group `apps/v1`.

The table of one API group: facts from the data, and which rules belong to which kind. Read by `kinds`, which everybody else imports.
Contract: kube 1.36 apps/v1.
"""

from lightship.kinds import facts, status_checks
from lightship.meta.resources import Part, Resource

from . import checks as workload_checks
from . import rules as workloads
from . import warnings as workload_warnings

CONTROLLER_REVISIONS = facts.resource("apps/v1/controllerrevisions", validate=workload_checks.validate_revision, row=workloads.revision_row)
DAEMON_SETS = facts.resource(
    "apps/v1/daemonsets",
    prepare=workloads.prepare_daemon_set,
    default=workloads.default_daemon_set,
    validate=workload_checks.validate_daemon_set,
    warn=workload_warnings.daemon_set,
    parts={"status": Part(validate=status_checks.daemon_set)},
    row=workloads.daemon_set_row,
)
DEPLOYMENTS = facts.resource(
    "apps/v1/deployments",
    prepare=workloads.prepare,
    default=workloads.default_deployment,
    validate=workload_checks.validate_deployment,
    warn=workload_warnings.named,
    parts={"status": Part(validate=status_checks.deployment)},
    row=workloads.deployment_row,
)
REPLICA_SETS = facts.resource(
    "apps/v1/replicasets",
    selectable={"status.replicas": ("status", "replicas")},
    prepare=workloads.prepare_counted,
    default=workloads.default_replica_set,
    validate=workload_checks.validate_replica_set,
    warn=workload_warnings.named,
    parts={"status": Part(validate=status_checks.replica_set)},
    row=workloads.replica_set_row,
)
STATEFUL_SETS = facts.resource(
    "apps/v1/statefulsets",
    prepare=workloads.prepare_stateful_set,
    default=workloads.default_stateful_set,
    validate=workload_checks.validate_stateful_set,
    warn=workload_warnings.stateful_set,
    parts={"status": Part(validate=status_checks.stateful_set)},
    row=workloads.stateful_set_row,
)

RESOURCES: tuple[Resource, ...] = (CONTROLLER_REVISIONS, DAEMON_SETS, DEPLOYMENTS, REPLICA_SETS, STATEFUL_SETS)
