"""Waiting for files to grow where the system has no more watches to give, or has lost what it had to tell."""

import asyncio
import os
import struct
from collections.abc import Callable
from pathlib import Path

import pytest

from lightship.node.streams import filewatch
from lightship.node.streams.filewatch import FileWatch


class Spent:
    """The system's library when a limit of inotify is reached: of instances, or of watches."""

    def __init__(self, open: Callable[[int], int]) -> None:
        self.inotify_init1 = open

    def inotify_add_watch(self, inotify: int, path: bytes, wanted: int) -> int:
        return -1


def held() -> int:
    return len(os.listdir("/proc/self/fd"))


@pytest.mark.parametrize("open", [lambda flags: -1, lambda flags: os.eventfd(0, flags)], ids=["instances", "watches"])
def test_without_watches_files_are_looked_at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, open: Callable[[int], int]) -> None:
    monkeypatch.setattr(filewatch, "LOOK_EVERY", 0.001)

    async def main() -> None:
        files, path, before = FileWatch(), str(tmp_path / "log"), held()
        (tmp_path / "log").touch()
        with monkeypatch.context() as short:
            short.setattr(filewatch, "_libc", lambda: Spent(open))
            with files.subscribe(path) as changed:
                for _ in range(3):
                    changed.clear()
                    await asyncio.wait_for(changed.wait(), 10)
        with files.subscribe(path) as changed:  # there are some again
            changed.clear()
            (tmp_path / "log").write_text("x")
            await asyncio.wait_for(changed.wait(), 10)
            assert files._watches
            assert files._timer is None
        assert held() == before

    asyncio.run(main())


def test_what_the_system_could_not_tell_may_be_anything(tmp_path: Path) -> None:
    async def main() -> None:
        files = FileWatch()
        read, write = os.pipe2(os.O_NONBLOCK)
        with files.subscribe(str(tmp_path / "log")) as changed:
            changed.clear()
            files._inotify, kept = read, files._inotify
            os.write(write, struct.pack("iIII", -1, 0x4000, 0, 0))  # as the kernel has it: IN_Q_OVERFLOW
            files._readable()
            files._inotify = kept
            assert changed.is_set()
        os.close(read)
        os.close(write)

    asyncio.run(main())
