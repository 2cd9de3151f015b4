"""Tells the kernel of packet rules, through a netlink socket that was made in the network in question.

`plane` calls `Netfilter`; what is told is made by `nftables` and `tables`. The kernel answers at once, so nothing here waits. A refusal
is an `OSError`, after which nothing of the batch has happened.
"""

import contextlib
import os
import socket
import struct
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from lightship.node.launch.netlink import attribute, attributes

from . import nftables as nft

_LONGEST = 180_000
"""Bytes of one batch: a netlink socket takes no more than its send buffer at once."""
_ERROR, _DONE = 2, 3
_CONNTRACK = 1
_GET_FLOWS, _DELETE_FLOW = 1, 2


class Flow(NamedTuple):
    """A conversation that the kernel follows: where it was sent to, and where it really went."""

    protocol: int
    destination: str
    port: int
    answering: str
    answering_port: int
    tuple: bytes


class Netfilter:
    """The rules of one network namespace."""

    def __init__(self, sock: socket.socket) -> None:
        """`sock`: a netlink socket of the family netfilter, non-blocking, which is ours to close."""
        self._socket = sock

    def close(self) -> None:
        self._socket.close()

    def apply(self, messages: list[bytes]) -> None:
        """Carry out messages, all of them together unless they are very many. Raises `OSError`."""
        start, size = 0, 0
        for end, message in enumerate(messages):
            if size + len(message) > _LONGEST and end > start:
                self._batch(messages[start:end])
                start, size = end, 0
            size += len(message)
        if messages:
            self._batch(messages[start:])

    def _batch(self, messages: list[bytes]) -> None:
        self._drain()
        self._socket.send(nft.batch(messages))
        for kind, sequence, body in self._answers():
            if kind == _ERROR and (code := -struct.unpack_from("=i", body)[0]):
                about = struct.unpack_from("=IHH", messages[sequence])[1] & 0xFF if sequence < len(messages) else -1
                raise OSError(code, f"packet rules: {os.strerror(code)} (message {about}, {messages[sequence : sequence + 1]!r})")

    def elements(self, name: str) -> list[tuple[bytes, bytes]]:
        """Keys and values of a map, also those that packets have put there."""
        found = []
        for body in self._dump(nft.numbered(nft.get_elements(name), 1)):
            for kind, listed in attributes(body[4:]):
                if kind == 3:
                    found += [_key_and_value(item) for _, item in attributes(listed)]
        return found

    def remove(self, name: str, keys: list[bytes]) -> None:
        """Delete elements of a set that packets have put there; one that has gone by itself takes nobody else's place."""
        for key in keys:
            with contextlib.suppress(FileNotFoundError):
                self._batch([nft.elements(nft.DELETE_ELEMENTS, name, [nft.element(key, None)])])

    def flows(self) -> list[Flow]:
        """All conversations that are being followed."""
        return [flow for body in self._dump(_conntrack(_GET_FLOWS, nft.DUMP, b"")) if (flow := _flow(body[4:])) is not None]

    def forget(self, flows: Iterable[Flow]) -> None:
        """The next packet of these is looked at as if it were the first."""
        for flow in flows:
            self._drain()
            self._socket.send(_conntrack(_DELETE_FLOW, nft.ACKNOWLEDGE, attribute(1 | 0x8000, flow.tuple)))
        self._drain()

    def _dump(self, request: bytes) -> Iterator[bytes]:
        self._drain()
        self._socket.send(request)
        while True:
            for kind, _, body in self._answers():
                if kind == _DONE:
                    return
                if kind == _ERROR:
                    code = -struct.unpack_from("=i", body)[0]
                    raise OSError(code, f"packet rules: {os.strerror(code)}")
                yield body

    def _answers(self) -> Iterator[tuple[int, int, bytes]]:
        with contextlib.suppress(BlockingIOError):
            while True:
                data = self._socket.recv(1 << 18)
                while data:
                    length, kind, _, sequence, _ = struct.unpack_from("=IHHII", data)
                    yield kind, sequence, data[16:length]
                    data = data[(length + 3) & ~3 :]

    def _drain(self) -> None:
        for _ in self._answers():
            pass


def _key_and_value(item: bytes) -> tuple[bytes, bytes]:
    found = dict(attributes(item))
    key = dict(attributes(found[1])).get(1, b"")
    return key, dict(attributes(found.get(2, b""))).get(1, b"")


def _conntrack(kind: int, flags: int, body: bytes) -> bytes:
    head = struct.pack("=IHHIIBBH", 20 + len(body), _CONNTRACK << 8 | kind, nft.REQUEST | flags, 0, 0, nft.FAMILY, 0, 0)
    return head + body


def _flow(body: bytes) -> Flow | None:
    found = dict(attributes(body))
    original, reply = _ends(found.get(1, b"")), _ends(found.get(2, b""))
    if original is None or reply is None:
        return None
    protocol, _, _, destination, port = original
    _, answering, answering_port, _, _ = reply
    return Flow(protocol, destination, port, answering, answering_port, found[1])


def _ends(body: bytes) -> tuple[int, str, int, str, int] | None:
    """Protocol, source and its port, destination and its port."""
    parts = dict(attributes(body))
    addresses, protocol = dict(attributes(parts.get(1, b""))), dict(attributes(parts.get(2, b"")))
    if 1 not in addresses or 1 not in protocol or 3 not in protocol:
        return None
    ports = [int.from_bytes(protocol[kind], "big") for kind in (2, 3)]
    return protocol[1][0], socket.inet_ntoa(addresses[1]), ports[0], socket.inet_ntoa(addresses[2]), ports[1]
