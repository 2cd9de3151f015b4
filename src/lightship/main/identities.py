"""As whom the platform's own parts ask its API server, and the roles that let them.

`platform` gives each part a client of its own identity; `bind` writes the roles, which stay as the platform says. Nobody but the
administrator is a master: what a part may is written down here, or in the default roles of every cluster.
Contract: Kubernetes' default roles system:node (given by the node authorizer) and system:kube-scheduler.
"""

from lightship import kinds
from lightship.client import Client
from lightship.meta.objects import Obj
from lightship.meta.rest import User

ADMIN = User("kubernetes-admin", ("system:masters",))
CONTROLLERS = User(
    "system:serviceaccount:kube-system:lightship-controllers", ("system:serviceaccounts", "system:serviceaccounts:kube-system")
)
"""Everything that stands for kube-controller-manager, and the controllers of capabilities; also the shared cache that all parts read."""
SCHEDULER = User("system:kube-scheduler")
ROLE = "lightship:controllers"

_GROUP = "rbac.authorization.k8s.io"
_READ = ["get", "list", "watch"]
_RULES: list[Obj] = [
    # What garbage collection, emptied namespaces, finalizers and status need, of kinds that nobody knows yet.
    {"apiGroups": ["*"], "resources": ["*"], "verbs": [*_READ, "patch", "update", "delete", "deletecollection"]},
    {
        "apiGroups": [""],
        "resources": [
            *("configmaps", "endpoints", "events", "persistentvolumeclaims", "persistentvolumes", "pods", "secrets", "serviceaccounts"),
            *("services", "podtemplates"),
        ],
        "verbs": ["create"],
    },
    {
        "apiGroups": [
            *("apps", "autoscaling", "batch", "coordination.k8s.io", "discovery.k8s.io", "events.k8s.io", "networking.k8s.io", "policy"),
            *("resource.k8s.io", "scheduling.k8s.io", "scheduling.volcano.sh", "scheduling.x-k8s.io", "storage.k8s.io"),
            *(
                "disaggregatedset.x-k8s.io",
                "jobset.x-k8s.io",
                "leaderworkerset.x-k8s.io",
                "lightship.dev",
                "trainer.kubeflow.org",
            ),
        ],
        "resources": ["*"],
        "verbs": ["create"],
    },
    {"apiGroups": ["authorization.k8s.io"], "resources": ["subjectaccessreviews"], "verbs": ["create"]},
    {"apiGroups": ["authentication.k8s.io"], "resources": ["tokenreviews"], "verbs": ["create"]},
    {"apiGroups": [_GROUP], "resources": ["clusterroles"], "verbs": ["escalate"]},
    {
        "apiGroups": ["certificates.k8s.io"],
        "resources": ["signers"],
        "resourceNames": [
            *("kubernetes.io/kube-apiserver-client", "kubernetes.io/kube-apiserver-client-kubelet"),
            *("kubernetes.io/kubelet-serving", "kubernetes.io/legacy-unknown"),
        ],
        "verbs": ["approve", "sign"],
    },
]


def node(name: str) -> User:
    """The identity of a node, which the node authorizer knows."""
    return User(f"system:node:{name}", ("system:nodes",))


async def bind(admin: Client) -> None:
    """Let the platform's controllers do their work. Writes nothing where all is as it should be."""
    await admin.apply(kinds.CLUSTER_ROLES, {"metadata": {"name": ROLE}, "rules": _RULES})
    _, _, namespace, account = CONTROLLERS.name.split(":")
    binding: Obj = {
        "metadata": {"name": ROLE},
        "roleRef": {"apiGroup": _GROUP, "kind": "ClusterRole", "name": ROLE},
        "subjects": [{"kind": "ServiceAccount", "name": account, "namespace": namespace}],
    }
    await admin.apply(kinds.CLUSTER_ROLE_BINDINGS, binding)
