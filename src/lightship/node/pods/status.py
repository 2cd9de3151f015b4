"""What the agent reports of a pod: phase, conditions and container statuses from the observed facts.

Pure: the agent calls `build` after every round of `sync` and writes the result when it differs from what the API has.
Contract: kubelet generateAPIPodStatus, getPhase, status/generate.go; texts and reasons are the kubelet's.
"""

from collections.abc import Iterable

from lightship.kinds import pods
from lightship.meta import conditions, objects, times
from lightship.meta.objects import Obj
from lightship.node.inputs import mounts

from . import spec, sync
from .state import LOST_CODE, ContainerState, Finished, ImageState, PodState, Problem

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
    status["conditions"] = _conditions(pod, state, phase, inits, mains, now)
    if host_ip:
        status["hostIP"], status["hostIPs"] = host_ip, [{"ip": host_ip}]
    if state.ip:
        status["podIP"], status["podIPs"] = state.ip, [{"ip": state.ip}]
    if state.start_time is not None:
        status["startTime"] = times.rfc3339(state.start_time)
    if inits:
        status["initContainerStatuses"] = inits
    status["containerStatuses"] = mains
    status["qosClass"] = old.get("qosClass") or pods.qos_class(pod)
    if objects.generation(pod):
        status["observedGeneration"] = objects.generation(pod)
    return status


def pod_phase(pod: Obj, state: PodState, inits: list[Obj], mains: list[Obj]) -> str:
    """The phase; a terminal one never changes any more, and is not reported while anything still runs."""
    old = objects.status(pod).get("phase") or "Pending"
    if old in ("Succeeded", "Failed"):
        return str(old)
    if state.failure is not None and not state.any_running:
        return "Failed"
    phase = _phase(pod, state, inits, mains)
    if phase in ("Succeeded", "Failed") and state.any_running:
        return "Running"
    return phase


def _phase(pod: Obj, state: PodState, inits: list[Obj], mains: list[Obj]) -> str:
    if any(_failed_for_good(pod, c, s) for c, s in _regular(pod, inits)):
        return "Failed"
    waiting = sum(1 for s in mains if "waiting" in s["state"] and "terminated" not in s["lastState"])
    running = sum(1 for s in mains if "running" in s["state"])
    if running and not waiting:
        return "Running"
    if waiting or not mains or (not running and not _initialized_by_status(pod, inits)):
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


def _initialized_by_status(pod: Obj, inits: list[Obj]) -> bool:
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
    is_init = any(c is container for c in spec.init_containers(pod))
    ready = found.is_ready if not is_init or spec.is_sidecar(container) else found.done
    status: Obj = {
        "name": name,
        "state": current,
        "lastState": last,
        "ready": ready,
        "restartCount": max(0, found.starts - 1),
        "image": container.get("image") or "",
        "imageID": image.id if image is not None else "",
        "started": found.has_started,
    }
    if container.get("volumeMounts"):
        status["volumeMounts"] = mounts.shown(container)
    if found.id:
        status["containerID"] = ID_PREFIX + found.id
    return status


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
    if now < problem.since + sync.SHOW_PULL_ERROR:
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


# conditions -------------------------------------------------------------------------------------------------------------------------


def _conditions(pod: Obj, state: PodState, phase: str, inits: list[Obj], mains: list[Obj], now: float) -> list[Obj]:
    found: list[Obj] = list(objects.status(pod).get("conditions") or ())
    ready = _containers_ready(phase, inits, mains, pod)
    wanted = [
        ("PodReadyToStartContainers", (state.sandbox, "", "")),
        ("Initialized", _initialized(pod, state, phase, inits)),
        ("Ready", _pod_ready(pod, ready)),
        ("ContainersReady", ready),
        ("PodScheduled", (True, "", "")),
    ]
    if state.disruption:
        wanted.append(("DisruptionTarget", (True, "TerminationByKubelet", state.disruption)))
    for type, (is_true, reason, message) in wanted:
        if type == "PodScheduled" and conditions.get(pod, type) is not None:
            continue
        found = conditions.set_condition(found, type, is_true, reason, message, now)
    # Unlike metav1.Condition, a pod's leaves out what it has nothing to say about.
    return [{k: v for k, v in c.items() if v != "" or k not in ("reason", "message")} for c in found]


def _initialized(pod: Obj, state: PodState, phase: str, inits: list[Obj]) -> tuple[bool, str, str]:
    if phase == "Succeeded":
        return True, "PodCompleted", ""
    incomplete = [s["name"] for s in inits if not s["ready"]]
    if not incomplete or sync.has_initialized(pod, state) or _initialized_by_status(pod, inits):
        return True, "", ""
    return False, "ContainersNotInitialized", f"containers with incomplete status: {_go_list(incomplete)}"


def _containers_ready(phase: str, inits: list[Obj], mains: list[Obj], pod: Obj) -> tuple[bool, str, str]:
    if phase == "Succeeded":
        return False, "PodCompleted", ""
    if phase == "Failed":
        return False, "PodFailed", ""
    sidecars = [s for c, s in zip(spec.init_containers(pod), inits, strict=True) if spec.is_sidecar(c)]
    unready = [s["name"] for s in [*sidecars, *mains] if not s["ready"]]
    if unready:
        return False, "ContainersNotReady", f"containers with unready status: {_go_list(unready)}"
    return True, "", ""


def _pod_ready(pod: Obj, containers: tuple[bool, str, str]) -> tuple[bool, str, str]:
    if not containers[0]:
        return containers
    gates = [g["conditionType"] for g in objects.spec(pod).get("readinessGates") or ()]
    missing = [g for g in gates if not conditions.is_true(pod, g)]
    if missing:
        texts = [f'corresponding condition of pod readiness gate "{g}" does not exist.' for g in missing]
        return False, "ReadinessGatesNotReady", ", ".join(texts)
    return True, "", ""


def _go_list(items: Iterable[str]) -> str:
    return "[" + " ".join(items) + "]"
