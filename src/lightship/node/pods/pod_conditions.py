"""The conditions of a pod: what this node says of it, beside what others have said.

Pure; called by `status` with the container statuses that are about to be told. Contract: kubelet status/generate.go (reasons, texts),
core/v1 DisruptionTarget, PodResizePending, PodResizeInProgress, AllContainersRestarting; every one says of which generation it speaks.
"""

from collections.abc import Iterable

from lightship.meta import conditions, objects
from lightship.meta.objects import Obj

from . import spec, sync
from .state import PodState

BY_KUBELET = "TerminationByKubelet"
RESIZE_PENDING, RESIZE_IN_PROGRESS = "PodResizePending", "PodResizeInProgress"


def build(pod: Obj, state: PodState, phase: str, inits: list[Obj], mains: list[Obj], now: float) -> list[Obj]:
    """All conditions of the pod's next status."""
    found: list[Obj] = list(objects.status(pod).get("conditions") or ())
    ready = _containers_ready(phase, inits, mains, pod)
    wanted = [
        ("PodReadyToStartContainers", (state.sandbox, "", "")),
        ("Initialized", _initialized(pod, state, phase, inits)),
        ("Ready", _pod_ready(pod, ready)),
        ("ContainersReady", ready),
        ("PodScheduled", (True, "", "")),
    ]
    if any(spec.may_restart_all(c) for c in spec.all_containers(pod)):
        wanted.append(("AllContainersRestarting", _all_restarting(state, phase)))
    if state.disruption:
        wanted.append(("DisruptionTarget", (True, BY_KUBELET, state.disruption)))
    for type, (is_true, reason, message) in wanted:
        found = conditions.set_condition(found, type, is_true, reason, message, now, generation=objects.generation(pod) or None)
    found = _resizing(found, pod, state, phase, now)
    # Unlike metav1.Condition, a pod's leaves out what it has nothing to say about.
    return [{k: v for k, v in c.items() if v != "" or k not in ("reason", "message")} for c in found]


def _resizing(found: list[Obj], pod: Obj, state: PodState, phase: str, now: float) -> list[Obj]:
    """A pod that has what it asks for says nothing of resizes."""
    pending, problem = state.resize_pending, state.resize_problem
    over = phase in ("Succeeded", "Failed")
    restarting = any(c.running and c.unhealthy == "resize" for c in state.containers.values())
    said = {
        RESIZE_PENDING: (pending.reason, pending.message) if pending else None,
        RESIZE_IN_PROGRESS: (problem.reason, problem.message) if problem else ("", "") if restarting or sync.is_resizing(state) else None,
    }
    for type, why in said.items():
        if why is None or over:
            found = [c for c in found if c.get("type") != type]
        else:
            found = conditions.set_condition(found, type, True, *why, now, generation=objects.generation(pod) or None)
    return found


def _all_restarting(state: PodState, phase: str) -> tuple[bool, str, str]:
    if phase in ("Succeeded", "Failed"):
        return False, "PodCompleted" if phase == "Succeeded" else "PodFailed", ""
    if state.restarting_since is None:
        return False, "", ""
    return True, "RestartAllContainersStarted", "container exited with restart policy rule"


def _initialized(pod: Obj, state: PodState, phase: str, inits: list[Obj]) -> tuple[bool, str, str]:
    if phase == "Succeeded":
        return True, "PodCompleted", ""
    pairs = list(zip(spec.init_containers(pod), inits, strict=True))
    incomplete = [s["name"] for c, s in pairs if not s["started" if spec.is_sidecar(c) else "ready"]]
    if not incomplete or sync.has_initialized(pod, state):
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
    texts = [text for gate in gates if (text := _gate(pod, gate))]
    return (False, "ReadinessGatesNotReady", ", ".join(texts)) if texts else (True, "", "")


def _gate(pod: Obj, gate: str) -> str:
    """Why a readiness gate is closed; empty when it is open."""
    found = conditions.get(pod, gate)
    if found is None:
        return f'corresponding condition of pod readiness gate "{gate}" does not exist.'
    if found.get("status") != "True":
        return f'the status of pod readiness gate "{gate}" is not "True", but {found.get("status")}'
    return ""


def _go_list(items: Iterable[str]) -> str:
    return "[" + " ".join(items) + "]"
