"""What nobody asks for by name: garbage, namespaces, quotas, endpoints, budgets, evictions, claims."""

import pytest

from lightship.kinds import (
    CLUSTER_ROLES,
    CONFIG_MAPS,
    DEPLOYMENTS,
    ENDPOINT_SLICES,
    ENDPOINTS,
    NAMESPACES,
    NODES,
    PERSISTENT_VOLUME_CLAIMS,
    POD_DISRUPTION_BUDGETS,
    PODS,
    REPLICA_SETS,
    RESOURCE_CLAIM_TEMPLATES,
    RESOURCE_CLAIMS,
    RESOURCE_QUOTAS,
    SERVICE_ACCOUNTS,
    SERVICES,
)
from lightship.meta import errors, objects
from lightship.meta.objects import Obj
from tests.pairings.user import User, names, pod_spec, template, workload


async def garbage_in_the_background(user: User) -> None:
    await _tree(user)
    await user.delete(DEPLOYMENTS, "web", "Background")
    await user.until_gone(DEPLOYMENTS, "web")
    for kind in (REPLICA_SETS, PODS):
        await user.until_all(kind, lambda found: not found, what="gone with it")


async def garbage_in_the_foreground(user: User) -> None:
    sets = await _tree(user)
    await user.patch(REPLICA_SETS, objects.name(sets[0]), {"metadata": {"finalizers": ["example.com/hold"]}})
    await user.delete(DEPLOYMENTS, "web", "Foreground")
    await user.until_all(PODS, lambda found: not found, what="gone first")
    await user.until(DEPLOYMENTS, "web", objects.is_deleting, "waiting for what it owns")
    await user.patch(REPLICA_SETS, objects.name(sets[0]), {"metadata": {"finalizers": None}})
    await user.until_gone(DEPLOYMENTS, "web")
    await user.until_all(REPLICA_SETS, lambda found: not found, what="gone")


async def garbage_orphaned(user: User) -> None:
    await _tree(user)
    await user.delete(DEPLOYMENTS, "web", "Orphan")
    await user.until_gone(DEPLOYMENTS, "web")
    await user.until_all(REPLICA_SETS, lambda found: len(found) == 1 and not objects.owners(found[0]), what="let go")
    await user.until_pods(2)


async def garbage_of_nobody(user: User) -> None:
    owner = {"apiVersion": "v1", "kind": "ConfigMap", "name": "nobody", "uid": "11111111-2222-3333-4444-555555555555"}
    await user.create(CONFIG_MAPS, {"metadata": {"name": "lost", "ownerReferences": [owner]}})
    await user.until_gone(CONFIG_MAPS, "lost")


async def namespace_deleted_with_all_in_it(user: User) -> None:
    await user.until(SERVICE_ACCOUNTS, "default", lambda found: True)
    await user.until(CONFIG_MAPS, "kube-root-ca.crt", lambda found: "ca.crt" in found["data"])
    await user.create(DEPLOYMENTS, workload("web", replicas=2))
    await user.create(CONFIG_MAPS, {"metadata": {"name": "held", "finalizers": ["example.com/hold"]}})
    await user.until_pods(2)
    await user.client.delete(NAMESPACES, user.namespace)
    await user.until_condition(NAMESPACES, user.namespace, "NamespaceFinalizersRemaining")
    await user.until_all(PODS, lambda found: not found, what="gone")
    await user.patch(CONFIG_MAPS, "held", {"metadata": {"finalizers": None}})
    await user.until_gone(NAMESPACES, user.namespace)


async def accounts_come_back(user: User) -> None:
    first = await user.until(SERVICE_ACCOUNTS, "default", lambda found: True)
    await user.delete(SERVICE_ACCOUNTS, "default")
    await user.until(SERVICE_ACCOUNTS, "default", lambda found: objects.uid(found) != objects.uid(first), "made anew")


async def quota_is_counted_and_kept(user: User) -> None:
    hard = {"pods": "2", "count/configmaps": "10"}
    await user.create(RESOURCE_QUOTAS, {"metadata": {"name": "q"}, "spec": {"hard": hard}})
    await user.until(RESOURCE_QUOTAS, "q", lambda found: (objects.status(found).get("used") or {}).get("pods") == "0", "counted")
    await user.create(REPLICA_SETS, workload("web", replicas=3))
    await user.until_pods(2)
    await user.until_condition(REPLICA_SETS, "web", "ReplicaFailure", reason="FailedCreate")
    await user.until(RESOURCE_QUOTAS, "q", lambda found: objects.status(found)["used"]["pods"] == "2", "full")
    await user.delete(REPLICA_SETS, "web", "Background")
    await user.until(RESOURCE_QUOTAS, "q", lambda found: objects.status(found)["used"]["pods"] == "0", "empty")


