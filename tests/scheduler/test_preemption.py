"""Whom the scheduler evicts for a pod of higher priority: tables of kube-scheduler's rules, and its promises as properties."""

from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lightship.meta import selectors
from lightship.meta.objects import Key
from lightship.scheduler import filters
from lightship.scheduler.cluster import Budget, Cluster
from lightship.scheduler.plan import Bind, Planner, Unschedulable
from lightship.scheduler.preemption import Eviction, by_budgets
from lightship.scheduler.snapshot import NodeState, PodInfo, on_node
from tests.scheduler import make


def cluster(nodes: list[NodeState], placed: list[PodInfo]) -> Cluster:
    found = Cluster(nodes)
    for pod in placed:
        found.add_pod(pod)
    return found


def there(name: str, node: str, priority: int = 0, cpu: str = "1", **fields: Any) -> PodInfo:
    return on_node(make.info(name, priority=priority, requests={"cpu": cpu}, **fields), node)


def decide(nodes: list[NodeState], placed: list[PodInfo], pod: PodInfo, budgets: list[Budget] | None = None) -> Bind | Unschedulable:
    known = cluster(nodes, placed)
    known.budgets = budgets or []
    decision = Planner(known).decide(pod)
    assert isinstance(decision, Bind | Unschedulable)
    return decision


def victims(decision: Bind | Unschedulable) -> tuple[str, list[str]]:
    assert isinstance(decision, Unschedulable)
    assert isinstance(decision.eviction, Eviction)
    return decision.eviction.node, [pod.key.name for pod in decision.eviction.victims]


def two() -> list[NodeState]:
    return [make.state("a", cpu="2"), make.state("b", cpu="2")]


CHOICES: list[tuple[str, list[PodInfo], tuple[str, list[str]]]] = [
    ("the least important victim", [there("x", "a", 5, "2"), there("y", "b", 3, "2")], ("b", ["y"])),
    (
        "the smaller sum of priorities",
        [there("x1", "a", 5), there("x2", "a", 4), there("y1", "b", 5), there("y2", "b", 3)],
        ("b", ["y1", "y2"]),
    ),
    ("fewer victims", [there("x1", "a", 0), there("x2", "a", 0), there("y", "b", 0, "2")], ("b", ["y"])),
    (
        "nobody that can be spared",
        [there("x1", "a", 1, "1500m"), there("x2", "a", 9, "500m"), there("y", "b", 50, "2")],
        ("a", ["x2", "x1"]),
    ),
]


@pytest.mark.parametrize(("name", "placed", "want"), CHOICES, ids=[row[0] for row in CHOICES])
def test_which_node_and_whom(name: str, placed: list[PodInfo], want: tuple[str, list[str]]) -> None:
    assert victims(decide(two(), placed, make.info("p", priority=10, requests={"cpu": "2"}))) == want


def test_the_important_are_spared_where_the_others_suffice() -> None:
    placed = [there("low", "a", 1), there("high", "a", 5), there("top", "b", 10, "2")]
    assert victims(decide(two(), placed, make.info("p", priority=10, requests={"cpu": "1"}))) == ("a", ["low"])


def test_of_equals_those_that_have_run_shortest_go() -> None:
    young = there("young", "a", 0, "2")
    old = there("old", "b", 0, "2")
    placed = [msgspec.structs.replace(young, started=200.0), msgspec.structs.replace(old, started=100.0)]
    assert victims(decide(two(), placed, make.info("p", priority=10, requests={"cpu": "2"}))) == ("a", ["young"])


def test_equal_priority_is_never_evicted() -> None:
    decision = decide(two(), [there("x", "a", 10, "2"), there("y", "b", 10, "2")], make.info("p", priority=10, requests={"cpu": "2"}))
    assert isinstance(decision, Unschedulable)
    assert decision.eviction is None
    assert decision.hopeless
    want = "no new claims to deallocate, preemption: 0/2 nodes are available: 2 No preemption victims found for incoming pod."
    assert decision.cause == f"0/2 nodes are available: 2 Insufficient cpu. {want}"


def test_a_pod_that_never_preempts_waits() -> None:
    pod = make.info("p", priority=10, preemptionPolicy="Never", requests={"cpu": "2"})
    decision = decide(two(), [there("x", "a", 0, "2"), there("y", "b", 0, "2")], pod)
    assert isinstance(decision, Unschedulable)
    assert decision.eviction is None
    assert "preemption: not eligible due to preemptionPolicy=Never." in decision.cause


def test_evicting_does_not_help_where_the_node_itself_will_not_do() -> None:
    nodes = [make.state("a", cpu="2", labels={"zone": "x"}), make.state("b", cpu="2"), make.state("c", cpu="1", labels={"zone": "x"})]
    pod = make.info("p", priority=10, nodeSelector={"zone": "x"}, requests={"cpu": "2"})
    decision = decide(nodes, [there("x", "a", 10, "2"), there("y", "b", 0, "2")], pod)
    assert isinstance(decision, Unschedulable)
    want = (
        "preemption: 0/3 nodes are available: 1 No preemption victims found for incoming pod, 2 Preemption is not helpful for scheduling."
    )
    assert decision.cause.endswith(want)


