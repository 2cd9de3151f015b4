"""The pod network with real packets, as root and without: services, host ports, policies, the way to the world."""

import asyncio
import socket
from collections import Counter
from collections.abc import Iterator

import pytest

from lightship.node.network import facts, relay
from lightship.node.runtimes.runtime import Security

from . import tiers
from .contract import World, until
from .crossing import Crossing, crossing
from .tiers import Tier

pytestmark = pytest.mark.slow
WEB = "10.96.3.4"


@pytest.fixture(params=["root", "rootless"])
def tier(request: pytest.FixtureRequest) -> Iterator[Tier]:
    with tiers.tier(request.param) as found:
        yield found


async def two(c: Crossing) -> tuple[str, str]:
    """Two pods that answer at the same port of all their addresses."""
    addresses = await c.pod("a", node="n1"), await c.pod("b", node="n2" if len(c.shelves["nodes"].keys()) > 1 else "n1")
    await c.serve("a")
    await c.serve("b")
    return addresses


def test_pods_talk_in_every_way(tier: Tier) -> None:
    async def story(w: World) -> None:
        async with crossing(w) as c:
            a, b = await two(c)
            assert await c.ask("a", f"{b}:8080", f"{a}:8080") == [f"b {a}", f"a {a}"]
            assert await c.ask("b", f"{a}:8080", kind="udp") == [f"a {b}"]
            assert await c.ask("a", f"{b}:0", f"{facts.GATEWAY}:0", kind="ping") == ["pong", "pong"]
            assert await c.ask("a", f"{b}:1", "10.244.200.200:1") == ["refused", "refused"]

    tier.drive(story)


def test_services_spread_and_keep_the_clients_address(tier: Tier) -> None:
    async def story(w: World) -> None:
        async with crossing(w) as c:
            a, b = await two(c)
            client = await c.pod("client")
            await c.service("web", WEB, a, b)
            for kind in ("tcp", "udp"):
                heard = Counter(await c.ask("client", f"{WEB}:80", kind=kind, times=40))
                assert set(heard) == {f"a {client}", f"b {client}"}
            assert {line.split()[0] for line in await c.ask("a", f"{WEB}:80", times=20)} == {"a", "b"}, "also itself"
            await c.service("web", WEB, b)
            assert set(await c.ask("client", f"{WEB}:80", times=10)) == {f"b {client}"}
            await c.service("web", WEB)
            assert await c.ask("client", f"{WEB}:80", f"{WEB}:81") == ["refused", "refused"], "at once, for nobody is there"
            assert await c.ask("client", f"{WEB}:80", kind="udp") == ["refused"]

    tier.drive(story)


def test_clients_stay_as_long_as_they_can(tier: Tier) -> None:
    async def story(w: World) -> None:
        async with crossing(w) as c:
            a, b = await two(c)
            await c.pod("client")
            await c.service("web", WEB, a, b, sessionAffinity="ClientIP")
            (first,) = set(await c.ask("client", f"{WEB}:80", times=20))
            left = {"a": b, "b": a}[first.split()[0]]
            await c.service("web", WEB, left, sessionAffinity="ClientIP")
            (second,) = set(await c.ask("client", f"{WEB}:80", times=5))
            assert second != first
            await c.service("web", WEB, a, b, sessionAffinity="ClientIP")
            assert set(await c.ask("client", f"{WEB}:80", times=20)) == {second}

    tier.drive(story)


TALK = """
import socket, sys
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.settimeout(0.2); s.bind(("0.0.0.0", 4444)); s.connect((sys.argv[1], 80))
last = ""
while True:
    try:
        s.send(b"?"); heard = s.recv(100).decode()
    except (TimeoutError, ConnectionRefusedError):
        continue
    if heard != last:
        print(heard, flush=True); last = heard
"""


def test_conversations_without_an_end_follow_the_service(tier: Tier) -> None:
    async def story(w: World) -> None:
        async with crossing(w) as c:
            a, b = await two(c)
            client = await c.pod("client")
            await c.service("web", WEB)
            talk = await w.start([tiers.PYTHON, "-I", "-S", "-u", "-c", TALK, WEB], pod="client", name="talk")
            want: list[str] = []
            for endpoint, name in ((a, "a"), (b, "b"), (a, "a")):
                await c.service("web", WEB, endpoint)
                want.append(f"{name} {client}")
                await until(lambda: w.log(talk).splitlines() == want)

    tier.drive(story)


