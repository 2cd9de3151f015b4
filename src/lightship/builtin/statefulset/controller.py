"""The StatefulSet controller: reads a set, its pods, claims and versions from the caches, asks `sync`, and does it.

Woken by sets and pods. Pods are named by their ordinal, so that none is ever made twice.
"""

from collections.abc import Awaitable, Callable

from lightship.builtin import children, history
from lightship.builtin.claiming import Claimer
from lightship.builtin.statefulset import members, retention
from lightship.builtin.statefulset import sync as core
from lightship.builtin.statefulset.sync import Plan
from lightship.control import Controller, Done, Manager, Outcome, RequeueAfter, Watch, itself
from lightship.kinds import CONTROLLER_REVISIONS, PERSISTENT_VOLUME_CLAIMS, PODS, STATEFUL_SETS
from lightship.meta import errors, objects
from lightship.meta.objects import Key, Obj


def controller(manager: Manager) -> Controller:
    reconciler = StatefulSetReconciler(manager)
    return Controller("statefulset", reconciler, watches=[itself(STATEFUL_SETS), Watch(PODS, reconciler.pods.keys)], workers=4)


class StatefulSetReconciler:
    def __init__(self, manager: Manager) -> None:
        self._client = manager.client
        self._clock = manager.clock
        self._recorder = manager.recorder
        self._sets = manager.cache.informer(STATEFUL_SETS)
        self._claims = manager.cache.informer(PERSISTENT_VOLUME_CLAIMS)
        self.pods = Claimer(manager, STATEFUL_SETS, PODS, fits=members.is_member)
        self._revisions = Claimer(manager, STATEFUL_SETS, CONTROLLER_REVISIONS)

    async def reconcile(self, key: Key) -> Outcome:
        owner = self._sets.get(key)
        if owner is None:
            return Done()
        revisions = history.ordered(await self._revisions.claim(owner))
        pods = await self.pods.claim(owner)
        update = await history.settle(self._client, STATEFUL_SETS, owner, revisions)
        if update is None:
            return Done()
        versions = core.versions(owner, revisions, update)
        plan = core.sync(owner, pods, versions, lambda name: self._claims.get(Key(key.namespace, name)), self._clock.now())
        failures = await self._perform(owner, plan)
        await self._client.patch_status(STATEFUL_SETS, owner, plan.status)
        if failures:
            raise failures[0]
        live = {objects.name(versions.current), objects.name(update), *map(history.version, pods)}
        await history.forget(self._client, owner, revisions, live)
        return Done() if plan.requeue is None else RequeueAfter(plan.requeue)

    async def _perform(self, owner: Obj, plan: Plan) -> list[Exception]:
        _, failures = await children.slowly(plan.create, lambda pod: self._create(owner, pod))
        failures += await children.each(plan.claims, lambda pod: self._make_claims(owner, pod))
        failures += await children.each(plan.mend, lambda pod: self._told(owner, "Update", pod, self._mend))
        failures += await children.each(plan.retain, lambda pod: self._retain(owner, pod))
        return failures + await children.each(plan.delete, lambda pod: self._told(owner, "Delete", pod, self._delete))

    async def _create(self, owner: Obj, pod: Obj) -> None:
        await self._make_claims(owner, pod, told="Create")
        await self._told(owner, "Create", pod, lambda made: children.create(self._client, PODS, made))

    async def _make_claims(self, owner: Obj, pod: Obj, told: str = "") -> None:
        """The claims that a pod needs. Raises what was in the way; `told` is the verb of the event that says so about the pod."""
        for claim in members.claims(owner, members.ordinal(pod)).values():
            found = self._claims.get(objects.key(claim))
            if found is None:
                await self._make_claim(owner, pod, claim)
            elif objects.is_deleting(found):
                error = errors.conflict(PERSISTENT_VOLUME_CLAIMS.plural, objects.name(claim), f"pvc {objects.name(claim)} is being deleted")
                if told:
                    self._say(owner, told, f"Pod {objects.name(pod)} in StatefulSet {objects.name(owner)}", error)
                raise error

    async def _make_claim(self, owner: Obj, pod: Obj, claim: Obj) -> None:
        what = f"Claim {objects.name(claim)} Pod {objects.name(pod)} in StatefulSet {objects.name(owner)}"
        try:
            await self._client.create(PERSISTENT_VOLUME_CLAIMS, claim)
        except errors.StatusError as error:
            if not errors.is_already_exists(error):
                self._say(owner, "Create", what, error)
                raise
            return
        self._recorder.event(owner, "Normal", "SuccessfulCreate", f"Create {what} success")

    async def _mend(self, pod: Obj) -> None:
        patch = {"metadata": {"labels": members.identity(pod), "resourceVersion": objects.meta(pod)["resourceVersion"]}}
        await self._client.patch(PODS, objects.name(pod), patch, objects.namespace(pod))

    async def _retain(self, owner: Obj, pod: Obj) -> None:
        for wanted in members.claims(owner, members.ordinal(pod)).values():
            claim = self._claims.get(objects.key(wanted))
            owners = retention.owners(owner, pod, claim) if claim is not None else None
            if claim is None or owners is None:
                continue
            if retention.is_conflicting(owner, pod, claim):
                text = "has a conflicting OwnerReference that acts as a managing controller, the retention policy is ignored for this claim"
                self._recorder.event(owner, "Warning", "ConflictingController", f"PersistentVolumeClaim {objects.name(claim)} {text}")
            patch = {"metadata": {"ownerReferences": owners or None, "resourceVersion": objects.meta(claim)["resourceVersion"]}}
            await self._client.patch(PERSISTENT_VOLUME_CLAIMS, objects.name(claim), patch, objects.namespace(claim))

    async def _delete(self, pod: Obj) -> None:
        await children.remove(self._client, PODS, pod)

    async def _told(self, owner: Obj, verb: str, pod: Obj, work: Callable[[Obj], Awaitable[object]]) -> None:
        what = f"Pod {objects.name(pod)} in StatefulSet {objects.name(owner)}"
        try:
            await work(pod)
        except errors.StatusError as error:
            if not errors.is_already_exists(error):
                self._say(owner, verb, what, error)
            raise
        self._recorder.event(owner, "Normal", f"Successful{verb}", f"{verb} {what} successful")

    def _say(self, owner: Obj, verb: str, what: str, error: errors.StatusError) -> None:
        self._recorder.event(owner, "Warning", f"Failed{verb}", f"{verb} {what} failed error: {error.message}")
