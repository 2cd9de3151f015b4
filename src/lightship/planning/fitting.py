"""Where the pods of a trial would go on the live cluster, in the order in which they come, and what the scheduler says of the others.

Called by `command`. Pure: the scheduler's own core decides, over live nodes with what runs on them. Nobody is evicted for them, and room
that others give back later is not counted on.
"""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from lightship import kinds
from lightship.meta import objects
from lightship.meta.objects import Key, Obj
from lightship.scheduler import explain, reading, together
from lightship.scheduler.gangs import POD_GROUPS, native_gang
from lightship.scheduler.plan import Bind, Decision, Gated, Planner, Unschedulable
from lightship.scheduler.snapshot import Gang, NodeState, PodInfo
from lightship.scheduler.volumes import BOUND, NO_PROVISIONER, Volumes

from .live import Live
from .trial import Made, Trial


class Place(NamedTuple):
    """What the scheduler decides for one pod: a node, or why none."""

    pod: Made
    info: PodInfo
    node: str
    message: str = ""


class Fit(NamedTuple):
    places: list[Place]
    nodes: dict[str, NodeState]
    peak: list[Place]
    """Of the places those that are taken at the same time when most are."""


def fit(trial: Trial, live: Live) -> Fit:
    """A place for each pod of the trial, if there is one."""
    cluster = explain.assemble(live.of(kinds.NODES), live.of(kinds.PODS), live.of(kinds.NAMESPACES))
    planner = Planner(cluster, (_volumes(trial, live),))
    places: dict[str, Place] = {}
    taken: dict[str, Place] = {}
    peak: list[Place] = []
    for at, coming in _waves(trial.pods()):
        for uid, place in list(taken.items()):
            if place.pod.ended is not None and place.pod.ended <= at:
                planner.undo(taken.pop(uid).info)
        for place in _decide(planner, coming, _gangs(trial)):
            places[place.info.uid] = place
            if place.node:
                taken[place.info.uid] = place
        if len(taken) > len(peak):
            peak = list(taken.values())
    return Fit(list(places.values()), dict(cluster.nodes), peak)


def waiting_pod(pod: Obj) -> Obj:
    """A pod of the trial as it would come to the live cluster: without a node."""
    spec = {key: value for key, value in objects.spec(pod).items() if key != "nodeName"}
    return {**{key: value for key, value in pod.items() if key != "status"}, "spec": spec}


def _waves(pods: Iterable[Made]) -> list[tuple[float, list[Made]]]:
    waves: dict[float, list[Made]] = {}
    for pod in pods:
        waves.setdefault(pod.at, []).append(pod)
    return sorted(waves.items())


def _decide(planner: Planner, coming: Sequence[Made], gangs: dict[tuple[bool, Key], Gang]) -> Iterable[Place]:
    infos = {objects.uid(made.obj): (made, reading.pod_info(waiting_pod(made.obj))) for made in coming}
    groups: dict[tuple[bool, Key], list[PodInfo]] = {}
    decisions: list[Decision] = []
    for _, info in sorted(infos.values(), key=lambda pair: pair[1].order):
        key = (info.native_group, Key(info.key.namespace, info.group))
        if info.group and key in gangs:
            groups.setdefault(key, []).append(info)
        else:
            decisions.append(planner.decide(info, alone=False))
    for key, members in groups.items():
        decisions += together.decide(planner, members, gangs[key]).decisions
    for decision in decisions:
        made, info = infos[decision.pod.uid]
        yield Place(made, info, decision.node if isinstance(decision, Bind) else "", _message(decision))


def _message(decision: Decision) -> str:
    match decision:
        case Bind():
            return ""
        case Unschedulable():
            return decision.message
        case Gated():
            return f"waits for its gates: {', '.join(decision.pod.gates)}"
        case _:
            return getattr(decision, "message", "") or "waits for its claims"


def _gangs(trial: Trial) -> dict[tuple[bool, Key], Gang]:
    found: dict[tuple[bool, Key], Gang] = {}
    for made in trial.made.values():
        if made.obj.get("kind") != "PodGroup":
            continue
        if objects.gvk(made.obj).group == POD_GROUPS.group:
            found[False, objects.key(made.obj)] = Gang(objects.key(made.obj), objects.spec(made.obj).get("minMember") or 0)
        elif objects.gvk(made.obj).group == kinds.POD_GROUPS.group:
            found[True, objects.key(made.obj)] = native_gang(made.obj)
    return found


def _volumes(trial: Trial, live: Live) -> Volumes:
    volumes = Volumes()
    own = [made.obj for made in trial.made.values() if made.obj.get("kind") == "PersistentVolumeClaim"]
    unbound = [{**claim, "spec": {k: v for k, v in objects.spec(claim).items() if k != "volumeName"}, "status": {}} for claim in own]
    volumes.claims = {objects.key(claim): claim for claim in [*unbound, *live.of(kinds.PERSISTENT_VOLUME_CLAIMS)]}
    volumes.volumes = {objects.name(volume): volume for volume in live.of(kinds.PERSISTENT_VOLUMES)}
    volumes.classes = {objects.name(found): found for found in live.of(kinds.STORAGE_CLASSES)}
    for claim in unbound:
        key = objects.key(claim)
        if volumes.claims[key] is claim and _is_made_at_once(volumes.classes.get(objects.spec(claim).get("storageClassName") or "")):
            made = f"planned-{key.name}"
            metadata = {**objects.meta(claim), "annotations": {**objects.annotations(claim), BOUND: "yes"}}
            volumes.claims[key] = {**claim, "metadata": metadata, "spec": {**objects.spec(claim), "volumeName": made}}
            volumes.volumes[made] = {"metadata": {"name": made}, "spec": {"accessModes": objects.spec(claim).get("accessModes") or []}}
    return volumes


def _is_made_at_once(storage_class: Obj | None) -> bool:
    """Will somebody make a volume for a claim of this class before its pods are looked at?"""
    if storage_class is None or storage_class.get("provisioner") == NO_PROVISIONER:
        return False
    return storage_class.get("volumeBindingMode") != "WaitForFirstConsumer"
