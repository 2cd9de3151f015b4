"""What the agent asks a runtime for: sandbox and container specs built from a pod and everything resolved around it.

Pure. Called by `worker` right before a sandbox or container is made. Paths of a pod's files on the host are decided here too (`Home`).
Contract: kubelet generateRunContainerOptions; CRI-like logs below `<pods>/<namespace>_<name>_<uid>/<container>/<restart>.log`.
"""

import os
import signal
from collections.abc import Sequence
from pathlib import Path

import msgspec

from lightship.kinds import pods
from lightship.meta import objects
from lightship.meta.objects import Obj
from lightship.node.images.environments import Environment
from lightship.node.inputs.env import Command
from lightship.node.machine.devices import edits
from lightship.node.machine.devices.edits import Edits
from lightship.node.network import facts as network
from lightship.node.runtimes import enforcement, layout
from lightship.node.runtimes.runtime import ContainerSpec, Mount, SandboxSpec, Security, Tmpfs

from . import resources, security, warming

PROFILES = "seccomp"
"""Folder of a node's data directory that `localhostProfile` names files of."""
TERMINATION_PATH = "/dev/termination-log"


class Home(msgspec.Struct, frozen=True):
    """A pod's directory on the host. Only names of containers have no leading dot."""

    directory: Path

    @property
    def volumes(self) -> Path:
        return self.directory / ".volumes"

    @property
    def sandbox(self) -> Path:
        return self.directory / ".sandbox"

    def log(self, container: str, run: int) -> Path:
        """The log of one run; runs count from 0, as restartCount does."""
        return self.directory / container / f"{run}.log"

    def termination(self, container: str) -> Path:
        return self.directory / ".termination" / container


def home(pods: Path, pod: Obj) -> Home:
    key = objects.key(pod)
    return Home(pods / f"{key.namespace}_{key.name}_{objects.uid(pod)}")


def hostname(pod: Obj) -> str:
    """What the pod calls itself; a subdomain makes it fully qualified only when asked to."""
    spec = objects.spec(pod)
    if spec.get("hostNetwork") and spec.get("nodeName"):
        return str(spec["nodeName"])
    short = spec.get("hostname") or objects.name(pod)
    if spec.get("setHostnameAsFQDN") and spec.get("subdomain"):
        return f"{short}.{_domain(pod)}"
    return str(short)[:63].rstrip("-.")


def _domain(pod: Obj) -> str:
    """Below which name the pod has one of its own."""
    subdomain = objects.spec(pod).get("subdomain")
    return f"{subdomain}.{objects.namespace(pod)}.svc.{network.CLUSTER_DOMAIN}" if subdomain else ""


def sandbox_spec(pod: Obj, where: Home, memory: Sequence[Tmpfs] = ()) -> SandboxSpec:
    spec = objects.spec(pod)
    aliases = ["\t".join((alias["ip"], *(alias.get("hostnames") or ()))) for alias in spec.get("hostAliases") or ()]
    return SandboxSpec(
        id=objects.uid(pod),
        name=objects.name(pod),
        namespace=objects.namespace(pod),
        directory=str(where.sandbox),
        hostname=hostname(pod),
        node=spec.get("nodeName") or "",
        host_network=bool(spec.get("hostNetwork")),
        domain=_domain(pod),
        hosts="\n".join(aliases),
        resolv_conf=_resolv_conf(pod),
        memory=list(memory),
        limits=resources.of_pod(pod),
        qos=pods.qos_class(pod),
        host_processes=bool(spec.get("hostPID")),
        host_ipc=bool(spec.get("hostIPC")),
        share_processes=bool(spec.get("shareProcessNamespace")),
        sysctls=security.sysctls(pod),
    )


def _resolv_conf(pod: Obj) -> str:
    """Empty for the cluster's. By policy Default (and on a node's network, where ClusterFirst means it) names of the cluster must be
    written out in full; the answers are the host's. dnsConfig replaces all that (policy None) or is added to it."""
    spec = objects.spec(pod)
    config, policy = spec.get("dnsConfig") or {}, spec.get("dnsPolicy") or "ClusterFirst"
    plain = policy == "Default" or (policy == "ClusterFirst" and bool(spec.get("hostNetwork")))
    if not config and policy != "None" and not plain:
        return ""
    lines = [f"nameserver {address}" for address in config.get("nameservers") or ()]
    searches = list(config.get("searches") or ())
    options = [o["name"] + (f":{o['value']}" if o.get("value") else "") for o in config.get("options") or ()]
    if policy != "None":
        ours = network.resolv_conf(objects.namespace(pod)).splitlines()
        lines = [line for line in ours if line.startswith("nameserver")] + lines
    if policy != "None" and not plain:
        searches = next(line for line in ours if line.startswith("search")).split()[1:] + searches
        options = ["ndots:5", *options]
    lines += [f"search {' '.join(searches)}"] if searches else []
    lines += [f"options {' '.join(options)}"] if options else []
    return "\n".join(lines) + "\n"


