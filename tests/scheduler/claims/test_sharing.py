"""Pods of one plan whose claims ask for the same: nodes are not asked anew for each, and nothing is given away twice."""

from random import Random

import pytest

from lightship.meta.objects import Key, Obj
from lightship.scheduler import together
from lightship.scheduler.claims.desk import Desk, Facts
from lightship.scheduler.claims.devices import Slice
from lightship.scheduler.claims.pools import Inventory
from lightship.scheduler.claims.taken import Taken
from lightship.scheduler.claims.wants import PodClaims
from lightship.scheduler.cluster import Cluster
from lightship.scheduler.plan import Bind, Decision, Planner, Unschedulable
from lightship.scheduler.snapshot import Gang, PodInfo
from tests.scheduler import make

DRIVER = "gpu.example.com"
CLASSES: dict[str, Obj] = {"gpu": {"spec": {"selectors": [{"cel": {"expression": f'device.driver == "{DRIVER}"'}}]}}}


def slices(**devices: int) -> list[Slice]:
    """So many devices on each node, by its name."""
    found = []
    for node, count in devices.items():
        pool = {"name": node, "generation": 1, "resourceSliceCount": 1}
        spec = {"driver": DRIVER, "nodeName": node, "pool": pool, "devices": [{"name": f"gpu-{i}"} for i in range(count)]}
        found.append(Slice({"metadata": {"name": node, "uid": node}, "spec": spec}))
    return found


def pods_with_claims(counts: list[int]) -> tuple[list[PodInfo], dict[str, PodClaims]]:
    """A pod for each, with a claim for so many devices."""
    infos, known = [], dict[str, PodClaims]()
    for i, count in enumerate(counts):
        exact = {"deviceClassName": "gpu", "allocationMode": "ExactCount", "count": count}
        spec = {"devices": {"requests": [{"name": "some", "exactly": exact}]}}
        claim = {"metadata": {"name": f"c{i}", "namespace": "default", "uid": f"c{i}"}, "spec": spec}
        pod = make.pod(f"p{i}", requests={"cpu": "1"}, resourceClaims=[{"name": "x", "resourceClaimName": f"c{i}"}])
        known[f"uid-p{i}"] = PodClaims(pod, (claim,))
        infos.append(make.info(f"p{i}", requests={"cpu": "1"}, resourceClaims=[{"name": "x", "resourceClaimName": f"c{i}"}]))
    return infos, known


def given(decisions: list[Decision]) -> list[tuple[str, str]]:
    """(node, device) of all that was granted."""
    found = []
    for decision in decisions:
        if isinstance(decision, Bind) and decision.grant is not None:
            for portion in decision.grant.portions:
                assert portion.allocation is not None
                found += [(result["pool"], result["device"]) for result in portion.allocation["devices"]["results"]]
                assert all(result["pool"] == decision.node for result in portion.allocation["devices"]["results"])
    return found


def test_every_device_goes_once_and_the_last_pod_is_told() -> None:
    infos, known = pods_with_claims([1] * 7)
    desk = Desk(Facts(CLASSES, {}, Inventory(slices(n0=2, n1=1, n2=3)), Taken(), 0.0), known)
    planner = Planner(Cluster(make.state(f"n{i}", cpu="9") for i in range(4)))
    decisions = [planner.decide(info, desk.open(info)) for info in infos]
    assert len(set(given(decisions))) == 6
    last = decisions[-1]
    assert isinstance(last, Unschedulable)
    assert last.cause.startswith("0/4 nodes are available: 4 cannot allocate all claims.")


@pytest.mark.parametrize("seed", range(20))
def test_it_is_as_if_each_was_asked_for_alone(seed: int) -> None:
    rng = Random(seed)
    counts = [rng.randint(1, 3) for _ in range(12)]
    sizes = {f"n{i}": rng.randint(0, 6) for i in range(5)}
    cores = {name: rng.randint(1, 4) for name in sizes}
    outcomes = []
    for anew in (False, True):
        infos, known = pods_with_claims(counts)
        desk = Desk(Facts(CLASSES, {}, Inventory(slices(**sizes)), Taken(), 0.0), known)
        planner = Planner(Cluster(make.state(name, cpu=str(cpu)) for name, cpu in cores.items()))
        decisions: list[Decision] = []
        for info in infos:
            case = desk.open(info)
            assert case is not None
            if anew:
                case.kind = None
            decisions.append(planner.decide(info, case))
        assert len(given(decisions)) == len(set(given(decisions)))
        outcomes.append([decision.node if isinstance(decision, Bind) else getattr(decision, "message", "") for decision in decisions])
    assert outcomes[0] == outcomes[1]


def test_a_gang_that_does_not_get_its_devices_leaves_them_to_others() -> None:
    infos, known = pods_with_claims([1] * 6)
    desk = Desk(Facts(CLASSES, {}, Inventory(slices(n0=2, n1=1)), Taken(), 0.0), known)
    planner = Planner(Cluster(make.state(f"n{i}", cpu="9") for i in range(2)))
    mark = desk.mark()
    found = together.decide(planner, infos[:4], Gang(Key("default", "g"), 4, native=True), (), desk)
    assert found.verdict is not None
    assert not found.verdict.scheduled
    desk.rewind(mark)
    decisions = [planner.decide(info, desk.open(info)) for info in infos[4:]]
    assert len(given(decisions)) == 2
