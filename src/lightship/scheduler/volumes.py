"""May a pod with persistent volumes run on a node, and which volumes would its claims get there.

A `Plugin` of the planner. It keeps claims, volumes and classes as the API shows them (`storage` tells it of changes) and what plans have
promised since; no I/O. Who really binds a claim to a volume is the volume binder: `promises` says what has to be written for that, and
`ready` whether it has happened.
Contract: kube-scheduler's VolumeBinding, VolumeZone, VolumeRestrictions and NodeVolumeLimits: order, reasons, annotations.
"""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from lightship.meta import objects, quantity
from lightship.meta.objects import Key, Obj
from lightship.scheduler import affinity
from lightship.scheduler.cluster import Cluster
from lightship.scheduler.filters import Verdict
from lightship.scheduler.snapshot import NodeState, PodInfo, VolumeUse
from lightship.scheduler.terms import selector_of

BOUND = "pv.kubernetes.io/bind-completed"
SELECTED_NODE = "volume.kubernetes.io/selected-node"
NO_PROVISIONER = "kubernetes.io/no-provisioner"
ZONE_LABELS = ("topology.kubernetes.io/zone", "topology.kubernetes.io/region")
OLD_ZONE_LABELS = {
    "failure-domain.beta.kubernetes.io/zone": "topology.kubernetes.io/zone",
    "failure-domain.beta.kubernetes.io/region": "topology.kubernetes.io/region",
}
UNBOUND = "pod has unbound immediate PersistentVolumeClaims"
IN_USE = "node(s) unavailable due to PersistentVolumeClaim with ReadWriteOncePod access mode already in-use by another pod"
TOO_MANY = "node(s) exceed max volume count"
ELSEWHERE = "node(s) didn't match PersistentVolume's node affinity"
NOTHING_TO_BIND = "node(s) didn't find available persistent volumes to bind"
NO_SPACE = "node(s) did not have enough free storage"
LOST = "node(s) unavailable due to one or more pvc(s) bound to non-existent pv(s)"
WRONG_ZONE = "node(s) had no available volume zone"


class Promise(NamedTuple):
    """What a claim gets on the node where its pod goes: a volume that is there, or (empty) one made for the node."""

    claim: Key
    node: str
    volume: str = ""


