"""The same cluster and the same pods, one by one, before kube-scheduler and before ours: where pods may go, and what is said when nowhere.

kube-scheduler runs on the real API server. Before each pod, our planner is asked about the cluster as it is then. A node that
kube-scheduler takes must be one that we allow; where it takes none, our words must be its words, up to our own sentence at the end; whom
it evicts must be as many, and as unimportant, as those whom we would.
"""

import asyncio
from pathlib import Path
from random import Random
from typing import Any

import pytest

from lightship.aio.clock import SystemClock
from lightship.client import Client, kubeconfig
from lightship.kinds import (
    NAMESPACES,
    NODES,
    PERSISTENT_VOLUME_CLAIMS,
    PERSISTENT_VOLUMES,
    POD_DISRUPTION_BUDGETS,
    PODS,
    PRIORITY_CLASSES,
    SERVICE_ACCOUNTS,
    STORAGE_CLASSES,
)
from lightship.meta import conditions, objects
from lightship.meta.objects import Obj
from lightship.meta.rest import DeleteOptions
from lightship.scheduler import explain, reading
from lightship.scheduler.controller import budget_of
from lightship.scheduler.plan import Bind, Planner, Unschedulable
from lightship.scheduler.preemption import Eviction
from lightship.scheduler.volumes import Volumes
from oracle import programs, servers
from tests.scheduler import make

pytestmark = [
    pytest.mark.oracle,
    pytest.mark.slow,
    pytest.mark.skipif(bool(programs.missing("etcd", "kube-apiserver", "kube-scheduler")), reason="kube-scheduler is not built"),
]

ZONE, HOST = "topology.kubernetes.io/zone", "kubernetes.io/hostname"
ROUNDS = 60
CLOCK = SystemClock()


def some_nodes(random: Random) -> list[Obj]:
    found = []
    for i in range(6):
        labels = {HOST: f"n{i}", "disk": random.choice(["ssd", "hdd"])} | ({ZONE: random.choice("abc")} if i else {})
        spec: dict[str, Any] = {}
        if random.random() < 0.3:
            spec["taints"] = [{"key": "team", "value": random.choice("xy"), "effect": random.choice(["NoSchedule", "PreferNoSchedule"])}]
        if random.random() < 0.1:
            spec["unschedulable"] = True
        found.append(make.node(f"n{i}", cpu=str(random.randint(2, 4)), pods=str(random.randint(3, 8)), labels=labels, **spec))
    return found


def some_pod(name: str, random: Random) -> Obj:
    """A pod with a handful of demands."""
    app = random.choice(["a", "b", "c"])
    chosen = {"topologyKey": random.choice([ZONE, HOST]), "labelSelector": {"matchLabels": {"app": random.choice(["a", "b", "c"])}}}
    spec: dict[str, Any] = {"terminationGracePeriodSeconds": 0, "priorityClassName": random.choice(["low", "low", "high", "polite"])}
    affinity: dict[str, Any] = {}
    dice = random.random
    if dice() < 0.15:
        spec["nodeSelector"] = {"disk": random.choice(["ssd", "nvme"])}
    if dice() < 0.15:
        term = {"matchExpressions": [{"key": ZONE, "operator": random.choice(["In", "NotIn"]), "values": ["a"]}]}
        affinity["nodeAffinity"] = {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [term]}}
    elif dice() < 0.1:
        term = {"matchFields": [{"key": "metadata.name", "operator": "In", "values": [f"n{random.randint(0, 7)}"]}]}
        affinity["nodeAffinity"] = {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [term]}}
    if dice() < 0.2:
        affinity["podAffinity"] = {"requiredDuringSchedulingIgnoredDuringExecution": [chosen]}
    elif dice() < 0.3:
        affinity["podAntiAffinity"] = {"requiredDuringSchedulingIgnoredDuringExecution": [chosen]}
    if dice() < 0.3:
        constraint = {"maxSkew": random.randint(1, 2), "whenUnsatisfiable": "DoNotSchedule", **chosen}
        spec["topologySpreadConstraints"] = [constraint | ({"minDomains": 3} if dice() < 0.2 else {})]
    if dice() < 0.3:
        spec["tolerations"] = [{"key": "team", "operator": "Equal", "value": "x"}]
    if dice() < 0.15:
        spec["volumes"] = [{"name": "v", "persistentVolumeClaim": {"claimName": random.choice(["bound", "waiting", "loose", "none"])}}]
    container: Obj = {"name": "main", "image": "none", "resources": {"requests": {"cpu": random.choice(["100m", "500m", "1", "3", "9"])}}}
    if dice() < 0.15:
        container["ports"] = [{"containerPort": 80, "hostPort": 80}]
    found = make.pod(name, containers=[container], **spec, **({"affinity": affinity} if affinity else {}))
    found["metadata"]["labels"] = {"app": app}
    return found


