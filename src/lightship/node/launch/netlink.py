"""The few network operations a pod network needs, spoken to the kernel directly (rtnetlink), with no `ip` program.

Called by the launcher (addresses, routes) and by the init of each sandbox (both ends of its wire). A `Netlink` stays bound to the
network namespace in which it was opened, whatever its process enters later. Errors are `OSError` naming the operation.
Contract: netlink(7), rtnetlink(7), linux/if_link.h.
"""

import os
import socket
import struct
from collections.abc import Iterator

_NEWLINK, _DELLINK, _GETLINK, _NEWADDR, _NEWROUTE, _DELROUTE, _NEWNEIGH = 16, 17, 18, 20, 24, 25, 28
_REQUEST, _MULTI, _ACK, _DUMP, _REPLACE, _EXCLUSIVE, _CREATE = 1, 2, 4, 0x300, 0x100, 0x200, 0x400
_ERROR, _DONE = 2, 3
_IFLA_ADDRESS = 1
_IFLA_MTU = 4
_IFLA_IFNAME, _IFLA_LINKINFO, _IFLA_NET_NS_PID = 3, 18, 19
_IFLA_INFO_KIND, _IFLA_INFO_DATA, _VETH_INFO_PEER = 1, 2, 1
_IFA_ADDRESS, _IFA_LOCAL = 1, 2
_RTA_DST, _RTA_OIF, _RTA_GATEWAY, _RTA_PREFSRC = 1, 4, 5, 7
_NDA_DST, _NDA_LLADDR, _PERMANENT = 1, 2, 0x80
_TABLE_MAIN, _PROTO_BOOT, _UNICAST, _LOCAL = 254, 3, 1, 2
_SCOPE_UNIVERSE, _SCOPE_LINK, _SCOPE_HOST = 0, 253, 254
_UP = 1
_NETLINK_ROUTE = 0
_MTU = 65_535  # no packet ever leaves this machine by these wires: as on the loopback, none need be cut


def attribute(kind: int, value: bytes) -> bytes:
    """One type-length-value, padded to four bytes."""
    return struct.pack("=HH", 4 + len(value), kind) + value + b"\0" * (-len(value) % 4)


def attributes(data: bytes) -> Iterator[tuple[int, bytes]]:
    """The type-length-values in `data`; stops at the first that makes no sense."""
    at = 0
    while at + 4 <= len(data):
        length, kind = struct.unpack_from("=HH", data, at)
        if length < 4:
            return
        yield kind & 0x3FFF, data[at + 4 : at + length]
        at += (length + 3) & ~3


def _name(text: str) -> bytes:
    return text.encode() + b"\0"


def _link(index: int = 0, flags: int = 0) -> bytes:
    return struct.pack("=BxHiII", socket.AF_UNSPEC, 0, index, flags, flags)


def mac_of(address: str) -> bytes:
    """The hardware address that goes with an IPv4 address: a new pod at an old address is found by those who knew the old one.

    Contract: the scheme of the CNI plugins, 0a:58 (locally administered) and the address.
    """
    return b"\x0a\x58" + socket.inet_aton(address)


