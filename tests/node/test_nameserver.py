"""The cluster's name server and its way upstream, over real loopback sockets."""

import asyncio
import socket

from lightship.node.network import dns, nameserver

from .test_dns import MANY, NAMES, query, read


def test_upstream_servers_come_from_resolv_conf() -> None:
    text = "# comment\nnameserver 1.1.1.1\nnameserver 10.96.0.10\nsearch x\nnameserver\nnameserver ::1\n"
    assert nameserver.upstreams(text) == ["1.1.1.1", "::1"]


def udp() -> socket.socket:
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.bind(("127.0.0.1", 0))
    sock.setblocking(False)
    return sock


async def answer_once(sock: socket.socket, addresses: list[str]) -> None:
    loop = asyncio.get_running_loop()
    packet, asker = await loop.sock_recvfrom(sock, 2048)
    sock.sendto(b"\0\0 a stranger's answer", asker)
    sock.sendto(dns.answer(packet, dns.parse(packet), 0, addresses), asker)


async def exchange(client: socket.socket, server: socket.socket, packet: bytes) -> bytes:
    loop = asyncio.get_running_loop()
    client.sendto(packet, server.getsockname())
    async with asyncio.timeout(5):
        return await loop.sock_recv(client, 2048)


def test_the_endpoint_answers_and_passes_on() -> None:
    async def main() -> None:
        with udp() as endpoint, udp() as client, udp() as upstream:
            forward = nameserver.Upstream(["127.0.0.1"], port=upstream.getsockname()[1]).datagram
            server = asyncio.create_task(nameserver.serve(endpoint, NAMES.get, forward))
            helper = asyncio.create_task(answer_once(upstream, ["9.8.7.6"]))
            assert read(await exchange(client, endpoint, query("db.default.svc.cluster.local"))) == (0, ["10.244.0.5", "10.244.0.6"], False)
            assert read(await exchange(client, endpoint, query("example.org"))) == (0, ["9.8.7.6"], False)
            garbage = await exchange(client, endpoint, b"\0\7" + b"\xff" * 20)
            assert garbage[:2] == b"\0\7"
            assert garbage[3] & 0xF == 1
            await helper
            server.cancel()
            await asyncio.wait([server])

    asyncio.run(main())


def test_without_an_upstream_the_asker_is_told() -> None:
    async def main() -> None:
        with udp() as endpoint, udp() as client, udp() as silent:
            forward = nameserver.Upstream(["127.0.0.1"], port=silent.getsockname()[1], seconds=0.01).datagram
            server = asyncio.create_task(nameserver.serve(endpoint, NAMES.get, forward))
            assert read(await exchange(client, endpoint, query("example.org")))[0] == 2
            server.cancel()
            await asyncio.wait([server])

    asyncio.run(main())


def test_long_answers_come_over_streams() -> None:
    long = [f"9.9.9.{n}" for n in range(100)]

    async def upstream_stream(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        packet = await reader.readexactly(int.from_bytes(await reader.readexactly(2), "big"))
        reply = dns.answer(packet, dns.parse(packet), 0, long, dns.STREAM)
        writer.write(len(reply).to_bytes(2, "big") + reply)
        writer.close()

    async def main() -> None:
        with udp() as datagrams:
            host, port = datagrams.getsockname()
            streams = await asyncio.start_server(upstream_stream, host, port)
            listener = socket.create_server(("127.0.0.1", 0))
            listener.setblocking(False)
            forward = nameserver.Upstream([host], port=port).stream
            server = asyncio.create_task(nameserver.serve_stream(listener, NAMES.get, forward))
            helper = asyncio.create_task(answer_once(datagrams, long))
            reader, writer = await asyncio.open_connection(*listener.getsockname())
            for name, want in (("many.default.svc.cluster.local", MANY), ("example.org", long)):
                packet = query(name)
                writer.write(len(packet).to_bytes(2, "big") + packet)
                reply = await reader.readexactly(int.from_bytes(await reader.readexactly(2), "big"))
                assert read(reply) == (0, want, False)
            writer.close()
            await writer.wait_closed()
            await helper
            server.cancel()
            await asyncio.wait([server])
            streams.close()
            await streams.wait_closed()

    asyncio.run(main())
