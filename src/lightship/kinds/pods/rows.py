"""The row of a Pod in a table: the one word that tells how it is doing, restarts, addresses.

Called by the server through `kinds.PODS`. Contract: kubernetes pkg/printers printPod.
"""

from typing import Any

from lightship.kinds import cells, pods
from lightship.meta import conditions, objects, times
from lightship.meta.objects import Obj

_LOST = "NodeLost"


def row(pod: Obj, now: float) -> list[Any]:
    spec, status = objects.spec(pod), objects.status(pod)
    init = _Initialization(pod)
    if init.reason:
        reason, ready, restarts, last = init.reason, 0, init.restarts, init.last_restart
        ready = init.sidecars_ready
    else:
        reason, ready, restarts, last = _main(pod, init)
    total = len(spec.get("containers") or ()) + sum(map(pods.is_sidecar, spec.get("initContainers") or ()))
    if objects.is_deleting(pod):
        reason = "Unknown" if status.get("reason") == _LOST else reason if pods.is_terminal(pod) else "Terminating"
    shown = f"{restarts} ({times.age(now - last)} ago)" if restarts and last else str(restarts)
    return [
        objects.name(pod),
        f"{ready}/{total}",
        reason,
        shown,
        cells.created(pod, now),
        status.get("podIP") or cells.NONE,
        spec.get("nodeName") or cells.NONE,
        status.get("nominatedNodeName") or cells.NONE,
        _gates(pod),
    ]


def _initial_reason(pod: Obj) -> str:
    status = objects.status(pod)
    scheduled = conditions.get(pod, "PodScheduled") or {}
    if scheduled.get("reason") == "SchedulingGated":
        return "SchedulingGated"
    return status.get("reason") or status.get("phase") or "Unknown"


class _Initialization:
    """How far the init containers are; `reason` is empty once they are done."""

    def __init__(self, pod: Obj) -> None:
        self.reason = ""
        self.restarts = 0
        self.last_restart = 0.0
        self.sidecars_ready = 0
        self.sidecar_restarts = 0
        self.sidecar_last = 0.0
        declared = {c.get("name"): c for c in objects.spec(pod).get("initContainers") or ()}
        for i, status in enumerate(objects.status(pod).get("initContainerStatuses") or ()):
            self._count(status, pods.is_sidecar(declared.get(status.get("name")) or {}))
            if not self._is_done(status, declared):
                self.reason = self._reason(status, i, len(declared))
                break

    def _count(self, status: Obj, sidecar: bool) -> None:
        count, last = status.get("restartCount") or 0, _finished(status)
        self.restarts += count
        self.last_restart = max(self.last_restart, last)
        if sidecar:
            self.sidecar_restarts += count
            self.sidecar_last = max(self.sidecar_last, last)

    def _is_done(self, status: Obj, declared: dict[str | None, Obj]) -> bool:
        state = status.get("state") or {}
        if "terminated" in state:
            return not (state["terminated"] or {}).get("exitCode", 0)
        if pods.is_sidecar(declared.get(status.get("name")) or {}) and status.get("started"):
            self.sidecars_ready += bool(status.get("ready"))
            return True
        return False

    @staticmethod
    def _reason(status: Obj, i: int, total: int) -> str:
        state = status.get("state") or {}
        if state.get("terminated"):
            return "Init:" + _ended(state["terminated"])
        waiting = (state.get("waiting") or {}).get("reason")
        return f"Init:{waiting}" if waiting and waiting != "PodInitializing" else f"Init:{i}/{total}"


def _main(pod: Obj, init: _Initialization) -> tuple[str, int, int, float]:
    """Reason, ready containers, restarts and when the last one was. The first container with something to tell wins."""
    reason = _initial_reason(pod)
    ready, restarts, last = init.sidecars_ready, init.sidecar_restarts, init.sidecar_last
    running = False
    for status in reversed(objects.status(pod).get("containerStatuses") or ()):
        state = status.get("state") or {}
        restarts += status.get("restartCount") or 0
        last = max(last, _finished(status))
        waiting, terminated = (state.get("waiting") or {}).get("reason"), state.get("terminated")
        if waiting:
            reason = waiting
        elif terminated:
            reason = _ended(terminated)
        elif status.get("ready") and state.get("running") is not None:
            running = True
            ready += 1
    if reason == "Completed" and running:
        reason = "Running" if pods.is_ready(pod) else "NotReady"
    return reason, ready, restarts, last


def _ended(terminated: Obj) -> str:
    if terminated.get("reason"):
        return str(terminated["reason"])
    if terminated.get("signal"):
        return f"Signal:{terminated['signal']}"
    return f"ExitCode:{terminated.get('exitCode', 0)}"


def _finished(status: Obj) -> float:
    """When the container's last run ended, 0 if it has not restarted."""
    ended = ((status.get("lastState") or {}).get("terminated") or {}).get("finishedAt")
    return times.parse(ended) if ended else 0.0


def _gates(pod: Obj) -> str:
    gates = objects.spec(pod).get("readinessGates") or []
    if not gates:
        return cells.NONE
    return f"{sum(conditions.is_true(pod, g.get('conditionType') or '') for g in gates)}/{len(gates)}"
