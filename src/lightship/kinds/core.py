"""Kinds of the core group: `v1`.

The table of one API group: facts from the data, and which rules belong to which kind. Read by `kinds`, which everybody else imports.
Contract: kube 1.36 core/v1.
"""

from lightship.meta.resources import Part, Resource

from . import cells, configs, event_rules, facts, limit_checks, namespaces, nodes, status_checks
from .networking import endpoints, service_checks, services
from .pods import parts as pod_parts
from .pods import rows as pod_rows
from .pods import rules as pod_rules
from .storage import claim_checks, claim_rules, persistent_volume_checks, volume_rules
from .workloads import checks as workload_checks
from .workloads import rules as workloads
from .workloads import warnings as workload_warnings

_POD_FIELDS: dict[str, tuple[str, ...]] = {
    "spec.nodeName": ("spec", "nodeName"),
    "spec.restartPolicy": ("spec", "restartPolicy"),
    "spec.schedulerName": ("spec", "schedulerName"),
    "spec.serviceAccountName": ("spec", "serviceAccountName"),
    "spec.hostNetwork": ("spec", "hostNetwork"),
    "status.phase": ("status", "phase"),
    "status.podIP": ("status", "podIP"),
    "status.nominatedNodeName": ("status", "nominatedNodeName"),
}

_EVENT_FIELDS: dict[str, tuple[str, ...]] = {
    **{f"involvedObject.{field}": ("involvedObject", field) for field in event_rules.REFERENCE},
    "reason": ("reason",),
    "reportingComponent": ("reportingComponent",),
    "source": ("source", "component"),
    "type": ("type",),
}

NAMESPACES = facts.resource(
    "v1/namespaces",
    selectable={"status.phase": ("status", "phase")},
    prepare=namespaces.prepare,
    default=namespaces.default,
    validate=namespaces.validate,
    parts={
        "finalize": Part(merge=namespaces.merge_finalizers, validate=namespaces.validate_finalizers),
        "status": Part(validate=namespaces.validate_status),
    },
    row=namespaces.row,
)
SERVICE_ACCOUNTS = facts.resource(
    "v1/serviceaccounts", prepare=configs.prepare_account, warn=configs.warn_of_account, row=cells.name_and_age
)
CONFIG_MAPS = facts.resource("v1/configmaps", validate=configs.validate_config_map, row=configs.config_map_row)
SECRETS = facts.resource(
    "v1/secrets",
    selectable={"type": ("type",)},
    default=configs.default_secret,
    validate=configs.validate_secret,
    row=configs.secret_row,
)
SERVICES = facts.resource(
    "v1/services",
    selectable={"spec.clusterIP": ("spec", "clusterIP"), "spec.type": ("spec", "type")},
    prepare=services.prepare,
    default=services.default,
    validate=service_checks.validate,
    warn=service_checks.warn,
    parts={"status": Part(prepare=services.prepare_status, validate=service_checks.validate_status)},
    row=services.row,
)
ENDPOINTS = facts.resource(
    "v1/endpoints",
    default=endpoints.default,
    validate=endpoints.validate,
    warn=endpoints.warn,
    deprecation="v1 Endpoints is deprecated in v1.33+; use discovery.k8s.io/v1 EndpointSlice",
    row=endpoints.row,
)
PERSISTENT_VOLUMES = facts.resource(
    "v1/persistentvolumes",
    prepare=volume_rules.prepare,
    default=volume_rules.default,
    sign=volume_rules.sign,
    validate=persistent_volume_checks.validate,
    warn=persistent_volume_checks.warn,
    parts={"status": Part(sign=volume_rules.sign_status)},
    row=volume_rules.row,
)
PERSISTENT_VOLUME_CLAIMS = facts.resource(
    "v1/persistentvolumeclaims",
    prepare=claim_rules.prepare,
    default=claim_rules.default,
    validate=claim_checks.validate,
    warn=claim_checks.warn,
    parts={"status": Part(prepare=claim_rules.prepare_status, validate=claim_checks.validate_status)},
    row=claim_rules.row,
)
PODS = facts.resource(
    "v1/pods",
    selectable=_POD_FIELDS,
    graceful=True,
    prepare=pod_rules.prepare,
    default=pod_rules.default,
    validate=pod_rules.validate,
    warn=pod_rules.warn,
    parts={
        "status": Part(prepare=pod_parts.prepare_status, validate=pod_parts.validate_status),
        "ephemeralcontainers": Part(merge=pod_parts.merge_debuggers, prepare=pod_parts.default, validate=pod_parts.validate_debuggers),
        "resize": Part(merge=pod_parts.merge_resize, prepare=pod_parts.default, validate=pod_parts.validate_resize),
    },
    row=pod_rows.row,
)
NODES = facts.resource(
    "v1/nodes",
    selectable={"spec.unschedulable": ("spec", "unschedulable")},
    prepare=nodes.prepare,
    default=nodes.default,
    validate=nodes.validate,
    warn=nodes.warn,
    parts={"status": Part(prepare=nodes.prepare_status, validate=nodes.validate_status)},
    row=nodes.row,
)
EVENTS = facts.resource(
    "v1/events", selectable=_EVENT_FIELDS, default=event_rules.default, validate=event_rules.validate, row=event_rules.row
)
BINDINGS = facts.resource("v1/bindings")
COMPONENT_STATUSES = facts.resource(
    "v1/componentstatuses", deprecation="v1 ComponentStatus is deprecated in v1.19+", row=nodes.component_row
)
LIMIT_RANGES = facts.resource(
    "v1/limitranges",
    default=limit_checks.default_limit_range,
    validate=limit_checks.validate_limit_range,
    row=limit_checks.limit_range_row,
)
POD_TEMPLATES = facts.resource(
    "v1/podtemplates",
    default=workloads.default_pod_template,
    validate=workload_checks.validate_pod_template,
    warn=workload_warnings.pod_template,
    row=workloads.pod_template_row,
)
REPLICATION_CONTROLLERS = facts.resource(
    "v1/replicationcontrollers",
    selectable={"status.replicas": ("status", "replicas")},
    prepare=workloads.prepare_counted,
    default=workloads.default_replication_controller,
    validate=workload_checks.validate_replication_controller,
    warn=workload_warnings.replication_controller,
    parts={"status": Part(validate=status_checks.replica_set)},
    row=workloads.replica_set_row,
)
RESOURCE_QUOTAS = facts.resource(
    "v1/resourcequotas",
    prepare=limit_checks.prepare_quota,
    default=limit_checks.default_quota,
    validate=limit_checks.validate_quota,
    warn=limit_checks.warn_of_quota,
    parts={"status": Part(validate=limit_checks.validate_quota_status)},
    row=limit_checks.quota_row,
)

RESOURCES: tuple[Resource, ...] = (
    BINDINGS,
    COMPONENT_STATUSES,
    CONFIG_MAPS,
    ENDPOINTS,
    EVENTS,
    LIMIT_RANGES,
    NAMESPACES,
    NODES,
    PERSISTENT_VOLUME_CLAIMS,
    PERSISTENT_VOLUMES,
    PODS,
    POD_TEMPLATES,
    REPLICATION_CONTROLLERS,
    RESOURCE_QUOTAS,
    SECRETS,
    SERVICE_ACCOUNTS,
    SERVICES,
)
