"""What a new agent knows of a pod that was here before it: from the pod's last reported status, and from what outlived the old agent.

Pure; `subject` calls `recover` once per pod. What the runtime still has is believed before the status, which may be older: containers that
run go on, ends that nobody was told of are told. What is nowhere any more is lost, as after a reboot.
"""

from lightship.meta import objects, times
from lightship.meta.objects import Obj
from lightship.node.runtimes.runtime import Exit, Left

from .state import ContainerState, Finished, PodState, exit_reason

LOST_CODE = 137
LOST_REASON = "ContainerStatusUnknown"
LOST_MESSAGE = "The container was running when the node agent stopped; it did not survive the restart of the node"
NODE_RESTART = "NodeRestart"


def recover(pod: Obj, now: float, left: Left | None = None) -> PodState:
    """The state of a pod as this agent finds it: fresh, with the history that its status tells, or in the middle of its life."""
    state = PodState(uid=objects.uid(pod))
    status = objects.status(pod)
    if status.get("startTime"):
        state.start_time = times.parse(status["startTime"])
    state.rejected = status.get("phase") in ("Succeeded", "Failed") and left is None
    state.ip = status.get("podIP") or ""
    if left is not None:
        state.sandbox_created(left.address)
    if state.rejected and status.get("reason"):
        state.failure = (status["reason"], status.get("message") or "")
    state.admitted = state.start_time is not None or state.rejected or left is not None
    lost = False
    for entry in _entries(status):
        container = state.container(entry["name"])
        lost |= _recover_container(container, entry, now, left)
        container.done = left is not None and not container.running and container.finished is not None and container.finished.code == 0
        if entry.get("imageID"):
            state.image(entry.get("image") or "").id = entry["imageID"]
    for name, spec in left.containers.items() if left else ():
        _go_on(state.container(name), spec.id, now)
    if lost and left is None and objects.spec(pod).get("restartPolicy") == "Never":
        why = "The node agent restarted while the pod was running, and its restart policy is Never"
        state.failure, state.disruption = (NODE_RESTART, why), why
    return state


def _entries(status: Obj) -> list[Obj]:
    fields = ("initContainerStatuses", "containerStatuses", "ephemeralContainerStatuses")
    return [entry for field in fields for entry in status.get(field) or ()]


def _recover_container(container: ContainerState, entry: Obj, now: float, left: Left | None) -> bool:
    """True when the container was running and is lost."""
    current = entry.get("state") or {}
    last = _ended((entry.get("lastState") or {}).get("terminated"))
    container.id = entry.get("containerID", "").partition("://")[2]
    container.starts = int(entry.get("restartCount") or 0) + (1 if container.id else 0)
    if "running" not in current:
        ended = _ended(current.get("terminated"))
        container.finished, container.previous = (ended, last) if ended else (last, None)
        return False
    started = times.parse(current["running"].get("startedAt") or times.rfc3339(now))
    if left is not None and any(spec.id == container.id for spec in left.containers.values()):
        container.running, container.started, container.finished = True, started, last
        container.initialized, container.ready = bool(entry.get("started", True)), bool(entry.get("ready"))
        container.devices = entry.get("allocatedResourcesStatus") or []
        container.user, container.resources = entry.get("user"), entry.get("resources")
        return False
    told = next((end for end in left.exits if end.container_id == container.id), None) if left else None
    container.previous = last
    container.finished = _end(told, started) if told else Finished(container.id, LOST_CODE, 0, LOST_REASON, LOST_MESSAGE, started, now)
    return told is None


def _end(told: Exit, started: float) -> Finished:
    """The end of a container that nobody was told of; its message went with the old agent."""
    return Finished(told.container_id, told.code, told.signal, told.reason or exit_reason(told.code), "", started, told.finished)


def _go_on(container: ContainerState, id: str, now: float) -> None:
    """A container runs whose start the status may not tell of yet."""
    if container.id != id or not container.running:
        container.previous = container.finished if container.finished and container.finished.id != id else container.previous
        container.starts += container.id != id
        container.id, container.running, container.started, container.done = id, True, now, False


def _ended(terminated: Obj | None) -> Finished | None:
    if not terminated:
        return None
    return Finished(
        id=terminated.get("containerID", "").partition("://")[2],
        code=int(terminated.get("exitCode") or 0),
        signal=int(terminated.get("signal") or 0),
        reason=terminated.get("reason") or "",
        message=terminated.get("message") or "",
        started=times.parse(terminated["startedAt"]) if terminated.get("startedAt") else 0.0,
        finished=times.parse(terminated["finishedAt"]) if terminated.get("finishedAt") else 0.0,
    )
