"""A pod out of an owner's template, as the controllers of workloads make them. Pure.

Contract: kube-controller-manager's `GetPodFromTemplate`; pods are named by us (`podnames`), so that a create whose answer was lost is met
again.
"""

from lightship.meta import objects
from lightship.meta.objects import Obj

ALPHABET = "bcdfghjklmnpqrstvwxz2456789"
"""No vowels and nothing that looks alike: the letters of generated names."""
SUFFIX = 5
LONGEST = 63
"""Of a name that a generated one begins with, no more than leaves room for the rest."""


def build(owner: Obj, template: Obj, name: str, prefix: str = "") -> Obj:
    """The pod; `prefix` is its generateName, where its name was generated."""
    template = objects.copy(template)
    metadata = template.get("metadata") or {}
    given = {field: metadata[field] for field in ("labels", "annotations", "finalizers") if metadata.get(field)}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": name,
            **({"generateName": prefix} if prefix else {}),
            "namespace": objects.namespace(owner),
            **given,
            "ownerReferences": [objects.owner_reference(owner)],
        },
        "spec": template.get("spec") or {},
    }


def prefix_of(owner: Obj) -> str:
    return objects.name(owner)[: LONGEST - SUFFIX - 1] + "-"
