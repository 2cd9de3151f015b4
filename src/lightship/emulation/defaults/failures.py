"""How emulated nodes and pods fail for those who ask for it by a label: the stages of kwok's chaos set. Pure.

A node or pod that is labelled `node-not-ready.stage.kwok.x-k8s.io: "true"`, `pod-container-running-failed...` or
`pod-init-container-running-failed...` fails after a second; annotations with the same prefix say when, why and which container.
Contract: kwok 0.8.0, kustomize/stage/{node,pod}/chaos.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from lightship.emulation.defaults import nodes
from lightship.emulation.defaults.asked import SUFFIX
from lightship.emulation.play import Deed, Patch, Surroundings
from lightship.meta import times
from lightship.meta.objects import Obj
from lightship.meta.rest import MERGE_PATCH

NODE = f"node-not-ready{SUFFIX}"
CONTAINER = f"pod-container-running-failed{SUFFIX}"
INIT_CONTAINER = f"pod-init-container-running-failed{SUFFIX}"


class PodFailure(NamedTuple):
    """A container of a pod fails, and the pod with it."""

    name: str
    field: str
    reason: str
    message: str
    immediate: bool = False

    def deeds(self, obj: Obj, around: Surroundings) -> Sequence[Deed]:
        annotations = obj["metadata"].get("annotations") or {}
        asked = annotations.get(f"{self.name}/container-name") or ""
        now = times.rfc3339(around.now)
        code = annotations.get(f"{self.name}/exit-code") or "1"
        state: Obj = {
            "exitCode": int(code) if code.lstrip("-").isdigit() else 1,
            "finishedAt": now,
            "reason": annotations.get(f"{self.name}/reason") or self.reason,
            "message": annotations.get(f"{self.name}/message") or self.message,
            "startedAt": now,
        }
        status = obj.get("status") or {}
        false = ("Ready", "ContainersReady") if self.field == "containers" else ("Initialized", "Ready", "ContainersReady")
        kept = [c for c in status.get("conditions") or () if c["type"] not in false]
        told: Obj = {
            "phase": "Failed",
            "conditions": [*kept, *({"type": type, "status": "False", "lastTransitionTime": now} for type in false)],
            **self._containers(obj, asked, state, now),
        }
        return (Patch({"metadata": {"resourceVersion": obj["metadata"]["resourceVersion"]}, "status": told}, MERGE_PATCH, "status"),)

    def _containers(self, pod: Obj, asked: str, state: Obj, now: str) -> Obj:
        done: Obj = {"terminated": {"exitCode": 0, "finishedAt": now, "reason": "Completed", "startedAt": now}}
        init = self.field == "initContainers"
        well = done if init else {"running": {"startedAt": now}}
        named = [
            _container(container, {"terminated": state}, ready=False)
            if not asked or container["name"] == asked
            else _container(container, well, ready=True)
            for container in pod["spec"].get(self.field) or ()
        ]
        if not init:
            return {"containerStatuses": named}
        waiting: Obj = {"waiting": {"reason": "PodInitializing"}}
        rest = [_container(container, waiting, ready=False) for container in pod["spec"]["containers"]]
        return {"initContainerStatuses": named, "containerStatuses": rest}


def _container(container: Obj, state: Obj, *, ready: bool) -> Obj:
    running = "running" in state
    head: Obj = {"name": container["name"], "image": container.get("image", ""), "imageID": "", "restartCount": 0}
    return head | {"ready": ready, "started": running, "state": state}


OF_CONTAINER = PodFailure(CONTAINER, "containers", "containerFailed", "container failed")
OF_INIT_CONTAINER = PodFailure(INIT_CONTAINER, "initContainers", "initContainerError", "initContainer reported errors")


def of_pod(labels: Mapping[str, str], spec: Obj, phase: str) -> PodFailure | None:
    """The failure that a pod in this phase is to suffer."""
    if phase == "Running" and labels.get(CONTAINER) == "true":
        return OF_CONTAINER
    if phase == "Pending" and labels.get(INIT_CONTAINER) == "true" and spec.get("initContainers"):
        return OF_INIT_CONTAINER
    return None


class _NodeFailure:
    name = NODE
    immediate = False

    def deeds(self, obj: Obj, around: Surroundings) -> Sequence[Deed]:
        annotations = obj["metadata"].get("annotations") or {}
        trouble = annotations.get(f"{NODE}/type") or ""
        reason = annotations.get(f"{NODE}/reason") or "nodeFailed"
        message = annotations.get(f"{NODE}/message") or "node failed"
        now = times.rfc3339(around.now)
        told = []
        for condition in nodes.conditions(obj, now):
            if condition["type"] == "Ready":
                condition |= {"status": "False", "reason": reason, "message": message, "lastTransitionTime": now}
            elif condition["type"] == trouble:
                condition |= {"status": "True", "reason": reason, "message": message, "lastTransitionTime": now}
            told.append(condition)
        return (nodes.status_patch(obj, {"conditions": nodes.merged(obj, told)}),)


OF_NODE = _NodeFailure()
