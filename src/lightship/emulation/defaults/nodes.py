"""How an emulated node lives by default: Ready at once with what its object says it has, and a sign of life every ten minutes. Pure.

Its Lease is not here but in `leases`. Contract: kwok 0.8.0, kustomize/stage/node/{fast,heartbeat-with-lease}.
"""

from collections.abc import Sequence

from lightship import __version__
from lightship.emulation.play import Deed, Patch, Surroundings
from lightship.meta import times
from lightship.meta.objects import Obj
from lightship.meta.rest import MERGE_PATCH

HEARTBEAT_SECONDS = (600.0, 610.0)
_ROOM = {"cpu": "1k", "memory": "1Ti", "pods": "1M"}
"""What a node has that does not say it."""
WELL = (
    ("Ready", "True", "KubeletReady", "kubelet is posting ready status"),
    ("MemoryPressure", "False", "KubeletHasSufficientMemory", "kubelet has sufficient memory available"),
    ("DiskPressure", "False", "KubeletHasNoDiskPressure", "kubelet has no disk pressure"),
    ("PIDPressure", "False", "KubeletHasSufficientPID", "kubelet has sufficient PID available"),
    ("NetworkUnavailable", "False", "RouteCreated", "RouteController created a route"),
)
"""(type, status, reason, message) of a node that is well."""


def conditions(node: Obj, now: str) -> list[Obj]:
    """Those of a node that is well; the time of the last change moves only where the condition said something else before."""
    known = {condition["type"]: condition for condition in (node.get("status") or {}).get("conditions") or ()}
    since = node["metadata"].get("creationTimestamp") or now
    told = []
    for type, status, reason, message in WELL:
        old = known.get(type)
        changed = since if old is None else old.get("lastTransitionTime", now) if old.get("status") == status else now
        told.append(
            {
                "type": type,
                "status": status,
                "reason": reason,
                "message": message,
                "lastHeartbeatTime": now,
                "lastTransitionTime": changed,
            }
        )
    return told


def merged(node: Obj, told: Sequence[Obj]) -> list[Obj]:
    """All conditions of a node, of which some say something new."""
    types = {condition["type"] for condition in told}
    return [*told, *(c for c in (node.get("status") or {}).get("conditions") or () if c["type"] not in types)]


def initial_status(node: Obj, now: float, *, address: str = "") -> Obj:
    """The status of a node that has just come up. What its object says of itself stays."""
    old = node.get("status") or {}
    stamp, name = times.rfc3339(now), node["metadata"]["name"]
    addresses = list(old.get("addresses") or ())
    if address and not any(entry.get("type") == "InternalIP" for entry in addresses):
        addresses.append({"type": "InternalIP", "address": address})
    if not any(entry.get("type") == "Hostname" for entry in addresses):
        addresses.append({"type": "Hostname", "address": name})
    return {
        "addresses": addresses,
        "allocatable": old.get("allocatable") or old.get("capacity") or _ROOM,
        "capacity": old.get("capacity") or old.get("allocatable") or _ROOM,
        "conditions": merged(node, conditions(node, stamp)),
        "nodeInfo": node_info(old.get("nodeInfo") or {}),
        "phase": "Running",
    }


def node_info(known: Obj) -> Obj:
    version = f"lightship-{__version__}"
    empty = dict.fromkeys(("bootID", "machineID", "osImage", "systemUUID"), "")
    ours = dict.fromkeys(("containerRuntimeVersion", "kernelVersion", "kubeProxyVersion", "kubeletVersion"), version)
    return {**empty, **ours, "architecture": "amd64", "operatingSystem": "linux"} | {k: v for k, v in known.items() if v}


def status_patch(node: Obj, status: Obj) -> Patch:
    """The write of a status that was decided on for a node as it is here, and not as it may have become."""
    return Patch({"metadata": {"resourceVersion": node["metadata"]["resourceVersion"]}, "status": status}, MERGE_PATCH, "status")


class _Initialize:
    name = "node-initialize"
    immediate = False

    def deeds(self, obj: Obj, around: Surroundings) -> Sequence[Deed]:
        return (status_patch(obj, initial_status(obj, around.now)),)


class _Heartbeat:
    name = "node-heartbeat-with-lease"
    immediate = False

    def deeds(self, obj: Obj, around: Surroundings) -> Sequence[Deed]:
        told = conditions(obj, times.rfc3339(around.now))
        return (status_patch(obj, {"conditions": merged(obj, told)}),)


INITIALIZE, HEARTBEAT = _Initialize(), _Heartbeat()
