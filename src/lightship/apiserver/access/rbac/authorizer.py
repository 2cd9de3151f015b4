"""The authorizer that goes by roles (and, for nodes, by what runs on them): one look into what a user has, kept ready by `index`.

`main` hands it to the HTTP fronts; `reviews` asks it for reasons and rules. Administrators (system:masters) may do everything, whatever
the roles say, so that nobody can lock himself out. Contract: kube-apiserver --authorization-mode=RBAC.
"""

from lightship.apiserver.access.authn import MASTERS
from lightship.apiserver.access.authz import Attributes, Decision, Rules
from lightship.apiserver.access.nodes.authorizer import PREFIX, NodeAuthorizer, node_of
from lightship.meta.rest import User

from . import rules
from .index import Index

_UNLISTED = "node authorizer does not support user rule resolution"
_NO_OPINION = Decision(False)


class RoleAuthorizer:
    """`nodes` is asked about nodes before their roles are; None where nodes are users like others."""

    def __init__(self, index: Index, nodes: NodeAuthorizer | None = None) -> None:
        self._index = index
        self._nodes = nodes

    def allows(self, wish: Attributes) -> bool:
        """The question of every request: two look-ups for whoever has asked before."""
        user = wish.user
        if MASTERS in user.groups:
            return True
        if user.name.startswith(PREFIX) and self._of_nodes(wish).allowed:
            return True
        rights = self._index.rights(user, wish.namespace)
        if wish.path:
            return rights.allow_path(wish.verb, wish.path)
        return rights.allow(wish.verb, wish.group, wish.resource, wish.subresource, wish.name)

    def explain(self, wish: Attributes) -> Decision:
        """The answer and its reason: which binding allows it, or which bindings could not be followed."""
        if MASTERS in wish.user.groups:
            return Decision(True)
        of_nodes = self._of_nodes(wish)
        if of_nodes.allowed:
            return of_nodes
        for grant in self._index.grants(wish.user, wish.namespace):
            found = self._index.rules_or_none(grant)
            if found is not None and any(_allows(rule, wish) for rule in found):
                return Decision(True, f"RBAC: allowed by {grant.text()}")
        lost = self._index.missing_roles(wish.user, wish.namespace)
        reasons = [of_nodes.reason, f"RBAC: {lost}" if lost else ""]
        return Decision(False, "\n".join(filter(None, reasons)))

    def rules_for(self, user: User, namespace: str) -> Rules:
        """All rules that apply to `user` in `namespace`, as SelfSubjectRulesReview lists them."""
        is_node = self._nodes is not None and node_of(user) is not None
        lost = [_UNLISTED] if is_node else []
        lost += filter(None, [self._index.missing_roles(user, namespace)])
        error = f"[{', '.join(lost)}]" if len(lost) > 1 else "".join(lost)
        return Rules(self._index.rights(user, namespace).rules, incomplete=is_node, error=error)

    def _of_nodes(self, wish: Attributes) -> Decision:
        node = node_of(wish.user)
        return _NO_OPINION if node is None or self._nodes is None else self._nodes.decide(node, wish)


def _allows(rule: rules.Rule, wish: Attributes) -> bool:
    if wish.path:
        return rules.allows_path(rule, wish.verb, wish.path)
    if not (wish.group in rule.groups or rules.ALL in rule.groups):
        return False
    if rule.names and wish.name not in rule.names:
        return False
    return rules.allows_resource(rule, wish.verb, wish.resource, wish.subresource)
