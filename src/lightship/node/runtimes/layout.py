"""Decides, purely, what a sandboxed container gets to see and how it is told: paths, mounts, environment.

`runtimes.sandbox` calls it with specs and the facts of the host; the result is plain JSON for `launch.init` and `launch.rootfs`, which
carry it out without deciding anything. Parents are mounted before children, whatever order the spec named them in.
"""

import binascii
import os
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

from lightship.node.network import facts as network

from . import capabilities, seccomp, sysctls
from .runtime import ContainerSpec, Mount, SandboxSpec

DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
WORK = "/workspace"
"""Where a container starts, and has its HOME, when nobody says otherwise."""

_SYSTEM = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/etc", "/opt", "/nix")
_DIRECTORIES = (
    "/tmp",
    "/run",
    "/run/lock",
    "/var/tmp",
    "/var/log",
    "/var/lib",
    "/var/cache",
    "/home",
    "/mnt",
    "/media",
    "/srv",
    "/root",
    WORK,
)
_LINKS = {"/var/run": "/run", "/var/lock": "/run/lock"}
_ETC = ("hosts", "hostname", "resolv.conf", "nsswitch.conf")
NSSWITCH = "passwd: files\ngroup: files\nshadow: files\nhosts: files dns\nservices: files\nprotocols: files\n"
"""Name lookups in a pod ask its own files and the cluster's DNS, whatever the host is used to."""


class Host(NamedTuple):
    """What there is on this machine to show: `directories` to bind read-only, `links` of the root directory (path → text)."""

    directories: tuple[str, ...]
    links: dict[str, str]


def look_around(root: str = "/") -> Host:
    """The host's system directories; on merged-usr systems most are links."""
    directories, links = [], {}
    for path in _SYSTEM:
        real = os.path.join(root, path[1:])
        if os.path.islink(real):
            links[path] = os.readlink(real)
        elif os.path.isdir(real):
            directories.append(path)
    return Host(tuple(directories), links)


class Places(NamedTuple):
    """A sandbox's own corner below the pod's private directory."""

    base: Path

    @property
    def root(self) -> Path:
        """Empty; where a container's tree is put together, in its own mount namespace only."""
        return self.base / "root"

    @property
    def shm(self) -> Path:
        return self.base / "shm"

    @property
    def processes(self) -> Path:
        """Where a pod that sees all of the cluster's processes finds them."""
        return self.base / "processes"

    @property
    def etc(self) -> Path:
        return self.base / "etc"

    def door(self, container: str) -> Path:
        """Where a container of that name has its door to a template (`doorway`)."""
        return self.base / "doors" / container

    def scratch(self, container: str) -> Path:
        """What a container of that name writes besides its volumes; gone before every start."""
        return self.base / "scratch" / container


def places(spec: SandboxSpec) -> Places:
    return Places(Path(spec.directory, "sandbox"))


def hostname(spec: SandboxSpec) -> str:
    """At most the 63 bytes that the kernel and DNS agree on."""
    return (spec.hostname or spec.name)[:63].rstrip("-.")


def settings(spec: SandboxSpec) -> dict[str, str]:
    """Paths below /proc/sys and what to write there. Raises `ValueError` for what is not the pod's own."""
    shared = next((name for name in spec.sysctls if not sysctls.own(name)), "")
    if shared:
        raise ValueError(f'sysctl "{shared}" is not of a namespace that a pod has for itself')
    return {name.replace(".", "/"): value for name, value in spec.sysctls.items()}


def sandbox(spec: SandboxSpec, address: str, interface: str, *, pids: int) -> dict[str, Any]:
    """The request for `launch.init`; `pids`: how many processes it should allow, 0 for any number. Raises `ValueError`."""
    return {
        "hostname": hostname(spec),
        "network": {
            "interface": interface,
            "address": address,
            "gateway": network.GATEWAY,
            "shared": spec.host_network,
            "node": spec.node,
        },
        "shm": str(places(spec).shm),
        "memory": [{"path": volume.path, "size": volume.size, "gid": volume.gid} for volume in spec.memory],
        "sysctls": settings(spec),
        "host_ipc": spec.host_ipc,
        "all_processes": str(places(spec).processes) if spec.host_processes else "",
        "share_processes": spec.share_processes,
        "pids": pids,
    }


def container(spec: ContainerSpec, where: Places, host: Host, *, name: str, ids: int, sees_others: bool = False) -> dict[str, Any]:
    """The request for `launch.container`; `name`: the pod's host name, `ids`: how many user ids the cluster maps, from 0 on;
    `sees_others`: the processes of all pods are shown to it.

    Raises `ValueError` for what no container can have, `OSError` for a seccomp profile that cannot be read.
    """
    security = spec.security
    uid, gid = security.uid or 0, security.gid or 0
    # With one mapped id a request for another can still be met in appearance: the same id under the wanted number.
    nested = (uid >= ids or gid >= ids) if ids > 1 else bool(uid or gid)
    granted = capabilities.granted(security, sees_others=sees_others)
    profile = seccomp.UNCONFINED if security.privileged else security.seccomp
    return {
        "id": spec.id,
        "target": spec.target,
        "argv": spec.argv,
        "env": environment(spec, name),
        "cwd": spec.cwd or ("/" if spec.root else WORK),
        "uid": uid,
        "gid": gid,
        "oom_score_adj": spec.limits.oom_score_adj,
        "nested": nested,
        # Groups that are not mapped cannot be given, and with one mapped id none can.
        "supplementary": [group for group in security.groups if group < ids] if ids > 1 else None,
        "capabilities": capabilities.numbers(granted),
        "escalates": security.allow_escalation or security.privileged or "SYS_ADMIN" in granted,
        "filter": binascii.b2a_base64(seccomp.program(profile, granted, real_root=os.geteuid() == 0), newline=False).decode(),
        "root": plan(spec, where, host) | {"owner": None if nested or ids == 1 else [uid, gid]},
    }


