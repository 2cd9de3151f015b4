"""The cluster as a plan needs to know it, read once: nodes and what runs on them, storage, quotas, and what the manifest may refer to.

Called by `command`. Asks with reads and dry runs only, so nothing is written. What a cluster does not serve, or does not let us see, is
empty, and `unseen` names it.
"""

import asyncio
from typing import NamedTuple

from lightship import kinds
from lightship.cli.cluster import Cluster
from lightship.meta import errors, objects
from lightship.meta.objects import Obj
from lightship.meta.resources import Resource
from lightship.meta.rest import WriteOptions
from lightship.train.api import CLUSTER_TRAINING_RUNTIMES, TRAIN_JOBS, TRAINING_RUNTIMES

EVERYWHERE = (
    *(kinds.NODES, kinds.PODS, kinds.NAMESPACES, kinds.PERSISTENT_VOLUME_CLAIMS, kinds.PERSISTENT_VOLUMES, kinds.STORAGE_CLASSES),
    *(kinds.PRIORITY_CLASSES, kinds.RUNTIME_CLASSES, kinds.CUSTOM_RESOURCE_DEFINITIONS, CLUSTER_TRAINING_RUNTIMES),
)
IN_NAMESPACE = (
    *(kinds.RESOURCE_QUOTAS, kinds.LIMIT_RANGES, kinds.SERVICE_ACCOUNTS, kinds.CONFIG_MAPS, kinds.SECRETS),
    *(TRAINING_RUNTIMES, TRAIN_JOBS),
)
_DRY = WriteOptions(dry_run=True, field_manager="lightship-cli", field_validation="Strict")
"""A field that the server would drop is a mistake that costs a run: kubectl refuses it, too."""


class Live(NamedTuple):
    """Objects by kind; those that live in namespaces and are not in `EVERYWHERE`, of one namespace only."""

    namespace: str
    found: dict[Resource, list[Obj]]
    unseen: list[str]
    """Kinds that could not be read, with the reason."""

    def of(self, resource: Resource) -> list[Obj]:
        return self.found.get(resource, [])

    def names(self, resource: Resource, namespace: str = "") -> set[str]:
        return {objects.name(obj) for obj in self.of(resource) if not namespace or objects.namespace(obj) == namespace}


class Asked(NamedTuple):
    """What the cluster said when it was asked about a manifest."""

    live: Live
    wanted: list[Obj]
    """The manifest's objects, with their namespace."""
    refusals: list[str]


async def read(cluster: Cluster, namespace: str) -> Live:
    """All of it, at once. Raises `StatusError` where not even nodes may be read."""
    live = Live(namespace, {}, [])
    await asyncio.gather(
        *(_list(cluster, live, resource, "") for resource in EVERYWHERE),
        *(_list(cluster, live, resource, namespace) for resource in IN_NAMESPACE),
    )
    return live


async def admit(cluster: Cluster, resource: Resource, obj: Obj) -> str:
    """What the server says to creating this, without doing it; empty when it would do it."""
    namespace = objects.namespace(obj) if resource.namespaced else ""
    try:
        await cluster.transport.create(resource, namespace, obj, options=_DRY)
    except errors.StatusError as error:
        if errors.is_already_exists(error):
            return ""  # there is one already: a plan is made of what is asked, not of what changes
        return error.message
    return ""


async def _list(cluster: Cluster, live: Live, resource: Resource, namespace: str) -> None:
    said = {"apiVersion": resource.api_version, "kind": resource.kind}
    try:
        live.found[resource] = [said | obj for obj in (await cluster.client.list(resource, namespace)).items]
    except errors.StatusError as error:
        if resource == kinds.NODES or error.code not in (403, 404):
            raise
        if error.code == 403:
            live.unseen.append(f"{resource.plural}: {error.message}")
