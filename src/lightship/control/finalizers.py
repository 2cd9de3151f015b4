"""Adding and taking away one's finalizer, safely beside others who do the same.

A merge patch replaces the whole list, so each patch names the resourceVersion it was made for: if another finalizer came or went
meanwhile the server answers 409 Conflict and the reconcile comes again.
"""

from lightship.client.client import Client
from lightship.meta import objects
from lightship.meta.objects import Obj
from lightship.meta.resources import Resource


def has(obj: Obj, finalizer: str) -> bool:
    return finalizer in finalizers(obj)


def finalizers(obj: Obj) -> list[str]:
    return objects.meta(obj).get("finalizers") or []


async def add(client: Client, resource: Resource, obj: Obj, finalizer: str) -> Obj:
    """The object with the finalizer, written if it was not there. Objects on their way out are left alone: the server refuses it."""
    if has(obj, finalizer) or objects.is_deleting(obj):
        return obj
    return await _replace(client, resource, obj, [*finalizers(obj), finalizer])


async def remove(client: Client, resource: Resource, obj: Obj, finalizer: str) -> Obj:
    """The object without the finalizer, written if it was there; the server removes a deleted object with its last finalizer."""
    if not has(obj, finalizer):
        return obj
    return await _replace(client, resource, obj, [f for f in finalizers(obj) if f != finalizer])


async def _replace(client: Client, resource: Resource, obj: Obj, wanted: list[str]) -> Obj:
    patch = {"metadata": {"finalizers": wanted or None, "resourceVersion": objects.meta(obj).get("resourceVersion")}}
    return await client.patch(resource, objects.name(obj), patch, objects.namespace(obj))
