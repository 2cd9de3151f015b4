"""The kinds that a cluster serves now: those that `main` named, and those that users have defined since.

The garbage collector and the namespace controller ask: both must reach kinds that nobody knew when they started. Told by the
CustomResourceDefinitions themselves, so that it works on every cluster alike. Custom kinds come with names and scope only.
Contract: apiextensions.k8s.io/v1 CustomResourceDefinition, condition Established.
"""

from collections.abc import Callable, Iterable, Iterator

from lightship.control import Manager
from lightship.kinds import CUSTOM_RESOURCE_DEFINITIONS
from lightship.kinds.extensions.serving import resource_of
from lightship.meta import objects
from lightship.meta.objects import Key, Obj
from lightship.meta.resources import Resource

Changed = Callable[[Resource, bool], None]
"""Called with a kind and whether it is served from now on (or has ceased to be)."""


class KnownKinds:
    """Iterate over it for all kinds of the moment, one for each bucket."""

    def __init__(self, manager: Manager, named: Iterable[Resource]) -> None:
        self._named = {resource.bucket: resource for resource in named}
        self._defined: dict[str, Resource] = {}
        self._listeners: list[Changed] = []
        manager.cache.informer(CUSTOM_RESOURCE_DEFINITIONS).on_change(self._definition_changed)

    def __iter__(self) -> Iterator[Resource]:
        yield from self._named.values()
        yield from self._defined.values()

    def on_change(self, listener: Changed) -> None:
        self._listeners.append(listener)

    def _definition_changed(self, key: Key, old: Obj | None, new: Obj | None) -> None:
        resource = resource_of(new) if new is not None else None
        bucket = resource.bucket if resource else _bucket_of(new or old or {})
        if bucket in self._named or self._defined.get(bucket) == resource:
            return
        before = self._defined.pop(bucket, None)
        if before is not None:
            self._tell(before, served=False)
        if resource is not None:
            self._defined[bucket] = resource
            self._tell(resource, served=True)

    def _tell(self, resource: Resource, *, served: bool) -> None:
        for listener in self._listeners:
            listener(resource, served)


def _bucket_of(definition: Obj) -> str:
    spec = objects.spec(definition)
    return f"{spec.get('group')}/{(spec.get('names') or {}).get('plural')}"
