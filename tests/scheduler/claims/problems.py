"""Random problems for the allocator: a node, slices, classes, claims, and what is allocated already, small and full of conflicts."""

import json
from random import Random
from typing import Any

Obj = dict[str, Any]
DRIVERS = ("a.example.com", "b.example.com")
KINDS = ("big", "small")
CLASSES = ("any-a", "any-b", "any", "big", "even")


def problem(rng: Random) -> Obj:
    """A problem in the form of `cases.jsonl`, without its answer."""
    slices = [slice for pool in range(rng.randint(1, 3)) for slice in _pool(rng, pool)]
    devices = [(s["spec"], device) for s in slices for device in s["spec"].get("devices") or ()]
    taken, shared, capacity = [], [], {}
    for spec, device in devices:
        if rng.random() < 0.2:
            id = f"{spec['driver']}/{spec['pool']['name']}/{device['name']}"
            if device.get("allowMultipleAllocations"):
                shared.append(f"{id}/share")
                capacity[id] = {name: str(rng.randint(1, 4)) for name in device.get("capacity") or ()}
            else:
                taken.append(id)
    rng.shuffle(slices)
    return {
        "claims": [claim(rng, i) for i in range(rng.choice((1, 1, 1, 2, 3)))],
        "classes": [_class(name) for name in CLASSES],
        "slices": slices,
        "node": {"metadata": {"name": "n1", "labels": {"zone": "z1", "rack": "r1"}}},
        "devices": sorted(set(taken)),
        "shared": shared,
        "capacity": {id: amounts for id, amounts in capacity.items() if amounts},
    }


def _class(name: str) -> Obj:
    expression = {
        "any-a": 'device.driver == "a.example.com"',
        "any-b": 'device.driver == "b.example.com"',
        "any": "true",
        "big": 'device.attributes[device.driver].kind == "big"',
        "even": 'has(device.attributes["a.example.com"].index) && device.attributes["a.example.com"].index % 2 == 0',
    }[name]
    config = [{"opaque": {"driver": "a.example.com", "parameters": {"of": name}}}] if name in ("any", "big") else []
    return {
        "metadata": {"name": name},
        "spec": {"selectors": [{"cel": {"expression": expression}}], **({"config": config} if config else {})},
    }


def _pool(rng: Random, at: int) -> list[Obj]:
    driver, name = rng.choice(DRIVERS), f"pool-{at}"
    generation = rng.randint(1, 2)
    count = rng.randint(1, 3)
    counters = rng.random() < 0.35
    slices = [_slice(rng, f"{name}-{i}", driver, name, generation, counters, i) for i in range(count)]
    if counters:
        slices.append(_counters(rng, f"{name}-counters", driver, name, generation))
    said = len(slices) + (rng.random() < 0.08)
    for slice in slices:
        slice["spec"]["pool"]["resourceSliceCount"] = said
    if generation == 2 and rng.random() < 0.5:
        slices.append(_slice(rng, f"{name}-old", driver, name, 1, False, 7))
        slices[-1]["spec"]["pool"]["resourceSliceCount"] = 1
    return slices


def _counters(rng: Random, name: str, driver: str, pool: str, generation: int) -> Obj:
    sets = [{"name": "card", "counters": {"memory": {"value": f"{rng.randint(4, 10)}Gi"}, "engines": {"value": str(rng.randint(2, 6))}}}]
    return {
        "metadata": {"name": name},
        "spec": {"driver": driver, "pool": {"name": pool, "generation": generation}, "nodeName": "n1", "sharedCounters": sets},
    }


def _place(rng: Random) -> Obj:
    needs = [{"key": "zone", "operator": "In", "values": [rng.choice(("z1", "z1", "z2"))]}]
    return rng.choice(
        (
            *({"nodeName": "n1"},) * 5,
            {"nodeName": "n2"},
            {"allNodes": True},
            {"nodeSelector": {"nodeSelectorTerms": [{"matchExpressions": needs}]}},
            {"nodeSelector": {"nodeSelectorTerms": [{"matchExpressions": [{"key": "rack", "operator": "Exists"}, *needs]}]}},
        )
    )


def _slice(rng: Random, name: str, driver: str, pool: str, generation: int, counters: bool, at: int) -> Obj:
    spec: Obj = {"driver": driver, "pool": {"name": pool, "generation": generation}}
    each = rng.random() < 0.15
    spec |= {"perDeviceNodeSelection": True} if each else _place(rng)
    spec["devices"] = [_device(rng, f"d{at}{i}", driver, counters) | (_place(rng) if each else {}) for i in range(rng.randint(0, 4))]
    if spec["devices"] and rng.random() < 0.03:
        spec["devices"].append(spec["devices"][0])
    return {"metadata": {"name": name}, "spec": spec}


