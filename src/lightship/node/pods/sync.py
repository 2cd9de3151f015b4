"""The pure core of the node agent: (pod, what was observed, now) → what to do next.

`decide` is called by the agent's worker for one pod whenever anything may have changed: the object, an exit, a pulled image, a timer.
It changes nothing; the worker performs the instructions, records what happened in the `PodState`, and asks again.
Contract: kubelet pod lifecycle (syncPod, computePodActions, killPod), KEP-753 sidecar order, flowcontrol back-off.
"""

from collections.abc import Iterator
from typing import NamedTuple, TypeAlias

import msgspec

from lightship.meta import objects
from lightship.meta.objects import Obj

from .state import ContainerState, PodState

SHOW_PULL_ERROR = 2.0
"""Seconds that ErrImagePull stays visible before it becomes ImagePullBackOff."""
DEADLINE_EXCEEDED = "DeadlineExceeded"
DEADLINE_MESSAGE = "Pod was active on the node longer than the specified deadline"


class PrepareVolumes(msgspec.Struct, frozen=True):
    """Materialise the pod's volumes."""


class CreateSandbox(msgspec.Struct, frozen=True):
    """Make address, hostname and process tree."""


class RemoveSandbox(msgspec.Struct, frozen=True):
    """Give them back; nothing of the pod runs any more."""


class PullImage(msgspec.Struct, frozen=True):
    """Make an image's environment ready, in the background."""

    container: str
    image: str


class BackOffPull(msgspec.Struct, frozen=True):
    """Tell once that a pull waits for its next try."""

    container: str
    image: str


class StartContainer(msgspec.Struct, frozen=True):
    container: str


class BackOff(msgspec.Struct, frozen=True):
    """Tell once that a restart waits."""

    container: str
    seconds: float


class StopContainer(msgspec.Struct, frozen=True):
    """Ask a container to end (SIGTERM)."""

    container: str


class KillContainer(msgspec.Struct, frozen=True):
    """End a container (SIGKILL)."""

    container: str


class FailPod(msgspec.Struct, frozen=True):
    """Fail the pod as a whole."""

    reason: str
    message: str


class FinishDeletion(msgspec.Struct, frozen=True):
    """Nothing is left on this node: delete the API object for good, or forget the pod when it is gone already."""


Instruction: TypeAlias = (
    PrepareVolumes
    | CreateSandbox
    | RemoveSandbox
    | PullImage
    | BackOffPull
    | StartContainer
    | BackOff
    | StopContainer
    | KillContainer
    | FailPod
    | FinishDeletion
)


class Plan(NamedTuple):
    """What to do now, and when to ask again even if nothing happens (None: never)."""

    instructions: list[Instruction]
    wake: float | None


class _Planner:
    """Collects instructions and the earliest wake-up."""

    def __init__(self) -> None:
        self.instructions: list[Instruction] = []
        self.wake: float | None = None

    def at(self, when: float) -> None:
        self.wake = when if self.wake is None else min(self.wake, when)

    def plan(self) -> Plan:
        return Plan(self.instructions, self.wake)


def decide(pod: Obj, state: PodState, now: float) -> Plan:
    """The next instructions for one pod. `pod` is the latest object known, `state` what was observed; neither is changed."""
    planner = _Planner()
    if state.failure is None and not must_stop(pod, state):
        overdue = _deadline(pod, state)
        if overdue is not None and overdue <= now:
            planner.instructions.append(FailPod(DEADLINE_EXCEEDED, DEADLINE_MESSAGE))
            return planner.plan()
        if overdue is not None:
            planner.at(overdue)
    if must_stop(pod, state):
        _stop(pod, state, now, planner)
    else:
        _run(pod, state, now, planner)
    return planner.plan()


# what a pod is supposed to do -------------------------------------------------------------------------------------------------------


def init_containers(pod: Obj) -> list[Obj]:
    return objects.spec(pod).get("initContainers") or []


