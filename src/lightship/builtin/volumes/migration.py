"""What volumes of drivers that were once part of Kubernetes carry, now that CSI drivers serve them. Pure; called by `claims` and `volumes`.

Contract: updateMigrationAnnotations and modifyDeletionFinalizers of pkg/controller/volume/persistentvolume, names of csi-translation-lib.
"""

from collections.abc import Mapping

from lightship.builtin.volumes import terms
from lightship.builtin.volumes.steps import annotated
from lightship.meta import objects
from lightship.meta.objects import Obj

MIGRATED: Mapping[str, str] = {
    "kubernetes.io/aws-ebs": "ebs.csi.aws.com",
    "kubernetes.io/azure-disk": "disk.csi.azure.com",
    "kubernetes.io/azure-file": "file.csi.azure.com",
    "kubernetes.io/cinder": "cinder.csi.openstack.org",
    "kubernetes.io/gce-pd": "pd.csi.storage.gke.io",
    "kubernetes.io/portworx-volume": "pxd.portworx.com",
    "kubernetes.io/vsphere-volume": "csi.vsphere.vmware.com",
}
"""The driver that a plugin's work has gone to."""


def claim_migrated(claim: Obj, migrated: Mapping[str, str] = MIGRATED) -> Obj:
    """The claim with the annotation that names its driver, or without; itself where nothing is to change."""
    notes = objects.annotations(claim)
    provisioner = notes.get(terms.PROVISIONER, notes.get(terms.OLD_PROVISIONER))
    return _migrated(claim, provisioner, migrated)


def volume_migrated(volume: Obj, migrated: Mapping[str, str] = MIGRATED) -> Obj:
    """The volume with annotation and finalizers as they should be; itself where nothing is to change."""
    changed = _migrated(volume, objects.annotations(volume).get(terms.PROVISIONED_BY), migrated)
    before: list[str] = objects.meta(volume).get("finalizers") or []
    wanted = finalizers(volume, migrated)
    if wanted == before:
        return changed
    meta = {field: value for field, value in objects.meta(changed).items() if field != "finalizers"}
    return {**changed, "metadata": {**meta, **({"finalizers": wanted} if wanted else {})}}


def _migrated(obj: Obj, provisioner: str | None, migrated: Mapping[str, str]) -> Obj:
    if provisioner is None:
        return obj
    driver = migrated.get(provisioner)
    said = objects.annotations(obj).get(terms.MIGRATED_TO)
    return annotated(obj, {terms.MIGRATED_TO: driver}) if (driver or "") != (said or "") else obj


def finalizers(volume: Obj, migrated: Mapping[str, str] = MIGRATED) -> list[str]:
    """Volumes that a plugin has made are kept until it has deleted what is behind them; drivers see to theirs themselves."""
    found: list[str] = objects.meta(volume).get("finalizers") or []
    provisioner = objects.annotations(volume).get(terms.PROVISIONED_BY)
    if provisioner is None:
        return found
    if provisioner in migrated:
        return [name for name in found if name != terms.IN_TREE_FINALIZER]
    if not provisioner.startswith(terms.IN_TREE):
        return found
    policy = objects.spec(volume).get("persistentVolumeReclaimPolicy")
    kept = [name for name in found if name != terms.EXTERNAL_FINALIZER]
    if policy == "Delete":
        return kept if terms.IN_TREE_FINALIZER in kept else [*kept, terms.IN_TREE_FINALIZER]
    return [name for name in kept if name != terms.IN_TREE_FINALIZER] if policy in ("Retain", "Recycle") else kept
