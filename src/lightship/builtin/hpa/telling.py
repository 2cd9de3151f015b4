"""The words in which an autoscaler speaks of its metrics: reasons, texts of errors, names and amounts.

Pure; called by `proposing` and `controller`. Contract: Kubernetes 1.36 podautoscaler, whose texts people search for.
"""

from lightship.builtin.gotext import selector
from lightship.meta import quantity
from lightship.meta.objects import Obj

NO_RESOURCE_TARGET = "invalid resource metric source: neither an average utilization target nor an average value (usage) target was set"
NO_TARGET = "invalid {} metric source: neither a value target nor an average value target was set"
_REASONS = {
    "Resource": "FailedGetResourceMetric",
    "ContainerResource": "FailedGetContainerResourceMetric",
    "Pods": "FailedGetPodsMetric",
    "Object": "FailedGetObjectMetric",
    "External": "FailedGetExternalMetric",
}


def reason(spec: Obj) -> str:
    """Of the condition and the event about a metric that could not be read."""
    return _REASONS.get(spec["type"], "InvalidMetricSourceType")


def whole(spec: Obj, error: str) -> str:
    """What is said of such a metric among all of them."""
    match spec["type"]:
        case "Resource":
            return f"failed to get {spec['resource']['name']} resource metric value: {error}"
        case "ContainerResource":
            return f"failed to get {spec['containerResource']['container']} container metric value: {error}"
        case "Pods":
            return f"failed to get pods metric value: {error}"
        case "Object":
            each = spec["object"]["target"].get("averageValue") is not None
            named = f"failed to get {spec['object']['metric']['name']} object metric: " if each else ""
            return f"failed to get object metric value: {named}{error}"
        case "External":
            name, goal = spec["external"]["metric"]["name"], spec["external"]["target"]
            if goal.get("averageValue") is not None:
                error = f"failed to get {name} external metric: {error}"
            elif goal.get("value") is not None:
                error = f"failed to get external metric {name}: {error}"
            return f"failed to get {name} external metric value: {error}"
        case _:
            return error


def together(wholes: list[str], total: int) -> str:
    """What is said when there is no number of pods because of these."""
    return f"invalid metrics ({len(wholes)} invalid out of {total}), first error is: {wholes[0]}"


def external(metric: Obj) -> str:
    """The name of a metric that is not of the pods."""
    return f"external metric {metric['name']}({selector(metric.get('selector'))})"


def thousandths(amount: int) -> str:
    """So many thousandths as a quantity."""
    return quantity.canonical(f"{amount}m")


def amount(resource: str, value: int) -> str:
    """So many thousandths of a resource: memory is told in binary notation where nothing is lost by it."""
    if resource == "memory" and value % 1000 == 0 and abs(value) >= 1024_000:
        return quantity.binary(value // 1000)
    return thousandths(value)
