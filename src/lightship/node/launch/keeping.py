"""What outlives the node agent: descriptors that the launcher holds, so that an agent that was killed finds its pods again.

The agent hands over a copy of everything by which it holds a pod (`keep`), and takes it back (`forget`) when that has ended. When the
agent is gone, `wait` hands all of it to the next one that comes to the door; meanwhile programs go on, what they say waits in their pipes,
and ends of containers wait on the sockets of their inits. Without a door, or when nobody comes in time, pods end with the agent.
What is kept means nothing here.
"""

import os
import socket
import time
from typing import Any, NamedTuple

from . import wire

_LOOK_SECONDS = 5.0


class _Kept(NamedTuple):
    what: dict[str, Any]
    fds: list[int]


class Keeping:
    """The launcher's shelf. `door` is a listening socket; `patience` seconds that a next agent has to come."""

    def __init__(self, door: socket.socket | None, path: str, patience: float) -> None:
        """`path`: where the door is; once it is not, nobody will come."""
        self._door = door
        self._path = path
        self._patience = patience
        self._shelf: dict[str, _Kept] = {}

    def keep(self, key: str, what: dict[str, Any], fds: list[int]) -> None:
        """In place of what was kept by that key."""
        self._close(self._shelf.pop(key, None))
        self._shelf[key] = _Kept(what, fds)

    def forget(self, key: str) -> None:
        """Whatever has this key, or one below it (`key/...`)."""
        for found in [k for k in self._shelf if k == key or k.startswith(key + "/")]:
            self._close(self._shelf.pop(found))

    def close(self) -> None:
        """In a child: nothing of this is its business."""
        if self._door is not None:
            self._door.close()
        for kept in self._shelf.values():
            self._close(kept)

    def wait(self) -> socket.socket | None:
        """The socket of the next agent, which has everything by then; None when it is not to be expected."""
        if self._door is None:
            return None
        until = time.monotonic() + self._patience
        while (left := until - time.monotonic()) > 0 and os.path.exists(self._path):
            self._door.settimeout(min(left, _LOOK_SECONDS))
            try:
                agent, _ = self._door.accept()
            except TimeoutError:
                continue
            agent.setblocking(True)
            try:
                self._hand_over(agent)
                return agent
            except OSError:
                agent.close()  # it did not live long
        return None

    def _hand_over(self, agent: socket.socket) -> None:
        for key, kept in self._shelf.items():
            wire.send(agent, {"event": "kept", "key": key, "what": kept.what}, kept.fds)
        wire.send(agent, {"event": "all"})

    @staticmethod
    def _close(kept: _Kept | None) -> None:
        for fd in kept.fds if kept else ():
            os.close(fd)
