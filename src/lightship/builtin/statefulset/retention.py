"""Whose the claims of a StatefulSet are: nobody's while they are to be kept, the set's or the pod's when they shall go with it.

Pure; asked by `sync`. Contract: Kubernetes 1.36 statefulset controller, `spec.persistentVolumeClaimRetentionPolicy`.
"""

from lightship.builtin.statefulset import members
from lightship.meta import objects
from lightship.meta.objects import Obj

DELETE = "Delete"


def policy(owner: Obj) -> tuple[bool, bool]:
    """Do claims go (when the set is deleted, when it is scaled down)?"""
    given = objects.spec(owner).get("persistentVolumeClaimRetentionPolicy") or {}
    return given.get("whenDeleted") == DELETE, given.get("whenScaled") == DELETE


def is_stale(owner: Obj, claim: Obj, pod_name: str) -> bool:
    """Does a claim go with an earlier pod of this name? The next one has to wait until it is gone."""
    return policy(owner)[1] and any(_names(reference, "v1", "Pod", pod_name) for reference in objects.owners(claim))


def owners(owner: Obj, pod: Obj, claim: Obj) -> list[Obj] | None:
    """The owner references that a claim should have; None when those it has are right, or are none of our business."""
    present = objects.owners(claim)
    if _has_stale(present, owner, "apps/v1", "StatefulSet") or _has_stale(present, pod, "v1", "Pod"):
        return None
    ours = [r for r in present if r.get("uid") in (objects.uid(owner), objects.uid(pod))]
    others = [r for r in present if r not in ours]
    if is_conflicting(owner, pod, claim):
        return others if ours else None
    wanted = _wanted(owner, pod)
    if [r.get("uid") for r in ours] == [r["uid"] for r in wanted] and all(r.get("controller") for r in ours):
        return None
    return [*others, *wanted]


def is_conflicting(owner: Obj, pod: Obj, claim: Obj) -> bool:
    """Has a claim, which should go with the set or a pod, another controller?"""
    known = (objects.uid(owner), objects.uid(pod))
    return any(policy(owner)) and any(r.get("controller") and r.get("uid") not in known for r in objects.owners(claim))


def _wanted(owner: Obj, pod: Obj) -> list[Obj]:
    with_set, with_pod = policy(owner)
    if with_pod and not members.is_wanted(owner, pod):
        return [objects.owner_reference({"apiVersion": "v1", "kind": "Pod", **pod})]
    return [objects.owner_reference(owner)] if with_set else []


def _has_stale(references: list[Obj], owner: Obj, api_version: str, kind: str) -> bool:
    return any(_names(r, api_version, kind, objects.name(owner)) and r.get("uid") != objects.uid(owner) for r in references)


def _names(reference: Obj, api_version: str, kind: str, name: str) -> bool:
    return (reference.get("apiVersion"), reference.get("kind"), reference.get("name")) == (api_version, kind, name)
