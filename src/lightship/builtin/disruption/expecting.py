"""How many pods there should be: what the owners of some pods ask for in all.

Called by `controller`. Owners that are no kinds of ours are asked by their `scale` subresource.
Contract: Kubernetes 1.36 disruption controller (`getExpectedScale`).
"""

from collections.abc import Iterable
from typing import NamedTuple

from lightship.builtin.known_kinds import KnownKinds
from lightship.control import Manager
from lightship.kinds import DEPLOYMENTS, REPLICA_SETS, REPLICATION_CONTROLLERS, STATEFUL_SETS
from lightship.meta import errors, objects
from lightship.meta.objects import Key, Obj
from lightship.meta.resources import Resource

_COUNTED = (REPLICA_SETS, REPLICATION_CONTROLLERS, STATEFUL_SETS, DEPLOYMENTS)


class UnknownOwnerError(Exception):
    """A pod belongs to something that does not say how many pods it wants."""


class Expected(NamedTuple):
    total: int
    unmanaged: list[str]
    """Names of pods without an owner."""


class Scales:
    def __init__(self, manager: Manager, served: KnownKinds) -> None:
        self._client = manager.client
        self._served = served
        self._informers = {resource: manager.cache.informer(resource) for resource in _COUNTED}

    async def of(self, pods: Iterable[Obj]) -> Expected:
        """Raises `UnknownOwnerError`."""
        found, unmanaged = dict[str, int](), list[str]()
        for pod in pods:
            reference = objects.controller_of(pod)
            if reference is None:
                unmanaged.append(objects.name(pod))
            elif reference["uid"] not in found:
                uid, count = await self._scale(objects.namespace(pod), reference, pod)
                found[uid] = count
                found.setdefault(reference["uid"], 0)
        return Expected(sum(found.values()), unmanaged)

    async def _scale(self, namespace: str, reference: Obj, pod: Obj) -> tuple[str, int]:
        """Of a ReplicaSet that a Deployment has, the Deployment's."""
        resource = self._resource(reference)
        if resource is None:
            raise UnknownOwnerError(f'found no controllers for pod "{objects.name(pod)}"')
        if resource not in self._informers:
            return reference["uid"], await self._asked(resource, namespace, reference, pod)
        owner = self._informers[resource].get(Key(namespace, reference["name"]))
        if owner is None or objects.uid(owner) != reference["uid"]:
            raise UnknownOwnerError(f'found no controllers for pod "{objects.name(pod)}"')
        parent = objects.controller_of(owner)
        if resource == REPLICA_SETS and parent is not None and parent.get("kind") == DEPLOYMENTS.kind:
            return await self._scale(namespace, parent, pod)
        replicas = objects.spec(owner).get("replicas")
        return reference["uid"], 1 if replicas is None else int(replicas)

    async def _asked(self, resource: Resource, namespace: str, reference: Obj, pod: Obj) -> int:
        try:
            scale = await self._client.get_subresource(resource, reference["name"], namespace, "scale")
        except errors.StatusError as error:
            if errors.is_not_found(error):
                raise UnknownOwnerError(f'found no controllers for pod "{objects.name(pod)}"') from error
            raise
        return int(objects.spec(scale).get("replicas") or 0)

    def _resource(self, reference: Obj) -> Resource | None:
        group, _ = objects.split_api_version(reference.get("apiVersion", ""))
        return next((r for r in (*_COUNTED, *self._served) if r.group == group and r.kind == reference.get("kind")), None)
