"""Spread, affinity and anti-affinity: tables of kube-scheduler's rules, and the incremental core against one that looks at everything."""

from collections import Counter
from collections.abc import Callable
from typing import Any
from unittest import mock

import msgspec
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from lightship.meta.objects import Key
from lightship.scheduler import reading, spacing
from lightship.scheduler.cluster import Cluster
from lightship.scheduler.plan import Bind, Decision, Planner, Unschedulable
from lightship.scheduler.snapshot import NodeState, PodInfo, on_node
from tests.scheduler import make

ZONE, HOST = "topology.kubernetes.io/zone", "kubernetes.io/hostname"
APP = {"matchLabels": {"app": "a"}}


def info(name: str = "p", app: str = "a", namespace: str = "default", **spec: Any) -> PodInfo:
    pod = make.pod(name, **spec)
    pod["metadata"] |= {"uid": f"uid-{name}", "labels": {"app": app}, "namespace": namespace}
    return reading.pod_info(pod)


def node(name: str, zone: str = "", **labels: str) -> NodeState:
    return make.state(name, labels={HOST: name, **({ZONE: zone} if zone else {}), **labels})


def three() -> list[NodeState]:
    return [node("a1", "a"), node("a2", "a"), node("b1", "b")]


def spread(skew: int = 1, key: str = ZONE, hard: bool = True, **more: Any) -> dict[str, Any]:
    when = "DoNotSchedule" if hard else "ScheduleAnyway"
    return {"topologySpreadConstraints": [{"maxSkew": skew, "topologyKey": key, "whenUnsatisfiable": when, "labelSelector": APP, **more}]}


def term(key: str = ZONE, selector: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    return {"topologyKey": key, "labelSelector": APP if selector is None else selector, **more}


def near(*terms: dict[str, Any]) -> dict[str, Any]:
    return {"affinity": {"podAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": list(terms)}}}


def apart(*terms: dict[str, Any]) -> dict[str, Any]:
    return {"affinity": {"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": list(terms)}}}


def there(name: str, where: str, app: str = "a", **more: Any) -> PodInfo:
    return on_node(info(name, app, **more), where)


SKEW = "node(s) didn't match pod topology spread constraints"
Row = tuple[str, list[NodeState], list[PodInfo], PodInfo, set[str], dict[str, int]]

RULES: list[Row] = [
    ("spread: the emptier zone only", three(), [there("x", "a1")], info(**spread()), {"b1"}, {SKEW: 2}),
    ("spread: a larger skew allows more", three(), [there("x", "a1")], info(**spread(2)), {"a1", "a2", "b1"}, {}),
    ("spread: a pod that it does not mean is free", three(), [there("x", "a1")], info(app="b", **spread()), {"a1", "a2", "b1"}, {}),
    ("spread: pods of other namespaces do not count", three(), [there("x", "a1", namespace="o")], info(**spread()), {"a1", "a2", "b1"}, {}),
    (
        "spread: pods that go do not count",
        three(),
        [msgspec.structs.replace(there("x", "a1"), deleting=True)],
        info(**spread()),
        {"a1", "a2", "b1"},
        {},
    ),
    (
        "spread: nodes without the label",
        [*three(), node("c")],
        [],
        info(**spread()),
        {"a1", "a2", "b1"},
        {f"{SKEW} (missing required label)": 1},
    ),
    ("spread: too few domains", three(), [there("x", "a1"), there("y", "b1")], info(**spread(minDomains=3)), set(), {SKEW: 3}),
    (
        "spread: nodes that the pod cannot use do not count",
        [*three(), node("c1", "c")],
        [there("x", "a1"), there("y", "b1")],
        info(nodeSelector={"use": "no"}, **spread(nodeAffinityPolicy="Ignore")),
        set(),
        {"node(s) didn't match Pod's node affinity/selector": 4},
    ),
    (
        "spread: tainted nodes count unless told otherwise",
        [node("a1", "a"), node("b1", "b"), make.state("c1", labels={ZONE: "c"}, taints=[{"key": "k", "effect": "NoSchedule"}])],
        [there("x", "a1"), there("y", "b1")],
        info(**spread()),
        set(),
        {SKEW: 2, "node(s) had untolerated taint(s)": 1},
    ),
    (
        "spread: tainted nodes do not count when told so",
        [node("a1", "a"), node("b1", "b"), make.state("c1", labels={ZONE: "c"}, taints=[{"key": "k", "effect": "NoSchedule"}])],
        [there("x", "a1"), there("y", "b1")],
        info(**spread(nodeTaintsPolicy="Honor")),
        {"a1", "b1"},
        {"node(s) had untolerated taint(s)": 1},
    ),
    (
        "affinity: where the others are",
        three(),
        [there("x", "b1")],
        info(**near(term())),
        {"b1"},
        {"node(s) didn't match pod affinity rules": 2},
    ),
    ("affinity: the first of its kind", three(), [], info(**near(term())), {"a1", "a2", "b1"}, {}),
    ("affinity: nobody to be near to", three(), [], info(app="b", **near(term())), set(), {"node(s) didn't match pod affinity rules": 3}),
    (
        "affinity: of another namespace, by name",
        three(),
        [there("x", "b1", namespace="o")],
        info(app="b", **near(term(namespaces=["o"]))),
        {"b1"},
        {"node(s) didn't match pod affinity rules": 2},
    ),
    (
        "anti-affinity: not where the others are",
        three(),
        [there("x", "a1")],
        info(**apart(term())),
        {"b1"},
        {"node(s) didn't match pod anti-affinity rules": 2},
    ),
    (
        "anti-affinity: by host",
        three(),
        [there("x", "a1")],
        info(**apart(term(HOST))),
        {"a2", "b1"},
        {"node(s) didn't match pod anti-affinity rules": 1},
    ),
    (
        "anti-affinity: of those that are there",
        three(),
        [there("x", "a1", app="loner", **apart(term()))],
        info(),
        {"b1"},
        {"node(s) didn't satisfy existing pods anti-affinity rules": 2},
    ),
    (
        "anti-affinity: with the pod's own label value",
        three(),
        [there("x", "a1"), there("y", "b1", app="b")],
        info(**apart(term(selector={}, matchLabelKeys=["app"]))),
        {"b1"},
        {"node(s) didn't match pod anti-affinity rules": 2},
    ),
]


