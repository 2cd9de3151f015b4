"""Pods that are placed together or not at all."""

import itertools
from collections import Counter
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lightship.meta.objects import Key
from lightship.scheduler import together
from lightship.scheduler.book import Said
from lightship.scheduler.cluster import Cluster
from lightship.scheduler.gang_preemption import Unit
from lightship.scheduler.plan import Bind, Decision, Planner, Unschedulable
from lightship.scheduler.snapshot import Gang, PodInfo
from lightship.scheduler.writes import is_told
from tests.scheduler import make

GANG = Key("default", "g")


def members(count: int, cpu: str = "1") -> list[PodInfo]:
    return [make.info(f"m{i}", requests={"cpu": cpu}) for i in range(count)]


def planner(*cpus: int) -> Planner:
    return Planner(Cluster(make.state(f"n{i}", cpu=str(cpu)) for i, cpu in enumerate(cpus)))


def gang(site: Planner, pods: list[PodInfo], group: Gang, placed: int = 0) -> list[Decision]:
    return together.decide(site, pods, group, [make.info(f"placed{i}") for i in range(placed)]).decisions


def test_all_of_them_or_none() -> None:
    site = planner(2, 1)
    decisions = gang(site, members(4), Gang(GANG, 4))
    assert all(isinstance(decision, Unschedulable) for decision in decisions)
    assert len(decisions) == 4
    assert not site.cluster.pods, "what was tried is undone"
    last = decisions[-1]
    assert isinstance(last, Unschedulable)
    assert last.cause == "0/2 nodes are available: 2 Insufficient cpu."
    assert last.missing.endswith("The pods of group g are placed together or not at all, 4 at least; 3 would fit, m3 would not.")
    assert all(isinstance(decision, Bind) for decision in gang(site, members(3), Gang(GANG, 3)))


def test_more_than_the_least_go_when_they_can() -> None:
    site = planner(3)
    kinds = [type(decision) for decision in gang(site, members(4), Gang(GANG, 2))]
    assert kinds == [Bind, Bind, Bind, Unschedulable]


def test_those_that_have_a_node_count() -> None:
    site = planner(1)
    assert [type(decision) for decision in gang(site, members(1), Gang(GANG, 3), 2)] == [Bind]


def test_too_few_wait_for_the_others() -> None:
    (decision,) = gang(planner(4), members(1), Gang(GANG, 3), 1)
    assert isinstance(decision, Unschedulable)
    why = "pre-filter pod m0 cannot find enough sibling pods, current pods number: 2, minMember of group: 3"
    assert f"nodes are available: {why}." in decision.cause
    assert decision.missing == "Group g begins when it has 3 pods."
    assert "gang" in decision.filters


def test_that_another_pod_has_come_is_not_said_anew() -> None:
    (before,) = gang(planner(4), members(1), Gang(GANG, 9), 1)
    (after,) = gang(planner(4), members(1), Gang(GANG, 9), 2)
    (other,) = gang(planner(4), members(1), Gang(GANG, 8), 2)
    assert isinstance(before, Unschedulable)
    assert isinstance(after, Unschedulable)
    assert isinstance(other, Unschedulable)
    said = Said("Unschedulable", before.message)
    assert after.cause != before.cause
    assert is_told(said, Said("Unschedulable", after.message), after.cause)
    assert not is_told(said, Said("Unschedulable", other.message), other.cause)
    assert not is_told(said, Said("SchedulerError", after.message), after.cause)


def test_nobody_is_evicted_for_a_gang_that_may_not_fit() -> None:
    site = planner(1)
    site.decide(make.info("low", requests={"cpu": "1"}))
    high = [make.info(f"m{i}", priority=10, requests={"cpu": "1"}) for i in range(2)]
    decisions = gang(site, high, Gang(GANG, 2))
    assert all(isinstance(decision, Unschedulable) and decision.eviction is None for decision in decisions)
    assert not site.cluster.nominated


@given(st.lists(st.integers(1, 4), min_size=1, max_size=4), st.lists(st.tuples(st.integers(1, 6), st.integers(1, 6)), max_size=4))
@settings(max_examples=100, deadline=None)
def test_a_gang_has_enough_places_or_none(cpus: list[int], gangs: list[tuple[int, int]]) -> None:
    site = planner(*cpus)
    for number, (size, least) in enumerate(gangs):
        pods = [make.info(f"g{number}-{i}", requests={"cpu": "1"}) for i in range(size)]
        before = dict(site.cluster.pods)
        decisions = gang(site, pods, Gang(Key("default", f"g{number}"), least))
        bound = [decision.pod.uid for decision in decisions if isinstance(decision, Bind)]
        assert len(decisions) == size
        assert not bound or len(bound) >= least
        assert site.cluster.pods.keys() == before.keys() | set(bound)
    for node in site.cluster.nodes.values():
        assert sum(pod.requests["cpu"] for pod in node.pods.values()) == node.used.get("cpu", 0) <= node.allocatable["cpu"]