def environment(spec: ContainerSpec, name: str) -> dict[str, str]:
    """The spec's environment and the variables that container engines add to every one."""
    home = {} if spec.root else {"HOME": WORK}  # an image knows its users' homes itself
    return {"PATH": DEFAULT_PATH, "HOSTNAME": name, **home, **spec.env}


def plan(spec: ContainerSpec, where: Places, host: Host) -> dict[str, Any]:
    """What `launch.rootfs.enter` carries out. Raises `ValueError` for a mount that no tree can hold."""
    system = () if spec.root else host.directories
    etc = [Mount(source=str(where.etc / name), target=f"/etc/{name}") for name in _ETC]
    mounts = [*etc, *_shown(spec.read_only_paths, system), *spec.mounts]
    for mount in mounts:
        if not mount.target.startswith("/") or _clean(mount.target) == "/":
            raise ValueError(f'mount target "{mount.target}": must be an absolute path below /')
        if mount.source and not mount.source.startswith("/"):
            raise ValueError(f'mount source "{mount.source}": must be an absolute path')
    layers = str(where.scratch(spec.name)) if spec.root or not spec.security.read_only_root else ""
    changes = "" if spec.security.read_only_root else layers
    return {
        "stage": str(where.root),
        "shm": str(where.shm),
        "image": spec.root,
        "layers": layers,
        "private": [{"target": target, "mode": mode} for target, mode in private(spec).items()],
        "user": [spec.security.uid or 0, spec.security.gid or 0, spec.env.get("HOME") or ("/" if spec.root else WORK)],
        "directories": list(_DIRECTORIES),
        "privileged": spec.security.privileged,
        "unmasked": spec.security.unmasked_proc or spec.security.privileged,
        "read_only": spec.security.read_only_root,
        "groups": {},  # added when the container has some
        "links": {**host.links, **_LINKS},
        "system": list(system),
        "mounts": [
            {
                "source": m.source,
                "sub_path": m.sub_path,
                "what": what(m, spec),
                "target": _clean(m.target),
                "read_only": m.read_only,
                "layer": f"{changes}/image-{number}" if m.of_image and changes else "",
                "size": m.size,
            }
            for number, m in enumerate(sorted(mounts, key=_order))
        ],
    }


def _order(mount: Mount) -> tuple[bool, int]:
    """What is of the image comes first: a volume hides it, and gets nothing of it."""
    return not mount.of_image, len(Path(_clean(mount.target)).parts)


def what(mount: Mount, spec: ContainerSpec) -> str:
    """How messages name a mount, in the kubelet's words."""
    return f'volumeMount "{mount.name}" of container "{spec.name}"' if mount.sub_path else ""


def private(spec: ContainerSpec) -> dict[str, int]:
    """Directories that belong to a container's user, and their modes. Not those of an image with a tree of its own: it has them."""
    if spec.root or spec.security.read_only_root:
        return {}
    found = {WORK: 0o755, "/tmp": 0o1777, "/var/tmp": 0o1777}
    home = os.path.normpath(spec.env.get("HOME") or WORK)
    taken = {"/", *(os.path.normpath(m.target) for m in spec.mounts)}
    if home.startswith("/") and home not in taken and not _covered(home, _SYSTEM):
        found.setdefault(home, 0o755)
    return found


def _shown(paths: Iterable[str], system: Iterable[str]) -> list[Mount]:
    """Read-only views of an environment's directories, at the path that names them and at the one they really have."""
    both = {os.path.normpath(p) for p in paths} | {os.path.realpath(p) for p in paths}
    needed = [p for p in sorted(both) if not _covered(p, system)]
    return [Mount(source=p, target=p, read_only=True) for p in needed if not _covered(p, [q for q in needed if q != p])]


def _clean(path: str) -> str:
    """Without dots and doubled slashes; also not the two at the start that POSIX allows to mean something."""
    return os.path.normpath("/" + path.lstrip("/"))


def _covered(path: str, tops: Iterable[str]) -> bool:
    return any(path == top or path.startswith(top + "/") for top in tops)


def remove_tree(path: Path) -> None:
    """Delete a directory whose contents a pod has made, whatever permissions it gave them. Blocks; raises `OSError`."""
    while path.exists():
        try:
            shutil.rmtree(path)
        except FileNotFoundError:
            continue  # a pod that dies while its runtime is closed is cleaned up after by both
        except PermissionError:
            _allow_all(path)
            shutil.rmtree(path)


def _allow_all(path: Path) -> None:
    os.chmod(path, 0o700)
    for directory, names, _ in os.walk(path):
        for name in names:
            if not os.path.islink(f"{directory}/{name}"):  # chmod would follow it, out of the tree
                os.chmod(f"{directory}/{name}", 0o700)
