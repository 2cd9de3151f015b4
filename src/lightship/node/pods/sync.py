"""The pure core of the node agent: (pod, what was observed, now) → what to do next.

`decide` is called by the agent's worker for one pod whenever anything may have changed: the object, an exit, a pulled image, a timer.
It changes nothing; the worker performs the instructions, records what happened in the `PodState`, and asks again.
Contract: kubelet pod lifecycle (syncPod, computePodActions), KEP-753 sidecar order, flowcontrol back-off. Ends are decided in `ending`.
"""

from lightship.meta import objects
from lightship.meta.objects import Obj
from lightship.node.machine.devices import podclaims

from . import ending, spec
from .instructions import (
    BackOff,
    BackOffPull,
    CreateSandbox,
    FailPod,
    Instruction,
    Plan,
    Planner,
    PrepareDevices,
    PrepareVolumes,
    PullImage,
    ResizePod,
    RestartAll,
    StartContainer,
)
from .spec import ephemeral_containers, hook, init_containers, is_ephemeral, is_init, is_sidecar, main_containers, restarts_after
from .state import ContainerState, PodState

SHOW_PULL_ERROR = 2.0
"""Seconds that ErrImagePull stays visible before it becomes ImagePullBackOff."""
NO_BACK_OFF = ("ErrImageNeverPull", "InvalidImageName")
"""What stays visible, since trying again will hardly help."""
DEADLINE_EXCEEDED = "DeadlineExceeded"
DEADLINE_MESSAGE = "Pod was active on the node longer than the specified deadline"


def decide(pod: Obj, state: PodState, now: float) -> Plan:
    """The next instructions for one pod. `pod` is the latest object known, `state` what was observed; neither is changed."""
    planner = Planner()
    if state.failure is None and not must_stop(pod, state):
        overdue = _deadline(pod, state)
        if overdue is not None and overdue <= now:
            planner.instructions.append(FailPod(DEADLINE_EXCEEDED, DEADLINE_MESSAGE))
            return planner.plan()
        if overdue is not None:
            planner.at(overdue)
    if must_stop(pod, state):
        ending.stop(pod, state, now, planner)
    elif state.restarting_since is not None:
        _restart_all(pod, state, now, planner)
    else:
        _run(pod, state, now, planner)
    return planner.plan()


# where a pod stands -----------------------------------------------------------------------------------------------------------------


def should_restart(pod: Obj, container: Obj, state: ContainerState) -> bool:
    """May a container that has ended run again?"""
    if state.finished is None or state.anew:
        return True
    if is_ephemeral(pod, container):
        return False
    return restarts_after(pod, container, state.finished.code)


def is_settled(pod: Obj, container: Obj, state: ContainerState) -> bool:
    """Is this an init container that has succeeded, so that it does not run again in this sandbox?"""
    return state.done and not is_sidecar(container) and is_init(pod, container)


def must_stop(pod: Obj, state: PodState) -> bool:
    """True when everything of the pod must end: it is deleted, failed as a whole, or has run to its end."""
    return state.removed or state.rejected or objects.is_deleting(pod) or state.failure is not None or has_completed(pod, state)


def has_completed(pod: Obj, state: PodState) -> bool:
    """True when no main container runs and none will run again."""
    if state.restarting_since is not None:
        return False
    if any(_failed_for_good(pod, state, c) for c in init_containers(pod) if not is_sidecar(c)):
        return True
    mains = main_containers(pod)
    return bool(mains) and all(_over(pod, c, state.containers.get(c["name"])) for c in mains)


def has_initialized(pod: Obj, state: PodState) -> bool:
    """True once the main containers may start; stays true when a sidecar crashes later."""
    if any(_started_here(state, c["name"]) for c in main_containers(pod)):
        return True
    return all(_init_satisfied(state, c) or _is_behind(pod, state, c) for c in init_containers(pod))


def _is_behind(pod: Obj, state: PodState, container: Obj) -> bool:
    """Is this a sidecar that later ones have not waited for in vain? It is restarted, and holds up nobody any more."""
    inits = init_containers(pod)
    return is_sidecar(container) and any(_started_here(state, c["name"]) for c in inits[inits.index(container) + 1 :])


def _init_satisfied(state: PodState, container: Obj) -> bool:
    found = state.containers.get(container["name"])
    return found is not None and (found.has_started if is_sidecar(container) else found.done)


def _started_here(state: PodState, name: str) -> bool:
    """Has this container run in the present sandbox? `done` of earlier sandboxes is forgotten, so are their runs."""
    found = state.containers.get(name)
    return found is not None and (found.running or (state.sandbox and found.started > 0))


def _over(pod: Obj, container: Obj, state: ContainerState | None) -> bool:
    return state is not None and not state.running and state.finished is not None and not should_restart(pod, container, state)


def _failed_for_good(pod: Obj, state: PodState, container: Obj) -> bool:
    found = state.containers.get(container["name"])
    if found is None or found.running or found.finished is None or found.finished.code == 0:
        return False
    return not restarts_after(pod, container, found.finished.code)


def is_resizing(state: PodState) -> bool:
    """Does something run with other amounts than it was given, and not end because of it already?"""
    found = [c for c in state.containers.values() if c.running and c.resources is not None and c.unhealthy != "resize"]
    return any(c.resources != state.allocated.get(c.name, c.resources) for c in found)


