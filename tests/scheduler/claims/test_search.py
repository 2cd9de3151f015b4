"""The allocator: upstream's answers as data, and its promises as properties.

`cases.jsonl` holds the inputs of the allocator tests of k8s.io/dynamic-resource-allocation 0.36 and random problems (`problems.py`), all
answered by upstream's allocator: see oracle/core/drajudge.
"""

import json
from collections import Counter, defaultdict
from decimal import Decimal
from pathlib import Path
from random import Random
from typing import Any

import pytest

from lightship.meta import quantity
from lightship.scheduler.claims import asks, results
from lightship.scheduler.claims.asks import AllocationError
from lightship.scheduler.claims.devices import DeviceId, Slice
from lightship.scheduler.claims.pools import Inventory
from lightship.scheduler.claims.search import EFFORT_OF_POD, Effort, NodeError, Search
from lightship.scheduler.claims.taken import Taken
from lightship.scheduler.snapshot import NodeState
from tests.scheduler.claims import problems

Obj = dict[str, Any]
CASES = [json.loads(line) for line in (Path(__file__).parent / "cases.jsonl").read_text().splitlines()]


def taken(problem: Obj) -> Taken:
    found = Taken()
    results: list[Obj] = [_result(id) for id in problem.get("devices") or ()]
    shared, amounts = problem.get("shared") or [], problem.get("capacity") or {}
    results += [{**_result(id), "shareID": "s"} for id in shared if "/".join(id.split("/")[:3]) not in amounts]
    results += [{**_result(id), "shareID": "s", "consumedCapacity": used} for id, used in amounts.items()]
    found.add({"devices": {"results": results}})
    return found


def _result(id: str) -> Obj:
    driver, pool, device = id.split("/")[:3]
    return {"driver": driver, "pool": pool, "device": device}


def solve(problem: Obj, effort: int = EFFORT_OF_POD) -> tuple[list[Obj] | None, str]:
    """(allocations, error) of a problem."""
    meta = problem["node"]["metadata"]
    node = NodeState(name=meta["name"], labels=meta.get("labels") or {})
    classes = {found["metadata"]["name"]: found for found in problem.get("classes") or ()}
    inventory = Inventory(Slice(raw) for raw in problem.get("slices") or ())
    try:
        wanted = [asks.wanted(claim) for claim in problem.get("claims") or ()]
        chosen = Search(node.name, inventory.pools(node), wanted, classes, taken(problem), Effort(effort)).run()
    except (AllocationError, NodeError) as error:
        return None, str(error)
    if chosen is None:
        return None, ""
    return [results.allocation(one, found, classes, node.name) for one, found in zip(wanted, chosen, strict=True)], ""


@pytest.mark.parametrize("case", CASES, ids=[case["name"] for case in CASES])
def test_the_answer_is_upstreams(case: Obj) -> None:
    found, error = solve(case)
    assert error == case.get("error", "")
    assert (found or None) == (case.get("results") or None)


def _devices(problem: Obj) -> dict[tuple[str, str, str], Obj]:
    found: dict[tuple[str, str, str], Obj] = {}
    for slice in sorted(problem["slices"], key=lambda s: int(s["spec"]["pool"]["generation"])):
        for device in slice["spec"].get("devices") or ():
            found[slice["spec"]["driver"], slice["spec"]["pool"]["name"], device["name"]] = device
    return found


@pytest.mark.parametrize("seed", range(10_000, 10_300))
def test_no_device_is_given_twice_and_nothing_is_exceeded(seed: int) -> None:
    problem = problems.problem(Random(seed))
    again = json.loads(json.dumps(problem))
    found, _ = solve(problem)
    assert problem == again, "nothing that was handed in is changed"
    Random(seed).shuffle(again["slices"])
    assert solve(again)[0] == found, "the order of the slices makes no difference"
    if found is None:
        return
    devices, held, used = _devices(problem), taken(problem), Counter[tuple[str, str]]()
    for id, amounts in (problem.get("capacity") or {}).items():
        used.update({(id, name): quantity.parse(amount) for name, amount in amounts.items()})
    given: Counter[tuple[str, str, str]] = Counter()
    for result in (result for allocation in found for result in allocation["devices"]["results"]):
        key = (result["driver"], result["pool"], result["device"])
        if "shareID" not in result:
            assert result.get("adminAccess") or DeviceId(*key) not in held.devices
            given[key] += not result.get("adminAccess")
        used.update({("/".join(key), name): quantity.parse(amount) for name, amount in (result.get("consumedCapacity") or {}).items()})
    assert all(count == 1 for count in given.values() if count)
    for (id, name), amount in used.items():
        assert amount <= quantity.parse(devices[tuple(id.split("/"))]["capacity"][name]["value"])  # type: ignore[index]
    _check_counters(problem, devices, found, held)
    for claim, allocation in zip(problem["claims"], found, strict=True):
        _check_constraints(claim, allocation, devices)


