"""What claims and volumes say of each other: annotations, classes, modes, sizes. Pure; used by all of this room.

Contract: k8s.io/component-helpers/storage/volume (the names of annotations, and which field counts when there are two).
"""

from collections.abc import Iterable
from decimal import Decimal

from lightship.meta import objects, quantity
from lightship.meta.objects import Key, Obj

BIND_COMPLETED = "pv.kubernetes.io/bind-completed"
BOUND_BY_CONTROLLER = "pv.kubernetes.io/bound-by-controller"
PROVISIONED_BY = "pv.kubernetes.io/provisioned-by"
MIGRATED_TO = "pv.kubernetes.io/migrated-to"
SELECTED_NODE = "volume.kubernetes.io/selected-node"
PROVISIONER = "volume.kubernetes.io/storage-provisioner"
OLD_PROVISIONER = "volume.beta.kubernetes.io/storage-provisioner"
OLD_CLASS = "volume.beta.kubernetes.io/storage-class"
SIZE_BEFORE = "volume.alpha.kubernetes.io/pre-resize-capacity"
"""The size that a volume had for its claim before somebody began to make it larger."""
DEFAULT_CLASS = ("storageclass.kubernetes.io/is-default-class", "storageclass.beta.kubernetes.io/is-default-class")
IN_TREE_FINALIZER = "kubernetes.io/pv-controller"
EXTERNAL_FINALIZER = "external-provisioner.volume.kubernetes.io/finalizer"
IN_TREE = "kubernetes.io/"


def class_of(obj: Obj) -> str:
    """The storage class of a claim or a volume; empty for none."""
    return str(objects.annotations(obj).get(OLD_CLASS) or objects.spec(obj).get("storageClassName") or "")


def has_class(claim: Obj) -> bool:
    """Does the claim say which class it wants, be it none?"""
    return OLD_CLASS in objects.annotations(claim) or objects.spec(claim).get("storageClassName") is not None


def default_class(classes: Iterable[Obj]) -> Obj | None:
    """The newest of those that are marked as default; of equally old ones the first by name."""
    marked = [c for c in classes if any(objects.annotations(c).get(mark) == "true" for mark in DEFAULT_CLASS)]
    marked.sort(key=objects.name)
    marked.sort(key=lambda c: str(objects.meta(c).get("creationTimestamp") or ""), reverse=True)
    return marked[0] if marked else None


def waits(storage_class: Obj | None) -> bool:
    """Are claims of this class bound only where a pod needs them?"""
    return (storage_class or {}).get("volumeBindingMode") == "WaitForFirstConsumer"


def holds(volume: Obj, claim: Obj) -> bool:
    """Is the volume meant for this claim, or bound to it?"""
    if not is_taken(volume) or claim_key(volume) != objects.key(claim):
        return False
    return objects.spec(volume)["claimRef"].get("uid") in (None, "", objects.uid(claim))


def is_taken(volume: Obj) -> bool:
    """Does the volume say whom it is for?"""
    return objects.spec(volume).get("claimRef") is not None


def claim_key(volume: Obj) -> Key:
    """Whom the volume is for; an empty key for nobody."""
    reference = objects.spec(volume).get("claimRef") or {}
    return Key(reference.get("namespace") or "", reference.get("name") or "")


def mode(obj: Obj) -> str:
    return str(objects.spec(obj).get("volumeMode") or "Filesystem")


def access_modes(obj: Obj) -> frozenset[str]:
    return frozenset(objects.spec(obj).get("accessModes") or ())


def attributes_class(obj: Obj) -> str:
    return str(objects.spec(obj).get("volumeAttributesClassName") or "")


def capacity(volume: Obj) -> Decimal:
    return quantity.parse((objects.spec(volume).get("capacity") or {}).get("storage") or 0)


def requested(claim: Obj) -> Decimal:
    return quantity.parse(objects.get_path(claim, "spec", "resources", "requests", "storage") or 0)
