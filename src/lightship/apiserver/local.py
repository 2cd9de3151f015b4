"""The in-process front: a `Transport` whose calls are the registry's operations, with no bytes and no sockets in between.

`Server.local(user)` makes one; controllers, the scheduler and tests use it through `client.Client` and cannot tell it from HTTP. What it
hands out is shared with the store and all other readers; what it is given is copied, so that callers keep what is theirs.
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from typing import Any, TypeAlias

from lightship.meta import errors
from lightship.meta.objects import Obj, copy
from lightship.meta.resources import Resource
from lightship.meta.rest import (
    DeleteOptions,
    Listing,
    ListOptions,
    LogOptions,
    PatchType,
    User,
    WatchEvent,
    WatchOptions,
    WriteOptions,
)
from lightship.meta.stored import Objects

from .access.authn import MASTERS, authenticated
from .access.authz import Attributes, Authorizer, require
from .registry import Registry
from .requests import Bookmark, Request

NAMESPACES = "core/namespaces"
Fetch: TypeAlias = Callable[[User, str, str], Awaitable[bytes]]
"""Answers GET of a path that no kind of ours is behind: (who asks, the path, what is accepted). Raises `StatusError`."""


class LocalTransport:
    """Satisfies `meta.rest.Transport` for one user, who is refused what `authorizer` does not allow, as over HTTP.

    `manager` is what the fields that it writes are said to be managed by, where a call names none: the user's short name by default.
    """

    def __init__(
        self,
        registry: Registry,
        started: Callable[[], Awaitable[None]],
        pods: Resource | None,
        authorizer: Authorizer,
        user: User,
        manager: str = "",
        fetch: Fetch | None = None,
    ) -> None:
        self._registry = registry
        self._fetch = fetch
        self._started = started
        self._pods = pods
        self._authorizer = authorizer
        self._user = authenticated(user)
        self._is_master = MASTERS in user.groups
        self._manager = manager or _manager_of(user)

    async def get(self, resource: Resource, namespace: str, name: str, *, subresource: str = "") -> Obj:
        await self._started()
        return (await self._registry.get(self._request("get", resource, namespace, name, subresource))).obj

    async def fetch(self, path: str, *, accept: str = "application/json") -> bytes:
        """What another server answers behind this one, or a group of kinds is told as."""
        await self._started()
        if self._fetch is None:
            raise errors.no_such_path()
        return await self._fetch(self._user, path, accept)

    async def list(self, resource: Resource, namespace: str, options: ListOptions = ListOptions()) -> Listing:  # noqa: B008
        await self._started()
        page = await self._registry.list(self._request("list", resource, namespace, selector=options.field_selector), options)
        return Listing(Objects(page.records), str(page.revision), page.continue_, page.remaining)

    async def watch(
        self,
        resource: Resource,
        namespace: str,
        options: WatchOptions = WatchOptions(),  # noqa: B008
    ) -> AsyncIterator[WatchEvent]:
        await self._started()
        batches = self._registry.watch(self._request("watch", resource, namespace, selector=options.field_selector), options)
        try:
            async for batch in batches:
                for item in batch:
                    if isinstance(item, Bookmark):
                        yield WatchEvent(item.type, item.object)
                    else:
                        yield WatchEvent(item.type, item.record.glance(), item.record)
        finally:
            await batches.aclose()

    async def create(
        self,
        resource: Resource,
        namespace: str,
        obj: Obj,
        *,
        name: str = "",
        subresource: str = "",
        options: WriteOptions = WriteOptions(),  # noqa: B008
    ) -> Obj:
        await self._started()
        return (await self._registry.create(self._request("create", resource, namespace, name, subresource), copy(obj), options)).obj

    async def update(
        self,
        resource: Resource,
        namespace: str,
        name: str,
        obj: Obj,
        *,
        subresource: str = "",
        options: WriteOptions = WriteOptions(),  # noqa: B008
    ) -> Obj:
        await self._started()
        return (await self._registry.update(self._request("update", resource, namespace, name, subresource), copy(obj), options)).obj

    async def patch(
        self,
        resource: Resource,
        namespace: str,
        name: str,
        patch: Any,
        *,
        type: PatchType,
        subresource: str = "",
        options: WriteOptions = WriteOptions(),  # noqa: B008
    ) -> Obj:
        await self._started()
        return (await self._registry.patch(self._request("patch", resource, namespace, name, subresource), patch, type, options)).obj

    async def delete(
        self,
        resource: Resource,
        namespace: str,
        name: str,
        options: DeleteOptions = DeleteOptions(),  # noqa: B008
    ) -> Obj:
        await self._started()
        return (await self._registry.delete(self._request("delete", resource, namespace, name), options)).obj

    async def delete_collection(
        self,
        resource: Resource,
        namespace: str,
        selection: ListOptions,
        options: DeleteOptions = DeleteOptions(),  # noqa: B008
    ) -> None:
        await self._started()
        request = self._request("deletecollection", resource, namespace, selector=selection.field_selector)
        await self._registry.delete_collection(request, selection, options)

    async def logs(self, namespace: str, pod: str, options: LogOptions) -> AsyncIterator[bytes]:
        await self._started()
        if self._pods is None:
            raise RuntimeError("this server serves no pods")
        async for chunk in self._registry.logs(self._request("get", self._pods, namespace, pod, "log"), options):
            yield chunk

    async def close(self) -> None:
        """Nothing to close: the server outlives its transports."""

    def _request(self, verb: str, resource: Resource, namespace: str, name: str = "", subresource: str = "", selector: str = "") -> Request:
        """The request, which the user may make. Raises 403."""
        namespace = namespace if resource.namespaced else ""
        if not self._is_master:
            # To the authorizer, a namespace is itself in the namespace of its name.
            where = name if resource.bucket == NAMESPACES else namespace
            wish = Attributes(self._user, verb, resource.group, resource.plural, subresource, where, name)
            require(self._authorizer, wish._replace(selector=selector) if selector else wish)
            if verb in ("update", "patch"):
                return Request(self._user, resource, namespace, name, subresource, self._manager, partial(self._also, wish))
        return Request(self._user, resource, namespace, name, subresource, self._manager)

    def _also(self, wish: Attributes, verb: str) -> None:
        require(self._authorizer, wish._replace(verb=verb))


def _manager_of(user: User) -> str:
    """The last part of a user's name: `lightship` of `system:serviceaccount:kube-system:lightship`."""
    return user.name.rpartition(":")[2]
