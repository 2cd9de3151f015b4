"""Builders for the node's tests: pods, containers, and facts about them."""

from typing import Any

from lightship.meta.objects import Obj
from lightship.node.pods import status, sync
from lightship.node.pods.state import PodState, exit_reason

NOW = 1_700_000_000.0
UID = "0a0a0a0a-0000-4000-8000-000000000001"


def container(name: str = "main", **spec: Any) -> Obj:
    return {"name": name, "image": "python:3.12", "command": ["true"], **spec}


def pod(*containers: Obj, inits: list[Obj] | None = None, meta: Obj | None = None, status: Obj | None = None, **spec: Any) -> Obj:
    """A pod that is bound to node `n1`; `spec` are further fields of its spec."""
    body: Obj = {
        "containers": list(containers) or [container()],
        "nodeName": "n1",
        "restartPolicy": "Always",
        "terminationGracePeriodSeconds": 30,
        **spec,
    }
    if inits:
        body["initContainers"] = inits
    metadata = {"name": "p", "namespace": "default", "uid": UID, "resourceVersion": "1", "generation": 1, **(meta or {})}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": body, "status": status or {"phase": "Pending"}}


def sidecar(name: str = "side") -> Obj:
    return container(name, restartPolicy="Always")


def deleting(grace: int = 30) -> Obj:
    return {"deletionTimestamp": "2023-11-14T22:13:50Z", "deletionGracePeriodSeconds": grace}


class Pod:
    """A pod and its facts, driven by hand: performs what `sync.decide` says as if everything worked."""

    def __init__(self, obj: Obj, state: PodState | None = None, now: float = NOW) -> None:
        self.obj = obj
        self.state = state or PodState(uid=UID, start_time=now)
        self.now = now
        self.runs = 0
        self.log: list[str] = []

    def plan(self) -> sync.Plan:
        return sync.decide(self.obj, self.state, self.now)

    def settle(self) -> sync.Plan:
        """Perform instructions until there are none; what was done is in `log`."""
        for _ in range(100):
            plan = self.plan()
            if not plan.instructions:
                return plan
            for instruction in plan.instructions:
                self.perform(instruction)
            if any(isinstance(i, sync.FinishDeletion) for i in plan.instructions):
                return plan
        raise AssertionError(f"never at rest: {self.log[-5:]}")

    def perform(self, instruction: sync.Instruction) -> None:
        name = getattr(instruction, "container", "")
        self.log.append(f"{type(instruction).__name__} {name}".strip())
        match instruction:
            case sync.PrepareVolumes():
                self.state.volumes_ready = True
            case sync.CreateSandbox():
                self.state.sandbox_created("10.244.0.9")
            case sync.RemoveSandbox():
                assert not self.state.any_running, "a sandbox was removed under running containers"
                self.state.sandbox_removed()
            case sync.PullImage(image=image):
                self.state.image_pulled(image, "lightship://env")
            case sync.StartContainer():
                assert not self.state.container(name).running, "two copies of one container"
                self.runs += 1
                self.state.container_started(name, f"run{self.runs}", self.now)
            case sync.StopContainer():
                self.state.stopping_since = self.state.stopping_since or self.now
                self.state.container(name).stop_at = self.now
            case sync.KillContainer():
                self.state.container(name).killed = True
            case sync.BackOff():
                found = self.state.container(name)
                assert found.finished is not None
                found.backoff_reported = found.finished.id
            case sync.BackOffPull(image=image):
                problem = self.state.image(image).problem
                assert problem is not None
                problem.reported = True
            case sync.FailPod(reason=reason, message=message):
                self.state.failure = (reason, message)
            case sync.FinishDeletion():
                pass

    def exit(self, name: str = "main", code: int = 0, signal: int = 0, message: str = "") -> None:
        found = self.state.container(name)
        assert found.running, f"{name} does not run"
        self.state.container_exited(found.id, code, signal, exit_reason(code), message, self.now)

    def status(self) -> Obj:
        """What would be reported now; the object carries it on, as in the API."""
        found = status.build(self.obj, self.state, self.now, "127.0.0.1")
        self.obj = {**self.obj, "status": found}
        return found

    @property
    def phase(self) -> str:
        return str(self.status()["phase"])

    def conditions(self) -> dict[str, str]:
        return {c["type"]: c["status"] for c in self.status()["conditions"]}

    def container_state(self, name: str = "main") -> Obj:
        found = self.status()
        listed = [*found.get("initContainerStatuses", []), *found["containerStatuses"]]
        state: Obj = next(c for c in listed if c["name"] == name)
        return state
