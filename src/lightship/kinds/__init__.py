"""The built-in kinds that Lightship serves, each a `meta.resources.Resource`: names, schema, columns, defaults, validation.

Called by the server (which serves `BUILTIN`), by clients and controllers (which name what they talk about: `kinds.PODS`) and by
capabilities (which reuse pod templates: `kinds.pods`). This file is the table of contents: one module per family of kinds, facts as
data in `kinds/data`. Refuses to know servers, clients and controllers.
"""

from lightship.kinds import (
    cells,
    cluster,
    configs,
    crd,
    endpoints,
    events,
    facts,
    job_checks,
    job_rules,
    namespaces,
    nodes,
    pod_rows,
    pod_rules,
    pods,
    services,
)
from lightship.kinds.facts import definitions, schema_ref
from lightship.kinds.pods import is_ready as pod_ready
from lightship.kinds.pods import phase as pod_phase
from lightship.meta.resources import Resource

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

_REFERENCE = ("kind", "namespace", "name", "uid", "apiVersion", "resourceVersion", "fieldPath")
_EVENT_FIELDS: dict[str, tuple[str, ...]] = {
    **{f"involvedObject.{field}": ("involvedObject", field) for field in _REFERENCE},
    "reason": ("reason",),
    "reportingComponent": ("reportingComponent",),
    "source": ("source", "component"),
    "type": ("type",),
}
_EVENT_V1_FIELDS: dict[str, tuple[str, ...]] = {
    **{f"regarding.{field}": ("regarding", field) for field in _REFERENCE},
    "reason": ("reason",),
    "reportingController": ("reportingController",),
    "type": ("type",),
}

NAMESPACES = facts.resource(
    "v1/namespaces",
    selectable={"status.phase": ("status", "phase")},
    prepare=namespaces.prepare,
    default=namespaces.default,
    row=namespaces.row,
)
SERVICE_ACCOUNTS = facts.resource("v1/serviceaccounts", row=cells.name_and_age)
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
    validate=services.validate,
    row=services.row,
)
ENDPOINTS = facts.resource(
    "v1/endpoints", default=endpoints.default_endpoints, validate=endpoints.validate_endpoints, row=endpoints.endpoints_row
)
PERSISTENT_VOLUMES = facts.resource(
    "v1/persistentvolumes",
    prepare=cluster.prepare_volume,
    default=cluster.default_volume,
    validate=cluster.validate_volume,
    row=cluster.volume_row,
)
PERSISTENT_VOLUME_CLAIMS = facts.resource(
    "v1/persistentvolumeclaims",
    prepare=cluster.prepare_volume,
    default=cluster.default_volume,
    validate=cluster.validate_claim,
    row=cluster.claim_row,
)
PODS = facts.resource(
    "v1/pods",
    selectable=_POD_FIELDS,
    graceful=True,
    prepare=pod_rules.prepare,
    default=pod_rules.default,
    validate=pod_rules.validate,
    row=pod_rows.row,
)
NODES = facts.resource(
    "v1/nodes",
    selectable={"spec.unschedulable": ("spec", "unschedulable")},
    prepare=nodes.prepare,
    default=nodes.default,
    validate=nodes.validate,
    row=nodes.row,
)
EVENTS = facts.resource("v1/events", selectable=_EVENT_FIELDS, validate=events.validate, row=events.row)
EVENTS_V1 = facts.resource(
    "events.k8s.io/v1/events",
    selectable=_EVENT_V1_FIELDS,
    validate=events.validate_v1,
    row=events.row,
    storage=("", "events"),
)
JOBS = facts.resource(
    "batch/v1/jobs",
    selectable={"status.successful": ("status", "succeeded")},
    prepare=job_rules.prepare,
    default=job_rules.default,
    validate=job_checks.validate,
    row=job_rules.row,
    keeps_dependents=job_rules.KEEPS_PODS,
)
LEASES = facts.resource("coordination.k8s.io/v1/leases", validate=cluster.validate_lease, row=cluster.lease_row, unconditional_update=False)
ENDPOINT_SLICES = facts.resource(
    "discovery.k8s.io/v1/endpointslices",
    default=endpoints.default_slice,
    validate=endpoints.validate_slice,
    row=endpoints.slice_row,
)
PRIORITY_CLASSES = facts.resource(
    "scheduling.k8s.io/v1/priorityclasses",
    default=cluster.default_priority_class,
    validate=cluster.validate_priority_class,
    row=cluster.priority_class_row,
)
STORAGE_CLASSES = facts.resource(
    "storage.k8s.io/v1/storageclasses",
    default=cluster.default_storage_class,
    validate=cluster.validate_storage_class,
    row=cluster.storage_class_row,
)
CUSTOM_RESOURCE_DEFINITIONS = facts.resource(
    "apiextensions.k8s.io/v1/customresourcedefinitions",
    prepare=crd.prepare,
    default=crd.default,
    validate=crd.validate,
    row=crd.row,
    unconditional_update=False,
)

BUILTIN: tuple[Resource, ...] = (
    NAMESPACES,
    SERVICE_ACCOUNTS,
    CONFIG_MAPS,
    SECRETS,
    SERVICES,
    ENDPOINTS,
    PERSISTENT_VOLUMES,
    PERSISTENT_VOLUME_CLAIMS,
    PODS,
    NODES,
    EVENTS,
    EVENTS_V1,
    JOBS,
    LEASES,
    ENDPOINT_SLICES,
    PRIORITY_CLASSES,
    STORAGE_CLASSES,
    CUSTOM_RESOURCE_DEFINITIONS,
)

__all__ = [
    "BUILTIN",
    "CONFIG_MAPS",
    "CUSTOM_RESOURCE_DEFINITIONS",
    "ENDPOINTS",
    "ENDPOINT_SLICES",
    "EVENTS",
    "EVENTS_V1",
    "JOBS",
    "LEASES",
    "NAMESPACES",
    "NODES",
    "PERSISTENT_VOLUMES",
    "PERSISTENT_VOLUME_CLAIMS",
    "PODS",
    "PRIORITY_CLASSES",
    "SECRETS",
    "SERVICES",
    "SERVICE_ACCOUNTS",
    "STORAGE_CLASSES",
    "definitions",
    "pod_phase",
    "pod_ready",
    "pods",
    "schema_ref",
]
