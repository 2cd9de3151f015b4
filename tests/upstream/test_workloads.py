"""The same workloads under our controllers on our server, and under kube-controller-manager on the real one, beside each other: what they
make, what they say of it and how it changes has to be the same. Pods live by kwok and are placed by kube-scheduler in both.
"""

import itertools
import re
from collections.abc import Iterator
from typing import Any

import pytest

from oracle import servers
from tests.platform.kit import eventually
from tests.upstream import worlds

pytestmark = worlds.marks()
Obj = dict[str, Any]
_DROPPED = {
    *("uid", "resourceVersion", "creationTimestamp", "managedFields", "generation", "observedGeneration", "collisionCount", "selfLink"),
    *("lastTransitionTime", "lastUpdateTime", "startTime", "startedAt", "podIP", "podIPs", "hostIP", "hostIPs", "nodeName", "containerID"),
    *("lastProbeTime", "completionTime", "controller-uid", "batch.kubernetes.io/controller-uid"),
}
_TEMPLATE_HASH = re.compile(r"-[bcdfghjklmnpqrstvwxz2456789]{5,10}\b")
"""Hashes of templates of Deployments and DaemonSets are of Go's memory there, of JSON here; names of pods are drawn."""
_COMBINED = "(combined from similar events): "
_HASHES = {"pod-template-hash", "controller-revision-hash"}
SECONDS = 60
_ATTEMPTS = itertools.count(1)
_KINDS = "deployments,replicasets,statefulsets,daemonsets,jobs,cronjobs,controllerrevisions,pods,poddisruptionbudgets,pvc"


@pytest.fixture(scope="module")
def pair() -> Iterator[list[worlds.World]]:
    with worlds.world(servers.OURS, controllers="*") as ours, worlds.world(servers.REAL) as real:
        ours.control_plane(manager=False)
        real.control_plane()
        yield [ours, real]


@pytest.fixture
def name() -> str:
    """Another one at every attempt."""
    return f"w{next(_ATTEMPTS)}"


def workload(kind: str, name: str, **spec: Any) -> Obj:
    container = {"name": "c", "image": "registry.invalid/c:1", "args": ["<a>", "&b"]}
    template = {"metadata": {"labels": {"app": name}}, "spec": {"containers": [container]}}
    selector = {"matchLabels": {"app": name}}
    metadata = {"name": name, "namespace": "default", "labels": {"app": name}}
    return {"apiVersion": "apps/v1", "kind": kind, "metadata": metadata, "spec": {"selector": selector, "template": template, **spec}}


def budget(name: str, **spec: Any) -> Obj:
    metadata = {"name": name, "namespace": "default", "labels": {"app": name}}
    whole = {"selector": {"matchLabels": {"app": name}}, **spec}
    return {"apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": metadata, "spec": whole}


def picture(world: worlds.World, name: str) -> Obj:
    """All that belongs to an app, without what is of one cluster only: by kind, in an order that does not depend on drawn names."""
    found: Obj = {}
    for obj in world.server.get(_KINDS, "-l", f"app={name}")["items"]:
        found.setdefault(obj["kind"], []).append(plain(obj))
    return {kind: sorted(objs, key=str) for kind, objs in found.items()}


def plain(value: Any, key: str = "") -> Any:
    if isinstance(value, dict):
        return {plain(k): "#" if k in _HASHES else plain(v, k) for k, v in value.items() if k not in _DROPPED and v not in (None, {}, [])}
    if isinstance(value, list):
        listed = [plain(item) for item in value]
        return sorted(listed, key=lambda item: str(item.get("type", ""))) if key == "conditions" else listed
    return _TEMPLATE_HASH.sub("-#", value) if isinstance(value, str) and key not in ("image", "uid") else value


def said(world: worlds.World, name: str) -> list[str]:
    """What was told about objects whose names begin so, each once."""
    events = world.server.get("events", "-n", "default")["items"]
    kinds = ("Deployment", "ReplicaSet", "StatefulSet", "DaemonSet", "PodDisruptionBudget")
    own = [e for e in events if e["involvedObject"]["name"].startswith(name) and e["involvedObject"]["kind"] in kinds]
    return sorted({f"{e['involvedObject']['kind']} {e['type']} {e['reason']}: {plain(e['message']).removeprefix(_COMBINED)}" for e in own})


def alike(pair: list[worlds.World], name: str, part: Any = picture) -> None:
    """Wait until both clusters show the same."""
    found: list[str] = []

    def same() -> bool:
        found[:] = differences(*(part(world, name) for world in pair))
        return not found

    eventually(same, f"both pictures of {name} alike", lambda: "\n" + "\n".join(found[:40]), seconds=SECONDS)


