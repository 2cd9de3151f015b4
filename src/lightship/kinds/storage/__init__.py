"""Volumes and what they come from: sources of a pod's volumes, PersistentVolumes and claims, classes, drivers, attachments.

`resources` is the table of the group storage.k8s.io; `volume_checks` judges the volumes of pods, which `pods` and `workloads` ask for;
`claim_checks` and `persistent_volume_checks` judge claims and volumes. Contract: core/v1 Volume, PersistentVolume; storage.k8s.io/v1.
"""
