"""Kinds of the group `storage.k8s.io/v1`.

The table of one API group: facts from the data, and which rules belong to which kind. Read by `kinds`, which everybody else imports.
Contract: kube 1.36 storage/v1.
"""

from lightship.kinds import facts, parts
from lightship.meta import objects, quantity
from lightship.meta.objects import Obj
from lightship.meta.patch import same
from lightship.meta.resources import Part, Resource

from . import rows as storage_rows
from . import storage_checks, volume_rules

_DRIVER_DEFAULTS = {
    "attachRequired": True,
    "podInfoOnMount": False,
    "storageCapacity": False,
    "fsGroupPolicy": "ReadWriteOnceWithFSType",
    "requiresRepublish": False,
    "seLinuxMount": False,
}


def _default_class(storage: Obj) -> None:
    for field, value in (("reclaimPolicy", "Delete"), ("volumeBindingMode", "Immediate")):
        if storage.get(field) is None:
            storage[field] = value


def _prepare_driver(driver: Obj, old: Obj | None) -> None:
    """Drivers have generations only from their first change on."""
    driver.get("spec", {}).pop("preventPodSchedulingIfMissing", None)
    _default_driver(driver)
    if old is not None and not same(objects.spec(driver), objects.spec(old)):
        driver["metadata"]["generation"] = (old["metadata"].get("generation") or 0) + 1


def _default_driver(driver: Obj) -> None:
    spec = driver.setdefault("spec", {})
    for field, value in _DRIVER_DEFAULTS.items():
        if spec.get(field) is None:
            spec[field] = value
    if not spec.get("volumeLifecycleModes"):
        spec["volumeLifecycleModes"] = ["Persistent"]


def _default_node(node: Obj) -> None:
    """What Go writes in the place of lists that are not there."""
    spec = node.setdefault("spec", {})
    spec["drivers"] = spec.get("drivers") or None
    for driver in spec["drivers"] or ():
        driver.setdefault("topologyKeys", None)


def _default_capacity(capacity: Obj) -> None:
    for field in ("capacity", "maximumVolumeSize"):
        if capacity.get(field) is not None:
            capacity[field] = quantity.canonical(capacity[field])


def _prepare_attachment(attachment: Obj, old: Obj | None) -> None:
    attachment["status"] = old.get("status") or {} if old else {"attached": False}


def _default_attachment(attachment: Obj) -> None:
    inline = ((attachment.get("spec") or {}).get("source") or {}).get("inlineVolumeSpec")
    if inline is not None:
        volume_rules.default_spec(inline)


def _prepare_attachment_status(attachment: Obj, old: Obj | None) -> None:
    parts.keep_metadata(attachment, old)
    status = attachment.setdefault("status", {})
    status.setdefault("attached", False)
    for field in ("attachError", "detachError"):
        if status.get(field) is not None:
            status[field].setdefault("time", None)


CSI_DRIVERS = facts.resource(
    "storage.k8s.io/v1/csidrivers",
    prepare=_prepare_driver,
    default=_default_driver,
    validate=storage_checks.validate_driver,
    warn=storage_checks.warn_of_driver,
    row=storage_rows.driver_row,
    unconditional_update=False,
)
CSI_NODES = facts.resource(
    "storage.k8s.io/v1/csinodes",
    default=_default_node,
    validate=storage_checks.validate_node,
    row=storage_rows.node_row,
    unconditional_update=False,
)
CSI_STORAGE_CAPACITIES = facts.resource(
    "storage.k8s.io/v1/csistoragecapacities",
    default=_default_capacity,
    validate=storage_checks.validate_capacity,
    warn=storage_checks.warn_of_capacity,
    unconditional_update=False,
)
STORAGE_CLASSES = facts.resource(
    "storage.k8s.io/v1/storageclasses",
    default=_default_class,
    validate=storage_checks.validate_class,
    warn=storage_checks.warn_of_class,
    row=storage_rows.class_row,
)
VOLUME_ATTACHMENTS = facts.resource(
    "storage.k8s.io/v1/volumeattachments",
    prepare=_prepare_attachment,
    default=_default_attachment,
    validate=storage_checks.validate_attachment,
    parts={"status": Part(prepare=_prepare_attachment_status, validate=storage_checks.validate_attachment)},
    row=storage_rows.attachment_row,
    unconditional_update=False,
)
VOLUME_ATTRIBUTES_CLASSES = facts.resource(
    "storage.k8s.io/v1/volumeattributesclasses",
    validate=storage_checks.validate_attributes_class,
    row=storage_rows.attributes_class_row,
)

RESOURCES: tuple[Resource, ...] = (
    CSI_DRIVERS,
    CSI_NODES,
    CSI_STORAGE_CAPACITIES,
    STORAGE_CLASSES,
    VOLUME_ATTACHMENTS,
    VOLUME_ATTRIBUTES_CLASSES,
)