class Volumes:
    """All that is known of storage."""

    name = "volumes"

    def __init__(self) -> None:
        self.claims: dict[Key, Obj] = {}
        self.volumes: dict[str, Obj] = {}
        self.classes: dict[str, Obj] = {}
        self.drivers: dict[str, Obj] = {}
        self.node_drivers: dict[str, Obj] = {}
        """CSINodes by node."""
        self.capacities: dict[Key, Obj] = {}
        self._version = 0
        self._promises: dict[str, list[Promise]] = {}
        """By pod uid."""
        self._taken: dict[str, Key] = {}
        """Volumes that are promised to a claim."""

    def changed(self) -> None:
        """Something that the answers depend on has changed."""
        self._version += 1

    def wants(self, pod: PodInfo) -> bool:
        return bool(pod.volumes)

    def version(self) -> int:
        return self._version

    def refuses(self, pod: PodInfo, cluster: Cluster) -> str:
        for use in pod.volumes:
            if why := self._unusable(pod, use):
                return why
        return UNBOUND if any(self._is_immediate(claim) for claim in self._claims(pod) if not is_bound(claim)) else ""

    def verdict(self, pod: PodInfo, node: NodeState, cluster: Cluster) -> Verdict | None:
        if self._is_in_use(pod, cluster):
            return Verdict("volumes", (IN_USE,), True)
        if self._too_many(pod, node):
            return Verdict("volumes", (TOO_MANY,), True)
        bound = [claim for claim in self._claims(pod) if is_bound(claim)]
        reasons = [*self._against_bound(bound, node)]
        _, why = self._find(pod, node)
        reasons += [why] if why else []
        if any(self._of(claim) is None for claim in bound):
            reasons.append(LOST)
        if not reasons and any(self._is_out_of_zone(claim, node) for claim in bound):
            reasons.append(WRONG_ZONE)
        return Verdict("volumes", tuple(reasons), False) if reasons else None

    def reserve(self, pod: PodInfo, node: NodeState) -> None:
        promises, _ = self._find(pod, node)
        if promises:
            self._promises[pod.uid] = promises
            self._taken |= {promise.volume: promise.claim for promise in promises if promise.volume}
            self.changed()

    def unreserve(self, pod: PodInfo) -> None:
        for promise in self._promises.pop(pod.uid, ()):
            self._taken.pop(promise.volume, None)
            self.changed()

    def promises(self, pod: PodInfo) -> list[Promise]:
        """What has to come true before the pod can be bound."""
        return self._promises.get(pod.uid, [])

    def ready(self, pod: PodInfo) -> bool:
        """Have all claims of the pod got their volumes?"""
        claims = self._claims(pod)
        return len(claims) == len(pod.volumes) and all(is_bound(claim) for claim in claims)

    def _claims(self, pod: PodInfo) -> list[Obj]:
        keys = (Key(pod.key.namespace, use.claim) for use in pod.volumes)
        return [claim for key in keys if (claim := self.claims.get(key)) is not None]

    def _unusable(self, pod: PodInfo, use: VolumeUse) -> str:
        claim = self.claims.get(Key(pod.key.namespace, use.claim))
        if claim is None:
            if use.ephemeral:
                return f'waiting for ephemeral volume controller to create the persistentvolumeclaim "{use.claim}"'
            return f'persistentvolumeclaim "{use.claim}" not found'
        if objects.status(claim).get("phase") == "Lost":
            volume = objects.spec(claim).get("volumeName") or ""
            return f'persistentvolumeclaim "{use.claim}" bound to non-existent persistentvolume "{volume}"'
        if objects.is_deleting(claim):
            return f'persistentvolumeclaim "{use.claim}" is being deleted'
        if use.ephemeral and (objects.controller_of(claim) or {}).get("uid") != pod.uid:
            return f"PVC {pod.key.namespace}/{use.claim} was not created for pod {pod.key} (pod is not owner)"
        return ""

    def _is_immediate(self, claim: Obj) -> bool:
        """Must this claim have its volume before its pod is looked at?"""
        storage_class = self.classes.get(objects.spec(claim).get("storageClassName") or "") or {}
        waits = storage_class.get("volumeBindingMode") == "WaitForFirstConsumer"
        return not waits or bool(objects.spec(claim).get("volumeName"))

    def _is_in_use(self, pod: PodInfo, cluster: Cluster) -> bool:
        exclusive = {objects.name(c) for c in self._claims(pod) if "ReadWriteOncePod" in (objects.spec(c).get("accessModes") or ())}
        return bool(exclusive) and any(
            use.claim in exclusive for other in cluster.pods_in(pod.key.namespace) if other.uid != pod.uid for use in other.volumes
        )

    def _too_many(self, pod: PodInfo, node: NodeState) -> bool:
        drivers = objects.spec(self.node_drivers.get(node.name) or {}).get("drivers") or ()
        limits = {d["name"]: d["allocatable"]["count"] for d in drivers if (d.get("allocatable") or {}).get("count") is not None}
        if not limits:
            return False
        there = {attached for other in node.pods.values() for attached in self._attached(other)}
        fresh = set(self._attached(pod)) - there
        for driver in {driver for driver, _ in fresh} & limits.keys():
            if sum(1 for d, _ in (there | fresh) if d == driver) > limits[driver]:
                return True
        return False

    def _attached(self, pod: PodInfo) -> Iterable[tuple[str, str]]:
        """(driver, volume) of each CSI volume that the pod needs attached."""
        for claim in self._claims(pod):
            source = objects.spec(self._of(claim) or {}).get("csi")
            if source:
                yield source.get("driver", ""), source.get("volumeHandle", "")
            elif not is_bound(claim):
                storage_class = self.classes.get(objects.spec(claim).get("storageClassName") or "") or {}
                yield storage_class.get("provisioner", ""), str(objects.key(claim))

    def _of(self, claim: Obj) -> Obj | None:
        return self.volumes.get(objects.spec(claim).get("volumeName") or "")

    def _against_bound(self, claims: Iterable[Obj], node: NodeState) -> Iterable[str]:
        if not all(_reaches(volume, node) for claim in claims if (volume := self._of(claim)) is not None):
            yield ELSEWHERE

    def _is_out_of_zone(self, claim: Obj, node: NodeState) -> bool:
        if not any(label in node.labels for label in (*ZONE_LABELS, *OLD_ZONE_LABELS)):
            return False
        labels = objects.labels(self._of(claim) or {})
        for label in (*ZONE_LABELS, *OLD_ZONE_LABELS):
            if label in labels:
                value = node.labels.get(label, node.labels.get(OLD_ZONE_LABELS.get(label, label)))
                if value not in labels[label].split("__"):
                    return True
        return False

    def _find(self, pod: PodInfo, node: NodeState) -> tuple[list[Promise], str]:
        """What the pod's unbound claims would get on this node, or why they would get nothing."""
        found: list[Promise] = []
        for claim in self._claims(pod):
            if is_bound(claim):
                continue
            selected = objects.annotations(claim).get(SELECTED_NODE)
            if selected not in (None, node.name):
                return [], NOTHING_TO_BIND
            key = objects.key(claim)
            volume = None if selected else self._match(claim, node, {promise.volume for promise in found})
            if volume is None and (why := self._unprovisionable(claim, node)):
                return [], why
            found.append(Promise(key, node.name, objects.name(volume) if volume else ""))
        return found, ""

    def _match(self, claim: Obj, node: NodeState, given: set[str]) -> Obj | None:
        """The smallest volume that would do for a claim and can be reached from the node."""
        spec, key = objects.spec(claim), objects.key(claim)
        selector = selector_of(spec["selector"]) if spec.get("selector") else None
        fitting = [
            volume
            for name, volume in self.volumes.items()
            if name not in given
            and self._taken.get(name, key) == key
            and _suits(volume, spec, key)
            and (selector is None or selector.matches(objects.labels(volume)))
            and _reaches(volume, node)
        ]
        return min(
            fitting, key=lambda volume: (not objects.spec(volume).get("claimRef"), _size(volume), objects.name(volume)), default=None
        )

    def _unprovisionable(self, claim: Obj, node: NodeState) -> str:
        """Why no volume can be made for the claim on this node."""
        storage_class = self.classes.get(objects.spec(claim).get("storageClassName") or "")
        provisioner = (storage_class or {}).get("provisioner") or ""
        if storage_class is None or provisioner in ("", NO_PROVISIONER):
            return NOTHING_TO_BIND
        topologies = storage_class.get("allowedTopologies") or ()
        if topologies and not any(_in_topology(node.labels, topology) for topology in topologies):
            return NOTHING_TO_BIND
        if not objects.spec(self.drivers.get(provisioner) or {}).get("storageCapacity"):
            return ""
        wanted = _asked(claim)
        return "" if any(self._has_space(c, storage_class, node, wanted) for c in self.capacities.values()) else NO_SPACE

    def _has_space(self, capacity: Obj, storage_class: Obj, node: NodeState, wanted: int) -> bool:
        most = capacity.get("maximumVolumeSize") or capacity.get("capacity")
        if capacity.get("storageClassName") != objects.name(storage_class) or most is None or quantity.to_int(most) < wanted:
            return False
        return selector_of(capacity.get("nodeTopology")).matches(node.labels)