@pytest.mark.parametrize(("name", "nodes", "placed", "pod", "want", "counts"), RULES, ids=[row[0] for row in RULES])
def test_where_a_pod_may_go(
    name: str, nodes: list[NodeState], placed: list[PodInfo], pod: PodInfo, want: set[str], counts: dict[str, int]
) -> None:
    cluster = Cluster(nodes)
    for other in placed:
        cluster.add_pod(other)
    verdicts = Planner(cluster).verdicts(pod)
    assert {n.name for n in nodes} - verdicts.keys() == want
    assert Counter(reason for verdict in verdicts.values() for reason in verdict.reasons) == counts
    decision = Planner(cluster).decide(pod)
    assert decision.node in want if isinstance(decision, Bind) else not want


def test_a_namespace_selector_follows_the_labels() -> None:
    cluster = Cluster(three())
    cluster.add_pod(there("x", "b1", namespace="o"))
    pod = info(app="b", **near(term(namespaceSelector={"matchLabels": {"team": "t"}})))
    assert len(Planner(cluster).verdicts(pod)) == 3
    planner = Planner(cluster)
    planner.verdicts(pod)
    cluster.set_namespace("o", {"team": "t"})
    assert planner.verdicts(pod).keys() == {"a1", "a2"}


def test_preferences_for_company_move_a_pod() -> None:
    def prefers(side: str) -> dict[str, Any]:
        return {"affinity": {side: {"preferredDuringSchedulingIgnoredDuringExecution": [{"weight": 10, "podAffinityTerm": term()}]}}}

    for side, want in (("podAffinity", "b1"), ("podAntiAffinity", "a1")):
        cluster = Cluster(three())
        cluster.add_pod(there("x", "b1"))
        decision = Planner(cluster).decide(info(**prefers(side)))
        assert isinstance(decision, Bind)
        assert decision.node == want


def test_soft_spread_prefers_the_emptier_zone() -> None:
    cluster = Cluster(three())
    for name, where in (("x", "a1"), ("y", "a2")):
        cluster.add_pod(there(name, where))
    decision = Planner(cluster).decide(info(**spread(hard=False)))
    assert isinstance(decision, Bind)
    assert decision.node == "b1"


def test_pods_of_one_service_or_workload_are_spread_unless_they_say_otherwise() -> None:
    owner = {"controller": True, "kind": "ReplicaSet", "name": "web", "uid": "r"}
    owned = make.pod("p")
    owned["metadata"] |= {"uid": "uid-p", "labels": {"app": "a"}, "ownerReferences": [owner]}
    for pod in (info(), reading.pod_info(owned)):
        cluster = Cluster(three())
        for name, where in (("x", "a1"), ("y", "a2")):
            cluster.add_pod(there(name, where))
        if pod.owner:
            cluster.siblings.note_owner("ReplicaSet", Key("default", "web"), {"spec": {"selector": APP}})
        else:
            cluster.siblings.note_service(Key("default", "web"), None, {"spec": {"selector": {"app": "a"}}})
        decision = Planner(cluster).decide(pod)
        assert isinstance(decision, Bind)
        assert decision.node == "b1"
        assert not cluster.siblings.selector(pod).nothing
        assert cluster.siblings.selector(info(app="b")).nothing


