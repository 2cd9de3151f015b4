"""The part of the pure core that ends containers: in what order, after which hooks, and when patience is over.

Called by `sync` alone. Contract: kubelet killContainer (hook, order of sidecars, a last moment), calculateEffectiveGracePeriod.
"""

from lightship.meta import objects
from lightship.meta.objects import Obj

from . import spec
from .instructions import FinishDeletion, KillContainer, Planner, ReleaseDevices, RemoveSandbox, StopContainer, TerminateContainer
from .state import ContainerState, PodState

LAST_MOMENT = 2.0
"""Seconds between the signal and the kill, however late the signal comes."""


def stop(pod: Obj, state: PodState, now: float, planner: Planner) -> None:
    """End everything, then give back what the pod has."""
    since = now if state.stopping_since is None else state.stopping_since
    deadline = since + grace_seconds(pod, state)
    if state.any_running:
        end_all(pod, state, deadline, now, planner)
        return
    if state.sandbox:
        planner.instructions.append(RemoveSandbox())
    if state.devices_held:
        problem = state.release_problem
        if problem is None or problem.retry_at <= now:
            planner.instructions.append(ReleaseDevices())
        else:
            planner.at(problem.retry_at)
        return  # a pod has not ended while a driver may still be at work for it
    if state.removed or objects.is_deleting(pod):
        planner.instructions.append(FinishDeletion())


def end_all(pod: Obj, state: PodState, deadline: float, now: float, planner: Planner) -> None:
    """All but sidecars together, then sidecars one by one, last first; each has run its hook as soon as the ending began."""
    sidecars = [c["name"] for c in spec.init_containers(pod) if spec.is_sidecar(c)]
    first = [c for c in state.containers.values() if c.running and c.name not in sidecars]
    last = [state.containers[n] for n in reversed(sidecars) if n in state.containers and state.containers[n].running]
    turn = first or last[:1]
    for container in [*first, *last]:
        end(pod, container, deadline, now, planner, its_turn=any(container is c for c in turn))


def end(pod: Obj, container: ContainerState, deadline: float, now: float, planner: Planner, *, its_turn: bool = True) -> None:
    """The next step of one container's end."""
    if container.stop_at is None:
        if its_turn or spec.hook(spec.find(pod, container.name), "preStop"):
            planner.instructions.append(StopContainer(container.name, max(0.0, deadline - now)))
        planner.at(max(deadline, now))
        return
    if container.term_at is None:
        if deadline <= now or (its_turn and not container.hooking):
            planner.instructions.append(TerminateContainer(container.name))
        else:
            planner.at(deadline)
        return
    kill_at = max(deadline, container.term_at + LAST_MOMENT)
    if kill_at > now:
        planner.at(kill_at)
    elif not container.killed:
        planner.instructions.append(KillContainer(container.name))


def grace_seconds(pod: Obj, state: PodState) -> float:
    """How long containers may take to end. Contract: kubelet calculateEffectiveGracePeriod (at least one second)."""
    if state.failure_grace is not None:
        return max(1.0, state.failure_grace)
    if state.removed and not objects.is_deleting(pod):
        return 1.0
    grace = objects.meta(pod).get("deletionGracePeriodSeconds") if objects.is_deleting(pod) else None
    if grace is None:
        grace = objects.spec(pod).get("terminationGracePeriodSeconds")
    return max(1.0, float(30 if grace is None else grace))


def grace_of_unhealthy(pod: Obj, container: ContainerState) -> float:
    """How long a container may take that has to make room for a better one; a probe may say so itself."""
    probe = spec.find(pod, container.name).get(f"{container.unhealthy}Probe") or {}
    own = probe.get("terminationGracePeriodSeconds")
    if own is None:
        own = objects.spec(pod).get("terminationGracePeriodSeconds")
    return float(30 if own is None else own)
