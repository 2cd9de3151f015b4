"""What the agent reports of a pod: phase, conditions and container statuses from the observed facts.

Pure: the agent calls `build` after every round of `sync` and writes the result when it differs from what the API has.
Contract: kubelet generateAPIPodStatus, getPhase, status/generate.go; texts and reasons are the kubelet's.
"""

from lightship.kinds import pods
from lightship.meta import objects, times
from lightship.meta.objects import Obj
from lightship.node.inputs import mounts

from . import pod_conditions, spec, sync
from .recovery import LOST_CODE
from .state import ContainerState, Finished, ImageState, PodState, Problem

ID_PREFIX = "lightship://"
WAITING_CREATING = "ContainerCreating"
WAITING_INITIALIZING = "PodInitializing"


def build(pod: Obj, state: PodState, now: float, host_ip: str) -> Obj:
    """The whole `status` of a pod; conditions of other writers (PodScheduled, readiness gates) are kept."""
    old = objects.status(pod)
    inits = [container_status(pod, c, state, now) for c in spec.init_containers(pod)]
    mains = [container_status(pod, c, state, now) for c in spec.main_containers(pod)]
    status: Obj = dict(old)
    phase = pod_phase(pod, state, inits, mains)
    for key in ("reason", "message"):
        status.pop(key, None)
    if state.failure is not None and phase == "Failed":
        status["reason"], status["message"] = state.failure
    status["phase"] = phase
    status["conditions"] = pod_conditions.build(pod, state, phase, inits, mains, now)
    if host_ip:
        status["hostIP"], status["hostIPs"] = host_ip, [{"ip": host_ip}]
    if state.ip:
        status["podIP"], status["podIPs"] = state.ip, [{"ip": state.ip}]
    if state.start_time is not None:
        status["startTime"] = times.rfc3339(state.start_time)
    if inits:
        status["initContainerStatuses"] = inits
    status["containerStatuses"] = mains
    if spec.ephemeral_containers(pod):
        status["ephemeralContainerStatuses"] = [container_status(pod, c, state, now) for c in spec.ephemeral_containers(pod)]
    if objects.spec(pod).get("resources"):
        status["resources"] = objects.spec(pod)["resources"]
        status["allocatedResources"] = objects.spec(pod)["resources"].get("requests") or {}
    status["qosClass"] = old.get("qosClass") or pods.qos_class(pod)
    if objects.generation(pod):
        status["observedGeneration"] = objects.generation(pod)
    return status


def pod_phase(pod: Obj, state: PodState, inits: list[Obj], mains: list[Obj]) -> str:
    """The phase; a terminal one never changes any more, and is not reported while anything still runs."""
    old = objects.status(pod).get("phase") or "Pending"
    if old in ("Succeeded", "Failed"):
        return str(old)
    if state.failure is not None and not state.any_running and not state.devices_held:
        return "Failed"
    phase = _phase(pod, state, inits, mains)
    if state.any_running or state.devices_held:
        return "Running" if phase in ("Succeeded", "Failed") else phase
    if objects.is_deleting(pod) and phase not in ("Succeeded", "Failed"):
        return "Failed"  # what was deleted before it could run must not look as if it still might (a finalizer may hold the object)
    return phase


def _phase(pod: Obj, state: PodState, inits: list[Obj], mains: list[Obj]) -> str:
    if any(_failed_for_good(pod, c, s) for c, s in _regular(pod, inits)):
        return "Failed"
    waiting = sum(1 for s in mains if "waiting" in s["state"] and "terminated" not in s["lastState"])
    running = sum(1 for s in mains if "running" in s["state"])
    if running and not waiting:
        return "Running"
    if waiting or not mains or (not running and not initialized_by_status(pod, inits)):
        return "Pending"
    if not sync.must_stop(pod, state):
        return "Running"
    return "Succeeded" if all(_last_code(s) == 0 for s in mains) else "Failed"


def _regular(pod: Obj, inits: list[Obj]) -> list[tuple[Obj, Obj]]:
    """Init containers that run to their end, with their statuses."""
    return [(c, s) for c, s in zip(spec.init_containers(pod), inits, strict=True) if not spec.is_sidecar(c)]


def _failed_for_good(pod: Obj, container: Obj, status: Obj) -> bool:
    return _init_failed(status) and not spec.restarts_after(pod, container, status["state"]["terminated"]["exitCode"])


def _init_failed(status: Obj) -> bool:
    return "terminated" in status["state"] and status["state"]["terminated"]["exitCode"] != 0


def initialized_by_status(pod: Obj, inits: list[Obj]) -> bool:
    return all("terminated" in s["state"] and not _init_failed(s) for _, s in _regular(pod, inits))


def _last_code(status: Obj) -> int:
    ended = status["state"].get("terminated") or status["lastState"].get("terminated") or {}
    return int(ended.get("exitCode", LOST_CODE))


# containers -------------------------------------------------------------------------------------------------------------------------


