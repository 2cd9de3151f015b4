"""The same workloads under our controllers on our server, and under kube-controller-manager on the real one, beside each other: what they
make, what they say of it and how it changes has to be the same. Pods live by kwok and are placed by kube-scheduler in both.
"""

import itertools
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lightship.aio.clock import pause
from oracle import worlds
from tests.platform.kit import eventually
from tests.upstream.adapter import Adapter, adapter
from tests.upstream.marked import marks

pytestmark = marks()
Obj = dict[str, Any]
_DROPPED = {
    *("uid", "resourceVersion", "creationTimestamp", "managedFields", "generation", "observedGeneration", "collisionCount", "selfLink"),
    *("lastTransitionTime", "lastUpdateTime", "startTime", "startedAt", "podIP", "podIPs", "hostIP", "hostIPs", "nodeName", "containerID"),
    *("lastProbeTime", "completionTime", "lastScaleTime", "controller-uid", "batch.kubernetes.io/controller-uid"),
}
_TEMPLATE_HASH = re.compile(r"-[bcdfghjklmnpqrstvwxz2456789]{5,10}\b")
"""Hashes of templates of Deployments and DaemonSets are of Go's memory there, of JSON here; names of pods are drawn."""
_COMBINED = "(combined from similar events): "
_HASHES = {"pod-template-hash", "controller-revision-hash"}
SECONDS = 180
_ATTEMPTS = itertools.count(1)
_KINDS = (
    *("deployments", "replicasets", "statefulsets", "daemonsets", "jobs", "cronjobs", "controllerrevisions", "pods"),
    *("poddisruptionbudgets", "persistentvolumeclaims", "horizontalpodautoscalers"),
)
_BREATH = 0.1
"""Seconds between two looks at two clusters."""


@pytest.fixture(scope="module")
def pair() -> Iterator[list[worlds.World]]:
    with worlds.pair(controllers="-emulation") as found:
        yield found


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
    for obj in world.reader.listed(*_KINDS, labels=f"app={name}"):
        found.setdefault(obj["kind"], []).append(plain(obj))
    return {kind: sorted(objs, key=str) for kind, objs in found.items()}


def plain(value: Any, key: str = "") -> Any:
    if isinstance(value, dict):
        return {
            plain(k): "#" if k in _HASHES else plain(v, k)
            for k, v in sorted(value.items())
            if k not in _DROPPED and v not in (None, {}, [])
        }
    if isinstance(value, list):
        listed = [plain(item) for item in value]
        return sorted(listed, key=lambda item: str(item.get("type", ""))) if key == "conditions" else listed
    return _TEMPLATE_HASH.sub("-#", value) if isinstance(value, str) and key not in ("image", "uid") else value


def said(world: worlds.World, name: str) -> list[str]:
    """What was told about objects whose names begin so, each once; not whether a budget was looked at before its first pod was there."""
    events = world.reader.listed("events")
    kinds = ("Deployment", "ReplicaSet", "StatefulSet", "DaemonSet", "PodDisruptionBudget", "HorizontalPodAutoscaler")
    own = [e for e in events if e["involvedObject"]["name"].startswith(name) and e["involvedObject"]["kind"] in kinds]
    own = [e for e in own if e["reason"] != "NoPods"]
    return sorted({f"{e['involvedObject']['kind']} {e['type']} {e['reason']}: {plain(e['message']).removeprefix(_COMBINED)}" for e in own})


def alike(pair: list[worlds.World], name: str, part: Any = picture) -> None:
    """Wait until both clusters show the same."""
    found: list[str] = []

    def same() -> bool:
        found[:] = differences(*worlds.together(lambda world: part(world, name), pair))
        if found:
            pause(_BREATH)
        return not found

    eventually(same, f"both pictures of {name} alike", lambda: "\n" + "\n".join(found[:40]), seconds=SECONDS)