def main_containers(pod: Obj) -> list[Obj]:
    return objects.spec(pod).get("containers") or []


def is_sidecar(container: Obj) -> bool:
    """A restartable init container."""
    return container.get("restartPolicy") == "Always"


def restart_policy(pod: Obj) -> str:
    return objects.spec(pod).get("restartPolicy") or "Always"


def should_restart(pod: Obj, container: Obj, state: ContainerState) -> bool:
    """May a container that has ended run again?"""
    if state.finished is None or is_sidecar(container):
        return True
    policy = restart_policy(pod)
    return policy == "Always" or (policy == "OnFailure" and state.finished.code != 0)


def is_settled(pod: Obj, container: Obj, state: ContainerState) -> bool:
    """Is this an init container that has succeeded, so that it does not run again in this sandbox?"""
    return state.done and not is_sidecar(container) and any(c is container for c in init_containers(pod))


def must_stop(pod: Obj, state: PodState) -> bool:
    """True when everything of the pod must end: it is deleted, failed as a whole, or has run to its end."""
    return state.removed or state.rejected or objects.is_deleting(pod) or state.failure is not None or has_completed(pod, state)


def has_completed(pod: Obj, state: PodState) -> bool:
    """True when no main container runs and none will run again."""
    policy = restart_policy(pod)
    if policy == "Never" and any(_failed(state, c) for c in init_containers(pod) if not is_sidecar(c)):
        return True
    mains = main_containers(pod)
    if not mains or policy == "Always":
        return False
    return all(_over(pod, c, state.containers.get(c["name"])) for c in mains)


def has_initialized(pod: Obj, state: PodState) -> bool:
    """True once the main containers may start; stays true when a sidecar crashes later."""
    if any(_started_here(state, c["name"]) for c in main_containers(pod)):
        return True
    return all(_init_satisfied(state, c) for c in init_containers(pod))


def _init_satisfied(state: PodState, container: Obj) -> bool:
    found = state.containers.get(container["name"])
    return found is not None and (found.has_started if is_sidecar(container) else found.done)


def _started_here(state: PodState, name: str) -> bool:
    """Has this container run in the present sandbox? `done` of earlier sandboxes is forgotten, so are their runs."""
    found = state.containers.get(name)
    return found is not None and (found.running or (state.sandbox and found.started > 0))


def _over(pod: Obj, container: Obj, state: ContainerState | None) -> bool:
    return state is not None and not state.running and state.finished is not None and not should_restart(pod, container, state)


def _failed(state: PodState, container: Obj) -> bool:
    found = state.containers.get(container["name"])
    return found is not None and not found.running and found.finished is not None and found.finished.code != 0


def _deadline(pod: Obj, state: PodState) -> float | None:
    seconds = objects.spec(pod).get("activeDeadlineSeconds")
    if seconds is None or state.start_time is None:
        return None
    return state.start_time + float(seconds)


# running ----------------------------------------------------------------------------------------------------------------------------


def _run(pod: Obj, state: PodState, now: float, planner: _Planner) -> None:
    if not state.volumes_ready:
        _unless_waiting(state.volumes_problem, now, planner, PrepareVolumes())
        return
    if not state.sandbox:
        _unless_waiting(state.sandbox_problem, now, planner, CreateSandbox())
        return
    for unhealthy in [c for c in state.containers.values() if c.running and c.unhealthy]:
        _end(unhealthy, (now if unhealthy.stop_at is None else unhealthy.stop_at) + grace_seconds(pod, state), now, planner)
    initialized = has_initialized(pod, state)
    for container in init_containers(pod):
        if _satisfied_or_start(pod, container, state, now, planner, initialized):
            continue
        if not initialized:
            return
    for container in main_containers(pod):
        found = state.containers.get(container["name"])
        if found is None or not found.running:
            _start(pod, container, state, now, planner)


