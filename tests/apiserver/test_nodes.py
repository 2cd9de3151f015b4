"""Nodes: they see what their pods need, change what is theirs, and no more. Words as kube-apiserver 1.36.3 says them."""

from typing import Any

import pytest

from lightship import kinds
from lightship.apiserver.access.authz import Attributes
from lightship.apiserver.access.nodes import graph
from lightship.meta.objects import Obj
from lightship.meta.resources import Resource
from lightship.meta.rest import MERGE_PATCH, User

from .site import Site, pod, refused, run

N1 = User("system:node:n1", ("system:nodes", "system:authenticated"))
NO_RELATION = "no relationship found between node 'n1' and this object"


def test_what_a_pod_refers_to() -> None:
    found = graph.references(
        {
            "metadata": {"name": "p"},
            "spec": {
                "serviceAccountName": "bot",
                "imagePullSecrets": [{"name": "pull"}],
                "volumes": [
                    {"name": "a", "secret": {"secretName": "s1"}},
                    {"name": "b", "configMap": {"name": "c1"}},
                    {"name": "c", "persistentVolumeClaim": {"claimName": "claim"}},
                    {"name": "d", "projected": {"sources": [{"secret": {"name": "s2"}}, {"configMap": {"name": "c2"}}]}},
                    {"name": "e", "ephemeral": {"volumeClaimTemplate": {}}},
                    {"name": "f", "csi": {"driver": "x", "nodePublishSecretRef": {"name": "s3"}}},
                    {"name": "g", "emptyDir": {}},
                ],
                "containers": [
                    {"envFrom": [{"secretRef": {"name": "s4"}}, {"configMapRef": {"name": "c3"}}]},
                    {"env": [{"name": "A", "value": "1"}, {"name": "B", "valueFrom": {"secretKeyRef": {"name": "s5", "key": "k"}}}]},
                ],
                "initContainers": [{"env": [{"name": "B", "valueFrom": {"configMapKeyRef": {"name": "c4", "key": "k"}}}]}],
                "resourceClaims": [{"name": "x", "resourceClaimName": "r1"}],
            },
            "status": {"resourceClaimStatuses": [{"name": "y", "resourceClaimName": "r2"}]},
        }
    )
    assert set(found) == {
        ("serviceaccounts", "bot"),
        *(("secrets", name) for name in ("pull", "s1", "s2", "s3", "s4", "s5")),
        *(("configmaps", f"c{i}") for i in range(1, 5)),
        *(("persistentvolumeclaims", name) for name in ("claim", "p-e")),
        *(("resourceclaims", name) for name in ("r1", "r2")),
    }