async def endpoints_follow_pods(user: User) -> None:
    await user.node()
    port = {"name": "http", "port": 80, "targetPort": 8080}
    await user.create(SERVICES, {"metadata": {"name": "web"}, "spec": {"selector": {"app": "web"}, "ports": [port]}})
    await user.create(DEPLOYMENTS, workload("web", replicas=2, pod=template("web", **user.homely())))
    pods = await user.until_pods(2, "Running")
    addresses = {objects.status(pod)["podIP"] for pod in pods}
    label = "kubernetes.io/service-name=web"
    slices = await user.until_all(ENDPOINT_SLICES, lambda found: _ready(found) == addresses, label, "ready")
    assert [(port["name"], port["port"]) for port in slices[0]["ports"]] == [("http", 8080)]
    await user.until(ENDPOINTS, "web", lambda found: _addresses(found) == addresses)
    await user.patch(DEPLOYMENTS, "web", {"spec": {"replicas": 0}})
    await user.until_all(ENDPOINT_SLICES, lambda found: not _ready(found), label, "empty")
    await user.delete(SERVICES, "web")
    await user.until_all(ENDPOINT_SLICES, lambda found: not found, label, "gone with the Service")
    await user.until_gone(ENDPOINTS, "web")


async def budget_holds_an_eviction_back(user: User) -> None:
    await user.node()
    await user.create(POD_DISRUPTION_BUDGETS, _budget(2))
    await user.create(REPLICA_SETS, workload("web", replicas=2, pod=template("web", **user.homely())))
    pods = await user.until_pods(2, "Running")
    await user.until_status(POD_DISRUPTION_BUDGETS, "web", currentHealthy=2, desiredHealthy=2, disruptionsAllowed=0, observedGeneration=1)
    with pytest.raises(errors.StatusError) as refused:
        await _evict(user, pods[0])
    assert refused.value.code == 429
    await user.patch(POD_DISRUPTION_BUDGETS, "web", {"spec": {"minAvailable": 1}})
    await user.until_status(POD_DISRUPTION_BUDGETS, "web", disruptionsAllowed=1, observedGeneration=2)
    await _evict(user, pods[0])
    await user.until_gone(PODS, objects.name(pods[0]))
    await user.until_pods(2, "Running")
    await user.until_status(POD_DISRUPTION_BUDGETS, "web", disruptionsAllowed=1, currentHealthy=2)


async def taints_see_pods_off(user: User) -> None:
    node = await user.node()
    lasting = [{"key": "example.com/worn", "operator": "Exists"}]
    await user.create(PODS, {"metadata": {"name": "leaves"}, "spec": user.homely()})
    await user.create(PODS, {"metadata": {"name": "stays"}, "spec": user.homely(tolerations=lasting)})
    await user.until_pods(2, "Running")
    kept = [{"key": "pairings/room", "value": user.namespace, "effect": "NoSchedule"}]
    await user.client.patch(NODES, node, {"spec": {"taints": [*kept, {"key": "example.com/worn", "effect": "NoExecute"}]}})
    await user.until_gone(PODS, "leaves")
    assert names(await user.until_pods(1, "Running")) == ["stays"]
    await user.until_told("leaves", "TaintManagerEviction")


async def lost_node_loses_its_pods(user: User) -> None:
    """Nobody plays this node: it says of itself that it is ready, and later that it is not. Beside one that is well: where no node is,
    whoever looks after them believes that it is he who is lost, and sees nobody off."""
    await user.node()
    node = await user.node(emulated=False)
    await _report(user, node, "True")
    await user.until(NODES, node, lambda found: len(objects.spec(found).get("taints") or ()) == 1, "without a taint of its own")
    patient = [{"key": "node.kubernetes.io/not-ready", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 1}]
    await user.create(
        PODS, {"metadata": {"name": "p"}, "spec": user.homely(tolerations=patient, nodeSelector={"kubernetes.io/hostname": node})}
    )
    await user.until(PODS, "p", lambda pod: pod["spec"].get("nodeName") == node, "bound")
    await user.client.patch(PODS, "p", _running(), user.namespace, subresource="status")
    await _report(user, node, "False")
    await user.until(NODES, node, lambda found: "NoExecute" in {t["effect"] for t in objects.spec(found)["taints"]}, "tainted")
    await user.until(PODS, "p", objects.is_deleting, "seen off")
    await user.delete(PODS, "p", grace=0)