def differences(ours: Any, real: Any, path: str = "") -> list[str]:
    """A line for each place where two pictures differ."""
    if isinstance(ours, dict) and isinstance(real, dict):
        return [line for key in sorted({*ours, *real}) for line in differences(ours.get(key), real.get(key), f"{path}.{key}")]
    if isinstance(ours, list) and isinstance(real, list) and len(ours) == len(real):
        return [line for i, pair in enumerate(zip(ours, real, strict=True)) for line in differences(*pair, f"{path}[{i}]")]
    if isinstance(ours, list) and isinstance(real, list):
        lines = [f"{path}: {item!r} here only" for item in ours if item not in real]
        lines += [f"{path}: {item!r} there only" for item in real if item not in ours]
        return lines or [f"{path}: {len(ours)} here, {len(real)} there"]
    return [] if ours == real else [f"{path}: {ours!r} here, {real!r} there"]


def apply(pair: list[worlds.World], *objs: Obj) -> None:
    worlds.together(lambda world: world.apply(list(objs)), pair)


def kubectl(pair: list[worlds.World], *arguments: str) -> None:
    worlds.together(lambda world: world.server.kubectl(*arguments), pair)


def wait(pair: list[worlds.World], what: str, condition: str) -> None:
    worlds.together(lambda world: world.wait(what, condition), pair)


def test_a_deployment_and_its_rollout(pair: list[worlds.World], name: str) -> None:
    apply(pair, workload("Deployment", name, replicas=3), budget(name, maxUnavailable=1))
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
    apply(pair, workload("StatefulSet", name, replicas=3, serviceName=name), stored)
    kubectl(pair, "rollout", "status", f"statefulset/{name}", "--timeout=90s")
    alike(pair, name)
    alike(pair, name + "-store")
    kubectl(pair, "set", "image", f"statefulset/{name}", "*=registry.invalid/c:2")
    kubectl(pair, "rollout", "status", f"statefulset/{name}", "--timeout=90s")
    alike(pair, name)
    names = [{r["metadata"]["name"] for r in world.reader.listed("controllerrevisions", labels=f"app={name}")} for world in pair]
    assert names[0] == names[1], "versions are called as upstream calls them"
    kubectl(pair, "rollout", "undo", f"statefulset/{name}")
    kubectl(pair, "rollout", "status", f"statefulset/{name}", "--timeout=90s")
    kubectl(pair, "scale", f"statefulset/{name}", "--replicas=1")
    alike(pair, name)
    alike(pair, name, said)


def test_a_daemon_set_and_its_update(pair: list[worlds.World], name: str) -> None:
    apply(pair, workload("DaemonSet", name))
    kubectl(pair, "rollout", "status", f"daemonset/{name}", "--timeout=90s")
    alike(pair, name)
    kubectl(pair, "set", "image", f"daemonset/{name}", "*=registry.invalid/c:2")
    kubectl(pair, "rollout", "status", f"daemonset/{name}", "--timeout=90s")
    alike(pair, name)
    kubectl(pair, "cordon", "node-0")
    kubectl(pair, "delete", "pods", "-l", f"app={name}", "--wait=true")
    kubectl(pair, "rollout", "status", f"daemonset/{name}", "--timeout=90s")
    kubectl(pair, "uncordon", "node-0")
    alike(pair, name)
    alike(pair, name, said)


def test_a_cron_job_and_a_job_made_from_it(pair: list[worlds.World], name: str) -> None:
    container = {"name": "c", "image": "registry.invalid/c:1"}
    job = {"spec": {"template": {"spec": {"containers": [container], "restartPolicy": "Never"}, "metadata": {"labels": {"app": name}}}}}
    spec = {"schedule": "0 0 1 1 *", "jobTemplate": {**job, "metadata": {"labels": {"app": name}}}}
    metadata = {"name": name, "namespace": "default", "labels": {"app": name}}
    apply(pair, {"apiVersion": "batch/v1", "kind": "CronJob", "metadata": metadata, "spec": spec})
    kubectl(pair, "create", "job", f"{name}-now", f"--from=cronjob/{name}")
    alike(pair, name)


@pytest.fixture(scope="module")
def measured(pair: list[worlds.World], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Adapter]:
    """An adapter that both clusters ask for metrics."""
    directory: Path = tmp_path_factory.mktemp("adapter")
    with adapter(directory) as found:
        for world in pair:
            world.apply(found.objects())
            world.server.kubectl("wait", "apiservice", *(o["metadata"]["name"] for o in found.objects()[1:]), "--for=condition=Available")
        yield found