def _device(rng: Random, name: str, driver: str, counters: bool) -> Obj:
    device: Obj = {"name": name, "attributes": {"kind": {"string": rng.choice(KINDS)}}}
    if rng.random() < 0.8:
        device["attributes"]["index"] = {"int": rng.randint(0, 3)}
    if rng.random() < 0.7:
        device["attributes"]["example.org/numa"] = rng.choice(({"int": 0}, {"int": 1}, {"string": "0"}, {"bool": True}))
    if rng.random() < 0.3:
        device["attributes"]["firmware"] = {"version": rng.choice(("1.0.0", "1.2.3", "2.0.0-rc.1"))}
    if rng.random() < 0.4:
        device["capacity"] = {"memory": _capacity(rng, policy=False)}
    if rng.random() < 0.25:
        device["allowMultipleAllocations"] = True
        device["capacity"] = {"memory": _capacity(rng, policy=True)}
    if counters and rng.random() < 0.8:
        taken = {"memory": {"value": f"{rng.randint(1, 4)}Gi"}, "engines": {"value": str(rng.randint(0, 2))}}
        device["consumesCounters"] = [{"counterSet": "card", "counters": taken}]
        if rng.random() < 0.02:
            device["consumesCounters"][0]["counterSet"] = "cord"
    if rng.random() < 0.12:
        device["taints"] = [{"key": "k", "value": rng.choice("xy"), "effect": rng.choice(("NoSchedule", "NoExecute", "None"))}]
    if rng.random() < 0.06:
        device |= {"bindingConditions": ["Ready"], "bindingFailureConditions": ["Failed"]}
    if rng.random() < 0.05:
        device["bindsToNode"] = True
    return device


def _capacity(rng: Random, *, policy: bool) -> Obj:
    capacity: Obj = {"value": str(rng.randint(4, 9))}
    kind = rng.choice(("", "range", "steps", "values", "default")) if policy else ""
    if kind == "range":
        capacity["requestPolicy"] = {"default": "1", "validRange": {"min": "1", "max": "4"}}
    if kind == "steps":
        capacity["requestPolicy"] = {"default": "2", "validRange": {"min": "2", "step": "2"}}
    if kind == "values":
        capacity["requestPolicy"] = {"default": "1", "validValues": ["1", "2", "4"]}
    if kind == "default":
        capacity["requestPolicy"] = {"default": "3"}
    return capacity


def claim(rng: Random, at: int) -> Obj:
    requests = [_request(rng, f"r{i}") for i in range(rng.choice((1, 1, 2, 3)))]
    names = [request["name"] for request in requests]
    names += [f"{request['name']}/{way['name']}" for request in requests for way in request.get("firstAvailable") or ()]
    devices: Obj = {"requests": requests}
    if rng.random() < 0.35:
        # Upstream forgets values of a distinct attribute when one request has several devices: only match is compared freely.
        one_each = all(request.get("exactly", {}).get("count") == 1 for request in requests)
        kind = "distinctAttribute" if one_each and rng.random() < 0.5 else "matchAttribute"
        constraint: Obj = {kind: rng.choice(("example.org/numa", "a.example.com/index", "a.example.com/firmware"))}
        if rng.random() < 0.5:
            constraint["requests"] = [rng.choice(names)]
        devices["constraints"] = [constraint]
    if rng.random() < 0.25:
        config: Obj = {"opaque": {"driver": "a.example.com", "parameters": {"claim": at}}}
        devices["config"] = [config | ({"requests": [rng.choice(names)]} if rng.random() < 0.6 else {})]
    return {"metadata": {"name": f"c{at}", "namespace": "default"}, "spec": {"devices": devices}}


def _request(rng: Random, name: str) -> Obj:
    if rng.random() < 0.25:
        return {"name": name, "firstAvailable": [_way(rng) | {"name": f"w{i}"} for i in range(rng.randint(1, 3))]}
    exact = _way(rng)
    if rng.random() < 0.08:
        exact["adminAccess"] = True
    return {"name": name, "exactly": exact}


def _way(rng: Random) -> Obj:
    way: Obj = {"deviceClassName": rng.choice(CLASSES)}
    way |= {"allocationMode": "All"} if rng.random() < 0.1 else {"allocationMode": "ExactCount", "count": rng.choice((1, 1, 1, 2, 3))}
    if rng.random() < 0.25:
        way["selectors"] = [{"cel": {"expression": rng.choice(_EXPRESSIONS)}}]
    if rng.random() < 0.2:
        way["tolerations"] = [
            rng.choice(
                (
                    {"operator": "Exists"},
                    {"key": "k", "operator": "Equal", "value": "x"},
                    {"key": "k", "operator": "Exists", "effect": "NoExecute"},
                )
            )
        ]
    if rng.random() < 0.2:
        way["capacity"] = {"requests": {"memory": str(rng.randint(1, 6))}}
    return way


_EXPRESSIONS = (
    'device.attributes["a.example.com"].kind == "small"',
    'device.attributes["example.org"].numa == 0',
    '"example.org" in device.attributes && device.attributes["example.org"].numa == 1',
    "device.allowMultipleAllocations",
    'device.capacity["a.example.com"].memory.compareTo(quantity("5")) >= 0',
    'has(device.attributes["b.example.com"].kind)',
    '!("nobody" in device.attributes)',
    'has(device.attributes["nobody"].kind)',
    'device.attributes["a.example.com"].?firmware.orValue(semver("1.1.0")).isGreaterThan(semver("1.1.0"))',
    'cel.bind(a, device.attributes["a.example.com"], a.kind == "big" || a.kind.startsWith("s"))',
)


def write(path: str, seeds: range) -> None:
    """For the judge: unanswered problems, one a line."""
    with open(path, "w") as page:
        for seed in seeds:
            page.write(json.dumps({"name": f"random {seed}", **problem(Random(seed))}) + "\n")
