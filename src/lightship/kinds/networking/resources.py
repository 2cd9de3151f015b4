"""Kinds of the group `networking.k8s.io/v1`.

The table of one API group: facts from the data, and which rules belong to which kind. Read by `kinds`, which everybody else imports.
Contract: kube 1.36 networking/v1.
"""

from lightship.kinds import facts, parts
from lightship.meta.objects import Obj
from lightship.meta.resources import Part, Resource

from . import cluster_addresses, ingress_checks, network_policy_checks
from . import rows as networking_rows


def _prepare_ingress(ingress: Obj, old: Obj | None) -> None:
    ingress["status"] = old.get("status") or {} if old else {"loadBalancer": {}}


def _default_ingress(ingress: Obj) -> None:
    spec = ingress.get("spec") or {}
    paths = [path for rule in spec.get("rules") or () for path in (rule.get("http") or {}).get("paths") or ()]
    for backend in (spec.get("defaultBackend"), *(path.get("backend") for path in paths)):
        resource = (backend or {}).get("resource")
        if resource is not None:
            resource.setdefault("apiGroup", None)


def _default_class(ingress_class: Obj) -> None:
    parameters = (ingress_class.get("spec") or {}).get("parameters")
    if parameters is not None and parameters.get("scope") is None:
        parameters["scope"] = "Cluster"


def _prepare_range(ranges: Obj, old: Obj | None) -> None:
    ranges["status"] = old.get("status") or {} if old else {}


INGRESS_CLASSES = facts.resource(
    "networking.k8s.io/v1/ingressclasses",
    default=_default_class,
    validate=ingress_checks.validate_class,
    row=networking_rows.class_row,
)
INGRESSES = facts.resource(
    "networking.k8s.io/v1/ingresses",
    prepare=_prepare_ingress,
    default=_default_ingress,
    validate=ingress_checks.validate,
    warn=ingress_checks.warn,
    parts={"status": Part(validate=ingress_checks.validate_status, warn=ingress_checks.warn_status)},
    row=networking_rows.ingress_row,
)
IP_ADDRESSES = facts.resource(
    "networking.k8s.io/v1/ipaddresses",
    validate=cluster_addresses.validate_address,
    row=cluster_addresses.address_row,
)
NETWORK_POLICIES = facts.resource(
    "networking.k8s.io/v1/networkpolicies",
    default=network_policy_checks.default,
    validate=network_policy_checks.validate,
    warn=network_policy_checks.warn,
    row=networking_rows.policy_row,
)
SERVICE_CIDRS = facts.resource(
    "networking.k8s.io/v1/servicecidrs",
    prepare=_prepare_range,
    validate=cluster_addresses.validate_range,
    parts={"status": Part(prepare=parts.keep_metadata)},
    row=cluster_addresses.range_row,
)

RESOURCES: tuple[Resource, ...] = (INGRESS_CLASSES, INGRESSES, IP_ADDRESSES, NETWORK_POLICIES, SERVICE_CIDRS)
