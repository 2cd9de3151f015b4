"""The controller of groups: looks at every pod of a set, asks `groups`, and makes a leader's workers or lets its group begin anew.

Woken by pods that have the label of a set, and by the StatefulSets and Services of leaders.
"""

from collections.abc import Iterable

from lightship.builtin import children
from lightship.builtin.api import LEADER_WORKER_SETS
from lightship.builtin.leaderworkerset import gangs, groups, rules, terms
from lightship.builtin.leaderworkerset.controller import BY_SET, index
from lightship.builtin.notes import tell
from lightship.client.client import Client
from lightship.control import Controller, Done, Manager, Outcome, RequeueAfter, Watch, owner
from lightship.kinds import CONTROLLER_REVISIONS, NODES, PODS, SERVICES, STATEFUL_SETS
from lightship.meta import errors, objects
from lightship.meta.objects import Key, Obj
from lightship.meta.resources import Resource
from lightship.meta.rest import DeleteOptions


class GroupError(Exception):
    """Something that a group needs is not there yet."""


def controller(manager: Manager, *, gang_provider: str = "") -> Controller:
    """`gang_provider` is "volcano" or empty, as in the configuration of upstream's manager."""
    reconciler = GroupReconciler(manager, with_gangs=gang_provider == "volcano")
    watches = [Watch(PODS, _members), owner(STATEFUL_SETS, PODS), owner(SERVICES, PODS)]
    return Controller("leaderworkerset-pods", reconciler, watches=watches, workers=4)


def _members(pod: Obj) -> Iterable[Key]:
    if terms.NAME in objects.labels(pod):
        yield objects.key(pod)


class GroupReconciler:
    def __init__(self, manager: Manager, *, with_gangs: bool = False) -> None:
        self._client = manager.client
        self._recorder = manager.recorder
        self._with_gangs = with_gangs
        self._lws = manager.cache.informer(LEADER_WORKER_SETS)
        self._sets = manager.cache.informer(STATEFUL_SETS)
        self._pods = manager.cache.informer(PODS)
        self._services = manager.cache.informer(SERVICES)
        self._nodes = manager.cache.informer(NODES)
        self._revisions = manager.cache.informer(CONTROLLER_REVISIONS)
        self._gangs = manager.cache.informer(gangs.POD_GROUPS) if with_gangs else None
        for informer in (self._pods, self._revisions):
            informer.add_index(BY_SET, index)

    async def reconcile(self, key: Key) -> Outcome:
        pod = self._pods.get(key)
        if pod is None or terms.NAME not in objects.labels(pod):
            return Done()
        lws = self._lws.get(Key(key.namespace, objects.labels(pod)[terms.NAME]))
        if lws is None:  # it is gone, and its pods will be
            return Done()
        lws = rules.defaulted(lws)
        plan = groups.decide(pod, lws, self._view(pod))
        await self._perform(lws, pod, plan)
        return Done() if plan.requeue is None else RequeueAfter(plan.requeue)

    def _view(self, pod: Obj) -> groups.View:
        namespace, labels = objects.namespace(pod), objects.labels(pod)
        value = str(Key(namespace, labels[terms.NAME]))

        def group() -> list[Obj]:
            of = labels.get(terms.GROUP_INDEX)
            return [found for found in self._pods.by_index(BY_SET, value) if objects.labels(found).get(terms.GROUP_INDEX) == of]

        return groups.View(
            find_pod=lambda name: self._pods.get(Key(namespace, name)),
            find_set=lambda name: self._sets.get(Key(namespace, name)),
            find_service=lambda name: self._services.get(Key(namespace, name)),
            find_node=lambda name: self._nodes.get(Key("", name)),
            group=group,
            revisions=lambda: list(self._revisions.by_index(BY_SET, value)),
            gangs=self._with_gangs,
            find_gang=lambda name: self._gangs.get(Key(namespace, name)) if self._gangs else None,
        )

    async def _perform(self, lws: Obj, pod: Obj, plan: groups.Plan) -> None:
        if plan.restart is not None:
            options = DeleteOptions(uid=objects.uid(plan.restart), propagation_policy="Foreground")
            await children.remove_with(self._client, PODS, plan.restart, options)
        await _create(self._client, SERVICES, plan.service)
        await _create(self._client, gangs.POD_GROUPS, plan.gang)
        try:
            await _create(self._client, STATEFUL_SETS, plan.workers)
        except errors.StatusError as error:
            what = f"Failed to create worker statefulset for leader pod {objects.name(pod)}: {error.message}"
            self._recorder.event(lws, "Warning", terms.FAILED_CREATE, what)
            raise
        if plan.note is not None:
            tell(self._recorder, lws, [plan.note])
        if plan.problem:
            raise GroupError(plan.problem)


async def _create(client: Client, resource: Resource, wanted: Obj | None) -> None:
    """One that is there is left as it is: it belongs to this group, or goes with the one before, and that will be seen."""
    if wanted is None:
        return
    try:
        await client.create(resource, wanted)
    except errors.StatusError as error:
        if not errors.is_already_exists(error):
            raise
