"""What the metrics of one autoscaler ask for: the most of what each of them does.

Called by `controller`, which gives the pods; asks `metrics` and `replicas`, and has `telling` put it into words.
Contract: Kubernetes 1.36 podautoscaler (`computeReplicasForMetrics`), autoscaling/v2 MetricSpec and MetricStatus.
"""

from collections.abc import Sequence
from typing import NamedTuple

from lightship.builtin import gotext
from lightship.builtin.hpa import replicas as core
from lightship.builtin.hpa import telling
from lightship.builtin.hpa.metrics import Metrics
from lightship.builtin.hpa.replicas import Found, Tolerance
from lightship.builtin.hpa.samples import STARTUP, Sample, Startup, Unmeasurable, grouped, requests
from lightship.kinds import pods as podlib
from lightship.meta import objects, quantity
from lightship.meta.objects import Obj


class Target(NamedTuple):
    """What is scaled: its pods, how many it asks for and has, and how they are selected; and how changes are judged now."""

    namespace: str
    pods: Sequence[Obj]
    wanted: int
    present: int
    selector: str
    bears: Tolerance
    now: float
    """In seconds since the epoch."""
    startup: Startup = STARTUP


class Proposal(NamedTuple):
    replicas: int
    name: str
    status: Obj


class Failure(NamedTuple):
    reason: str
    message: str
    """As the condition and the event of this metric say it."""
    whole: str
    """As it is said of all metrics together."""


class Verdict(NamedTuple):
    """`replicas` is None where the metrics say nothing, or not enough to have fewer."""

    replicas: int | None
    name: str
    statuses: list[Obj]
    failures: list[Failure]


UNKNOWN: Obj = {"type": ""}
"""What is said of a metric that could not be read."""


async def propose(specs: Sequence[Obj], target: Target, metrics: Metrics) -> Verdict:
    """Go through all metrics of an autoscaler."""
    statuses, failures, most, name = list[Obj](), list[Failure](), 0, ""
    for spec in specs:
        try:
            proposal = await _one(spec, target, metrics)
        except Unmeasurable as error:
            statuses.append(UNKNOWN)
            failures.append(Failure(telling.reason(spec), str(error), telling.whole(spec, str(error))))
            continue
        statuses.append(proposal.status)
        if most == 0 or proposal.replicas > most:
            most, name = proposal.replicas, proposal.name
    if len(failures) == len(specs) or (failures and most < target.wanted):
        return Verdict(None, "", statuses, failures)
    return Verdict(most, name, statuses, failures)


def tolerance(autoscaler: Obj, usual: float) -> Tolerance:
    """How far from its targets an autoscaler may be, where it says nothing of it `usual`."""
    rules = objects.spec(autoscaler).get("behavior") or {}
    given = ((rules.get(side) or {}).get("tolerance") for side in ("scaleDown", "scaleUp"))
    return Tolerance(*(usual if text is None else float(quantity.parse(text)) for text in given))


async def _one(spec: Obj, target: Target, metrics: Metrics) -> Proposal:
    match spec["type"]:
        case "Resource" | "ContainerResource":
            return await _resource(spec, target, metrics)
        case "Pods":
            return await _pods(spec, target, metrics)
        case "Object":
            return await _object(spec, target, metrics)
        case "External":
            return await _external(spec, target, metrics)
        case other:
            raise Unmeasurable(f'unknown metric source type "{other}"')


async def _resource(spec: Obj, target: Target, metrics: Metrics) -> Proposal:
    field = "containerResource" if spec["type"] == "ContainerResource" else "resource"
    given, container = spec[field], spec[field].get("container", "")
    name, goal = given["name"], given.get("target") or {}
    plain = goal.get("averageValue") is not None
    if not plain and goal.get("averageUtilization") is None:
        raise Unmeasurable(telling.NO_RESOURCE_TARGET)
    try:
        found = await _used(target, metrics, name, container, goal)
    except Unmeasurable as error:
        raise Unmeasurable(f"failed to get {name} {'usage' if plain else 'utilization'}: {error}") from error
    current: Obj = {"averageValue": telling.amount(name, found.average)}
    title = f"{name} resource"
    if found.utilization is not None:
        current["averageUtilization"] = found.utilization
        title = f"{name} {'container ' if container else ''}resource utilization (percentage of request)"
    extra = {"name": name, **({"container": container} if container else {})}
    return Proposal(found.replicas, title, _status(spec["type"], field, current, **extra))


