"""Table rows of the kinds of `storage.k8s.io/v1`.

Called through `storage`. Contract: kube 1.36 pkg/printers/internalversion.
"""

from typing import Any

from lightship.kinds import cells
from lightship.meta import objects
from lightship.meta.objects import Obj

_DEFAULT_CLASS = ("storageclass.kubernetes.io/is-default-class", "storageclass.beta.kubernetes.io/is-default-class")


def class_row(storage: Obj, now: float) -> list[Any]:
    annotations = objects.annotations(storage)
    is_default = any(annotations.get(annotation) == "true" for annotation in _DEFAULT_CLASS)
    return [
        objects.name(storage) + (" (default)" if is_default else ""),
        storage.get("provisioner") or "",
        storage.get("reclaimPolicy") or "Delete",
        storage.get("volumeBindingMode") or "Immediate",
        bool(storage.get("allowVolumeExpansion")),
        cells.created(storage, now),
    ]


def driver_row(driver: Obj, now: float) -> list[Any]:
    spec = objects.spec(driver)
    requests = spec.get("tokenRequests")
    return [
        objects.name(driver),
        spec.get("attachRequired") is not False,
        bool(spec.get("podInfoOnMount")),
        bool(spec.get("storageCapacity")),
        cells.UNSET if requests is None else ",".join(r.get("audience") or "" for r in requests),
        bool(spec.get("requiresRepublish")),
        cells.joined(spec.get("volumeLifecycleModes") or ()),
        cells.created(driver, now),
    ]


def node_row(node: Obj, now: float) -> list[Any]:
    return [objects.name(node), len(objects.spec(node).get("drivers") or ()), cells.created(node, now)]


def attachment_row(attachment: Obj, now: float) -> list[Any]:
    spec = objects.spec(attachment)
    return [
        objects.name(attachment),
        spec.get("attacher") or "",
        (spec.get("source") or {}).get("persistentVolumeName") or "",
        spec.get("nodeName") or "",
        bool(objects.status(attachment).get("attached")),
        cells.created(attachment, now),
    ]


def attributes_class_row(attributes: Obj, now: float) -> list[Any]:
    return [objects.name(attributes), attributes.get("driverName") or "", cells.created(attributes, now)]
