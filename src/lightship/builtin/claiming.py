"""Whose children are whose: an owner adopts what nobody controls and its selector finds, and lets go of what the selector no longer finds.

`divide` and the patches are pure; `Claimer` is the part of a reconciler that reads caches and carries them out. Children without a
controller and owners meet by `handles`, so that a pod that never was anybody's costs a look into an index and nothing more.
Called by the controllers of workloads. Refuses to know what a child is counted for.
Contract: kube-controller-manager's reference managers; `spec.selector` of apps/v1 kinds, batch/v1 Job and v1 ReplicationController.
"""

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from lightship.builtin import children
from lightship.client.informer import Informer
from lightship.control import Manager
from lightship.meta import errors, objects, selectors
from lightship.meta.objects import Key, Obj
from lightship.meta.resources import Resource
from lightship.meta.rest import JSON_PATCH
from lightship.meta.selectors import LabelSelector

LOOSE = "builtin/loose"
SELECTOR = "builtin/selector"
Fits = Callable[[Obj], bool]


class Claims(NamedTuple):
    mine: list[Obj]
    adopt: list[Obj]
    """Children without a controller that the owner should control."""
    part: list[Obj]
    """Children of the owner that its selector no longer finds."""


def selector_of(owner: Obj) -> LabelSelector:
    """What an owner selects; nothing when its selector is empty, as no kind of workload may have all pods."""
    given = objects.spec(owner).get("selector")
    if owner.get("kind") == "ReplicationController":
        given = {"matchLabels": given} if given else None
    found = selectors.from_label_selector(given)
    return selectors.NOTHING if found.empty else found


def divide(owner: Obj, owned: Iterable[Obj], loose: Iterable[Obj], *, open: bool, fits: Fits = lambda child: True) -> Claims:
    """Sort children out. An owner on its way out (not `open`) gains and loses none. `fits` is what else a child must be."""
    matches = selector_of(owner).matches
    claims = Claims([], [], [])
    for child in owned:
        (claims.mine if matches(objects.labels(child)) and fits(child) else claims.part).append(child)
    if not open:
        return Claims(claims.mine, [], [])
    claims.adopt.extend(child for child in loose if not objects.is_deleting(child) and matches(objects.labels(child)) and fits(child))
    return claims


def handle(owner: Obj) -> str:
    """By what label an owner's selector finds children, of several the first; one of expressions alone looks at all of the namespace."""
    given = objects.spec(owner).get("selector") or {}
    wanted = given if owner.get("kind") == "ReplicationController" else given.get("matchLabels") or {}
    return f"{objects.namespace(owner)}/{next((f'{label}={wanted[label]}' for label in sorted(wanted)), '')}"


def index_by_handle(owner: Obj) -> Iterable[str]:
    return (handle(owner),)


def handles(child: Obj) -> Iterable[str]:
    """Where a child without a controller may be looked for; an index of children."""
    if objects.controller_of(child) is not None:
        return ()
    space = objects.namespace(child)
    return [f"{space}/", *(f"{space}/{label}={value}" for label, value in objects.labels(child).items())]


def adoption(owner: Obj, child: Obj) -> list[Obj]:
    """The JSON patch that makes a child the owner's."""
    return [same(child), appended(child, "ownerReferences", objects.owner_reference(owner))]


def parting(owner: Obj, child: Obj) -> list[Obj]:
    """The JSON patch that takes the owner's reference from a child."""
    number = next(i for i, reference in enumerate(objects.owners(child)) if reference.get("uid") == objects.uid(owner))
    path = f"/metadata/ownerReferences/{number}"
    return [same(child), {"op": "test", "path": f"{path}/uid", "value": objects.uid(owner)}, {"op": "remove", "path": path}]


def same(obj: Obj) -> Obj:
    """The test that a JSON patch meets the object it was made for, and no successor of the same name."""
    return {"op": "test", "path": "/metadata/uid", "value": objects.uid(obj)}


def appended(obj: Obj, field: str, value: Any) -> Obj:
    """The operation that adds a value to a list of the metadata, which may not be there."""
    if objects.meta(obj).get(field):
        return {"op": "add", "path": f"/metadata/{field}/-", "value": value}
    return {"op": "add", "path": f"/metadata/{field}", "value": [value]}


class Claimer:
    """Claims the children of one kind for the owners of another. `fits` is asked, beside the selector, about (owner, child)."""

    def __init__(
        self, manager: Manager, owners: Resource, resource: Resource, *, fits: Callable[[Obj, Obj], bool] = lambda owner, child: True
    ) -> None:
        self._client = manager.client
        self._kind = owners
        self._resource = resource
        self._fits = fits
        self._owners: Informer = manager.cache.informer(owners)
        self._children: Informer = manager.cache.informer(resource)
        self._children.add_index(LOOSE, handles)
        self._owners.add_index(SELECTOR, index_by_handle)

    def keys(self, child: Obj) -> Iterable[Key]:
        """The owners that a change of a child concerns."""
        reference = objects.controller_of(child)
        if reference is not None:
            group, _ = objects.split_api_version(reference.get("apiVersion", ""))
            if reference.get("kind") == self._kind.kind and group == self._kind.group:
                yield Key(objects.namespace(child), reference["name"])
            return
        if not self._owners:
            return
        for where in handles(child):
            yield from self._owners.keys_by_index(SELECTOR, where)

    async def claim(self, owner: Obj) -> list[Obj]:
        """The owner's children, after those it gains and without those it loses."""
        loose = self._children.by_index(LOOSE, handle(owner))
        found = divide(
            owner,
            self._children.owned_by(owner),
            loose,
            open=not objects.is_deleting(owner),
            fits=lambda child: self._fits(owner, child),
        )
        await children.every(found.part, lambda child: self._part(owner, child))
        if not found.adopt:
            return found.mine
        fresh = await self._client.get_or_none(self._kind, objects.name(owner), objects.namespace(owner))
        if fresh is None or objects.uid(fresh) != objects.uid(owner) or objects.is_deleting(fresh):
            return found.mine
        return found.mine + [await self._patch(child, adoption(owner, child)) for child in found.adopt]

    async def _part(self, owner: Obj, child: Obj) -> None:
        try:
            await self._patch(child, parting(owner, child))
        except errors.StatusError as error:
            if not errors.is_not_found(error):
                raise

    async def _patch(self, child: Obj, patch: list[Obj]) -> Obj:
        return await self._client.patch(self._resource, objects.name(child), patch, objects.namespace(child), type=JSON_PATCH)