def test_services_work_without_packet_rules(tier: Tier) -> None:
    async def story(w: World) -> None:
        async with crossing(w, bare=True) as c:
            a, b = await two(c)
            await c.pod("client")
            await c.service("web", WEB, a, b)
            for kind in ("tcp", "udp"):
                heard = set(await c.ask("client", f"{WEB}:80", kind=kind, times=40))
                assert heard == {f"a {facts.GATEWAY}", f"b {facts.GATEWAY}"}, "the node carries it on"
            await c.service("web", WEB, a, b, sessionAffinity="ClientIP")
            (first,) = set(await c.ask("client", f"{WEB}:80", times=20))
            await c.service("web", WEB, {"a": b, "b": a}[first.split()[0]], sessionAffinity="ClientIP")
            for kind in ("tcp", "udp"):
                assert first not in await c.ask("client", f"{WEB}:80", kind=kind, times=3)
            await c.service("web", WEB)
            assert await c.ask("client", f"{WEB}:80") == ["refused"]
            assert await c.ask("client", f"{WEB}:80", kind="udp") == ["refused"]

    tier.drive(story)


def test_nodes_have_addresses_ports_and_programs_of_their_own(tier: Tier) -> None:
    async def story(w: World) -> None:
        async with crossing(w, "n1", "n2") as c:
            one, other = [await w.runtime.node_address(name) for name in ("n1", "n2")]
            a, b = await two(c)
            await c.pod("on-loopback", {"hostPort": 9000, "hostIP": "127.0.0.1", "containerPort": 8080})
            await c.pod("on-node", {"hostPort": 9000, "hostIP": one, "containerPort": 8080})
            await c.serve("on-loopback")
            await c.serve("on-node")
            for name, node, want in (("h1", "n1", one), ("h2", "n2", other)):
                assert await c.pod(name, node=node, host_network=True) == want
                await c.serve(name, 29500)  # the same port on every node
            assert await c.ask("a", f"{one}:29500", f"{other}:29500") == [f"h1 {a}", f"h2 {a}"]
            assert await c.ask("h1", f"{a}:8080", f"{other}:29500") == [f"a {one}", f"h2 {one}"]
            assert [line.split()[0] for line in await c.ask("h1", "127.0.0.1:9000", f"{one}:9000")] == ["on-loopback", "on-node"]
            assert await c.ask("h2", "127.0.0.1:9000", f"{other}:9000") == ["refused", "refused"]
            assert await c.ask("a", f"{one}:9000", f"{other}:9000") == [f"on-node {a}", "refused"]
            await c.service("web", WEB, b, TCP={"nodePort": 30080})
            assert await c.ask("a", f"{one}:30080", f"{other}:30080", f"{WEB}:80") == [f"b {a}"] * 3
            assert await c.ask("h1", f"{one}:30080", f"{other}:30080", f"{WEB}:80") == [f"b {one}"] * 3

    tier.drive(story)


def test_what_makes_no_sense_costs_nobody_else(tier: Tier, caplog: pytest.LogCaptureFixture) -> None:
    async def story(w: World) -> None:
        async with crossing(w) as c:
            a = await c.pod("a")
            await c.serve("a")
            strange = {"type": "InternalIP", "address": "203.0.113.9"}
            await c.put("nodes", {"metadata": {"name": "elsewhere"}, "status": {"addresses": [strange]}})
            await c.service("broken", "10.96.9.9", "10.244.0.300")
            block = {"from": [{"ipBlock": {"cidr": "nonsense"}}]}
            await c.put("policies", {"metadata": {"name": "p", "namespace": "other"}, "spec": {"podSelector": {}, "ingress": [block]}})
            await c.service("web", WEB, a)
            assert await c.ask("a", f"{WEB}:80") == [f"a {facts.GATEWAY}"]

    tier.drive(story)


