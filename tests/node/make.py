"""Builders for the node's tests: pods, containers, and facts about them."""

from typing import Any

from lightship.meta.objects import Obj
from lightship.node.pods import instructions, spec, status, sync
from lightship.node.pods.state import PodState, exit_reason

NOW = 1_700_000_000.0
UID = "0a0a0a0a-0000-4000-8000-000000000001"


def container(name: str = "main", **fields: Any) -> Obj:
    return {"name": name, "image": "python:3.12", "command": ["true"], **fields}


def pod(*containers: Obj, inits: list[Obj] | None = None, meta: Obj | None = None, status: Obj | None = None, **fields: Any) -> Obj:
    """A pod that is bound to node `n1`; `fields` are further ones of its spec."""
    body: Obj = {
        "containers": list(containers) or [container()],
        "nodeName": "n1",
        "restartPolicy": "Always",
        "terminationGracePeriodSeconds": 30,
        **fields,
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

    def plan(self) -> instructions.Plan:
        return sync.decide(self.obj, self.state, self.now)

    def settle(self) -> instructions.Plan:
        """Perform instructions until there are none; what was done is in `log`."""
        for _ in range(100):
            plan = self.plan()
            if not plan.instructions:
                return plan
            for instruction in plan.instructions:
                self.perform(instruction)
            if any(isinstance(i, instructions.FinishDeletion) for i in plan.instructions):
                return plan
        raise AssertionError(f"never at rest: {self.log[-5:]}")

    def perform(self, instruction: instructions.Instruction) -> None:
        name = getattr(instruction, "container", "")
        self.log.append(f"{type(instruction).__name__} {name}".strip())
        match instruction:
            case instructions.PrepareVolumes():
                self.state.volumes_ready = True
            case instructions.CreateSandbox():
                self.state.sandbox_created("10.244.0.9")
            case instructions.RemoveSandbox():
                assert not self.state.any_running, "a sandbox was removed under running containers"
                self.state.sandbox_removed()
            case instructions.PullImage(image=image):
                self.state.image_pulled(image, "lightship://env")
            case instructions.StartContainer():
                assert not self.state.container(name).running, "two copies of one container"
                self.runs += 1
                starting = bool(spec.hook(spec.find(self.obj, name), "postStart"))
                self.state.container_started(name, f"run{self.runs}", self.now, starting=starting)
            case instructions.StopContainer():
                if sync.must_stop(self.obj, self.state):
                    self.state.stopping_since = self.state.stopping_since or self.now
                found = self.state.container(name)
                found.stop_at, found.hooking = self.now, bool(spec.hook(spec.find(self.obj, name), "preStop"))
            case instructions.TerminateContainer():
                self.state.container(name).term_at, self.state.container(name).hooking = self.now, False
            case instructions.RestartAll():
                self.state.restarted_all()
            case instructions.KillContainer():
                self.state.container(name).killed = True
            case instructions.BackOff():
                found = self.state.container(name)
                assert found.finished is not None
                found.backoff_reported = found.finished.id
            case instructions.BackOffPull(image=image):
                problem = self.state.image(image).problem
                assert problem is not None
                problem.reported = True
            case instructions.FailPod(reason=reason, message=message):
                self.state.failure = (reason, message)
            case instructions.FinishDeletion():
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
