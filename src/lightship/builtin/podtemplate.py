"""A pod out of an owner's template, as the controllers of workloads make them. Pure.

Contract: kube-controller-manager's `GetPodFromTemplate`; pods are named by us, so that a create whose answer was lost is met again.
"""

from collections.abc import Callable
from random import Random

from lightship.meta import errors, objects
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


class Names:
    """Draws names for pods. One that was drawn for a create that had no answer is drawn again for the same `slot` of the same owner, so
    that the pod is met, should it exist, and not doubled."""

    def __init__(self, random: Random) -> None:
        self._random = random
        self._unanswered: dict[tuple[str, str], list[str]] = {}

    def draw(self, owner: Obj, slot: str, is_known: Callable[[str], bool]) -> str:
        """A name; `is_known` says of one that was not answered whether its pod has shown itself since."""
        again = self._unanswered.get((objects.uid(owner), slot), [])
        while again:
            name = again.pop()
            if not is_known(name):
                return name
        self._unanswered.pop((objects.uid(owner), slot), None)
        return prefix_of(owner) + "".join(self._random.choices(ALPHABET, k=SUFFIX))

    def unanswered(self, owner: Obj, slot: str, name: str, error: Exception) -> None:
        """A create failed with this error: may it have taken effect?"""
        if not isinstance(error, errors.StatusError) or error.code >= 500:
            self._unanswered.setdefault((objects.uid(owner), slot), []).append(name)
