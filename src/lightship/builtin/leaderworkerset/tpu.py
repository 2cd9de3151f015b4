"""Variables by which processes on TPUs find each other: every host of the group or subgroup, in order, and the place of this one.

Pure; called by `pods` for every pod of a group. Contract: LeaderWorkerSet 0.9 pkg/utils/accelerators.
"""

from collections.abc import Iterable

from lightship.builtin.leaderworkerset import terms
from lightship.builtin.leaderworkerset.places import PodRefusedError, number, parent_and_ordinal
from lightship.meta import objects, quantity
from lightship.meta.objects import Obj

RESOURCE = "google.com/tpu"
HOSTNAMES = "TPU_WORKER_HOSTNAMES"
ADDRESSES = "TPU_PROCESS_ADDRESSES"
PORT = "TPU_PROCESS_PORT"
WORKER_ID = "TPU_WORKER_ID"
NAME = "TPU_NAME"
DEFAULT_PORT = 8476


def is_requested(pod: Obj) -> bool:
    """Does any container ask for TPUs?"""
    return bool(_requesting(pod))


def add_variables(pod: Obj, size: int) -> None:
    """Give the containers on TPUs, in place, what they need to know; those that were told already are left alone.

    Raises `PodRefusedError` for a pod that is not named after its place.
    """
    containers = _requesting(pod)
    if not containers or any(env["name"] in (HOSTNAMES, WORKER_ID) for env in containers[0].get("env") or ()):
        return
    if terms.SUBGROUP_SIZE in objects.annotations(pod):
        _of_subgroup(pod, containers[0])
    else:
        _of_group(pod, size, containers)


def _requesting(pod: Obj) -> list[Obj]:
    spec = objects.spec(pod)
    return [c for c in (*(spec.get("containers") or ()), *(spec.get("initContainers") or ())) if _amount(c)]


def _amount(container: Obj) -> int:
    given = container.get("resources") or {}
    amounts = ((given.get(side) or {}).get(RESOURCE, 0) for side in ("limits", "requests"))
    return next((found for amount in amounts if (found := quantity.to_int(amount))), 0)


def _leader_of(pod: Obj) -> tuple[str, int]:
    """The leader's name and the pod's place in the group. Raises `PodRefusedError`."""
    if objects.labels(pod).get(terms.WORKER_INDEX) == "0":
        return objects.name(pod), 0
    leader, index = parent_and_ordinal(objects.name(pod))
    if not leader:
        raise PodRefusedError(f"parsing parent name from pod {objects.name(pod)}")
    return leader, index


def _leads_with_tpus(pod: Obj) -> bool:
    return objects.annotations(pod).get(terms.LEADER_REQUESTS_TPUS) == "true"


def _of_group(pod: Obj, size: int, containers: list[Obj]) -> None:
    leader, place = _leader_of(pod)
    counted = _leads_with_tpus(pod) or objects.labels(pod).get(terms.WORKER_INDEX) == "0"
    first = place if counted else place - 1
    ports = [_given_port(container) or str(DEFAULT_PORT + i) for i, container in enumerate(containers)]
    subdomain = objects.spec(pod).get("subdomain") or ""
    names = [leader] if counted else []
    names += [f"{leader}-{index}" for index in range(1, size)]
    hosts = [f"{name}.{subdomain}" for name in names for _ in ports]
    addresses = [f"{name}.{subdomain}:{port}" for name in names for port in ports]
    for i, container in enumerate(containers):
        _tell(container, hosts, addresses, first * len(containers) + i, leader, ports[i])


def _of_subgroup(pod: Obj, container: Obj) -> None:
    labels = objects.labels(pod)
    each = number(objects.annotations(pod)[terms.SUBGROUP_SIZE])
    subgroup, place = number(labels.get(terms.SUBGROUP_INDEX, "")), number(labels.get(terms.WORKER_INDEX, ""))
    leader, _ = _leader_of(pod)
    # Where the leader has TPUs it is one of the first subgroup, and all who come after it move up by one.
    counted = _leads_with_tpus(pod)
    start, end = each * subgroup + 1, each * (subgroup + 1)
    names = []
    if place == 0 or (counted and subgroup == 0):
        names, end = [leader], end - 1
    elif counted:
        start, end = start - 1, end - 1
    names += [f"{leader}-{index}" for index in range(start, end + 1)]
    subdomain, port = objects.spec(pod).get("subdomain") or "", _given_port(container) or str(DEFAULT_PORT)
    hosts = [f"{name}.{subdomain}" for name in names]
    worker = place % each if counted else _remainder(place - 1, each)
    _tell(container, hosts, [f"{host}:{port}" for host in hosts], worker, leader, port)


def _remainder(value: int, divisor: int) -> int:
    """As Go has it: with the sign of the dividend."""
    return value % divisor if value >= 0 else -(-value % divisor)


def _given_port(container: Obj) -> str:
    """The port that the user has chosen, empty for none."""
    return next((env.get("value") or "" for env in container.get("env") or () if env["name"] == PORT), "")


def _tell(container: Obj, hosts: Iterable[str], addresses: Iterable[str], worker: int, leader: str, port: str) -> None:
    told = {HOSTNAMES: ",".join(hosts), WORKER_ID: str(worker), NAME: leader, ADDRESSES: ",".join(addresses)}
    if not any(env["name"] == PORT for env in container.get("env") or ()):
        told[PORT] = port
    container["env"] = [*(container.get("env") or ()), *({"name": name, "value": value} for name, value in told.items())]
