"""Why not, in words that fit into one event, however many nodes there are."""

from lightship.scheduler import reading
from lightship.scheduler.cluster import Cluster
from lightship.scheduler.plan import Planner, Unschedulable
from lightship.scheduler.snapshot import NodeState
from tests.scheduler import make

SHAPE = "lightship.dev/node-shape"
MOST = 1024
"""Characters of an event's message."""


def said(nodes: list[NodeState], **pod: object) -> Unschedulable:
    decision = Planner(Cluster(nodes)).decide(make.info("p", **pod))
    assert isinstance(decision, Unschedulable)
    return decision


def test_the_reasons_of_every_group_at_five_thousand_nodes() -> None:
    taints = [{"key": "gpu", "value": "true", "effect": "NoSchedule"}]
    nodes = [make.state(f"cpu-{i}", labels={SHAPE: "cpu"}) for i in range(3000)]
    nodes += [make.state(f"a100-{i}", labels={SHAPE: "a100"}, taints=taints, extended={"nvidia.com/gpu": "8"}) for i in range(1500)]
    nodes += [make.state(f"old-{i}", labels={SHAPE: "old"}, unschedulable=i % 2 == 0) for i in range(500)]
    found = said(nodes, requests={"nvidia.com/gpu": "1"})
    reasons = "1500 node(s) had untolerated taint(s), 250 node(s) were unschedulable, 3250 Insufficient nvidia.com/gpu."
    assert found.cause.startswith(f"0/5000 nodes are available: {reasons}")
    groups = (
        "By node group: cpu (3000): Insufficient nvidia.com/gpu; a100 (1500): node(s) had untolerated taint(s); "
        "old (500): 250 Insufficient nvidia.com/gpu, 250 node(s) were unschedulable."
    )
    assert found.message.endswith(groups)
    assert len(found.message) < MOST


def test_many_groups_and_long_names_stay_short() -> None:
    nodes = [make.state(f"n{i}-{j}", labels={SHAPE: f"{'x' * 50}-{i}"}) for i in range(60) for j in range(3)]
    found = said(nodes, requests={"cpu": "64"})
    assert "56 more groups (168)." in found.message
    assert len(found.message) < MOST


def test_nodes_without_a_name_for_their_kind_are_told_apart_by_what_they_have() -> None:
    nodes = [make.state(f"s{i}", cpu="2") for i in range(8)] + [make.state(f"b{i}", cpu="8", memory="64Gi") for i in range(4)]
    found = said(nodes, nodeSelector={"disk": "ssd"})
    kind = "node(s) didn't match Pod's node affinity/selector"
    assert found.message.endswith(f"By node group: 2 cpu 8Gi memory (8): {kind}; 8 cpu 64Gi memory (4): {kind}.")


def test_nodes_that_do_not_say_what_they_have_take_no_pods() -> None:
    empty = [reading.node_state({"metadata": {"name": f"n{i}"}, "status": {}}) for i in range(2)]
    assert said(empty).cause.startswith("0/2 nodes are available: 2 Too many pods.")
    assert said(empty, requests={"cpu": "1"}).cause.startswith("0/2 nodes are available: 2 Insufficient cpu, 2 Too many pods.")


def test_one_group_says_nothing_more() -> None:
    assert "By node group" not in said([make.state(f"n{i}") for i in range(20)], requests={"cpu": "64"}).message