def test_policies_hold(tier: Tier) -> None:
    async def story(w: World) -> None:
        async with crossing(w) as c:
            a = await c.pod("a", labels={"app": "a"})
            client, other = await c.pod("client", labels={"app": "client"}), await c.pod("other")
            await c.pod("h", host_network=True)
            await c.serve("a")
            await c.service("web", WEB, a)
            allowed = {"from": [{"podSelector": {"matchLabels": {"app": "client"}}}], "ports": [{"port": 8080}]}
            policy = {
                "metadata": {"name": "p", "namespace": "ns"},
                "spec": {"podSelector": {"matchLabels": {"app": "a"}}, "policyTypes": ["Ingress"], "ingress": [allowed]},
            }
            await c.put("policies", policy)
            assert await c.ask("client", f"{a}:8080", f"{WEB}:80") == [f"a {client}"] * 2
            assert await c.ask("other", f"{a}:8080", f"{WEB}:80") == ["silence", "silence"]
            assert await c.ask("client", f"{a}:8080", kind="udp") == ["silence"]
            assert await c.ask("h", f"{a}:8080") == [f"a {await w.runtime.node_address('n1')}"]
            with await w.runtime.open_socket() as probe:
                await asyncio.get_running_loop().sock_connect(probe, (a, 8080))
            assert await c.ask("a", f"{WEB}:80") == [f"a {facts.GATEWAY}"], "nobody is kept from itself"
            await c.put("policies", policy, gone=True)
            assert await c.ask("other", f"{a}:8080") == [f"a {other}"]
            closed = {"podSelector": {"matchLabels": {"app": "client"}}, "policyTypes": ["Egress"]}
            await c.put("policies", {**policy, "spec": closed})
            assert await c.ask("client", f"{a}:8080", "93.184.216.34:443") == ["silence", "silence"]

    tier.drive(story)


LIE = """
import socket, struct, sys
source, target = map(socket.inet_aton, sys.argv[1:3])
s = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)
data = b"a lie from " + sys.argv[1].encode()
head = struct.pack(">BBHHHBBH4s4s", 0x45, 0, 28 + len(data), 7, 0, 64, 17, 0, source, target)
s.sendto(head + struct.pack(">HHHH", 4444, 8080, 8 + len(data), 0) + data, (sys.argv[2], 0))
"""
HEAR = """
import socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.bind(("0.0.0.0", 8080)); print("up", flush=True)
while True: print(s.recvfrom(100)[0].decode(), flush=True)
"""


def test_nobody_speaks_in_the_name_of_another(tier: Tier) -> None:
    async def story(w: World) -> None:
        async with crossing(w) as c:
            liar, victim, target = [await c.pod(name) for name in ("liar", "victim", "target")]
            node = await w.runtime.node_address("n1")
            heard = await w.start([tiers.PYTHON, "-I", "-S", "-u", "-c", HEAR], pod="target", name="hear")
            await w.line(heard, "up")
            for source in (victim, node, facts.GATEWAY, facts.DNS_ADDRESS, "8.8.8.8", liar):
                argv = [tiers.PYTHON, "-I", "-S", "-c", LIE, source, target]
                end = await w.exit(await w.start(argv, pod="liar", name="lie", security=Security(add_capabilities=["NET_RAW"])))
                assert end.code == 0
            await w.line(heard, liar)  # the last one: it is no lie
            assert w.log(heard).splitlines() == ["up", f"a lie from {liar}"]

    tier.drive(story)


def test_the_world_is_reached_at_every_port(tier: Tier) -> None:
    asked: list[relay.Address] = []

    async def dial(target: relay.Address, client: relay.Address) -> socket.socket:
        asked.append(target)
        near, far = socket.socketpair()
        near.setblocking(False)
        with far:
            far.sendall(b"from the world")
        return near

    async def story(w: World) -> None:
        async with crossing(w) as c:
            await c.pod("a")
            listener = await w.runtime.listen(facts.GATEWAY, facts.RELAY_PORT, transparent=True)
            server = asyncio.create_task(relay.serve([listener], relay.Rules(), dial=dial))
            assert await c.ask("a", "93.184.216.34:443", "93.184.216.34:22") == ["from the world"] * 2
            assert await c.ask("a", "169.254.169.254:80", f"{facts.GATEWAY}:{facts.RELAY_PORT}") == ["reset", "reset"]
            assert await c.ask("a", "10.96.0.77:443") == ["refused"]
            assert asked == [("93.184.216.34", 443), ("93.184.216.34", 22)]
            server.cancel()
            await asyncio.wait([server])

    tier.drive(story)
