"""The verbs of the API on stored objects: what every front calls, whichever way the request came.

`http` and `local` call these operations after authentication and authorization. Each operation is told in its own module (`writing`,
`listing`, `watching`, `deletion`, `patching`, `subresources`); this file is their table of contents. Every operation raises
`meta.errors.StatusError` when it refuses.
"""

from collections.abc import AsyncIterator
from typing import Any

from lightship.apiserver.requests import Answer, Batch, LogStream, Page, Request
from lightship.meta.objects import Obj
from lightship.meta.rest import DeleteOptions, ListOptions, LogOptions, PatchType, WatchOptions, WriteOptions


class Registry:
    """All operations of one server."""

    async def get(self, request: Request, resource_version: str = "") -> Answer:
        """The object, or the answer of a readable subresource (`status`, `scale`)."""
        raise NotImplementedError

    async def list(self, request: Request, options: ListOptions) -> Page: ...

    def watch(self, request: Request, options: WatchOptions) -> AsyncIterator[Batch]:
        """Ends at the timeout; raises `StatusError` for what the wire calls an ERROR event (410 and the like).

        Bad options are raised by the first step of the iteration, before any item. Close the generator (`aclose`) when the client goes.
        """
        ...

    async def create(self, request: Request, obj: Obj, options: WriteOptions) -> Answer:
        """201. `obj` is private to the server from here on. With `request.subresource`: binding, eviction, token."""
        ...

    async def update(self, request: Request, obj: Obj, options: WriteOptions) -> Answer:
        """200. `obj` is private to the server from here on."""
        ...

    async def patch(self, request: Request, patch: Any, type: PatchType, options: WriteOptions) -> Answer:
        """200; 201 where an apply created the object. `patch` is decoded JSON."""
        ...

    async def delete(self, request: Request, options: DeleteOptions) -> Answer:
        """200 with a Status or with the object that now waits for its finalizers or grace period."""
        ...

    async def delete_collection(self, request: Request, selection: ListOptions, options: DeleteOptions) -> Page:
        """Deletes what the selection finds, and returns it."""
        ...

    def logs(self, request: Request, options: LogOptions) -> LogStream:
        """Chunks of a container's log."""
        ...
