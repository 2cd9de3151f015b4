"""The decision about one set: itself, its versions, leaders and StatefulSets in; what to make, to apply and to say of it out.

Pure; `controller` reads, calls `sync`, and carries the plan out in the order of its fields. Contract: LeaderWorkerSet 0.9 controller.
"""

from collections.abc import Mapping, Sequence

import msgspec

from lightship.builtin.leaderworkerset import build, revisions, rollout, rules, status, terms
from lightship.builtin.notes import Note
from lightship.meta import objects
from lightship.meta.objects import Obj


class View(msgspec.Struct):
    """What there is of a set."""

    leader_set: Obj | None = None
    """The StatefulSet of its name."""
    revisions: list[Obj] = []
    leaders: Sequence[Obj] = ()
    """Its pods with worker index 0."""
    sets: Mapping[str, Obj] = {}
    """The StatefulSets that have its label, by name."""
    has_service: bool = False


class Plan(msgspec.Struct):
    """What to do, in this order."""

    revision: Obj
    """The version that groups shall have."""
    create_revision: bool
    note_revision: Note | None
    before: tuple[Note, ...]
    """Said before the StatefulSet is applied."""
    apply: Obj
    after: list[Note]
    service: Obj | None
    status: Obj
    said: list[Note]
    """Told with the status."""
    forget: list[Obj]
    """Versions that nobody needs any more."""


def sync(lws: Obj, view: View, now: float) -> Plan:
    """`lws` has its defaults; `now` is in seconds since the epoch."""
    known = revisions.owned(lws, view.revisions)
    revision, note, changed = _revision(lws, view.leader_set, known)
    wanted = revisions.key(revision)

    def groups() -> list[rollout.Group]:
        count = objects.spec(view.leader_set or {}).get("replicas", 1)
        return rollout.states(lws, int(count), view.leaders, view.sets.values(), wanted)

    step = rollout.step(lws, view.leader_set, groups, changed=changed)
    report = status.report(lws, view.leader_set, view.leaders, view.sets, wanted, now)
    return Plan(
        revision=revision,
        create_revision=not any(revision is r for r in known),
        note_revision=note,
        before=step.notes,
        apply=build.leader_set(lws, step, wanted),
        after=_progress(lws, view.leader_set, step, changed=changed),
        service=None if view.has_service or rules.is_unique(lws) else build.shared_service(lws),
        status=report.status,
        said=report.notes,
        forget=revisions.superseded(known, wanted) if report.is_done else [],
    )


def _revision(lws: Obj, leader_set: Obj | None, known: list[Obj]) -> tuple[Obj, Note | None, bool]:
    """The version that groups shall have, what to say when it is new, and whether the set has become another since the last look."""
    going_by = revisions.key(leader_set)
    current = revisions.find(known, going_by)
    if current is None:
        made = revisions.make(lws, known, going_by)
        last = revisions.newest(known)
        if not going_by and last is not None and revisions.key(last) == revisions.key(made) and revisions.is_equal(last, made):
            return last, None, False  # it was made, only the StatefulSet was not
        whose = f"missing revision with key {going_by} for existing"
        if not going_by:
            whose = f"revision with key {revisions.key(made)} for a newly created"
        return made, Note("Normal", terms.CREATING_REVISION, f"Creating {whose} LeaderWorkerSet"), False
    if leader_set is None or revisions.is_equal(revisions.make(lws, known), current):
        return current, None, False
    made = revisions.make(lws, known)
    last = revisions.newest(known)
    if last is not None and revisions.key(last) == revisions.key(made) and revisions.is_equal(last, made):
        return last, None, True  # it was made, only the StatefulSet does not go by it yet
    return made, Note("Normal", terms.CREATING_REVISION, f"Creating revision with key {revisions.key(made)} for updated LWS"), True


def _progress(lws: Obj, leader_set: Obj | None, step: rollout.Step, *, changed: bool) -> list[Note]:
    if leader_set is None:
        return [Note("Normal", terms.GROUPS_PROGRESSING, f"Created leader statefulset {objects.name(lws)}")]
    before = rollout.partition_of(leader_set)
    if changed or step.partition == before:
        return []
    one = before - 1 == step.partition
    what = f"replica {step.partition}" if one else f"replicas {step.partition} to {before - 1} (inclusive)"
    return [Note("Normal", terms.GROUPS_UPDATING, f"Updating {what}")]
