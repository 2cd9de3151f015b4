"""Doing what a stage says: patches, events, deletions, other objects. Called by the player; decides nothing.

Contract: kwok 0.8.0 (patches as they are, deletions without grace, other objects created or patched where they are).
"""

from collections.abc import Awaitable, Callable

from lightship.client import Client
from lightship.control import Recorder
from lightship.emulation.play import Apply, Deed, Delete, Patch, Tell
from lightship.meta import errors, objects
from lightship.meta.objects import Obj
from lightship.meta.resources import Resource
from lightship.meta.rest import APPLY_PATCH, DeleteOptions

Acting = Callable[[str], Client]
"""A client that writes as somebody else."""
Lookup = Callable[[str, str], Awaitable[Resource | None]]
"""The kind that is served under an apiVersion and kind."""


def nobody(user: str) -> Client:
    """For whoever cannot act as others."""
    raise errors.bad_request(f"nothing can be written as {user} from here: leave out statusPatchAs and impersonation")


class Writer:
    """Does deeds for objects of one kind."""

    def __init__(self, client: Client, resource: Resource, recorder: Recorder, lookup: Lookup, acting: Acting = nobody) -> None:
        self._client = client
        self._resource = resource
        self._recorder = recorder
        self._lookup = lookup
        self._acting = acting

    async def do(self, deed: Deed, obj: Obj) -> Obj | None:
        """The object as it is now, if the deed changed it. Raises `StatusError`."""
        match deed:
            case Patch():
                return await self._patch(deed, obj)
            case Delete():
                options = DeleteOptions(grace_period_seconds=0, uid=objects.uid(obj))
                await self._client.delete(self._resource, objects.name(obj), objects.namespace(obj), options, missing_ok=True)
            case Tell():
                about = {"apiVersion": self._resource.api_version, "kind": self._resource.kind, **obj}
                self._recorder.event(about, "Warning" if deed.type == "Warning" else "Normal", deed.reason, deed.message)
            case Apply():
                await self._apply(deed, obj)
        return None

    async def _patch(self, deed: Patch, obj: Obj) -> Obj | None:
        name, namespace = objects.name(obj), objects.namespace(obj)
        client = self._as(deed.user)
        answer = await client.patch(self._resource, name, deed.body, namespace, type=deed.type, subresource=deed.subresource)
        return None if objects.revision(answer) == objects.revision(obj) else answer

    async def _apply(self, deed: Apply, obj: Obj) -> None:
        """Another object: created, or patched where it is there already; its subresource only if it is there."""
        made = deed.obj
        resource = await self._lookup(made["apiVersion"], made["kind"])
        if resource is None:
            raise errors.bad_request(f"{made['apiVersion']} {made['kind']} is not served here")
        client, name = self._as(deed.user), objects.name(made)
        namespace = (objects.namespace(made) or objects.namespace(obj)) if resource.namespaced else ""
        if namespace:
            made = {**made, "metadata": {**objects.meta(made), "namespace": namespace}}
        if not deed.subresource:
            try:
                await client.create(resource, made)
            except errors.StatusError as error:
                if not errors.is_already_exists(error) or not name:
                    raise
            else:
                return
        if deed.type == APPLY_PATCH and not deed.subresource:
            await client.assert_fields(resource, made, "kwok")
        else:
            await client.patch(resource, name, made, namespace, type=deed.type, subresource=deed.subresource)

    def _as(self, user: str) -> Client:
        return self._acting(user) if user else self._client
