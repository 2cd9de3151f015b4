"""Turns what the node wants into the JSON of `POST /containers/create`: a container that holds a pod's network, and those that join it.

Pure; `runtime` sends the result. Contract: Docker Engine API, ContainerCreate and HostConfig; shares and quotas by the kubelet's formulas.
"""

import os
from pathlib import Path
from typing import Any

from lightship.node.runtimes import cgroup, layout, seccomp
from lightship.node.runtimes.runtime import ContainerSpec, Limits, Mount, SandboxSpec

from . import pause

OWNER = "dev.lightship.owner"
"""Label with the process that a container belongs to."""
POD = "io.kubernetes.pod.uid"
CONTAINER = "dev.lightship.container"
"""Label with the node's id of a container; the one that holds the network has none."""
PODMAN = "podman"
_SHM = 64 * 2**20
_NO_LOG = {"Type": "none"}
_ETC = ("hosts", "hostname", "resolv.conf")


def labels(spec: SandboxSpec, owner: str) -> dict[str, str]:
    """What tells people, and us after a crash, whose a container is."""
    return {
        OWNER: owner,
        POD: spec.id,
        "io.kubernetes.pod.name": spec.name,
        "io.kubernetes.pod.namespace": spec.namespace,
    }


def name(spec: SandboxSpec, container: str, id: str) -> str:
    """How `podman ps` shows it."""
    return f"lightship_{container}_{spec.name}_{spec.namespace}_{id.rpartition('-')[2][:12]}"


def pause_container(spec: SandboxSpec, owner: str) -> dict[str, Any]:
    """The container whose network, and more, the others of the pod share. Raises `ValueError` for sysctls that no pod has for itself."""
    host: dict[str, Any] = {
        "NetworkMode": "host" if spec.host_network else "bridge",
        "IpcMode": "host" if spec.host_ipc else "shareable",
        "PidMode": "host" if spec.host_processes else "",
        "Sysctls": {path.replace("/", "."): value for path, value in layout.settings(spec).items()},
        "LogConfig": _NO_LOG,
        "Memory": 0,
        "CapDrop": ["ALL"],
        "SecurityOpt": ["no-new-privileges"],
    }
    if not spec.host_ipc:
        host["ShmSize"] = _SHM
    made: dict[str, Any] = {"Image": pause.NAME, "Labels": labels(spec, owner), "HostConfig": host}
    if not spec.host_network:
        made["Hostname"] = layout.hostname(spec)
    return made


def container(spec: ContainerSpec, sandbox: SandboxSpec, holder: str, owner: str, engine: str) -> dict[str, Any]:
    """A container of a pod whose network the container `holder` holds. `spec.target` is
    what the engine calls that container. Raises `OSError` for a profile that cannot be read."""
    security = spec.security
    joined = f"container:{holder}"
    host = {
        "NetworkMode": "host" if sandbox.host_network and engine != PODMAN else joined,
        "IpcMode": "host" if sandbox.host_ipc else joined,
        "PidMode": _processes(spec, sandbox, joined),
        "Mounts": [_mount(mount) for mount in _mounts(spec, sandbox)],
        "LogConfig": _NO_LOG,
        "Privileged": security.privileged,
        "CapAdd": security.add_capabilities,
        "CapDrop": security.drop_capabilities,
        "ReadonlyRootfs": security.read_only_root,
        "SecurityOpt": _security_options(spec, engine),
        "GroupAdd": [str(group) for group in security.groups],
        "OomScoreAdj": max(0, spec.limits.oom_score_adj),  # less than nothing is for `runtime` to try: not every engine may
        **limits(spec.limits),
    }
    made = {
        "Image": spec.image,
        "Entrypoint": spec.argv[:1],
        "Cmd": spec.argv[1:],
        "Env": [f"{key}={value}" for key, value in spec.env.items()],
        "WorkingDir": spec.cwd,
        "User": _user(spec),
        "Tty": spec.tty,
        "OpenStdin": spec.stdin,
        "StdinOnce": spec.stdin,
        "AttachStdin": spec.stdin,
        "AttachStdout": True,
        "AttachStderr": True,
        "Labels": {**labels(sandbox, owner), CONTAINER: spec.id, "io.kubernetes.container.name": spec.name},
        "HostConfig": host,
    }
    if engine == PODMAN and not sandbox.host_network:
        made["Hostname"] = layout.hostname(sandbox)  # Docker gives them the holder's by itself, and refuses to be told
    return made


def limits(wanted: Limits) -> dict[str, Any]:
    """Of HostConfig, and of an update."""
    memory = wanted.memory or 0
    return {
        "CpuShares": cgroup.shares(wanted.cpu_request),
        "CpuPeriod": cgroup.PERIOD,
        "CpuQuota": cgroup.quota(wanted.cpu),
        "Memory": memory,
        "MemorySwap": memory,  # none: what has a limit is never swapped
        **({} if wanted.pids is None else {"PidsLimit": wanted.pids}),
    }


def _processes(spec: ContainerSpec, sandbox: SandboxSpec, joined: str) -> str:
    if sandbox.host_processes:
        return "host"
    if spec.target:
        return f"container:{spec.target}"
    return joined if sandbox.share_processes else ""


def _user(spec: ContainerSpec) -> str:
    """Empty for the image's own."""
    uid, gid = spec.security.uid, spec.security.gid
    if uid is None and gid is None:
        return ""
    return str(uid or 0) if gid is None else f"{uid or 0}:{gid}"


def _mounts(spec: ContainerSpec, sandbox: SandboxSpec) -> list[Mount]:
    """The pod's own files in /etc come first: a volume takes their place."""
    where = layout.places(sandbox)
    taken = {os.path.normpath(mount.target) for mount in spec.mounts}
    etc = [Mount(source=str(where.etc / file), target=f"/etc/{file}") for file in _ETC if (where.etc / file).exists()]
    return sorted((mount for mount in [*etc, *spec.mounts] if mount in spec.mounts or mount.target not in taken), key=_depth)


def _depth(mount: Mount) -> int:
    return len(Path(os.path.normpath(mount.target)).parts)


def _mount(mount: Mount) -> dict[str, Any]:
    if not mount.source:
        size = {} if mount.size is None else {"TmpfsOptions": {"SizeBytes": mount.size}}
        return {"Type": "tmpfs", "Target": mount.target, **size}
    found: dict[str, Any] = {"Type": "bind", "Source": mount.source, "Target": mount.target, "ReadOnly": mount.read_only}
    found["BindOptions"] = {"Propagation": "rprivate"}
    return found


def _security_options(spec: ContainerSpec, engine: str) -> list[str]:
    security = spec.security
    found = [] if security.allow_escalation or security.privileged else ["no-new-privileges"]
    if security.unmasked_proc:
        found.append("unmask=ALL" if engine == PODMAN else "systempaths=unconfined")
    if security.seccomp == seccomp.UNCONFINED:
        found.append("seccomp=unconfined")
    elif security.seccomp != seccomp.RUNTIME_DEFAULT and not security.privileged:
        # podman reads the file itself, Docker wants to be told what is in it.
        profile = security.seccomp if engine == PODMAN else Path(security.seccomp).read_text()
        found.append(f"seccomp={profile}")
    return found
