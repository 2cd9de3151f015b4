"""What TrainJobs have beside their JobSets, and whether it is still as it was when the controller last saw to it.

The controller notes what it has made, by version and no more; an informer of each kind, begun with the first object of that kind, wakes
the TrainJob whose object is gone or another. A cluster without MPI jobs is never asked for its Secrets. Only kinds that are noted are
watched: those of other packages' plugins need not be readable. Refuses to know what these objects hold.
Contract: Trainer 2.3 plugins watch what they have built.
"""

from collections.abc import Callable, Iterable
from functools import partial
from typing import NamedTuple

from lightship.client.cache import Cache
from lightship.client.informer import Informer
from lightship.control.watch import owner
from lightship.meta import objects
from lightship.meta.objects import Key, Obj
from lightship.meta.resources import Resource

from .api import TRAIN_JOBS


class _Note(NamedTuple):
    resource: Resource
    key: Key
    version: str


class Belongings:
    """By TrainJob. `wake` is called with the key of one whose belongings have changed."""

    def __init__(self, cache: Cache) -> None:
        self._cache = cache
        self._informers: dict[Resource, Informer] = {}
        self._noted: dict[Key, tuple[str, tuple[_Note, ...]]] = {}
        self.wake: Callable[[Key], None] = lambda key: None

    def note(self, job: Obj, made: Iterable[tuple[Resource, Obj]]) -> None:
        """All is right as it is."""
        notes = tuple(_Note(resource, objects.key(obj), objects.meta(obj)["resourceVersion"]) for resource, obj in made)
        self._noted[objects.key(job)] = (objects.uid(job), notes)
        for resource in {note.resource for note in notes} - self._informers.keys():
            informer = self._informers[resource] = self._cache.informer(resource)
            informer.on_change(partial(self._changed, owner(resource, TRAIN_JOBS).map, resource))

    def forget(self, key: Key) -> None:
        """The TrainJob needs nothing any more."""
        self._noted.pop(key, None)

    def intact(self, job: Obj) -> bool:
        """Is everything there as it was noted? No for a job of which nothing is noted, as after a start."""
        uid, notes = self._noted.get(objects.key(job), ("", ()))
        return uid == objects.uid(job) and all(self._version(note) == note.version for note in notes)

    def _version(self, note: _Note) -> str:
        """Empty when it is gone, or nobody can say yet."""
        informer = self._informers[note.resource]
        return informer.version(note.key) if informer.synced else ""

    def _changed(self, owners: Callable[[Obj], Iterable[Key]], resource: Resource, key: Key, old: Obj | None, new: Obj | None) -> None:
        version = objects.meta(new)["resourceVersion"] if new else ""
        for obj in (old, new):
            for job in owners(obj) if obj else ():
                _, notes = self._noted.get(job, ("", ()))
                if any((note.resource, note.key) == (resource, key) and note.version != version for note in notes):
                    self.wake(job)
