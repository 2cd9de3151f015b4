"""All roles and bindings of a server by those who hold them, always in step with the store.

Made once per server and shared by `authorizer` and `escalation`. Fills itself on first use; from then on every change of a role or binding
reaches it before the writer is told, so that a granted right can be used, and a revoked one cannot, by the next request.
Contract: rbac/v1; kube 1.36 registry/rbac/validation/rule.go.
"""

from collections.abc import Iterator
from typing import NamedTuple

from lightship.meta import codec, errors
from lightship.meta.objects import Obj
from lightship.meta.rest import User
from lightship.store import Event, Store

from . import rules
from .rules import Rights, Rule

GROUP = "rbac.authorization.k8s.io"
ROLES, CLUSTER_ROLES = f"{GROUP}/roles", f"{GROUP}/clusterroles"
BINDINGS, CLUSTER_BINDINGS = f"{GROUP}/rolebindings", f"{GROUP}/clusterrolebindings"
_MOST_USERS = 4096
"""Users, times namespaces where they have roles, whose rights are kept ready."""


class Grant(NamedTuple):
    """What one binding gives to one of its subjects."""

    binding: str
    namespace: str
    """Empty for a ClusterRoleBinding."""
    role_kind: str
    role: str
    subject: str
    """In the words of the reason for an answer."""

    def text(self) -> str:
        kind, name = ("RoleBinding", f"{self.binding}/{self.namespace}") if self.namespace else ("ClusterRoleBinding", self.binding)
        return f'{kind} "{name}" of {self.role_kind} "{self.role}" to {self.subject}'


Held = dict[str, dict[str, Grant]]
"""Grants by who holds them (`User:`, `Group:` and a name), then by binding."""


class Index:
    def __init__(self, store: Store) -> None:
        self._store = store
        self._filled = False
        self._cluster: Held = {}
        self._local: dict[str, Held] = {}
        self._holders: dict[tuple[str, str], list[str]] = {}
        self._roles: dict[tuple[str, str], tuple[Rule, ...]] = {}
        self._rights: dict[tuple[str, tuple[str, ...], str], Rights] = {}

    def rights(self, user: User, namespace: str) -> Rights:
        """All that `user` may do in `namespace` (empty: everywhere), by any binding."""
        if not self._filled:
            self._fill()
        key = (user.name, user.groups, namespace if namespace in self._local else "")
        found = self._rights.get(key)
        return self._collect(user, key) if found is None else found

    def grants(self, user: User, namespace: str) -> Iterator[Grant]:
        """What `user` was given, that of the whole cluster first, in the order of the bindings' names."""
        self._fill()
        subjects = (f"User:{user.name}", *[f"Group:{group}" for group in user.groups])
        for held in (self._cluster, self._local.get(namespace) if namespace else None):
            if held:
                found = {name: grant for subject in reversed(subjects) for name, grant in held.get(subject, {}).items()}
                yield from (found[name] for name in sorted(found))

    def role(self, kind: str, namespace: str, name: str, *, asked: str) -> tuple[Rule, ...]:
        """The rules of a Role in `namespace`, or of a ClusterRole. Raises 500 for what is no kind of role, and 404, which speaks of the
        resource `asked`: what the request is about, as the real server has it."""
        self._fill()
        key = {"Role": (namespace, name), "ClusterRole": ("", name)}.get(kind)
        if key is None:
            raise errors.StatusError(500, "", f"unsupported role reference kind: {rules.quoted(kind)}")
        found = self._roles.get(key)
        if found is None:
            raise errors.not_found(asked, name, GROUP)
        return found

    def rules_or_none(self, grant: Grant) -> tuple[Rule, ...] | None:
        """The rules of the role that is given; None when there is no such role."""
        return self._roles.get((grant.namespace if grant.role_kind == "Role" else "", grant.role))

    def missing_roles(self, user: User, namespace: str, *, asked: str = "") -> str:
        """The complaint about bindings of this user to roles that do not exist; empty when there are none. `asked` as in `role`."""
        lost = [grant for grant in self.grants(user, namespace) if self.rules_or_none(grant) is None]
        kinds = [(asked or grant.role_kind.lower(), grant.role) for grant in lost]
        texts = list(dict.fromkeys(f"{kind}.{GROUP} {rules.quoted(role)} not found" for kind, role in kinds))
        return f"[{', '.join(texts)}]" if len(texts) > 1 else "".join(texts)

    def _collect(self, user: User, key: tuple[str, tuple[str, ...], str]) -> Rights:
        granted = [rule for grant in self.grants(user, key[2]) for rule in self.rules_or_none(grant) or ()]
        if len(self._rights) >= _MOST_USERS:
            self._rights.clear()
        made = self._rights[key] = Rights(granted)
        return made

    def _fill(self) -> None:
        if self._filled:
            return
        self._filled = True
        for bucket in (ROLES, CLUSTER_ROLES):
            self._store.listen(bucket, self._role_changed)
            for record in self._store.list(bucket + "/").records:
                self._put_role(codec.decode(record.value))  # not record.obj, which would be kept: few of them are asked for again
        for bucket in (BINDINGS, CLUSTER_BINDINGS):
            self._store.listen(bucket, self._binding_changed)
            for record in self._store.list(bucket + "/").records:
                self._put_binding(codec.decode(record.value))

    def _role_changed(self, event: Event) -> None:
        self._rights.clear()
        if event.type == "DELETED":
            self._roles.pop(_key(event.record.obj), None)
        else:
            self._put_role(event.record.obj)

    def _binding_changed(self, event: Event) -> None:
        self._rights.clear()
        self._drop_binding(_key(event.record.obj))
        if event.type != "DELETED":
            self._put_binding(event.record.obj)

    def _put_role(self, role: Obj) -> None:
        self._roles[_key(role)] = rules.all_of(role)

    def _put_binding(self, binding: Obj) -> None:
        namespace, name = key = _key(binding)
        ref = binding["roleRef"]
        held = self._local.setdefault(namespace, {}) if namespace else self._cluster
        holders = []
        for subject in binding.get("subjects") or ():
            holder, text = _holder(subject, namespace)
            if holder:
                holders.append(holder)
                held.setdefault(holder, {}).setdefault(name, Grant(name, namespace, ref["kind"], ref["name"], text))
        self._holders[key] = holders

    def _drop_binding(self, key: tuple[str, str]) -> None:
        namespace, name = key
        held = self._local.get(namespace, {}) if namespace else self._cluster
        for holder in self._holders.pop(key, ()):
            grants = held.get(holder, {})
            grants.pop(name, None)
            if not grants:
                held.pop(holder, None)
        if namespace and not held:
            self._local.pop(namespace, None)


def _key(obj: Obj) -> tuple[str, str]:
    return obj["metadata"].get("namespace") or "", obj["metadata"]["name"]


def _holder(subject: Obj, namespace: str) -> tuple[str, str]:
    """Who a subject is, and how it is told; nobody for a kind that is not known."""
    kind, name = subject.get("kind"), subject["name"]
    if kind in ("User", "Group"):
        return f"{kind}:{name}", f"{kind} {rules.quoted(name)}"
    where = subject.get("namespace") or namespace
    if kind != "ServiceAccount" or not where:
        return "", ""
    return f"User:system:serviceaccount:{where}:{name}", f'{kind} "{name}/{where}"'
