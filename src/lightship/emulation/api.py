"""The names by which emulated nodes are known, and the Stage API.

Imported by `main`, which serves Stages, and by whoever asks whether a node is emulated. Knows `meta` and `kinds` only.
Contract: kwok.x-k8s.io/v1alpha1 of kwok 0.8.0; its annotation and taint for fake nodes.
"""

from lightship.meta import objects
from lightship.meta.objects import Obj
from lightship.meta.resources import Column, Resource

GROUP = "kwok.x-k8s.io"
FAKE = f"{GROUP}/node"
"""Annotation `fake` of nodes that are to be played; key of the taint that keeps other pods off them."""
FAKE_VALUE = "fake"
TAINT: Obj = {"key": FAKE, "value": FAKE_VALUE, "effect": "NoSchedule"}
OWN_TAINTS = (FAKE, "node.kubernetes.io/")
"""What the keys of taints begin with that no shape has of itself."""
TYPE_LABEL, TYPE = "type", "kwok"
SHAPE_LABEL = "lightship.dev/node-shape"
"""Label of nodes that a fleet of ours consists of: the name of the shape."""
SILENT = "lightship.dev/silent"
"""Annotation: a node that has it, whatever the value, reports nothing any more, as one whose machine is gone."""
GPU_LABEL = "lightship.dev/gpu"
"""Label: the type of the accelerators of a node whose maker has no label of his own for it."""
PROMISE = "lightship.dev/renewed-until"
"""Annotation of Leases in virtual time: the moment until which the node is known to be well."""
PRICE = "lightship.dev/price-per-hour"
"""Annotation: what an hour of the node costs, a number."""
USAGE_CPU = f"{GROUP}/usage-cpu"
USAGE_MEMORY = f"{GROUP}/usage-memory"
LEASE_NAMESPACE = "kube-node-lease"

STAGES = Resource(
    group=GROUP,
    version="v1alpha1",
    kind="Stage",
    plural="stages",
    singular="stage",
    namespaced=False,
    status=True,
    custom=True,
    schema={
        "type": "object",
        "required": ["spec"],
        "properties": {
            "apiVersion": {"type": "string"},
            "kind": {"type": "string"},
            "metadata": {"type": "object"},
            "spec": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
            "status": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
        },
    },
    columns=(
        Column("Kind", json_path=".spec.resourceRef.kind"),
        Column("Weight", "integer", json_path=".spec.weight"),
        Column("Age", "date", json_path=".metadata.creationTimestamp"),
    ),
)


def is_emulated(node: Obj) -> bool:
    """Is this a node that rules play?"""
    return objects.annotations(node).get(FAKE) == FAKE_VALUE
