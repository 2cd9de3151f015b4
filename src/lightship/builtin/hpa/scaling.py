"""What an autoscaler names, read and written through its `scale` subresource, of whatever kind that is.

Called by `controller`. Contract: autoscaling/v1 Scale; Kubernetes 1.36 podautoscaler, which tries a write again that others have overtaken.
"""

from typing import NamedTuple

from lightship.aio.clock import Clock
from lightship.builtin.known_kinds import KnownKinds
from lightship.client.client import Client
from lightship.meta import errors, objects
from lightship.meta.objects import Obj
from lightship.meta.resources import Resource

_ATTEMPTS, _PAUSE = 5, 0.01


class Unscalable(Exception):  # noqa: N818  reads as what it is
    """Why there is no scale; in the words of the server."""


class Scaled(NamedTuple):
    resource: Resource
    scale: Obj

    @property
    def wanted(self) -> int:
        return int(objects.spec(self.scale).get("replicas") or 0)

    @property
    def present(self) -> int:
        return int(objects.status(self.scale).get("replicas") or 0)

    @property
    def selector(self) -> str:
        return objects.status(self.scale).get("selector") or ""


async def read(client: Client, served: KnownKinds, autoscaler: Obj) -> Scaled:
    """The scale of what it names. Raises `Unscalable`."""
    reference = objects.spec(autoscaler)["scaleTargetRef"]
    group, _ = objects.split_api_version(reference.get("apiVersion", ""))
    resource = next((r for r in served if r.group == group and r.kind == reference["kind"]), None)
    if resource is None:
        raise Unscalable(f'no matches for kind "{reference["kind"]}" in group "{group}"')
    try:
        scale = await client.get_subresource(resource, reference["name"], objects.namespace(autoscaler), "scale")
    except errors.StatusError as error:
        raise Unscalable(error.message) from error
    return Scaled(resource, scale)


async def write(client: Client, clock: Clock, autoscaler: Obj, target: Scaled, replicas: int) -> None:
    """Have it run so many pods; again, with what it is by then, when others were quicker. Raises `StatusError`."""
    scale, space = target.scale, objects.namespace(autoscaler)
    name = objects.spec(autoscaler)["scaleTargetRef"]["name"]
    for attempt in range(_ATTEMPTS):
        new = {**scale, "spec": {**objects.spec(scale), "replicas": replicas}}
        try:
            await client.transport.update(target.resource, space, name, new, subresource="scale")
        except errors.StatusError as error:
            if not errors.is_conflict(error) or attempt == _ATTEMPTS - 1:
                raise
            await clock.sleep(_PAUSE)
            scale = await client.get_subresource(target.resource, name, space, "scale")
        else:
            return
