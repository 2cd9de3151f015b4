"""Pods that are placed together or not at all."""

from hypothesis import given, settings
from hypothesis import strategies as st

from lightship.meta.objects import Key
from lightship.scheduler.cluster import Cluster
from lightship.scheduler.plan import Bind, Planner, Unschedulable
from lightship.scheduler.snapshot import Gang, PodInfo
from tests.scheduler import make

GANG = Key("default", "g")


def members(count: int, cpu: str = "1") -> list[PodInfo]:
    return [make.info(f"m{i}", requests={"cpu": cpu}) for i in range(count)]


def planner(*cpus: int) -> Planner:
    return Planner(Cluster(make.state(f"n{i}", cpu=str(cpu)) for i, cpu in enumerate(cpus)))


def test_all_of_them_or_none() -> None:
    site = planner(2, 1)
    decisions = site.decide_gang(members(4), Gang(GANG, 4), 0)
    assert all(isinstance(decision, Unschedulable) for decision in decisions)
    assert len(decisions) == 4
    assert not site.cluster.pods, "what was tried is undone"
    last = decisions[-1]
    assert isinstance(last, Unschedulable)
    assert last.cause == "0/2 nodes are available: 2 Insufficient cpu."
    assert last.missing.endswith("The pods of group g are placed together or not at all, 4 at least; 3 would fit, m3 would not.")
    assert all(isinstance(decision, Bind) for decision in site.decide_gang(members(3), Gang(GANG, 3), 0))


def test_more_than_the_least_go_when_they_can() -> None:
    site = planner(3)
    kinds = [type(decision) for decision in site.decide_gang(members(4), Gang(GANG, 2), 0)]
    assert kinds == [Bind, Bind, Bind, Unschedulable]


def test_those_that_have_a_node_count() -> None:
    site = planner(1)
    assert [type(decision) for decision in site.decide_gang(members(1), Gang(GANG, 3), 2)] == [Bind]


def test_too_few_wait_for_the_others() -> None:
    (decision,) = planner(4).decide_gang(members(1), Gang(GANG, 3), 1)
    assert isinstance(decision, Unschedulable)
    assert "cannot find enough sibling pods, current pods number: 2, minMember of group: 3" in decision.cause
    assert "gang" in decision.filters


def test_nobody_is_evicted_for_a_gang_that_may_not_fit() -> None:
    site = planner(1)
    site.decide(make.info("low", requests={"cpu": "1"}))
    high = [make.info(f"m{i}", priority=10, requests={"cpu": "1"}) for i in range(2)]
    decisions = site.decide_gang(high, Gang(GANG, 2), 0)
    assert all(isinstance(decision, Unschedulable) and decision.eviction is None for decision in decisions)
    assert not site.cluster.nominated


@given(st.lists(st.integers(1, 4), min_size=1, max_size=4), st.lists(st.tuples(st.integers(1, 6), st.integers(1, 6)), max_size=4))
@settings(max_examples=100, deadline=None)
def test_a_gang_has_enough_places_or_none(cpus: list[int], gangs: list[tuple[int, int]]) -> None:
    site = planner(*cpus)
    for number, (size, least) in enumerate(gangs):
        pods = [make.info(f"g{number}-{i}", requests={"cpu": "1"}) for i in range(size)]
        before = dict(site.cluster.pods)
        decisions = site.decide_gang(pods, Gang(Key("default", f"g{number}"), least), 0)
        bound = [decision.pod.uid for decision in decisions if isinstance(decision, Bind)]
        assert len(decisions) == size
        assert not bound or len(bound) >= least
        assert site.cluster.pods.keys() == before.keys() | set(bound)
    for node in site.cluster.nodes.values():
        assert sum(pod.requests["cpu"] for pod in node.pods.values()) == node.used.get("cpu", 0) <= node.allocatable["cpu"]


def test_a_huge_gang_that_does_not_fit_leaves_the_others_their_room() -> None:
    site = planner(*[4] * 10)
    huge = [make.info(f"h{i}", requests={"cpu": "1"}) for i in range(200)]
    assert not any(isinstance(decision, Bind) for decision in site.decide_gang(huge, Gang(GANG, 200), 0))
    for i in range(40):
        assert isinstance(site.decide(make.info(f"small{i}", requests={"cpu": "1"})), Bind)
