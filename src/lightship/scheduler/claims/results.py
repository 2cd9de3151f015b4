"""What a search found, as `status.allocation` of a claim: the devices, the configuration that drivers get, the nodes that they bind to.

Called by `desk`. Shares have an empty `shareID` here: the shell fills in a random one when it writes.
Contract: resource.k8s.io/v1 AllocationResult; k8s.io/dynamic-resource-allocation 0.36 structured.
"""

from collections.abc import Iterable, Mapping, Sequence

from lightship.meta import objects
from lightship.meta.objects import Obj
from lightship.scheduler.claims.asks import Ask, Wanted
from lightship.scheduler.claims.search import Chosen


def allocation(wanted: Wanted, chosen: Sequence[Chosen], classes: Mapping[str, Obj], node: str) -> Obj:
    found: Obj = {"devices": {"results": [_result(one) for one in chosen]}}
    ways = _ways(wanted, chosen)
    if config := [*_of_classes(ways, classes), *_of_claim(wanted, ways)]:
        found["devices"]["config"] = config
    if (selector := _node_selector(chosen, node)) is not None:
        found["nodeSelector"] = selector
    return found


def _result(chosen: Chosen) -> Obj:
    ask, device, consumed = chosen
    result: Obj = {"request": ask.label, "driver": device.id.driver, "pool": device.id.pool, "device": device.id.device}
    if ask.admin:
        result["adminAccess"] = True
    if ask.tolerations:
        result["tolerations"] = ask.tolerations
    if device.binding:
        result["bindingConditions"] = device.binding
    if device.binding_failure:
        result["bindingFailureConditions"] = device.binding_failure
    if consumed is not None:
        result["shareID"] = ""
        if consumed:
            result["consumedCapacity"] = consumed
    return result


def _ways(wanted: Wanted, chosen: Iterable[Chosen]) -> list[Ask]:
    """How each request was met, in the order of the requests."""
    taken = {one.ask.request: one.ask for one in chosen}
    return [taken.get(request.name, request.ways[0]) for request in wanted.requests]


def _of_classes(ways: Iterable[Ask], classes: Mapping[str, Obj]) -> list[Obj]:
    """Each class's configuration once, for all requests that were met with it."""
    requests: dict[str, list[str]] = {}
    for ask in ways:
        requests.setdefault(ask.class_name, []).append(ask.label)
    return [
        {"source": "FromClass", "requests": labels, **objects.copy(config)}
        for name, labels in requests.items()
        for config in objects.spec(classes[name]).get("config") or ()
    ]


def _of_claim(wanted: Wanted, ways: Sequence[Ask]) -> list[Obj]:
    """The claim's own configuration, as far as it is for the ways that were chosen."""
    found = []
    for config in (objects.spec(wanted.claim).get("devices") or {}).get("config") or ():
        meant = config.get("requests") or []
        # One entry for each request that it is for, as upstream has it.
        times = sum(any(name in meant for name in ask.names) for ask in ways) if meant else 1
        found += [{"source": "FromClaim", **objects.copy(config)} for _ in range(times)]
    return found


def _node_selector(chosen: Iterable[Chosen], node: str) -> Obj | None:
    """The one node, where a device is of one node or binds to it; else what all devices' selectors ask for together; None: all nodes."""
    term: dict[str, list[Obj]] = {"matchFields": [], "matchExpressions": []}
    for one in chosen:
        place = one.device.place
        if place.node or one.device.binds_to_node:
            return {"nodeSelectorTerms": [{"matchFields": [{"key": "metadata.name", "operator": "In", "values": [node]}]}]}
        for terms in ((place.selector or {}).get("nodeSelectorTerms") or ())[:1]:
            for field, held in term.items():
                held += [need for need in terms.get(field) or () if not any(_same(need, other) for other in held)]
    needed = {field: held for field, held in term.items() if held}
    return {"nodeSelectorTerms": [needed]} if needed else None


def _same(a: Obj, b: Obj) -> bool:
    return (a.get("key"), a.get("operator"), set(a.get("values") or ())) == (b.get("key"), b.get("operator"), set(b.get("values") or ()))
