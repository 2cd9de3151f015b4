"""Scheduler configurations: what is understood, what is refused, and what becomes of it."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from lightship.scheduler import profiles
from lightship.scheduler.cluster import Cluster
from lightship.scheduler.plan import Bind, Planner
from lightship.scheduler.profiles import API_VERSION, KIND, ConfigurationError
from lightship.scheduler.scores import Weights
from tests.scheduler import make

SHAPE = [{"utilization": 0, "score": 0}, {"utilization": 50, "score": 10}, {"utilization": 100, "score": 0}]


def configuration(*given: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"apiVersion": API_VERSION, "kind": KIND, "profiles": list(given), **more}


def fit(kind: str, **strategy: Any) -> dict[str, Any]:
    return {"name": "NodeResourcesFit", "args": {"scoringStrategy": {"type": kind, **strategy}}}


def packing(name: str = "default-scheduler", kind: str = "MostAllocated", **strategy: Any) -> dict[str, Any]:
    disabled = {"score": {"disabled": [{"name": "NodeResourcesBalancedAllocation"}]}}
    return {"schedulerName": name, "pluginConfig": [fit(kind, **strategy)], "plugins": disabled}


def placed(planner: Planner, count: int, **fields: Any) -> list[str]:
    decisions = [planner.decide(make.info(f"p{i}", **fields)) for i in range(count)]
    return [decision.node for decision in decisions if isinstance(decision, Bind)]


def planner(*given: dict[str, Any], nodes: int = 3, **fields: Any) -> Planner:
    return Planner(Cluster(make.state(f"n{i}", **fields) for i in range(nodes)), (), profiles.read(configuration(*given)))


def test_without_a_word_pods_are_spread_and_with_one_they_are_packed() -> None:
    assert placed(planner({}), 3, requests={"cpu": "1"}) == ["n0", "n1", "n2"]
    assert placed(planner(packing()), 5, requests={"cpu": "1"}) == ["n0", "n0", "n0", "n0", "n1"]


def test_a_curve_fills_nodes_to_the_half_before_it_begins_another() -> None:
    curve = packing(kind="RequestedToCapacityRatio", resources=[{"name": "cpu"}], requestedToCapacityRatio={"shape": SHAPE})
    assert placed(planner(curve), 4, requests={"cpu": "1"}) == ["n0", "n0", "n1", "n1"]


def test_packing_by_a_resource_of_ones_own() -> None:
    site = planner(packing(resources=[{"name": "nvidia.com/gpu", "weight": 5}]), extended={"nvidia.com/gpu": "4"})
    assert placed(site, 5, requests={"nvidia.com/gpu": "1"}) == ["n0"] * 4 + ["n1"]


def test_every_scheduler_name_has_its_own_ways() -> None:
    site = planner({}, packing("packer"))
    assert placed(site, 2, requests={"cpu": "1"}, schedulerName="packer") == ["n0", "n0"]
    assert placed(site, 2, requests={"cpu": "1"}) == ["n1", "n2"]


def test_cheap_nodes_first() -> None:
    given = {"plugins": {"score": {"disabled": [{"name": "*"}], "enabled": [{"name": "NodePrice", "weight": 3}]}}}
    prices = {"n0": "8.5", "n1": "0.4", "n2": "not much", "n3": "2"}
    nodes = [make.state(name, labels={"lightship.dev/price-per-hour": price}, cpu="1") for name, price in prices.items()]
    site = Planner(Cluster(nodes), (), profiles.read(configuration(given)))
    assert placed(site, 4, requests={"cpu": "1"}) == ["n1", "n3", "n0", "n2"]


def test_a_price_that_changes_is_minded() -> None:
    given = {"plugins": {"score": {"enabled": [{"name": "NodePrice", "weight": 9}]}}}
    label = "lightship.dev/price-per-hour"
    site = Planner(
        Cluster([make.state("a", labels={label: "1"}), make.state("b", labels={label: "2"})]), (), profiles.read(configuration(given))
    )
    assert placed(site, 1) == ["a"]
    site.cluster.set_node(make.state("b", labels={label: "0.1"}))
    assert isinstance(decision := site.decide(make.info("next")), Bind)
    assert decision.node == "b"


@pytest.mark.parametrize(
    ("document", "want"),
    [
        ({"apiVersion": "v1", "kind": "Pod"}, "this is v1 Pod; kubescheduler.config.k8s.io/v1 KubeSchedulerConfiguration was expected"),
        (configuration(extenders=[{}]), "extenders: not understood"),
        (configuration({}, {}), 'profiles[1].schedulerName: "default-scheduler" has a profile already'),
        (configuration({"plugins": {"filter": {"disabled": [{"name": "*"}]}}}), "profiles[0].plugins.filter: only scorers can be chosen"),
        (configuration({"plugins": {"score": {"enabled": [{"name": "Nope"}]}}}), "there is no scorer 'Nope'"),
        (configuration({"plugins": {"multiPoint": {"disabled": [{"name": "TaintToleration"}]}}}), "TaintToleration does more than score"),
        (configuration({"plugins": {"score": {"enabled": [{"name": "NodePrice", "weight": -1}]}}}), "a weight must be a positive number"),
        (configuration({"pluginConfig": [fit("Best")]}), "scoringStrategy.type: 'Best' is none of"),
        (configuration({"pluginConfig": [fit("RequestedToCapacityRatio")]}), "shape: at least one point is needed"),
        (configuration({"pluginConfig": [fit("MostAllocated", resources=[{"name": "cpu", "weight": 900}])]}), "a weight from 1 to 100"),
        (configuration({"pluginConfig": [{"name": "InterPodAffinity", "args": {}}]}), "there are no arguments for 'InterPodAffinity'"),
    ],
)
def test_what_is_not_understood_is_refused(document: dict[str, Any], want: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        profiles.read(document)
    assert want in str(refused.value)


def test_what_only_concerns_how_kube_scheduler_runs_is_left_alone() -> None:
    read = profiles.read(configuration({}, leaderElection={"leaderElect": False}, parallelism=4, clientConnection={"qps": 5000}))
    assert read.keys() == {"default-scheduler"}
    assert read["default-scheduler"].weights == Weights()


def test_the_example_is_understood() -> None:
    document = yaml.safe_load((Path(__file__).parents[2] / "examples" / "bin-packing.yaml").read_text())
    read = profiles.read(document)
    assert [len(profile.scorers) for profile in read.values()] == [2, 2]
