"""How an emulated pod lives by default: Running and Ready in one write, Succeeded if a Job owns it, gone when it is deleted.

Delays, weights and failures are asked for by the annotations and labels of kwok's general and chaos sets
(`pod-ready.stage.kwok.x-k8s.io/delay: 5s`, label `pod-container-running-failed.stage.kwok.x-k8s.io: "true"`). Pure.
Contract: kwok 0.8.0, kustomize/stage/pod/{fast,general,chaos}.
"""

from collections.abc import Iterable, Sequence
from random import Random

from lightship.emulation.defaults import failures
from lightship.emulation.defaults.asked import SUFFIX, delay_of
from lightship.emulation.play import Deed, Delete, Due, Patch, Surroundings
from lightship.kinds import JOBS
from lightship.meta import times
from lightship.meta.objects import Obj
from lightship.meta.rest import MERGE_PATCH

COMPLETE_SECONDS = (1.0, 5.0)
"""How long pods of Jobs run, unless they say it."""
_NO_DELAY = (0.0, None)
_ENDED = ("Succeeded", "Failed")


class PodRules:
    """The `play.Rules` of pods."""

    def step(self, obj: Obj, now: float, random: Random) -> Due | None:
        """What comes next for a pod that has a node."""
        metadata, status = obj["metadata"], obj.get("status") or {}
        phase = status.get("phase") or "Pending"
        annotations = metadata.get("annotations") or {}
        if metadata.get("deletionTimestamp"):
            return self._ending(obj, phase, now, random)
        if phase in _ENDED:
            return None
        labels = metadata.get("labels")
        failing = failures.of_pod(labels, obj["spec"], phase) if labels else None
        if failing is not None:
            return Due(failing, delay_of(failing.name, annotations, (1.0, 1.0), now, random))
        if phase == "Pending":
            return Due(READY, delay_of(READY.name, annotations, _NO_DELAY, now, random) if annotations else 0.0)
        if phase == "Running" and any(owner.get("kind") == JOBS.kind for owner in metadata.get("ownerReferences") or ()):
            return Due(COMPLETE, delay_of(COMPLETE.name, annotations, COMPLETE_SECONDS, now, random))
        return None

    def _ending(self, pod: Obj, phase: str, now: float, random: Random) -> Due | None:
        metadata = pod["metadata"]
        annotations = metadata.get("annotations") or {}
        delay = delay_of(GONE.name, annotations, _NO_DELAY, now, random)
        if delay > 0:
            delay = min(delay, max(0.0, times.parse(metadata["deletionTimestamp"]) - now))
        if not metadata.get("finalizers"):
            return Due(GONE, delay)
        # Whoever holds it waits to hear how it ended: a kubelet says that before it lets a pod go.
        return None if phase in _ENDED else Due(STOPPED, delay)


class _Ready:
    name = f"pod-ready{SUFFIX}"
    immediate = False

    def deeds(self, obj: Obj, around: Surroundings) -> Sequence[Deed]:
        """All of a pod's start in one write."""
        spec, status = obj["spec"], obj.get("status") or {}
        now = times.rfc3339(around.now)
        node = spec["nodeName"]
        hosts = around.host_addresses(node)
        if spec.get("hostNetwork"):
            addresses = hosts
        else:
            addresses = tuple(entry["ip"] for entry in status.get("podIPs") or ()) or around.pod_addresses(node)
        told: Obj = {
            "phase": "Running",
            "startTime": status.get("startTime") or now,
            "conditions": conditions(status, [*_STARTED, *(gate["conditionType"] for gate in spec.get("readinessGates") or ())], now),
            "containerStatuses": [started(container, now) for container in spec["containers"]],
        }
        if spec.get("initContainers"):
            told["initContainerStatuses"] = [_initialized(container, now) for container in spec["initContainers"]]
        if hosts:
            told |= {"hostIP": hosts[0], "hostIPs": [{"ip": address} for address in hosts]}
        if addresses:
            told |= {"podIP": addresses[0], "podIPs": [{"ip": address} for address in addresses]}
        return (status_patch(obj, told),)


class _Complete:
    name = f"pod-complete{SUFFIX}"
    immediate = False

    def deeds(self, obj: Obj, around: Surroundings) -> Sequence[Deed]:
        return (_ended(obj, "Succeeded", 0, "Completed", "PodCompleted", around.now),)


class _Stopped:
    """A pod that is deleted while somebody's finalizer keeps it."""

    name = f"pod-delete{SUFFIX}"
    immediate = False

    def deeds(self, obj: Obj, around: Surroundings) -> Sequence[Deed]:
        return (_ended(obj, "Failed", 137, "Error", "PodFailed", around.now),)


class _Gone:
    name = f"pod-delete{SUFFIX}"
    immediate = False

    def deeds(self, obj: Obj, around: Surroundings) -> Sequence[Deed]:
        return (Delete(),)


READY, COMPLETE, STOPPED, GONE = _Ready(), _Complete(), _Stopped(), _Gone()
_STARTED = ("Initialized", "Ready", "ContainersReady")


def status_patch(pod: Obj, status: Obj) -> Patch:
    """The write of a status that was decided on for a pod as it is here, and not as it may have become."""
    return Patch({"metadata": {"resourceVersion": pod["metadata"]["resourceVersion"]}, "status": status}, MERGE_PATCH, "status")


def conditions(status: Obj, types: Iterable[str], now: str, value: str = "True", reason: str = "") -> list[Obj]:
    """The pod's conditions, of which these now say `value`. The time moves only where that is new."""
    wanted = dict.fromkeys(types)
    kept = []
    for condition in status.get("conditions") or ():
        type = condition["type"]
        if type not in wanted:
            kept.append(condition)
        elif condition.get("status") == value:
            kept.append(condition)
            del wanted[type]
    return [*kept, *(_condition(type, value, reason, now) for type in wanted)]


def _condition(type: str, value: str, reason: str, now: str) -> Obj:
    found: Obj = {"type": type, "status": value, "lastTransitionTime": now}
    return found | {"reason": reason} if reason else found


def started(container: Obj, now: str) -> Obj:
    return {
        "name": container["name"],
        "image": container.get("image", ""),
        "imageID": "",
        "ready": True,
        "restartCount": 0,
        "started": True,
        "state": {"running": {"startedAt": now}},
    }


def ended(container: Obj, began: str, now: str, code: int, reason: str, message: str = "") -> Obj:
    state: Obj = {"exitCode": code, "finishedAt": now, "reason": reason, "startedAt": began}
    return {
        "name": container["name"],
        "image": container.get("image", ""),
        "imageID": "",
        "ready": False,
        "restartCount": 0,
        "started": False,
        "state": {"terminated": state | {"message": message} if message else state},
    }


def _initialized(container: Obj, now: str) -> Obj:
    if container.get("restartPolicy") == "Always":
        return started(container, now)
    return ended(container, now, now, 0, "Completed") | {"ready": True}


def _ended(pod: Obj, phase: str, code: int, reason: str, why: str, now: float) -> Patch:
    status, stamp = pod.get("status") or {}, times.rfc3339(now)
    began = status.get("startTime") or stamp
    told: Obj = {
        "phase": phase,
        "conditions": conditions(status, ("Ready", "ContainersReady"), stamp, "False", why),
        "containerStatuses": [ended(container, began, stamp, code, reason) for container in pod["spec"]["containers"]],
    }
    return status_patch(pod, told)