@pytest.mark.parametrize(
    ("wish", "want"),
    [
        (("get", "", "secrets", "", "default", "mine"), ""),
        (("list", "", "secrets", "", "default", "mine"), ""),
        (("get", "", "secrets", "", "default", "other"), NO_RELATION),
        (("get", "", "secrets", "", "kube-system", "mine"), NO_RELATION),
        (("list", "", "secrets", "", "default", ""), "No Object name found"),
        (("list", "", "secrets", "", "", ""), "can only read namespaced object of this type"),
        (("update", "", "secrets", "", "default", "mine"), "can only read resources of this type"),
        (("get", "", "configmaps", "", "default", "mine"), NO_RELATION),
        (("get", "", "persistentvolumeclaims", "", "default", "claim"), ""),
        (("list", "", "persistentvolumeclaims", "", "default", "claim"), "can only get individual resources of this type"),
        (("patch", "", "persistentvolumeclaims", "status", "default", "claim"), ""),
        (("get", "", "persistentvolumes", "", "", "pv"), ""),
        (("get", "", "persistentvolumes", "", "", "pv2"), NO_RELATION),
        (("create", "", "serviceaccounts", "token", "default", "default"), ""),
        (("create", "", "serviceaccounts", "token", "default", "admin"), NO_RELATION),
        (("get", "", "serviceaccounts", "", "default", "default"), ""),
        (("get", "", "pods", "", "default", "p"), ""),
        (("get", "", "pods", "", "default", "elsewhere"), NO_RELATION),
        (("list", "", "pods", "", "", ""), "can only list/watch pods with spec.nodeName field selector"),
        (("delete", "", "pods", "", "default", "p"), ""),
        (("patch", "", "pods", "status", "default", "p"), ""),
        (("update", "", "pods", "", "default", "p"), None),
        (("get", "", "nodes", "", "", "n1"), ""),
        (("get", "", "nodes", "", "", "n2"), "node 'n1' cannot read 'n2', only its own Node object"),
        (("list", "", "nodes", "", "", ""), "node 'n1' cannot read all nodes, only its own Node object"),
        (("delete", "", "nodes", "", "", "n1"), None),
        (("patch", "", "nodes", "status", "", "n1"), ""),
        (("update", "coordination.k8s.io", "leases", "", "kube-node-lease", "n1"), ""),
        (
            ("update", "coordination.k8s.io", "leases", "", "kube-node-lease", "n2"),
            "can only access node lease with the same name as the requesting node",
        ),
        (("get", "coordination.k8s.io", "leases", "", "x", "n1"), 'can only access leases in the "kube-node-lease" system namespace'),
        (
            ("list", "coordination.k8s.io", "leases", "", "kube-node-lease", ""),
            "can only get, create, update, patch, or delete a node lease",
        ),
        (("get", "storage.k8s.io", "csinodes", "", "", "n2"), "can only access CSINode with the same name as the requesting node"),
        (("list", "", "services", "", "", ""), ""),
        (("create", "", "events", "", "default", ""), ""),
        (("create", "", "configmaps", "", "default", ""), "can only read resources of this type"),
        (("create", "apps", "deployments", "", "default", ""), None),
    ],
)
def test_what_a_node_may_see(wish: tuple[str, str, str, str, str, str], want: str | None) -> None:
    """`want` is the reason of a refusal: empty when it is none, None when there is no reason."""

    async def test(site: Site) -> None:
        await _furnish(site)
        verb, group, resource, subresource, namespace, name = wish
        asked = Attributes(N1, verb, group, resource, subresource, namespace, name)
        authorizer = site.server.authorizer
        assert authorizer.allows(asked) is (want == "")
        assert authorizer.explain(asked).reason == (want or "")
        # The same name without the group is nobody's.
        assert not authorizer.allows(asked._replace(user=User(N1.name, ("system:authenticated",))))

    run(test)


async def _furnish(site: Site) -> None:
    """A pod on n1 that uses a Secret and a claim, and one on n2."""
    claim = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}, "volumeName": "pv"}
    await site.create(kinds.PERSISTENT_VOLUME_CLAIMS, {"metadata": {"name": "claim"}, "spec": claim})
    for name, bound in (("pv", "claim"), ("pv2", "other")):
        ref = {"kind": "PersistentVolumeClaim", "namespace": "default", "name": bound}
        spec = {"accessModes": ["ReadWriteOnce"], "capacity": {"storage": "1Gi"}, "hostPath": {"path": "/x"}, "claimRef": ref}
        await site.create(kinds.PERSISTENT_VOLUMES, {"metadata": {"name": name}, "spec": spec}, "")
    mine = pod("p", node="n1")
    mine["spec"]["volumes"] = [
        {"name": "s", "secret": {"secretName": "mine"}},
        {"name": "c", "persistentVolumeClaim": {"claimName": "claim"}},
    ]
    await site.create(kinds.PODS, mine)
    await site.create(kinds.PODS, pod("elsewhere", node="n2"))


def test_pods_come_and_go() -> None:
    async def test(site: Site) -> None:
        wish = Attributes(N1, "get", "", "secrets", "", "default", "mine")
        allows = site.server.authorizer.allows
        assert not allows(wish)
        waiting = pod("p")
        waiting["spec"]["volumes"] = [{"name": "s", "secret": {"secretName": "mine"}}]
        await site.create(kinds.PODS, waiting)
        assert not allows(wish)
        binding = {"metadata": {"name": "p"}, "target": {"kind": "Node", "name": "n1"}}
        await site.api.create(kinds.PODS, "default", binding, name="p", subresource="binding")
        assert allows(wish)
        await site.delete(kinds.PODS, "p", grace_period_seconds=0)
        assert not allows(wish)

    run(test)


