"""The decision about one DisaggregatedSet: itself, its LeaderWorkerSets and Services in; which to make, to scale and to remove out.

Pure; `controller` carries the plan out. Every version of the roles' templates has a LeaderWorkerSet for each role; an update scales the
old ones down and the new ones up as `planner` says, once what was scaled last is ready. Contract: DisaggregatedSet of LeaderWorkerSet 0.9.
"""

import hashlib
from collections.abc import Iterable, Sequence

import msgspec

from lightship.builtin import history
from lightship.builtin.disaggregatedset import planner
from lightship.builtin.disaggregatedset.planner import Limits
from lightship.builtin.leaderworkerset.rules import replicas, rolling
from lightship.builtin.notes import Note
from lightship.builtin.shares import scaled
from lightship.meta import objects
from lightship.meta.objects import Obj

NAME = "disaggregatedset.x-k8s.io/name"
ROLE = "disaggregatedset.x-k8s.io/role"
REVISION = "disaggregatedset.x-k8s.io/revision"
INITIAL = "disaggregatedset.x-k8s.io/initial-replicas"
STEP_SECONDS = 1.0
_HASH = 8

Version = dict[str, Obj]
"""The LeaderWorkerSets of one version, by role."""


class Scale(msgspec.Struct):
    lws: Obj
    replicas: int
    note: Note | None = None


class Plan(msgspec.Struct):
    """What to do, in this order."""

    delete: list[Obj] = []
    """LeaderWorkerSets of versions that have no groups any more."""
    said: list[Note] = []
    note_initial: list[Obj] = []
    """LeaderWorkerSets that are to remember how many groups they had when the update began."""
    create: list[Obj] = []
    scale: list[Scale] = []
    services: list[Obj] = []
    forget: list[Obj] = []
    """Services of versions that are not served any more."""
    requeue: float | None = None


def sync(owner: Obj, sets: Iterable[Obj], services: Iterable[Obj]) -> Plan:
    """`sets` and `services` are those that have the label of the owner."""
    plan, current, versions = Plan(), revision(owner), _versions(sets)
    old = {name: version for name, version in versions.items() if name != current}
    plan.delete = [lws for version in old.values() if not any(map(_groups, version.values())) for lws in version.values()]
    if sum(_groups(version[role]) for version in old.values() for role in _roles(owner) if role in version):
        _update(plan, owner, current, old, versions.get(current))
    else:
        _settle(plan, owner, current, versions.get(current, {}))
    _serve(plan, owner, current, versions, list(services))
    return plan


def revision(owner: Obj) -> str:
    """What tells versions of the roles' templates apart."""
    whole = [{"name": r["name"], "template": objects.spec(r).get("leaderWorkerTemplate")} for r in objects.spec(owner).get("roles") or ()]
    return hashlib.sha256(msgspec.json.encode(history.in_order(whole))).hexdigest()[:_HASH]


def name_of(owner: Obj, role: str, revision: str) -> str:
    return f"{objects.name(owner)}-{revision}-{role}"


def _roles(owner: Obj) -> dict[str, Obj]:
    return {role["name"]: role for role in objects.spec(owner).get("roles") or ()}


def _groups(lws: Obj | None) -> int:
    return 0 if lws is None else replicas(lws)


def _versions(sets: Iterable[Obj]) -> dict[str, Version]:
    found: dict[str, Version] = {}
    for lws in sets:
        labels = objects.labels(lws)
        found.setdefault(labels.get(REVISION, ""), {})[labels.get(ROLE, "")] = lws
    return found


def _settle(plan: Plan, owner: Obj, current: str, version: Version) -> None:
    """No update: every role has what it wants."""
    for name, role in _roles(owner).items():
        lws = version.get(name)
        if lws is None:
            plan.create.append(build(owner, role, current, replicas(role)))
        elif replicas(lws) != replicas(role):
            plan.scale.append(Scale(lws, replicas(role)))


def _update(plan: Plan, owner: Obj, current: str, old: dict[str, Version], new: Version | None) -> None:
    roles = _roles(owner)
    if new is None or len([role for role in roles if role in new]) < len(roles):
        if new is None:
            plan.said.append(Note("Normal", "RollingUpdateStarted", f"Started rolling update to revision {current}"))
            plan.note_initial = [lws for version in old.values() for lws in version.values() if _initial(lws) != replicas(lws)]
        plan.create = [build(owner, role, current, 0) for name, role in roles.items() if name not in (new or {})]
        plan.requeue = STEP_SECONDS
        return
    if any(_groups(new[role]) != int(objects.status(new[role]).get("readyReplicas") or 0) for role in roles):
        plan.requeue = STEP_SECONDS
        return
    names = [*roles, *dict.fromkeys(role for version in old.values() for role in version if role not in roles)]
    before = [sum(_groups(version.get(name)) for version in old.values()) for name in names]
    initial = [sum(_initial_or_now(version[name]) for version in old.values() if name in version) for name in names]
    have = [_groups(new.get(name)) if name in roles else 0 for name in names]
    wanted = [replicas(roles[name]) if name in roles else 0 for name in names]
    step = planner.next_step(initial, before, have, wanted, [_limits(roles.get(name)) for name in names])
    if step is None:
        plan.said.append(Note("Normal", "RollingUpdateCompleted", f"Completed rolling update to revision {current}"))
        return
    for name, now, then in zip(names, have, step.new, strict=True):
        if name in roles and now < then:
            told = f"Scaling up {name} LWS {objects.name(new[name])} from {now} to {then} replicas"
            plan.scale.append(Scale(new[name], then, Note("Normal", "ScalingUp", told)))
    _drain(plan, old, names, [now - then for now, then in zip(before, step.old, strict=True)])


