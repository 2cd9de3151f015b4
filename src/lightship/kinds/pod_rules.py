"""The Pod resource's rules: what the server decides, fills in and refuses.

Called by the server through `kinds.PODS`. Contract: kube-apiserver 1.36 pkg/registry/core/pod strategy.
"""

from lightship.kinds import pods
from lightship.kinds.pod_checks import check_changed_pod, check_new_pod
from lightship.kinds.pod_defaults import default_pod, tolerate_lost_nodes
from lightship.meta.errors import Cause
from lightship.meta.objects import Obj

__all__ = ["default", "prepare", "validate"]

default = default_pod


def prepare(pod: Obj, old: Obj | None) -> None:
    """A new pod is Pending and nothing else; an update cannot touch the status."""
    if old is not None:
        pod["status"] = old.get("status") or {}
        return
    spec = pod.setdefault("spec", {})
    tolerate_lost_nodes(spec)
    if (spec.get("terminationGracePeriodSeconds") or 0) < 0:
        spec["terminationGracePeriodSeconds"] = 1
    pod["status"] = {"phase": "Pending", "qosClass": pods.qos_class(pod)}
    if spec.get("schedulingGates"):
        gated = {"reason": "SchedulingGated", "message": "Scheduling is blocked due to non-empty scheduling gates"}
        since = {"lastTransitionTime": (pod.get("metadata") or {}).get("creationTimestamp")}
        pod["status"]["conditions"] = [{"type": "PodScheduled", "status": "False", **gated, **since}]


def validate(pod: Obj, old: Obj | None) -> list[Cause]:
    if old is not None:
        return check_changed_pod(pod, old)
    return check_new_pod(pod)
