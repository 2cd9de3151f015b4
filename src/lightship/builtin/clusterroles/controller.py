"""Keeps aggregated ClusterRoles (`admin`, `edit`, `view`, and whatever users define) in step with the roles that they are gathered from.

Woken by every ClusterRole. Contract: kube-controller-manager pkg/controller/clusterroleaggregation.
"""

from collections.abc import Iterable

from lightship.builtin.clusterroles import gather
from lightship.control import Controller, Done, Manager, Outcome, Terminal, Watch
from lightship.kinds import CLUSTER_ROLES
from lightship.meta import objects
from lightship.meta.objects import Key, Obj

NAME = "clusterrole-aggregation-controller"
_INDEX = "builtin/aggregated-cluster-roles"
_ALL = "all"


def controller(manager: Manager) -> Controller:
    roles = manager.cache.informer(CLUSTER_ROLES)
    roles.add_index(_INDEX, lambda role: (_ALL,) if gather.is_aggregated(role) else ())

    def gathering(role: Obj) -> Iterable[Key]:
        """Any role may be part of any aggregated one, by its labels of now or of before."""
        aggregated = roles.keys_by_index(_INDEX, _ALL)
        return (objects.key(role), *aggregated) if gather.is_aggregated(role) else aggregated

    return Controller(NAME, AggregationReconciler(manager), watches=[Watch(CLUSTER_ROLES, gathering)])


class AggregationReconciler:
    def __init__(self, manager: Manager) -> None:
        self._client = manager.client
        self._roles = manager.cache.informer(CLUSTER_ROLES)

    async def reconcile(self, key: Key) -> Outcome:
        role = self._roles.get(key)
        if role is None or objects.is_deleting(role) or not gather.is_aggregated(role):
            return Done()
        try:
            wanted = gather.rules(role, self._roles.list())
        except ValueError as error:
            raise Terminal("InvalidSelector", str(error)) from error
        if wanted != (role.get("rules") or []):
            await self._client.apply(CLUSTER_ROLES, {"metadata": {"name": key.name}, "rules": wanted}, live=role)
        return Done()
