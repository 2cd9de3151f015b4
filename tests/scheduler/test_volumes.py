"""Pods with persistent claims: which nodes will do, what the claims get there, and what is said when none will."""

from typing import Any

import pytest

from lightship.meta.objects import Key, Obj
from lightship.scheduler.cluster import Cluster
from lightship.scheduler.plan import Bind, Planner, Unschedulable
from lightship.scheduler.snapshot import PodInfo, on_node
from lightship.scheduler.volumes import BOUND, SELECTED_NODE, Promise, Volumes
from tests.scheduler import make

ZONE = "topology.kubernetes.io/zone"


def claim(name: str = "c", volume: str = "", storage_class: str = "now", modes: tuple[str, ...] = ("ReadWriteOnce",), **more: Any) -> Obj:
    spec = {"accessModes": list(modes), "storageClassName": storage_class, "resources": {"requests": {"storage": "1Gi"}}}
    meta: Obj = {"namespace": "default", "name": name, **more.pop("meta", {})}
    if volume:
        spec["volumeName"] = volume
        meta["annotations"] = {BOUND: "yes"}
    return {"metadata": meta, "spec": spec, **more}


def volume(name: str = "v", size: str = "1Gi", host: str = "", storage_class: str = "now", **more: Any) -> Obj:
    spec: Obj = {"capacity": {"storage": size}, "accessModes": ["ReadWriteOnce"], "storageClassName": storage_class, **more}
    if host:
        term = {"matchExpressions": [{"key": "host", "operator": "In", "values": [host]}]}
        spec["nodeAffinity"] = {"required": {"nodeSelectorTerms": [term]}}
    return {"metadata": {"name": name, "labels": more.pop("labels", {})}, "spec": spec, "status": {"phase": "Available"}}


def storage(claims: list[Obj], volumes: list[Obj]) -> Volumes:
    found = Volumes()
    found.claims = {Key("default", c["metadata"]["name"]): c for c in claims}
    found.volumes = {v["metadata"]["name"]: v for v in volumes}
    for name, mode, provisioner in (
        ("now", "Immediate", "made"),
        ("later", "WaitForFirstConsumer", "kubernetes.io/no-provisioner"),
        ("made", "WaitForFirstConsumer", "made"),
    ):
        found.classes[name] = {"metadata": {"name": name}, "volumeBindingMode": mode, "provisioner": provisioner}
    return found


def nodes() -> Cluster:
    return Cluster(make.state(name, labels={"host": name, ZONE: f"z-{name}"}) for name in ("a", "b"))


def user(name: str = "p", claims: tuple[str, ...] = ("c",)) -> PodInfo:
    return make.info(name, volumes=[{"name": c, "persistentVolumeClaim": {"claimName": c}} for c in claims])


REFUSED: list[tuple[str, list[Obj], list[Obj], str]] = [
    ("no such claim", [], [], 'persistentvolumeclaim "c" not found'),
    ("unbound and immediate", [claim()], [], "pod has unbound immediate PersistentVolumeClaims"),
    ("being deleted", [claim(meta={"deletionTimestamp": "2026-01-01T00:00:00Z"})], [], 'persistentvolumeclaim "c" is being deleted'),
    (
        "lost",
        [claim(volume="v", status={"phase": "Lost"})],
        [],
        'persistentvolumeclaim "c" bound to non-existent persistentvolume "v"',
    ),
]


@pytest.mark.parametrize(("name", "claims", "volumes", "want"), REFUSED, ids=[row[0] for row in REFUSED])
def test_no_node_will_do(name: str, claims: list[Obj], volumes: list[Obj], want: str) -> None:
    decision = Planner(nodes(), (storage(claims, volumes),)).decide(user())
    assert isinstance(decision, Unschedulable)
    assert decision.cause == f"0/2 nodes are available: {want}. not found"


NODES = [
    (
        "bound to a volume of one node",
        [claim(volume="v")],
        [volume(host="b")],
        {"a": "node(s) didn't match PersistentVolume's node affinity"},
    ),
    (
        "bound to a volume that is not there",
        [claim(volume="v")],
        [],
        dict.fromkeys("ab", "node(s) unavailable due to one or more pvc(s) bound to non-existent pv(s)"),
    ),
    (
        "bound to a volume of one zone",
        [claim(volume="v")],
        [volume(labels={ZONE: "z-a__z-c"})],
        {"b": "node(s) had no available volume zone"},
    ),
    (
        "waiting, with one volume that fits",
        [claim(storage_class="later")],
        [volume(host="a", storage_class="later"), volume("tiny", "1Mi", "b", "later")],
        {"b": "node(s) didn't find available persistent volumes to bind"},
    ),
    ("waiting, made where the pod goes", [claim(storage_class="made")], [], {}),
    (
        "waiting, promised to a node already",
        [claim(storage_class="made", meta={"annotations": {SELECTED_NODE: "b"}})],
        [],
        {"a": "node(s) didn't find available persistent volumes to bind"},
    ),
]


@pytest.mark.parametrize(("name", "claims", "volumes", "want"), NODES, ids=[row[0] for row in NODES])
def test_some_nodes_will_not_do(name: str, claims: list[Obj], volumes: list[Obj], want: dict[str, str]) -> None:
    verdicts = Planner(nodes(), (storage(claims, volumes),)).verdicts(user())
    assert {node: verdict.reasons for node, verdict in verdicts.items()} == {node: (reason,) for node, reason in want.items()}


def test_a_claim_gets_the_smallest_volume_and_no_two_the_same() -> None:
    known = storage(
        [claim("c", storage_class="later"), claim("d", storage_class="later"), claim("e", storage_class="later")],
        [volume("large", "5Gi", "a", "later"), volume("small", "2Gi", "a", "later")],
    )
    planner = Planner(nodes(), (known,))
    first, second = user("p", ("c",)), user("q", ("d",))
    assert isinstance(planner.decide(first), Bind)
    assert known.promises(first) == [Promise(Key("default", "c"), "a", "small")]
    assert isinstance(planner.decide(second), Bind)
    assert known.promises(second) == [Promise(Key("default", "d"), "a", "large")]
    assert isinstance(planner.decide(user("r", ("e",))), Unschedulable)
    planner.undo(first)
    assert isinstance(planner.decide(user("r", ("e",))), Bind)
    assert not known.ready(first)


def test_a_claim_for_one_pod_only_has_one_pod() -> None:
    cluster = nodes()
    known = storage([claim(volume="v", modes=("ReadWriteOncePod",))], [volume()])
    cluster.add_pod(on_node(user("first"), "a"))
    decision = Planner(cluster, (known,)).decide(user("second"))
    assert isinstance(decision, Unschedulable)
    used = "node(s) unavailable due to PersistentVolumeClaim with ReadWriteOncePod access mode already in-use by another pod"
    assert decision.cause.startswith(f"0/2 nodes are available: 2 {used}.")


def test_a_node_attaches_only_so_many_volumes() -> None:
    cluster = nodes()
    disks = [volume(name, csi={"driver": "disk", "volumeHandle": name}) for name in ("v", "w")]
    known = storage([claim("c", "v"), claim("d", "w")], disks)
    known.node_drivers = {name: {"spec": {"drivers": [{"name": "disk", "allocatable": {"count": 1}}]}} for name in "ab"}
    cluster.add_pod(on_node(user("first"), "a"))
    planner = Planner(cluster, (known,))
    assert {n: v.reasons for n, v in planner.verdicts(user("other", ("d",))).items()} == {"a": ("node(s) exceed max volume count",)}
    assert planner.verdicts(user("same")) == {}, "the volume is attached there already"
