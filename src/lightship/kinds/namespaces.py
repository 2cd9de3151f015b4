"""The rules of Namespaces: born active, finalized by the server, found by a label with their name.

Called by the server through `kinds.NAMESPACES`. Emptying a namespace that is being deleted is a controller's work.
Contract: kube-apiserver 1.36 pkg/registry/core/namespace.
"""

from typing import Any

from lightship.meta import errors, objects
from lightship.meta.errors import Cause
from lightship.meta.objects import Obj

from . import cells
from .checking import check_name

FINALIZER = "kubernetes"
_STANDARD = (FINALIZER, "orphan", "foregroundDeletion")
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
    default(namespace)  # a name that was drawn was not there when defaults were filled in


def default(namespace: Obj) -> None:
    """The label by which selectors find a namespace by its name."""
    meta = namespace.setdefault("metadata", {})
    if meta.get("name"):
        meta["labels"] = {**(meta.get("labels") or {}), NAME_LABEL: meta["name"]}


def validate(namespace: Obj, old: Obj | None) -> list[Cause]:
    """An update keeps the finalizers, which were judged before."""
    finalizers = objects.spec(namespace).get("finalizers") or ()
    return [] if old is not None else [c for f in finalizers for c in _check_finalizer("spec.finalizers", f)]


def merge_finalizers(new: Obj, old: Obj) -> Obj:
    """What is stored when `new` was sent to /finalize of `old`."""
    spec = {**objects.spec(old), "finalizers": objects.spec(new).get("finalizers") or []}
    return {**old, "metadata": new["metadata"], "spec": spec}


def validate_finalizers(namespace: Obj, old: Obj | None) -> list[Cause]:
    finalizers = objects.spec(namespace).get("finalizers") or ()
    return [c for i, f in enumerate(finalizers) for c in _check_finalizer(f"spec.finalizers[{i}]", f)]


def validate_status(namespace: Obj, old: Obj | None) -> list[Cause]:
    """Deletion decides the phase."""
    wanted, what = ("Terminating", "not empty") if objects.is_deleting(namespace) else ("Active", "empty")
    phase = objects.status(namespace).get("phase") or ""
    why = f"may only be '{wanted}' if `deletionTimestamp` is {what}"
    return [] if phase == wanted else [errors.invalid_value("status.Phase", phase, why)]


def _check_finalizer(path: str, name: str) -> list[Cause]:
    causes = check_name(path, name, "qualified")
    if not causes and "/" not in name and name not in _STANDARD:
        causes.append(errors.invalid_value(path, name, "name is neither a standard finalizer name nor is it fully qualified"))
    return causes


def row(namespace: Obj, now: float) -> list[Any]:
    return [objects.name(namespace), objects.status(namespace).get("phase") or "", cells.created(namespace, now)]