async def cluster_roles_gather_rules(user: User) -> None:
    label = {f"example.com/{user.namespace}": "true"}
    rule = {"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]}
    whole, part = f"{user.namespace}-whole", f"{user.namespace}-part"
    await user.client.create(
        CLUSTER_ROLES, {"metadata": {"name": whole}, "aggregationRule": {"clusterRoleSelectors": [{"matchLabels": label}]}, "rules": []}
    )
    await user.client.create(CLUSTER_ROLES, {"metadata": {"name": part, "labels": label}, "rules": [rule]})
    await user.until(CLUSTER_ROLES, whole, lambda found: found.get("rules") == [rule], "gathered")
    for name in (whole, part):
        await user.client.delete(CLUSTER_ROLES, name)


async def claim_in_use_stays(user: User) -> None:
    await user.node()
    spec = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}, "storageClassName": "nobody"}
    await user.create(PERSISTENT_VOLUME_CLAIMS, {"metadata": {"name": "data"}, "spec": spec})
    volume = {"name": "data", "persistentVolumeClaim": {"claimName": "data"}}
    # Bound by hand: a scheduler would wait for a volume.
    await user.create(PODS, {"metadata": {"name": "p"}, "spec": pod_spec(volumes=[volume], nodeName=f"{user.namespace}-n0")})
    await user.delete(PERSISTENT_VOLUME_CLAIMS, "data")
    await user.until(PERSISTENT_VOLUME_CLAIMS, "data", objects.is_deleting, "held by its pod")
    await user.delete(PODS, "p", grace=0)
    await user.until_gone(PERSISTENT_VOLUME_CLAIMS, "data")


async def device_claims_are_made_for_pods(user: User) -> None:
    request = {"name": "gpu", "exactly": {"deviceClassName": "nobody.example.com"}}
    await user.create(RESOURCE_CLAIM_TEMPLATES, {"metadata": {"name": "one"}, "spec": {"spec": {"devices": {"requests": [request]}}}})
    spec = pod_spec(resourceClaims=[{"name": "gpu", "resourceClaimTemplateName": "one"}])
    await user.create(PODS, {"metadata": {"name": "p"}, "spec": spec})
    pod = await user.until(PODS, "p", lambda pod: bool(objects.status(pod).get("resourceClaimStatuses")), "with a claim")
    (told,) = objects.status(pod)["resourceClaimStatuses"]
    await user.until(RESOURCE_CLAIMS, told["resourceClaimName"], lambda claim: objects.is_controlled_by(claim, pod), "the pod's")
    await user.delete(PODS, "p", grace=0)
    await user.until_all(RESOURCE_CLAIMS, lambda found: not found, what="gone with the pod")


async def _tree(user: User) -> list[Obj]:
    """A Deployment, its ReplicaSet and two pods."""
    await user.create(DEPLOYMENTS, workload("web", replicas=2))
    await user.until_pods(2)
    return await user.until_all(REPLICA_SETS, lambda found: len(found) == 1)


def _budget(least: int) -> Obj:
    return {"metadata": {"name": "web"}, "spec": {"minAvailable": least, "selector": {"matchLabels": {"app": "web"}}}}


async def _evict(user: User, pod: Obj) -> None:
    name = objects.name(pod)
    body = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": name, "namespace": user.namespace}}
    await user.client.create_subresource(PODS, name, user.namespace, "eviction", body)


async def _report(user: User, node: str, ready: str) -> None:
    condition = {"type": "Ready", "status": ready, "reason": "Said", "message": "so", "lastHeartbeatTime": None}
    await user.client.patch(NODES, node, {"status": {"conditions": [condition]}}, subresource="status")


def _running() -> Obj:
    return {"status": {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}}


def _ready(slices: list[Obj]) -> set[str]:
    endpoints = [endpoint for found in slices for endpoint in found.get("endpoints") or () if endpoint["conditions"]["ready"]]
    return {address for endpoint in endpoints for address in endpoint["addresses"]}


def _addresses(endpoints: Obj) -> set[str]:
    return {address["ip"] for subset in endpoints.get("subsets") or () for address in subset.get("addresses") or ()}
