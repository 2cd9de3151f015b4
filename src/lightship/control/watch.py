"""What a controller watches, and whose key each change puts into its queue. Pure values; the controller turns them into informers."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TypeAlias

from lightship.meta import objects
from lightship.meta.objects import Key, Obj
from lightship.meta.resources import Resource

KeyMap: TypeAlias = Callable[[Obj], Iterable[Key]]
"""From an object that changed to the keys that should be looked at. Called for the object before and after the change."""


@dataclass(frozen=True, slots=True)
class Watch:
    """Changes of `resource`, limited by selectors, wake the keys that `map` gives."""

    resource: Resource
    map: KeyMap
    labels: str = ""
    fields: str = ""
    namespace: str = ""


def itself(resource: Resource, *, labels: str = "", fields: str = "", namespace: str = "") -> Watch:
    """A change of an object wakes its own key."""
    return Watch(resource, lambda obj: (objects.key(obj),), labels, fields, namespace)


def owner(resource: Resource, kind: Resource | str, *, labels: str = "", fields: str = "", namespace: str = "") -> Watch:
    """A change of a child wakes its controlling owner, if that is of `kind` (a resource, or the bare kind of a namespaced one)."""

    def owner_key(obj: Obj) -> Iterable[Key]:
        return _owner_key(obj, kind)

    return Watch(resource, owner_key, labels, fields, namespace)


def _owner_key(obj: Obj, kind: Resource | str) -> Iterable[Key]:
    found = objects.controller_of(obj)
    if found is None:
        return ()
    if isinstance(kind, str):
        return (Key(objects.namespace(obj), found["name"]),) if found.get("kind") == kind else ()
    group, _ = objects.split_api_version(found.get("apiVersion", ""))
    if found.get("kind") != kind.kind or group != kind.group:
        return ()
    return (Key(objects.namespace(obj) if kind.namespaced else "", found["name"]),)