async def furnish(client: Client, random: Random) -> None:
    """Nodes, priorities, storage and a budget."""
    await client.apply(NAMESPACES, {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "default"}})
    await client.apply(
        SERVICE_ACCOUNTS, {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "default", "namespace": "default"}}
    )
    for node in some_nodes(random):
        created = await client.create(NODES, node)
        ready = {"conditions": [{"type": "Ready", "status": "True"}]}
        await client.update_status(NODES, {**created, "status": {**node["status"], **ready}})
        taints = objects.spec(node).get("taints") or []  # admission has added the one of a node that has not reported yet
        await client.patch(NODES, objects.name(node), {"spec": {"taints": taints}})
    for name, value, policy in (("low", 0, "PreemptLowerPriority"), ("high", 100, "PreemptLowerPriority"), ("polite", 100, "Never")):
        meta = {"apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass", "metadata": {"name": name}}
        await client.create(PRIORITY_CLASSES, {**meta, "value": value, "preemptionPolicy": policy})
    budget = {"selector": {"matchLabels": {"app": "a"}}, "minAvailable": 1}
    await client.create(
        POD_DISRUPTION_BUDGETS,
        {"apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": {"name": "a", "namespace": "default"}, "spec": budget},
    )
    await store(client)


async def store(client: Client) -> None:
    for name, mode in (("now", "Immediate"), ("later", "WaitForFirstConsumer")):
        body = {"provisioner": "kubernetes.io/no-provisioner", "volumeBindingMode": mode, "metadata": {"name": name}}
        await client.create(STORAGE_CLASSES, {"apiVersion": "storage.k8s.io/v1", "kind": "StorageClass", **body})
    term = {"matchExpressions": [{"key": HOST, "operator": "In", "values": ["n1"]}]}
    common = {"capacity": {"storage": "1Gi"}, "accessModes": ["ReadWriteOnce"], "hostPath": {"path": "/none"}, "storageClassName": "now"}
    reach = {"nodeAffinity": {"required": {"nodeSelectorTerms": [term]}}}
    volume = {"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": "here"}, "spec": {**common, **reach}}
    await client.create(PERSISTENT_VOLUMES, volume)
    for name, storage_class in (("bound", "now"), ("loose", "now"), ("waiting", "later")):
        spec: Obj = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}, "storageClassName": storage_class}
        meta: Obj = {"name": name, "namespace": "default"}
        if name == "bound":
            spec["volumeName"] = "here"
            meta["annotations"] = {"pv.kubernetes.io/bind-completed": "yes"}
        await client.create(PERSISTENT_VOLUME_CLAIMS, {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": meta, "spec": spec})


async def ours(client: Client) -> Planner:
    """Our planner, on the cluster as it is now."""
    nodes, pods, namespaces = [(await client.list(kind)).items for kind in (NODES, PODS, NAMESPACES)]
    cluster = explain.assemble(nodes, pods, namespaces)
    cluster.budgets = [budget_of(budget) for budget in (await client.list(POD_DISRUPTION_BUDGETS)).items]
    volumes = Volumes()
    volumes.claims = {objects.key(claim): claim for claim in (await client.list(PERSISTENT_VOLUME_CLAIMS)).items}
    volumes.volumes = {objects.name(volume): volume for volume in (await client.list(PERSISTENT_VOLUMES)).items}
    volumes.classes = {objects.name(found): found for found in (await client.list(STORAGE_CLASSES)).items}
    return Planner(cluster, (volumes,))


async def theirs(client: Client, name: str) -> Obj:
    """The pod when kube-scheduler has said its word."""
    while True:
        pod = await client.get(PODS, name, "default")
        if conditions.get(pod, "PodScheduled"):
            return pod
        await CLOCK.sleep(0.02)


async def gone(client: Client, name: str) -> None:
    await client.delete(PODS, name, "default", DeleteOptions(grace_period_seconds=0), missing_ok=True)


async def compare(client: Client, pod: Obj) -> str:
    """What differs for one pod; empty when nothing does."""
    planner = await ours(client)
    before = {uid: info.priority for uid, info in planner.cluster.pods.items()}
    created = await client.create(PODS, pod)
    info = reading.pod_info(created)
    verdicts = planner.verdicts(info)
    decision = planner.decide(info)
    said = await theirs(client, objects.name(pod))
    node = objects.spec(said).get("nodeName")
    if node and isinstance(decision, Unschedulable) and decision.eviction is not None:
        return await evicted_alike(client, before, decision.eviction)  # room was made so quickly that the pod is on its node by now
    if node:
        if node in verdicts or not isinstance(decision, Bind):
            return f"kube-scheduler took {node}, of which we say {verdicts.get(node)}: {decision}"
        return ""
    if not isinstance(decision, Unschedulable):
        return f"kube-scheduler found no node, we took {decision}; it says {(conditions.get(said, 'PodScheduled') or {}).get('message')}"
    message = (conditions.get(said, "PodScheduled") or {}).get("message")
    if message != decision.cause:
        return f"kube-scheduler: {message}\n            ours: {decision.cause}"
    nominated = objects.status(said).get("nominatedNodeName")
    if (nominated is None) is not (decision.eviction is None):
        return f"kube-scheduler makes room on {nominated}, we on {decision.eviction}"
    if decision.eviction is not None:
        return await evicted_alike(client, before, decision.eviction)
    await gone(client, objects.name(pod))
    return ""


async def evicted_alike(client: Client, before: dict[str, int], eviction: Eviction) -> str:
    """Were as many pods evicted as we would, of the same priorities?"""
    want = sorted(victim.priority for victim in eviction.victims)
    left: set[str] = set()
    for _ in range(250):
        left = {objects.uid(pod) for pod in (await client.list(PODS)).items}
        if len(before.keys() - left) >= len(want):
            break
        await CLOCK.sleep(0.02)
    evicted = sorted(before[uid] for uid in before.keys() - left)
    return "" if evicted == want else f"kube-scheduler evicted pods of priorities {evicted}, we would of {want}"


@pytest.mark.parametrize("seed", range(4))
def test_the_same_is_said_of_the_same_pods(seed: int, tmp_path: Path) -> None:
    async def work(path: Path) -> list[str]:
        random = Random(seed)
        client = Client(kubeconfig.load(path).transport())
        await furnish(client, random)
        arguments = programs.scheduler(path, tmp_path, port=programs.free_port())
        found: list[str] = []
        with programs.running("kube-scheduler", arguments, tmp_path):
            for i in range(ROUNDS):
                pod = some_pod(f"p{i}", random)
                if difference := await compare(client, pod):
                    found.append(f"p{i}: {difference}\n  {objects.spec(pod)}")
                    await gone(client, f"p{i}")
        await client.close()
        return found

    with servers.started(servers.REAL, tmp_path) as server:
        found = asyncio.run(work(server.kubeconfig))
    assert not found, "\n".join(found)