def test_a_huge_gang_that_does_not_fit_leaves_the_others_their_room() -> None:
    site = planner(*[4] * 10)
    huge = [make.info(f"h{i}", requests={"cpu": "1"}) for i in range(200)]
    assert not any(isinstance(decision, Bind) for decision in gang(site, huge, Gang(GANG, 200)))
    for i in range(40):
        assert isinstance(site.decide(make.info(f"small{i}", requests={"cpu": "1"})), Bind)


def spread_out(**nodes: tuple[str, int]) -> Planner:
    """Nodes by name, each in a zone and with so many cores."""
    return Planner(Cluster(make.state(name, cpu=str(cpu), labels={"zone": zone}) for name, (zone, cpu) in nodes.items()))


def native(least: int, **fields: Any) -> Gang:
    return Gang(GANG, least, native=True, uid="uid-g", **fields)


def test_a_gang_goes_into_one_domain_where_most_of_it_fits() -> None:
    site = spread_out(a1=("a", 2), a2=("a", 1), b1=("b", 2), b2=("b", 2))
    found = together.decide(site, members(4), native(3, topology="zone"))
    assert {decision.node for decision in found.decisions if isinstance(decision, Bind)} == {"b1", "b2"}
    assert found.verdict == (True, "Scheduled", "")


def test_of_equal_domains_the_fuller_is_taken() -> None:
    site = spread_out(a1=("a", 8), b1=("b", 8), c1=("c", 8))
    site.cluster.add_pod(make.info("there", requests={"cpu": "4"}, nodeName="b1"))
    found = together.decide(site, members(3), native(3, topology="zone"))
    assert {decision.node for decision in found.decisions if isinstance(decision, Bind)} == {"b1"}


def test_no_domain_is_large_enough() -> None:
    site = spread_out(a1=("a", 2), a2=("a", 1), b1=("b", 3), none=("c", 0))
    found = together.decide(site, members(4), native(4, topology="zone"))
    assert not site.cluster.pods
    assert found.verdict is not None
    assert found.verdict.message.startswith(
        "0/3 placements are available, first placement status: pod group is unschedulable, workload aware"
    )
    last = found.decisions[-1]
    assert isinstance(last, Unschedulable)
    assert last.cause.startswith(
        "0/2 nodes are available: 2 Insufficient cpu. no new claims to deallocate, preemption: not eligible due to"
    )


def test_those_that_have_a_node_hold_the_others_in_their_domain() -> None:
    site = spread_out(a1=("a", 1), b1=("b", 9))
    there = make.info("there", nodeName="a1")
    site.cluster.add_pod(there)
    found = together.decide(site, members(2), native(1, topology="zone"), [there])
    assert [getattr(decision, "node", None) for decision in found.decisions] == ["a1", None]


def test_a_label_that_no_node_has() -> None:
    found = together.decide(spread_out(a1=("a", 9)), members(2), native(2, topology="rack"))
    assert found.verdict is not None
    assert found.verdict.message.startswith("0/0 placements")
    assert isinstance(found.decisions[0], Unschedulable)
    assert "no node has the label rack that the group is to be placed by" in found.decisions[0].cause


def low(name: str, node: str, cpu: str = "1", **fields: Any) -> PodInfo:
    return make.info(name, requests={"cpu": cpu}, nodeName=node, **fields)


def test_a_gang_evicts_as_few_as_it_needs() -> None:
    site = planner(2, 2)
    there = [low("a", "n0"), low("b", "n0"), low("c", "n1", priority=5), low("d", "n1")]
    for pod in there:
        site.cluster.add_pod(pod)
    found = together.decide(site, members(2), native(2, priority=10), (), None, lambda: [Unit((p,), p.priority) for p in there])
    assert len(found.victims) == 2
    assert "uid-c" not in {victim.uid for victim in found.victims}, "the most important is spared"
    assert set(site.cluster.pods) == {pod.uid for pod in there}, "nobody is gone yet"
    for victim in found.victims:
        site.cluster.remove_pod(victim.uid)
    again = together.decide(site, members(2), native(2, priority=10))
    assert all(isinstance(decision, Bind) for decision in again.decisions)


