"""The DaemonSet controller: reads a set, its pods and versions and all nodes from the caches, asks `sync`, and does it.

Woken by sets and pods, and by nodes that have changed so that a pod should be there or not.
"""

from collections.abc import Iterable

from lightship.builtin import children, history
from lightship.builtin.claiming import Claimer
from lightship.builtin.daemonset import places
from lightship.builtin.daemonset import sync as core
from lightship.builtin.daemonset.manage import Actions
from lightship.builtin.notes import tell
from lightship.builtin.podnames import Names
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


class _Failures:
    """Nodes on which pods of one set fail, since it was last changed: how long each waits for the next, and since when."""

    def __init__(self, uid: str, generation: int) -> None:
        self.of = uid, generation
        self._waits: dict[str, tuple[float, float]] = {}

    def wait(self, node: str, moment: float) -> float:
        """Seconds left; `moment` is of the monotonic clock."""
        delay, since = self._waits.get(node, (0.0, moment))
        return max(0.0, since + delay - moment)

    def note(self, node: str, moment: float) -> None:
        """One more is replaced: the next waits twice as long."""
        delay, _ = self._waits.get(node, (0.0, 0.0))
        self._waits[node] = min(max(FIRST_WAIT, 2 * delay), LONGEST_WAIT), moment


class DaemonSetReconciler:
    def __init__(self, manager: Manager) -> None:
        self._client = manager.client
        self._clock = manager.clock
        self._recorder = manager.recorder
        self._sets = manager.cache.informer(DAEMON_SETS)
        self._nodes = manager.cache.informer(NODES)
        self.pods = Claimer(manager, DAEMON_SETS, PODS)
        self._revisions = Claimer(manager, DAEMON_SETS, CONTROLLER_REVISIONS)
        self._names = Names(manager.cache.informer(PODS), manager.random)
        self._failures: dict[Key, _Failures] = {}

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
            self._failures.pop(key, None)
            self._names.forget(key)
            return Done()
        revisions = history.ordered(await self._revisions.claim(owner))
        pods = await self.pods.claim(owner)
        update = await history.settle(self._client, DAEMON_SETS, owner, revisions)
        if update is None:
            return Done()
        hashed = objects.labels(update)[history.HASH]
        failed = self._failures.get(key)
        if failed is None or failed.of != (objects.uid(owner), objects.generation(owner)):
            failed = self._failures[key] = _Failures(objects.uid(owner), objects.generation(owner))
        moment = self._clock.monotonic()
        plan = core.sync(owner, pods, self._nodes.list(), hashed, lambda node: failed.wait(node, moment), self._clock.now())
        for node in plan.actions.failed:
            failed.note(node, moment)
        failures = await self._perform(owner, plan.actions, hashed)
        await self._client.patch_status(DAEMON_SETS, owner, plan.status)
        if failures:
            raise failures[0]
        await self._forget(owner, revisions, update, pods)
        return Done() if plan.actions.requeue is None else RequeueAfter(plan.actions.requeue)

    async def _perform(self, owner: Obj, actions: Actions, hashed: str) -> list[Exception]:
        tell(self._recorder, owner, actions.notes)
        _, failures = await children.slowly(actions.create, lambda node: self._create(owner, node, hashed))
        return failures + await children.each(actions.delete, lambda pod: self._delete(owner, pod))

    async def _create(self, owner: Obj, node: str, hashed: str) -> None:
        (name,) = self._names.draw(owner, node)
        try:
            await children.create(self._client, PODS, places.build(owner, node, name, hashed))
        except Exception as error:
            if errors.is_already_exists(error):
                self._names.taken(owner, name)
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
        await history.forget(self._client, owner, revisions, live)


def _look(node: Obj) -> tuple[object, object]:
    """What decides about pods of DaemonSets."""
    return objects.labels(node), objects.spec(node).get("taints")
