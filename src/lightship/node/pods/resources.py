"""What a pod and its containers may use, and how readily they are killed, from their requests and limits.

Pure; called by `containers` when specs for the runtime are built. Contract: kubelet ResourceConfigForPod, GetContainerOOMScoreAdjust.
"""

from lightship.kinds import pods
from lightship.meta import objects, quantity
from lightship.meta.objects import Obj
from lightship.node.runtimes.runtime import Limits

_GUARANTEED, _BEST_EFFORT = -997, 1000
_NODE_CRITICAL = "system-node-critical"


def of_pod(pod: Obj) -> Limits:
    """A pod is limited as a whole where all its containers are, or where it says so itself."""
    requests, limits = pods.total_requests(pod), pods.total_limits(pod)
    return Limits(
        cpu_request=float(quantity.parse(requests.get("cpu", "0"))),
        cpu=_cpus(limits.get("cpu")) if _declared(pod, "cpu") else None,
        memory=_bytes(limits.get("memory")) if _declared(pod, "memory") else None,
    )


def of_container(pod: Obj, container: Obj, machine_memory: int) -> Limits:
    """`machine_memory` in bytes."""
    requests, limits = _amounts(container, "requests"), _amounts(container, "limits")
    whole = _amounts(objects.spec(pod), "limits")
    return Limits(
        cpu_request=float(quantity.parse(requests.get("cpu") or limits.get("cpu") or "0")),
        cpu=_cpus(limits.get("cpu") or whole.get("cpu")),
        memory=_bytes(limits.get("memory") or whole.get("memory")),
        oom_score_adj=oom_score(pod, container, machine_memory),
    )


def oom_score(pod: Obj, container: Obj, machine_memory: int) -> int:
    """Of a pod that is neither guaranteed nor best effort: the less it asked for, the sooner it goes."""
    if objects.spec(pod).get("priorityClassName") == _NODE_CRITICAL:
        return _GUARANTEED
    qos = pods.qos_class(pod)
    if qos != "Burstable":
        return _GUARANTEED if qos == "Guaranteed" else _BEST_EFFORT
    spare = _spare(pod)
    score = 1000 - 1000 * (_requested(container) + spare) // machine_memory
    if container.get("restartPolicy") == "Always":
        least = min((_requested(c) for c in objects.spec(pod).get("containers") or ()), default=0)
        score = min(score, 1000 - 1000 * (least + spare) // machine_memory)
    return min(max(score, 1000 + _GUARANTEED), _BEST_EFFORT - 1)


def _spare(pod: Obj) -> int:
    """Each container's part of the memory that the pod asked for beyond what its containers did."""
    whole = _amounts(objects.spec(pod), "requests").get("memory")
    if whole is None:
        return 0
    own = {"spec": {k: v for k, v in objects.spec(pod).items() if k not in ("resources", "overhead")}}
    asked = quantity.to_int(pods.total_requests(own).get("memory", "0"))
    count = len(list(pods.containers(pod)))
    return max(0, quantity.to_int(whole) - asked) // max(1, count)


def _declared(pod: Obj, name: str) -> bool:
    if _amounts(objects.spec(pod), "limits").get(name):
        return True
    return all(quantity.parse(_amounts(c, "limits").get(name) or "0") for c in pods.containers(pod))


def _amounts(container: Obj, side: str) -> dict[str, str]:
    return (container.get("resources") or {}).get(side) or {}


def _requested(container: Obj) -> int:
    return quantity.to_int(_amounts(container, "requests").get("memory") or "0")


def _cpus(amount: quantity.Number | None) -> float | None:
    return float(quantity.parse(amount)) or None if amount else None


def _bytes(amount: quantity.Number | None) -> int | None:
    return quantity.to_int(amount) or None if amount else None
