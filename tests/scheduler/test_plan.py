"""The scheduling core as tables, and its promises as properties."""

from itertools import permutations
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lightship.meta.objects import Key
from lightship.scheduler import filters
from lightship.scheduler.plan import Bind, Gated, Unschedulable, plan
from lightship.scheduler.reading import node_state
from lightship.scheduler.snapshot import NodeState, PodInfo, Port, on_node
from tests.scheduler import make

TAINT = {"key": "team", "value": "a", "effect": "NoSchedule"}
TOLERATION = {"key": "team", "operator": "Equal", "value": "a", "effect": "NoSchedule"}


def unhelpful(nodes: int, text: str = "Preemption is not helpful for scheduling") -> str:
    """What kube-scheduler adds when nobody can be evicted to any avail."""
    return f" no new claims to deallocate, preemption: 0/{nodes} nodes are available: {nodes} {text}."


def victimless(nodes: int) -> str:
    return unhelpful(nodes, "No preemption victims found for incoming pod")


def affinity(*expressions: dict[str, Any], **term: Any) -> dict[str, Any]:
    terms = [{"matchExpressions": list(expressions), **term}]
    return {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": terms}}}


FITS = [
    ("anything fits an empty node", {}, {}, True),
    ("exactly all of it", {"requests": {"cpu": "4", "memory": "8Gi"}}, {}, True),
    ("a little too much", {"requests": {"cpu": "4001m"}}, {}, False),
    ("a device nobody has", {"requests": {"nvidia.com/gpu": "1"}}, {}, False),
    ("a device", {"requests": {"nvidia.com/gpu": "1"}}, {"extended": {"nvidia.com/gpu": "1"}}, True),
    ("zero of a device nobody has", {"requests": {"nvidia.com/gpu": "0"}}, {}, True),
    ("a label", {"nodeSelector": {"zone": "a"}}, {"labels": {"zone": "a"}}, True),
    ("another label", {"nodeSelector": {"zone": "a"}}, {"labels": {"zone": "b"}}, False),
    ("a taint", {}, {"taints": [TAINT]}, False),
    ("a tolerated taint", {"tolerations": [TOLERATION]}, {"taints": [TAINT]}, True),
    ("all taints tolerated", {"tolerations": [{"operator": "Exists"}]}, {"taints": [TAINT]}, True),
    ("another effect tolerated", {"tolerations": [{**TOLERATION, "effect": "NoExecute"}]}, {"taints": [TAINT]}, False),
    ("another value tolerated", {"tolerations": [{**TOLERATION, "value": "b"}]}, {"taints": [TAINT]}, False),
    ("a soft taint", {}, {"taints": [{**TAINT, "effect": "PreferNoSchedule"}]}, True),
    ("cordoned", {}, {"unschedulable": True}, False),
    ("affinity in", {"affinity": affinity({"key": "g", "operator": "In", "values": ["x"]})}, {"labels": {"g": "x"}}, True),
    ("affinity not in", {"affinity": affinity({"key": "g", "operator": "NotIn", "values": ["x"]})}, {"labels": {"g": "x"}}, False),
    ("affinity not in, without the label", {"affinity": affinity({"key": "g", "operator": "NotIn", "values": ["x"]})}, {}, True),
    ("affinity exists", {"affinity": affinity({"key": "g", "operator": "Exists"})}, {}, False),
    ("affinity does not exist", {"affinity": affinity({"key": "g", "operator": "DoesNotExist"})}, {}, True),
    ("affinity greater", {"affinity": affinity({"key": "g", "operator": "Gt", "values": ["3"]})}, {"labels": {"g": "4"}}, True),
    ("affinity lesser", {"affinity": affinity({"key": "g", "operator": "Lt", "values": ["3"]})}, {"labels": {"g": "4"}}, False),
    (
        "affinity to a number that is none",
        {"affinity": affinity({"key": "g", "operator": "Gt", "values": ["3"]})},
        {"labels": {"g": "x"}},
        False,
    ),
    ("affinity to nothing at all", {"affinity": affinity()}, {}, False),
    ("affinity by name", {"affinity": affinity(matchFields=[{"key": "metadata.name", "operator": "In", "values": ["n"]}])}, {}, True),
]


@pytest.mark.parametrize(("name", "pod", "node", "want"), FITS, ids=[row[0] for row in FITS])
def test_what_fits(name: str, pod: dict[str, Any], node: dict[str, Any], want: bool) -> None:
    (decision,) = plan([make.info(**pod)], [make.state(**node)])
    assert isinstance(decision, Bind) is want


def test_a_node_that_is_not_ready_is_tainted_unless_it_says_nothing() -> None:
    unready = make.node()
    unready["status"]["conditions"] = [{"type": "Ready", "status": "Unknown"}]
    (decision,) = plan([make.info()], [node_state(unready)])
    assert isinstance(decision, Unschedulable)
    assert decision.cause == "0/1 nodes are available: 1 node(s) had untolerated taint(s)." + unhelpful(1)


def test_a_node_under_pressure_is_tainted() -> None:
    pressed = make.node()
    pressed["status"]["conditions"] = [{"type": "Ready", "status": "True"}, {"type": "MemoryPressure", "status": "True"}]
    (decision,) = plan([make.info()], [node_state(pressed)])
    assert isinstance(decision, Unschedulable)
    assert decision.cause == "0/1 nodes are available: 1 node(s) had untolerated taint(s)." + unhelpful(1)
    tolerant = make.info(tolerations=[{"key": "node.kubernetes.io/memory-pressure", "operator": "Exists"}])
    (decision,) = plan([tolerant], [node_state(pressed)])
    assert isinstance(decision, Bind)


MESSAGES = [
    (
        "too much of one",
        {"requests": {"cpu": "64"}},
        [make.node("n1")],
        "0/1 nodes are available: 1 Insufficient cpu." + unhelpful(1) + " The pod asks for 64 cpu; node n1 has 4 in all.",
    ),
    (
        "too much of two",
        {"requests": {"cpu": "64", "memory": "1Ti"}},
        [make.node("n1")],
        (
            "0/1 nodes are available: 1 Insufficient cpu, 1 Insufficient memory."
            + unhelpful(1)
            + " The pod asks for 64 cpu; node n1 has 4 in all. The pod asks for 1Ti memory; node n1 has 8Gi in all."
        ),
    ),
    (
        "a device nobody has",
        {"requests": {"nvidia.com/gpu": "8"}},
        [make.node("n1")],
        "0/1 nodes are available: 1 Insufficient nvidia.com/gpu." + unhelpful(1) + " The pod asks for 8 nvidia.com/gpu; node n1 has none.",
    ),
    (
        "each node its own reason",
        {"requests": {"cpu": "5"}},
        [make.node("n1"), make.node("n2", unschedulable=True), make.node("n3", taints=[TAINT])],
        (
            "0/3 nodes are available: 1 Insufficient cpu, 1 node(s) had untolerated taint(s), 1 node(s) were unschedulable."
            + unhelpful(3)
            + " The pod asks for 5 cpu; node n1 has 4 in all. The pod does not tolerate team=a:NoSchedule."
        ),
    ),
    (
        "a label nobody has",
        {"nodeSelector": {"accelerator": "h100"}},
        [make.node("n1")],
        "0/1 nodes are available: 1 node(s) didn't match Pod's node affinity/selector."
        + unhelpful(1)
        + " The pod asks for nodes labelled accelerator=h100.",
    ),
    ("no nodes", {}, [], "no nodes available to schedule pods. Start a node, or wait until one registers."),
]


@pytest.mark.parametrize(("name", "pod", "nodes", "want"), MESSAGES, ids=[row[0] for row in MESSAGES])
def test_why_not(name: str, pod: dict[str, Any], nodes: list[Any], want: str) -> None:
    (decision,) = plan([make.info(**pod)], [node_state(node) for node in nodes])
    assert isinstance(decision, Unschedulable)
    assert decision.message == want


def test_what_is_taken_is_not_given_twice() -> None:
    node = make.state()
    node.take(on_node(make.info("old", requests={"cpu": "3"}), "n"))
    decisions = plan([make.info("a", requests={"cpu": "1"}), make.info("b", requests={"cpu": "1"})], [node])
    assert [type(d) for d in decisions] == [Bind, Unschedulable]
    late = decisions[1]
    assert isinstance(late, Unschedulable)
    assert late.message.endswith("The pod asks for 1 cpu; node n has 0 of 4 left.")


def test_a_full_node_takes_no_more_pods() -> None:
    decisions = plan([make.info("a"), make.info("b")], [make.state(pods="1")])
    assert [type(d) for d in decisions] == [Bind, Unschedulable]
    late = decisions[1]
    assert isinstance(late, Unschedulable)
    assert late.cause == "0/1 nodes are available: 1 Too many pods." + victimless(1)


def test_host_ports_are_taken_once_per_address() -> None:
    def listening(name: str, ip: str = "") -> PodInfo:
        port = {"containerPort": 80, "hostPort": 80, **({"hostIP": ip} if ip else {})}
        return make.info(name, containers=[{"name": "main", "ports": [port]}])

    kinds = [type(d) for d in plan([listening("a"), listening("b")], [make.state()])]
    assert kinds == [Bind, Unschedulable]
    kinds = [type(d) for d in plan([listening("a", "10.0.0.1"), listening("b", "10.0.0.2")], [make.state()])]
    assert kinds == [Bind, Bind]
    assert Port("0.0.0.0", "TCP", 80).clashes(Port("10.0.0.1", "TCP", 80))
    assert not Port("0.0.0.0", "TCP", 80).clashes(Port("0.0.0.0", "UDP", 80))


def test_gates_hold_a_pod_back() -> None:
    (decision,) = plan([make.info(schedulingGates=[{"name": "wait"}])], [make.state()])
    assert isinstance(decision, Gated)


def test_priority_first_then_age() -> None:
    def aged(name: str, created: float, priority: int = 0) -> PodInfo:
        return PodInfo(key=Key("default", name), uid=name, created=created, priority=priority, requests={"cpu": 4000, "pods": 1})

    pods = [aged("young", 2), aged("old", 1), aged("urgent", 3, priority=10)]
    order = [d.pod.uid for d in plan(pods, [make.state()])]
    assert order == ["urgent", "old", "young"]


def test_preferences_move_a_pod_and_soft_taints_keep_it_off() -> None:
    prefer = [{"weight": 10, "preference": {"matchExpressions": [{"key": "zone", "operator": "In", "values": ["b"]}]}}]
    pod = make.info(affinity={"nodeAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": prefer}})
    (decision,) = plan([pod], [make.state("a"), make.state("b", labels={"zone": "b"})])
    assert isinstance(decision, Bind)
    assert decision.node == "b"
    soft = make.state("a", taints=[{**TAINT, "effect": "PreferNoSchedule"}])
    (decision,) = plan([make.info()], [soft, make.state("b")])
    assert isinstance(decision, Bind)
    assert decision.node == "b"


