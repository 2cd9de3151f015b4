"""The built-in kinds that Lightship serves, each a `meta.resources.Resource`: names, schema, columns, defaults, validation.

Called by the server (which serves `BUILTIN`), by clients and controllers (which name what they talk about: `kinds.PODS`) and by
capabilities (which reuse pod templates: `kinds.pods`). This file is the table of contents: one module per API group, facts as
data in `kinds/data`. Refuses to know servers, clients and controllers.
"""

from lightship.meta.resources import Resource

from . import apiregistration, coordination, core, events, node, pods, scheduling
from .access import certificates, rbac
from .access.certificates import CERTIFICATE_SIGNING_REQUESTS
from .access.rbac import CLUSTER_ROLE_BINDINGS, CLUSTER_ROLES, ROLE_BINDINGS, ROLES
from .admission import resources as admissionregistration
from .admission.resources import (
    MUTATING_ADMISSION_POLICIES,
    MUTATING_ADMISSION_POLICY_BINDINGS,
    MUTATING_WEBHOOK_CONFIGURATIONS,
    VALIDATING_ADMISSION_POLICIES,
    VALIDATING_ADMISSION_POLICY_BINDINGS,
    VALIDATING_WEBHOOK_CONFIGURATIONS,
)
from .apiregistration import API_SERVICES
from .coordination import LEASES
from .core import (
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
    POD_TEMPLATES,
    PODS,
    REPLICATION_CONTROLLERS,
    RESOURCE_QUOTAS,
    SECRETS,
    SERVICE_ACCOUNTS,
    SERVICES,
)
from .devices import resources as dra
from .devices.resources import DEVICE_CLASSES, RESOURCE_CLAIM_TEMPLATES, RESOURCE_CLAIMS, RESOURCE_SLICES
from .events import EVENTS_V1
from .extensions import resources as apiextensions
from .extensions.resources import CUSTOM_RESOURCE_DEFINITIONS
from .facts import definitions, schema_ref
from .flowcontrol import resources as flowcontrol
from .flowcontrol.resources import FLOW_SCHEMAS, PRIORITY_LEVEL_CONFIGURATIONS
from .networking import discovery
from .networking import resources as networking
from .networking.discovery import ENDPOINT_SLICES
from .networking.resources import INGRESS_CLASSES, INGRESSES, IP_ADDRESSES, NETWORK_POLICIES, SERVICE_CIDRS
from .node import RUNTIME_CLASSES
from .pods import is_ready as pod_ready
from .pods import phase as pod_phase
from .scheduling import POD_GROUPS, PRIORITY_CLASSES, WORKLOADS
from .storage import resources as storage
from .storage.resources import (
    CSI_DRIVERS,
    CSI_NODES,
    CSI_STORAGE_CAPACITIES,
    STORAGE_CLASSES,
    VOLUME_ATTACHMENTS,
    VOLUME_ATTRIBUTES_CLASSES,
)
from .workloads import apps, autoscaling, batch, policy
from .workloads.apps import CONTROLLER_REVISIONS, DAEMON_SETS, DEPLOYMENTS, REPLICA_SETS, STATEFUL_SETS
from .workloads.autoscaling import HORIZONTAL_POD_AUTOSCALERS, HORIZONTAL_POD_AUTOSCALERS_V1
from .workloads.batch import CRON_JOBS, JOBS
from .workloads.policy import POD_DISRUPTION_BUDGETS

BUILTIN: tuple[Resource, ...] = (
    *core.RESOURCES,
    *apiregistration.RESOURCES,
    *apps.RESOURCES,
    *events.RESOURCES,
    *autoscaling.RESOURCES,
    *batch.RESOURCES,
    *certificates.RESOURCES,
    *networking.RESOURCES,
    *policy.RESOURCES,
    *rbac.RESOURCES,
    *storage.RESOURCES,
    *admissionregistration.RESOURCES,
    *apiextensions.RESOURCES,
    *scheduling.RESOURCES,
    *coordination.RESOURCES,
    *node.RESOURCES,
    *discovery.RESOURCES,
    *dra.RESOURCES,
    *flowcontrol.RESOURCES,
)
"""In the order in which the real server's discovery lists their groups."""

__all__ = [
    "API_SERVICES",
    "BINDINGS",
    "BUILTIN",
    "CERTIFICATE_SIGNING_REQUESTS",
    "CLUSTER_ROLES",
    "CLUSTER_ROLE_BINDINGS",
    "COMPONENT_STATUSES",
    "CONFIG_MAPS",
    "CONTROLLER_REVISIONS",
    "CRON_JOBS",
    "CSI_DRIVERS",
    "CSI_NODES",
    "CSI_STORAGE_CAPACITIES",
    "CUSTOM_RESOURCE_DEFINITIONS",
    "DAEMON_SETS",
    "DEPLOYMENTS",
    "DEVICE_CLASSES",
    "ENDPOINTS",
    "ENDPOINT_SLICES",
    "EVENTS",
    "EVENTS_V1",
    "FLOW_SCHEMAS",
    "HORIZONTAL_POD_AUTOSCALERS",
    "HORIZONTAL_POD_AUTOSCALERS_V1",
    "INGRESSES",
    "INGRESS_CLASSES",
    "IP_ADDRESSES",
    "JOBS",
    "LEASES",
    "LIMIT_RANGES",
    "MUTATING_ADMISSION_POLICIES",
    "MUTATING_ADMISSION_POLICY_BINDINGS",
    "MUTATING_WEBHOOK_CONFIGURATIONS",
    "NAMESPACES",
    "NETWORK_POLICIES",
    "NODES",
    "PERSISTENT_VOLUMES",
    "PERSISTENT_VOLUME_CLAIMS",
    "PODS",
    "POD_DISRUPTION_BUDGETS",
    "POD_GROUPS",
    "POD_TEMPLATES",
    "PRIORITY_CLASSES",
    "PRIORITY_LEVEL_CONFIGURATIONS",
    "REPLICATION_CONTROLLERS",
    "REPLICA_SETS",
    "RESOURCE_CLAIMS",
    "RESOURCE_CLAIM_TEMPLATES",
    "RESOURCE_QUOTAS",
    "RESOURCE_SLICES",
    "ROLES",
    "ROLE_BINDINGS",
    "RUNTIME_CLASSES",
    "SECRETS",
    "SERVICES",
    "SERVICE_ACCOUNTS",
    "SERVICE_CIDRS",
    "STATEFUL_SETS",
    "STORAGE_CLASSES",
    "VALIDATING_ADMISSION_POLICIES",
    "VALIDATING_ADMISSION_POLICY_BINDINGS",
    "VALIDATING_WEBHOOK_CONFIGURATIONS",
    "VOLUME_ATTACHMENTS",
    "VOLUME_ATTRIBUTES_CLASSES",
    "WORKLOADS",
    "definitions",
    "pod_phase",
    "pod_ready",
    "pods",
    "schema_ref",
]