class Netlink:
    """A connection to the kernel's network configuration of the namespace it was opened in."""

    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _NETLINK_ROUTE)
        self._sequence = 0

    def close(self) -> None:
        self._socket.close()

    def __enter__(self) -> "Netlink":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def links(self) -> dict[str, int]:
        """Names of all interfaces and their indices."""
        found = {}
        for body in self._talk(_GETLINK, _DUMP, _link(), "list links"):
            index: int = struct.unpack_from("=BxHi", body)[2]
            names = [value for kind, value in attributes(body[16:]) if kind == _IFLA_IFNAME]
            found[names[0].rstrip(b"\0").decode()] = index
        return found

    def index(self, name: str) -> int:
        """Raises `OSError` when there is no such interface."""
        (body,) = self._talk(_GETLINK, 0, _link() + attribute(_IFLA_IFNAME, _name(name)), f"find link {name}")
        found: int = struct.unpack_from("=BxHi", body)[2]
        return found

    def add_veth(self, name: str, mac: bytes, peer: str, peer_mac: bytes, *, peer_pid: int) -> int:
        """A wire from a new interface `name`, which is up, to an interface `peer` in the network of a process, which is left down.

        Returns the index of the near end.
        """
        where = attribute(_IFLA_NET_NS_PID, struct.pack("=I", peer_pid))
        size = attribute(_IFLA_MTU, struct.pack("=I", _MTU))
        far = _link() + attribute(_IFLA_IFNAME, _name(peer)) + attribute(_IFLA_ADDRESS, peer_mac) + size + where
        info = attribute(_IFLA_INFO_KIND, b"veth") + attribute(_IFLA_INFO_DATA, attribute(_VETH_INFO_PEER, far))
        near = attribute(_IFLA_IFNAME, _name(name)) + attribute(_IFLA_ADDRESS, mac) + size
        self._add(_NEWLINK, _link(flags=_UP) + near + attribute(_IFLA_LINKINFO, info), f"add veth {name}")
        return self.index(name)

    def set_up(self, index: int) -> None:
        self._talk(_NEWLINK, _ACK, _link(index, _UP), f"set link {index} up")

    def delete(self, index: int) -> None:
        self._talk(_DELLINK, _ACK, _link(index), f"delete link {index}")

    def add_address(self, index: int, address: str, prefix: int) -> None:
        packed = socket.inet_aton(address)
        head = struct.pack("=BBBBI", socket.AF_INET, prefix, 0, _SCOPE_UNIVERSE, index)
        self._add(_NEWADDR, head + attribute(_IFA_LOCAL, packed) + attribute(_IFA_ADDRESS, packed), f"add address {address}/{prefix}")

    def add_neighbour(self, index: int, address: str, mac: bytes) -> None:
        """Know for good where an address is: nobody has to ask the wire."""
        head = struct.pack("=BxxxiHBB", socket.AF_INET, index, _PERMANENT, 0, 0)
        payload = head + attribute(_NDA_DST, socket.inet_aton(address)) + attribute(_NDA_LLADDR, mac)
        self._talk(_NEWNEIGH, _ACK | _CREATE | _REPLACE, payload, f"add neighbour {address}")

    def add_route(self, index: int, address: str, source: str) -> None:
        """An address is at the other end of a wire, and is spoken to as `source`. Whoever had it before has it no more."""
        rest = attribute(_RTA_DST, socket.inet_aton(address)) + attribute(_RTA_OIF, struct.pack("=I", index))
        rest += attribute(_RTA_PREFSRC, socket.inet_aton(source))
        self._route(_UNICAST, _SCOPE_LINK, rest, f"route {address}", prefix=32, flags=_REPLACE)

    def add_default_route(self, gateway: str) -> None:
        self._route(_UNICAST, _SCOPE_UNIVERSE, attribute(_RTA_GATEWAY, socket.inet_aton(gateway)), f"route everything to {gateway}")

    def accept_everything(self, index: int) -> None:
        """Treat every address that has no better route as this namespace's own: sockets here then stand for the whole world."""
        self._route(_LOCAL, _SCOPE_HOST, attribute(_RTA_OIF, struct.pack("=I", index)), "accept all addresses")

    def accept(self, index: int, cidr: str) -> None:
        """The same for one range of addresses. Idempotent."""
        self._range(_NEWROUTE, index, cidr)

    def refuse(self, index: int, cidr: str) -> None:
        """Take `accept` back."""
        self._range(_DELROUTE, index, cidr)

    def _range(self, what: int, index: int, cidr: str) -> None:
        address, _, prefix = cidr.partition("/")
        rest = attribute(_RTA_DST, socket.inet_aton(address)) + attribute(_RTA_OIF, struct.pack("=I", index))
        self._route(_LOCAL, _SCOPE_HOST, rest, f"accept {cidr}", prefix=int(prefix), flags=_REPLACE, verb=what)

    def _route(
        self, kind: int, scope: int, rest: bytes, what: str, *, prefix: int = 0, flags: int = _EXCLUSIVE, verb: int = _NEWROUTE
    ) -> None:
        # In the main table, so that the longer prefixes of the pods still win: the local table would be asked before it.
        head = struct.pack("=BBBBBBBBI", socket.AF_INET, prefix, 0, 0, _TABLE_MAIN, _PROTO_BOOT, scope, kind, 0)
        self._talk(verb, _ACK | _CREATE | flags, head + rest, what)

    def _add(self, kind: int, payload: bytes, what: str) -> None:
        self._talk(kind, _ACK | _CREATE | _EXCLUSIVE, payload, what)

    def _talk(self, kind: int, flags: int, payload: bytes, what: str) -> list[bytes]:
        """Send one request, return the bodies of the answers; a refusal becomes an `OSError`."""
        self._sequence += 1
        self._socket.send(struct.pack("=IHHII", 16 + len(payload), kind, _REQUEST | flags, self._sequence, 0) + payload)
        bodies: list[bytes] = []
        while True:
            data = self._socket.recv(1 << 16)
            while data:
                length, answer, marks, _sequence, _port = struct.unpack_from("=IHHII", data)
                body, data = data[16:length], data[(length + 3) & ~3 :]
                if answer == _ERROR:
                    code = -struct.unpack_from("=i", body)[0]
                    if code:
                        raise OSError(code, f"{what}: {os.strerror(code)}")
                    return bodies
                if answer == _DONE:
                    return bodies
                bodies.append(body)
                if not marks & _MULTI:
                    return bodies
