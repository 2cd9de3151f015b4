"""Reads pods and nodes from API objects into the values of `snapshot`.

Called by `book` for every pod and by `controller` for every node that changed; simulations call it with objects of their own.
Contract: core/v1 PodSpec and NodeStatus; requests as in kube's resource.PodRequests, with what a resize in progress still holds.
"""

import math
from collections.abc import Container, Iterable
from functools import lru_cache
from typing import Any

import msgspec

from lightship.kinds import pods as podlib
from lightship.meta import conditions, objects, quantity, times
from lightship.meta.objects import Key, Obj
from lightship.scheduler import terms
from lightship.scheduler.snapshot import ASSUMED_CPU, ASSUMED_MEMORY, CLAIMS, Disk, NodeState, PodInfo, Port, VolumeUse

DEFAULT_SCHEDULER = "default-scheduler"
GROUP_LABELS = ("scheduling.x-k8s.io/pod-group", "pod-group.scheduling.sigs.k8s.io")
"""By either label a pod joins a gang: the name of a `scheduling.x-k8s.io` PodGroup in its namespace."""
PRICE = "lightship.dev/price-per-hour"
NOT_READY = {"key": "node.kubernetes.io/not-ready", "effect": "NoSchedule"}
PRESSURES = {
    "MemoryPressure": {"key": "node.kubernetes.io/memory-pressure", "effect": "NoSchedule"},
    "DiskPressure": {"key": "node.kubernetes.io/disk-pressure", "effect": "NoSchedule"},
    "PIDPressure": {"key": "node.kubernetes.io/pid-pressure", "effect": "NoSchedule"},
}
"""Taints by the condition that they stand for, counted whether or not somebody has written them into the spec by now."""


def amount(resource: str, value: str | int | float) -> int:
    """A quantity in the scheduler's unit. Raises `ValueError` on a bad quantity."""
    return quantity.millis(value) if resource == "cpu" else quantity.to_int(value)


def amounts(resources: Obj) -> dict[str, int]:
    return {name: amount(name, value) for name, value in resources.items()}


def pod_info(pod: Obj) -> PodInfo:
    """All that the plan may ask about a pod."""
    spec = objects.spec(pod)
    key, labels = objects.key(pod), objects.labels(pod)
    containers = podlib.containers(pod)
    requests = _requests(sizes(pod))
    affinity = (spec.get("affinity") or {}).get("nodeAffinity") or {}
    required = affinity.get("requiredDuringSchedulingIgnoredDuringExecution")
    own_terms, spread = terms.read_terms(spec, key.namespace, labels), terms.read_spread(spec, labels)
    ports, volumes, images = tuple(_host_ports(spec)), tuple(_volumes(spec, key.name)), _images(spec)
    disks, drivers = tuple(_disks(spec)), _drivers(spec)
    owner = objects.controller_of(pod)
    native_group = (spec.get("schedulingGroup") or {}).get("podGroupName") or ""
    return PodInfo(
        key=key,
        uid=objects.uid(pod),
        labels=labels,
        priority=spec.get("priority") or 0,
        created=_seconds(objects.meta(pod).get("creationTimestamp")),
        requests=requests,
        weight=(requests.get("cpu") or ASSUMED_CPU, requests.get("memory") or ASSUMED_MEMORY),
        node_selector=spec.get("nodeSelector") or {},
        required_terms=None if required is None else required.get("nodeSelectorTerms") or [],
        preferred_terms=affinity.get("preferredDuringSchedulingIgnoredDuringExecution") or [],
        tolerations=spec.get("tolerations") or [],
        ports=ports,
        terms=own_terms,
        spread=spread,
        images=images,
        containers=len(containers) if isinstance(containers, list) else 1,
        volumes=volumes,
        disks=disks,
        drivers=drivers,
        claims=bool(spec.get("resourceClaims")),
        owner=None if owner is None else Key(owner.get("kind", ""), owner.get("name", "")),
        group=native_group or next((labels[label] for label in GROUP_LABELS if label in labels), ""),
        native_group=bool(native_group),
        node_name=spec.get("nodeName") or "",
        scheduler=spec.get("schedulerName") or DEFAULT_SCHEDULER,
        gates=tuple(gate.get("name", "") for gate in spec.get("schedulingGates") or ()),
        never_preempts=spec.get("preemptionPolicy") == "Never",
        shape=_shape(spec, key.namespace, labels, own_terms, spread, [requests, ports, volumes, images, disks, drivers]),
        **extras(pod),
    )


