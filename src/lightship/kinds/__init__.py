"""The built-in kinds that Lightship serves, each a `meta.resources.Resource`: names, schema, columns, defaults, validation.

Called by the server (which serves `BUILTIN`), by clients and controllers (which name what they talk about: `kinds.PODS`) and by
capabilities (which reuse pod templates: `kinds.pods`). This file is the table of contents: one module per family of kinds, facts as
data in `kinds/data`. Refuses to know servers, clients and controllers.
"""

from lightship.kinds import facts, pod_rules, pods
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

NAMESPACES = facts.resource("v1/namespaces", selectable={"status.phase": ("status", "phase"), "name": ("metadata", "name")})
SERVICE_ACCOUNTS = facts.resource("v1/serviceaccounts")
CONFIG_MAPS = facts.resource("v1/configmaps")
SECRETS = facts.resource("v1/secrets", selectable={"type": ("type",)})
SERVICES = facts.resource("v1/services")
ENDPOINTS = facts.resource("v1/endpoints")
PODS = facts.resource(
    "v1/pods", selectable=_POD_FIELDS, graceful=True, prepare=pod_rules.prepare, default=pod_rules.default, validate=pod_rules.validate
)
NODES = facts.resource("v1/nodes", selectable={"spec.unschedulable": ("spec", "unschedulable")})
EVENTS = facts.resource("v1/events")
EVENTS_V1 = facts.resource("events.k8s.io/v1/events", storage=("", "events"))
JOBS = facts.resource("batch/v1/jobs", selectable={"status.successful": ("status", "succeeded")})
LEASES = facts.resource("coordination.k8s.io/v1/leases", unconditional_update=False)
ENDPOINT_SLICES = facts.resource("discovery.k8s.io/v1/endpointslices")
PRIORITY_CLASSES = facts.resource("scheduling.k8s.io/v1/priorityclasses")
PERSISTENT_VOLUMES = facts.resource("v1/persistentvolumes")
PERSISTENT_VOLUME_CLAIMS = facts.resource("v1/persistentvolumeclaims")
STORAGE_CLASSES = facts.resource("storage.k8s.io/v1/storageclasses")
CUSTOM_RESOURCE_DEFINITIONS = facts.resource("apiextensions.k8s.io/v1/customresourcedefinitions")

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
