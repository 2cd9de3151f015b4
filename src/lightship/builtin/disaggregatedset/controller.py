"""The DisaggregatedSet controller: reads a set, its LeaderWorkerSets and Services from the caches, asks `sync`, and does it.

Woken by sets and their LeaderWorkerSets. Names of children follow from the set, the role and the version.
"""

from collections.abc import Iterable

from lightship.builtin import children
from lightship.builtin.api import DISAGGREGATED_SETS, LEADER_WORKER_SETS
from lightship.builtin.disaggregatedset import sync as core
from lightship.builtin.notes import Note, tell
from lightship.control import Controller, Done, Manager, Outcome, RequeueAfter, itself, owner
from lightship.kinds import SERVICES
from lightship.meta import errors, objects
from lightship.meta.objects import Key, Obj

BY_SET = "disaggregatedset"


def controller(manager: Manager) -> Controller:
    watches = [itself(DISAGGREGATED_SETS), owner(LEADER_WORKER_SETS, DISAGGREGATED_SETS)]
    return Controller("disaggregatedset", DisaggregatedSetReconciler(manager), watches=watches, workers=2)


def _index(obj: Obj) -> Iterable[str]:
    if core.NAME in objects.labels(obj):
        yield str(Key(objects.namespace(obj), objects.labels(obj)[core.NAME]))


class DisaggregatedSetReconciler:
    def __init__(self, manager: Manager) -> None:
        self._client = manager.client
        self._recorder = manager.recorder
        self._owners = manager.cache.informer(DISAGGREGATED_SETS)
        self._sets = manager.cache.informer(LEADER_WORKER_SETS)
        self._services = manager.cache.informer(SERVICES)
        for informer in (self._sets, self._services):
            informer.add_index(BY_SET, _index)

    async def reconcile(self, key: Key) -> Outcome:
        found = self._owners.get(key)
        if found is None or objects.is_deleting(found):
            return Done()
        sets = [lws for lws in self._sets.by_index(BY_SET, str(key)) if not objects.is_deleting(lws)]
        plan = core.sync(found, sets, self._services.by_index(BY_SET, str(key)))
        await self._perform(found, plan)
        return Done() if plan.requeue is None else RequeueAfter(plan.requeue)

    async def _perform(self, found: Obj, plan: core.Plan) -> None:
        for lws in plan.delete:
            await children.remove(self._client, LEADER_WORKER_SETS, lws)
            tell(self._recorder, found, [Note("Normal", "LWSDeleted", f"Deleted drained LWS {objects.name(lws)}")])
        tell(self._recorder, found, plan.said)
        for lws in plan.note_initial:
            count = objects.spec(lws).get("replicas", 1)
            await self._patch(lws, {"metadata": {"annotations": {core.INITIAL: str(count)}}})
        for lws in plan.create:
            await children.create(self._client, LEADER_WORKER_SETS, lws)
        for scale in plan.scale:
            await self._patch(scale.lws, {"spec": {"replicas": scale.replicas}})
            tell(self._recorder, found, [scale.note] if scale.note else [])
        for service in plan.services:
            await self._create_service(service)
        for service in plan.forget:
            await children.remove(self._client, SERVICES, service)

    async def _patch(self, lws: Obj, patch: Obj) -> None:
        """Only as what it was decided on."""
        metadata = {**patch.get("metadata", {}), "resourceVersion": objects.meta(lws)["resourceVersion"]}
        whole = {**patch, "metadata": metadata}
        await self._client.patch(LEADER_WORKER_SETS, objects.name(lws), whole, objects.namespace(lws))

    async def _create_service(self, service: Obj) -> None:
        """A Service of that name that somebody else made is taken as it is."""
        try:
            await self._client.create(SERVICES, service)
        except errors.StatusError as error:
            if not errors.is_already_exists(error):
                raise