def _deadline(pod: Obj, state: PodState) -> float | None:
    seconds = objects.spec(pod).get("activeDeadlineSeconds")
    if seconds is None or state.start_time is None:
        return None
    return state.start_time + state.skew + float(seconds)


# running ----------------------------------------------------------------------------------------------------------------------------


def _run(pod: Obj, state: PodState, now: float, planner: Planner) -> None:
    if not _surrounded(pod, state, now, planner):
        return
    for unhealthy in [c for c in state.containers.values() if c.running and c.unhealthy]:
        since = now if unhealthy.stop_at is None else unhealthy.stop_at
        ending.end(pod, unhealthy, since + ending.grace_of_unhealthy(pod, unhealthy), now, planner)
    for container in ephemeral_containers(pod):
        _start_unless_running(pod, container, state, now, planner)
    if is_resizing(state):
        _unless_waiting(state.resize_problem, now, planner, ResizePod())
    initialized = has_initialized(pod, state)
    for container in init_containers(pod):
        if _satisfied_or_start(pod, container, state, now, planner, initialized):
            continue
        if not initialized and not _is_behind(pod, state, container):
            return
    for container in main_containers(pod):
        _start_unless_running(pod, container, state, now, planner)
        if hook(container, "postStart") and _is_starting(container["name"], state, planner):
            return  # the next one waits for this one's hook


def _surrounded(pod: Obj, state: PodState, now: float, planner: Planner) -> bool:
    """Is there all that containers need around them? Otherwise the next step towards it is planned."""
    if not state.volumes_ready:
        _unless_waiting(state.volumes_problem, now, planner, PrepareVolumes())
    elif not state.sandbox and not state.devices_ready and podclaims.has_claims(pod):
        _unless_waiting(state.devices_problem, now, planner, PrepareDevices())
    elif not state.sandbox:
        _unless_waiting(state.sandbox_problem, now, planner, CreateSandbox())
    else:
        return True
    return False


def _is_starting(name: str, state: PodState, planner: Planner) -> bool:
    found = state.containers.get(name)
    return (found is not None and found.starting) or StartContainer(name) in planner.instructions


def _start_unless_running(pod: Obj, container: Obj, state: PodState, now: float, planner: Planner) -> None:
    found = state.containers.get(container["name"])
    if found is None or not found.running:
        _start(pod, container, state, now, planner)


def _unless_waiting(problem: object, now: float, planner: Planner, instruction: Instruction) -> None:
    retry_at = getattr(problem, "retry_at", now)
    if retry_at > now:
        planner.at(retry_at)
    else:
        planner.instructions.append(instruction)


def _satisfied_or_start(pod: Obj, container: Obj, state: PodState, now: float, planner: Planner, initialized: bool) -> bool:
    """True when the next container may go on; otherwise this init container runs or is about to."""
    if _init_satisfied(state, container):
        return True
    if initialized and not is_sidecar(container):
        return True
    _start_unless_running(pod, container, state, now, planner)
    return False


def _start(pod: Obj, container: Obj, state: PodState, now: float, planner: Planner) -> None:
    """Start a container that does not run, as soon as policy, back-off, image and configuration allow it."""
    name = container["name"]
    found = state.containers.get(name) or ContainerState(name)
    if found.finished is not None and not should_restart(pod, container, found) and not _runs_anew(pod, container, found):
        return
    until = found.backing_off_until(now)
    if until is not None:
        planner.at(until)
        if found.finished is not None and found.backoff_reported != found.finished.id:
            planner.instructions.append(BackOff(name, found.backoff))
        return
    image, *of_volumes = spec.images(pod, container)
    ready = [_image_ready(name, image, state, now, planner), *(_image_ready("", i, state, now, planner) for i in of_volumes)]
    if not all(ready):
        return
    _unless_waiting(found.problem, now, planner, StartContainer(name))


def _runs_anew(pod: Obj, container: Obj, found: ContainerState) -> bool:
    """An init container that succeeded in a sandbox that is gone runs again, whatever the policy."""
    return not found.done and is_init(pod, container) and found.finished is not None and found.finished.code == 0


def _image_ready(name: str, image: str, state: PodState, now: float, planner: Planner) -> bool:
    found = state.images.get(image)
    if found is not None and (found.ready or found.pulling):
        return found.ready
    problem = found.problem if found else None
    if problem is None or problem.retry_at <= now:
        if not any(isinstance(i, PullImage) and i.image == image for i in planner.instructions):
            planner.instructions.append(PullImage(name, image))
        return False
    planner.at(problem.retry_at)
    shown_until = problem.since + SHOW_PULL_ERROR
    if shown_until > now:
        planner.at(shown_until)
    elif not problem.reported and problem.reason not in NO_BACK_OFF:
        planner.instructions.append(BackOffPull(name, image))
    return False


def _restart_all(pod: Obj, state: PodState, now: float, planner: Planner) -> None:
    """A container's rule asked for it: everything ends at once, then the pod begins anew in the sandbox that it has."""
    if state.any_running:
        ending.end_all(pod, state, now if state.restarting_since is None else state.restarting_since, now, planner)
    else:
        planner.instructions.append(RestartAll())
