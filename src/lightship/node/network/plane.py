"""Keeps the kernel's packet rules as the cluster's objects say: services, node and host ports, network policies.

`main` runs one for the whole pod network. Informers say which objects changed; only their parts are made again, and only what differs is
told the kernel, in one batch. Nothing happens while nothing changes. What a part looks like is decided in `services`, `podrules` and
`policies`; a kernel without packet rules is found out by `open_plane`.
"""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Iterator
from typing import NamedTuple

from lightship.client.informer import Informer
from lightship.meta import objects
from lightship.meta.objects import Key, Obj

from . import backends, base, podrules, services
from .backends import Node
from .netfilter import Netfilter
from .policies import Book
from .tables import Part, Table

log = logging.getLogger(__name__)
SLICES = "node/service-of-slice"
_UDP = 17


class Sources(NamedTuple):
    """Informers of what the rules are made of."""

    services: Informer
    slices: Informer
    pods: Informer
    nodes: Informer
    namespaces: Informer
    policies: Informer


Open = Callable[[str], Awaitable[Netfilter]]
"""(node, or nothing for the cluster's namespace) → its rules. Raises `OSError`."""


class Kernel(NamedTuple):
    """What the kernel of this machine can do for the pod network."""

    rules: Netfilter | None = None
    relayed: bool = False
    """Whether it can bring every connection to the world to the relay."""
    reason: str = ""
    """Why it has no rules, if it has none."""


async def open_kernel(open_rules: Open) -> Kernel:
    """Try what the rules are made of."""
    try:
        rules = await open_rules("")
    except OSError as error:
        return Kernel(reason=f"no packet rules: {error.strerror or error}")
    try:
        table = Table()
        table.put("base", base.cluster())
        rules.apply(table.everything())
    except OSError as error:
        rules.close()
        return Kernel(reason=f"the kernel refuses packet rules: {error.strerror or error}")
    try:
        table.put("world", base.world())
        rules.apply(table.changes())
    except OSError:
        return Kernel(rules)
    return Kernel(rules, relayed=True)