APPS = st.sampled_from(["a", "b"])
KEYS = st.sampled_from([ZONE, HOST])


@st.composite
def demands(draw: st.DrawFn) -> dict[str, Any]:
    kind = draw(st.integers(0, 6))
    chosen = term(draw(KEYS), {"matchLabels": {"app": draw(APPS)}})
    weighted = [{"weight": draw(st.integers(1, 100)), "podAffinityTerm": chosen}]
    match kind:
        case 1:
            return spread(draw(st.integers(1, 2)), draw(KEYS), draw(st.booleans()))
        case 2:
            return near(chosen)
        case 3:
            return apart(chosen)
        case 4:
            return {"affinity": {"podAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": weighted}}}
        case 5:
            return {"affinity": {"podAntiAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": weighted}}}
        case 6:
            return {**spread(1, ZONE), **apart(chosen)}
    return {}


@st.composite
def histories(draw: st.DrawFn) -> tuple[list[NodeState], list[PodInfo | int]]:
    nodes = [
        make.state(f"n{i}", cpu=str(draw(st.integers(1, 3))), labels={HOST: f"n{i}", ZONE: draw(st.sampled_from("xyz"))})
        for i in range(draw(st.integers(1, 5)))
    ]
    shapes = [(draw(APPS), draw(demands()), draw(st.integers(0, 1))) for _ in range(draw(st.integers(1, 3)))]
    steps: list[PodInfo | int] = []
    for i in range(draw(st.integers(1, 12))):
        if draw(st.integers(0, 4)) == 0:
            steps.append(draw(st.integers(0, 10)))
        else:
            app, demand, priority = draw(st.sampled_from(shapes))
            steps.append(info(f"p{i}", app, requests={"cpu": "1"}, priority=priority, **demand))
    return nodes, steps


def _nominated_elsewhere() -> tuple[list[NodeState], list[PodInfo | int]]:
    """A pod waits for room on one node of a zone while another node of it fills up."""
    sizes = {"n0": ("2", "x"), "n1": ("1", "y"), "n2": ("1", "x")}
    nodes = [make.state(name, cpu=cpu, labels={HOST: name, ZONE: zone}) for name, (cpu, zone) in sizes.items()]
    demand = {**spread(1, ZONE), **apart(term(ZONE, {"matchLabels": {"app": "a"}}))}
    picky = [info(f"p{i}", "a", requests={"cpu": "1"}, priority=1, **demand) for i in range(1, 6)]
    return nodes, [info("p0", "a", requests={"cpu": "1"}, priority=0), *picky[:2], 0, 0, *picky[2:]]


@given(histories())
@example(_nominated_elsewhere())
@settings(max_examples=200, deadline=None)
def test_what_is_kept_up_to_date_says_the_same_as_a_look_at_everything(history: tuple[list[NodeState], list[PodInfo | int]]) -> None:
    nodes, steps = history
    planner = Planner(Cluster(nodes))
    placed: list[str] = []
    for step in steps:
        if isinstance(step, int):
            if placed:
                planner.cluster.remove_pod(placed.pop(step % len(placed)))
            continue
        fresh = Cluster(nodes)
        for pod in planner.cluster.pods.values():
            fresh.add_pod(pod)
        for where, waiting in planner.cluster.nominated.items():
            for pod in waiting.values():
                fresh.nominate(pod, where)
        may = {n.name for n in nodes if all(allowed(fresh, step, n.name) for allowed in REFERENCE)}
        free = {name for name in may if not fresh.nominated.get(name)}
        want, got = Planner(fresh).decide(step), planner.decide(step)
        assert _without_sentence(got) == _without_sentence(want)
        if isinstance(got, Bind):
            assert got.node in may
            placed.append(step.uid)
        else:
            assert isinstance(got, Unschedulable)
            assert not free, "there is a node that breaks no rule"


