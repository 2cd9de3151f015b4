"""Facts of single built-in kinds that the generic operations need and that no schema tells: generation, names, what DELETE answers.

Read by `served.Served` when a resource is compiled. Keyed by bucket (`core/pods`), so that every version of a kind shares them; custom
kinds follow the rules of CustomResourceDefinitions instead.
Contract: kube-apiserver 1.36, pkg/registry strategies.
"""

from lightship.meta.names import Rule
from lightship.meta.resources import Resource

_GENERATION = frozenset(
    {
        "admissionregistration.k8s.io/mutatingadmissionpolicies",
        "admissionregistration.k8s.io/mutatingadmissionpolicybindings",
        "admissionregistration.k8s.io/mutatingwebhookconfigurations",
        "admissionregistration.k8s.io/validatingadmissionpolicies",
        "admissionregistration.k8s.io/validatingadmissionpolicybindings",
        "admissionregistration.k8s.io/validatingwebhookconfigurations",
        "apiextensions.k8s.io/customresourcedefinitions",
        "apps/daemonsets",
        "apps/deployments",
        "apps/replicasets",
        "apps/statefulsets",
        "batch/cronjobs",
        "batch/jobs",
        "core/pods",
        "core/podtemplates",
        "core/replicationcontrollers",
        "discovery.k8s.io/endpointslices",
        "flowcontrol.apiserver.k8s.io/flowschemas",
        "flowcontrol.apiserver.k8s.io/prioritylevelconfigurations",
        "networking.k8s.io/ingressclasses",
        "networking.k8s.io/ingresses",
        "networking.k8s.io/networkpolicies",
        "policy/poddisruptionbudgets",
        "resource.k8s.io/deviceclasses",
        "resource.k8s.io/resourceslices",
    }
)
_CREATE_ON_UPDATE = frozenset(
    {
        "coordination.k8s.io/leases",
        "core/endpoints",
        "core/events",
        "core/limitranges",
        "core/services",
        "node.k8s.io/runtimeclasses",
        "rbac.authorization.k8s.io/clusterrolebindings",
        "rbac.authorization.k8s.io/clusterroles",
        "rbac.authorization.k8s.io/rolebindings",
        "rbac.authorization.k8s.io/roles",
    }
)
_RETURNS_DELETED = frozenset(
    {
        "core/namespaces",
        "core/persistentvolumeclaims",
        "core/persistentvolumes",
        "core/pods",
        "core/podtemplates",
        "core/resourcequotas",
        "core/serviceaccounts",
        "core/services",
        "resource.k8s.io/deviceclasses",
        "resource.k8s.io/resourceclaims",
        "resource.k8s.io/resourceclaimtemplates",
        "resource.k8s.io/resourceslices",
        "storage.k8s.io/csidrivers",
        "storage.k8s.io/csinodes",
        "storage.k8s.io/storageclasses",
        "storage.k8s.io/volumeattachments",
        "storage.k8s.io/volumeattributesclasses",
    }
)
_KEEPS_DEPENDENTS = frozenset({"core/replicationcontrollers"})
_NAME_RULES: dict[str, Rule] = {
    "core/namespaces": "label",
    "core/services": "label",
    "apps/statefulsets": "label",
    "core/events": "path",
    "policy/poddisruptionbudgets": "path",
    "apiregistration.k8s.io/apiservices": "path",
    "certificates.k8s.io/certificatesigningrequests": "path",
    "networking.k8s.io/ipaddresses": "path",  # judged by the kind's own rules
    "rbac.authorization.k8s.io/clusterrolebindings": "path",
    "rbac.authorization.k8s.io/clusterroles": "path",
    "rbac.authorization.k8s.io/rolebindings": "path",
    "rbac.authorization.k8s.io/roles": "path",
}
_METADATA_ORDERS = {
    order: frozenset(buckets.split())
    for order, buckets in {
        "UN": """
            apiregistration.k8s.io/apiservices apps/controllerrevisions core/configmaps core/endpoints core/persistentvolumeclaims core/pods
            core/secrets core/serviceaccounts networking.k8s.io/ingressclasses networking.k8s.io/ingresses
            storage.k8s.io/volumeattributesclasses
            """,
        "N": """
            admissionregistration.k8s.io/mutatingadmissionpolicies admissionregistration.k8s.io/mutatingadmissionpolicybindings
            admissionregistration.k8s.io/mutatingwebhookconfigurations admissionregistration.k8s.io/validatingadmissionpolicies
            admissionregistration.k8s.io/validatingadmissionpolicybindings admissionregistration.k8s.io/validatingwebhookconfigurations
            core/limitranges discovery.k8s.io/endpointslices flowcontrol.apiserver.k8s.io/flowschemas
            flowcontrol.apiserver.k8s.io/prioritylevelconfigurations storage.k8s.io/csinodes storage.k8s.io/volumeattachments
            """,
        "NU": """
            batch/jobs certificates.k8s.io/certificatesigningrequests core/namespaces core/nodes networking.k8s.io/ipaddresses
            node.k8s.io/runtimeclasses rbac.authorization.k8s.io/clusterrolebindings rbac.authorization.k8s.io/clusterroles
            rbac.authorization.k8s.io/rolebindings rbac.authorization.k8s.io/roles resource.k8s.io/deviceclasses
            resource.k8s.io/resourceclaims resource.k8s.io/resourceclaimtemplates storage.k8s.io/csistoragecapacities
            storage.k8s.io/storageclasses
            """,
        "NN": "core/persistentvolumes",
        "": "policy/poddisruptionbudgets",
    }.items()
}
_ANY_FINALIZERS = frozenset({"coordination.k8s.io/leases", "node.k8s.io/runtimeclasses", "policy/poddisruptionbudgets"})
_ANY_FINALIZER_GROUPS = frozenset({"admissionregistration.k8s.io", "apiextensions.k8s.io", "apiregistration.k8s.io"})
_ANY_PREFIX = frozenset({"certificates.k8s.io/certificatesigningrequests", "core/replicationcontrollers", "resource.k8s.io/deviceclasses"})
_METADATA_LAST = frozenset({"core/events", "policy/poddisruptionbudgets"})
_ANNOTATIONS_COUNT = frozenset({"apps/deployments"})
STAND_INS: dict[tuple[str, str], tuple[str, ...]] = {("core/events", "source"): ("reportingComponent",)}
"""Selectable fields that select by another field where they are empty: an Event of the newer API says only who reports it."""
ZERO_FIELDS = {"spec.unschedulable": "false", "spec.hostNetwork": "false", "status.successful": "0", "status.replicas": "0"}
"""Selectable fields that are not strings: what a missing one selects as."""


