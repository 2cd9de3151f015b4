"""What was measured, in thousandths, and which pods count.

Pure; read by `replicas`, made by `metrics`. Contract: Kubernetes 1.36 podautoscaler (`groupPods`, `calculateRequests`), its error texts.
"""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from lightship.kinds import pods as podlib
from lightship.meta import conditions, objects, quantity, times
from lightship.meta.objects import Obj


class Startup(NamedTuple):
    """What pods need to get going, in seconds after their start."""

    initialization: float = 300.0
    """In which the processor use of a pod that was not ready all the while says nothing."""
    readiness: float = 30.0
    """In which a pod that is not ready has not become so from being ready."""


STARTUP = Startup()


class Unmeasurable(Exception):  # noqa: N818  reads as what it is: `raise Unmeasurable(...)`
    """Why no number of pods follows from a metric."""


class Sample(NamedTuple):
    value: int
    """Thousandths of the metric's unit."""
    at: float = 0.0
    """When the window ended, in seconds since the epoch."""
    window: float = 60.0


class Groups(NamedTuple):
    """How pods count for a metric: those that are ready by their number, others by their names."""

    ready: int
    unready: frozenset[str]
    missing: frozenset[str]
    ignored: frozenset[str]


def grouped(pods: Iterable[Obj], samples: Mapping[str, Sample], resource: str, now: float, startup: Startup = STARTUP) -> Groups:
    """`resource` is empty for metrics that are none; of `cpu` young samples do not count."""
    ready, unready, missing, ignored = 0, set[str](), set[str](), set[str]()
    for pod in pods:
        name = objects.name(pod)
        if objects.is_deleting(pod) or podlib.phase(pod) == "Failed":
            ignored.add(name)
        elif podlib.phase(pod) == "Pending":
            unready.add(name)
        elif name not in samples:
            missing.add(name)
        elif resource == "cpu" and _is_young(pod, samples[name], now, startup):
            unready.add(name)
        else:
            ready += 1
    return Groups(ready, frozenset(unready), frozenset(missing), frozenset(ignored))


def requests(pods: Iterable[Obj], resource: str, container: str) -> dict[str, int]:
    """What pods, or one container of each, ask for, in thousandths. Raises `Unmeasurable` where one does not say."""
    return {objects.name(pod): _request(pod, resource, container) for pod in pods}


def _is_young(pod: Obj, sample: Sample, now: float, startup: Startup) -> bool:
    condition, started = conditions.get(pod, "Ready"), objects.status(pod).get("startTime")
    if condition is None or not started:
        return True
    since, moved = times.parse(started), times.parse(condition["lastTransitionTime"]) if condition.get("lastTransitionTime") else 0.0
    not_ready = condition.get("status") == "False"
    if since + startup.initialization > now:
        return not_ready or sample.at < moved + sample.window
    return not_ready and since + startup.readiness > moved


def _request(pod: Obj, resource: str, container: str) -> int:
    whole = (objects.spec(pod).get("resources") or {}).get("requests")
    if whole and not container:
        given = podlib.total_requests(pod).get(resource)
        if given is None:
            raise Unmeasurable(f"missing pod-level request for {resource} in Pod {objects.name(pod)}")
        return quantity.millis(given)
    counted = [c for c in podlib.containers(pod) if c in (objects.spec(pod).get("containers") or ()) or podlib.is_sidecar(c)]
    wanted = [c for c in counted if container in ("", c.get("name"))]
    if not wanted:
        raise Unmeasurable(f"container {container} not found in Pod {objects.name(pod)}")
    total = 0
    for each in wanted:
        asked = ((each.get("resources") or {}).get("requests") or {}).get(resource)
        if asked is None:
            raise Unmeasurable(f"missing request for {resource} in container {each.get('name')} of Pod {objects.name(pod)}")
        total += quantity.millis(asked)
    return total
