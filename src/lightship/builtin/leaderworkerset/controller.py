"""The LeaderWorkerSet controller: reads a set and what belongs to it from the caches, asks `sync`, and does it, the status last.

Woken by sets, their StatefulSets and Services. The leaders' StatefulSet is applied in upstream's name, so that fields that a set gives
up go away and those that others own stay; it is left alone while it is what was applied last.
"""

from collections.abc import Iterable
from typing import NamedTuple

from lightship.builtin import children
from lightship.builtin.api import LEADER_WORKER_SETS
from lightship.builtin.leaderworkerset import pods, rules, terms
from lightship.builtin.leaderworkerset.sync import Plan, View, sync
from lightship.builtin.notes import tell
from lightship.control import Controller, Done, Manager, Outcome, RequeueAfter, Watch, itself, owner
from lightship.kinds import CONTROLLER_REVISIONS, PODS, SERVICES, STATEFUL_SETS
from lightship.meta import errors, objects
from lightship.meta.objects import Key, Obj

BY_SET = "leaderworkerset"
"""Index of whatever has the label of a set, by namespace and name of the set."""
DELETING_SECONDS = 5.0
"""After how long to look again at a StatefulSet that is on its way out."""


class _Applied(NamedTuple):
    """What was applied last, and which generation of the StatefulSet that made."""

    wanted: Obj
    uid: str
    generation: int


def controller(manager: Manager) -> Controller:
    watches = [itself(LEADER_WORKER_SETS), Watch(STATEFUL_SETS, set_of), owner(SERVICES, LEADER_WORKER_SETS)]
    return Controller("leaderworkerset", LeaderWorkerSetReconciler(manager), watches=watches, workers=4)


def set_of(obj: Obj) -> Iterable[Key]:
    """The set whose label an object has."""
    name = objects.labels(obj).get(terms.NAME)
    if name:
        yield Key(objects.namespace(obj), name)


def index(obj: Obj) -> Iterable[str]:
    return map(str, set_of(obj))


class LeaderWorkerSetReconciler:
    def __init__(self, manager: Manager) -> None:
        self._client = manager.client
        self._clock = manager.clock
        self._recorder = manager.recorder
        self._lws = manager.cache.informer(LEADER_WORKER_SETS)
        self._sets = manager.cache.informer(STATEFUL_SETS)
        self._pods = manager.cache.informer(PODS)
        self._services = manager.cache.informer(SERVICES)
        self._revisions = manager.cache.informer(CONTROLLER_REVISIONS)
        for informer in (self._sets, self._pods, self._revisions):
            informer.add_index(BY_SET, index)
        self._applied: dict[Key, _Applied] = {}

    async def reconcile(self, key: Key) -> Outcome:
        lws = self._lws.get(key)
        if lws is None or objects.is_deleting(lws):
            self._applied.pop(key, None)
            return Done()
        leader_set = self._sets.get(key)
        if leader_set is not None and objects.is_deleting(leader_set):
            return RequeueAfter(DELETING_SECONDS)
        lws = rules.defaulted(lws)
        plan = sync(lws, self._view(key, leader_set), self._clock.now())
        await self._perform(lws, leader_set, plan)
        return Done()

    def _view(self, key: Key, leader_set: Obj | None) -> View:
        return View(
            leader_set=leader_set,
            revisions=list(self._revisions.by_index(BY_SET, str(key))),
            leaders=[pod for pod in self._pods.by_index(BY_SET, str(key)) if pods.is_leader(pod)],
            sets={objects.name(found): found for found in self._sets.by_index(BY_SET, str(key))},
            has_service=self._services.get(key) is not None,
        )

    async def _perform(self, lws: Obj, leader_set: Obj | None, plan: Plan) -> None:
        if plan.create_revision:
            await children.create(self._client, CONTROLLER_REVISIONS, plan.revision)
            if plan.note_revision is not None:
                tell(self._recorder, lws, [plan.note_revision])
        tell(self._recorder, lws, plan.before)
        await self._apply(lws, leader_set, plan.apply)
        tell(self._recorder, lws, plan.after)
        if plan.service is not None:
            await self._create_service(lws, plan.service)
        await self._client.patch_status(LEADER_WORKER_SETS, lws, plan.status)
        tell(self._recorder, lws, plan.said)
        await children.every(plan.forget, lambda revision: children.remove(self._client, CONTROLLER_REVISIONS, revision))

    async def _apply(self, lws: Obj, live: Obj | None, wanted: Obj) -> None:
        if live is not None and self._is_applied(live, wanted):
            return
        try:
            made = await self._client.assert_fields(STATEFUL_SETS, wanted, terms.FIELD_MANAGER)
        except errors.StatusError as error:
            reason, verb = (terms.FAILED_CREATE, "create") if live is None else (terms.FAILED_UPDATE, "update")
            message = f"Failed to {verb} leader statefulset {objects.name(lws)}: {error.message}"
            self._recorder.event(lws, "Warning", reason, message)
            raise
        self._applied[objects.key(lws)] = _Applied(wanted, objects.uid(made), objects.generation(made))

    def _is_applied(self, live: Obj, wanted: Obj) -> bool:
        """Was just this applied, and has nobody changed anything since?"""
        before = self._applied.get(objects.key(live))
        if before is None or before.wanted != wanted or (before.uid, before.generation) != (objects.uid(live), objects.generation(live)):
            return False
        given, has = objects.meta(wanted), objects.meta(live)
        return all((has.get(field) or {}).items() >= given[field].items() for field in ("labels", "annotations"))

    async def _create_service(self, lws: Obj, service: Obj) -> None:
        """A Service of that name that somebody else made is taken as it is."""
        try:
            await self._client.create(SERVICES, service)
        except errors.StatusError as error:
            if not errors.is_already_exists(error):
                message = f"Failed to create headless service for error: {error.message}"
                self._recorder.event(lws, "Warning", terms.FAILED_CREATE, message)
                raise