def autoscaler(name: str, *metrics: Obj) -> Obj:
    at_once = {"stabilizationWindowSeconds": 0, "policies": [{"type": "Pods", "value": 10, "periodSeconds": 15}]}
    reference = {"apiVersion": "apps/v1", "kind": "Deployment", "name": name}
    spec = {"scaleTargetRef": reference, "minReplicas": 1, "maxReplicas": 4, "metrics": list(metrics), "behavior": {"scaleDown": at_once}}
    metadata = {"name": name, "namespace": "default", "labels": {"app": name}}
    return {"apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "metadata": metadata, "spec": spec}


def test_autoscalers_and_metrics_from_an_adapter(pair: list[worlds.World], name: str, measured: Adapter) -> None:
    """One that gets more pods, one that gets fewer, and one whose metrics vanish, beside each other: ours looks every fifteen seconds."""
    up, down, lost = (f"{name}-{what}" for what in ("up", "down", "lost"))
    described = {"apiVersion": "v1", "kind": "Service", "name": "adapter"}

    def metrics(which: str, queue: str, depth: str) -> list[Obj]:
        measured.values |= {f"queue-{which}": queue, f"depth-{which}": depth}
        jobs = {"name": f"queue-{which}", "selector": {"matchLabels": {"of": "jobs"}}}
        length = {"metric": {"name": f"depth-{which}"}, "describedObject": described, "target": {"type": "Value", "value": "5"}}
        external = {"metric": jobs, "target": {"type": "AverageValue", "averageValue": "10"}}
        return [{"type": "External", "external": external}, {"type": "Object", "object": length}]

    wanted = {up: metrics(up, "30", "5"), down: metrics(down, "10", "1500m"), lost: metrics(lost, "20", "5")}
    apply(pair, *(workload("Deployment", which, replicas=2) for which in wanted))
    for which in wanted:
        kubectl(pair, "rollout", "status", f"deployment/{which}", "--timeout=90s")
    apply(pair, *(autoscaler(which, *asked) for which, asked in wanted.items()))
    wait(pair, f"hpa/{lost}", "condition=ScalingActive")
    for metric in (f"queue-{lost}", f"depth-{lost}"):
        del measured.values[metric]
    wait(pair, f"hpa/{lost}", "condition=ScalingActive=false")
    wait(pair, f"hpa/{up}", "jsonpath={.status.currentReplicas}=3")
    wait(pair, f"hpa/{down}", "jsonpath={.status.currentReplicas}=1")
    for which in wanted:
        alike(pair, which)
        alike(pair, which, said)


def test_taints_that_drive_out(pair: list[worlds.World], name: str) -> None:
    apply(pair, workload("Deployment", name, replicas=6))
    kubectl(pair, "rollout", "status", f"deployment/{name}", "--timeout=90s")
    kubectl(pair, "cordon", "node-1")
    kubectl(pair, "taint", "nodes", "node-1", "example.com/broken=yes:NoExecute")
    eventually(lambda: not any(on(world, name, "node-1") for world in pair), "node-1 is empty", seconds=SECONDS)
    kubectl(pair, "rollout", "status", f"deployment/{name}", "--timeout=90s")
    told = [sorted(plain(e["message"]) for e in events(world, name, "TaintManagerEviction")) for world in pair]
    assert all(messages and set(messages) == {f"Marking for deletion Pod default/{name}-#-#"} for messages in told), told
    kubectl(pair, "taint", "nodes", "node-1", "example.com/broken-")
    kubectl(pair, "uncordon", "node-1")
    eventually(lambda: not any(world.reader.named("nodes", "node-1")["spec"].get("taints") for world in pair), "no taints")
    alike(pair, name)


def on(world: worlds.World, name: str, node: str) -> list[Obj]:
    """An app's pods on a node."""
    return world.reader.listed("pods", labels=f"app={name}", fields=f"spec.nodeName={node}")


def events(world: worlds.World, name: str, reason: str) -> list[Obj]:
    found = world.reader.listed("events", fields=f"reason={reason}")
    return [event for event in found if event["involvedObject"]["name"].startswith(name)]
