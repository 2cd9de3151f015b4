"""The server's own wiring: store, catalogue of resources, admission and registry, put together for the fronts.

`main` builds a `Server`, hands it the resources of every capability, and opens fronts on it: `local(user)` in-process, `http.serve` on a
socket. Knows no transport and no capability.
"""

import asyncio
import random as randomness
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path

from lightship import kinds
from lightship.aio.clock import Clock
from lightship.meta.admission import Admission
from lightship.meta.resources import Resource
from lightship.meta.rest import NodeConnection, Transport, User
from lightship.store import Store

from . import admission as admissions
from . import asking
from .access.authn import Authenticator, StaticTokens
from .access.authz import Authorizer
from .access.nodes.authorizer import NodeAuthorizer
from .access.nodes.graph import Graph
from .access.rbac import escalation
from .access.rbac.authorizer import RoleAuthorizer
from .access.rbac.index import Index
from .bootstrap.objects import bootstrap
from .bootstrap.roles import node_rules
from .catalogue import Catalogue
from .core import Core
from .definitions.serving import Definitions
from .fairness import Gate
from .local import LocalTransport
from .media.queries import Query
from .proxying import nodes as node_servers
from .proxying.aggregation import Aggregation
from .proxying.places import proxy
from .registry import Registry
from .requests import Request, TokenIssuer
from .service_addresses import from_store
from .streams.connect import connect
from .transport.exchange import HttpRequest, Reply, Stream, Switch
from .transport.outbound import Dial, Outbound, Resolve


def _no_node(name: str) -> NodeConnection | None:
    return None


class Server:
    """One API server on one store.

    `resources` is the `catalogue.Catalogue`: `.find(group, version, plural) -> Resource | None`, iteration over all served resources, and
    `.generation`, a number that changes whenever the set does (what discovery caches by). `registry` has the operations.
    `authorizer` None goes by the roles and bindings in the store; `authenticator` is whom reviews of tokens from within ask.
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
        proxy_certificate: tuple[Path, Path] | None = None,
        resolve: Resolve | None = None,
        dial: Dial | None = None,
        authorizer: Authorizer | None = None,
        authenticator: Authenticator | None = None,
        bookmark_every: float = 60.0,
    ) -> None:
        self.store = store
        self.clock = clock
        roles = Index(store)
        self.authorizer: Authorizer = authorizer or RoleAuthorizer(roles, NodeAuthorizer(Graph(store), node_rules))
        self.resources = Catalogue(kinds.definitions)
        outbound = Outbound(resolve or from_store(store), dial)
        self._core = Core(
            *(store, self.resources, clock, random, nodes, outbound),
            *(self.authorizer, authenticator or StaticTokens({}), tokens, bookmark_every),
        )
        self.registry = Registry(self._core)
        self.gate = Gate(store)
        """Seats for requests, shared by all fronts."""
        self._definitions = Definitions(self._core)
        self.resources.add(resources, stored_since=store.revision)
        self.resources.admit(admissions.builtin(self._core), complete=True)
        self.resources.admit(self._definitions.admission(), complete=True)
        self.resources.admit(escalation.admission(roles, self.authorizer, self.resources), complete=True)
        self.resources.admit(admission)
        self.aggregation = Aggregation(self._core, resolve or from_store(store), dial, certificate=proxy_certificate or (None, None))
        """API groups of other servers; whoever runs this server runs `aggregation.run` beside it."""
        self._starting = asyncio.Lock()
        self._started = False

    async def start(self) -> None:
        """Create what every cluster has (namespaces, CRD objects) and serve the CRDs found in the store.

        Idempotent; a front waits for it before its first request.
        """
        if self._started:
            return
        async with self._starting:
            if not self._started:
                await bootstrap(self._core, self._definitions)
                self._started = True

    def close(self) -> None:
        """Let go of what the server itself keeps open: its connections to webhooks."""
        self._core.outbound.close()

    def local(self, user: User, manager: str = "") -> Transport:
        """An in-process transport for `user`; `manager` names the manager of the fields that it writes, in place of a user agent."""
        pods = self.resources.find("", "v1", "pods")
        fetch = partial(asking.fetch, self.aggregation, self.authorizer)
        return LocalTransport(self.registry, self.start, pods, self.authorizer, user, manager, fetch)

    async def connect(self, request: Request, http: HttpRequest, query: Query) -> Switch:
        """The conversation that a request for exec, attach or port-forward grows into. Raises `StatusError`."""
        return await connect(self._core, request, http, query)

    async def proxy(self, request: Request, http: HttpRequest, rest: str) -> Reply | Stream | Switch:
        """The answer of a node, pod or service behind `/proxy`. Raises `StatusError`."""
        if request.resource.plural == "nodes":
            return await node_servers.proxy(self._core, request, http, rest)
        return await proxy(self._core, request, http, rest)

    def add_admission(self, admission: Admission) -> None:
        """Append one more rule set; it runs after those that are there."""
        self.resources.admit([admission])

    def add_resources(self, resources: Iterable[Resource]) -> None:
        """Serve more kinds from now on. Their CRD objects are made at the next start, or by `start` when it has not run."""
        self.resources.add(resources, stored_since=self.store.revision)