def test_pods_that_ask_for_nothing_are_spread() -> None:
    decisions = plan([make.info(f"p{i}") for i in range(4)], [make.state("a"), make.state("b")])
    nodes = [d.node for d in decisions if isinstance(d, Bind)]
    assert sorted(nodes) == ["a", "a", "b", "b"]


def test_filters_are_declared_in_order() -> None:
    want = ["named", "unschedulable", "taints", "node_affinity", "host_ports", "resources", "disks"]
    assert [f.__name__ for f in (*filters.STATIC, *filters.FILTERS)] == want


AMOUNTS = st.dictionaries(st.sampled_from(["cpu", "memory", "gpu"]), st.integers(0, 8), max_size=3)


@st.composite
def problems(draw: st.DrawFn) -> tuple[list[PodInfo], list[NodeState]]:
    nodes = [
        NodeState(name=f"n{i}", allocatable={**draw(AMOUNTS), "pods": draw(st.integers(0, 5))}, used={}, ports=[])
        for i in range(draw(st.integers(0, 4)))
    ]
    pods = [
        PodInfo(key=Key("d", f"p{i}"), uid=f"p{i}", priority=draw(st.integers(0, 2)), requests={**draw(AMOUNTS), "pods": 1})
        for i in range(draw(st.integers(0, 8)))
    ]
    return pods, nodes