def test_a_gang_that_is_evicted_as_a_whole_goes_whole_or_stays() -> None:
    site = planner(1, 1, 1)
    gang_there = [low(f"v{i}", f"n{i}", priority=5) for i in range(2)]
    single = low("s", "n2", priority=1)
    for pod in (*gang_there, single):
        site.cluster.add_pod(pod)
    units = [Unit(tuple(gang_there), 5, grouped=True), Unit((single,), 1)]
    found = together.decide(site, members(1), native(1, priority=10), (), None, lambda: units)
    assert [victim.uid for victim in found.victims] == ["uid-s"]
    found = together.decide(site, members(2), native(2, priority=10), (), None, lambda: units)
    assert {victim.uid for victim in found.victims} == {"uid-v0", "uid-v1"}, "with both of them gone, the other may stay"


@pytest.mark.parametrize(
    ("priority", "never", "want"), [(5, False, "No preemption victims"), (10, True, "not eligible due to preemptionPolicy=Never.")]
)
def test_who_may_not_evict(priority: int, never: bool, want: str) -> None:
    site = planner(1)
    there = low("a", "n0", priority=5)
    site.cluster.add_pod(there)
    pods = [make.info("m", requests={"cpu": "1"}, **({"preemptionPolicy": "Never"} if never else {}))]
    found = together.decide(site, pods, native(1, priority=priority), (), None, lambda: [Unit((there,), 5)])
    assert not found.victims
    assert found.verdict is not None
    assert want in found.verdict.message


def test_a_group_of_any_number_takes_what_there_is() -> None:
    site = planner(2)
    found = together.decide(site, members(3), native(0))
    assert [type(decision) for decision in found.decisions] == [Bind, Bind, Unschedulable]
    assert found.verdict == (True, "Scheduled", "")


@st.composite
def problems(draw: st.DrawFn) -> tuple[list[tuple[str, int]], list[int], int]:
    nodes = draw(st.lists(st.tuples(st.sampled_from("abc"), st.integers(1, 4)), min_size=1, max_size=4))
    sizes = draw(st.lists(st.integers(1, 3), min_size=1, max_size=4))
    return nodes, sizes, draw(st.integers(1, 5))


def brute_force(nodes: list[tuple[str, int]], sizes: list[int], least: int) -> bool:
    """Could `least` of the pods stand on these nodes at once?"""
    for places in itertools.product([None, *range(len(nodes))], repeat=len(sizes)):
        used = Counter[int]()
        for place, size in zip(places, sizes, strict=True):
            if place is not None:
                used[place] += size
        if sum(place is not None for place in places) >= least and all(used[i] <= cpu for i, (_, cpu) in enumerate(nodes)):
            return True
    return False


@given(problems(), st.booleans(), st.randoms(use_true_random=False))
@settings(max_examples=150, deadline=None)
def test_small_gangs_against_trying_everything(problem: tuple[list[tuple[str, int]], list[int], int], zoned: bool, random: Any) -> None:
    nodes, sizes, least = problem
    pods = [make.info(f"m{i}", requests={"cpu": str(size)}) for i, size in enumerate(sizes)]
    outcomes = []
    for _ in range(2):
        site = Planner(Cluster(make.state(f"n{i}", cpu=str(cpu), labels={"zone": zone}) for i, (zone, cpu) in enumerate(nodes)))
        random.shuffle(pods)
        found = together.decide(site, pods, native(least, topology="zone" if zoned else ""))
        outcomes.append({d.pod.key.name: d.node for d in found.decisions if isinstance(d, Bind)})
        for node in site.cluster.nodes.values():
            assert node.used.get("cpu", 0) <= node.allocatable["cpu"]
        assert len(site.cluster.pods) == len(outcomes[-1])
    assert outcomes[0] == outcomes[1], "the order in which pods come does not matter"
    bound = outcomes[0]
    assert not bound or len(bound) >= least
    zones = {nodes[int(node[1:])][0] for node in bound.values()}
    assert not zoned or len(zones) <= 1
    if len(sizes) < least:
        assert not bound
        return
    parts = [[n for n in nodes if n[0] == zone] for zone in {zone for zone, _ in nodes}] if zoned else [nodes]
    if bound:
        assert any(brute_force(part, sizes, least) for part in parts)
    elif len(set(sizes)) == 1:
        # Pods are placed one after another, as upstream does: of pods that are alike, that finds a place whenever there is one.
        assert not any(brute_force(part, sizes, least) for part in parts)
