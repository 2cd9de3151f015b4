"""Connections and datagrams carried on by this process: it listens at places and sends what comes to one of their targets.

`main` runs it for service addresses where the kernel has no packet rules (`cluster_places`), and everywhere for the ports that the host
itself shows (`doors`). Node ports inside the network, topology and policies need the kernel. Pods see the node as their client, so
`sessionAffinity` is kept here. A place without targets has no listener: it refuses.
"""

import asyncio
import contextlib
import logging
import socket
from collections.abc import Callable, Sequence
from random import Random
from typing import NamedTuple, Protocol

from lightship.client.informer import Informer
from lightship.meta import objects
from lightship.meta.objects import Key, Obj

from . import backends, datagrams, relay, services
from .datagrams import Address
from .plane import SLICES, Sources

log = logging.getLogger(__name__)
_IDLE_SECONDS = 60.0
"""A conversation of datagrams that is silent for so long is over."""
_MOST = 4096
"""Conversations of one place at a time; the oldest gives way."""


class Sockets(Protocol):
    """What is needed of a runtime."""

    async def listen(self, address: str, port: int, *, datagram: bool = False) -> socket.socket: ...

    async def open_socket(self, *, datagram: bool = False) -> socket.socket: ...


class Place(NamedTuple):
    """Where it listens."""

    address: str
    port: int
    datagram: bool


class Targets(NamedTuple):
    """Where a place leads; `loyal`: a client always to the same one."""

    found: tuple[Address, ...]
    loyal: bool = False


Places = Callable[[], dict[Place, Targets]]


class Proxy:
    """Serves places as long as they have targets."""

    def __init__(self, informers: Sequence[Informer], places: Places, sockets: Sockets, random: Random) -> None:
        """`places` is asked again after every change of what the informers hold."""
        self._informers = informers
        self._places = places
        self._sockets = sockets
        self._random = random
        self._targets: dict[Place, Targets] = {}
        self._running: dict[Place, asyncio.Task[None]] = {}
        self._loyalties: dict[tuple[Place, str], Address] = {}
        self._refused: set[Place] = set()
        """Of those that could not be had: said once."""
        self._wake = asyncio.Event()
        self._settled = False

    @property
    def settled(self) -> bool:
        """Whether everything is served that the informers have told of so far."""
        return self._settled and not self._wake.is_set()

    async def run(self) -> None:
        """Serve until cancelled."""
        for informer in self._informers:
            await informer.wait_synced()
            informer.on_change(self._changed)
        async with asyncio.TaskGroup() as group:
            while True:
                self._wake.clear()
                await self._settle(group)
                self._settled = True
                await self._wake.wait()
                self._settled = False

    def _changed(self, key: Key, old: Obj | None, new: Obj | None) -> None:
        self._wake.set()

    async def _settle(self, group: asyncio.TaskGroup) -> None:
        wanted = self._targets = {place: targets for place, targets in self._places().items() if targets.found}
        for place in self._running.keys() - wanted.keys():
            self._running.pop(place).cancel()
        self._refused &= wanted.keys()
        for place in wanted.keys() - self._running.keys():
            try:
                sock = await self._sockets.listen(place.address, place.port, datagram=place.datagram)
            except OSError as error:
                if place in self._refused:
                    continue
                self._refused.add(place)
                log.warning("a port of a service cannot be had address=%s port=%d: %s", place.address, place.port, error)
                continue
            self._refused.discard(place)
            serve = self._datagrams(place, sock) if place.datagram else self._streams(place, sock)
            self._running[place] = group.create_task(serve, name=f"service {place}")

    def _choose(self, place: Place, client: str) -> Address:
        """Raises `ConnectionRefusedError` when nobody is left."""
        targets = self._targets.get(place)
        if targets is None:
            raise ConnectionRefusedError(f"nobody serves {place.address}:{place.port}")
        before = self._loyalties.get((place, client))
        if targets.loyal and before in targets.found and before is not None:
            return before
        chosen = self._random.choice(targets.found)
        if targets.loyal:
            self._loyalties[place, client] = chosen
        return chosen

    async def _streams(self, place: Place, listener: socket.socket) -> None:
        async def dial(_: Address, client: Address) -> socket.socket:
            return await self._connected(self._choose(place, client[0]), datagram=False)

        await relay.serve([listener], None, dial=dial)

    async def _connected(self, target: Address, *, datagram: bool) -> socket.socket:
        sock = await self._sockets.open_socket(datagram=datagram)
        try:
            await asyncio.get_running_loop().sock_connect(sock, target)
        except BaseException:
            sock.close()
            raise
        return sock

    async def _datagrams(self, place: Place, sock: socket.socket) -> None:
        with sock:
            async with asyncio.TaskGroup() as group:
                talks: dict[Address, _Talk] = {}
                while True:
                    data, client = await datagrams.receive(sock)
                    talk = talks.get(client)
                    if talk is None or talk.over or talk.target not in self._targets.get(place, Targets(())).found:
                        with contextlib.suppress(OSError):
                            target = self._choose(place, client[0])
                            talk = _Talk(await self._connected(target, datagram=True), target, sock, client)
                            _add(talks, client, talk, group)
                    if talk is not None:
                        talk.send(data)


