"""The Deployment controller: reads a Deployment, its ReplicaSets and their pods from the caches, asks `sync`, and does it.

Woken by Deployments and ReplicaSets, and by pods of a Deployment that waits for old ones to be gone.
"""

from collections.abc import Iterable

from lightship.builtin import children
from lightship.builtin.claiming import Claimer
from lightship.builtin.deployment import sync as core
from lightship.builtin.deployment.sync import Change, Plan
from lightship.builtin.notes import tell
from lightship.control import Controller, Done, Manager, Outcome, RequeueAfter, Watch, itself
from lightship.kinds import DEPLOYMENTS, PODS, REPLICA_SETS
from lightship.kinds import pods as podlib
from lightship.meta import errors, objects
from lightship.meta.objects import Key, Obj
from lightship.meta.patch import diff_merge
from lightship.meta.rest import DeleteOptions


def controller(manager: Manager) -> Controller:
    reconciler = DeploymentReconciler(manager)
    watches = [itself(DEPLOYMENTS), Watch(REPLICA_SETS, reconciler.claimer.keys), Watch(PODS, reconciler.recreated)]
    return Controller("deployment", reconciler, watches=watches, workers=4)


class DeploymentReconciler:
    def __init__(self, manager: Manager) -> None:
        self._client = manager.client
        self._clock = manager.clock
        self._recorder = manager.recorder
        self._deployments = manager.cache.informer(DEPLOYMENTS)
        self._replica_sets = manager.cache.informer(REPLICA_SETS)
        self._pods = manager.cache.informer(PODS)
        self.claimer = Claimer(manager, DEPLOYMENTS, REPLICA_SETS)

    def recreated(self, pod: Obj) -> Iterable[Key]:
        """The Deployment that a pod's end may let go on: only one of strategy Recreate waits for such."""
        owner = objects.controller_of(pod)
        if owner is None or owner.get("kind") != "ReplicaSet" or not (objects.is_deleting(pod) or podlib.is_terminal(pod)):
            return
        replica_set = self._replica_sets.get(Key(objects.namespace(pod), owner["name"]))
        parent = objects.controller_of(replica_set) if replica_set else None
        deployment = self._deployments.get(Key(objects.namespace(pod), parent["name"])) if parent else None
        if deployment is not None and objects.get_path(deployment, "spec", "strategy", "type") == "Recreate":
            yield objects.key(deployment)

    async def reconcile(self, key: Key) -> Outcome:
        deployment = self._deployments.get(key)
        if deployment is None:
            return Done()
        replica_sets = await self.claimer.claim(deployment)
        pods = [pod for rs in replica_sets for pod in self._pods.owned_by(rs)]
        plan = core.sync(deployment, replica_sets, pods, self._clock.now())
        await self._perform(deployment, plan)
        return Done() if plan.requeue is None else RequeueAfter(plan.requeue)

    async def _perform(self, deployment: Obj, plan: Plan) -> None:
        if plan.create is not None:
            await self._create(deployment, plan)
        for change in plan.changes:
            await self._change(deployment, change)
        await children.every(plan.forget, self._forget)
        await self._report(deployment, plan.status, plan.revision)

    async def _create(self, deployment: Obj, plan: Plan) -> None:
        wanted = plan.create or {}
        try:
            made = await self._client.create(REPLICA_SETS, wanted)
        except errors.StatusError as error:
            if errors.is_already_exists(error):
                await self._meet(deployment, wanted)
            elif not errors.is_namespace_terminating(error):
                message = f'Failed to create new replica set "{objects.name(wanted)}": {error.message}'
                self._recorder.event(deployment, "Warning", "ReplicaSetCreateError", message)
                await self._report(deployment, core.refused(deployment, message, self._clock.now()), "")
            raise
        if size := objects.spec(made).get("replicas"):
            tell(self._recorder, deployment, [core.scaled(made, 0, size)])

    async def _meet(self, deployment: Obj, wanted: Obj) -> None:
        """The name is taken: by ours, which the cache will show, or by another's."""
        found = await self._client.get_or_none(REPLICA_SETS, objects.name(wanted), objects.namespace(wanted))
        if found is not None and core.is_collision(deployment, found):
            await self._report(deployment, core.collided(deployment), "")

    async def _change(self, deployment: Obj, change: Change) -> None:
        """On what was decided about only: a change by others since then is a conflict, and a new look."""
        metadata = {"resourceVersion": objects.meta(change.replica_set)["resourceVersion"], **change.patch.get("metadata", {})}
        patch = {**change.patch, "metadata": metadata}
        await self._client.patch(REPLICA_SETS, objects.name(change.replica_set), patch, objects.namespace(deployment))
        tell(self._recorder, deployment, change.notes)

    async def _forget(self, replica_set: Obj) -> None:
        """Not one that somebody has scaled up since."""
        metadata = objects.meta(replica_set)
        options = DeleteOptions(uid=metadata["uid"], resource_version=metadata["resourceVersion"])
        await children.remove_with(self._client, REPLICA_SETS, replica_set, options)

    async def _report(self, deployment: Obj, status: Obj, revision: str) -> None:
        """Write the status; the number of the revision travels with it, as it does upstream."""
        change = diff_merge(objects.status(deployment), status)
        if not change and not revision:
            return
        metadata: Obj = {"resourceVersion": objects.meta(deployment)["resourceVersion"]}
        if revision:
            metadata["annotations"] = {"deployment.kubernetes.io/revision": revision}
        patch = {"metadata": metadata, **({"status": change} if change else {})}
        await self._client.patch(DEPLOYMENTS, objects.name(deployment), patch, objects.namespace(deployment), subresource="status")
