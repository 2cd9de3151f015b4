"""Everything that happens to one pod on this node, one thing at a time.

The agent makes one `PodWorker` per pod and pokes it when the object, a source of its volumes or one of its processes changed. The
worker asks `sync.decide`, performs what it says, records what came of it, and reports the status when it differs. Image pulls run
beside it, so that a pod can be deleted while its environment is being built. Decides nothing itself.
"""

import asyncio
import logging
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any

import msgspec

from lightship import kinds
from lightship.aio.clock import Clock
from lightship.client import Client
from lightship.control.events import Recorder
from lightship.meta import errors, objects
from lightship.meta.objects import Obj
from lightship.meta.rest import CommandIO, CommandOptions, DeleteOptions

from . import console, containers, env, fetch, hostmode, messages, probes, sources, status, sync, volumes
from .content import Inputs
from .devices import Devices, DevicesExhaustedError
from .env import Command, Surroundings
from .environments import Environment
from .hostmode import AddressPendingError, HostPorts
from .images import Catalogue, ImageError
from .logs import Logs, Position, Run
from .runtime import ContainerError, Exit, Runtime, RuntimeUnavailableError
from .sources import MissingError, Ref
from .state import ContainerState, again, exit_reason, recover
from .volumes import Claims, Policy, VolumeError

log = logging.getLogger(__name__)

WRITE_TRIES = 5
CRASH_PAUSE = 1.0
PROGRESS_SECONDS = 1.0
"""How often a pod's status says how far the building of its environment is."""
"""Seconds before a worker that failed unexpectedly goes on."""


class Node(msgspec.Struct, frozen=True, kw_only=True):
    """What all workers of a node share."""

    client: Client
    clock: Clock
    recorder: Recorder
    runtime: Runtime
    catalogue: Catalogue
    logs: Logs
    devices: Devices
    ports: HostPorts
    pods: Path
    """The directory with a directory for each pod."""
    policy: Policy
    host_ip: str
    api_host: str
    api_port: int
    allocatable: dict[str, str]
    new_id: Callable[[], str]
    services: Callable[[str], list[Obj]]
    """Services of a namespace."""
    neighbours: Callable[[str], list[Obj]]
    """Pods of a namespace, on any node."""


