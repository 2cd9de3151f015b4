"""The rules of Namespaces: born active, finalized by the server, found by a label with their name.

Called by the server through `kinds.NAMESPACES`. Emptying a namespace that is being deleted is a controller's work.
Contract: kube-apiserver 1.36 pkg/registry/core/namespace.
"""

from typing import Any

from lightship.kinds import cells
from lightship.meta import objects
from lightship.meta.objects import Obj

FINALIZER = "kubernetes"
NAME_LABEL = "kubernetes.io/metadata.name"


def prepare(namespace: Obj, old: Obj | None) -> None:
    """A new namespace is active and is finalized by the server; both change through subresources only."""
    if old is not None:
        namespace["spec"], namespace["status"] = old.get("spec") or {}, old.get("status") or {}
        return
    spec = namespace.setdefault("spec", {})
    finalizers = spec.get("finalizers") or []
    spec["finalizers"] = finalizers if FINALIZER in finalizers else [*finalizers, FINALIZER]
    namespace["status"] = {"phase": "Active"}


def default(namespace: Obj) -> None:
    """The label by which selectors find a namespace by its name."""
    meta = namespace.setdefault("metadata", {})
    if meta.get("name"):
        meta["labels"] = {**(meta.get("labels") or {}), NAME_LABEL: meta["name"]}


def row(namespace: Obj, now: float) -> list[Any]:
    return [objects.name(namespace), objects.status(namespace).get("phase") or "", cells.created(namespace, now)]