def test_lists_of_pods_name_the_node() -> None:
    async def test(site: Site) -> None:
        wish = Attributes(N1, "list", "", "pods")
        asked = ["spec.nodeName=n1", "spec.nodeName=n1,status.phase=Running", "spec.nodeName=n2", "spec.nodeName!=n1", "a", ""]
        found = [site.server.authorizer.allows(wish._replace(selector=selector)) for selector in asked]
        assert found == [True, True, False, False, False, False]

    run(test)


NODE = {"metadata": {"name": "n1"}}


@pytest.mark.parametrize(
    ("resource", "name", "patch", "subresource", "message"),
    [
        (kinds.NODES, "n1", {"metadata": {"labels": {"kubernetes.io/hostname": "x", "mine": "1"}}}, "", ""),
        (kinds.NODES, "n1", {"status": {"phase": "Running"}}, "status", ""),
        (
            kinds.NODES,
            "n2",
            {"metadata": {"labels": {"a": "b"}}},
            "",
            'nodes "n2" is forbidden: node "n1" is not allowed to modify node "n2"',
        ),
        (kinds.NODES, "n1", {"spec": {"taints": [{"key": "a", "effect": "NoSchedule"}]}}, "", 'node "n1" is not allowed to modify taints'),
        (
            kinds.NODES,
            "n1",
            {"metadata": {"labels": {"node-restriction.kubernetes.io/x": "1"}}},
            "",
            "is not allowed to modify labels: node-restriction.kubernetes.io/x",
        ),
        (
            kinds.NODES,
            "n1",
            {"metadata": {"labels": {"node-role.kubernetes.io/master": ""}}},
            "",
            "is not allowed to modify labels: node-role.kubernetes.io/master",
        ),
        (kinds.NODES, "n1", {"metadata": {"labels": {"node.kubernetes.io/x": "", "foo.kubelet.kubernetes.io/y": ""}}}, "", ""),
        (kinds.PODS, "p", {"status": {"phase": "Running"}}, "status", ""),
        (
            kinds.PODS,
            "elsewhere",
            {"status": {"phase": "Running"}},
            "status",
            'node "n1" can only update pod status for pods with spec.nodeName set to itself',
        ),
        (kinds.PODS, "p", {"metadata": {"labels": {"a": "b"}}}, "status", 'node "n1" cannot update labels through pod status'),
    ],
)
def test_what_a_node_may_change(resource: Resource, name: str, patch: Obj, subresource: str, message: str) -> None:
    async def test(site: Site) -> None:
        await _furnish(site)
        for node in ("n1", "n2"):
            await site.create(kinds.NODES, {"metadata": {"name": node}}, "")
        node_api = site.server.local(N1)
        namespace = "default" if resource.namespaced else ""
        if message:
            with refused(403, "Forbidden", message):
                await node_api.patch(resource, namespace, name, patch, type=MERGE_PATCH, subresource=subresource)
        else:
            await node_api.patch(resource, namespace, name, patch, type=MERGE_PATCH, subresource=subresource)

    run(test)