async def _used(target: Target, metrics: Metrics, name: str, container: str, goal: Obj) -> Found:
    try:
        samples = await metrics.resource(target.namespace, target.selector, name, container)
    except Unmeasurable as error:
        raise Unmeasurable(f"unable to get metrics for resource {name}: {error}") from error
    if goal.get("averageValue") is not None:
        return _average(target, samples, name, goal)
    groups = grouped(_some(target.pods), samples, name, target.now, target.startup)
    core.countable(samples, groups)
    asked = requests(target.pods, name, container)
    return core.by_utilization(samples, groups, asked, int(goal["averageUtilization"]), target.wanted, target.bears)


def _average(target: Target, samples: dict[str, Sample], resource: str, goal: Obj) -> Found:
    groups = grouped(_some(target.pods), samples, resource, target.now, target.startup)
    return core.by_average(samples, groups, quantity.millis(goal["averageValue"]), target.wanted, target.bears)


async def _pods(spec: Obj, target: Target, metrics: Metrics) -> Proposal:
    metric, goal = spec["pods"]["metric"], spec["pods"]["target"]
    try:
        samples = await metrics.pods(target.namespace, target.selector, metric)
    except Unmeasurable as error:
        raise Unmeasurable(f"unable to get metric {metric['name']}: {error}") from error
    found = _average(target, samples, "", goal)
    current = {"averageValue": telling.thousandths(found.average)}
    return Proposal(found.replicas, f"pods metric {metric['name']}", _status("Pods", "pods", current, metric=metric))


async def _object(spec: Obj, target: Target, metrics: Metrics) -> Proposal:
    given = spec["object"]
    described, metric, goal = given["describedObject"], given["metric"], given["target"]
    if _field(goal) is None:
        raise Unmeasurable(telling.NO_TARGET.format("object"))
    try:
        value = await metrics.object(target.namespace, described, metric)
    except Unmeasurable as error:
        where = f"{described['kind']} on {target.namespace} {described['name']}"
        raise Unmeasurable(f"unable to get metric {metric['name']}: {where}/{error}") from error
    found = _of_value(value, goal, target)
    name = f"{described['kind']} metric {metric['name']}" if goal.get("averageValue") is None else telling.external(metric)
    return Proposal(found.replicas, name, _status("Object", "object", _current(goal, found), metric=metric, describedObject=described))


async def _external(spec: Obj, target: Target, metrics: Metrics) -> Proposal:
    metric, goal = spec["external"]["metric"], spec["external"]["target"]
    if _field(goal) is None:
        raise Unmeasurable(telling.NO_TARGET.format("external"))
    try:
        value = await metrics.external(target.namespace, metric)
    except Unmeasurable as error:
        where = f"{target.namespace}/{metric['name']}/{gotext.selector(metric.get('selector'))}"
        raise Unmeasurable(f"unable to get external metric {where}: {error}") from error
    found = _of_value(value, goal, target)
    return Proposal(found.replicas, telling.external(metric), _status("External", "external", _current(goal, found), metric=metric))


def _of_value(value: int, goal: Obj, target: Target) -> Found:
    if goal.get("averageValue") is not None:
        return core.by_share(value, quantity.millis(goal["averageValue"]), target.present, target.bears)
    return core.by_value(value, quantity.millis(goal["value"]), lambda: _ready(target), target.wanted, target.bears)


def _ready(target: Target) -> int:
    try:
        pods = _some(target.pods)
    except Unmeasurable as error:
        raise Unmeasurable(f"unable to calculate ready pods: {error}") from error
    return sum(1 for pod in pods if podlib.phase(pod) == "Running" and podlib.is_ready(pod))


def _some(pods: Sequence[Obj]) -> Sequence[Obj]:
    if not pods:
        raise Unmeasurable("no pods returned by selector while calculating replica count")
    return pods


def _field(goal: Obj) -> str | None:
    return next((field for field in ("averageValue", "value") if goal.get(field) is not None), None)


def _current(goal: Obj, found: Found) -> Obj:
    return {_field(goal) or "value": telling.thousandths(found.average)}


def _status(type: str, field: str, current: Obj, **extra: object) -> Obj:
    return {"type": type, field: {"current": current, **extra}}