def _unless_waiting(problem: object, now: float, planner: _Planner, instruction: Instruction) -> None:
    retry_at = getattr(problem, "retry_at", now)
    if retry_at > now:
        planner.at(retry_at)
    else:
        planner.instructions.append(instruction)


def _satisfied_or_start(pod: Obj, container: Obj, state: PodState, now: float, planner: _Planner, initialized: bool) -> bool:
    """True when the next container may go on; otherwise this init container runs or is about to."""
    if _init_satisfied(state, container):
        return True
    if initialized and not is_sidecar(container):
        return True
    found = state.containers.get(container["name"])
    if found is None or not found.running:
        _start(pod, container, state, now, planner)
    return False


def _start(pod: Obj, container: Obj, state: PodState, now: float, planner: _Planner) -> None:
    """Start a container that does not run, as soon as policy, back-off, image and configuration allow it."""
    name = container["name"]
    found = state.containers.get(name) or ContainerState(name)
    if found.finished is not None and not should_restart(pod, container, found) and not _rerun_init(pod, container, found):
        return
    until = found.backing_off_until(now)
    if until is not None:
        planner.at(until)
        if found.finished is not None and found.backoff_reported != found.finished.id:
            planner.instructions.append(BackOff(name, found.backoff))
        return
    if not _image_ready(name, container.get("image") or "", state, now, planner):
        return
    _unless_waiting(found.problem, now, planner, StartContainer(name))


def _rerun_init(pod: Obj, container: Obj, found: ContainerState) -> bool:
    """An init container that succeeded in a sandbox that is gone runs again, whatever the policy."""
    return not found.done and any(c is container for c in init_containers(pod)) and found.finished is not None and found.finished.code == 0


def _image_ready(name: str, image: str, state: PodState, now: float, planner: _Planner) -> bool:
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
    elif not problem.reported:
        planner.instructions.append(BackOffPull(name, image))
    return False


# stopping ---------------------------------------------------------------------------------------------------------------------------


def _stop(pod: Obj, state: PodState, now: float, planner: _Planner) -> None:
    since = now if state.stopping_since is None else state.stopping_since
    deadline = since + grace_seconds(pod, state)
    running = list(_stop_order(pod, state))
    if running:
        for container in running:
            _end(container, deadline, now, planner)
        return
    if state.sandbox:
        planner.instructions.append(RemoveSandbox())
    if state.removed or objects.is_deleting(pod):
        planner.instructions.append(FinishDeletion())


def _stop_order(pod: Obj, state: PodState) -> Iterator[ContainerState]:
    """The containers to end now: all but sidecars together, then sidecars one by one, last first."""
    sidecars = [c["name"] for c in init_containers(pod) if is_sidecar(c)]
    first = [c for c in state.containers.values() if c.running and c.name not in sidecars]
    if first:
        yield from first
        return
    yield from [state.containers[n] for n in reversed(sidecars) if n in state.containers and state.containers[n].running][:1]


def _end(container: ContainerState, deadline: float, now: float, planner: _Planner) -> None:
    if container.stop_at is None:
        planner.instructions.append(StopContainer(container.name))
        planner.at(max(deadline, now + 1.0))
        return
    # A sidecar whose turn comes after the deadline still gets a moment to end by itself.
    kill_at = max(deadline, container.stop_at + 1.0)
    if kill_at > now:
        planner.at(kill_at)
    elif not container.killed:
        planner.instructions.append(KillContainer(container.name))


def grace_seconds(pod: Obj, state: PodState) -> float:
    """How long containers may take to end. Contract: kubelet calculateEffectiveGracePeriod (at least one second)."""
    meta = objects.meta(pod)
    if state.removed and not objects.is_deleting(pod):
        return 1.0
    grace = meta.get("deletionGracePeriodSeconds") if objects.is_deleting(pod) else None
    if grace is None:
        grace = objects.spec(pod).get("terminationGracePeriodSeconds")
    return max(1.0, float(30 if grace is None else grace))
