"""What the metrics of one autoscaler ask for: the most of what each of them does.

Called by `controller`, which gives the pods; asks `metrics` and `replicas`. Contract: Kubernetes 1.36 podautoscaler
(`computeReplicasForMetrics`), autoscaling/v2 MetricSpec and MetricStatus.
"""

from collections.abc import Sequence
from typing import NamedTuple

from lightship.builtin.hpa import replicas as core
from lightship.builtin.hpa.metrics import Metrics
from lightship.builtin.hpa.replicas import Found, Tolerance
from lightship.builtin.hpa.samples import Unmeasurable, grouped, requests
from lightship.builtin.known_kinds import KnownKinds
from lightship.kinds import pods as podlib
from lightship.meta import objects, quantity
from lightship.meta.objects import Obj


class Target(NamedTuple):
    """What is scaled: its pods, how many it asks for and has, and how they are selected."""

    pods: Sequence[Obj]
    wanted: int
    present: int
    selector: str


class Proposal(NamedTuple):
    replicas: int
    name: str
    status: Obj


class Failure(NamedTuple):
    reason: str
    message: str
    """In the words of the events and the condition."""


class Verdict(NamedTuple):
    """`replicas` is None where the metrics say nothing, or not enough to have fewer."""

    replicas: int | None
    name: str
    statuses: list[Obj]
    failures: list[Failure]


async def propose(autoscaler: Obj, target: Target, metrics: Metrics, served: KnownKinds, now: float) -> Verdict:
    """Go through all metrics of an autoscaler. `now` is in seconds since the epoch."""
    proposals, failures = list[Proposal](), list[Failure]()
    specs = objects.spec(autoscaler).get("metrics") or []
    for spec in specs:
        try:
            proposals.append(await _one(autoscaler, spec, target, metrics, served, now))
        except Unmeasurable as error:
            failures.append(Failure(_REASONS[spec["type"]], str(error)))
    best = max(proposals, key=lambda proposal: proposal.replicas, default=None)
    statuses = [proposal.status for proposal in proposals]
    if best is None or (failures and best.replicas < target.wanted):
        return Verdict(None, "", statuses, failures)
    return Verdict(best.replicas, best.name, statuses, failures)


def summary(verdict: Verdict, total: int) -> str:
    """What is said of metrics that could not be read."""
    first = verdict.failures[0].message
    return f"invalid metrics ({len(verdict.failures)} invalid out of {total}), first error is: {first}"


def tolerance(autoscaler: Obj) -> Tolerance:
    rules = objects.spec(autoscaler).get("behavior") or {}
    given = ((rules.get(side) or {}).get("tolerance") for side in ("scaleDown", "scaleUp"))
    return Tolerance(*(0.1 if text is None else float(quantity.parse(text)) for text in given))


_REASONS = {
    "Resource": "FailedGetResourceMetric",
    "ContainerResource": "FailedGetContainerResourceMetric",
    "Pods": "FailedGetPodsMetric",
    "Object": "FailedGetObjectMetric",
    "External": "FailedGetExternalMetric",
}


async def _one(autoscaler: Obj, spec: Obj, target: Target, metrics: Metrics, served: KnownKinds, now: float) -> Proposal:
    bears, space = tolerance(autoscaler), objects.namespace(autoscaler)
    match spec["type"]:
        case "Resource" | "ContainerResource":
            return await _resource(spec, target, metrics, bears, space, now)
        case "Pods":
            metric = spec["pods"]["metric"]
            try:
                samples = await metrics.pods(space, target.selector, metric)
                groups = grouped(_some(target.pods), samples, "", now)
                goal = quantity.millis(spec["pods"]["target"]["averageValue"])
                found = core.by_average(samples, groups, goal, target.wanted, bears)
            except Unmeasurable as error:
                raise Unmeasurable(f"failed to get pods metric value: {error}") from error
            current = {"averageValue": _shown(found.average)}
            return Proposal(found.replicas, f"pods metric {metric['name']}", _status("Pods", "pods", current, metric=metric))
        case "Object":
            return await _object(spec, target, metrics, served, bears, space)
        case _:
            return await _external(spec, target, metrics, bears, space)


