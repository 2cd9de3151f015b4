"""Which nodes a DaemonSet wants to be on, which node a pod of it is for, and what the pod for a node looks like.

Pure; asked by the rest of this folder. Contract: Kubernetes 1.36 daemonset controller (`NodeShouldRunDaemonPod`, `NewPod`).
"""

from lightship.builtin import podtemplate
from lightship.builtin.history import HASH
from lightship.kinds import placement
from lightship.kinds import pods as podlib
from lightship.meta import objects
from lightship.meta.objects import Obj

_NODE = "node.kubernetes.io/"
_TOLERATED = (
    ("not-ready", "NoExecute"),
    ("unreachable", "NoExecute"),
    ("disk-pressure", "NoSchedule"),
    ("memory-pressure", "NoSchedule"),
    ("pid-pressure", "NoSchedule"),
    ("unschedulable", "NoSchedule"),
)
_FIELD = "metadata.name"
_REQUIRED = "requiredDuringSchedulingIgnoredDuringExecution"
GENERATION = "deprecated.daemonset.template.generation"
_GENERATION_LABEL = "pod-template-generation"


def suits(owner: Obj, node: Obj) -> tuple[bool, bool]:
    """(shall a pod be there, may one that is there stay)."""
    spec = objects.get_path(owner, "spec", "template", "spec") or {}
    if spec.get("nodeName") not in (None, "", objects.name(node)) or not placement.selects(spec, node):
        return False, False
    taints = objects.spec(node).get("taints") or []
    tolerations = [*(spec.get("tolerations") or ()), *_tolerations(spec)]
    if placement.untolerated(taints, tolerations) is None:
        return True, True
    return False, placement.untolerated(taints, tolerations, ("NoExecute",)) is None


def node_of(pod: Obj) -> str:
    """The node that a pod is on or meant for; empty when it does not say."""
    if name := podlib.node_name(pod):
        return name
    terms = objects.get_path(pod, "spec", "affinity", "nodeAffinity", _REQUIRED, "nodeSelectorTerms") or ()
    fields = (field for term in terms for field in term.get("matchFields") or () if field.get("key") == _FIELD)
    return next((field["values"][0] for field in fields if field.get("operator") == "In" and len(field.get("values") or ()) == 1), "")


def build(owner: Obj, node: str, name: str, hashed: str) -> Obj:
    """The pod for a node; the scheduler brings it there."""
    pod = podtemplate.build(owner, objects.spec(owner).get("template") or {}, name, podtemplate.prefix_of(owner))
    labels, spec = {**(pod["metadata"].get("labels") or {}), HASH: hashed}, pod["spec"]
    if generation := objects.annotations(owner).get(GENERATION):
        labels[_GENERATION_LABEL] = generation
    pod["metadata"]["labels"] = labels
    own = [toleration for toleration in spec.get("tolerations") or () if not any(_same(toleration, t) for t in _tolerations(spec))]
    spec["tolerations"] = [*own, *_tolerations(spec)]
    affinity = spec.setdefault("affinity", {}).setdefault("nodeAffinity", {})
    affinity[_REQUIRED] = {"nodeSelectorTerms": [{"matchFields": [{"key": _FIELD, "operator": "In", "values": [node]}]}]}
    return pod


def is_updated(owner: Obj, pod: Obj, hashed: str) -> bool:
    """Is a pod of today's template?"""
    generation = objects.annotations(owner).get(GENERATION)
    labels = objects.labels(pod)
    return labels.get(HASH) == hashed or (generation is not None and labels.get(_GENERATION_LABEL) == generation)


def _tolerations(spec: Obj) -> list[Obj]:
    """A pod of a DaemonSet stays where others have to go."""
    listed = [*_TOLERATED, *([("network-unavailable", "NoSchedule")] if spec.get("hostNetwork") else [])]
    return [{"key": _NODE + key, "operator": "Exists", "effect": effect} for key, effect in listed]


def _same(one: Obj, other: Obj) -> bool:
    return (one.get("key"), one.get("effect"), one.get("value") or "") == (other["key"], other["effect"], "")
