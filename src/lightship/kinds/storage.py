"""Kinds of the group `storage.k8s.io/v1`.

The table of one API group: facts from the data, and which rules belong to which kind. Read by `kinds`, which everybody else imports.
Contract: kube 1.36 storage/v1.
"""

from lightship.kinds import cluster, facts
from lightship.meta.resources import Resource

CSI_DRIVERS = facts.resource("storage.k8s.io/v1/csidrivers")
CSI_NODES = facts.resource("storage.k8s.io/v1/csinodes")
CSI_STORAGE_CAPACITIES = facts.resource("storage.k8s.io/v1/csistoragecapacities")
STORAGE_CLASSES = facts.resource(
    "storage.k8s.io/v1/storageclasses",
    default=cluster.default_storage_class,
    validate=cluster.validate_storage_class,
    row=cluster.storage_class_row,
)
VOLUME_ATTACHMENTS = facts.resource("storage.k8s.io/v1/volumeattachments")
VOLUME_ATTRIBUTES_CLASSES = facts.resource("storage.k8s.io/v1/volumeattributesclasses")

RESOURCES: tuple[Resource, ...] = (
    CSI_DRIVERS,
    CSI_NODES,
    CSI_STORAGE_CAPACITIES,
    STORAGE_CLASSES,
    VOLUME_ATTACHMENTS,
    VOLUME_ATTRIBUTES_CLASSES,
)