def container_status(pod: Obj, container: Obj, state: PodState, now: float) -> Obj:
    """One entry of containerStatuses or initContainerStatuses."""
    name = container["name"]
    found = state.containers.get(name) or ContainerState(name)
    image = state.images.get(container.get("image") or "")
    current, last = _states(pod, container, found, state, now)
    status: Obj = {
        "name": name,
        "state": current,
        "lastState": last,
        "ready": _is_ready(pod, container, found, current),
        "restartCount": max(0, found.starts - 1),
        "image": container.get("image") or "",
        "imageID": image.id if image is not None else "",
        "started": found.has_started,
    }
    if container.get("volumeMounts"):
        status["volumeMounts"] = mounts.shown(container)
    if found.id:
        status["containerID"] = ID_PREFIX + found.id
    if found.devices:
        status["allocatedResourcesStatus"] = found.devices
    return status | _amounts(container, found, state) | _surroundings(container, found)


def _is_ready(pod: Obj, container: Obj, found: ContainerState, current: Obj) -> bool:
    """An init container is ready when it has succeeded; nobody asks whether an ephemeral one is."""
    if spec.is_init(pod, container) and not spec.is_sidecar(container):
        return "terminated" in current and current["terminated"]["exitCode"] == 0
    return found.is_ready and not spec.is_ephemeral(pod, container)


def _amounts(container: Obj, found: ContainerState, state: PodState) -> Obj:
    """What it was given, and what it has."""
    given: Obj = state.allocated.get(found.name) or container.get("resources") or {}
    shown: Obj = {"resources": found.resources if found.running and found.resources is not None else given}
    if given.get("requests"):
        shown["allocatedResources"] = given["requests"]
    return shown


def _surroundings(container: Obj, found: ContainerState) -> Obj:
    """Who it runs as, and which signal ends it when it names one."""
    shown: Obj = {"user": found.user} if found.running and found.user else {}
    signal = (container.get("lifecycle") or {}).get("stopSignal")
    return shown | ({"stopSignal": signal} if signal else {})


def _states(pod: Obj, container: Obj, found: ContainerState, state: PodState, now: float) -> tuple[Obj, Obj]:
    """(state, lastState) of a container."""
    if found.running and found.starting:
        reason = WAITING_INITIALIZING if spec.init_containers(pod) else WAITING_CREATING
        return {"waiting": {"reason": reason}}, _terminated(found.finished)
    if found.running:
        return {"running": {"startedAt": times.rfc3339(found.started)}}, _terminated(found.finished)
    stopping = sync.must_stop(pod, state)
    will_run = not stopping and not sync.is_settled(pod, container, found) and sync.should_restart(pod, container, found)
    if found.finished is not None:
        waiting = _waiting_again(pod, container, found, state, now) if will_run else None
        if waiting is None:
            return _terminated(found.finished), _terminated(found.previous)
        return {"waiting": waiting}, _terminated(found.finished)
    return {"waiting": _waiting_first(pod, container, found, state, now)}, {}


def _waiting_again(pod: Obj, container: Obj, found: ContainerState, state: PodState, now: float) -> Obj | None:
    """Why a container that has run before does not run now; None when it is about to."""
    until = found.backing_off_until(now)
    if until is not None:
        where = f"container={found.name} pod={objects.name(pod)}_{objects.namespace(pod)}({state.uid})"
        return {"reason": "CrashLoopBackOff", "message": f"back-off {_duration(found.backoff)} restarting failed {where}"}
    return _blocked(pod, container, found, state, now)


def _waiting_first(pod: Obj, container: Obj, found: ContainerState, state: PodState, now: float) -> Obj:
    blocked = _blocked(pod, container, found, state, now)
    if blocked is not None:
        return blocked
    waiting = {"reason": WAITING_INITIALIZING if spec.init_containers(pod) else WAITING_CREATING}
    for image in _images(pod, container, state):
        if image.pulling and image.progress:
            waiting["message"] = image.progress
    return waiting


def _images(pod: Obj, container: Obj, state: PodState) -> list[ImageState]:
    return [state.images[image] for image in spec.images(pod, container) if image in state.images]


def _blocked(pod: Obj, container: Obj, found: ContainerState, state: PodState, now: float) -> Obj | None:
    """The image or configuration problem of a container, if that is what it waits for."""
    if found.problem is not None:
        return {"reason": found.problem.reason, "message": found.problem.message}
    for image in spec.images(pod, container):
        pulled = state.images.get(image)
        if pulled is not None and pulled.problem is not None:
            return _pull_problem(image, pulled.problem, now)
    return None


def _pull_problem(image: str, problem: Problem, now: float) -> Obj:
    if now < problem.since + sync.SHOW_PULL_ERROR or problem.reason in sync.NO_BACK_OFF:
        return {"reason": problem.reason, "message": problem.message}
    return {"reason": "ImagePullBackOff", "message": f'Back-off pulling image "{image}": {problem.reason}: {problem.message}'}


def _terminated(end: Finished | None) -> Obj:
    if end is None:
        return {}
    ended: Obj = {
        "exitCode": end.code,
        "reason": end.reason,
        "startedAt": times.rfc3339(end.started),
        "finishedAt": times.rfc3339(end.finished),
    }
    if end.signal:
        ended["signal"] = end.signal
    if end.message:
        ended["message"] = end.message
    if end.id:
        ended["containerID"] = ID_PREFIX + end.id
    return {"terminated": ended}


def _duration(seconds: float) -> str:
    """Go's notation: `10s`, `1m20s`, `5m0s`."""
    whole = int(seconds)
    return f"{whole // 60}m{whole % 60}s" if whole >= 60 else f"{whole}s"
