"""The client that everything above the API server uses: verbs with sensible arguments over any `Transport`.

Controllers, agents and the command line call it; it hands to `apiserver.local` or `client.http` without knowing which. Objects that it
returns are shared: `meta.objects.copy` before changing one. Every method raises `meta.errors.StatusError` when the server refuses.
"""

from collections.abc import AsyncIterator, Callable
from typing import Any, TypeAlias

from lightship.client.apply import difference, wish
from lightship.meta import errors, objects
from lightship.meta.objects import Key, Obj
from lightship.meta.patch import diff_merge
from lightship.meta.resources import Resource
from lightship.meta.rest import (
    APPLY_PATCH,
    MERGE_PATCH,
    DeleteOptions,
    Listing,
    ListOptions,
    LogOptions,
    PatchType,
    Transport,
    WatchEvent,
    WatchOptions,
    WriteOptions,
)
from lightship.meta.stored import Objects, held_of

PAGE = 500
"""Objects per page of a list, as kubectl asks for."""

OnWrite: TypeAlias = Callable[[Resource, Key, Obj], None]
"""Told of every write that succeeded: what was written to, its key, and the server's answer (the object or a `Status`)."""

_WATCH = WatchOptions()
_DELETE = DeleteOptions()
_LOGS = LogOptions()


