"""Shapes and fleets: which nodes there should be against those that there are. Pure."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from lightship.emulation import api, cli, fleet, shapes
from lightship.emulation.addresses import Pool
from lightship.emulation.shapes import Gpus, Shape, ShapeError
from lightship.meta import objects
from lightship.meta.objects import Obj

EXAMPLE = Path(__file__).parents[2] / "examples" / "emulation" / "shapes.yaml"
SHAPE = Shape(name="s", count=3, zones=["a", "b"], gpus=Gpus(type="H100", count=8), price_per_hour=2.5)


def made(shape: Shape, count: int, live: list[Obj], *, tainted: bool = False) -> fleet.Plan:
    return fleet.plan(live, [shape], {shape.name: count}, 0.0, tainted=tainted)


def test_nodes_of_the_example() -> None:
    found = shapes.read(yaml.safe_load(EXAMPLE.read_text()))
    decided = fleet.plan([], found, shapes.shared(found, None), 0.0, tainted=False)
    assert len(decided.create) == 12
    assert len({objects.spec(node)["podCIDR"] for node in decided.create}) == 12
    assert {objects.labels(node)["topology.kubernetes.io/zone"] for node in decided.create} == {"rack-1", "rack-2"}
    first = decided.create[0]
    assert objects.status(first)["capacity"]["nvidia.com/gpu"] == "8"
    assert objects.status(first)["allocatable"]["cpu"] == "96"
    rows = {(group.shape, group.zone): group for group in cli.count(decided.create, [])}
    assert rows["gpu", "rack-1"].row() == ["gpu", "rack-1", "4", "4", "0", "0/384", "0Gi/4608Gi", "0/32", "157.20"]


def test_a_fleet_grows_shrinks_and_changes_as_little_as_it_must() -> None:
    first = made(SHAPE, 3, []).create
    assert [objects.name(node) for node in first] == ["s-00000", "s-00001", "s-00002"]
    assert made(SHAPE, 3, first) == fleet.Plan([], [], [])
    assert made(SHAPE, 1, first).delete == ["s-00001", "s-00002"]
    grown = made(SHAPE, 4, first[1:])
    assert [objects.name(node) for node in grown.create] == ["s-00000", "s-00003"]
    assert {objects.spec(node)["podCIDR"] for node in grown.create}.isdisjoint(objects.spec(node)["podCIDR"] for node in first[1:])
    (node, change), *_ = made(SHAPE, 3, first, tainted=True).change
    assert change == {"spec": {"taints": [api.TAINT]}}
    cordoned = {**node, "spec": {**node["spec"], "taints": [{"key": "mine", "effect": "NoExecute"}, api.TAINT]}}
    (_, change), *_ = made(SHAPE, 1, [cordoned]).change
    assert change == {"spec": {"taints": [{"key": "mine", "effect": "NoExecute"}]}}
    other = Shape(name="s", count=3, zones=["a", "b"], gpus=Gpus(type="H100", count=4), price_per_hour=2.5)
    (_, change), *_ = made(other, 3, first).change
    assert change["status"]["capacity"]["nvidia.com/gpu"] == "4"


def test_what_others_made_is_left_alone_and_shapes_can_be_read_back() -> None:
    stranger: Obj = {"metadata": {"name": "x-1", "annotations": {api.FAKE: "fake"}}}
    nodes = made(SHAPE, 2, []).create
    assert made(Shape(name="t"), 0, [stranger, *nodes]).delete == ["s-00000", "s-00001"]
    again = shapes.of_nodes("s", nodes)
    assert fleet.plan(nodes, [again], {"s": 2}, 0.0, tainted=False) == fleet.Plan([], [], [])
    assert fleet.plan(nodes, [again], {"s": 3}, 0.0, tainted=False).create[0]["metadata"]["labels"]["topology.kubernetes.io/zone"] == "a"


def test_counts_are_shares_of_a_number() -> None:
    found = [Shape(name="a", count=1), Shape(name="b", count=2)]
    assert shapes.shared(found, None) == {"a": 1, "b": 2}
    assert shapes.shared(found, 100) == {"a": 33, "b": 67}
    assert shapes.shared([shapes.DEFAULT], 7) == {"emulated": 7}


@pytest.mark.parametrize(
    ("items", "words"),
    [
        ([{"name": "A b"}], "a-z"),
        ([{"name": "a", "count": -1}], "count"),
        ([{"name": "a", "capacity": {"cpu": "much"}}], "capacity.cpu"),
        ([{"name": "a", "color": "red"}], "color"),
        ([{"name": "a", "capacity": {"cpu": -2}}], "capacity.cpu must be 0 or more, not -2"),
        ([{"name": "a", "gpus": {"type": "h100", "count": -1}}], "gpus.count"),
        ([{"name": "a", "gpus": {"type": "NVIDIA H100", "count": 1}}], '"NVIDIA H100"'),
        ([{"name": "a", "pricePerHour": -3}], "pricePerHour"),
        ([{"name": "a", "labels": {"bad key!": "x"}}], 'labels: "bad key!": name part'),
        ([{"name": "a", "zones": ["-a"]}], 'label topology.kubernetes.io/zone: "-a"'),
        ([{"name": "a", "taints": [{"key": "a", "effect": "Never"}]}], 'not "Never"'),
        ([{"name": "a"}, {"name": "a"}], "a name of its own"),
        ([], "no shape"),
    ],
)
def test_shapes_that_cannot_be_used_say_why(items: Any, words: str) -> None:
    with pytest.raises(ShapeError) as caught:
        shapes.read({"apiVersion": shapes.API_VERSION, "kind": shapes.KIND, "items": items})
    assert words in str(caught.value)


def test_addresses_are_different_and_come_back() -> None:
    pool = Pool("10.1.2.0/30")
    assert [pool.take() for _ in range(4)] == ["10.1.2.1", "10.1.2.2", "10.1.2.3", "10.1.2.4"]
    pool.give_back("10.1.2.2")
    assert pool.take() == "10.1.2.2"
    other = Pool("fd00::/64")
    other.mark("fd00::1")
    assert other.take() == "fd00::2"
