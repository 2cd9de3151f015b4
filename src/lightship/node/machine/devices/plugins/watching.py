"""Tells when files of a directory come and go: inotify on Linux; elsewhere it looks every second. Used by `registry`."""

import asyncio
import ctypes
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_CREATE, _DELETE, _FROM, _TO, _ATTRIB = 0x100, 0x200, 0x40, 0x80, 0x4
LOOK_EVERY = 1.0
"""Seconds between looks where there is no inotify."""


@contextmanager
def watching(directory: Path) -> Iterator[asyncio.Event]:
    """An event that is set whenever something may have changed in there; clear it, then look, then wait."""
    changed = asyncio.Event()
    loop = asyncio.get_running_loop()
    inotify = _open(directory)
    if inotify >= 0:
        loop.add_reader(inotify, _drain, inotify, changed)
        try:
            yield changed
        finally:
            loop.remove_reader(inotify)
            os.close(inotify)
        return
    timer = [loop.call_later(LOOK_EVERY, lambda: None)]

    def look() -> None:
        changed.set()
        timer[0] = loop.call_later(LOOK_EVERY, look)

    look()
    try:
        yield changed
    finally:
        timer[0].cancel()


def _open(directory: Path) -> int:
    """A descriptor, or -1 where the system has no such thing or no more of it."""
    if sys.platform != "linux":
        return -1
    library = ctypes.CDLL(None, use_errno=True)
    inotify = int(library.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC))
    if inotify >= 0 and library.inotify_add_watch(inotify, os.fsencode(directory), _CREATE | _DELETE | _FROM | _TO | _ATTRIB) < 0:
        os.close(inotify)
        return -1
    return inotify


def _drain(inotify: int, changed: asyncio.Event) -> None:
    try:
        os.read(inotify, 65_536)
    except BlockingIOError:
        return
    changed.set()
