"""The relay: whom it refuses as a table; what it carries, over real loopback sockets with a dialler of the test's own."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from lightship.node.network import relay


@pytest.mark.parametrize(
    ("address", "allowed"),
    [
        ("93.184.216.34", True),
        ("192.168.7.7", True),
        ("10.0.0.9", True),
        ("127.0.0.1", False),
        ("127.244.0.9", False),
        ("0.0.0.0", False),
        ("169.254.169.254", False),
        ("224.0.0.1", False),
        ("255.255.255.255", False),
        ("10.244.0.5", False),
        ("10.96.0.1", False),
        ("192.0.2.77", False),
        ("172.20.1.1", False),
    ],
)
def test_who_may_be_dialled(address: str, *, allowed: bool) -> None:
    rules = relay.Rules(own=lambda a: a == "192.0.2.77", refused=["172.20.0.0/16"])
    assert (rules.refusal(address) == "") == allowed


def test_own_addresses_are_known() -> None:
    assert relay.is_own("127.0.0.1")
    assert not relay.is_own("192.0.2.1")


def listening() -> socket.socket:
    sock = socket.create_server(("127.0.0.1", 0))
    sock.setblocking(False)
    return sock


@asynccontextmanager
async def relayed(rules: relay.Rules | None, dial: relay.Dial) -> AsyncIterator[relay.Address]:
    listener = listening()
    server = asyncio.create_task(relay.serve([listener], rules, dial=dial))
    try:
        async with asyncio.timeout(10):
            yield listener.getsockname()
    finally:
        server.cancel()
        await asyncio.wait([server])
        assert server.cancelled(), server.exception()


def test_bytes_and_ends_pass_in_both_directions() -> None:
    payload = bytes(range(256)) * 20_000  # more than any buffer on the way holds

    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(await reader.read())  # answers only after the asker's end has arrived
        await writer.drain()
        writer.close()

    async def main() -> None:
        world = await asyncio.start_server(echo, "127.0.0.1", 0)
        target = world.sockets[0].getsockname()
        async with relayed(None, lambda _, client: relay.dial(target, client)) as entry:
            reader, writer = await asyncio.open_connection(*entry)
            writer.write(payload)
            writer.write_eof()
            assert await reader.read() == payload
            writer.close()
            await writer.wait_closed()
        world.close()
        await world.wait_closed()

    asyncio.run(main())


def test_the_original_destination_is_dialled() -> None:
    asked = []

    async def dial(target: relay.Address, client: relay.Address) -> socket.socket:
        asked.append(target)
        raise OSError("unreachable")

    async def main() -> None:
        async with relayed(None, dial) as entry:
            with pytest.raises(ConnectionResetError):
                await hear(entry)
            assert asked == [entry]

    asyncio.run(main())


def test_a_refused_destination_is_not_dialled() -> None:
    async def dial(target: relay.Address, client: relay.Address) -> socket.socket:
        raise AssertionError(target)

    async def main() -> None:
        async with relayed(relay.Rules(), dial) as entry:
            with pytest.raises(ConnectionResetError):
                await hear(entry)

    asyncio.run(main())


async def hear(entry: relay.Address) -> bytes:
    reader, writer = await asyncio.open_connection(*entry)
    try:
        return await reader.read()
    finally:
        writer.close()


def test_a_slow_reader_holds_the_sender_back() -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        near, world = socket.socketpair()
        near.setblocking(False)
        world.setblocking(False)

        async def dial(_: relay.Address, client: relay.Address) -> socket.socket:
            return near

        async with relayed(None, dial) as entry:
            with world, socket.create_connection(entry) as pod:
                sent = 0
                try:
                    while True:  # a socket that takes nothing for a tenth of a second takes nothing any more
                        await asyncio.wait_for(loop.sock_sendall(world, b"x" * 65_536), 0.1)
                        sent += 65_536
                except TimeoutError:
                    pass
                pod.setblocking(False)
                assert sent < 64 << 20, "nobody reads, so the sender must stand still"
                received = 0
                while received < sent:
                    received += len(await loop.sock_recv(pod, 1 << 20))

    asyncio.run(main())
