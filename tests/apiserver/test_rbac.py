"""Roles at work: the authorizer in step with the store, what nobody may give away, and the defaults of every cluster."""

from typing import Any

import pytest

from lightship import kinds, store
from lightship.apiserver.access.authz import Attributes
from lightship.apiserver.bootstrap import roles as bootstrap
from lightship.kinds.access import reviews
from lightship.meta.objects import Obj
from lightship.meta.resources import Resource
from lightship.meta.rest import ListOptions, User

from .site import Site, refused, run

JOE = User("joe", ("devs", "system:authenticated"))
READ = {"verbs": ["get", "list"], "apiGroups": [""], "resources": ["pods"]}
RBAC = "rbac.authorization.k8s.io"
EVERYTHING = [{"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]}, {"verbs": ["*"], "nonResourceURLs": ["*"]}]


def binding(name: str, role: str, *subjects: Obj, kind: str = "ClusterRole") -> Obj:
    return {"metadata": {"name": name}, "roleRef": {"kind": kind, "name": role, "apiGroup": RBAC}, "subjects": list(subjects)}


def role(name: str, *rules: Obj, **metadata: Any) -> Obj:
    return {"metadata": {"name": name, **metadata}, "rules": list(rules)}


def named(user: User) -> Obj:
    return {"kind": "User", "name": user.name, "apiGroup": RBAC}


def allows(site: Site, user: User, verb: str, resource: str, namespace: str = "", name: str = "", group: str = "") -> bool:
    wish = Attributes(user, verb, group, resource, "", namespace, name)
    assert site.server.authorizer.explain(wish).allowed is site.server.authorizer.allows(wish)
    return site.server.authorizer.allows(wish)


def test_rights_come_and_go_with_roles_and_bindings() -> None:
    async def test(site: Site) -> None:
        assert not allows(site, JOE, "get", "pods", "default")
        await site.create(kinds.ROLES, role("reader", READ))
        assert not allows(site, JOE, "get", "pods", "default")
        await site.create(kinds.ROLE_BINDINGS, binding("b", "reader", named(JOE), kind="Role"))
        assert allows(site, JOE, "get", "pods", "default")
        assert not allows(site, JOE, "get", "pods", "kube-system")
        assert not allows(site, JOE, "get", "pods")
        await site.patch(kinds.ROLES, "reader", {"rules": [{**READ, "verbs": ["list"]}]})
        assert not allows(site, JOE, "get", "pods", "default")
        assert allows(site, JOE, "list", "pods", "default")
        await site.patch(kinds.ROLE_BINDINGS, "b", {"subjects": [{"kind": "Group", "name": "devs", "apiGroup": RBAC}]})
        assert allows(site, JOE, "list", "pods", "default")
        assert not allows(site, User("joe"), "list", "pods", "default")
        await site.delete(kinds.ROLES, "reader")
        assert not allows(site, JOE, "list", "pods", "default")
        await site.create(kinds.ROLES, role("reader", READ))
        assert allows(site, JOE, "list", "pods", "default")
        await site.delete(kinds.ROLE_BINDINGS, "b")
        assert not allows(site, JOE, "list", "pods", "default")

    run(test)


def test_a_cluster_role_can_be_bound_everywhere_or_in_one_namespace() -> None:
    async def test(site: Site) -> None:
        await site.create(kinds.CLUSTER_ROLES, role("reader", READ, {"verbs": ["get"], "nonResourceURLs": ["/x"]}), "")
        await site.create(kinds.ROLE_BINDINGS, binding("b", "reader", named(JOE)))
        assert allows(site, JOE, "get", "pods", "default")
        assert not allows(site, JOE, "get", "pods", "kube-system")
        await site.create(kinds.CLUSTER_ROLE_BINDINGS, binding("b", "reader", named(JOE)), "")
        assert allows(site, JOE, "get", "pods", "kube-system")
        assert allows(site, JOE, "get", "pods")
        assert site.server.authorizer.allows(Attributes(JOE, "get", path="/x"))

    run(test)


def test_service_accounts_are_named_by_their_namespace_or_by_the_bindings() -> None:
    async def test(site: Site) -> None:
        account = User("system:serviceaccount:default:bot")
        await site.create(kinds.ROLES, role("reader", READ))
        await site.create(kinds.ROLE_BINDINGS, binding("b", "reader", {"kind": "ServiceAccount", "name": "bot"}, kind="Role"))
        assert allows(site, account, "get", "pods", "default")
        await site.patch(kinds.ROLE_BINDINGS, "b", {"subjects": [{"kind": "ServiceAccount", "name": "bot", "namespace": "other"}]})
        assert not allows(site, account, "get", "pods", "default")
        assert allows(site, User("system:serviceaccount:other:bot"), "get", "pods", "default")

    run(test)


def test_reasons_name_the_binding_or_the_role_that_is_missing() -> None:
    async def test(site: Site) -> None:
        explain = site.server.authorizer.explain
        wish = Attributes(JOE, "get", "", "pods", "", "default")
        await site.create(kinds.ROLE_BINDINGS, binding("b", "reader", named(JOE), kind="Role"))
        await site.create(kinds.ROLE_BINDINGS, binding("c", "gone", named(JOE)))
        want = f'RBAC: [role.{RBAC} "reader" not found, clusterrole.{RBAC} "gone" not found]'
        assert explain(wish) == (False, want, False)
        await site.create(kinds.ROLES, role("reader", READ))
        assert explain(wish) == (True, 'RBAC: allowed by RoleBinding "b/default" of Role "reader" to User "joe"', False)
        await site.create(kinds.CLUSTER_ROLES, role("gone", READ), "")
        subject = {"kind": "ServiceAccount", "name": "x", "namespace": "y"}
        await site.create(kinds.CLUSTER_ROLE_BINDINGS, binding("d", "gone", subject), "")
        found = explain(Attributes(User("system:serviceaccount:y:x"), "get", "", "pods"))
        assert found.reason == 'RBAC: allowed by ClusterRoleBinding "d" of ClusterRole "gone" to ServiceAccount "x/y"'

    run(test)


def test_masters_need_no_role() -> None:
    async def test(site: Site) -> None:
        for name in ("cluster-admin", "system:basic-user"):
            await site.delete(kinds.CLUSTER_ROLE_BINDINGS, name, "")
        assert allows(site, User("root", ("system:masters",)), "fly", "pods")

    run(test)


def test_what_everybody_may() -> None:
    async def test(site: Site) -> None:
        anonymous = User("system:anonymous", ("system:unauthenticated",))
        may = site.server.authorizer.allows
        assert [may(Attributes(JOE, "get", path=p)) for p in ("/api", "/apis/x/y", "/version", "/metrics", "/")] == [True] * 3 + [False] * 2
        assert [may(Attributes(anonymous, "get", path=p)) for p in ("/api", "/version", "/readyz", "/livez/ping")] == [
            *(False, True, True, False)
        ]
        assert allows(site, JOE, "create", "selfsubjectaccessreviews", group="authorization.k8s.io")
        assert not allows(site, anonymous, "create", "selfsubjectaccessreviews", group="authorization.k8s.io")

    run(test)


class As:
    """Writes as somebody who may write roles and bindings, and has nothing else."""

    def __init__(self, site: Site, user: User = JOE) -> None:
        self.api = site.server.local(user)

    async def create(self, resource: Resource, obj: Obj, namespace: str = "default") -> Obj:
        return await self.api.create(resource, namespace, obj)

    async def patch(self, resource: Resource, name: str, patch: Obj, namespace: str = "default") -> Obj:
        return await self.api.patch(resource, namespace, name, patch, type="application/merge-patch+json")


async def may_write_roles(site: Site, *more: Obj) -> As:
    plurals = ["roles", "rolebindings", "clusterroles", "clusterrolebindings"]
    writer = {"verbs": ["create", "patch", "update", "get"], "apiGroups": [RBAC], "resources": plurals}
    await site.create(kinds.CLUSTER_ROLES, role("writer", writer, *more), "")
    await site.create(kinds.CLUSTER_ROLE_BINDINGS, binding("writer", "writer", named(JOE)), "")
    return As(site)


def test_nobody_gives_what_he_does_not_have() -> None:
    async def test(site: Site) -> None:
        joe = await may_write_roles(site, READ)
        await joe.create(kinds.ROLES, role("mine", READ))
        message = (
            f'roles.{RBAC} "more" is forbidden: user "joe" (groups=["devs" "system:authenticated"]) is attempting to grant RBAC '
            'permissions not currently held:\n{APIGroups:[""], Resources:["pods"], Verbs:["watch"]}\n'
            '{APIGroups:[""], Resources:["secrets"], Verbs:["get"]}'
        )
        more = [{**READ, "verbs": ["get", "watch"]}, {**READ, "verbs": ["get"], "resources": ["secrets"]}]
        with refused(403, "Forbidden") as caught:
            await joe.create(kinds.ROLES, role("more", *more))
        assert caught[0].message == message
        with refused(403, "Forbidden", "not currently held"):
            await joe.patch(kinds.ROLES, "mine", {"rules": more})
        with refused(403, "Forbidden", f'clusterroles.{RBAC} "more" is forbidden'):
            await joe.create(kinds.CLUSTER_ROLES, role("more", *more), "")
        # What the garbage collector needs anybody may change.
        await site.create(kinds.ROLES, role("strong", *more))
        await joe.patch(kinds.ROLES, "strong", {"metadata": {"finalizers": ["example.com/x"]}})
        with refused(403, "Forbidden", "not currently held"):
            await joe.patch(kinds.ROLES, "strong", {"metadata": {"labels": {"a": "b"}}})

    run(test)


def test_who_may_escalate_needs_nothing_else() -> None:
    async def test(site: Site) -> None:
        joe = await may_write_roles(site, {"verbs": ["escalate"], "apiGroups": [RBAC], "resources": ["roles"]})
        await joe.create(kinds.ROLES, role("all", EVERYTHING[0]))
        with refused(403, "Forbidden"):
            await joe.create(kinds.CLUSTER_ROLES, role("all", EVERYTHING[0]), "")

    run(test)


def test_binding_takes_the_rules_or_the_verb_bind() -> None:
    async def test(site: Site) -> None:
        bind = {"verbs": ["bind"], "apiGroups": [RBAC], "resources": ["clusterroles"], "resourceNames": ["admin"]}
        joe = await may_write_roles(site, READ, bind)
        await site.create(kinds.ROLES, role("reader", READ))
        await joe.create(kinds.ROLE_BINDINGS, binding("a", "reader", named(JOE), kind="Role"))
        await joe.create(kinds.ROLE_BINDINGS, binding("b", "admin", named(JOE)))
        with refused(403, "Forbidden", f'rolebindings.{RBAC} "c" is forbidden: user "joe"'):
            await joe.create(kinds.ROLE_BINDINGS, binding("c", "cluster-admin", named(JOE)))
        with refused(404, "NotFound", f'rolebindings.{RBAC} "nope" not found'):
            await joe.create(kinds.ROLE_BINDINGS, binding("c", "nope", named(JOE)))
        with refused(404, "NotFound", f'rolebindings.{RBAC} "nope" not found'):
            await joe.create(kinds.ROLE_BINDINGS, binding("c", "nope", named(JOE), kind="Role"))
        with refused(500, "", 'unsupported role reference kind: "Foo"'):
            await joe.create(kinds.ROLE_BINDINGS, binding("c", "nope", named(JOE), kind="Foo"))
        with refused(403, "Forbidden", f'clusterrolebindings.{RBAC} "c" is forbidden'):
            await joe.create(kinds.CLUSTER_ROLE_BINDINGS, binding("c", "cluster-admin", named(JOE)), "")

    run(test)


def test_aggregation_is_for_those_who_may_do_everything() -> None:
    async def test(site: Site) -> None:
        joe = await may_write_roles(site)
        gathered = {"metadata": {"name": "g"}, "aggregationRule": {"clusterRoleSelectors": [{"matchLabels": {"a": "b"}}]}}
        with refused(403, "Forbidden", "must have cluster-admin privileges to use the aggregationRule"):
            await joe.create(kinds.CLUSTER_ROLES, gathered, "")
        await site.create(kinds.CLUSTER_ROLES, gathered, "")
        with refused(403, "Forbidden", "must have cluster-admin privileges"):
            await joe.patch(kinds.CLUSTER_ROLES, "g", {"aggregationRule": None}, "")
        await site.create(kinds.CLUSTER_ROLE_BINDINGS, binding("j", "cluster-admin", named(JOE)), "")
        await joe.patch(kinds.CLUSTER_ROLES, "g", {"aggregationRule": None}, "")

    run(test)


def test_a_binding_keeps_its_role() -> None:
    async def test(site: Site) -> None:
        await site.create(kinds.ROLE_BINDINGS, binding("b", "view", named(JOE)))
        ref = '{"APIGroup":"rbac.authorization.k8s.io","Kind":"ClusterRole","Name":"edit"}'
        with refused(422, "Invalid", f"roleRef: Invalid value: {ref}: cannot change roleRef"):
            await site.patch(kinds.ROLE_BINDINGS, "b", {"roleRef": {"name": "edit"}})

    run(test)


def test_in_process_users_are_refused_like_others() -> None:
    async def test(site: Site) -> None:
        joe = site.server.local(JOE)
        with refused(403, "Forbidden", 'pods is forbidden: User "joe" cannot list resource "pods" in API group "" in the namespace'):
            await joe.list(kinds.PODS, "default", ListOptions())
        with refused(403, "Forbidden", 'namespaces "default" is forbidden'):
            await joe.get(kinds.NAMESPACES, "", "default")
        review = await joe.create(
            reviews.SELF_SUBJECT_ACCESS_REVIEWS, "", {"spec": {"nonResourceAttributes": {"path": "/api", "verb": "get"}}}
        )
        assert review["status"]["allowed"] is True

    run(test)


# Defaults


def test_every_cluster_has_its_default_roles_once() -> None:
    memory = store.memory()

    async def first(site: Site) -> int:
        roles = await site.listing(kinds.CLUSTER_ROLES, "")
        assert {"admin", "cluster-admin", "system:node", "view", "system:kube-scheduler"} <= {r["metadata"]["name"] for r in roles.items}
        assert [len((await site.listing(r, "")).items) for r in (kinds.CLUSTER_ROLES, kinds.CLUSTER_ROLE_BINDINGS, kinds.ROLES)] == [
            70,
            51,
            7,
        ]
        admin = await site.get(kinds.CLUSTER_ROLES, "cluster-admin", "")
        assert admin["rules"] == EVERYTHING
        assert admin["metadata"]["annotations"] == {"rbac.authorization.kubernetes.io/autoupdate": "true"}
        assert admin["metadata"]["labels"] == {"kubernetes.io/bootstrapping": "rbac-defaults"}
        return site.store.revision

    async def second(site: Site) -> int:
        return site.store.revision

    revision = run(first, backing=memory)
    assert run(second, backing=memory) == revision


def test_later_starts_give_back_what_was_taken_and_keep_what_was_added() -> None:
    memory = store.memory()

    async def change(site: Site) -> None:
        await site.delete(kinds.CLUSTER_ROLES, "view", "")
        await site.patch(kinds.CLUSTER_ROLES, "system:basic-user", {"rules": [READ]}, "")
        await site.patch(kinds.CLUSTER_ROLE_BINDINGS, "system:discovery", {"subjects": [named(JOE)]}, "")
        off = {"metadata": {"annotations": {bootstrap.AUTOUPDATE: "false"}}, "rules": []}
        await site.patch(kinds.CLUSTER_ROLES, "system:discovery", off, "")
        await site.delete(kinds.CLUSTER_ROLE_BINDINGS, "system:monitoring", "")
        await site.create(kinds.CLUSTER_ROLE_BINDINGS, binding("system:monitoring", "cluster-admin", named(JOE)), "")
        await site.patch(kinds.CLUSTER_ROLES, "edit", {"metadata": {"labels": {"rbac.authorization.k8s.io/aggregate-to-admin": None}}}, "")

    async def check(site: Site) -> None:
        assert (await site.get(kinds.CLUSTER_ROLES, "view", ""))["aggregationRule"]
        rules = (await site.get(kinds.CLUSTER_ROLES, "system:basic-user", ""))["rules"]
        assert rules[0] == READ
        assert {"verbs": ["create"], "apiGroups": ["authentication.k8s.io"], "resources": ["selfsubjectreviews"]} in rules
        subjects = (await site.get(kinds.CLUSTER_ROLE_BINDINGS, "system:discovery", ""))["subjects"]
        assert [s["name"] for s in subjects] == ["joe", "system:authenticated"]
        assert (await site.get(kinds.CLUSTER_ROLES, "system:discovery", ""))["rules"] is None
        monitoring = await site.get(kinds.CLUSTER_ROLE_BINDINGS, "system:monitoring", "")
        assert (monitoring["roleRef"]["name"], [s["name"] for s in monitoring["subjects"]]) == ("system:monitoring", ["system:monitoring"])
        edit = await site.get(kinds.CLUSTER_ROLES, "edit", "")
        assert edit["metadata"]["labels"]["rbac.authorization.k8s.io/aggregate-to-admin"] == "true"

    run(change, backing=memory)
    run(check, backing=memory)


@pytest.mark.parametrize("count", [3])
def test_many_namespaces_and_users_leave_no_trace(count: int) -> None:
    """Questions about namespaces without bindings must not fill memory: anybody can ask them."""

    async def test(site: Site) -> None:
        for i in range(2000):
            assert not allows(site, JOE, "get", "pods", f"nowhere{i}")
        index = site.server.authorizer._index  # type: ignore[attr-defined]  # what is looked at is its inside
        assert len(index._rights) < count

    run(test)