@given(problems())
@settings(max_examples=150, deadline=None)
def test_never_more_than_a_node_has_and_never_less_than_possible(problem: tuple[list[PodInfo], list[NodeState]]) -> None:
    pods, nodes = problem
    left = {node.name: dict(node.allocatable) for node in nodes}
    decisions = plan(pods, nodes)
    assert sorted(d.pod.uid for d in decisions) == sorted(pod.uid for pod in pods), "one decision for each pod"
    for decision in decisions:
        if isinstance(decision, Bind):
            for resource, amount in decision.pod.requests.items():
                left[decision.node][resource] = left[decision.node].get(resource, 0) - amount
                assert amount == 0 or left[decision.node][resource] >= 0, "over-committed"
    for decision in decisions:
        if isinstance(decision, Unschedulable):
            room = [n for n in left.values() if all(a == 0 or n.get(r, 0) >= a for r, a in decision.pod.requests.items())]
            assert not room, "there is room even at the end, so there was when it was refused"
    assert all(node.used == {} for node in nodes), "the plan works on its own copies"


@given(problems())
@settings(max_examples=40, deadline=None)
def test_the_order_in_which_pods_are_listed_makes_no_difference(problem: tuple[list[PodInfo], list[NodeState]]) -> None:
    pods, nodes = problem
    want = plan(pods, nodes)
    for shuffled in list(permutations(pods[:4])):
        assert plan([*shuffled, *pods[4:]], nodes) == want
