"""A pod network with rules, for stories in `tiers`: informers that only pretend, and programs in pods that talk to each other."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from random import Random
from typing import Any, Protocol

from lightship.client.informer import IndexFunction
from lightship.meta import objects
from lightship.meta.objects import Key, Obj
from lightship.node.network import plane
from lightship.node.network.netfilter import Netfilter
from lightship.node.network.plane import Plane, Sources
from lightship.node.network.proxy import Proxy, cluster_places

from .contract import World, until
from .tiers import PYTHON

SERVE = """
import socket, sys, threading
name, port = sys.argv[1], int(sys.argv[2])
udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); udp.bind(("0.0.0.0", port))
tcp = socket.create_server(("0.0.0.0", port))
def datagrams():
    while True:
        _, peer = udp.recvfrom(100); udp.sendto(f"{name} {peer[0]}".encode(), peer)
threading.Thread(target=datagrams, daemon=True).start()
print("up", flush=True)
while True:
    c, peer = tcp.accept(); c.sendall(f"{name} {peer[0]}".encode()); c.close()
"""
ASK = """
import socket, sys
kind, times, *places = sys.argv[1:]
def one(kind, host, port):
    if kind == "tcp":
        with socket.create_connection((host, port), 1.5) as c:
            return c.makefile().read() or "closed"
    if kind == "ping":
        s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM, socket.IPPROTO_ICMP); s.settimeout(1.5)
        s.sendto(bytes([8, 0, 0, 0, 0, 0, 0, 1]), (host, 0)); return "pong" if s.recv(100)[0] == 0 else "nonsense"
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.settimeout(1.5); s.connect((host, port)); s.send(b"?")
    return s.recv(100).decode()
for place in places:
    host, port = place.split(":")
    for _ in range(int(times)):
        try:
            print(one(kind, host, int(port)))
        except ConnectionRefusedError:
            print("refused")
        except (TimeoutError, ConnectionResetError) as error:
            print("silence" if isinstance(error, TimeoutError) else "reset")
"""


class Shelf:
    """What `Plane` needs of an informer."""

    def __init__(self) -> None:
        self._objects: dict[Key, Obj] = {}
        self._indexes: dict[str, IndexFunction] = {}
        self._callbacks: list[Callable[[Key, Obj | None, Obj | None], None]] = []

    def put(self, obj: Obj, *, gone: bool = False) -> None:
        key, old = objects.key(obj), self._objects.get(objects.key(obj))
        self._objects[key] = obj
        if gone:
            del self._objects[key]
        for callback in self._callbacks:
            callback(key, old, None if gone else obj)

    def get(self, key: Key) -> Obj | None:
        return self._objects.get(key)

    def keys(self, namespace: str = "") -> list[Key]:
        return list(self._objects)

    def by_index(self, name: str, value: str) -> list[Obj]:
        return [obj for obj in self._objects.values() if value in self._indexes[name](obj)]

    def list(self, namespace: str = "") -> list[Obj]:
        return [*self._objects.values()]

    def add_index(self, name: str, function: IndexFunction) -> None:
        self._indexes[name] = function

    def on_change(self, callback: Callable[[Key, Obj | None, Obj | None], None]) -> None:
        self._callbacks.append(callback)
        for key, obj in list(self._objects.items()):
            callback(key, None, obj)

    async def wait_synced(self) -> None:
        pass


class Settling(Protocol):
    """Who follows what is put."""

    @property
    def settled(self) -> bool: ...

    async def run(self) -> None: ...


class Crossing:
    """Pods, services and policies on one runtime."""

    def __init__(self, world: World, rules: Settling, shelves: dict[str, Shelf]) -> None:
        self.world = world
        self.rules = rules
        self.shelves = shelves

    async def put(self, kind: str, obj: Obj, *, gone: bool = False) -> None:
        """An object is there, and the kernel knows."""
        self.shelves[kind].put(obj, gone=gone)
        await until(lambda: self.rules.settled)

    async def pod(self, name: str, *ports: Obj, node: str = "n1", labels: Obj | None = None, host_network: bool = False) -> str:
        address = await self.world.pod(name, node=node, host_network=host_network)
        spec = {"nodeName": node, "hostNetwork": host_network, "containers": [{"name": "c", "ports": list(ports)}]}
        metadata = {"name": name, "namespace": "ns", "labels": labels or {}}
        await self.put("pods", {"metadata": metadata, "spec": spec, "status": {"podIP": address, "phase": "Running"}})
        return address

    async def serve(self, name: str, *ports: int) -> None:
        """The pod tells everybody its name."""
        for port in ports or (8080,):
            server = await self.world.start([PYTHON, "-I", "-S", "-u", "-c", SERVE, name, str(port)], pod=name, name=f"s{port}")
            await self.world.line(server, "up")

    async def ask(self, pod: str, *places: str, kind: str = "tcp", times: int = 1) -> list[str]:
        """What is heard at those places."""
        client = await self.world.start([PYTHON, "-I", "-S", "-u", "-c", ASK, kind, str(times), *places], pod=pod, name="ask")
        end = await self.world.exit(client)
        assert end.code == 0, self.world.log(client)
        return self.world.log(client).splitlines()

    async def service(self, name: str, address: str, *endpoints: str, port: int = 80, target: int = 8080, **spec: Any) -> None:
        """A service for both protocols, and its endpoints."""
        ports = [{"name": p.lower(), "port": port, "protocol": p, **spec.pop(p, {})} for p in ("TCP", "UDP")]
        metadata = {"name": name, "namespace": "ns"}
        self.shelves["services"].put({"metadata": metadata, "spec": {"clusterIP": address, "ports": ports, **spec}})
        listed = [{"addresses": [e], "nodeName": "n1", "conditions": {"ready": True}} for e in endpoints]
        piece = {
            "metadata": {"name": name, "namespace": "ns", "labels": {"kubernetes.io/service-name": name}},
            "addressType": "IPv4",
            "ports": [{"name": p.lower(), "port": target, "protocol": p} for p in ("TCP", "UDP")],
            "endpoints": listed,
        }
        await self.put("slices", piece)


@asynccontextmanager
async def crossing(world: World, *nodes: str, bare: bool = False) -> AsyncIterator[Crossing]:
    """Rules that follow what is put, in a runtime that has started; `bare`: the kernel has none."""

    async def open_rules(node: str) -> Netfilter:
        return Netfilter(await world.runtime.netfilter(node))

    shelves = {name: Shelf() for name in Sources._fields}
    for node in nodes or ("n1",):
        address = {"type": "InternalIP", "address": await world.runtime.node_address(node)}
        shelves["nodes"].put({"metadata": {"name": node}, "status": {"addresses": [address]}})
    sources: Any = Sources(**shelves)  # type: ignore[arg-type]  # they are enough of an informer
    if bare:
        rules: Settling = Proxy((sources.services, sources.slices), cluster_places(sources), world.runtime, Random(1))
    else:
        kernel = await plane.open_kernel(open_rules)
        assert kernel.rules is not None, kernel.reason
        assert kernel.relayed
        rules = Plane(sources, kernel.rules, open_rules, relayed=True)
    running = asyncio.create_task(rules.run())
    try:
        await until(lambda: rules.settled or running.done())
        yield Crossing(world, rules, shelves)
    finally:
        running.cancel()
        await asyncio.wait([running])
        if not running.cancelled():
            running.result()
