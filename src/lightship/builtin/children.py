"""Making and unmaking children for controllers: many at once, each exactly once, whatever happened to the answers before.

`create` treats an object that exists as made, if it has the same owner: the answer to an earlier create may have been lost. `remove`
deletes by uid, so that a successor of the same name is never hit. Used by the controllers of workloads.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import TypeVar

from lightship.client.client import Client
from lightship.meta import errors, objects
from lightship.meta.objects import Obj
from lightship.meta.resources import Resource
from lightship.meta.rest import DeleteOptions

T = TypeVar("T")
AT_ONCE = 50
"""Requests under way at a time."""


async def create(client: Client, resource: Resource, obj: Obj) -> Obj:
    """The new object, or the one that is there if it has the same controlling owner. Raises `StatusError` otherwise."""
    try:
        return await client.create(resource, obj)
    except errors.StatusError as error:
        if not errors.is_already_exists(error):
            raise
        found = await client.get_or_none(resource, objects.name(obj), objects.namespace(obj))
        if found is None or objects.is_deleting(found) or not _same_owner(found, obj):
            raise
        return found


async def remove(client: Client, resource: Resource, obj: Obj, *, propagation: str = "") -> None:
    """Delete this very object; that it is gone, or has a successor of the same name, is fine."""
    await remove_with(client, resource, obj, DeleteOptions(uid=objects.uid(obj), propagation_policy=propagation))


async def remove_with(client: Client, resource: Resource, obj: Obj, options: DeleteOptions) -> None:
    """As `remove`, with options of one's own, which must name the uid."""
    try:
        await client.delete(resource, objects.name(obj), objects.namespace(obj), options, missing_ok=True)
    except errors.StatusError as error:
        if not errors.is_conflict(error):
            raise


async def each(items: Iterable[T], action: Callable[[T], Awaitable[object]]) -> list[Exception]:
    """Do something with every item, several at once; what went wrong, one entry for each failure."""
    listed: Sequence[T] = list(items)
    failures: list[Exception] = []
    for start in range(0, len(listed), AT_ONCE):
        results = await asyncio.gather(*(action(item) for item in listed[start : start + AT_ONCE]), return_exceptions=True)
        for result in results:
            if isinstance(result, Exception):
                failures.append(result)
            elif isinstance(result, BaseException):
                raise result
    return failures


async def every(items: Iterable[T], action: Callable[[T], Awaitable[object]]) -> None:
    """As `each`; the first failure is raised after all were tried."""
    for failure in await each(items, action):
        raise failure


async def slowly(items: Iterable[T], action: Callable[[T], Awaitable[object]]) -> tuple[int, list[Exception]]:
    """As `each`, in batches of 1, 2, 4…, so that what refuses one (a quota) is not asked for all of them: stops after the first batch with
    a failure. How many were done, and what went wrong."""
    listed: Sequence[T] = list(items)
    start, batch = 0, 1
    while start < len(listed):
        failures = await each(listed[start : start + batch], action)
        if failures:
            return min(start + batch, len(listed)) - len(failures), failures
        start, batch = start + batch, batch * 2
    return len(listed), []


def _same_owner(found: Obj, wanted: Obj) -> bool:
    owner = objects.controller_of(wanted)
    return owner is not None and (objects.controller_of(found) or {}).get("uid") == owner.get("uid")