class Start(msgspec.Struct, frozen=True, kw_only=True):
    """One start of a container: what was decided and resolved for it."""

    id: str
    run: int
    command: Command
    environment: Environment
    mounts: list[Mount]
    devices: Edits = edits.NOTHING
    target: str = ""
    """Id of the container that an ephemeral one looks after."""
    runtime: str
    """`Runtime.kind`."""


def container_spec(pod: Obj, container: Obj, where: Home, start: Start) -> ContainerSpec:
    """The request to the runtime; the file for the termination message must exist by then."""
    message_path = container.get("terminationMessagePath") or TERMINATION_PATH
    message = Mount(source=str(where.termination(container["name"])), target=message_path)
    return ContainerSpec(
        id=start.id,
        sandbox_id=objects.uid(pod),
        name=container["name"],
        argv=argv(start.command, start.environment),
        env=variables(pod, start),
        log_path=str(where.log(container["name"], start.run)),
        cwd=container.get("workingDir") or start.environment.working_dir,
        mounts=[*_image_files(start), *start.mounts, message, *_devices(start)],
        read_only_paths=start.environment.read_only_paths,
        termination_message_path=message_path,
        image=start.environment.image,
        root=start.environment.root,
        warm=warming.warm(start.environment),
        limits=resources.of_container(pod, container, enforcement.machine_memory()),
        target=start.target,
        stdin=bool(container.get("stdin")),
        stdin_once=bool(container.get("stdinOnce")),
        tty=bool(container.get("tty")),
        security=_with_groups(security.security(pod, container, start.environment, where.directory.parent.parent / PROFILES), start),
    )


def _with_groups(found: Security, start: Start) -> Security:
    """Groups that its devices' files belong to."""
    more = [gid for gid in start.devices.groups if gid not in found.groups]
    return msgspec.structs.replace(found, groups=[*found.groups, *more]) if more else found


def _image_files(start: Start) -> list[Mount]:
    """What the image adds to the tree, where no volume takes its place."""
    taken = {os.path.normpath(mount.target) for mount in start.mounts}
    files = start.environment.files
    shown = {target: source for target, source in files.items() if target not in taken}
    if start.runtime == "process":
        shown |= dict.fromkeys(start.environment.python_path, "")  # there a path counts only if something is mounted at it
    return [Mount(source=source, target=target, read_only=True, of_image=True) for target, source in shown.items()]


def argv(command: Command, environment: Environment) -> list[str]:
    """Contract: `command` replaces the image's entry point and its arguments, `args` the arguments only."""
    if command.command:
        return [*command.command, *command.args]
    return [*environment.entrypoint, *(command.args or environment.command)]


def variables(pod: Obj, start: Start) -> dict[str, str]:
    """The whole environment; what the pod declares wins over what the environment brings."""
    if start.environment.image:
        return {"HOSTNAME": hostname(pod), **start.command.env}  # its engine adds what the image says
    system = layout.DEFAULT_PATH if start.runtime == "sandbox" else os.environ.get("PATH", layout.DEFAULT_PATH)
    # Where `pip install --user` puts its scripts; only a sandbox has its home at a known place.
    user = [f"{layout.WORK}/.local/bin"] if start.runtime == "sandbox" else []
    ours = {
        "PATH": os.pathsep.join([*user, *start.environment.path, system]),
        "HOSTNAME": hostname(pod),
        # A log that arrives when its buffer is full helps nobody.
        "PYTHONUNBUFFERED": "1",
        **start.environment.variables,
    }
    if start.runtime != "sandbox":
        # Nothing keeps a process of host mode from writing into the environment it shares with others.
        ours["PIP_USER"] = "1"
    devices = start.devices  # its variables win, but stand where an engine has them: before the pod's own
    found = {**ours, **devices.defaults, **devices.env, **start.command.env, **devices.env}
    if start.environment.python_path:
        found["PYTHONPATH"] = os.pathsep.join([*filter(None, [found.get("PYTHONPATH")]), *start.environment.python_path])
    return found


def _devices(start: Start) -> list[Mount]:
    """What of its devices is here, where no volume takes its place."""
    taken = {os.path.normpath(mount.target) for mount in start.mounts}
    return [mount for mount in start.devices.mounts if mount.target not in taken and os.path.exists(mount.source)]


def stop_signal(container: Obj) -> int:
    """SIGTERM, or the one that the container's lifecycle names."""
    name = (container.get("lifecycle") or {}).get("stopSignal") or "SIGTERM"
    found = getattr(signal, name, signal.SIGTERM)
    return int(found) if isinstance(found, signal.Signals) else int(signal.SIGTERM)
