"""What a cluster that is not ours needs so that Trainer's controllers live there: who they are, what they may, where pods report to them.

Pure; applied by `install`, while `resident` is the program that the Deployment runs. Names of the Deployment, its account, role and
Service are upstream's, so that a cluster has one of the two and clients find either.
Contract: Trainer 2.3 manifests (manager, rbac): kubeflow-system/kubeflow-trainer-controller-manager, port 10443 `status-server`.
"""

from lightship import kinds
from lightship.meta.objects import Obj
from lightship.meta.resources import Resource
from lightship.train.api import progress as contract

NAME, NAMESPACE = contract.SERVICE, contract.SYSTEM_NAMESPACE
CERTIFICATE = "kubeflow-trainer-status-server-cert"
"""Secret with the status server's certificate and the authority that signed it; the program makes it, and renews it."""
LABELS = {"app.kubernetes.io/name": "trainer", "app.kubernetes.io/component": "manager", "app.kubernetes.io/part-of": "kubeflow"}
_SELECTOR = {key: LABELS[key] for key in ("app.kubernetes.io/name", "app.kubernetes.io/component")}
_RBAC = "rbac.authorization.k8s.io"
_READ = ["get", "list", "watch"]
_ALL = [*_READ, "create", "update", "patch", "delete", "deletecollection"]


def _rule(group: str, resources: list[str], verbs: list[str]) -> Obj:
    return {"apiGroups": [group], "resources": resources, "verbs": verbs}


RULES: list[Obj] = [
    _rule("trainer.kubeflow.org", ["trainjobs"], _ALL),
    _rule("trainer.kubeflow.org", ["trainjobs/status", "trainjobs/finalizers"], ["get", "update", "patch"]),
    _rule("trainer.kubeflow.org", ["trainingruntimes", "clustertrainingruntimes"], _READ),
    _rule("lightship.dev", ["trainjobruns"], _ALL),
    _rule("jobset.x-k8s.io", ["jobsets"], _ALL),
    _rule("jobset.x-k8s.io", ["jobsets/status", "jobsets/finalizers"], ["get", "update", "patch"]),
    _rule("batch", ["jobs"], _ALL),
    _rule("batch", ["jobs/status", "jobs/finalizers"], ["get", "update", "patch"]),
    _rule("", ["configmaps", "secrets", "services", "persistentvolumeclaims", "pods"], _ALL),
    _rule("", ["pods/log", "pods/status"], ["get", "patch"]),
    _rule("", ["nodes"], _READ),
    _rule("", ["events"], _ALL),
    _rule("events.k8s.io", ["events"], _ALL),
    _rule("scheduling.k8s.io", ["priorityclasses"], _READ),
    _rule("scheduling.x-k8s.io", ["podgroups"], _ALL),
    _rule("scheduling.volcano.sh", ["podgroups"], _ALL),
    _rule("apiextensions.k8s.io", ["customresourcedefinitions"], ["get"]),
    _rule("authentication.k8s.io", ["tokenreviews"], ["create"]),
]
"""What Trainer's controllers, JobSet's and the status server ask for, of all namespaces."""


def objects(image: str) -> list[tuple[Resource, Obj]]:
    """Everything there is to apply, in this order; `image` has Lightship installed."""
    return [
        (kinds.SERVICE_ACCOUNTS, _named({"apiVersion": "v1", "kind": "ServiceAccount"})),
        (kinds.CLUSTER_ROLES, {"metadata": {"name": NAME, "labels": LABELS}, "rules": RULES}),
        (kinds.CLUSTER_ROLE_BINDINGS, _binding()),
        (kinds.SERVICES, _service()),
        (kinds.DEPLOYMENTS, _deployment(image)),
    ]


def _named(found: Obj) -> Obj:
    return {**found, "metadata": {"name": NAME, "namespace": NAMESPACE, "labels": LABELS}}


def _binding() -> Obj:
    subject = {"kind": "ServiceAccount", "name": NAME, "namespace": NAMESPACE}
    ref = {"apiGroup": _RBAC, "kind": "ClusterRole", "name": NAME}
    return {"metadata": {"name": NAME, "labels": LABELS}, "roleRef": ref, "subjects": [subject]}


def _service() -> Obj:
    port = {"name": "status-server", "protocol": "TCP", "port": contract.PORT, "targetPort": contract.PORT}
    return _named({"apiVersion": "v1", "kind": "Service", "spec": {"selector": _SELECTOR, "ports": [port]}})


def _deployment(image: str) -> Obj:
    container: Obj = {
        "name": "manager",
        "image": image,
        "command": ["python", "-m", "lightship.main.resident"],
        "args": [f"--status-server-port={contract.PORT}"],
        "ports": [{"name": "status-server", "containerPort": contract.PORT, "protocol": "TCP"}],
        "readinessProbe": {"tcpSocket": {"port": contract.PORT}, "periodSeconds": 10},
        "resources": {"requests": {"cpu": "100m", "memory": "256Mi"}},
        "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
    }
    pod = {
        "serviceAccountName": NAME,
        "securityContext": {"runAsNonRoot": True, "runAsUser": 65532, "seccompProfile": {"type": "RuntimeDefault"}},
        "containers": [container],
    }
    spec = {
        # Two at once would do each other's work again.
        "replicas": 1,
        "strategy": {"type": "Recreate"},
        "selector": {"matchLabels": _SELECTOR},
        "template": {"metadata": {"labels": LABELS}, "spec": pod},
    }
    return _named({"apiVersion": "apps/v1", "kind": "Deployment", "spec": spec})
