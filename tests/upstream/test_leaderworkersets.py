"""The same LeaderWorkerSets under our controllers on our server, and under upstream's manager on the real one, beside each other: what is
made of them, what is said of them and how it changes has to be the same. Pods live by kwok and are placed by kube-scheduler in both.
"""

import itertools
import json
import re
from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest

from oracle import servers, worlds
from tests.platform.kit import eventually
from tests.upstream.marked import marks
from tests.upstream.test_workloads import SECONDS, alike, apply, kubectl, plain, wait

pytestmark = marks("lws", files=("lws",))
Obj = dict[str, Any]
DOMAIN = "leaderworkerset.sigs.k8s.io"
_KINDS = ("statefulsets", "controllerrevisions", "pods", "services", "persistentvolumeclaims")
_NODE = re.compile(r"^node-\d$")
_ATTEMPTS = itertools.count(1)
_PASSING = re.compile("Updating replica|Replicas are progressing|deleting surge|already exists|the object has been modified")
"""Told of a moment that one of two clusters may not have seen."""


@pytest.fixture(scope="module")
def pair() -> Iterator[list[worlds.World]]:
    with worlds.pair(operator=worlds.LWS) as found:
        yield found


@pytest.fixture(scope="module")
def swapped(pair: list[worlds.World]) -> Iterator[list[worlds.World]]:
    """Upstream's manager on our server, beside it on the real one."""
    with worlds.world(servers.OURS, controllers="-leaderworkerset") as ours:
        ours.furnish(worlds.LWS, manager=False)
        yield [ours, pair[1]]


@pytest.fixture
def name() -> str:
    """Another one at every attempt."""
    return f"l{next(_ATTEMPTS)}"


def pod(image: str = "registry.invalid/c:1", **container: Any) -> Obj:
    env = [{"name": "WHERE", "value": "$(LWS_LEADER_ADDRESS)"}]
    whole = {"name": "c", "image": image, "args": ["<a>", "&b"], "env": env, "resources": {"requests": {"cpu": "100m"}}, **container}
    return {"metadata": {"labels": {"of": "us"}}, "spec": {"containers": [whole]}}


def lws(name: str, *, replicas: int = 2, size: int = 3, annotations: Obj | None = None, template: Obj | None = None, **spec: Any) -> Obj:
    metadata = {"name": name, "namespace": "default", "annotations": annotations or {}}
    given = {"size": size, "workerTemplate": pod(), **(template or {})}
    whole = {"replicas": replicas, "leaderWorkerTemplate": given, **spec}
    return {"apiVersion": "leaderworkerset.x-k8s.io/v1", "kind": "LeaderWorkerSet", "metadata": metadata, "spec": whole}


def rolling(**fields: Any) -> Obj:
    return {"type": "RollingUpdate", "rollingUpdateConfiguration": fields}


def picture(world: worlds.World, name: str) -> Obj:
    """A set and all that belongs to it, without what is of one cluster only."""
    found: Obj = {"LeaderWorkerSet": plain(world.reader.named("leaderworkersets", name))}
    for obj in world.reader.listed(*_KINDS, labels=f"{DOMAIN}/name={name}"):
        found.setdefault(obj["kind"], []).append(_placeless(plain(obj)))
    return {kind: sorted(objs, key=str) if isinstance(objs, list) else objs for kind, objs in found.items()}


def _placeless(value: Any) -> Any:
    """Which node a group got is the scheduler's choice."""
    if isinstance(value, dict):
        return {k: "#" if k == "controller.kubernetes.io/hash" else _placeless(v) for k, v in value.items()}
    if isinstance(value, list):
        return [_placeless(v) for v in value]
    return _NODE.sub("node", value) if isinstance(value, str) else value


def said(world: worlds.World, name: str) -> list[str]:
    """What was told about a set, each once. Which groups it was told of, and their tallies, depend on the moment: of events that differ in
    their words only, upstream's recorder keeps the first. What a manager complains of when its cache is late is not compared either."""
    events = world.reader.listed("events")
    own = [e for e in events if e["involvedObject"]["name"] == name and not _PASSING.search(e["message"])]
    return sorted({f"{e['type']} {e['reason']}: {_countless(e['message'], name)}" for e in own})


