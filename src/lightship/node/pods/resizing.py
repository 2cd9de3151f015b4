"""Resizes pods that run: what their spec asks for now, what they were given, and what their containers really have.

Called by `worker` in every round. Whether there is room is `admission`'s to say; the runtime changes the limits; a container whose
policy wants it is restarted instead (`sync` does that).
Contract: KEP-1287, kubelet allocation manager (texts of events); core/v1 PodResizePending, PodResizeInProgress.
"""

import msgspec

from lightship.meta import objects
from lightship.meta.objects import Obj
from lightship.node.runtimes import enforcement
from lightship.node.runtimes.runtime import ContainerError, Limits

from . import resources, spec
from .state import Problem, again
from .subject import Subject

RETRY = 10.0
"""Seconds until a resize for which there was no room is considered again."""
RESTART = "RestartContainer"


class Resizing:
    """The amounts of one pod."""

    def __init__(self, subject: Subject) -> None:
        self._subject = subject

    def review(self) -> float | None:
        """Give the pod what it asks for, if there is room; returns when to look again. Costs nothing while nothing has changed."""
        state, pod = self._subject.state, self._subject.pod
        if not state.allocated:
            return None
        wanted = asked(pod)
        if all(state.allocated.get(name, amounts) == amounts for name, amounts in wanted.items()):
            state.allocated = wanted
            state.resize_pending = None
            return None
        infeasible = self._subject.node.admitted.never_fits(pod)
        lacking = None if infeasible else self._subject.node.admitted.lacking(pod)
        if infeasible or lacking is not None:
            self._postpone("Infeasible" if infeasible else "Deferred", infeasible or (lacking.message if lacking else ""))
            return self._subject.now() + RETRY if lacking else None
        state.allocated, state.resize_pending, state.resize_problem = wanted, None, None
        self._subject.node.admitted.keep(pod)
        self._tell("Normal", "ResizeStarted", "Pod resize started")
        return None

    def _postpone(self, reason: str, message: str) -> None:
        state = self._subject.state
        if state.resize_pending is None or (state.resize_pending.reason, state.resize_pending.message) != (reason, message):
            self._tell("Warning", f"Resize{reason}", f"Pod resize {reason}", message)
            state.resize_pending = Problem(reason, message, self._subject.now(), self._subject.now() + RETRY)

    async def perform(self) -> None:
        """Bring what runs to what it was given: the pod as a whole has room for both while its containers change."""
        state, runtime = self._subject.state, self._subject.node.runtime
        given = with_amounts(self._subject.pod, state.allocated)
        before = with_amounts(self._subject.pod, {c.name: c.resources for c in state.containers.values() if c.running and c.resources})
        try:
            await runtime.update_sandbox(state.uid, roomier(resources.of_pod(before), resources.of_pod(given)))
            for container in spec.all_containers(given):
                await self._update(given, container)
            await runtime.update_sandbox(state.uid, resources.of_pod(given))
        except ContainerError as error:
            state.resize_problem = again(state.resize_problem, "Error", error.message, self._subject.now())
            self._tell("Warning", "ResizeError", "Pod resize error", error.message)
            return
        state.resize_problem = None
        if not any(c.running and c.unhealthy == "resize" for c in state.containers.values()):
            self._tell("Normal", "ResizeCompleted", "Pod resize completed")

    async def _update(self, pod: Obj, container: Obj) -> None:
        found = self._subject.state.containers.get(container["name"])
        amounts = container.get("resources") or {}
        if found is None or not found.running or found.resources in (None, amounts):
            return
        if needs_restart(container, found.resources or {}):
            found.unhealthy = found.unhealthy or "resize"
            return
        limits = resources.of_container(pod, container, enforcement.machine_memory())
        await self._subject.node.runtime.update(found.id, limits)
        found.resources = amounts

    def _tell(self, type: str, reason: str, what: str, error: str = "") -> None:
        given = [{"name": c["name"], "resources": c.get("resources") or {}} for c in spec.main_containers(self._subject.pod)]
        body: Obj = {"containers": given, "generation": objects.generation(self._subject.pod)}
        if error:
            body["error"] = error
        self._subject.event(type, reason, f"{what}: {msgspec.json.encode(body).decode()}")


def asked(pod: Obj) -> dict[str, Obj]:
    """What each container's spec asks for."""
    return {c["name"]: c.get("resources") or {} for c in spec.all_containers(pod)}


def with_amounts(pod: Obj, amounts: dict[str, Obj]) -> Obj:
    """The pod as if its containers asked for these amounts; nothing is mutated."""
    body = dict(objects.spec(pod))
    for field in ("initContainers", "containers"):
        if body.get(field):
            body[field] = [{**c, "resources": amounts.get(c["name"], c.get("resources") or {})} for c in body[field]]
    return {**pod, "spec": body}


def needs_restart(container: Obj, had: Obj) -> bool:
    """Is one of the amounts that have changed of a kind that this container wants to begin anew for?"""
    has = container.get("resources") or {}
    changed = {
        name
        for side in ("requests", "limits")
        for name in {*(has.get(side) or {}), *(had.get(side) or {})}
        if (has.get(side) or {}).get(name) != (had.get(side) or {}).get(name)
    }
    return any(p.get("resourceName") in changed and p.get("restartPolicy") == RESTART for p in container.get("resizePolicy") or ())


def roomier(one: Limits, other: Limits) -> Limits:
    """Enough for both."""
    cpu = None if one.cpu is None or other.cpu is None else max(one.cpu, other.cpu)
    memory = None if one.memory is None or other.memory is None else max(one.memory, other.memory)
    return msgspec.structs.replace(other, cpu_request=max(one.cpu_request, other.cpu_request), cpu=cpu, memory=memory)