def budget(allowed: int, app: str, **more: Any) -> Budget:
    return Budget(Key("default", f"pdb-{app}"), selectors.parse_label_selector(f"app={app}"), allowed, **more)


def labelled(name: str, node: str, app: str, cpu: str = "1") -> PodInfo:
    return msgspec.structs.replace(there(name, node, 0, cpu), labels={"app": app})


def test_a_node_where_no_budget_breaks_is_preferred() -> None:
    placed = [labelled("x", "a", "web", "2"), labelled("y", "b", "batch", "2")]
    pod = make.info("p", priority=10, requests={"cpu": "2"})
    assert victims(decide(two(), placed, pod, [budget(0, "web")])) == ("b", ["y"])
    assert victims(decide(two(), placed, pod, [budget(0, "batch")])) == ("a", ["x"])


def test_whose_budget_would_break_is_spared_first() -> None:
    placed = [labelled("x", "a", "web"), labelled("y", "a", "batch"), there("z", "b", 99, "2")]
    pod = make.info("p", priority=10, requests={"cpu": "1"})
    assert victims(decide(two(), placed, pod, [budget(0, "web")])) == ("a", ["y"])
    assert victims(decide(two(), placed, pod, [budget(0, "batch")])) == ("a", ["x"])


def test_budgets_are_used_up_in_turn_and_count_nobody_twice() -> None:
    pods = [labelled(name, "a", "web") for name in "xyz"]
    breaking, harmless = by_budgets(pods, [budget(1, "web")])
    assert ([p.key.name for p in breaking], [p.key.name for p in harmless]) == (["y", "z"], ["x"])
    breaking, harmless = by_budgets(pods, [budget(1, "web", disrupted=frozenset({"x"}))])
    assert ([p.key.name for p in breaking], [p.key.name for p in harmless]) == (["z"], ["x", "y"])


def test_room_that_is_being_made_is_not_given_to_lesser_pods() -> None:
    planner = Planner(cluster([make.state("a", cpu="2")], [there("x", "a", 0, "2")]))
    high = make.info("high", priority=10, requests={"cpu": "2"})
    assert victims(planner.decide(high)) == ("a", ["x"])  # type: ignore[arg-type]
    planner.cluster.remove_pod("uid-x")
    low = planner.decide(make.info("low", priority=5, requests={"cpu": "1"}))
    assert isinstance(low, Unschedulable)
    assert low.cause.startswith("0/1 nodes are available: 1 Insufficient cpu.")
    again = planner.decide(make.info("high", priority=10, requests={"cpu": "2"}))
    assert isinstance(again, Bind)
    assert not planner.cluster.nominated


def test_supposing_leaves_no_trace() -> None:
    placed = [there(f"x{i}", "a", i) for i in range(2)]
    known = cluster(two(), placed)
    before = {name: (dict(n.used), sorted(n.pods), n.weight) for name, n in known.nodes.items()}
    Planner(known).decide(make.info("p", priority=10, requests={"cpu": "3"}))
    assert {name: (dict(n.used), sorted(n.pods), n.weight) for name, n in known.nodes.items()} == before


@st.composite
def crowds(draw: st.DrawFn) -> tuple[list[NodeState], list[PodInfo], list[PodInfo]]:
    nodes = [make.state(f"n{i}", cpu=str(draw(st.integers(1, 4)))) for i in range(draw(st.integers(1, 3)))]
    room = {n.name: n.allocatable["cpu"] for n in nodes}
    placed: list[PodInfo] = []
    for i in range(draw(st.integers(0, 8))):
        node = draw(st.sampled_from(sorted(room)))
        if room[node] >= 1000:
            room[node] -= 1000
            placed.append(there(f"x{i}", node, draw(st.integers(0, 3))))
    waiting = [
        make.info(f"p{i}", priority=draw(st.integers(0, 3)), requests={"cpu": str(draw(st.integers(1, 4)))})
        for i in range(draw(st.integers(1, 4)))
    ]
    return nodes, placed, waiting


@given(crowds())
@settings(max_examples=150, deadline=None)
def test_only_lesser_pods_go_no_more_than_needed_and_then_it_fits(crowd: tuple[list[NodeState], list[PodInfo], list[PodInfo]]) -> None:
    nodes, placed, waiting = crowd
    planner = Planner(cluster(nodes, placed))
    for pod in sorted(waiting, key=lambda p: p.order):
        decision = planner.decide(pod)
        if not isinstance(decision, Unschedulable) or decision.eviction is None:
            continue
        node, gone = decision.eviction
        assert gone
        assert all(victim.priority < pod.priority and victim.node_name == node for victim in gone)
        first = [p for p in planner.cluster.nominated[node].values() if p.uid != pod.uid and p.priority >= pod.priority]
        for spared in (None, *gone):
            left = [p for p in planner.cluster.nodes[node].pods.values() if p not in gone or p is spared]
            state = make.state(node, cpu=f"{planner.cluster.nodes[node].allocatable['cpu']}m")
            for other in (*left, *first):
                state.take(other)
            assert (filters.local(pod, state) is None) is (spared is None), "it fits without them, and not with any one of them"