def _drain(plan: Plan, old: dict[str, Version], names: Sequence[str], budget: list[int]) -> None:
    """Take so many groups of each role from the old versions, the newest first; a version that loses one role loses all."""
    for version in sorted(old.values(), key=_born, reverse=True):
        if not any(left > 0 for left in budget):
            return
        drained = {name: min(budget[i], _groups(version[name])) for i, name in enumerate(names) if name in version}
        ended = {name for name, count in drained.items() if _groups(version[name]) == count}
        for i, name in enumerate(names):
            if name not in version:
                continue
            lws, now = version[name], _groups(version[name])
            then = 0 if ended else now - drained[name]
            if now <= then:
                continue
            told = f"Scaling down {name} LWS {objects.name(lws)} from {now} to {then} replicas"
            plan.scale.append(Scale(lws, then, Note("Normal", "ScalingDown", told)))
            if not ended or name in ended:
                budget[i] -= drained[name]


def _born(version: Version) -> str:
    return max((objects.meta(lws).get("creationTimestamp") or "" for lws in version.values()), default="")


def _initial(lws: Obj) -> int | None:
    noted = objects.annotations(lws).get(INITIAL, "")
    return int(noted) if noted.isdecimal() else None


def _initial_or_now(lws: Obj) -> int:
    noted = _initial(lws)
    return _groups(lws) if noted is None else noted


def _limits(role: Obj | None) -> Limits:
    given = rolling(role or {})
    count = replicas(role or {})
    surge, missing = scaled(given.get("maxSurge", 0), count, up=True), scaled(given.get("maxUnavailable", 0), count, up=False)
    if missing > 0:
        return Limits(surge, missing)
    return Limits(surge) if surge > 0 else Limits()


def _serve(plan: Plan, owner: Obj, current: str, versions: dict[str, Version], services: list[Obj]) -> None:
    """A Service for each role of the version that is wanted, once all its roles have a group that is ready; then those of others go."""
    roles = _roles(owner)
    ready = {
        name
        for name, version in versions.items()
        if all(int(objects.status(version.get(role) or {}).get("readyReplicas") or 0) >= 1 for role in roles)
    }
    if current not in ready:
        return
    there = {objects.name(service) for service in services}
    made = (_service(owner, role, current) for role in roles)
    plan.services = [service for service in made if objects.name(service) not in there]
    plan.forget = [service for service in services if objects.labels(service).get(REVISION, "") not in ready]


def build(owner: Obj, role: Obj, current: str, count: int) -> Obj:
    """The LeaderWorkerSet of a role in a version."""
    name = role["name"]
    labels = {"app": f"{objects.name(owner)}-{name}", **_labels(owner, name, current)}
    spec = objects.copy(objects.spec(role))
    spec["replicas"] = count
    template = spec.get("leaderWorkerTemplate") or {}
    for field in ("leaderTemplate", "workerTemplate"):
        if template.get(field) is not None:
            metadata = template[field].setdefault("metadata", {})
            metadata["labels"] = {**(metadata.get("labels") or {}), **labels}
    metadata = {
        "name": name_of(owner, name, current),
        "namespace": objects.namespace(owner),
        "labels": {**objects.labels(role), **labels},
        "ownerReferences": [_reference(owner)],
    }
    if objects.annotations(role):
        metadata["annotations"] = dict(objects.annotations(role))
    return {"apiVersion": "leaderworkerset.x-k8s.io/v1", "kind": "LeaderWorkerSet", "metadata": metadata, "spec": spec}


def _service(owner: Obj, role: str, current: str) -> Obj:
    labels = _labels(owner, role, current)
    metadata = {
        "name": f"{name_of(owner, role, current)}-prv",
        "namespace": objects.namespace(owner),
        "labels": labels,
        "ownerReferences": [_reference(owner)],
    }
    return {"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": {"clusterIP": "None", "selector": labels}}


def _labels(owner: Obj, role: str, current: str) -> dict[str, str]:
    return {NAME: objects.name(owner), ROLE: role, REVISION: current}


def _reference(owner: Obj) -> Obj:
    return {k: v for k, v in objects.owner_reference(owner).items() if k != "blockOwnerDeletion"}