def cluster_places(sources: Sources) -> Places:
    """The addresses of all services in the pod network, and where they lead."""
    sources.slices.add_index(SLICES, backends.service_of)

    def places() -> dict[Place, Targets]:
        found: dict[Place, Targets] = {}
        for service in sources.services.list():
            spec = objects.spec(service)
            if spec.get("type") == "ExternalName" or not services.is_virtual(spec.get("clusterIP")):
                continue
            addresses = [a for a in (spec["clusterIP"], *(spec.get("externalIPs") or ())) if ":" not in a]
            for entry in spec.get("ports") or ():
                if entry.get("protocol") != "SCTP" and not services.is_api(service, entry):
                    targets = targets_of(sources, service, entry)
                    found |= {Place(address, entry["port"], entry.get("protocol") == "UDP"): targets for address in addresses}
        return found

    return places


def targets_of(sources: Sources, service: Obj, entry: Obj) -> Targets:
    """The endpoints of one port of a service."""
    slices = sources.slices.by_index(SLICES, backends.index_of(objects.key(service)))
    ends = tuple((e.address, e.port) for e in backends.usable(backends.endpoints(entry, slices)))
    return Targets(ends, objects.spec(service).get("sessionAffinity") == "ClientIP")


def _add(talks: dict[Address, "_Talk"], client: Address, talk: "_Talk", group: asyncio.TaskGroup) -> None:
    former = talks.pop(client, None)
    if former is not None:
        former.end()
    if len(talks) >= _MOST:
        talks.pop(next(iter(talks))).end()
    talks[client] = talk
    talk.task = group.create_task(talk.answers())


class _Talk:
    """What one client says to one endpoint."""

    def __init__(self, sock: socket.socket, target: Address, front: socket.socket, client: Address) -> None:
        self.target = target
        self.task: asyncio.Task[None] | None = None
        self._sock = sock
        self._front = front
        self._client = client

    @property
    def over(self) -> bool:
        return self.task is None or self.task.done()

    def send(self, data: bytes) -> None:
        with contextlib.suppress(OSError):
            self._sock.send(data)

    def end(self) -> None:
        if self.task is not None:
            self.task.cancel()

    async def answers(self) -> None:
        """Until there are none for long."""
        loop = asyncio.get_running_loop()
        with self._sock, contextlib.suppress(OSError, TimeoutError):
            while True:
                async with asyncio.timeout(_IDLE_SECONDS):
                    answer = await loop.sock_recv(self._sock, datagrams.LONGEST)
                datagrams.send(self._front, answer, self._client)