@st.composite
def served(draw: st.DrawFn) -> tuple[list[NodeState], list[PodInfo | int]]:
    """Nodes of which some lack labels, and pods of two Services that leave their spread to the default."""
    nodes = []
    for i in range(draw(st.integers(1, 7))):
        labels = {HOST: f"n{i}", ZONE: draw(st.sampled_from("xyz")), "disk": draw(st.sampled_from(["ssd", "hdd"]))}
        labels.pop(draw(st.sampled_from(["", "", "", HOST, ZONE])), None)
        nodes.append(make.state(f"n{i}", cpu=str(draw(st.integers(1, 4))), labels=labels))
    demands: list[dict[str, Any]] = [{}, {"nodeSelector": {"disk": "ssd"}}, {"affinity": {"nodeAffinity": PREFERS_SSD}}]
    steps: list[PodInfo | int] = []
    for i in range(draw(st.integers(1, 15))):
        fresh = info(f"p{i}", draw(APPS), requests={"cpu": "1"}, priority=draw(st.integers(0, 1)), **draw(st.sampled_from(demands)))
        steps.append(draw(st.integers(0, 10)) if draw(st.integers(0, 4)) == 0 else fresh)
    return nodes, steps


PREFERS_SSD = {
    "preferredDuringSchedulingIgnoredDuringExecution": [
        {"weight": 1, "preference": {"matchExpressions": [{"key": "disk", "operator": "In", "values": ["ssd"]}]}}
    ]
}


@given(served())
@settings(max_examples=200, deadline=None)
def test_pods_of_several_services_share_a_ranking_and_go_where_one_of_their_own_would_send_them(
    history: tuple[list[NodeState], list[PodInfo | int]],
) -> None:
    nodes, steps = history
    planners = []
    for few in (spacing.FEW, 1, -1):
        cluster = Cluster(nodes)
        for app in ("a", "b"):
            cluster.siblings.note_service(Key("default", app), None, {"spec": {"selector": {"app": app}}})
        planners.append((few, Planner(cluster)))
    placed: list[str] = []
    for step in steps:
        if isinstance(step, int):
            gone = placed.pop(step % len(placed)) if placed else ""
            for _, planner in planners:
                planner.cluster.remove_pod(gone)
            continue
        found = []
        for few, planner in planners:
            with mock.patch.object(spacing, "FEW", few):
                found.append(_without_sentence(planner.decide(step)))
        assert found[0] == found[1] == found[2]
        placed += [step.uid] if isinstance(found[0], Bind) else []


def _without_sentence(decision: Decision) -> Decision:
    """Our own sentence about a cause is kept for as long as the cause stands."""
    return msgspec.structs.replace(decision, missing="") if isinstance(decision, Unschedulable) else decision


def fits(cluster: Cluster, pod: PodInfo, where: str) -> bool:
    used = sum(p.requests["cpu"] for p in cluster.pods.values() if p.node_name == where)
    return used + pod.requests["cpu"] <= cluster.nodes[where].allocatable["cpu"]


def is_spread(cluster: Cluster, pod: PodInfo, where: str) -> bool:
    for constraint in pod.spread:
        if constraint.hard:
            counts = Counter({n.labels[constraint.topology_key]: 0 for n in cluster.nodes.values()})
            for other in cluster.pods.values():
                counts[cluster.nodes[other.node_name].labels[constraint.topology_key]] += constraint.selector.matches(other.labels)
            mine = counts[cluster.nodes[where].labels[constraint.topology_key]] + constraint.selector.matches(pod.labels)
            if mine - min(counts.values()) > constraint.max_skew:
                return False
    return True


def is_in_company(cluster: Cluster, pod: PodInfo, where: str) -> bool:
    for wanted in pod.terms.affinity:
        matching = [p for p in cluster.pods.values() if wanted.selection.matches(p.key.namespace, p.labels, {})]
        if not matching and wanted.selection.matches(pod.key.namespace, pod.labels, {}):
            continue
        if not any(_same(cluster, wanted.topology_key, where, p.node_name) for p in matching):
            return False
    return True


def is_apart(cluster: Cluster, pod: PodInfo, where: str) -> bool:
    for one, other, place in [(pod, p, p.node_name) for p in cluster.pods.values()] + [
        (p, pod, p.node_name) for p in cluster.pods.values()
    ]:
        for shunned in one.terms.anti:
            if shunned.selection.matches(other.key.namespace, other.labels, {}) and _same(cluster, shunned.topology_key, where, place):
                return False
    return True


def _same(cluster: Cluster, key: str, one: str, other: str) -> bool:
    return cluster.nodes[one].labels[key] == cluster.nodes[other].labels[key]


REFERENCE: list[Callable[[Cluster, PodInfo, str], bool]] = [fits, is_spread, is_in_company, is_apart]