def test_what_a_node_may_make_and_delete() -> None:
    async def test(site: Site) -> None:
        await _furnish(site)
        node_api = site.server.local(N1)
        with refused(403, "Forbidden", 'node "n1" is not allowed to modify node "n2"'):
            await node_api.create(kinds.NODES, "", {"metadata": {"name": "n2"}})
        labels = {"metadata": {"name": "n1", "labels": {"kubernetes.io/x": "1"}}}
        with refused(403, "Forbidden", 'node "n1" is not allowed to set the following labels: kubernetes.io/x'):
            await node_api.create(kinds.NODES, "", labels)
        node = await node_api.create(kinds.NODES, "", {"metadata": {"name": "n1"}})
        with refused(403, "Forbidden", "can only access node lease with the same name as the requesting node"):
            await node_api.create(kinds.LEASES, "kube-node-lease", {"metadata": {"name": "n2"}})
        await node_api.create(kinds.LEASES, "kube-node-lease", {"metadata": {"name": "n1"}})
        with refused(403, "Forbidden", 'node "n1" can only delete pods with spec.nodeName set to itself'):
            await node_api.delete(kinds.PODS, "default", "elsewhere")
        await node_api.delete(kinds.PODS, "default", "p")
        owner = {"apiVersion": "v1", "kind": "Node", "name": "n1", "uid": node["metadata"]["uid"], "controller": True}
        mirror = pod("m", node="n1", annotations={graph.MIRROR: "x"}, ownerReferences=[owner])
        await node_api.create(kinds.PODS, "default", mirror)
        for change, message in (
            ({"annotations": {}}, 'pod does not have "kubernetes.io/config.mirror" annotation, node "n1" can only create mirror pods'),
            ({"ownerReferences": []}, "can only create pods with an owner reference set to itself"),
            ({"ownerReferences": [{**owner, "uid": "other"}]}, "node n1 UID mismatch"),
            ({"ownerReferences": [{**owner, "controller": False}]}, "with a controller owner reference set to itself"),
        ):
            with refused(403, "Forbidden", message):
                await node_api.create(kinds.PODS, "default", {**mirror, "metadata": {**mirror["metadata"], "name": "m2", **change}})
        needy = {**mirror, "metadata": {**mirror["metadata"], "name": "m3"}}
        needy["spec"] = {**mirror["spec"], "volumes": [{"name": "s", "secret": {"secretName": "x"}}]}
        with refused(403, "Forbidden", 'node "n1" can not create pods that reference'):
            await node_api.create(kinds.PODS, "default", needy)

    run(test)


class Issuer:
    issuer = "https://issuer"

    def issue(self, subject: Any, audiences: Any, seconds: int, *, warn_after: int = 0) -> tuple[str, float]:
        return "token", 0.0


def test_which_tokens_a_node_may_have() -> None:
    async def test(site: Site) -> None:
        mine = pod("p", node="n1")
        projected = {"sources": [{"serviceAccountToken": {"path": "t", "audience": "vault"}}]}
        mine["spec"]["volumes"] = [{"name": "t", "projected": projected}]
        uid = (await site.create(kinds.PODS, mine))["metadata"]["uid"]
        other = (await site.create(kinds.PODS, pod("elsewhere", node="n2")))["metadata"]["uid"]
        node_api = site.server.local(N1)

        async def ask(*audiences: str, **ref: str) -> Obj:
            bound = {"boundObjectRef": {"apiVersion": "v1", "kind": "Pod", **ref}} if ref else {}
            body = {"spec": {"audiences": list(audiences), **bound}}
            return await node_api.create(kinds.SERVICE_ACCOUNTS, "default", body, name="default", subresource="token")

        assert (await ask(name="p", uid=uid))["status"]["token"] == "token"
        await ask("vault", name="p", uid=uid)
        for audiences, ref, message in (
            ((), {}, 'serviceaccounts "default" is forbidden: node requested token not bound to a pod'),
            ((), {"name": "p"}, "node requested token with a pod binding without a uid"),
            ((), {"name": "p", "uid": "x"}, "the UID in the bound object reference (x) does not match the UID in record"),
            ((), {"name": "elsewhere", "uid": other}, "node requested token bound to a pod scheduled on a different node"),
            (("a", "b"), {"name": "p", "uid": uid}, "node may only request 0 or 1 audiences"),
            (("bank",), {"name": "p", "uid": uid}, 'audience "bank" not found in pod spec volume, system:node:n1 is not authorized'),
        ):
            with refused(403, "Forbidden", message):
                await ask(*audiences, **ref)

    run(test, tokens=Issuer())


def test_rules_of_nodes_are_not_listed() -> None:
    async def test(site: Site) -> None:
        found = site.server.authorizer.rules_for(N1, "default")
        assert (found.incomplete, found.error) == (True, "node authorizer does not support user rule resolution")
        assert site.server.authorizer.rules_for(User("joe"), "default").incomplete is False

    run(test)
