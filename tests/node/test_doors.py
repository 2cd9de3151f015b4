"""Ports that the host shows and health checks of load balancers: what they lead to, and what they say."""

import asyncio
import socket
from collections.abc import Iterator
from random import Random
from typing import Any

import pytest

from lightship.meta.objects import Key, Obj
from lightship.node.network import doors, facts, health
from lightship.node.network.health import Health, Local
from lightship.node.network.plane import Sources
from lightship.node.network.proxy import Place, Proxy, Targets

from . import tiers
from .contract import World, until
from .crossing import Shelf, crossing
from .tiers import PYTHON, Tier

WEB = "10.96.3.4"


def shelves() -> tuple[dict[str, Shelf], Any]:
    found = {name: Shelf() for name in Sources._fields}
    return found, Sources(**found)  # type: ignore[arg-type]  # they are enough of an informer


def service(**spec: Any) -> Obj:
    ports = [{"name": "tcp", "port": 80, "nodePort": 30080}, {"name": "udp", "port": 80, "protocol": "UDP", "nodePort": 30081}]
    return {"metadata": {"name": "web", "namespace": "ns"}, "spec": {"clusterIP": WEB, "ports": ports, **spec}}


def piece(*endpoints: Obj) -> Obj:
    ports = [{"name": p.lower(), "port": 8080, "protocol": p} for p in ("TCP", "UDP")]
    metadata = {"name": "web", "namespace": "ns", "labels": {"kubernetes.io/service-name": "web"}}
    return {"metadata": metadata, "addressType": "IPv4", "ports": ports, "endpoints": list(endpoints)}


def endpoint(address: str, node: str = "n1", **conditions: bool) -> Obj:
    return {"addresses": [address], "nodeName": node, "conditions": conditions}


def pod(name: str, address: str, **port: Any) -> Obj:
    spec = {"containers": [{"name": "c", "ports": [{"containerPort": 8080, "hostPort": 9000, **port}]}]}
    return {"metadata": {"name": name, "namespace": "ns"}, "spec": spec, "status": {"podIP": address, "phase": "Running"}}


def test_the_host_shows_node_ports_and_host_ports() -> None:
    found, sources = shelves()
    places = doors.host_places(sources)
    assert places() == {}
    found["services"].put(service())
    found["slices"].put(piece(endpoint("10.244.0.2"), endpoint("10.244.0.3")))
    for made in (
        pod("b", "10.244.0.5"),
        pod("a", "10.244.0.4"),
        pod("c", "10.244.0.6", hostIP="10.95.0.1"),
        pod("d", "10.244.0.7", protocol="UDP"),
    ):
        found["pods"].put(made)
    both = Targets((("10.244.0.2", 8080), ("10.244.0.3", 8080)))
    assert places() == {
        Place("127.0.0.1", 30080, datagram=False): both,
        Place("127.0.0.1", 30081, datagram=True): both,
        Place("127.0.0.1", 9000, datagram=False): Targets((("10.244.0.4", 8080),)),
        Place("127.0.0.1", 9000, datagram=True): Targets((("10.244.0.7", 8080),)),
    }


def test_a_port_of_others_is_left_to_them(caplog: pytest.LogCaptureFixture) -> None:
    found, sources = shelves()

    class Inside:
        async def listen(self, address: str, port: int, *, datagram: bool = False) -> socket.socket:
            raise AssertionError("nobody listens inside")

        async def open_socket(self, *, datagram: bool = False) -> socket.socket:
            raise AssertionError("nobody connects")

    async def main() -> None:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
            found["pods"].put(pod("a", "10.244.0.4", hostPort=port))
            proxy = Proxy((sources.pods,), doors.host_places(sources), doors.HostSockets(Inside()), Random(1))
            running = asyncio.create_task(proxy.run())
            await until(lambda: proxy.settled)
            found["pods"].put(pod("b", "10.244.0.5", hostPort=port))
            await until(lambda: proxy.settled)
            running.cancel()
            await asyncio.wait([running])

    asyncio.run(main())
    assert [record.getMessage().split(" address")[0] for record in caplog.records] == ["a port of a service cannot be had"]


def test_load_balancers_hear_how_many_are_on_a_node() -> None:
    found, sources = shelves()
    checks = Health(sources)
    for number in (1, 2):
        address = {"type": "InternalIP", "address": f"10.95.0.{number}"}
        found["nodes"].put({"metadata": {"name": f"n{number}"}, "status": {"addresses": [address]}})
    found["services"].put(service(healthCheckNodePort=30123))
    found["slices"].put(piece(endpoint("10.244.0.2"), endpoint("10.244.0.3", ready=False, serving=True, terminating=True)))
    assert checks.look("10.95.0.1", 30123) == checks.look(facts.shadow("10.95.0.1"), 30123) == Local(Key("ns", "web"), 1)
    assert checks.look("10.95.0.2", 30123) == Local(Key("ns", "web"), 0)
    assert checks.look("10.95.0.1", 1) is checks.look("10.95.0.9", 30123) is None
    head, body = health.response(Local(Key("ns", "web"), 0)).split(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 503 ")
    assert b"X-Load-Balancing-Endpoint-Weight: 0" in head
    assert b'"localEndpoints": 0' in body
    assert health.response(None).startswith(b"HTTP/1.1 404 ")


@pytest.fixture(params=["root", "rootless"])
def tier(request: pytest.FixtureRequest) -> Iterator[Tier]:
    with tiers.tier(request.param) as found:
        yield found


GET = "import sys, urllib.request as r; print(r.urlopen(sys.argv[1], timeout=3).read().decode().split())"


@pytest.mark.slow
def test_from_the_host_and_from_load_balancers(tier: Tier) -> None:
    async def story(w: World) -> None:
        async with crossing(w) as c:
            a = await c.pod("a")
            await c.serve("a")
            await c.service("web", WEB, a, TCP={"nodePort": 30080}, healthCheckNodePort=30123)
            sources: Any = Sources(**c.shelves)  # type: ignore[arg-type]
            places, sockets = doors.host_places(sources), doors.HostSockets(w.runtime)
            with socket.create_server(("127.0.0.1", 0)) as free:
                port = free.getsockname()[1]
            moved = Proxy((), lambda: {place._replace(port=port): to for place, to in places().items()}, sockets, Random(1))
            checks = await w.runtime.listen(facts.GATEWAY, facts.HEALTH_PORT)
            tasks = [asyncio.create_task(moved.run()), asyncio.create_task(health.serve(checks, Health(sources)))]
            await until(lambda: moved.settled)
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            assert await reader.read() == f"a {facts.GATEWAY}".encode()
            writer.close()
            node = await w.runtime.node_address("n1")
            _, text = await w.run([PYTHON, "-I", "-c", GET, f"http://{node}:30123/"], pod="a", name="get")
            assert "'\"localEndpoints\":', '1,'" in text
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)

    tier.drive(story)
