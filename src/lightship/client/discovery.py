"""What a cluster serves, as `Resource`s: how the command line finds out what `po`, `trainjobs` or `jobs.batch` mean.

Asks for aggregated discovery (two requests). The result is names and scope only: schemas and rules stay with the server.
Contract: apidiscovery.k8s.io/v2 APIGroupDiscoveryList; kubectl's way of resolving `plural.group` and short names.
"""

from collections.abc import Iterable
from typing import Protocol

from lightship.meta import codec
from lightship.meta.objects import Obj
from lightship.meta.resources import Resource

ACCEPT = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,application/json"


class Fetcher(Protocol):
    async def fetch(self, path: str, *, accept: str = ...) -> bytes: ...


async def discover(transport: Fetcher) -> list[Resource]:
    """All resources of a cluster in its order of preference. Raises `StatusError`."""
    found: list[Resource] = []
    for path in ("/api", "/apis"):
        found += parse(codec.decode(await transport.fetch(path, accept=ACCEPT)))
    return found


def parse(body: Obj) -> list[Resource]:
    """The resources of one APIGroupDiscoveryList; of each group the preferred version comes first."""
    return [
        _resource(group.get("metadata", {}).get("name", ""), version["version"], resource)
        for group in body.get("items") or []
        for version in group.get("versions") or []
        for resource in version.get("resources") or []
    ]


def _resource(group: str, version: str, found: Obj) -> Resource:
    return Resource(
        group=group,
        version=version,
        kind=found.get("responseKind", {}).get("kind", ""),
        plural=found["resource"],
        singular=found.get("singularResource", ""),
        namespaced=found.get("scope") == "Namespaced",
        short_names=tuple(found.get("shortNames") or ()),
        categories=tuple(found.get("categories") or ()),
        verbs=tuple(found.get("verbs") or ()),
    )


def find(resources: Iterable[Resource], word: str) -> Resource | None:
    """The resource that a person means by a plural, singular, kind or short name, `plural.group` or `plural.version.group`."""
    wanted = word.lower()
    for resource in resources:
        names = {resource.plural, resource.singular, resource.kind.lower(), *resource.short_names}
        full = {f"{n}.{resource.group}" for n in names} | {f"{n}.{resource.version}.{resource.group}" for n in names}
        if wanted in names or wanted in full:
            return resource
    return None


def of_kind(resources: Iterable[Resource], api_version: str, kind: str) -> Resource | None:
    """The resource that serves objects of this apiVersion and kind."""
    return next((r for r in resources if r.api_version == api_version and r.kind == kind), None)
