"""The verbs of the API on stored objects: what every front calls, whichever way the request came.

`http` and `local` call these operations after authentication and authorization. Each operation is told in its own module (`writing`,
`listing`, `watching`, `deletion`, `patching`, `subresources`); this file is their table of contents. Every operation raises
`meta.errors.StatusError` when it refuses.
"""

from collections.abc import AsyncGenerator, Callable
from typing import Any, TypeVar

from lightship.kinds import BINDINGS
from lightship.meta import errors
from lightship.meta.objects import Obj
from lightship.meta.rest import APPLY_PATCH, DeleteOptions, ListOptions, LogOptions, PatchType, WatchOptions, WriteOptions

from . import components, measuring
from .conversion.versions import Unconverted
from .core import Core
from .requests import Answer, Batch, LogStream, Page, Request
from .reviews import answering as reviews
from .served import Served
from .subresources.asking import Subresources
from .verbs import applying, watching
from .verbs.deletion import Deleter
from .verbs.listing import Reader
from .verbs.patching import patch_object, patch_scale
from .verbs.writing import Writer

T = TypeVar("T")
_VIEWS = ("", "status", "finalize")
"""Subresources that are the object itself, of which a write may change only a part."""


class Registry:
    """All operations of one server."""

    def __init__(self, core: Core) -> None:
        self._core = core
        self._reader = Reader(core)
        self._writer = Writer(core)
        self._deleter = Deleter(core)
        self._subresources = Subresources(core, self._writer, self._deleter)

    async def get(self, request: Request, resource_version: str = "") -> Answer:
        """The object, or the answer of a readable subresource (`status`, `scale`)."""
        served = self._served(request)
        if request.subresource not in ("", "status", "scale") and request.subresource not in served.resource.parts:
            raise errors.method_not_allowed()
        if served.bucket == components.BUCKET:
            return components.get(request.name)
        if served.bucket in measuring.BUCKETS:
            return await measuring.get(self._core, served, request)
        answer = await self._read(lambda: self._reader.get(served, request, resource_version))
        return self._subresources.get_scale(served, answer.obj) if request.subresource == "scale" else answer

    async def list(self, request: Request, options: ListOptions) -> Page:
        served = self._served(request)
        if served.bucket == components.BUCKET:
            return components.page(self._core.store.revision)
        if served.bucket in measuring.BUCKETS:
            return await measuring.page(self._core, served, request, options)
        return await self._read(lambda: self._reader.list(served, request, options))

    def watch(self, request: Request, options: WatchOptions) -> AsyncGenerator[Batch, None]:
        """Ends at the timeout; raises `StatusError` for what the wire calls an ERROR event (410 and the like).

        Bad options are raised by the first step of the iteration, before any item. Close the generator (`aclose`) when the client goes.
        """
        return watching.stream(self._core, self._served(request), request, options)

    async def create(self, request: Request, obj: Obj, options: WriteOptions) -> Answer:
        """201. `obj` is private to the server from here on. With `request.subresource`: binding, eviction, token. Reviews are answered."""
        if request.resource.plural.endswith("reviews") and request.resource in reviews.RESOURCES:
            core = self._core
            return reviews.answer(request, obj, options, core.authorizer, core.authenticator, core.clock.now())
        served = self._served(request)
        if request.subresource:
            return await self._subresources.create(served, request, obj, options)
        if request.resource is BINDINGS:
            return await self._subresources.bind_named(request, obj, options)
        return await self._writer.create(served, request, obj, options)

    async def update(self, request: Request, obj: Obj, options: WriteOptions) -> Answer:
        """200. `obj` is private to the server from here on."""
        served = self._served(request)
        if request.subresource == "scale":
            return await self._subresources.put_scale(served, request, obj, options)
        _check_view(served, request)
        return await self._writer.update(served, request, obj, options)

    async def patch(self, request: Request, patch: Any, type: PatchType, options: WriteOptions) -> Answer:
        """200; 201 where an apply created the object. `patch` is decoded JSON."""
        served = self._served(request)
        if request.subresource == "scale":
            if type == APPLY_PATCH:
                return await self._subresources.apply_scale(served, request, applying.configuration(patch, options), options)
            current = await self._read(lambda: self._reader.get(served, request, ""))
            scale = self._subresources.get_scale(served, current.obj, asked=False)
            return await self._subresources.put_scale(served, request, patch_scale(scale.obj, patch, type), options)
        _check_view(served, request)
        return await patch_object(self._writer, served, request, patch, type, options)

    async def delete(self, request: Request, options: DeleteOptions) -> Answer:
        """200 with a Status or with the object that now waits for its finalizers or grace period."""
        served = self._served(request)
        if request.subresource:
            raise errors.method_not_allowed()
        return await self._deleter.delete(served, request, options)

    async def delete_collection(self, request: Request, selection: ListOptions, options: DeleteOptions) -> Page:
        """Deletes what the selection finds, and returns it."""
        served = self._served(request)
        page = await self._read(lambda: self._reader.list(served, request, selection))
        await self._deleter.delete_all(served, request, page.records, options)
        return page

    def logs(self, request: Request, options: LogOptions) -> LogStream:
        """Chunks of a container's log."""
        return self._subresources.logs(self._served(request), request, options)

    async def _read(self, read: Callable[[], T]) -> T:
        """What a reading finds; read again whenever a webhook had to convert something first."""
        while True:
            try:
                return read()
            except Unconverted as wanted:
                await wanted.convert()

    def _served(self, request: Request) -> Served:
        served = self._core.catalogue.served(request.resource)
        if served is None:
            raise errors.no_such_path()
        return served


def _check_view(served: Served, request: Request) -> None:
    """Is this a part of the object that can be written?"""
    subresource = request.subresource
    if subresource == "status" and not served.resource.status:
        raise errors.no_such_path()
    if subresource in served.resource.parts:
        return
    if subresource not in _VIEWS or (subresource == "finalize" and served.bucket != "core/namespaces"):
        raise errors.method_not_allowed()