def extras(pod: Obj) -> dict[str, Any]:
    """What of a `PodInfo` is not in the pod's spec and labels, by field."""
    status, deleting = objects.status(pod), objects.is_deleting(pod)
    return {
        "started": _seconds(status.get("startTime")),
        "nominated": status.get("nominatedNodeName") or "",
        "deleting": deleting,
        "preempted": deleting and _is_preempted(pod),
    }


def sizes(pod: Obj) -> bytes:
    """What decides how much a pod asks for, as a key: of its status, what a resize in progress still holds."""
    return _sizes(objects.spec(pod), objects.status(pod))


def node_state(node: Obj) -> NodeState:
    spec, status = objects.spec(node), objects.status(node)
    taints = list(spec.get("taints") or [])
    if _not_ready(status) and not any(taint.get("key") == NOT_READY["key"] for taint in taints):
        taints.append(NOT_READY)
    held = [c["type"] for c in status.get("conditions") or () if c.get("status") == "True" and c["type"] in PRESSURES]
    taints += [PRESSURES[type] for type in held if not any(taint.get("key") == PRESSURES[type]["key"] for taint in taints)]
    return NodeState(
        name=objects.name(node),
        labels=objects.labels(node),
        unschedulable=bool(spec.get("unschedulable")),
        taints=taints,
        allocatable=amounts(status.get("allocatable") or status.get("capacity") or {}),
        images={name: image.get("sizeBytes") or 0 for image in status.get("images") or () for name in image.get("names") or ()},
        price=_price(node),
        used={},
        ports=[],
        pods={},
    )


def is_waiting(pod: Obj, schedulers: Container[str] = (DEFAULT_SCHEDULER,)) -> bool:
    """Is this a pod that still wants a node, from one of these?"""
    spec = objects.spec(pod)
    if spec.get("nodeName") or objects.is_deleting(pod) or podlib.is_terminal(pod):
        return False
    return (spec.get("schedulerName") or DEFAULT_SCHEDULER) in schedulers


def is_placed(pod: Obj) -> bool:
    """Does this pod take up room on a node? A pod that is being deleted does, until it is gone."""
    return bool(objects.spec(pod).get("nodeName")) and not podlib.is_terminal(pod)


def _price(node: Obj) -> float | None:
    told = objects.labels(node).get(PRICE) or objects.annotations(node).get(PRICE)
    try:
        found = float(told) if told else None
    except ValueError:
        return None
    return found if found is not None and found >= 0 and math.isfinite(found) else None


def _sizes(spec: Obj, status: Obj) -> bytes:
    """What decides how much a pod asks for, as a key."""
    running = {s.get("name"): s for s in status.get("containerStatuses") or () if s.get("resources") or s.get("allocatedResources")}
    containers = [_size(container, running.get(container.get("name"))) for container in spec.get("containers") or ()]
    starting = [{k: c[k] for k in ("resources", "restartPolicy") if k in c} for c in spec.get("initContainers") or ()]
    return msgspec.json.encode((containers, starting, spec.get("overhead"), spec.get("resources")))


def _size(container: Obj, running: Obj | None) -> Obj:
    """A container's requests; while it is being resized, the larger of what it asks for and what it still has."""
    asked = (container.get("resources") or {}).get("requests") or {}
    if running is not None:
        held = (running.get("resources") or {}).get("requests") or {}
        asked = quantity.maximum(quantity.maximum(asked, held), running.get("allocatedResources") or {})
    return {"resources": {"requests": asked}}