class Plane:
    """The rules of the cluster's namespace, and of those of its nodes."""

    def __init__(self, sources: Sources, cluster: Netfilter, open_node: Open, *, relayed: bool) -> None:
        """`relayed`: whether the kernel can bring every connection to the world to the relay."""
        self._sources = sources
        self._cluster = cluster
        self._open_node = open_node
        self._table = Table()
        self._table.put("base", base.cluster())
        if relayed:
            self._table.put("world", base.world())
        self._homes: dict[str, tuple[Netfilter, Table]] = {}
        self._nodes: dict[str, Node] = {}
        self._plans: dict[Key, services.Plan] = {}
        self._book = Book()
        self._dirty: dict[tuple[str, Key], None] = {}
        self._wake = asyncio.Event()
        self._settled = False
        self._broken = False
        sources.slices.add_index(SLICES, backends.service_of)

    @property
    def settled(self) -> bool:
        """Whether the kernel knows everything that the informers have said so far."""
        return self._settled and not self._dirty

    async def run(self) -> None:
        """Keep the rules until cancelled; closes the sockets."""
        try:
            for informer in self._sources:
                await informer.wait_synced()
            self._listen()
            await self._prepare()
            self._cluster.apply(self._table.everything())
            self._apply_at_home()
            while True:
                self._settled = True
                await self._wake.wait()
                self._wake.clear()
                self._settled = False
                await self._step()
        finally:
            self._cluster.close()
            for home, _ in self._homes.values():
                home.close()

    def _listen(self) -> None:
        for kind, informer in zip(Sources._fields, self._sources, strict=True):
            if kind != "slices":
                informer.on_change(lambda key, old, new, kind=kind: self._changed(kind, key))  # type: ignore[misc]  # bound by default
        self._sources.slices.on_change(self._slice_changed)

    def _changed(self, kind: str, key: Key) -> None:
        self._dirty[kind, key] = None
        self._wake.set()

    def _slice_changed(self, key: Key, old: Obj | None, new: Obj | None) -> None:
        for piece in (old, new):
            for name in backends.service_of(piece) if piece is not None else ():
                self._changed("services", Key(*name.split("/")))

    async def _step(self) -> None:
        stale = await self._prepare()
        try:
            self._cluster.apply(self._table.everything() if self._broken else self._table.changes())
            self._broken = False
        except OSError as error:
            self._make_anew(error)
        self._apply_at_home()
        self._forget(stale)

    def _make_anew(self, error: OSError) -> None:
        """The kernel knows something else than we think: all of it is told again, at the next change once more if need be."""
        log.warning("packet rules are made anew, for a change was refused: %s", error)
        try:
            self._cluster.apply(self._table.everything())
            self._broken = False
        except OSError as again:
            self._broken = True
            log.error("packet rules are not what they should be: %s", again)

    def _apply_at_home(self) -> None:
        for name, (home, table) in list(self._homes.items()):
            try:
                home.apply(table.changes())
            except OSError as error:
                log.warning("host ports of a node are lost to itself node=%s: %s", name, error)
                home.close()
                del self._homes[name]

    async def _prepare(self) -> dict[Key, services.Plan]:
        """Make parts again that may have changed; the former plans of services that did."""
        dirty, self._dirty = list(self._dirty), {}
        by_kind: dict[str, list[Key]] = {}
        for kind, key in dirty:
            by_kind.setdefault(kind, []).append(key)
        touched = dict.fromkeys(by_kind.get("services", ()))
        if any([await self._node(key) for key in by_kind.get("nodes", ())]):
            touched |= dict.fromkeys(self._sources.services.keys())
            by_kind["pods"] = self._sources.pods.keys()
        self._judge(by_kind)
        stale = {}
        for key in touched:
            stale[key] = self._plans.get(key, services.Plan())
            self._service(key)
        for key in by_kind.get("pods", ()):
            self._pod(key)
        return stale

    def _service(self, key: Key) -> None:
        service = self._sources.services.get(key)
        if service is None:
            self._plans.pop(key, None)
            self._table.drop(f"service {key}")
            return
        slices = self._sources.slices.by_index(SLICES, backends.index_of(key))
        with _understood("service", key):
            plan = self._plans[key] = services.plan(service, slices, list(self._nodes.values()))
            self._table.put(f"service {key}", plan.part)

    def _pod(self, key: Key) -> None:
        pod = self._sources.pods.get(key)
        node = self._nodes.get(objects.spec(pod).get("nodeName") or "") if pod is not None else None
        with _understood("pod", key):
            self._table.put(f"pod {key}", podrules.pod(pod, node) if pod is not None else Part())
            for name, (_, table) in self._homes.items():
                mine = pod is not None and node is not None and node.name == name
                table.put(f"pod {key}", podrules.pod_at_home(pod, node) if mine and pod is not None and node is not None else Part())

    async def _node(self, key: Key) -> bool:
        """Whether a node came, went or moved."""
        found = self._sources.nodes.get(key)
        node = backends.node_of(found) if found is not None else None
        if node == self._nodes.get(key.name):
            return False
        self._table.put(f"node {key.name}", podrules.node(node) if node is not None else Part())
        home, _ = self._homes.pop(key.name, (None, None))
        if home is not None:
            home.close()
        if node is None:
            del self._nodes[key.name]
            return True
        self._nodes[key.name] = node
        with contextlib.suppress(OSError):  # a node of another machine: its own network is not here
            home, table = await self._open_node(key.name), Table()
            table.put("base", base.node(node.address))
            home.apply(table.everything())
            self._homes[key.name] = home, table
        return True

    def _judge(self, by_kind: dict[str, list[Key]]) -> None:
        """Tell the book of policies what changed, and take its parts."""
        sources = self._sources
        for key in by_kind.get("policies", ()):
            with _understood("network policy", key):
                self._book.policy(key, sources.policies.get(key))
        for key in by_kind.get("namespaces", ()):
            self._book.namespace(key.name, sources.namespaces.get(key))
        for key in by_kind.get("pods", ()):
            with _understood("pod", key):
                self._book.pod(key, sources.pods.get(key))
        for owner, part in self._book.changes():
            self._table.put(owner, part)

    def _forget(self, stale: dict[Key, services.Plan]) -> None:
        """Conversations and memories that lead to where they should not any more."""
        with contextlib.suppress(OSError):
            self._forget_flows(stale)
            for key, old in stale.items():
                new = self._plans.get(key, services.Plan())
                for name, targets in new.loyalties.items():
                    if old.loyalties.get(name, frozenset()) - targets:
                        wrong = [element for element, value in self._cluster.elements(name) if value not in targets]
                        self._cluster.remove(name, wrong)

    def _forget_flows(self, stale: dict[Key, services.Plan]) -> None:
        now = {place: some for key in stale for place, some in self._plans.get(key, services.Plan()).datagrams.items()}
        places = {place: now.get(place, frozenset()) for key in stale for place in stale[key].datagrams} | now
        before = {place: some for key in stale for place, some in stale[key].datagrams.items()}
        changed = {place for place, some in places.items() if before.get(place, frozenset()) != some}
        if not changed:
            return
        wrong = [
            flow
            for flow in self._cluster.flows()
            if flow.protocol == _UDP
            and (flow.destination, flow.port) in changed
            and (flow.answering, flow.answering_port) not in places[flow.destination, flow.port]
        ]
        self._cluster.forget(wrong)


@contextlib.contextmanager
def _understood(kind: str, key: Key) -> Iterator[None]:
    """An object that makes no sense (the API lets none in) costs its own rules and nobody else's: they stay as they were."""
    try:
        yield
    except (ValueError, KeyError, TypeError, OSError):
        log.exception("no packet rules can be made for a %s name=%s", kind, key)
