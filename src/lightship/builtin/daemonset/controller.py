"""The DaemonSet controller: reads a set, its pods and versions and all nodes from the caches, asks `sync`, and does it.

Woken by sets and pods, and by nodes that have changed so that a pod should be there or not.
"""

from collections.abc import Iterable

from lightship.builtin import children, history, podtemplate
from lightship.builtin.claiming import Claimer
from lightship.builtin.daemonset import places
from lightship.builtin.daemonset import sync as core
from lightship.builtin.daemonset.manage import Actions
from lightship.builtin.notes import tell
from lightship.control import Controller, Done, Manager, Outcome, RequeueAfter, Watch, itself
from lightship.kinds import CONTROLLER_REVISIONS, DAEMON_SETS, NODES, PODS
from lightship.meta import errors, objects
from lightship.meta.objects import Key, Obj

FIRST_WAIT = 1.0
LONGEST_WAIT = 900.0
"""Seconds between replacements of pods that fail on a node again and again."""


def controller(manager: Manager) -> Controller:
    reconciler = DaemonSetReconciler(manager)
    controller = Controller("daemonset", reconciler, watches=[itself(DAEMON_SETS), Watch(PODS, reconciler.pods.keys)], workers=2)
    reconciler.listen(controller)
    return controller


class DaemonSetReconciler:
    def __init__(self, manager: Manager) -> None:
        self._client = manager.client
        self._clock = manager.clock
        self._recorder = manager.recorder
        self._sets = manager.cache.informer(DAEMON_SETS)
        self._nodes = manager.cache.informer(NODES)
        self._known_pods = manager.cache.informer(PODS)
        self.pods = Claimer(manager, DAEMON_SETS, PODS)
        self._revisions = Claimer(manager, DAEMON_SETS, CONTROLLER_REVISIONS)
        self._names = podtemplate.Names(manager.random)
        self._failures: dict[tuple[str, int, str], tuple[float, float]] = {}
        """Of nodes where pods fail, the wait before the next replacement and when it began, by uid and generation of the set."""

    def listen(self, controller: Controller) -> None:
        """Have the sets looked at that a node's change is of interest to: heartbeats are not."""

        def changed(key: Key, old: Obj | None, new: Obj | None) -> None:
            if old is not None and new is not None and _look(old) == _look(new):
                return
            for name in self._concerned(old, new):
                controller.enqueue(name)

        self._nodes.on_change(changed)

    def _concerned(self, old: Obj | None, new: Obj | None) -> Iterable[Key]:
        for owner in self._sets.list():
            before = places.suits(owner, old) if old is not None else (False, False)
            after = places.suits(owner, new) if new is not None else (False, False)
            if before != after or old is None or new is None:
                yield objects.key(owner)

    async def reconcile(self, key: Key) -> Outcome:
        owner = self._sets.get(key)
        if owner is None or objects.is_deleting(owner):
            self._failures = {} if not len(self._sets) else self._failures
            return Done()
        revisions = history.ordered(await self._revisions.claim(owner))
        pods = await self.pods.claim(owner)
        collisions = int(objects.status(owner).get("collisionCount") or 0)
        update, taken = await history.keep(self._client, history.plan(owner, revisions, collisions))
        if taken:
            await self._client.patch_status(DAEMON_SETS, owner, {**objects.status(owner), "collisionCount": collisions + 1})
            return Done()
        hashed = objects.labels(update)[history.HASH]
        now = self._clock.now()
        plan = core.sync(owner, pods, self._nodes.list(), hashed, lambda node: self._wait(owner, node, now), now)
        failures = await self._perform(owner, plan.actions, hashed)
        await self._client.patch_status(DAEMON_SETS, owner, plan.status)
        if failures:
            raise failures[0]
        await self._forget(owner, revisions, update, pods)
        return Done() if plan.actions.requeue is None else RequeueAfter(plan.actions.requeue)

    def _wait(self, owner: Obj, node: str, now: float) -> float:
        delay, since = self._failures.get(_slot(owner, node), (0.0, now))
        return max(0.0, since + delay - now)

    async def _perform(self, owner: Obj, actions: Actions, hashed: str) -> list[Exception]:
        for node in actions.failed:
            delay, _ = self._failures.get(_slot(owner, node), (0.0, 0.0))
            self._failures[_slot(owner, node)] = min(max(FIRST_WAIT, 2 * delay), LONGEST_WAIT), self._clock.now()
        tell(self._recorder, owner, actions.notes)
        _, failures = await children.slowly(actions.create, lambda node: self._create(owner, node, hashed))
        return failures + await children.each(actions.delete, lambda pod: self._delete(owner, pod))

    async def _create(self, owner: Obj, node: str, hashed: str) -> None:
        name = self._names.draw(owner, node, lambda name: Key(objects.namespace(owner), name) in self._known_pods)
        try:
            await children.create(self._client, PODS, places.build(owner, node, name, hashed))
        except Exception as error:
            self._names.unanswered(owner, node, name, error)
            if isinstance(error, errors.StatusError) and not errors.is_namespace_terminating(error):
                self._recorder.event(owner, "Warning", "FailedCreate", f"Error creating: {error.message}")
            raise
        self._recorder.event(owner, "Normal", "SuccessfulCreate", f"Created pod: {name}")

    async def _delete(self, owner: Obj, pod: Obj) -> None:
        await children.remove(self._client, PODS, pod)
        self._recorder.event(owner, "Normal", "SuccessfulDelete", f"Deleted pod: {objects.name(pod)}")

    async def _forget(self, owner: Obj, revisions: list[Obj], update: Obj, pods: list[Obj]) -> None:
        """Versions beyond the history; one that a pod still has is none."""
        used = {history.version(pod) for pod in pods}
        live = {objects.name(r) for r in revisions if objects.labels(r).get(history.HASH) in used} | {objects.name(update)}
        limit = objects.spec(owner).get("revisionHistoryLimit")
        surplus = history.surplus(revisions, live, 10 if limit is None else int(limit))
        await children.every(surplus, lambda revision: children.remove(self._client, CONTROLLER_REVISIONS, revision))


def _slot(owner: Obj, node: str) -> tuple[str, int, str]:
    return objects.uid(owner), objects.generation(owner), node


def _look(node: Obj) -> tuple[object, object]:
    """What decides about pods of DaemonSets."""
    return objects.labels(node), objects.spec(node).get("taints")