def said_of_update(world: worlds.World, name: str) -> list[str]:
    """As `said`. A leader that an update replaces goes before its workers do; upstream's manager deletes it again, and says so, when its
    cache has the worker's end before the leader's."""
    return [line for line in said(world, name) if "to recreate group" not in line]


def _countless(message: str, name: str) -> str:
    return re.sub(r"with [0-9]+ groups", "with # groups", re.sub(rf"\b{name}-[0-9]+\b", f"{name}-#", message))


def ready(pair: list[worlds.World], name: str, groups: int) -> None:
    """Until so many groups are there, ready and up to date, and nothing else is."""
    wait(pair, f"lws/{name}", "condition=Available")
    for world in pair:
        eventually(partial(_has_groups, world, name, groups), f"{groups} groups of {name}", partial(_status, world, name), seconds=SECONDS)


def _has_groups(world: worlds.World, name: str, groups: int) -> bool:
    found = world.reader.named("leaderworkersets", name)
    counts = [found["status"].get(field, 0) for field in ("replicas", "readyReplicas", "updatedReplicas")]
    return counts == [groups] * 3 and bool(found["status"]["observedGeneration"] == found["metadata"]["generation"])


def _status(world: worlds.World, name: str) -> str:
    return str(world.reader.named("leaderworkersets", name)["status"])


def change(pair: list[worlds.World], name: str, **spec: Any) -> None:
    kubectl(pair, "patch", "lws", name, "--type=merge", "-p", json.dumps({"spec": spec}))


def new_image(pair: list[worlds.World], name: str, image: str = "registry.invalid/c:2") -> None:
    change(pair, name, leaderWorkerTemplate={"workerTemplate": {"spec": pod(image)["spec"]}})


def test_groups_that_have_a_node_to_themselves(pair: list[worlds.World], name: str) -> None:
    """On nodes that no other set goes to: such groups keep away from all others."""
    kept = [worlds.node(f"node-{number}") for number in range(worlds.NODES, 2 * worlds.NODES)]
    for node in kept:
        node["metadata"]["labels"]["for"] = "groups"
        node["spec"] = {"taints": [{"key": "for", "value": "groups", "effect": "NoSchedule"}]}
    only = pod()
    only["spec"] |= {"nodeSelector": {"for": "groups"}, "tolerations": [{"key": "for", "operator": "Exists"}]}
    exclusive = {f"{DOMAIN}/exclusive-topology": "kubernetes.io/hostname"}
    apply(pair, *kept, lws(name, replicas=3, size=2, annotations=exclusive, template={"workerTemplate": only}))
    ready(pair, name, 3)
    alike(pair, name, picture)
    for world in pair:
        pods = world.reader.listed("pods", labels=f"{DOMAIN}/name={name}")
        nodes = {(p["metadata"]["labels"][f"{DOMAIN}/group-index"], p["spec"]["nodeName"]) for p in pods}
        assert len(nodes) == len({node for _, node in nodes}) == 3
    kubectl(pair, "delete", "lws", name, "--wait=false")


def test_groups_and_their_number(pair: list[worlds.World], name: str) -> None:
    apply(pair, lws(name))
    ready(pair, name, 2)
    alike(pair, name, picture)
    kubectl(pair, "scale", f"lws/{name}", "--replicas=3")
    ready(pair, name, 3)
    kubectl(pair, "scale", f"lws/{name}", "--replicas=1")
    ready(pair, name, 1)
    alike(pair, name, picture)
    alike(pair, name, said)
    tables = [re.sub(r"\S+$", "", world.server.kubectl("get", "lws", name), flags=re.M) for world in pair]
    assert tables[0] == tables[1]


def test_an_update_of_one_group_after_the_other(pair: list[worlds.World], name: str) -> None:
    apply(pair, lws(name, replicas=3, size=2))
    ready(pair, name, 3)
    new_image(pair, name)
    wait(pair, f"lws/{name}", "jsonpath={.status.updatedReplicas}=3")
    ready(pair, name, 3)
    alike(pair, name, picture)
    alike(pair, name, said_of_update)


