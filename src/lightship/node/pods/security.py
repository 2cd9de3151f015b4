"""Who a container is and what it may do: its securityContext over the pod's, in the runtime's words.

Pure; called by `containers` for every start. What the words mean to the kernel is decided in `node.runtimes`.
Contract: core/v1 SecurityContext and PodSecurityContext; kubelet securitycontext.DetermineEffectiveSecurityContext.
"""

from pathlib import Path
from typing import Any

from lightship.meta import objects
from lightship.meta.objects import Obj
from lightship.node.images.environments import Environment
from lightship.node.runtimes import seccomp
from lightship.node.runtimes.runtime import Security


class ForbiddenError(ValueError):
    """A container that its own pod forbids; the text is that of the kubelet."""


def security(pod: Obj, container: Obj, environment: Environment, profiles: Path) -> Security:
    """`profiles`: the directory with the seccomp profiles of type Localhost."""
    of_pod = objects.spec(pod).get("securityContext") or {}
    own = container.get("securityContext") or {}
    merged = {**of_pod, **own}
    uid, gid = identity(merged, environment)
    if merged.get("runAsNonRoot") and not uid:
        raise ForbiddenError(_refusal(pod, container, environment, own_wish=merged.get("runAsUser") is not None))
    wanted = own.get("capabilities") or {}
    escalation = own.get("allowPrivilegeEscalation")
    return Security(
        uid=uid,
        gid=gid,
        groups=_groups(of_pod),
        privileged=bool(own.get("privileged")),
        add_capabilities=list(wanted.get("add") or ()),
        drop_capabilities=list(wanted.get("drop") or ()),
        read_only_root=bool(own.get("readOnlyRootFilesystem")),
        allow_escalation=escalation is None or bool(escalation),
        seccomp=_profile(own.get("seccompProfile") or of_pod.get("seccompProfile") or {}, profiles),
        unmasked_proc=own.get("procMount") == "Unmasked",
    )


def sysctls(pod: Obj) -> dict[str, str]:
    """Kernel settings of the pod's own namespaces, by their names with dots."""
    asked = (objects.spec(pod).get("securityContext") or {}).get("sysctls") or ()
    return {entry["name"].replace("/", "."): entry["value"] for entry in asked}


def identity(merged: Obj, environment: Environment) -> tuple[int | None, int | None]:
    """User and group: the pod's wish, else the image's. A pod that names a user gets no group of the image's. None: root."""
    uid, gid = merged.get("runAsUser"), merged.get("runAsGroup")
    if uid is None and environment.user:
        own_uid, _, own_gid = environment.user.partition(":")
        uid = int(own_uid) if own_uid.isdigit() else None
        gid = int(own_gid) if gid is None and own_gid.isdigit() else gid
    return uid, gid


def user_status(given: Security) -> Obj:
    """Who a container runs as, as its status tells it."""
    gid = given.gid or 0
    return {"linux": {"uid": given.uid or 0, "gid": gid, "supplementalGroups": sorted({gid, *given.groups})}}


def _refusal(pod: Obj, container: Obj, environment: Environment, *, own_wish: bool) -> str:
    user = environment.user.partition(":")[0]
    why = "container has runAsNonRoot and image will run as root"
    if own_wish:
        why = "container's runAsUser breaks non-root policy"
    elif user and not user.isdigit():
        why = f"container has runAsNonRoot and image has non-numeric user ({user}), cannot verify user is non-root"
    return f'{why} (pod: "{objects.name(pod)}_{objects.namespace(pod)}({objects.uid(pod)})", container: {container["name"]})'


def _groups(of_pod: dict[str, Any]) -> list[int]:
    groups = list(of_pod.get("supplementalGroups") or ())
    fs_group = of_pod.get("fsGroup")
    return groups if fs_group is None or fs_group in groups else [*groups, fs_group]


def _profile(asked: dict[str, Any], profiles: Path) -> str:
    """Containers that ask for nothing get the runtime's default, as with the kubelet's `seccompDefault`."""
    kind = asked.get("type") or seccomp.RUNTIME_DEFAULT
    return str(profiles / asked["localhostProfile"]) if kind == "Localhost" else str(kind)
