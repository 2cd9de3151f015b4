"""Everything that happens to one pod on this node, one thing at a time.

The agent makes one `PodWorker` per pod and pokes it when the object, a source of its volumes or one of its processes changed. The
worker asks `sync.decide`, performs what it says, records what came of it, and reports the status when it differs. Image pulls run
beside it, so that a pod can be deleted while its environment is being built. Decides nothing itself.
"""

import asyncio
import contextlib
import logging
from collections.abc import Callable

from lightship import kinds
from lightship.meta import errors, objects
from lightship.meta.objects import Obj
from lightship.meta.rest import DeleteOptions
from lightship.node.inputs.sources import Ref
from lightship.node.machine.devices.desk import AllocationError, ClaimError
from lightship.node.runtimes.runtime import Exit, RuntimeUnavailableError

from . import admission, containers, instructions, messages, spec, status, sync
from .asking import Asking
from .filling import Filling
from .hooks import Hooks
from .jumps import Jumps, moved
from .preparing import Preparing
from .probing import Probing
from .pulling import Pulling
from .resizing import Resizing, asked
from .starting import Starting
from .state import PodState, again, exit_reason
from .stopping import Stopping
from .subject import Node, Subject

log = logging.getLogger(__name__)

WRITE_TRIES = 5
CRASH_PAUSE = 1.0
"""Seconds before a worker that failed unexpectedly goes on."""