def test_an_update_with_extra_groups_down_to_a_partition(pair: list[worlds.World], name: str) -> None:
    apply(pair, lws(name, replicas=3, size=1, rolloutStrategy=rolling(maxSurge=1, maxUnavailable=1, partition=1)))
    ready(pair, name, 3)
    new_image(pair, name)
    wait(pair, f"lws/{name}", "jsonpath={.status.updatedReplicas}=2")
    wait(pair, f"lws/{name}", "condition=Available")
    alike(pair, name, picture)
    change(pair, name, rolloutStrategy=rolling(partition=0))
    ready(pair, name, 3)
    alike(pair, name, picture)


def test_a_group_begins_anew_when_one_of_its_containers_does(pair: list[worlds.World], name: str) -> None:
    apply(pair, lws(name))
    ready(pair, name, 2)
    before = [_uids(world, name) for world in pair]
    restarted = {"status": {"containerStatuses": [{"name": "c", "image": "", "imageID": "", "ready": True, "restartCount": 1}]}}
    kubectl(pair, "patch", "pod", f"{name}-1-2", "--subresource=status", "--type=merge", "-p", json.dumps(restarted))
    for world, earlier in zip(pair, before, strict=True):
        whole = {f"{name}-1", f"{name}-1-1", f"{name}-1-2"}
        eventually(partial(_renewed, world, name, earlier, whole), f"the second group of {name} made anew", seconds=SECONDS)
    ready(pair, name, 2)
    alike(pair, name, picture)
    alike(pair, name, said)


def _renewed(world: worlds.World, name: str, earlier: dict[str, str], which: set[str]) -> bool:
    """Have just these pods been made anew, and are all there again?"""
    now = _uids(world, name)
    return set(now) == set(earlier) and {n for n in now if now[n] != earlier[n]} == which


def _uids(world: worlds.World, name: str) -> dict[str, str]:
    pods = world.reader.listed("pods", labels=f"{DOMAIN}/name={name}")
    return {pod["metadata"]["name"]: pod["metadata"]["uid"] for pod in pods}


def test_single_pods_are_replaced_where_groups_shall_go_on(pair: list[worlds.World], name: str) -> None:
    apply(pair, lws(name, replicas=1, template={"restartPolicy": "None"}))
    ready(pair, name, 1)
    before = [_uids(world, name) for world in pair]
    kubectl(pair, "delete", "pod", f"{name}-0-1", "--wait=true")
    ready(pair, name, 1)
    for world, earlier in zip(pair, before, strict=True):
        eventually(partial(_renewed, world, name, earlier, {f"{name}-0-1"}), "one pod made anew", seconds=SECONDS)
    alike(pair, name, picture)


def test_leaders_of_another_kind_that_are_waited_for(pair: list[worlds.World], name: str) -> None:
    template = {"leaderTemplate": pod("registry.invalid/leader:1"), "restartPolicy": "RecreateGroupAfterStart"}
    apply(pair, lws(name, template=template, startupPolicy="LeaderReady", networkConfig={"subdomainPolicy": "UniquePerReplica"}))
    ready(pair, name, 2)
    alike(pair, name, picture)
    alike(pair, name, said)


def test_subgroups_and_tpus(pair: list[worlds.World], name: str) -> None:
    tpus = {"workerTemplate": pod(resources={"limits": {"google.com/tpu": "4"}})}
    sets = [
        lws(name + "a", replicas=1, size=5, template={**tpus, "subGroupPolicy": {"subGroupSize": 2}}),
        lws(name + "b", replicas=1, size=4, template={**tpus, "subGroupPolicy": {"subGroupSize": 2}}),
        lws(name + "d", replicas=1, size=3, template=tpus),
        lws(name + "e", replicas=1, size=3, template={"leaderTemplate": pod(), **tpus}),
    ]
    sets.append(lws(name + "c", replicas=1, size=5, template={**tpus, "leaderTemplate": pod()}))
    sets[-1]["spec"]["leaderWorkerTemplate"]["subGroupPolicy"] = {"subGroupSize": 2, "subGroupPolicyType": "LeaderExcluded"}
    sets[-1]["metadata"]["annotations"] = {f"{DOMAIN}/subgroup-exclusive-topology": "kubernetes.io/hostname"}
    for world in pair:
        world.apply(sets)
    for found in sets:
        alike(pair, found["metadata"]["name"], picture)


