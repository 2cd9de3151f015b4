"""Datagrams with the address that they come from, on non-blocking sockets.

Called by `nameserver` and `proxy`. By readiness, since not every event loop has `sock_recvfrom`.
"""

import asyncio
import socket

Address = tuple[str, int]
LONGEST = 65_535


async def receive(sock: socket.socket) -> tuple[bytes, Address]:
    """The next datagram. Raises `OSError` when the socket is broken."""
    loop = asyncio.get_running_loop()
    while True:
        try:
            return sock.recvfrom(LONGEST)
        except BlockingIOError:
            pass
        except ConnectionRefusedError:
            continue  # an earlier asker's port was closed: not the next one's fault
        ready = asyncio.Event()
        loop.add_reader(sock.fileno(), ready.set)
        try:
            await ready.wait()
        finally:
            loop.remove_reader(sock.fileno())


def send(sock: socket.socket, data: bytes, to: Address) -> None:
    """Send one if it can be sent now; empty ones are not."""
    if not data:
        return
    try:
        sock.sendto(data, to)
    except OSError:
        pass  # whoever it is for is gone, or asks again
