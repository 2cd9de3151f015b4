"""The controllers of ReplicaSets and ReplicationControllers: read an owner and its pods from the caches, ask `sync`, and do it.

Woken by owners and pods. Pods get names that were drawn (`podnames`), so that a create without an answer makes none twice.
"""

from lightship.builtin import children, podtemplate
from lightship.builtin.claiming import Claimer
from lightship.builtin.podnames import Names
from lightship.builtin.replicaset import sync as core
from lightship.builtin.replicaset.sync import Plan
from lightship.control import Controller, Done, Manager, Outcome, RequeueAfter, Watch, itself
from lightship.kinds import PODS, REPLICA_SETS, REPLICATION_CONTROLLERS
from lightship.kinds import pods as podlib
from lightship.meta import errors, objects
from lightship.meta.objects import Key, Obj
from lightship.meta.resources import Resource


def controllers(manager: Manager) -> list[Controller]:
    return [_controller(manager, "replicaset", REPLICA_SETS), _controller(manager, "replicationcontroller", REPLICATION_CONTROLLERS)]


def _controller(manager: Manager, name: str, kind: Resource) -> Controller:
    reconciler = ReplicaReconciler(manager, kind)
    return Controller(name, reconciler, watches=[itself(kind), Watch(PODS, reconciler.claimer.keys)], workers=4)


class ReplicaReconciler:
    def __init__(self, manager: Manager, kind: Resource) -> None:
        self._client = manager.client
        self._clock = manager.clock
        self._recorder = manager.recorder
        self._kind = kind
        self._owners = manager.cache.informer(kind)
        self._pods = manager.cache.informer(PODS)
        self.claimer = Claimer(manager, kind, PODS)
        self._names = Names(self._pods, manager.random)

    async def reconcile(self, key: Key) -> Outcome:
        owner = self._owners.get(key)
        if owner is None:
            self._names.forget(key)
            return Done()
        pods = await self.claimer.claim(owner)
        plan = core.sync(owner, pods, self._related(owner), self._clock.now())
        failures = await self._perform(owner, plan)
        status = core.failed(plan, _text(failures[0]), self._clock.now()) if failures else core.recovered(plan)
        await self._client.patch_status(self._kind, owner, status)
        if failures:
            raise failures[0]
        return Done() if plan.requeue is None else RequeueAfter(plan.requeue)

    def _related(self, owner: Obj) -> list[Obj]:
        """The active pods of all ReplicaSets of the owner's owner, or of itself where it has none."""
        parent = objects.controller_of(owner)
        family = [owner] if parent is None else self._owners.owned_by({"metadata": {"uid": parent["uid"]}})
        return [pod for member in family for pod in self._pods.owned_by(member) if podlib.is_active(pod)]

    async def _perform(self, owner: Obj, plan: Plan) -> list[Exception]:
        failures = await children.each(plan.delete, lambda pod: self._delete(owner, pod))
        _, refused = await children.slowly(
            self._names.draw(owner, count=plan.create) if plan.create else (), lambda name: self._create(owner, name)
        )
        return failures + refused

    async def _create(self, owner: Obj, name: str) -> None:
        pod = podtemplate.build(owner, objects.spec(owner).get("template") or {}, name, podtemplate.prefix_of(owner))
        try:
            await children.create(self._client, PODS, pod)
        except Exception as error:
            if errors.is_already_exists(error):
                self._names.taken(owner, name)
            if not errors.is_namespace_terminating(error):
                self._recorder.event(owner, "Warning", "FailedCreate", f"Error creating: {_text(error)}")
            raise
        self._recorder.event(owner, "Normal", "SuccessfulCreate", f"Created pod: {name}")

    async def _delete(self, owner: Obj, pod: Obj) -> None:
        try:
            await children.remove(self._client, PODS, pod)
        except errors.StatusError as error:
            self._recorder.event(owner, "Warning", "FailedDelete", f"Error deleting: {error.message}")
            raise
        self._recorder.event(owner, "Normal", "SuccessfulDelete", f"Deleted pod: {objects.name(pod)}")


def _text(error: Exception) -> str:
    return error.message if isinstance(error, errors.StatusError) else str(error)