def has_generation(resource: Resource) -> bool:
    """Does the server keep `metadata.generation` for this kind?"""
    return resource.custom or resource.bucket in _GENERATION


def annotations_count(resource: Resource) -> bool:
    """Is a change of annotations one of the generation too?"""
    return resource.bucket in _ANNOTATIONS_COUNT


def creates_on_update(resource: Resource) -> bool:
    """Does a PUT to a name that is free create the object?"""
    return resource.bucket in _CREATE_ON_UPDATE


def returns_deleted(resource: Resource) -> bool:
    """Does DELETE answer with the deleted object instead of a Status?"""
    return resource.bucket in _RETURNS_DELETED


def metadata_order(resource: Resource) -> str:
    """How often, after the checks that all kinds share, an update's metadata are judged: as new ones (`N`), as changed ones (`U`)."""
    return next((order for order, buckets in _METADATA_ORDERS.items() if resource.bucket in buckets), "U")


def knows_finalizers(resource: Resource) -> bool:
    """Must finalizers without a domain be those that Kubernetes itself knows?"""
    return not resource.custom and resource.bucket not in _ANY_FINALIZERS and resource.group not in _ANY_FINALIZER_GROUPS


def metadata_last(resource: Resource) -> bool:
    """Are a new object's metadata only judged when nothing else is wrong, and then by no rule of its kind?"""
    return resource.bucket in _METADATA_LAST and resource.group != "events.k8s.io"


def judges_prefixes(resource: Resource) -> bool:
    """Is `generateName` held to the rule for names?"""
    return resource.bucket not in _ANY_PREFIX


def keeps_dependents(resource: Resource) -> bool:
    """Do dependents stay when one is deleted without a word about them?"""
    return bool(resource.keeps_dependents) or resource.bucket in _KEEPS_DEPENDENTS


def name_rule(resource: Resource) -> Rule:
    return "subdomain" if resource.group == "events.k8s.io" else _NAME_RULES.get(resource.bucket, "subdomain")
