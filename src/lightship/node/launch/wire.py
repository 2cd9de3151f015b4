"""Messages with file descriptors between the node's process, the launcher and the inits of sandboxes.

One JSON object per packet of a Unix SEQPACKET socket, so that there is no framing; a body that is too long for a packet travels in an
anonymous file whose descriptor comes first. The receiver also learns the sender's process id as *it* sees that process.
"""

import array
import json
import os
import socket
import struct
from collections.abc import Sequence
from typing import Any, NamedTuple

_LONGEST = 32_768  # bytes in a packet; far below the smallest socket buffer
_IN_FILE = b"@"
_DESCRIPTORS = 32
_CREDENTIALS = struct.Struct("=iII")
_SO_PASSCRED, _SCM_CREDENTIALS = 16, 2


class Packet(NamedTuple):
    """What `receive` found; `pid` is 0 when the socket was not made by `pair`."""

    message: dict[str, Any]
    fds: list[int]
    pid: int


def pair() -> tuple[socket.socket, socket.socket]:
    """Two connected ends; what arrives at the first one carries its sender's process id."""
    near, far = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    know_senders(near)
    return near, far


def know_senders(sock: socket.socket) -> None:
    """What arrives here carries its sender's process id from now on."""
    sock.setsockopt(socket.SOL_SOCKET, _SO_PASSCRED, 1)


def send(sock: socket.socket, message: dict[str, Any], fds: Sequence[int] = ()) -> None:
    """Raises `OSError` when the other end is gone or, without blocking, its buffer is full."""
    body = json.dumps(message, separators=(",", ":")).encode()
    if len(body) <= _LONGEST:
        socket.send_fds(sock, [body], list(fds))
        return
    holder = os.memfd_create("message", os.MFD_CLOEXEC)
    try:
        with open(os.dup(holder), "wb") as file:
            file.write(body)
        socket.send_fds(sock, [_IN_FILE], [holder, *fds])
    finally:
        os.close(holder)


def receive(sock: socket.socket, *, leave: bool = False) -> Packet | None:
    """The next packet, or None at the end. Descriptors are not inherited by programs. `leave`: it stays there until `drop`."""
    flags = socket.MSG_CMSG_CLOEXEC | (socket.MSG_PEEK if leave else 0)
    room = socket.CMSG_SPACE(_DESCRIPTORS * 4) + socket.CMSG_SPACE(_CREDENTIALS.size)
    for _ in range(2):  # an end that comes while a non-blocking receive looks around hides the last packet once
        body, ancillary, _flags, _address = sock.recvmsg(_LONGEST + 1, room, flags)
        if body:
            break
    fds, pid = array.array("i"), 0
    for _level, kind, data in ancillary:
        if kind == socket.SCM_RIGHTS:
            fds.frombytes(data[: len(data) - len(data) % 4])
        elif kind == _SCM_CREDENTIALS:
            pid = _CREDENTIALS.unpack(data)[0]
    if not body:
        return None
    listed = fds.tolist()
    if body == _IN_FILE:
        with open(listed.pop(0), "rb") as file:
            file.seek(0)
            body = file.read()
    return Packet(json.loads(body), listed, pid)


def drop(sock: socket.socket) -> None:
    """Take the packet away that `receive` has left."""
    sock.recv(1)
