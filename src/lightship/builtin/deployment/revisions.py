"""The versions of a Deployment: which ReplicaSet is of its template, what a new one looks like, and how they are numbered.

Pure; asked by `sync`. Hashes of templates are ours: no contract says more of them than that they differ.
Contract: Kubernetes 1.36 deployment controller; annotations `deployment.kubernetes.io/*`.
"""

import hashlib
from collections.abc import Iterable, Sequence

import msgspec

from lightship.builtin.deployment import strategy
from lightship.builtin.podtemplate import ALPHABET
from lightship.meta import objects
from lightship.meta.objects import Obj

HASH = "pod-template-hash"
REVISION = "deployment.kubernetes.io/revision"
HISTORY = "deployment.kubernetes.io/revision-history"
DESIRED = "deployment.kubernetes.io/desired-replicas"
MOST = "deployment.kubernetes.io/max-replicas"
ROLLBACK = "deprecated.deployment.rollback.to"
OWN = frozenset({"kubectl.kubernetes.io/last-applied-configuration", REVISION, HISTORY, DESIRED, MOST, ROLLBACK})
"""Annotations that a Deployment and its ReplicaSets do not share."""
_HISTORY_LENGTH = 2000
_HASH_LENGTH = 10
_LONGEST_NAME = 253


def by_age(replica_sets: Iterable[Obj]) -> list[Obj]:
    """The oldest first."""
    return sorted(replica_sets, key=lambda rs: (objects.meta(rs).get("creationTimestamp") or "", objects.name(rs)))


def is_of(replica_set: Obj, deployment: Obj) -> bool:
    """Has it the template that the Deployment has now?"""
    return _bare(replica_set) == _bare(deployment)


def revision(replica_set: Obj) -> int:
    text = objects.annotations(replica_set).get(REVISION, "")
    return int(text) if text.isdecimal() else 0


def next_revision(old: Iterable[Obj]) -> int:
    return max(map(revision, old), default=0) + 1


def new_replica_set(deployment: Obj, old: Sequence[Obj]) -> Obj:
    """The ReplicaSet of the Deployment's template, to be created beside the `old` ones."""
    spec = objects.spec(deployment)
    hashed = _hash(deployment)
    template = objects.copy(spec.get("template") or {})
    metadata = template.setdefault("metadata", {})
    metadata["labels"] = {**(metadata.get("labels") or {}), HASH: hashed}
    selector = objects.copy(spec.get("selector") or {})
    selector["matchLabels"] = {**(selector.get("matchLabels") or {}), HASH: hashed}
    made: Obj = {
        "apiVersion": "apps/v1",
        "kind": "ReplicaSet",
        "metadata": {
            "name": f"{objects.name(deployment)[: _LONGEST_NAME - len(hashed) - 1]}-{hashed}",
            "namespace": objects.namespace(deployment),
            "labels": dict(metadata["labels"]),
            "ownerReferences": [objects.owner_reference(deployment)],
        },
        "spec": {"replicas": 0, "selector": selector, "template": template},
    }
    if spec.get("minReadySeconds"):
        made["spec"]["minReadySeconds"] = spec["minReadySeconds"]
    made["spec"]["replicas"] = strategy.size_of_new(deployment, [*old, made], made)
    made["metadata"]["annotations"] = {**annotations(deployment, made, next_revision(old)), **sizes(deployment)}
    return made


def annotations(deployment: Obj, replica_set: Obj, number: int) -> dict[str, str]:
    """What a ReplicaSet of the Deployment's template shall be annotated with, as revision `number` if it was of an earlier one."""
    shared = {name: text for name, text in objects.annotations(deployment).items() if name not in OWN}
    found = {**objects.annotations(replica_set), **shared}
    before = found.get(REVISION, "")
    if (before and not before.isdecimal()) or int(before or 0) >= number:
        return found
    found[REVISION] = str(number)
    if before:
        found[HISTORY] = _appended(found.get(HISTORY, ""), before)
    return found


def sizes(deployment: Obj) -> dict[str, str]:
    """Annotations by which a change of the Deployment's size is told from a rollout."""
    wanted = strategy.replicas(deployment)
    return {DESIRED: str(wanted), MOST: str(wanted + strategy.limits(deployment).surge)}


def surplus(old: Iterable[Obj], deployment: Obj) -> list[Obj]:
    """Versions beyond `revisionHistoryLimit` that have no pods, the earliest first."""
    limit = objects.spec(deployment).get("revisionHistoryLimit")
    alive = [rs for rs in old if not objects.is_deleting(rs)]
    if limit is None or limit == strategy.UNLIMITED or len(alive) <= limit:
        return []
    ordered = sorted(by_age(alive), key=revision)[: len(alive) - int(limit)]
    return [rs for rs in ordered if _is_empty(rs)]


def _is_empty(replica_set: Obj) -> bool:
    status = objects.status(replica_set)
    seen = objects.generation(replica_set) <= int(status.get("observedGeneration") or 0)
    return seen and not strategy.replicas(replica_set) and not status.get("replicas")


def _bare(owner: Obj) -> Obj:
    """A template without our label and without what means nothing."""
    template: Obj = objects.copy(objects.spec(owner).get("template") or {})
    metadata = template.pop("metadata", None) or {}
    (metadata.get("labels") or {}).pop(HASH, None)
    return {**template, "metadata": {field: value for field, value in metadata.items() if value}}


def _hash(deployment: Obj) -> str:
    """Of the template and, where another ReplicaSet has the name already, of how often that was so."""
    salt = objects.status(deployment).get("collisionCount") or 0
    digest = hashlib.blake2b(msgspec.json.encode(_bare(deployment), order="deterministic"), digest_size=_HASH_LENGTH, salt=b"%d" % salt)
    return "".join(ALPHABET[byte % len(ALPHABET)] for byte in digest.digest())


def _appended(history: str, number: str) -> str:
    listed = [*filter(None, history.split(",")), number]
    while len(listed) > 1 and len(",".join(listed)) > _HISTORY_LENGTH:
        listed.pop(0)
    return ",".join(listed)