async def _resource(spec: Obj, target: Target, metrics: Metrics, bears: Tolerance, space: str, now: float) -> Proposal:
    field = "containerResource" if spec["type"] == "ContainerResource" else "resource"
    given, container = spec[field], spec[field].get("container", "")
    name, goal = given["name"], given["target"]
    what = f"{container} container" if container else f"{name} resource"
    try:
        samples = await metrics.resource(space, target.selector, name, container)
        groups = grouped(_some(target.pods), samples, name, now)
        if goal.get("averageValue") is not None:
            found = core.by_average(samples, groups, quantity.millis(goal["averageValue"]), target.wanted, bears)
        else:
            asked = requests(target.pods, name, container)
            found = core.by_utilization(samples, groups, asked, int(goal["averageUtilization"]), target.wanted, bears)
    except Unmeasurable as error:
        kind = "usage" if goal.get("averageValue") is not None else "utilization"
        raise Unmeasurable(f"failed to get {what} metric value: failed to get {name} {kind}: {error}") from error
    current: Obj = {"averageValue": _bytes(found.average) if name == "memory" else _shown(found.average)}
    title = f"{name} resource"
    if found.utilization is not None:
        current["averageUtilization"] = found.utilization
        title = f"{name} {'container ' if container else ''}resource utilization (percentage of request)"
    extra = {"name": name, **({"container": container} if container else {})}
    return Proposal(found.replicas, title, _status(spec["type"], field, current, **extra))


async def _object(spec: Obj, target: Target, metrics: Metrics, served: KnownKinds, bears: Tolerance, space: str) -> Proposal:
    given = spec["object"]
    described, metric, goal = given["describedObject"], given["metric"], given["target"]
    group, _ = objects.split_api_version(described.get("apiVersion", ""))
    resource = next((r for r in served if r.group == group and r.kind == described["kind"]), None)
    try:
        if resource is None:
            raise Unmeasurable(f"unable to get metric {metric['name']}: no kind {described['kind']} is served")
        value = await metrics.object(space, described, resource, metric)
        found = _of_value(value, goal, target, bears)
    except Unmeasurable as error:
        raise Unmeasurable(f"failed to get object metric value: {error}") from error
    name = f"{described['kind']} metric {metric['name']}" if goal["type"] == "Value" else f"external metric {metric['name']}(nil)"
    return Proposal(found.replicas, name, _status("Object", "object", _current(goal, found), metric=metric, describedObject=described))


async def _external(spec: Obj, target: Target, metrics: Metrics, bears: Tolerance, space: str) -> Proposal:
    metric, goal = spec["external"]["metric"], spec["external"]["target"]
    try:
        found = _of_value(await metrics.external(space, metric), goal, target, bears)
    except Unmeasurable as error:
        raise Unmeasurable(f"failed to get {metric['name']} external metric value: {error}") from error
    name = f"external metric {metric['name']}({metric.get('selector') or 'nil'})"
    return Proposal(found.replicas, name, _status("External", "external", _current(goal, found), metric=metric))


def _of_value(value: int, goal: Obj, target: Target, bears: Tolerance) -> Found:
    if goal.get("averageValue") is not None:
        return core.by_share(value, quantity.millis(goal["averageValue"]), target.present, bears)
    ready = sum(1 for pod in _some(target.pods) if podlib.phase(pod) == "Running" and podlib.is_ready(pod)) if target.wanted else 0
    return core.by_value(value, quantity.millis(goal["value"]), ready, target.wanted, bears)


def _some(pods: Sequence[Obj]) -> Sequence[Obj]:
    if not pods:
        raise Unmeasurable("no pods returned by selector while calculating replica count")
    return pods


def _current(goal: Obj, found: Found) -> Obj:
    return {"averageValue" if goal.get("averageValue") is not None else "value": _shown(found.average)}


def _status(type: str, field: str, current: Obj, **extra: object) -> Obj:
    return {"type": type, field: {"current": current, **extra}}


def _shown(thousandths: int) -> str:
    return quantity.canonical(f"{thousandths}m")


def _bytes(thousandths: int) -> str:
    return quantity.canonical(f"{thousandths // 1000}")