@lru_cache(maxsize=4096)
def _totals(sizes: bytes) -> tuple[tuple[str, int], ...]:
    containers, starting, overhead, whole = msgspec.json.decode(sizes)
    spec = {"containers": containers, "initContainers": starting, "overhead": overhead or {}, "resources": whole or {}}
    return tuple(amounts(podlib.total_requests({"spec": spec})).items())


def _requests(sizes: bytes) -> dict[str, int]:
    return {**dict(_totals(sizes)), "pods": 1}


def _seconds(stamp: str | None) -> float:
    return times.parse(stamp) if stamp else 0.0


def _is_preempted(pod: Obj) -> bool:
    found = conditions.get(pod, "DisruptionTarget") or {}
    return found.get("status") == "True" and found.get("reason") == "PreemptionByScheduler"


def _host_ports(spec: Obj) -> Iterable[Port]:
    starting = [c for c in spec.get("initContainers") or () if podlib.is_sidecar(c)]
    for container in [*(spec.get("containers") or ()), *starting]:
        for port in container.get("ports") or []:
            if number := port.get("hostPort"):
                yield Port(port.get("hostIP") or "0.0.0.0", port.get("protocol") or "TCP", number)


def _images(spec: Obj) -> tuple[str, ...]:
    """Names as nodes report them: with a tag."""
    named = [c.get("image") or "" for part in ("initContainers", "containers") for c in spec.get(part) or ()]
    named += [(volume["image"].get("reference") or "") for volume in spec.get("volumes") or () if volume.get("image")]
    return tuple(name if name.rfind(":") > name.rfind("/") else f"{name}:latest" for name in named if name)


def _volumes(spec: Obj, pod: str) -> Iterable[VolumeUse]:
    for volume in spec.get("volumes") or ():
        if claim := volume.get("persistentVolumeClaim"):
            yield VolumeUse(claim.get("claimName") or "")
        elif volume.get("ephemeral") is not None:
            yield VolumeUse(f"{pod}-{volume.get('name')}", ephemeral=True)


def _disks(spec: Obj) -> Iterable[Disk]:
    for volume in spec.get("volumes") or ():
        for kind, name in (("gcePersistentDisk", "pdName"), ("awsElasticBlockStore", "volumeID"), ("iscsi", "iqn")):
            if disk := volume.get(kind):
                yield Disk(kind, disk.get(name) or "", bool(disk.get("readOnly")))
        if disk := volume.get("rbd"):
            where = f"{disk.get('pool') or 'rbd'}/{disk.get('image')}"
            yield Disk("rbd", where, bool(disk.get("readOnly")), frozenset(disk.get("monitors") or ()))


def _drivers(spec: Obj) -> dict[str, int]:
    found: dict[str, int] = {}
    for volume in spec.get("volumes") or ():
        if driver := (volume.get("csi") or {}).get("driver"):
            found[driver] = found.get(driver, 0) + 1
    return found


def _shape(
    spec: Obj, namespace: str, labels: dict[str, str], own: terms.PodTerms, spread: tuple[terms.Spread, ...], values: list[object]
) -> bytes:
    """All that matters of a pod to a node. Of its labels only those that its own rules look at."""
    selectors = [term.selection.selector for kind in (own.affinity, own.anti, own.preferred, own.preferred_anti) for term in kind]
    selectors += [constraint.selector for constraint in spread]
    seen = sorted({r.key for selector in selectors for r in selector.requirements})
    raw = [
        spec.get(part)
        for part in (
            "nodeSelector",
            "affinity",
            "tolerations",
            "topologySpreadConstraints",
            "priority",
            "preemptionPolicy",
        )
    ]
    shape = msgspec.json.encode([namespace, [labels.get(key) for key in seen], raw, values])
    claims = spec.get("resourceClaims")
    return shape + CLAIMS + msgspec.json.encode(claims) if claims else shape


def _not_ready(status: Obj) -> bool:
    """A node that says it is not ready. One that says nothing about it is taken at its word: it has no agent that would."""
    ready = next((c for c in status.get("conditions") or [] if c.get("type") == "Ready"), None)
    return ready is not None and ready.get("status") != "True"
