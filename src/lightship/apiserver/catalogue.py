"""Which resources are served right now, each compiled once.

`Server` fills it, `definitions` adds and removes kinds as CustomResourceDefinitions come and go, fronts look resources up by URL and
discovery walks it. Knows no objects.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping

from lightship.meta.admission import Admission
from lightship.meta.objects import GVK, Obj
from lightship.meta.resources import Resource

from .conversion.versions import Family, Versions
from .custom_objects import Metadata
from .rules import Rule
from .served import Served


class Catalogue:
    """`generation` changes whenever the set does; discovery documents are cached by it."""

    def __init__(self, definitions: Callable[[], Mapping[str, Obj]]) -> None:
        self._definitions = definitions
        self._served: dict[tuple[str, str, str], Served] = {}
        self._admission: list[Rule] = []
        self._metadata: Metadata | None = None
        self.generation = 0

    def __iter__(self) -> Iterator[Resource]:
        return (served.resource for served in self._served.values())

    def __len__(self) -> int:
        return len(self._served)

    def find(self, group: str, version: str, plural: str) -> Resource | None:
        """The resource behind `/apis/<group>/<version>/<plural>`."""
        served = self._served.get((group, version, plural))
        return served.resource if served else None

    def by_kind(self, gvk: GVK) -> Resource | None:
        return next((r for r in self if r.kind == gvk.kind and r.group == gvk.group and r.version == gvk.version), None)

    def by_bucket(self, bucket: str) -> list[Resource]:
        """All versions (and groups) in which the objects of a bucket are served, in the order in which they were added."""
        return [r for r in self if r.bucket == bucket]

    def siblings(self, bucket: str) -> list[Served]:
        """As `by_bucket`, compiled."""
        return [served for served in self._served.values() if served.bucket == bucket]

    def storage_versions(self) -> dict[str, str]:
        """The version in which the objects of each bucket are stored, as `<group>/<version>`."""
        found: dict[str, str] = {}
        for served in self._served.values():
            if served.versions is not None:
                found[served.bucket] = served.versions.storage
            elif served.resource.storage is None:
                found.setdefault(served.bucket, served.resource.api_version)
        return found

    def served(self, resource: Resource) -> Served | None:
        return self._served.get(resource.identity)

    def add(self, resources: Iterable[Resource], *, stored_since: int = 0, family: Family | None = None) -> None:
        """Serve these too, replacing those of the same identity.

        Objects of custom kinds written up to revision `stored_since` may lack the defaults of today. `family` tells how the versions of one
        custom kind belong together; without it, objects are stored in the first of its versions.
        """
        added = [self._served_as(resource) for resource in resources]
        self._mark_shared({served.bucket for served in added})
        for bucket in {served.bucket for served in added if served.resource.custom}:
            self._relate([served for served in added if served.bucket == bucket], family, stored_since)
        self.generation += bool(added)

    def _served_as(self, resource: Resource) -> Served:
        served = self._compiled(resource)
        served.admit(self._admission)
        self._served[resource.identity] = served
        return served

    def _compiled(self, resource: Resource) -> Served:
        served = Served(resource, self._definitions)
        if resource.custom:
            self._metadata = self._metadata or Metadata(self._definitions)
            served.metadata = self._metadata
        return served

    def _relate(self, same: list[Served], family: Family | None, stored_since: int) -> None:
        """Tell the versions of one custom kind of each other."""
        first = same[0].resource.api_version
        family = family or Family(first, (first,))
        everyone = same + [self._compiled(resource) for resource in family.hidden]
        schemas = {served.resource.api_version: served.compiled for served in everyone}
        versions = Versions(family.storage, family.stored, schemas, stored_since)
        if family.converter is not None:
            versions.converter = family.converter(versions)
        for served in same:
            served.belong(versions)

    def _mark_shared(self, buckets: set[str]) -> None:
        for bucket in buckets:
            same = [served for served in self._served.values() if served.bucket == bucket]
            for served in same:
                served.shared = len(same) > 1

    def remove(self, resources: Iterable[Resource]) -> None:
        for resource in resources:
            if self._served.pop(resource.identity, None):
                self.generation += 1

    def admit(self, admission: Iterable[Admission], *, complete: bool = False) -> None:
        """Append admission rules; they run in the order in which they came.

        `complete`: what they add needs no defaults, so that those need not be filled in twice.
        """
        self._admission.extend(Rule(a, complete) for a in admission)
        for served in self._served.values():
            served.admit(self._admission)