class PodWorker:
    """Owns one pod: its facts, its files, its status."""

    def __init__(self, node: Node, pod: Obj, forget: Callable[["PodWorker"], None]) -> None:
        self.pod = pod
        self.state = recover(pod, node.clock.now())
        self.home = containers.home(node.pods, pod)
        self._node = node
        self._forget = forget
        self._wake = asyncio.Event()
        self._environments: dict[str, Environment] = {}
        self._tokens = fetch.Tokens(node.client, node.clock)
        self._claims = Claims()
        self._sources_changed = False
        self._deletion_sent = False
        self._finished = False
        self._tasks: set[asyncio.Task[None]] = set()
        """Pulls and probers, awaited at the end."""
        self._probers: dict[str, asyncio.Task[None]] = {}

    # told from outside ----------------------------------------------------------------------------------------------------------------

    def changed(self, pod: Obj) -> None:
        """A newer object has arrived."""
        if objects.revision(pod) >= objects.revision(self.pod):
            shown = (objects.labels(pod), objects.annotations(pod))
            self._sources_changed |= shown != (objects.labels(self.pod), objects.annotations(self.pod))
            self.pod = pod
        self._wake.set()

    def removed(self) -> None:
        """The object is gone."""
        self.state.removed = True
        self._wake.set()

    def source_changed(self, ref: Ref) -> None:
        """A ConfigMap or Secret was written; only what this pod refers to matters."""
        if ref in set(self.references()):
            self._sources_changed = True
            now = self._node.clock.now()
            for problem in (self.state.volumes_problem, *(c.problem for c in self.state.containers.values())):
                if problem is not None:
                    problem.retry_at = now
            self._wake.set()

    def neighbour_changed(self) -> None:
        """A pod of the namespace has another address: what waits for one may go on."""
        for container in self.state.containers.values():
            if container.problem is not None and container.problem.reason == status.WAITING_CREATING:
                container.problem.retry_at = self._node.clock.now()
                self._wake.set()

    def exited(self, end: Exit) -> None:
        """A container of this pod has ended; its log is complete."""
        container = next((c for c in self.state.containers.values() if c.id == end.container_id), None)
        if container is None:
            return
        self._stop_probing(container.name)
        spec = self._spec_of(container.name)
        message = messages.termination(spec, self.home.termination(container.name), self._log_of(container), end.code)
        self.state.container_exited(end.container_id, end.code, end.signal, exit_reason(end.code), message, end.finished)
        self._node.logs.changed(self._log_of(container))
        self._wake.set()

    # asked from outside ---------------------------------------------------------------------------------------------------------------

    def references(self) -> Iterator[Ref]:
        """Every ConfigMap and Secret the pod refers to."""
        yield from sources.of_volumes(self.pod)
        for container in self._specs():
            yield from sources.of_container(container)

    async def run_in(self, options: CommandOptions, io: CommandIO) -> int:
        """Run a command in one of the containers, to its end. Raises `StatusError`."""
        state = self._running_state(options.container)
        try:
            return await console.run(self._node.runtime, state.id, options, io)
        except ContainerError as error:
            raise errors.internal(f"error executing command in container: {error.message}") from error

    async def connect(self, port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """A connection to a port of the pod. Raises `OSError`."""
        found: OSError = ConnectionRefusedError()
        for candidate in self._ports_of(port):
            sock = await self._node.runtime.open_socket()
            try:
                await asyncio.get_running_loop().sock_connect(sock, (self.state.ip, candidate))
                return await asyncio.open_connection(sock=sock)
            except OSError as error:
                sock.close()
                found = error
            except BaseException:
                sock.close()
                raise
        raise found

    def _ports_of(self, port: int) -> list[int]:
        """Where a declared port is: in host mode mostly at another one, unless the program chose it by itself."""
        if self._node.runtime.kind != "process":
            return [port]
        return list(dict.fromkeys((self._node.ports.assign(self.pod).get(port, port), port)))

    def _running_state(self, name: str) -> ContainerState:
        state = self.state.containers.get(name)
        if state is None or not state.id or not state.running:
            raise errors.internal(f'unable to upgrade connection: container not found ("{name}")')
        return state

    def running(self, container_id: str) -> bool:
        return any(c.id == container_id and c.running for c in self.state.containers.values())

    def position(self, name: str) -> Position:
        """Where a container stands, for its logs."""
        container = self.state.containers.get(name)
        if container is None or container.starts == 0:
            spec = self._spec_of(name)
            shown = status.container_status(self.pod, spec, self.state, self._node.clock.now())["state"]
            return Position(waiting=(shown.get("waiting") or {}).get("reason", ""))
        newest = Run(self.home.log(name, container.starts - 1), container.id)
        if container.running or container.previous is not None:
            older = Run(self.home.log(name, container.starts - 2), "") if container.starts > 1 else None
        else:
            older = newest if not container.running and self._waits(name) else None
        return Position(current=newest, previous=older)

    def _waits(self, name: str) -> bool:
        shown = status.container_status(self.pod, self._spec_of(name), self.state, self._node.clock.now())
        return "waiting" in shown["state"]

    # working --------------------------------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Work until the pod is gone from this node."""
        if self.state.start_time is None:
            self.state.start_time = self._node.clock.now()
        try:
            while not self._finished:
                try:
                    await self._round()
                except Exception:
                    log.exception("pod worker failed, going on pod=%s", objects.key(self.pod))
                    await self._node.clock.sleep(CRASH_PAUSE)
        finally:
            await self._cancel_tasks()
            self._node.devices.release(self.state.uid)
            self._node.ports.release(self.pod)
            self._forget(self)

    async def _round(self) -> None:
        self._wake.clear()
        plan = sync.decide(self.pod, self.state, self._node.clock.now())
        # Once the API was told, there is nothing to finish before the object is gone (a finalizer may hold it).
        told = self._deletion_sent and not self.state.removed
        instructions = [i for i in plan.instructions if not (told and isinstance(i, sync.FinishDeletion))]
        for instruction in instructions:
            await self._perform(instruction)
        if instructions or self._finished:
            return
        await self._write_status()
        wakes = [w for w in (plan.wake, await self._refresh_volumes()) if w is not None]
        await self._pause(min(wakes, default=None))

    async def _pause(self, until: float | None) -> None:
        if until is None:
            await self._wake.wait()
            return
        try:
            async with asyncio.timeout(max(0.0, until - self._node.clock.now())):
                await self._wake.wait()
        except TimeoutError:
            pass

    async def _perform(self, instruction: sync.Instruction) -> None:
        match instruction:
            case sync.PrepareVolumes():
                await self._prepare_volumes()
            case sync.CreateSandbox():
                await self._create_sandbox()
            case sync.RemoveSandbox():
                await self._node.runtime.remove_sandbox(self.state.uid)
                self.state.sandbox_removed()
            case sync.PullImage(container=name, image=image):
                self._pull_image(name, image)
            case sync.StartContainer(container=name):
                await self._start_container(name)
            case sync.StopContainer(container=name):
                await self._stop_container(name)
            case sync.KillContainer(container=name):
                self.state.container(name).killed = True
                await self._node.runtime.signal(self.state.container(name).id, 9)
            case sync.FinishDeletion():
                await self._finish_deletion()
            case sync.FailPod(reason=reason, message=message):
                self.state.failure = (reason, message)
                self._event("Normal", reason, message)
            case sync.BackOff() | sync.BackOffPull():
                self._tell_back_off(instruction)

    async def _prepare_volumes(self) -> None:
        try:
            await self._write_volumes()
        except VolumeError as error:
            self.state.volumes_problem = again(self.state.volumes_problem, "FailedMount", str(error), self._node.clock.now())
            self._event("Warning", "FailedMount", str(error))
            return
        self.state.volumes_ready, self.state.volumes_problem = True, None

    async def _write_volumes(self) -> None:
        self._sources_changed = False
        client, namespace = self._node.client, objects.namespace(self.pod)
        self._claims = await fetch.claims(client, self.pod, allow_host_path=self._node.policy.allow_host_path)
        inputs = Inputs(
            pod=self.pod,
            found=await fetch.references(client, namespace, sources.of_volumes(self.pod)),
            tokens=await self._tokens.of(self.pod),
            host_ip=self._node.host_ip,
            pod_ip=self.state.ip,
            allocatable=self._node.allocatable,
        )
        volumes.prepare(self.home.volumes, inputs, self._node.policy, self._claims)

    async def _refresh_volumes(self) -> float | None:
        """Bring API-backed volumes up to date; returns when a token must be renewed."""
        if not self.state.volumes_ready or sync.must_stop(self.pod, self.state):
            return None
        renew_at = self._tokens.renew_at
        if self._sources_changed or (renew_at is not None and renew_at <= self._node.clock.now()):
            try:
                await self._write_volumes()
            except VolumeError as error:
                self._event("Warning", "FailedMount", str(error))
                return self._node.clock.now() + 60.0
        return self._tokens.renew_at

    async def _create_sandbox(self) -> None:
        try:
            ip = await self._node.runtime.create_sandbox(containers.sandbox_spec(self.pod, self.home))
        except RuntimeUnavailableError as error:
            self.state.sandbox_problem = again(self.state.sandbox_problem, "FailedCreatePodSandBox", str(error), self._node.clock.now())
            self._event("Warning", "FailedCreatePodSandBox", f"Failed to create pod sandbox: {error}")
            return
        self.state.sandbox_created(ip)
        self._sources_changed = True  # a volume may show the address, which is known only now

    # images ---------------------------------------------------------------------------------------------------------------------------

    def _pull_image(self, name: str, image: str) -> None:
        self.state.image(image).pulling = True
        self._spawn(self._pull(name, image), f"pull {image}")

    async def _pull(self, name: str, image: str) -> None:
        clock, started = self._node.clock, self._node.clock.monotonic()
        told, shown = False, 0.0

        def progress(line: str) -> None:
            nonlocal told, shown
            if not told:
                told = True
                self._event("Normal", "Pulling", f'Pulling image "{image}": {line}', name)
            log.info("image image=%s %s", image, line)
            self.state.image(image).progress = line
            if clock.monotonic() >= shown + PROGRESS_SECONDS:
                shown = clock.monotonic()
                self._wake.set()

        try:
            self._environments[image] = await self._node.catalogue.resolve(image, progress)
        except (ImageError, OSError) as error:
            self.state.image_failed(image, "ErrImagePull", str(error), clock.now())
            self._event("Warning", "Failed", f'Failed to pull image "{image}": {error}', name)
            self._event("Warning", "Failed", "Error: ErrImagePull", name)
        except Exception as error:
            log.exception("image could not be resolved image=%s", image)
            self.state.image_failed(image, "ErrImagePull", f"internal error: {error}", clock.now())
        else:
            took = clock.monotonic() - started
            text = (
                f'Successfully pulled image "{image}" in {took:.3g}s' if told else f'Container image "{image}" already present on machine'
            )
            self._event("Normal", "Pulled", text, name)
            self.state.image_pulled(image, status.ID_PREFIX + self._environments[image].name)
        self._wake.set()

    def _spawn(self, work: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _cancel_tasks(self) -> None:
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    # containers -----------------------------------------------------------------------------------------------------------------------

    async def _start_container(self, name: str) -> None:
        spec, state = self._spec_of(name), self.state.container(name)
        container_id = self._node.new_id()
        try:
            start = await self._resolve(spec, state, container_id)
            messages.prepare(self.home.termination(name))
            await self._node.runtime.start_container(containers.container_spec(self.pod, spec, self.home, start))
        except AddressPendingError as error:
            self.state.container_problem(name, status.WAITING_CREATING, str(error), self._node.clock.now())
        except (MissingError, VolumeError, DevicesExhaustedError, OSError, RuntimeUnavailableError) as error:
            self._cannot_create(name, "CreateContainerConfigError", str(error))
        except ContainerError as error:
            self._cannot_start(name, container_id, error)
        else:
            startup, readiness = probes.has(spec, "startup"), probes.has(spec, "readiness")
            self.state.container_started(name, container_id, self._node.clock.now(), initialized=not startup, ready=not readiness)
            self._start_probing(spec)
            self._event("Normal", "Created", f"Created container: {name}", name)
            self._event("Normal", "Started", f"Started container {name}", name)
            self._drop_old_logs(state)

    async def _resolve(self, spec: Obj, state: ContainerState, container_id: str) -> containers.Start:
        node = self._node
        command = env.resolve(spec, await self._surroundings(spec))
        mounts = volumes.mounts(self.pod, spec, self.home.volumes, command.env, node.policy, self._claims)
        return containers.Start(
            id=container_id,
            run=state.starts,
            command=self._for_host_mode(command) if node.runtime.kind == "process" else command,
            environment=self._environments[spec.get("image") or ""],
            mounts=mounts,
            gpus=node.devices.assign(self.state.uid, spec["name"], containers.gpus_wanted(spec)),
            runtime=node.runtime.kind,
        )

    async def _surroundings(self, spec: Obj) -> Surroundings:
        node, namespace = self._node, objects.namespace(self.pod)
        return Surroundings(
            pod=self.pod,
            found=await fetch.references(node.client, namespace, sources.of_container(spec)),
            services=node.services(namespace),
            api_host=node.api_host,
            api_port=node.api_port,
            host_ip=node.host_ip,
            pod_ip=self.state.ip,
            allocatable=node.allocatable,
        )

    def _for_host_mode(self, command: Command) -> Command:
        names = hostmode.pod_names(self._node.neighbours(objects.namespace(self.pod)))
        ports = self._node.ports.assign(self.pod)
        subdomain = objects.spec(self.pod).get("subdomain") or ""

        def led(texts: list[str]) -> list[str]:
            return [hostmode.rewrite_text(text, names, ports, subdomain) for text in texts]

        return Command(led(command.command), led(command.args), hostmode.rewrite(command.env, names, ports, subdomain))

    def _cannot_create(self, name: str, reason: str, message: str) -> None:
        self.state.container_problem(name, reason, message, self._node.clock.now())
        self._event("Warning", "Failed", f"Error: {message}", name)

    def _cannot_start(self, name: str, container_id: str, error: ContainerError) -> None:
        if error.reason == "SandboxGone":
            self.state.sandbox_removed()
            # Not at once: a sandbox that dies as often as it is made must not keep this machine busy.
            self.state.sandbox_problem = again(None, error.reason, error.message, self._node.clock.now())
            self._event("Normal", "SandboxChanged", "Pod sandbox changed, it will be killed and re-created.")
        elif error.reason == "CreateContainerError":
            self._cannot_create(name, error.reason, error.message)
        else:
            now = self._node.clock.now()
            self.state.container_failed_to_start(name, container_id, error.exit_code, error.reason, error.message, now)
            self._event("Warning", "Failed", f"Error: {error.message}", name)

    def _start_probing(self, spec: Obj) -> None:
        name, node = spec["name"], self._node
        if not any(probes.has(spec, kind) for kind in probes.FIELDS):
            return
        where = probes.Where(
            address=self.state.ip,
            named_ports={port["name"]: int(port["containerPort"]) for port in spec.get("ports") or () if port.get("name")},
            real_ports=node.ports.assign(self.pod) if node.runtime.kind == "process" else {},
            open_socket=node.runtime.open_socket,
        )

        def failed(kind: probes.Kind, why: str) -> None:
            self._event("Warning", "Unhealthy", f"{kind.capitalize()} probe failed: {why}", name)

        def report(kind: probes.Kind, success: bool, why: str) -> None:
            self.state.container_probed(name, kind, success)
            self._wake.set()

        prober = probes.Prober(spec, where, node.clock, report, failed)
        self._probers[name] = self._spawn(prober.run(), f"probes of {name}")

    def _stop_probing(self, name: str) -> None:
        task = self._probers.pop(name, None)
        if task is not None:
            task.cancel()

    async def _stop_container(self, name: str) -> None:
        self._stop_probing(name)
        state, now = self.state.container(name), self._node.clock.now()
        if self.state.stopping_since is None and sync.must_stop(self.pod, self.state):
            self.state.stopping_since = now
        state.stop_at = now
        why = f"Container {name} failed {state.unhealthy} probe, will be restarted" if state.unhealthy else f"Stopping container {name}"
        self._event("Normal", "Killing", why, name)
        await self._node.runtime.signal(state.id, containers.stop_signal(self._spec_of(name)))

    def _tell_back_off(self, instruction: sync.BackOff | sync.BackOffPull) -> None:
        name = instruction.container
        if isinstance(instruction, sync.BackOff):
            state = self.state.container(name)
            state.backoff_reported = state.finished.id if state.finished else ""
            where = f"{objects.name(self.pod)}_{objects.namespace(self.pod)}({self.state.uid})"
            self._event("Warning", "BackOff", f"Back-off restarting failed container {name} in pod {where}", name)
            return
        problem = self.state.image(instruction.image).problem
        if problem is not None:
            problem.reported = True
        self._event("Normal", "BackOff", f'Back-off pulling image "{instruction.image}"', name)
        self._event("Warning", "Failed", "Error: ImagePullBackOff", name)

    # the end --------------------------------------------------------------------------------------------------------------------------

    async def _finish_deletion(self) -> None:
        if self.state.removed:
            self._finished = True
            return
        await self._write_status()
        options = DeleteOptions(grace_period_seconds=0, uid=self.state.uid)
        try:
            key = objects.key(self.pod)
            await self._node.client.delete(kinds.PODS, key.name, key.namespace, options, missing_ok=True)
        except errors.StatusError as error:
            if not errors.is_conflict(error):
                raise
            self.state.removed = True  # another pod has the name by now
        self._deletion_sent = True

    async def _write_status(self) -> None:
        for _ in range(WRITE_TRIES):
            if self.state.removed:
                return
            wanted = status.build(self.pod, self.state, self._node.clock.now(), self._node.host_ip)
            try:
                self.pod = await self._node.client.patch_status(kinds.PODS, self.pod, wanted)
            except errors.StatusError as error:
                if not (errors.is_conflict(error) or errors.is_not_found(error)):
                    raise
                await self._read_again()
            else:
                return

    async def _read_again(self) -> None:
        key = objects.key(self.pod)
        found = await self._node.client.get_or_none(kinds.PODS, key.name, key.namespace)
        if found is None or objects.uid(found) != self.state.uid:
            self.state.removed = True
        else:
            self.pod = found

    # small things ---------------------------------------------------------------------------------------------------------------------

    def _specs(self) -> list[Obj]:
        return [*sync.init_containers(self.pod), *sync.main_containers(self.pod)]

    def _spec_of(self, name: str) -> Obj:
        return next(c for c in self._specs() if c["name"] == name)

    def _log_of(self, container: ContainerState) -> Path:
        return self.home.log(container.name, max(0, container.starts - 1))

    def _drop_old_logs(self, container: ContainerState) -> None:
        """The present run and the one before are kept. Contract: kubelet MaxPerPodContainerCount = 1."""
        if container.starts > 2:
            self.home.log(container.name, container.starts - 3).unlink(missing_ok=True)

    def _event(self, type: str, reason: str, message: str, container: str = "") -> None:
        field = ""
        if container:
            init = any(c["name"] == container for c in sync.init_containers(self.pod))
            field = f"spec.{'initContainers' if init else 'containers'}{{{container}}}"
        self._node.recorder.event(self.pod, "Warning" if type == "Warning" else "Normal", reason, message, field_path=field)