def _check_counters(problem: Obj, devices: dict[tuple[str, str, str], Obj], found: list[Obj], held: Taken) -> None:
    left: dict[tuple[str, str, str, str], Decimal] = defaultdict(Decimal)
    for spec in (slice["spec"] for slice in problem["slices"] if slice["spec"].get("sharedCounters")):
        for shared in spec["sharedCounters"]:
            for name, counter in shared["counters"].items():
                left[spec["driver"], spec["pool"]["name"], shared["name"], name] = quantity.parse(counter["value"])
    before = {key for key in devices if held.is_used(DeviceId(*key))}
    now = {(r["driver"], r["pool"], r["device"]) for a in found for r in a["devices"]["results"]}
    touched = {key[:2] for key in now if devices[key].get("consumesCounters")}

    def subtract(keys: set[tuple[str, str, str]]) -> set[tuple[str, ...]]:
        """The pools of which something is exceeded."""
        for key in keys:
            for used in devices[key].get("consumesCounters") or ():
                for name, counter in used["counters"].items():
                    left[key[0], key[1], used["counterSet"], name] -= quantity.parse(counter["value"])
        return {key[:2] for key, amount in left.items() if amount < 0}

    exceeded = subtract(before)
    assert not touched & (subtract(now - before) - exceeded)


def _check_constraints(claim: Obj, allocation: Obj, devices: dict[tuple[str, str, str], Obj]) -> None:
    for constraint in claim["spec"]["devices"].get("constraints") or ():
        name = constraint.get("matchAttribute") or constraint["distinctAttribute"]
        values = []
        for result in allocation["devices"]["results"]:
            labels = {result["request"], result["request"].split("/")[0]}
            if constraint.get("requests") and not labels & set(constraint["requests"]):
                continue
            attributes = devices[result["driver"], result["pool"], result["device"]]["attributes"]
            domain, own = name.split("/")
            values.append(json.dumps(attributes.get(name) or (attributes.get(own) if domain == result["driver"] else None)))
        if values:
            assert "null" not in values
            assert len(set(values)) == (1 if constraint.get("matchAttribute") else len(values))


def test_a_search_that_leads_nowhere_ends() -> None:
    """Thirty equal devices and three requests that together want one more: each alone could be met."""
    devices = [{"name": f"d{i:02}", "attributes": {"n": {"int": i % 2}}} for i in range(30)]
    pool = {"name": "p", "generation": 1, "resourceSliceCount": 1}
    slice = {"metadata": {"name": "s"}, "spec": {"driver": "a.example.com", "nodeName": "n", "pool": pool, "devices": devices}}
    exact = {"deviceClassName": "any", "allocationMode": "ExactCount", "count": 10}
    requests = [{"name": f"r{i}", "exactly": {**exact, "count": 10 + (i == 2)}} for i in range(3)]
    problem = {
        "claims": [{"metadata": {"name": "c"}, "spec": {"devices": {"requests": requests}}}],
        "classes": [{"metadata": {"name": "any"}, "spec": {}}],
        "slices": [slice],
        "node": {"metadata": {"name": "n"}},
    }
    assert solve(problem, 2_000) == (None, "node n: timed out trying to allocate devices")


def test_distinct_means_all_devices_also_of_one_request() -> None:
    devices = [{"name": f"d{i}", "attributes": {"numa": {"int": i % 2}}} for i in range(4)]
    pool = {"name": "p", "generation": 1, "resourceSliceCount": 1}
    slice = {"metadata": {"name": "s"}, "spec": {"driver": "a.example.com", "nodeName": "n", "pool": pool, "devices": devices}}
    exact = {"deviceClassName": "any", "allocationMode": "ExactCount", "count": 3}
    claim = {"requests": [{"name": "r", "exactly": exact}], "constraints": [{"distinctAttribute": "a.example.com/numa"}]}
    problem = {
        "claims": [{"metadata": {"name": "c"}, "spec": {"devices": claim}}],
        "classes": [{"metadata": {"name": "any"}, "spec": {}}],
        "slices": [slice],
        "node": {"metadata": {"name": "n"}},
    }
    assert solve(problem) == (None, "")
    exact["count"] = 2
    found, _ = solve(problem)
    assert [result["device"] for result in (found or [{}])[0]["devices"]["results"]] == ["d0", "d1"]
