"""What a node may see: its own objects, and those that pods on it refer to. Other questions go by the fixed rules of nodes.

Asked by `rbac.authorizer`, for users `system:node:<name>` of the group system:nodes only, before roles are. What a node may change is
narrowed further by `admission.node_restriction`. Contract: kube 1.36 plugin/pkg/auth/authorizer/node/node_authorizer.go.
"""

from collections.abc import Callable

from lightship.apiserver.access.authz import Attributes, Decision
from lightship.apiserver.access.rbac.rules import Rights, Rule
from lightship.meta import selectors
from lightship.meta.rest import User

from .graph import Graph

NODES = "system:nodes"
PREFIX = "system:node:"
_YES = Decision(True)
_NO = Decision(False)
_READ = ("get", "list", "watch")
_OWNED = ("get", "create", "update", "patch", "delete")


def node_of(user: User) -> str | None:
    """The name of the node that `user` is; None for everybody else."""
    return user.name.removeprefix(PREFIX) if user.name.startswith(PREFIX) and NODES in user.groups else None


class NodeAuthorizer:
    """`rules` gives the rules that all nodes have; asked once."""

    def __init__(self, graph: Graph, rules: Callable[[], tuple[Rule, ...]]) -> None:
        self._graph = graph
        self._rules = rules
        self._rights: Rights | None = None
        self._special: dict[tuple[str, str], Callable[[str, Attributes], Decision]] = {
            ("", "secrets"): self._read_needed,
            ("", "configmaps"): self._read_needed,
            ("", "persistentvolumeclaims"): self._claim,
            ("", "persistentvolumes"): lambda node, wish: self._get(wish, self._graph.needs_volume(node, wish.name), node),
            ("resource.k8s.io", "resourceclaims"): lambda node, wish: self._get(wish, self._needs(node, wish), node),
            ("storage.k8s.io", "volumeattachments"): self._attachment,
            ("", "serviceaccounts"): self._account,
            ("coordination.k8s.io", "leases"): _lease,
            ("storage.k8s.io", "csinodes"): _csi_node,
            ("resource.k8s.io", "resourceslices"): self._slice,
            ("", "nodes"): _node,
            ("", "pods"): self._pod,
        }

    def decide(self, node: str, wish: Attributes) -> Decision:
        """May the node? A reason comes with refusals only."""
        if not node:
            return Decision(False, f'unknown node for user "{wish.user.name}"')
        if self._rights is None:
            self._rights = Rights(self._rules())
        if wish.path:
            return Decision(self._rights.allow_path(wish.verb, wish.path))
        special = self._special.get((wish.group, wish.resource))
        if special is not None:
            return special(node, wish)
        return Decision(self._rights.allow(wish.verb, wish.group, wish.resource, wish.subresource, wish.name))

    def _needs(self, node: str, wish: Attributes) -> bool:
        return self._graph.needs(node, wish.namespace, wish.resource, wish.name)

    def _get(self, wish: Attributes, related: bool, node: str) -> Decision:
        if wish.verb != "get":
            return Decision(False, "can only get individual resources of this type")
        if wish.subresource:
            return Decision(False, "cannot get subresource")
        return _related(wish, related, node)

    def _read_needed(self, node: str, wish: Attributes) -> Decision:
        if wish.verb not in _READ:
            return Decision(False, "can only read resources of this type")
        if wish.subresource:
            return Decision(False, "cannot read subresource")
        if not wish.namespace:
            return Decision(False, "can only read namespaced object of this type")
        return _related(wish, self._needs(node, wish), node)

    def _claim(self, node: str, wish: Attributes) -> Decision:
        if wish.subresource != "status":
            return self._get(wish, self._needs(node, wish), node)
        if wish.verb not in ("update", "patch"):
            return Decision(False, "can only get/update/patch this type")
        return _related(wish, self._needs(node, wish), node)

    def _attachment(self, node: str, wish: Attributes) -> Decision:
        named = self._graph.named_by(f"storage.k8s.io/volumeattachments//{wish.name}", "spec", "nodeName")
        return self._get(wish, named == node, node)

    def _account(self, node: str, wish: Attributes) -> Decision:
        if wish.verb == "get" and not wish.subresource:
            return self._read_needed(node, wish)
        if wish.verb != "create" or not wish.name:
            return Decision(False, "can only create tokens for individual service accounts")
        if wish.subresource != "token":
            return Decision(False, "can only create token subresource of serviceaccount")
        return _related(wish, self._needs(node, wish), node)

    def _slice(self, node: str, wish: Attributes) -> Decision:
        if wish.subresource:
            return Decision(False, "cannot authorize ResourceSlice subresources")
        if wish.verb == "create":
            return _YES
        if wish.verb in ("get", "update", "patch", "delete"):
            named = self._graph.named_by(f"resource.k8s.io/resourceslices//{wish.name}", "spec", "nodeName")
            return _related(wish, named == node, node)
        if wish.verb in ("watch", "list", "deletecollection"):
            if _selects(wish, "spec.nodeName", node):
                return _YES
            return Decision(False, "can only list/watch/deletecollection resourceslices with nodeName field selector")
        verbs = "get, watch, list, create, update, patch, delete, deletecollection"
        return Decision(False, f"only the following verbs are allowed for a ResourceSlice: {verbs}")

    def _pod(self, node: str, wish: Attributes) -> Decision:
        related = bool(wish.name) and self._graph.runs(node, wish.namespace, wish.name)
        if wish.subresource == "":
            if wish.verb == "get":
                return _related(wish, related, node)
            if wish.verb in ("list", "watch"):
                if _selects(wish, "spec.nodeName", node):
                    return _YES
                if wish.name:
                    return _related(wish, related, node)
                return Decision(False, "can only list/watch pods with spec.nodeName field selector")
            return Decision(wish.verb in ("create", "delete"))
        if wish.subresource == "status":
            return Decision(wish.verb in ("update", "patch"))
        return Decision(wish.subresource == "eviction" and wish.verb == "create")


