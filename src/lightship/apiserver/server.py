"""The server's own wiring: store, catalogue of resources, admission and registry, put together for the fronts.

`main` builds a `Server`, hands it the resources of every capability, and opens fronts on it: `local(user)` in-process, `http.serve` on a
socket. Knows no transport and no capability.
"""

import random as randomness
from collections.abc import Callable, Iterable, Sequence

from lightship.aio.clock import Clock
from lightship.apiserver.registry import Registry
from lightship.apiserver.requests import TokenIssuer
from lightship.meta.admission import Admission
from lightship.meta.resources import Resource
from lightship.meta.rest import NodeConnection, Transport, User
from lightship.store import Store


def _no_node(name: str) -> NodeConnection | None:
    return None


class Server:
    """One API server on one store.

    `resources` is the `catalogue.Catalogue`: `.find(group, version, plural) -> Resource | None`, iteration over all served resources, and
    `.generation`, a number that changes whenever the set does (what discovery caches by).
    """

    def __init__(
        self,
        store: Store,
        resources: Iterable[Resource],
        *,
        admission: Sequence[Admission] = (),
        clock: Clock,
        random: randomness.Random,
        nodes: Callable[[str], NodeConnection | None] = _no_node,
        tokens: TokenIssuer | None = None,
    ) -> None:
        self.registry: Registry

    async def start(self) -> None:
        """Create what every cluster has (namespaces, CRD objects) and serve the CRDs found in the store. `local` does it by itself."""

    def local(self, user: User) -> Transport: ...

    def add_admission(self, admission: Admission) -> None: ...

    def add_resources(self, resources: Iterable[Resource]) -> None: ...
