"""How the node and pods of an engine reach each other: addresses of services on this machine, sockets inside a pod's network.

`runtime` calls it. As root, all addresses of services are made this machine's own, so that what pods send there comes to sockets of this
process; whoever may not do that has pods that reach each other, and no services. Contract: ip(7) IP_FREEBIND, setns(2), rtnetlink(7).
"""

import asyncio
import contextlib
import os
import socket

from lightship.node.launch import linux, netlink
from lightship.node.network import facts as network

_FREEBIND = 15


def open_services() -> str:
    """Make addresses of services this machine's own; why not, empty when it is done. Idempotent."""
    try:
        with netlink.Netlink() as kernel:
            kernel.accept(kernel.index("lo"), network.SERVICE_CIDR)
    except OSError as error:
        return f"addresses of services need root: {error}"
    return ""


def close_services() -> None:
    """Take that back."""
    with contextlib.suppress(OSError), netlink.Netlink() as kernel:
        kernel.refuse(kernel.index("lo"), network.SERVICE_CIDR)


def listen(address: str, port: int, *, datagram: bool) -> socket.socket:
    """See `runtime.Runtime`. The address need not be there (yet): a bridge comes with its first container."""
    made = _open(datagram=datagram)
    try:
        made.setsockopt(socket.IPPROTO_IP, _FREEBIND, 1)
        if not datagram:
            made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.bind((address, port))
        if not datagram:
            made.listen(1024)
    except OSError:
        made.close()
        raise
    return made


async def open_socket(pid: int = 0, *, datagram: bool) -> socket.socket:
    """A socket on this machine, or in the network that process `pid` is in. Raises `OSError`."""
    return await asyncio.to_thread(_inside, pid, datagram=datagram) if pid else _open(datagram=datagram)


def _open(*, datagram: bool) -> socket.socket:
    made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM if datagram else socket.SOCK_STREAM)
    made.setblocking(False)
    return made


def _inside(pid: int, *, datagram: bool) -> socket.socket:
    """Only this thread goes there, and comes back."""
    home = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    try:
        there = os.open(f"/proc/{pid}/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        try:
            linux.setns(there, linux.NEW_NET)
        finally:
            os.close(there)
        try:
            return _open(datagram=datagram)
        finally:
            linux.setns(home, linux.NEW_NET)
    finally:
        os.close(home)
