"""Keeps the status of ResourceQuotas true: what is allowed, and what the objects of the namespace use of it.

Admission charges a write in the same commit as the object; this controller counts anew when something that quotas count has changed, and so
gives back what was deleted or has finished. It counts what the server has now, not what a cache remembers, and writes with the version of
the quota that it read before: a charge that comes between makes it count again.
Contract: kube-controller-manager pkg/controller/resourcequota.
"""

from collections.abc import Iterable, Mapping

from lightship import kinds
from lightship.control import Controller, Done, Manager, Outcome, RequeueAfter, Watch, itself
from lightship.kinds import quotas
from lightship.meta import objects, quantity
from lightship.meta.objects import Key, Obj
from lightship.meta.resources import Resource

RECOUNT = 5.0
"""Seconds after which names of kinds that are not watched here (`count/<any kind>`) are counted again."""
WATCHED = (
    kinds.PODS,
    kinds.SERVICES,
    kinds.PERSISTENT_VOLUME_CLAIMS,
    kinds.CONFIG_MAPS,
    kinds.SECRETS,
    kinds.REPLICATION_CONTROLLERS,
    kinds.RESOURCE_CLAIMS,
)


def controller(manager: Manager, resources: Iterable[Resource]) -> Controller:
    """`resources` are the kinds that can be counted."""
    reconciler = QuotaReconciler(manager, resources)
    watches = [itself(kinds.RESOURCE_QUOTAS), *(Watch(resource, reconciler.quotas_of) for resource in WATCHED)]
    return Controller("resourcequota", reconciler, watches=watches, workers=2)


class QuotaReconciler:
    def __init__(self, manager: Manager, resources: Iterable[Resource]) -> None:
        self._client = manager.client
        self._clock = manager.clock
        self._quotas = manager.cache.informer(kinds.RESOURCE_QUOTAS)
        self._resources = resources

    def quotas_of(self, counted: Obj) -> Iterable[Key]:
        """The quotas of an object's namespace."""
        return self._quotas.keys(objects.namespace(counted))

    async def reconcile(self, key: Key) -> Outcome:
        if self._quotas.get(key) is None:
            return Done()
        quota = await self._client.get_or_none(kinds.RESOURCE_QUOTAS, key.name, key.namespace)
        if quota is None or objects.is_deleting(quota):
            return Done()
        hard = objects.spec(quota).get("hard") or {}
        counted = list({r.bucket: r for r in self._resources if _is_counted(r) and quotas.relevant(r.bucket, hard)}.values())
        used = {name: "0" for name in sorted(hard) if any(quotas.relevant(r.bucket, [name]) for r in counted)}
        for resource in counted:
            names = quotas.relevant(resource.bucket, hard)
            used.update(self._sum(resource, quota, names, (await self._client.list(resource, key.namespace)).items))
        status = {"hard": _canonical(hard), "used": used}
        if objects.status(quota) != status:
            # With the version that was read first: whoever was charged since makes this a conflict, and it is counted again.
            await self._client.update_status(kinds.RESOURCE_QUOTAS, {**quota, "status": status})
        return Done() if all(r in WATCHED for r in counted) else RequeueAfter(RECOUNT)

    def _sum(self, resource: Resource, quota: Obj, names: list[str], items: Iterable[Obj]) -> dict[str, str]:
        total = dict.fromkeys(names, "0")
        now = self._clock.now()
        for item in items:
            if quotas.matches(quota, resource.bucket, item):
                used = quotas.usage(resource.bucket, item, now)
                total.update(quantity.add({name: total[name] for name in names if name in used}, {n: used[n] for n in names if n in used}))
        return total


def _is_counted(resource: Resource) -> bool:
    return resource.namespaced and "list" in resource.verbs


def _canonical(hard: Mapping[str, quantity.Number]) -> dict[str, str]:
    return {name: quantity.canonical(value) for name, value in hard.items()}
