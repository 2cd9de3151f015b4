"""The way out of the pod network: TCP connections that pods open to the world, carried on from the host.

Inside the pod network every foreign address ends at this node (`launch.netlink`: accept_everything). `main` gives `serve` one listening
socket for each port that may be reached; the address that a pod meant is the accepted socket's own. `Rules` says which may be dialled:
never the cluster's ranges, this host, or link-local services, so that the relay is no way around a pod's isolation.
"""

import asyncio
import contextlib
import ipaddress
import socket
import struct
from collections.abc import Awaitable, Callable, Iterable
from typing import NamedTuple

from lightship.aio.clock import Clock, SystemClock

from . import facts as network

Address = tuple[str, int]
Dial = Callable[[Address, Address], Awaitable[socket.socket]]
"""(the address that a pod meant, the pod's own) → a connection. Raises `OSError`."""

_CHUNK = 65_536
_DIAL_SECONDS = 20.0
_PAUSE_SECONDS = 0.02
_AT_ONCE = 1024
_CLOCK = SystemClock()
_CLUSTER = tuple(ipaddress.ip_network(cidr) for cidr in network.OWN)


def is_own(address: str) -> bool:
    """Whether this host itself answers at `address`: only then can a socket be bound to it."""
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as trial:
            trial.bind((address, 0))
            return True
    except OSError:
        return False


class Rules:
    """Where a pod's connection may go."""

    def __init__(self, *, own: Callable[[str], bool] = is_own, refused: Iterable[str] = ()) -> None:
        """`refused`: more ranges that pods must not reach."""
        self._own = own
        self._refused = (*_CLUSTER, *(ipaddress.ip_network(cidr) for cidr in refused))

    def refusal(self, address: str) -> str:
        """Why not, in words; empty when it may be dialled."""
        found = ipaddress.ip_address(address)
        if found.is_loopback or found.is_unspecified or found.is_multicast or found.is_reserved:
            return f"{address} means this machine or many: not a place outside"
        if found.is_link_local:
            return f"{address} is link-local, where clouds keep credentials"
        if any(found in cidr for cidr in self._refused):
            return f"{address} is an address of the cluster or a refused range"
        return f"{address} belongs to this host" if self._own(address) else ""


async def dial(target: Address, client: Address) -> socket.socket:
    """Connect from the host's network. Raises `OSError`."""
    sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    sock.setblocking(False)
    try:
        async with asyncio.timeout(_DIAL_SECONDS):
            await asyncio.get_running_loop().sock_connect(sock, target)
    except BaseException:
        sock.close()
        raise
    return sock


async def serve(listeners: Iterable[socket.socket], rules: Rules | None, *, dial: Dial = dial, clock: Clock = _CLOCK) -> None:
    """Relay connections on non-blocking listening sockets until cancelled; closes them. One connection's failure is its own.

    `dial` may connect elsewhere than where the pod meant, or refuse by `OSError`; without `rules` it alone decides.
    """
    places = asyncio.Semaphore(_AT_ONCE)
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(listener) for listener in listeners]
        async with asyncio.TaskGroup() as group:
            for listener in sockets:
                group.create_task(_accept(listener, _Way(rules, dial, clock), group, places))


class _Way(NamedTuple):
    """How connections of one listener are carried on."""

    rules: Rules | None
    dial: Dial
    clock: Clock


async def _accept(listener: socket.socket, way: _Way, group: asyncio.TaskGroup, places: asyncio.Semaphore) -> None:
    loop = asyncio.get_running_loop()
    while True:
        await places.acquire()
        try:
            inside, _ = await loop.sock_accept(listener)
        except OSError:
            places.release()  # the pod was gone before we looked, or descriptors are short: those come back
            await way.clock.sleep(_PAUSE_SECONDS)
            continue
        except BaseException:
            places.release()
            raise
        group.create_task(_carry(inside, way, places))


async def _carry(inside: socket.socket, way: _Way, places: asyncio.Semaphore) -> None:
    try:
        with inside:
            target: Address = inside.getsockname()[:2]
            if way.rules is not None and way.rules.refusal(target[0]):
                _reset(inside)
                return
            try:
                outside = await way.dial(target, inside.getpeername()[:2])
            except (OSError, TimeoutError):
                _reset(inside)
                return
            with outside:
                for end in (inside, outside):  # a pod that vanishes says no goodbye
                    end.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
                await _splice(inside, outside)
    except OSError:
        pass  # one end broke: both are closed
    finally:
        places.release()


async def _splice(one: socket.socket, other: socket.socket) -> None:
    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(_pump(one, other))
            group.create_task(_pump(other, one))
    except* OSError:
        _reset(one)


async def _pump(source: socket.socket, target: socket.socket) -> None:
    """Copy until the end and pass the end on. Nothing is read before the last chunk is taken: that is the back-pressure."""
    loop = asyncio.get_running_loop()
    buffer = memoryview(bytearray(_CHUNK))
    while count := await loop.sock_recv_into(source, buffer):
        await loop.sock_sendall(target, buffer[:count])
    with contextlib.suppress(OSError):
        target.shutdown(socket.SHUT_WR)


def _reset(sock: socket.socket) -> None:
    """Close with a reset, which the pod sees as a refused or broken connection rather than as a polite end."""
    with contextlib.suppress(OSError):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
