"""Messages with file descriptors between the node's process, the launcher and the inits of sandboxes.

One JSON object per packet of a Unix SEQPACKET socket, so that there is no framing; a body that is too long for a packet travels in an
anonymous file whose descriptor comes first. The receiver also learns the sender's process id as *it* sees that process.
"""

import array
import errno
import json
import os
import socket
import stat
import struct
from collections.abc import Sequence
from typing import Any, NamedTuple

_LONGEST = 32_768  # bytes in a packet; far below the smallest socket buffer
_LARGEST = 1 << 26
"""Bytes of a body in a file; the API lets no pod be a tenth as large."""
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
    """The next packet, or None at the end. Descriptors are not inherited by programs. `leave`: it stays there until `drop`.

    Raises `OSError`; EBADMSG for what `send` does not send: a socket may have come into the hands of a container's process.
    """
    flags = socket.MSG_CMSG_CLOEXEC | (socket.MSG_PEEK if leave else 0)
    room = socket.CMSG_SPACE(_DESCRIPTORS * 4) + socket.CMSG_SPACE(_CREDENTIALS.size)
    for _ in range(2):  # an end that comes while a non-blocking receive looks around hides the last packet once
        body, ancillary, _flags, _address = sock.recvmsg(_LONGEST + 1, room, flags)
        if body or any(kind == socket.SCM_RIGHTS for _, kind, _ in ancillary):
            break
    fds, pid = array.array("i"), 0
    for _level, kind, data in ancillary:
        if kind == socket.SCM_RIGHTS:
            fds.frombytes(data[: len(data) - len(data) % 4])
        elif kind == _SCM_CREDENTIALS:
            pid = _CREDENTIALS.unpack(data)[0]
    listed = fds.tolist()
    if not body and not listed:
        return None
    try:
        message = json.loads(_whole(listed) if body == _IN_FILE else body)
        if not isinstance(message, dict):
            raise ValueError
    except (ValueError, OSError, RecursionError, MemoryError) as error:
        for fd in listed:
            os.close(fd)
        raise OSError(errno.EBADMSG, os.strerror(errno.EBADMSG)) from error
    return Packet(message, listed, pid)


def _whole(fds: list[int]) -> bytes:
    """The body that travels in a file, which is taken from `fds`. Raises `ValueError`, `OSError`."""
    if not fds:
        raise ValueError
    holder = os.fstat(fds[0])
    if not stat.S_ISREG(holder.st_mode) or holder.st_size > _LARGEST:
        raise ValueError
    with open(fds.pop(0), "rb") as file:
        file.seek(0)
        return file.read(_LARGEST)


def drop(sock: socket.socket) -> None:
    """Take the packet away that `receive` has left."""
    sock.recv(1)