def _related(wish: Attributes, related: bool, node: str) -> Decision:
    if not wish.name:
        return Decision(False, "No Object name found")
    return _YES if related else Decision(False, f"no relationship found between node '{node}' and this object")


def _lease(node: str, wish: Attributes) -> Decision:
    if wish.verb not in _OWNED:
        return Decision(False, "can only get, create, update, patch, or delete a node lease")
    if wish.namespace != "kube-node-lease":
        return Decision(False, 'can only access leases in the "kube-node-lease" system namespace')
    # The name of what is being created is not in its path: `admission.node_restriction` looks at it.
    if wish.verb != "create" and wish.name != node:
        return Decision(False, "can only access node lease with the same name as the requesting node")
    return _YES


def _csi_node(node: str, wish: Attributes) -> Decision:
    if wish.verb not in _OWNED:
        return Decision(False, "can only get, create, update, patch, or delete a CSINode")
    if wish.subresource:
        return Decision(False, "cannot authorize CSINode subresources")
    if wish.verb != "create" and wish.name != node:
        return Decision(False, "can only access CSINode with the same name as the requesting node")
    return _YES


def _node(node: str, wish: Attributes) -> Decision:
    if wish.subresource == "status":
        return Decision(wish.verb in ("update", "patch"))
    if wish.subresource:
        return _NO
    if wish.verb in ("create", "update", "patch"):
        return _YES
    if wish.verb not in _READ:
        return _NO
    if wish.name == node:
        return _YES
    if not wish.name:
        return Decision(False, f"node '{node}' cannot read all nodes, only its own Node object")
    return Decision(False, f"node '{node}' cannot read '{wish.name}', only its own Node object")


def _selects(wish: Attributes, field: str, value: str) -> bool:
    """Does the wish's field selector ask for nothing but objects with this value?"""
    try:
        found = selectors.parse_field_selector(wish.selector)
    except ValueError:
        return False
    return any((requirement.path, requirement.op, requirement.value) == (field, "=", value) for requirement in found)