def differences(ours: Any, real: Any, path: str = "") -> list[str]:
    """A line for each place where two pictures differ."""
    if isinstance(ours, dict) and isinstance(real, dict):
        return [line for key in sorted({*ours, *real}) for line in differences(ours.get(key), real.get(key), f"{path}.{key}")]
    if isinstance(ours, list) and isinstance(real, list) and len(ours) == len(real):
        return [line for i, pair in enumerate(zip(ours, real, strict=True)) for line in differences(*pair, f"{path}[{i}]")]
    return [] if ours == real else [f"{path}: {ours!r} here, {real!r} there"]


def kubectl(pair: list[worlds.World], *arguments: str) -> None:
    for world in pair:
        world.server.kubectl(*arguments)


def test_a_deployment_and_its_rollout(pair: list[worlds.World], name: str) -> None:
    for world in pair:
        world.apply([workload("Deployment", name, replicas=3), budget(name, maxUnavailable=1)])
    kubectl(pair, "rollout", "status", f"deployment/{name}", "--timeout=90s")
    alike(pair, name)
    kubectl(pair, "set", "image", f"deployment/{name}", "*=registry.invalid/c:2")
    kubectl(pair, "rollout", "status", f"deployment/{name}", "--timeout=90s")
    alike(pair, name)
    kubectl(pair, "rollout", "undo", f"deployment/{name}")
    kubectl(pair, "rollout", "status", f"deployment/{name}", "--timeout=90s")
    kubectl(pair, "scale", f"deployment/{name}", "--replicas=1")
    kubectl(pair, "rollout", "pause", f"deployment/{name}")
    alike(pair, name)
    alike(pair, name, said)


def test_a_stateful_set_its_storage_and_its_versions(pair: list[worlds.World], name: str) -> None:
    claim: Obj = {"metadata": {"name": "data"}, "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}}
    claim["spec"]["storageClassName"] = "nobody"
    # Its claims are bound by nobody, so its pods wait: what counts is what is made.
    policy = {"whenDeleted": "Delete", "whenScaled": "Delete"}
    stored = workload(
        "StatefulSet", name + "-store", replicas=2, serviceName=name, volumeClaimTemplates=[claim], podManagementPolicy="Parallel"
    )
    stored["spec"]["persistentVolumeClaimRetentionPolicy"] = policy
    for world in pair:
        world.apply([workload("StatefulSet", name, replicas=3, serviceName=name), stored])
    kubectl(pair, "rollout", "status", f"statefulset/{name}", "--timeout=90s")
    alike(pair, name)
    alike(pair, name + "-store")
    kubectl(pair, "set", "image", f"statefulset/{name}", "*=registry.invalid/c:2")
    kubectl(pair, "rollout", "status", f"statefulset/{name}", "--timeout=90s")
    alike(pair, name)
    names = [{r["metadata"]["name"] for r in world.server.get("controllerrevisions", "-l", f"app={name}")["items"]} for world in pair]
    assert names[0] == names[1], "versions are called as upstream calls them"
    kubectl(pair, "rollout", "undo", f"statefulset/{name}")
    kubectl(pair, "rollout", "status", f"statefulset/{name}", "--timeout=90s")
    kubectl(pair, "scale", f"statefulset/{name}", "--replicas=1")
    alike(pair, name)
    alike(pair, name, said)


def test_a_daemon_set_and_its_update(pair: list[worlds.World], name: str) -> None:
    for world in pair:
        world.apply([workload("DaemonSet", name)])
    kubectl(pair, "rollout", "status", f"daemonset/{name}", "--timeout=90s")
    alike(pair, name)
    kubectl(pair, "set", "image", f"daemonset/{name}", "*=registry.invalid/c:2")
    kubectl(pair, "rollout", "status", f"daemonset/{name}", "--timeout=90s")
    alike(pair, name)
    kubectl(pair, "cordon", "node-0")
    kubectl(pair, "rollout", "restart", f"daemonset/{name}")
    kubectl(pair, "uncordon", "node-0")


def test_a_cron_job_starts_what_is_due(pair: list[worlds.World], name: str) -> None:
    """Made by hand from its template, as nobody wants to wait for the minute."""
    container = {"name": "c", "image": "registry.invalid/c:1"}
    job = {"spec": {"template": {"spec": {"containers": [container], "restartPolicy": "Never"}, "metadata": {"labels": {"app": name}}}}}
    spec = {"schedule": "0 0 1 1 *", "jobTemplate": {**job, "metadata": {"labels": {"app": name}}}}
    metadata = {"name": name, "namespace": "default", "labels": {"app": name}}
    for world in pair:
        world.apply([{"apiVersion": "batch/v1", "kind": "CronJob", "metadata": metadata, "spec": spec}])
        world.server.kubectl("create", "job", f"{name}-now", f"--from=cronjob/{name}")
    alike(pair, name)
