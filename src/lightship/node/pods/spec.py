"""What a pod is supposed to do: readings of its spec that the pure core, the status and the worker share.

Pure. Contract: core/v1 PodSpec; restart policies of pods and containers (podutil.ContainerShouldRestart), `restartPolicyRules`.
"""

from collections.abc import Iterator

from lightship.meta import objects
from lightship.meta.objects import Obj

RESTART_ALL = "RestartAllContainers"


def init_containers(pod: Obj) -> list[Obj]:
    return objects.spec(pod).get("initContainers") or []


def main_containers(pod: Obj) -> list[Obj]:
    return objects.spec(pod).get("containers") or []


def ephemeral_containers(pod: Obj) -> list[Obj]:
    return objects.spec(pod).get("ephemeralContainers") or []


def all_containers(pod: Obj) -> Iterator[Obj]:
    yield from init_containers(pod)
    yield from main_containers(pod)
    yield from ephemeral_containers(pod)


def find(pod: Obj, name: str) -> Obj:
    """The container of that name, of whatever sort. Raises `KeyError`."""
    for container in all_containers(pod):
        if container["name"] == name:
            return container
    raise KeyError(name)


def is_init(pod: Obj, container: Obj) -> bool:
    return any(c is container for c in init_containers(pod))


def is_ephemeral(pod: Obj, container: Obj) -> bool:
    return any(c is container for c in ephemeral_containers(pod))


def is_sidecar(container: Obj) -> bool:
    """A restartable init container."""
    return container.get("restartPolicy") == "Always"


def restart_policy(pod: Obj) -> str:
    return objects.spec(pod).get("restartPolicy") or "Always"


def restarts_after(pod: Obj, container: Obj, code: int) -> bool:
    """May a container run again after it has ended with `code`? Its own rules and policy come before the pod's."""
    own = container.get("restartPolicy")
    if own and rule_for(container, code) == "Restart":
        return True
    policy = own or restart_policy(pod)
    return policy == "Always" or (policy == "OnFailure" and code != 0)


def rule_for(container: Obj, code: int) -> str:
    """The action of the first of its restart rules that knows this exit code; empty when none does."""
    for rule in container.get("restartPolicyRules") or ():
        wanted = rule.get("exitCodes") or {}
        if (code in (wanted.get("values") or ())) is (wanted.get("operator") == "In"):
            return str(rule.get("action") or "")
    return ""


def may_restart_all(container: Obj) -> bool:
    return any(rule.get("action") == RESTART_ALL for rule in container.get("restartPolicyRules") or ())


def hook(container: Obj, kind: str) -> Obj:
    """The `postStart` or `preStop` handler of a container; empty when there is none."""
    found: Obj = (container.get("lifecycle") or {}).get(kind) or {}
    return found


def image_volumes(pod: Obj) -> dict[str, str]:
    """Volumes that show the files of an image: name → image."""
    volumes = objects.spec(pod).get("volumes") or ()
    return {volume["name"]: volume["image"].get("reference") or "" for volume in volumes if volume.get("image")}


def images(pod: Obj, container: Obj) -> list[str]:
    """What must be there before a container starts: its image, then those of the image volumes that it mounts."""
    volumes = image_volumes(pod)
    mounted = [volumes[mount["name"]] for mount in container.get("volumeMounts") or () if mount["name"] in volumes] if volumes else []
    return list(dict.fromkeys([container.get("image") or "", *mounted]))
