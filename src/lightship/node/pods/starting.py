"""Starts containers of one pod: everything resolved, the runtime asked, the outcome recorded and told.

Called by `worker` for `sync.StartContainer`. What the runtime is asked for is built in `containers`, purely.
"""

from pathlib import Path

from lightship.meta import objects
from lightship.meta.objects import Obj
from lightship.node.inputs import downloads, env, envfiles, fetch, mounts, sources
from lightship.node.inputs.env import Command, Surroundings
from lightship.node.inputs.sources import MissingError
from lightship.node.inputs.volumes import VolumeError
from lightship.node.machine.devices.desk import CdiError, ClaimError, PluginError
from lightship.node.network import hostmode
from lightship.node.network.hostmode import AddressPendingError
from lightship.node.runtimes import logfiles
from lightship.node.runtimes.runtime import ContainerError, RuntimeUnavailableError

from . import containers, messages, probes, security, spec, status
from .hooks import Hooks
from .probing import Probing
from .security import ForbiddenError
from .state import ContainerState, again
from .subject import Subject


class Starting:
    """Starts of one pod's containers."""

    def __init__(self, subject: Subject, probing: Probing, hooks: Hooks) -> None:
        self._subject = subject
        self._probing = probing
        self._hooks = hooks

    async def start(self, name: str) -> None:
        container, state = self._subject.spec_of(name), self._subject.state.container(name)
        container_id = self._subject.node.new_id()
        try:
            start = await self._resolve(container, state, container_id)
            messages.prepare(self._subject.home.termination(name))
            given = {**container, "resources": self._subject.state.allocated.get(name, container.get("resources") or {})}
            wanted = containers.container_spec(self._subject.pod, given, self._subject.home, start)
            await self._subject.node.runtime.start_container(wanted)
        except AddressPendingError as error:
            self._subject.state.container_problem(name, status.WAITING_CREATING, str(error), self._subject.now())
        except (MissingError, VolumeError, ClaimError, CdiError, PluginError, ForbiddenError, OSError, RuntimeUnavailableError) as error:
            self._cannot_create(name, "CreateContainerConfigError", str(error))
        except ContainerError as error:
            self._cannot_start(name, container_id, error)
        else:
            state.devices = self._subject.node.desk.health(self._subject.pod, container)
            state.user, state.resources = security.user_status(wanted.security), given["resources"]
            self._started(container, container_id)
            self._drop_old_logs(state)

    def _started(self, container: Obj, container_id: str) -> None:
        """It runs; where there is a postStart hook, nobody is told before that has succeeded."""
        name, hook = container["name"], spec.hook(container, "postStart")
        self._subject.state.container_started(
            name,
            container_id,
            self._subject.now(),
            initialized=not probes.has(container, "startup"),
            ready=not probes.has(container, "readiness"),
            starting=bool(hook),
        )
        self._subject.event("Normal", "Created", "Container created", name)
        self._subject.event("Normal", "Started", "Container started", name)
        if hook:
            self._hooks.start(name, "postStart", lambda success: self._hooked(container, success))
        else:
            self._probing.start(container)

    def _hooked(self, container: Obj, success: bool) -> None:
        self._subject.state.container_hooked(container["name"], success)
        if success:
            self._probing.start(container)

    async def _resolve(self, container: Obj, state: ContainerState, container_id: str) -> containers.Start:
        node = self._subject.node
        await node.desk.prepare_start(self._subject.pod, container)
        command = env.resolve(container, await self._surroundings(container))
        shown = mounts.of(
            self._subject.pod,
            container,
            self._subject.home.volumes,
            command.env,
            self._subject.claims,
            self._image_volumes(),
            node.policy.machine,
        )
        environment = self._subject.environments[container.get("image") or ""]
        shown += downloads.mounts(environment, node.downloads, objects.namespace(self._subject.pod), shown)
        return containers.Start(
            id=container_id,
            run=state.starts,
            command=self._for_host_mode(command) if node.runtime.kind == "process" else command,
            environment=environment,
            mounts=shown,
            target=self._target(container.get("targetContainerName") or ""),
            devices=node.desk.edits(self._subject.pod, container),
            runtime=node.runtime.kind,
        )

    def _target(self, name: str) -> str:
        """Id of the container whose processes an ephemeral one wants to see."""
        found = self._subject.state.containers.get(name)
        if name and (found is None or not found.running):
            raise MissingError(f'unable to find target container "{name}"')
        return found.id if found is not None else ""

    def _image_volumes(self) -> dict[str, Path]:
        """Where the image volumes are whose images were pulled."""
        pulled, catalogue = self._subject.environments, self._subject.node.catalogue
        volumes = spec.image_volumes(self._subject.pod)
        return {name: catalogue.files(pulled[image]) for name, image in volumes.items() if image in pulled}

    async def _surroundings(self, container: Obj) -> Surroundings:
        node, namespace = self._subject.node, objects.namespace(self._subject.pod)
        return Surroundings(
            pod=self._subject.pod,
            found=await fetch.references(node.client, namespace, sources.of_container(container)),
            services=node.services(namespace),
            api_host=node.api_host,
            api_port=node.api_port,
            host_ip=node.host_ip,
            pod_ip=self._subject.state.ip,
            allocatable=node.allocatable,
            file=lambda volume, path: envfiles.read(self._subject.home.volumes / volume, path),
        )

    def _for_host_mode(self, command: Command) -> Command:
        names = hostmode.pod_names(self._subject.node.neighbours(objects.namespace(self._subject.pod)))
        ports = self._subject.node.ports.assign(self._subject.pod)
        subdomain = objects.spec(self._subject.pod).get("subdomain") or ""

        def led(texts: list[str]) -> list[str]:
            return [hostmode.rewrite_text(text, names, ports, subdomain) for text in texts]

        env = {name: hostmode.through(value, self._subject.node.doors) for name, value in command.env.items()}
        return Command(led(command.command), led(command.args), hostmode.rewrite(env, names, ports, subdomain))

    def _cannot_create(self, name: str, reason: str, message: str) -> None:
        self._subject.state.container_problem(name, reason, message, self._subject.now())
        self._subject.event("Warning", "Failed", f"Error: {message}", name)

    def _cannot_start(self, name: str, container_id: str, error: ContainerError) -> None:
        if error.reason == "SandboxGone":
            self._subject.state.sandbox_removed()
            # Not at once: a sandbox that dies as often as it is made must not keep this machine busy.
            self._subject.state.sandbox_problem = again(None, error.reason, error.message, self._subject.now())
            self._subject.event("Normal", "SandboxChanged", "Pod sandbox changed, it will be killed and re-created.")
        elif error.reason in ("CreateContainerError", "CreateContainerConfigError"):
            self._cannot_create(name, error.reason, error.message)
        else:
            now = self._subject.now()
            self._subject.state.container_failed_to_start(name, container_id, error.exit_code, error.reason, error.message, now)
            self._subject.event("Warning", "Failed", f"Error: {error.message}", name)

    def _drop_old_logs(self, container: ContainerState) -> None:
        """The present run and the one before are kept. Contract: kubelet MaxPerPodContainerCount = 1."""
        if container.starts > 2:
            logfiles.remove(str(self._subject.home.log(container.name, container.starts - 3)))
