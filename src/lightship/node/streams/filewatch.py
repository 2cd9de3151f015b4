"""Tells when a file has grown, without polling where the system can say so (inotify on Linux); elsewhere it looks ten times a second.

`logs` subscribes while somebody follows a log; nothing runs otherwise. All on one event loop.
"""

import asyncio
import ctypes
import os
import struct
import sys
from collections.abc import Iterator
from contextlib import contextmanager

_IN_MODIFY, _IN_CLOSE_WRITE, _IN_MOVE_SELF = 0x2, 0x8, 0x800
_IN_Q_OVERFLOW = 0x4000
_WANTED = _IN_MODIFY | _IN_CLOSE_WRITE | _IN_MOVE_SELF
_EVENT = struct.Struct("iIII")
LOOK_EVERY = 0.1
"""Seconds between looks where there is no inotify."""


class FileWatch:
    """Wakes subscribers of a path. `notify` may also be called by whoever knows better (the agent, when a container has ended)."""

    def __init__(self) -> None:
        self._subscribers: dict[str, list[asyncio.Event]] = {}
        self._inotify = -1
        self._watches: dict[int, str] = {}
        self._timer: asyncio.TimerHandle | None = None

    @contextmanager
    def subscribe(self, path: str) -> Iterator[asyncio.Event]:
        """An event that is set whenever the file may have changed; clear it, then read, then wait."""
        event = asyncio.Event()
        first = path not in self._subscribers
        self._subscribers.setdefault(path, []).append(event)
        if first:
            self._watch(path)
        try:
            yield event
        finally:
            self._subscribers[path].remove(event)
            if not self._subscribers[path]:
                del self._subscribers[path]
                self._unwatch(path)
            if not self._subscribers:
                self.close()

    def notify(self, path: str) -> None:
        """Wake everybody who waits for this file."""
        for event in self._subscribers.get(path, ()):
            event.set()

    def close(self) -> None:
        if self._inotify >= 0:
            asyncio.get_running_loop().remove_reader(self._inotify)
            os.close(self._inotify)
            self._inotify = -1
            self._watches.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _watch(self, path: str) -> None:
        if self._inotify < 0 and sys.platform == "linux":
            self._inotify = _libc().inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
            if self._inotify >= 0:
                asyncio.get_running_loop().add_reader(self._inotify, self._readable)
        watch = _libc().inotify_add_watch(self._inotify, os.fsencode(path), _WANTED) if self._inotify >= 0 else -1
        if watch >= 0:
            self._watches[watch] = path
        elif self._timer is None:
            self._look()

    def _unwatch(self, path: str) -> None:
        for watch in [w for w, p in self._watches.items() if p == path]:
            del self._watches[watch]
            _libc().inotify_rm_watch(self._inotify, watch)

    def _readable(self) -> None:
        try:
            data = os.read(self._inotify, 16_384)
        except BlockingIOError:
            return
        offset = 0
        while offset + _EVENT.size <= len(data):
            watch, mask, _, length = _EVENT.unpack_from(data, offset)
            offset += _EVENT.size + length
            if mask & _IN_Q_OVERFLOW:  # there was more to tell than the system keeps
                for path in self._subscribers:
                    self.notify(path)
            if watch in self._watches:
                path = self._watches[watch]
                if mask & _IN_MOVE_SELF:
                    self._unwatch(path)  # it has another name now; there is, or will be, a new one of this name
                    self._watch(path)
                self.notify(path)

    def _look(self) -> None:
        watched = set(self._watches.values())
        for path in self._subscribers:
            if path not in watched:
                self.notify(path)
        self._timer = asyncio.get_running_loop().call_later(LOOK_EVERY, self._look)


def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)
