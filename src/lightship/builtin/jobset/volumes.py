"""Claims for volumes that the Jobs of a JobSet share: what `spec.volumeClaimPolicies` asks for, and the pods that mount it.

Pure: called by `children` and `sync`. A claim is called after its template and its JobSet, and goes with the JobSet unless it is retained.
Contract: JobSet 0.12 (KEP-572); a claim that exists is taken as it is.
"""

from collections.abc import Iterator

from lightship.builtin.jobset import terms
from lightship.meta import objects
from lightship.meta.objects import Obj


def claim_name(jobset: str, template: str) -> str:
    return f"{template}-{jobset}"


def templates(jobset: Obj) -> Iterator[tuple[Obj, Obj]]:
    """Each policy with each of its templates."""
    for policy in objects.spec(jobset).get("volumeClaimPolicies") or []:
        for template in policy.get("templates") or []:
            yield policy, template


def claims(jobset: Obj) -> Iterator[Obj]:
    """The claims that have to exist."""
    for policy, template in templates(jobset):
        metadata: Obj = {
            "name": claim_name(objects.name(jobset), objects.name(template)),
            "namespace": objects.namespace(jobset),
            "labels": {**objects.labels(template), terms.NAME: objects.name(jobset)},
        }
        if annotations := objects.annotations(template):
            metadata["annotations"] = annotations
        if is_deleted_along(policy):
            metadata["ownerReferences"] = [objects.owner_reference(jobset)]
        yield {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": metadata, "spec": objects.copy(objects.spec(template))}


def is_deleted_along(policy: Obj) -> bool:
    """Do the claims of a policy go with their JobSet?"""
    retention = policy.get("retentionPolicy")
    return retention is not None and retention.get("whenDeleted", "Delete") == "Delete"


def add(pod: Obj, jobset: Obj) -> None:
    """Put a volume for each claim that the containers mount into a pod's spec, in place."""
    for _, template in templates(jobset):
        name = objects.name(template)
        if mounts(pod, name):
            claim = {"claimName": claim_name(objects.name(jobset), name)}
            pod.setdefault("volumes", []).append({"name": name, "persistentVolumeClaim": claim})


def mounts(pod: Obj, volume: str) -> bool:
    """Does a container of the pod mount it?"""
    containers = [*(pod.get("containers") or []), *(pod.get("initContainers") or [])]
    return any(mount.get("name") == volume for container in containers for mount in container.get("volumeMounts") or [])
