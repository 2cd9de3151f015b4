"""The Pod resource's rules: what the server decides, fills in and refuses.

Called by the server through `kinds.PODS`. Contract: kube-apiserver 1.36 pkg/registry/core/pod strategy.
"""

from lightship.kinds import pods
from lightship.meta import names
from lightship.meta.errors import Cause
from lightship.meta.objects import Obj

from . import annotations as pod_annotations
from . import warnings as pod_warnings
from .checks import check_changed_pod, check_new_pod
from .defaults import default_pod, tolerate_lost_nodes
from .judged import Judged

__all__ = ["default", "prepare", "validate", "warn"]

default = default_pod
_judged = Judged()


def prepare(pod: Obj, old: Obj | None) -> None:
    """A new pod is Pending and nothing else; an update cannot touch the status."""
    if old is not None:
        pod["status"] = old.get("status") or {}
        return
    spec = pod.setdefault("spec", {})
    tolerate_lost_nodes(spec)
    if annotations := (pod.get("metadata") or {}).get("annotations"):
        _confine(annotations, spec)
    if (spec.get("terminationGracePeriodSeconds") or 0) < 0:
        spec["terminationGracePeriodSeconds"] = 1
    pod["status"] = {"phase": "Pending", "qosClass": pods.qos_class(pod)}
    if spec.get("schedulingGates"):
        gated = {"reason": "SchedulingGated", "message": "Scheduling is blocked due to non-empty scheduling gates"}
        since = {"lastTransitionTime": (pod.get("metadata") or {}).get("creationTimestamp")}
        pod["status"]["conditions"] = [{"type": "PodScheduled", "status": "False", **gated, **since}]


def _confine(annotations: Obj, spec: Obj) -> None:
    """What annotations say of AppArmor, in the fields that took their place."""
    whole = (spec.get("securityContext") or {}).get("appArmorProfile")
    if (spec.get("os") or {}).get("name") == "windows" or not any(key.startswith(pod_annotations.APPARMOR) for key in annotations):
        return
    for field in pod_annotations.LISTS:
        for container in spec.get(field) or ():
            told = annotations.get(f"{pod_annotations.APPARMOR}{container.get('name')}")
            context = container.get("securityContext") or {}
            profile = pod_annotations.apparmor_field(told) if told is not None and context.get("appArmorProfile") is None else None
            if profile is not None and profile != whole:
                container["securityContext"] = {**context, "appArmorProfile": profile}


def validate(pod: Obj, old: Obj | None) -> list[Cause]:
    if old is not None:
        return check_changed_pod(pod, old)
    return [] if _judged.knows(pod) else check_new_pod(pod)


def warn(pod: Obj, old: Obj | None) -> list[str]:
    """Asked about pods that are valid."""
    if old is not None or (_judged.knew(pod) and names.follows(pod["metadata"]["name"], "label")):
        return []
    found = pod_warnings.warn(pod, old)
    if not found:
        _judged.passed(pod)
    return found