class Client:
    """The verbs of the Kubernetes API for one user of one cluster. `strict`: fields that a kind has not are refused, not dropped."""

    def __init__(self, transport: Transport, *, manager: str = "lightship", on_write: OnWrite | None = None, strict: bool = False) -> None:
        self.transport = transport
        self.manager = manager
        self._on_write = on_write
        self._strict = strict
        self._options = WriteOptions(field_manager=manager, field_validation="Strict" if strict else "")

    def with_hook(self, on_write: OnWrite) -> "Client":
        """The same client, telling `on_write` what it wrote."""
        return Client(self.transport, manager=self.manager, on_write=on_write, strict=self._strict)

    async def get(self, resource: Resource, name: str, namespace: str = "") -> Obj:
        return await self.transport.get(resource, _scope(resource, namespace), _named(resource, name))

    async def get_or_none(self, resource: Resource, name: str, namespace: str = "") -> Obj | None:
        """The object, or None where there is none."""
        try:
            return await self.get(resource, name, namespace)
        except errors.StatusError as error:
            if errors.is_not_found(error):
                return None
            raise

    async def list(self, resource: Resource, namespace: str = "", *, labels: str = "", fields: str = "") -> Listing:
        """All objects, page by page; of all namespaces when `namespace` is empty."""
        options = ListOptions(label_selector=labels, field_selector=fields, limit=PAGE)
        try:
            return await self._all_pages(resource, namespace, options)
        except errors.StatusError as error:
            if not errors.is_expired(error):
                raise
        # The snapshot that the pages came from was compacted away between two of them: one page cannot be overtaken.
        return await self.transport.list(resource, namespace, ListOptions(label_selector=labels, field_selector=fields))

    async def _all_pages(self, resource: Resource, namespace: str, options: ListOptions) -> Listing:
        page = await self.transport.list(resource, namespace, options)
        if not page.continue_:
            return page
        held = list(held_of(page.items))
        while page.continue_:
            following = ListOptions(
                label_selector=options.label_selector,
                field_selector=options.field_selector,
                limit=options.limit,
                continue_=page.continue_,
            )
            page = await self.transport.list(resource, namespace, following)
            held.extend(held_of(page.items))
        return Listing(Objects(held), page.resource_version)

    def watch(self, resource: Resource, namespace: str = "", options: WatchOptions = _WATCH) -> AsyncIterator[WatchEvent]:
        """One watch, until the server ends it; informers are what survives that."""
        return self.transport.watch(resource, namespace, options)

    async def create(self, resource: Resource, obj: Obj) -> Obj:
        namespace = _scope(resource, objects.namespace(obj))
        return self._wrote(resource, namespace, await self.transport.create(resource, namespace, obj, options=self._options))

    async def update(self, resource: Resource, obj: Obj) -> Obj:
        """Replace an object; with its resourceVersion, only if nobody changed it meanwhile (409 Conflict)."""
        return await self._update(resource, obj, "")

    async def update_status(self, resource: Resource, obj: Obj) -> Obj:
        """Replace an object's status; everything else in `obj` is ignored by the server."""
        return await self._update(resource, obj, "status")

    async def _update(self, resource: Resource, obj: Obj, subresource: str) -> Obj:
        namespace, name = _scope(resource, objects.namespace(obj)), _named(resource, objects.name(obj))
        answer = await self.transport.update(resource, namespace, name, obj, subresource=subresource, options=self._options)
        return self._wrote(resource, namespace, answer)

    async def patch(
        self,
        resource: Resource,
        name: str,
        patch: Any,
        namespace: str = "",
        *,
        type: PatchType = MERGE_PATCH,
        subresource: str = "",
    ) -> Obj:
        namespace = _scope(resource, namespace)
        answer = await self.transport.patch(
            resource, namespace, _named(resource, name), patch, type=type, subresource=subresource, options=self._options
        )
        return self._wrote(resource, namespace, answer)

    async def patch_status(self, resource: Resource, old: Obj, status: Obj) -> Obj:
        """Make `status` the status of `old`, which must be as fresh as the decision: a change by others since then is a 409 Conflict.

        Nothing is written when it is the status already; `old` is returned then.
        """
        change = diff_merge(objects.status(old), status)
        if not change:
            return old
        patch = {"metadata": {"resourceVersion": objects.meta(old).get("resourceVersion")}, "status": change}
        return await self.patch(resource, objects.name(old), patch, objects.namespace(old), subresource="status")

    async def apply(self, resource: Resource, obj: Obj, *, live: Obj | None = None) -> Obj:
        """Create the object, or change the live one where it differs from the fields that `obj` gives; returns the live object.

        `live`, where the caller has it from a cache, saves the read; nothing is written when nothing differs.
        """
        name, namespace = objects.name(obj), objects.namespace(obj)
        found = live or await self.get_or_none(resource, name, namespace)
        if found is None:
            try:
                return await self.create(resource, obj)
            except errors.StatusError as error:
                if not errors.is_already_exists(error):
                    raise
            found = await self.get(resource, name, namespace)
        change = difference(found, wish(obj, status_is_apart=resource.status))
        return await self.patch(resource, name, change, namespace) if change else found

    async def assert_fields(self, resource: Resource, obj: Obj, manager: str, *, subresource: str = "") -> Obj:
        """Server-side apply in the name of `manager`, by force: the fields of `obj` are its own from now on, and those that it owned and
        `obj` does not give any more go. For objects that several write to; returns the live object. A `subresource` (`status`) makes no
        new object: 404 where there is none."""
        namespace = _scope(resource, objects.namespace(obj))
        options = WriteOptions(field_manager=manager, force=True)
        name = _named(resource, objects.name(obj))
        answer = await self.transport.patch(resource, namespace, name, obj, type=APPLY_PATCH, subresource=subresource, options=options)
        return self._wrote(resource, namespace, answer)

    async def delete(
        self,
        resource: Resource,
        name: str,
        namespace: str = "",
        options: DeleteOptions = _DELETE,
        *,
        missing_ok: bool = False,
    ) -> Obj | None:
        """The deleted (or now terminating) object or a `Status`; None when it was gone already and `missing_ok`."""
        namespace = _scope(resource, namespace)
        try:
            answer = await self.transport.delete(resource, namespace, _named(resource, name), options)
        except errors.StatusError as error:
            if missing_ok and errors.is_not_found(error):
                return None
            raise
        self._tell(resource, Key(namespace, name), answer)
        return answer

    async def delete_collection(
        self, resource: Resource, namespace: str = "", *, labels: str = "", fields: str = "", options: DeleteOptions = _DELETE
    ) -> None:
        """Delete all that is selected. The server does not say what it deleted, so the write is not told to `on_write`."""
        selection = ListOptions(label_selector=labels, field_selector=fields)
        await self.transport.delete_collection(resource, _scope(resource, namespace), selection, options)

    async def create_subresource(self, resource: Resource, name: str, namespace: str, subresource: str, body: Obj) -> Obj:
        """POST to a subresource that takes one: `binding`, `eviction`, `token`."""
        namespace = _scope(resource, namespace)
        return await self.transport.create(
            resource, namespace, body, name=_named(resource, name), subresource=subresource, options=self._options
        )

    async def get_subresource(self, resource: Resource, name: str, namespace: str, subresource: str) -> Obj:
        return await self.transport.get(resource, _scope(resource, namespace), _named(resource, name), subresource=subresource)

    def logs(self, namespace: str, pod: str, options: LogOptions = _LOGS) -> AsyncIterator[bytes]:
        """Chunks of a container's log as they come."""
        return self.transport.logs(namespace, pod, options)

    async def close(self) -> None:
        await self.transport.close()

    def _wrote(self, resource: Resource, namespace: str, answer: Obj) -> Obj:
        self._tell(resource, Key(namespace, objects.name(answer)), answer)
        return answer

    def _tell(self, resource: Resource, key: Key, answer: Obj) -> None:
        if self._on_write is not None:
            self._on_write(resource, key, answer)


def _scope(resource: Resource, namespace: str) -> str:
    """The namespace to ask in. Raises a `StatusError` (400) when the kind lives in namespaces and none is given."""
    if not resource.namespaced:
        return ""
    if not namespace:
        raise errors.bad_request(f"{resource.plural} live in a namespace and none is given: set metadata.namespace or pass namespace=")
    return namespace


def _named(resource: Resource, name: str) -> str:
    """The name, which must not be empty: the path without one is that of all objects, and a DELETE there deletes them all."""
    if not name:
        raise errors.bad_request(f"which of the {resource.plural}? No name is given: set metadata.name")
    return name
