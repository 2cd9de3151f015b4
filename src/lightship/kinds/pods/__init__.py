"""What Pods are: small pure questions that the scheduler, the node, controllers and tables all ask.

Defaults and validation of Pods are told in `defaults` and `checks` and offered here as `default_pod_spec` and
`check_pod_spec`, for every kind that holds a pod template. Refuses to know where pods come from or run.
Contract: core/v1 Pod; resource sums as component-helpers resource.PodRequests; QoS as the kubelet computes it.
"""

from collections.abc import Iterable, Mapping

from lightship.meta import conditions, objects, quantity, times
from lightship.meta.objects import Obj

from .checks import check_pod_spec
from .defaults import default_pod_spec

__all__ = [
    "available_in",
    "check_pod_spec",
    "containers",
    "default_pod_spec",
    "is_active",
    "is_ready",
    "is_sidecar",
    "is_terminal",
    "is_terminating",
    "node_name",
    "phase",
    "qos_class",
    "total_limits",
    "total_requests",
]

_TERMINAL = ("Succeeded", "Failed")


def phase(pod: Obj) -> str:
    """`Pending` until somebody says otherwise."""
    return (pod.get("status") or {}).get("phase") or "Pending"


def is_terminal(pod: Obj) -> bool:
    """Succeeded or Failed: none of its containers will ever run again."""
    return phase(pod) in _TERMINAL


def is_ready(pod: Obj) -> bool:
    return conditions.is_true(pod, "Ready")


def is_active(pod: Obj) -> bool:
    """It runs or will: it has not ended and is not on its way out."""
    return not is_terminal(pod) and not objects.is_deleting(pod)


def is_terminating(pod: Obj) -> bool:
    """On its way out, and not at the end of it."""
    return objects.is_deleting(pod) and not is_terminal(pod)


def available_in(pod: Obj, min_ready_seconds: int, now: float) -> float | None:
    """Seconds until a pod that stays ready has been so for long enough, 0 when it has; None when it is not ready. `now` is in seconds since
    the epoch."""
    ready = conditions.get(pod, "Ready")
    if ready is None or ready.get("status") != "True":
        return None
    if not min_ready_seconds or not ready.get("lastTransitionTime"):
        return 0.0 if not min_ready_seconds else float(min_ready_seconds)
    return max(0.0, times.parse(ready["lastTransitionTime"]) + min_ready_seconds - now)


def node_name(pod: Obj) -> str:
    return (pod.get("spec") or {}).get("nodeName") or ""


def is_sidecar(container: Obj) -> bool:
    """An init container that stays: `restartPolicy: Always`."""
    return container.get("restartPolicy") == "Always"


def containers(pod: Obj) -> Iterable[Obj]:
    """Init containers first, then the others."""
    spec = pod.get("spec") or {}
    return [*(spec.get("initContainers") or ()), *(spec.get("containers") or ())]


def total_requests(pod: Obj) -> dict[str, str]:
    """What a node must have free for the pod to run, by resource name.

    The larger of what its containers ask for together and what its hungriest moment of initialization asks for (an init container
    beside the sidecars started before it), plus the overhead. Requests given for the pod as a whole take precedence.
    """
    spec = pod.get("spec") or {}
    return quantity.add(_total(spec, "requests"), spec.get("overhead") or {})


def total_limits(pod: Obj) -> dict[str, str]:
    """What the pod may use at most, by resource name, of what is limited at all: as `total_requests`, of limits."""
    spec = pod.get("spec") or {}
    total = _total(spec, "limits")
    return {name: quantity.add({name: value}, spec.get("overhead") or {})[name] for name, value in total.items()}


def _total(spec: Obj, side: str) -> dict[str, str]:
    running: Mapping[str, quantity.Number] = {}
    for container in spec.get("containers") or ():
        running = quantity.add(running, _amounts(container, side))
    sidecars: Mapping[str, quantity.Number] = {}
    most: Mapping[str, quantity.Number] = {}
    for container in spec.get("initContainers") or ():
        beside = quantity.add(sidecars, _amounts(container, side))
        most = quantity.maximum(most, beside)
        if is_sidecar(container):
            sidecars = beside
    total = quantity.maximum(quantity.add(running, sidecars), most)
    total.update(_amounts(spec, side))
    return total


def _amounts(container: Obj, side: str) -> dict[str, str]:
    return (container.get("resources") or {}).get(side) or {}


def qos_class(pod: Obj) -> str:
    """`Guaranteed`, `Burstable` or `BestEffort`, by the CPU and memory of the pod as a whole or else of all containers."""
    guaranteed, best_effort = True, True
    spec = pod.get("spec") or {}
    for container in [spec] if spec.get("resources") else containers(pod):
        resources = container.get("resources") or {}
        requests, limits = _counted(resources.get("requests")), _counted(resources.get("limits"))
        best_effort = best_effort and not requests and not limits
        # A missing request is taken from the limit by the defaults, so only the limits must be complete.
        guaranteed = guaranteed and limits.keys() == {"cpu", "memory"} and all(limits[k] == v for k, v in requests.items())
    if best_effort:
        return "BestEffort"
    return "Guaranteed" if guaranteed else "Burstable"


def _counted(amounts: Mapping[str, quantity.Number] | None) -> dict[str, object]:
    """The amounts that decide about quality of service; zero is as good as none."""
    if not amounts:
        return {}
    return {k: amount for k in ("cpu", "memory") if (given := amounts.get(k)) and (amount := quantity.parse(given)) > 0}