def is_bound(claim: Obj) -> bool:
    return bool(objects.spec(claim).get("volumeName")) and BOUND in objects.annotations(claim)


def _suits(volume: Obj, wanted: Obj, key: Key) -> bool:
    """Could this volume serve such a claim, and is it not another's?"""
    spec = objects.spec(volume)
    reference = spec.get("claimRef")
    if reference and (reference.get("namespace"), reference.get("name")) != key:
        return False
    if not reference and objects.status(volume).get("phase") not in (None, "Available"):
        return False
    if objects.is_deleting(volume) or (spec.get("storageClassName") or "") != (wanted.get("storageClassName") or ""):
        return False
    if (spec.get("volumeMode") or "Filesystem") != (wanted.get("volumeMode") or "Filesystem"):
        return False
    modes = set(wanted.get("accessModes") or ())
    return modes <= set(spec.get("accessModes") or ()) and _size(volume) >= _asked({"spec": wanted})


def _size(volume: Obj) -> int:
    return quantity.to_int((objects.spec(volume).get("capacity") or {}).get("storage") or 0)


def _asked(claim: Obj) -> int:
    return quantity.to_int(((objects.spec(claim).get("resources") or {}).get("requests") or {}).get("storage") or 0)


def _reaches(volume: Obj, node: NodeState) -> bool:
    required = (objects.spec(volume).get("nodeAffinity") or {}).get("required")
    return required is None or affinity.matches_any(node, required.get("nodeSelectorTerms") or [])


def _in_topology(labels: Mapping[str, str], topology: Obj) -> bool:
    return all(labels.get(e.get("key", "")) in (e.get("values") or ()) for e in topology.get("matchLabelExpressions") or ())