class PodWorker:
    """Owns one pod: its facts, its files, its status."""

    def __init__(self, node: Node, pod: Obj, forget: Callable[["PodWorker"], None]) -> None:
        self.subject = Subject(node, pod)
        self.asking = Asking(self.subject)
        self._forget = forget
        self._filling = Filling(self.subject)
        self._preparing = Preparing(self.subject)
        self._pulling = Pulling(self.subject)
        self._probing = Probing(self.subject)
        self._hooks = Hooks(self.subject)
        self._starting = Starting(self.subject, self._probing, self._hooks)
        self._stopping = Stopping(self.subject, self._probing, self._hooks)
        self._resizing = Resizing(self.subject)
        self.told = asyncio.Event()
        """Set when the API knows that the pod has ended."""
        self._deletion_sent = False
        self._finished = False
        self._jumps = Jumps(node.clock)

    @property
    def pod(self) -> Obj:
        return self.subject.pod

    @property
    def state(self) -> PodState:
        return self.subject.state

    # told from outside ----------------------------------------------------------------------------------------------------------------

    def changed(self, pod: Obj) -> None:
        """A newer object has arrived."""
        if objects.revision(pod) >= objects.revision(self.pod):
            shown = (objects.labels(pod), objects.annotations(pod))
            self._filling.stale |= shown != (objects.labels(self.pod), objects.annotations(self.pod))
            self.subject.pod = pod
        self.subject.wake()

    def removed(self) -> None:
        """The object is gone."""
        self.state.removed = True
        self.subject.wake()

    def end(self, reason: str, message: str, grace: float) -> None:
        """This node ends the pod, which could have gone on, within `grace` seconds."""
        self.state.failure, self.state.failure_grace, self.state.disruption = (reason, message), grace, message
        self.subject.wake()

    def source_changed(self, ref: Ref) -> None:
        """A ConfigMap or Secret was written; only what this pod refers to matters."""
        if ref in set(self.subject.references()):
            self._filling.stale = True
            now = self.subject.now()
            for problem in (self.state.volumes_problem, *(c.problem for c in self.state.containers.values())):
                if problem is not None:
                    problem.retry_at = now
            self.subject.wake()

    def neighbour_changed(self) -> None:
        """A pod of the namespace has another address: what waits for one may go on."""
        for container in self.state.containers.values():
            if container.problem is not None and container.problem.reason == status.WAITING_CREATING:
                container.problem.retry_at = self.subject.now()
                self.subject.wake()

    def devices_changed(self) -> None:
        """A driver has come, which a claim may have waited for, or tells something new of its devices."""
        problem = self.state.devices_problem or self.state.release_problem
        if problem is not None:
            problem.retry_at = self.subject.now()
            self.subject.wake()
        for container in [c for c in self.state.containers.values() if c.running and c.devices]:
            with contextlib.suppress(ClaimError):
                told = self.subject.node.desk.health(self.pod, self.subject.spec_of(container.name))
                if told != container.devices:
                    container.devices = told
                    self.subject.wake()

    def exited(self, end: Exit) -> None:
        """A container of this pod has ended; its log is complete."""
        container = next((c for c in self.state.containers.values() if c.id == end.container_id), None)
        if container is None:
            return
        self._probing.stop(container.name)
        self._hooks.cancel(container.name)
        found = self.subject.spec_of(container.name)
        message = messages.termination(found, self.subject.home.termination(container.name), self.subject.log_of(container), end.code)
        self.state.container_exited(end.container_id, end.code, end.signal, end.reason or exit_reason(end.code), message, end.finished)
        if spec.rule_for(found, end.code) == spec.RESTART_ALL and self.state.restarting_since is None:
            self.state.restarting_since = end.finished
        self.subject.node.logs.changed(self.subject.log_of(container))
        self.subject.wake()

    # working --------------------------------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Work until the pod is gone from this node."""
        for container in self.subject.specs():
            found = self.state.containers.get(container["name"])
            if found is not None and found.running:
                self._probing.start(container)  # it has outlived another agent
        try:
            while not self._finished:
                try:
                    if not self.state.admitted or not self.state.allocated:
                        await self._admit()
                    await self._round()
                except Exception:
                    log.exception("pod worker failed, going on pod=%s", objects.key(self.pod))
                    await self.subject.node.clock.sleep(CRASH_PAUSE)
        finally:
            await self.subject.cancel_tasks()
            self.subject.node.admitted.release(self.state.uid)
            if self._finished:  # not when only the platform pauses
                self.subject.node.desk.release(self.state.uid)
            self.subject.node.ports.release(self.pod)
            self._forget(self)

    async def _admit(self) -> None:
        """The last look before anything is made; a pod that has been here before is taken as it is."""
        self.state.allocated = asked(self.pod)
        admitted = self.subject.node.admitted
        if self.state.admitted or sync.must_stop(self.pod, self.state):
            self.state.admitted = True
            if not self.state.rejected:
                admitted.keep(self.pod)
            return
        node: Obj | None = None
        if admission.asks_for_node(self.pod):
            node = await self.subject.node.client.get_or_none(kinds.NODES, str(objects.spec(self.pod).get("nodeName")))
        refusal = admitted.admit(self.pod, node or {}) or await self._assign()
        if refusal is not None:
            self.state.rejected_as(refusal.reason, refusal.message)
            self.subject.event("Warning", refusal.reason, refusal.message)
            return
        self.state.admitted = True
        self.state.start_time = self.subject.now()

    async def _assign(self) -> admission.Refusal | None:
        """Its extended resources."""
        try:
            await self.subject.node.desk.admit(self.pod)
        except AllocationError as error:
            self.subject.node.admitted.release(self.state.uid)
            return admission.Refusal(admission.UNEXPECTED, str(error))
        return None

    async def _round(self) -> None:
        self.subject.woken.clear()
        if jump := self._jumps.look():
            log.warning("the machine's clock was set by %.1f s pod=%s", jump, objects.key(self.pod))
            moved(self.state, jump)
            self._filling.clock_was_set()
        look_again = self._resizing.review()
        if sync.must_stop(self.pod, self.state) and not self.state.any_running:
            self.subject.node.admitted.release(self.state.uid)  # before others can hear of it
            self.subject.node.desk.release(self.state.uid)
        plan = sync.decide(self.pod, self.state, self.subject.now())
        # Once the API was told, there is nothing to finish before the object is gone (a finalizer may hold it).
        told = self._deletion_sent and not self.state.removed
        steps = [i for i in plan.instructions if not (told and isinstance(i, instructions.FinishDeletion))]
        for step in steps:
            await self._perform(step)
        if steps or self._finished:
            return
        await self._write_status()
        wakes = [w for w in (plan.wake, look_again, await self._filling.refresh()) if w is not None]
        await self._pause(min(wakes, default=None))

    async def _pause(self, until: float | None) -> None:
        if until is None:
            await self.subject.woken.wait()
            return
        try:
            async with asyncio.timeout(max(0.0, until - self.subject.now())):
                await self.subject.woken.wait()
        except TimeoutError:
            pass

    async def _perform(self, instruction: instructions.Instruction) -> None:
        match instruction:
            case instructions.PrepareVolumes():
                await self._filling.prepare()
            case instructions.PrepareDevices():
                await self._preparing.prepare()
            case instructions.ReleaseDevices():
                await self._preparing.release()
            case instructions.CreateSandbox():
                await self._create_sandbox()
            case instructions.RemoveSandbox():
                await self._remove_sandbox()
            case instructions.PullImage(container=name, image=image):
                self._pulling.start(name, image)
            case instructions.StartContainer(container=name):
                await self._starting.start(name)
            case instructions.StopContainer() | instructions.TerminateContainer() | instructions.KillContainer():
                await self._stopping.perform(instruction)
            case instructions.FinishDeletion():
                await self._finish_deletion()
            case instructions.ResizePod():
                await self._resizing.perform()
            case _:
                self._record(instruction)

    def _record(self, instruction: instructions.Instruction) -> None:
        """What needs nobody else to be done."""
        match instruction:
            case instructions.RestartAll():
                self.state.restarted_all()
            case instructions.FailPod(reason=reason, message=message):
                self.state.failure = (reason, message)
                self.subject.event("Normal", reason, message)
            case instructions.BackOff() | instructions.BackOffPull():
                self._tell_back_off(instruction)

    async def _create_sandbox(self) -> None:
        try:
            ip = await self.subject.node.runtime.create_sandbox(containers.sandbox_spec(self.pod, self.subject.home, self.subject.memory()))
        except RuntimeUnavailableError as error:
            self.state.sandbox_problem = again(self.state.sandbox_problem, "FailedCreatePodSandBox", str(error), self.subject.now())
            self.subject.event("Warning", "FailedCreatePodSandBox", f"Failed to create pod sandbox: {error}")
            return
        self.state.sandbox_created(ip)
        self._filling.stale = True  # a volume may show the address, which is known only now

    async def _remove_sandbox(self) -> None:
        """The API hears first how the pod has ended: what the sandbox knows of that goes with it, also should we be killed meanwhile."""
        if sync.must_stop(self.pod, self.state) and not (self.state.removed or objects.is_deleting(self.pod)):
            self.state.sandbox = False
            try:
                await self._write_status()
            finally:
                self.state.sandbox = True
        await self.subject.node.runtime.remove_sandbox(self.state.uid)
        self.state.sandbox_removed()

    def _tell_back_off(self, instruction: instructions.BackOff | instructions.BackOffPull) -> None:
        name = instruction.container
        if isinstance(instruction, instructions.BackOff):
            state = self.state.container(name)
            state.backoff_reported = state.finished.id if state.finished else ""
            where = f"{objects.name(self.pod)}_{objects.namespace(self.pod)}({self.state.uid})"
            self.subject.event("Warning", "BackOff", f"Back-off restarting failed container {name} in pod {where}", name)
            return
        problem = self.state.image(instruction.image).problem
        if problem is not None:
            problem.reported = True
        self.subject.event("Normal", "BackOff", f'Back-off pulling image "{instruction.image}"', name)
        self.subject.event("Warning", "Failed", "Error: ImagePullBackOff", name)

    # the end --------------------------------------------------------------------------------------------------------------------------

    async def _finish_deletion(self) -> None:
        if self.state.removed:
            self._finished = True
            return
        await self._write_status()
        options = DeleteOptions(grace_period_seconds=0, uid=self.state.uid)
        try:
            key = objects.key(self.pod)
            await self.subject.node.client.delete(kinds.PODS, key.name, key.namespace, options, missing_ok=True)
        except errors.StatusError as error:
            if not errors.is_conflict(error):
                raise
            self.state.removed = True  # another pod has the name by now
        self._deletion_sent = True

    async def _write_status(self) -> None:
        for _ in range(WRITE_TRIES):
            if self.state.removed:
                return
            wanted = status.build(self.pod, self.state, self.subject.now(), self.subject.node.host_ip)
            try:
                self.subject.pod = await self.subject.node.client.patch_status(kinds.PODS, self.pod, wanted)
            except errors.StatusError as error:
                if not (errors.is_conflict(error) or errors.is_not_found(error)):
                    raise
                await self._read_again()
            else:
                if wanted["phase"] in ("Succeeded", "Failed"):
                    self.told.set()
                return

    async def _read_again(self) -> None:
        key = objects.key(self.pod)
        try:
            found = await self.subject.node.client.get_or_none(kinds.PODS, key.name, key.namespace)
        except errors.StatusError as error:
            if not errors.is_forbidden(error):
                raise
            found = None  # a node may read its own pods only: there is none of that name
        if found is None or objects.uid(found) != self.state.uid:
            self.state.removed = True
        else:
            self.subject.pod = found