def test_claims_and_how_long_they_stay(pair: list[worlds.World], name: str) -> None:
    claim: Obj = {"metadata": {"name": "data"}, "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}}
    claim["spec"]["storageClassName"] = "nobody"
    policy = {"whenDeleted": "Delete", "whenScaled": "Retain"}
    apply(pair, lws(name, replicas=1, template={"volumeClaimTemplates": [claim], "persistentVolumeClaimRetentionPolicy": policy}))
    alike(pair, name, picture)


REFUSED: list[Obj] = [
    {"size": 0},
    {"replicas": -1},
    {"size": 5, "template": {"subGroupPolicy": {"subGroupSize": 3}}},
    {"size": 3, "template": {"subGroupPolicy": {"subGroupSize": 6}}},
    {"size": 4, "template": {"subGroupPolicy": {"subGroupSize": 2, "subGroupPolicyType": "LeaderExcluded"}}},
    {"rolloutStrategy": rolling(maxUnavailable=0)},
    {"rolloutStrategy": rolling(maxUnavailable="0%", maxSurge="0%")},
    {"rolloutStrategy": rolling(maxUnavailable="150%")},
    {"rolloutStrategy": rolling(maxSurge="many")},
    {"rolloutStrategy": rolling(maxSurge=-1)},
    {"rolloutStrategy": rolling(partition=-1)},
    {"replicas": 100000, "size": 100000},
    {"annotations": {f"{DOMAIN}/subgroup-exclusive-topology": "zone"}},
    {"startupPolicy": "Sometimes"},
    {"template": {"restartPolicy": "Often"}},
    {"networkConfig": {"subdomainPolicy": "Odd"}},
    {"networkConfig": {}},
]


def test_what_cannot_be_is_refused_in_the_same_words(pair: list[worlds.World], name: str) -> None:
    asked = [lws(f"{name}-{index}", **fields) for index, fields in enumerate(REFUSED)]
    for found in (*asked, lws(f"1{name}"), lws(f"{name}." + "x")):
        answers = worlds.together(partial(_answer, obj=found), pair)
        assert answers[0] == answers[1]
    loose = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "labels": {f"{DOMAIN}/name": "x"}}, "spec": pod()["spec"]}
    answers = worlds.together(partial(_answer, obj=loose), pair)
    assert answers[0] == answers[1]
    assert "size annotation is unexpectedly missing" in answers[0]


def _answer(world: worlds.World, obj: Obj) -> str:
    try:
        world.server.kubectl("create", "-f", "-", text=json.dumps(obj))
    except RuntimeError as error:
        return str(error).partition("\n")[2] or str(error)
    return ""


def test_what_may_not_change(pair: list[worlds.World], name: str) -> None:
    apply(pair, lws(name, replicas=0, size=4, template={"subGroupPolicy": {"subGroupSize": 2}}), lws(name + "x", replicas=0))
    for which, policy in ((name, {"subGroupSize": 1}), (name, None), (name + "x", {"subGroupSize": 1})):
        patch = json.dumps({"spec": {"leaderWorkerTemplate": {"subGroupPolicy": policy}}})
        answers = []
        for world in pair:
            with pytest.raises(RuntimeError) as caught:
                world.server.kubectl("patch", "lws", which, "--type=merge", "-p", patch)
            answers.append(str(caught.value).partition("\n")[2] or str(caught.value))
        assert answers[0] == answers[1]


def test_upstreams_manager_on_our_server(swapped: list[worlds.World], name: str) -> None:
    for world in swapped:
        world.apply([lws(name, size=2, rolloutStrategy=rolling(maxSurge=1))])
    ready(swapped, name, 2)
    alike(swapped, name, picture)
    new_image(swapped, name)
    ready(swapped, name, 2)
    alike(swapped, name, picture)
    alike(swapped, name, said_of_update)
