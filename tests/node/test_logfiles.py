"""Logs of several files: turned over when they are full, compressed, dropped, followed and counted across."""

import asyncio
import os
import threading
from pathlib import Path

import pytest

from lightship.aio.clock import SystemClock
from lightship.meta.rest import LogOptions
from lightship.node.runtimes import logfiles
from lightship.node.runtimes.logfiles import LogFile
from lightship.node.streams import logs
from lightship.node.streams.filewatch import FileWatch
from lightship.node.streams.logs import Logs, Position, Run, Source

STAMP = b"2023-11-14T22:13:20.000000000Z stdout F "


def mark(lost: int) -> bytes:
    return STAMP + b"lost %d\n" % lost


def names(directory: Path) -> list[str]:
    return sorted(entry.name for entry in directory.iterdir())


def log(path: Path, lines: range, *, size: int = 1000, kept: int = 5) -> None:
    async def main() -> None:
        file = LogFile(str(path), size=size, kept=kept)
        for number in lines:
            file.write(STAMP + b"%d\n" % number, mark)
        file.close()

    asyncio.run(main())


class Follower:
    """`main` of pod `p`, which runs until it is said to have ended."""

    def __init__(self, path: Path) -> None:
        self.alive = True
        self.files = FileWatch()
        run = Run(path, "id")
        source = Source(containers=("main",), init_containers=(), position=lambda _: Position(current=run), running=lambda _: self.alive)
        self.logs = Logs(lambda namespace, name, uid: source, SystemClock(), self.files)

    async def read(self, **options: object) -> bytes:
        return b"".join([chunk async for chunk in self.logs.logs("default", "p", "", LogOptions(**options))])  # type: ignore[arg-type]


def read(path: Path, **options: object) -> list[int]:
    return [int(line) for line in asyncio.run(Follower(path).read(**options)).split()]


def test_full_files_are_turned_over_and_the_oldest_go(tmp_path: Path) -> None:
    path = tmp_path / "0.log"
    log(path, range(200))
    assert names(tmp_path) == ["0.log", "0.log.5", "0.log.6", "0.log.7", "0.log.8"]
    assert all(file.stat().st_size <= 1000 for file in tmp_path.iterdir())
    found = read(path)
    assert found == list(range(found[0], 200)), "in order, without a gap"
    log(path, range(200, 300))
    assert names(tmp_path)[-1] == "0.log.13", "who comes later counts on"


def test_other_files_are_no_part_of_a_log(tmp_path: Path) -> None:
    for name in ("10.log", "10.log.1", "0.log.x", "0.log.1.part", "0.log.2.gz.part", "0.log.3.gz", "0.log.3", "0.log.2.gz"):
        (tmp_path / name).touch()
    assert [(s.number, Path(s.path).name, s.packed) for s in logfiles.segments(str(tmp_path / "0.log"))] == [
        (2, "0.log.2.gz", True),
        (3, "0.log.3", False),
        (4, "0.log", False),
    ]
    logfiles.remove(str(tmp_path / "0.log"))
    assert "10.log.1" in names(tmp_path)
    assert "0.log.2.gz" not in names(tmp_path)


@pytest.mark.parametrize("packs", [False, True])
def test_the_last_lines_and_all_lines_are_counted_across_files(tmp_path: Path, packs: bool) -> None:
    path = tmp_path / "0.log"
    log(path, range(100))
    if packs:
        logfiles.pack(logfiles.segments(str(path))[:-2], threading.Event())
        assert names(tmp_path)[1].endswith(".gz")
        assert sum(name.endswith(".gz") for name in names(tmp_path)) == 3
    every = read(path)
    assert every == list(range(every[0], 100))
    for wanted in (0, 1, 22, 23, 24, 25, 50, 80, 1000):
        assert read(path, tail_lines=wanted) == every[max(0, len(every) - wanted) :]
    assert logs.last_lines(path, 30, 10_000).split() == [str(number) for number in range(70, 100)]


def test_compressing_stops_when_it_is_told_to(tmp_path: Path) -> None:
    path = tmp_path / "0.log"
    log(path, range(100))
    before = names(tmp_path)
    stopped = threading.Event()
    stopped.set()
    logfiles.pack(logfiles.segments(str(path))[:-2], stopped)
    assert names(tmp_path) == before


def test_what_is_full_long_enough_is_compressed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logfiles, "COMPRESS_EVERY", 0.0)

    async def main() -> None:
        file = LogFile(str(tmp_path / "0.log"), size=1000)
        for number in range(100):
            file.write(STAMP + b"%d\n" % number, mark)
        async with asyncio.timeout(10):
            while sum(name.endswith(".gz") for name in names(tmp_path)) < 3 or any(".part" in name for name in names(tmp_path)):
                await SystemClock().sleep(0.001)
        file.close()

    asyncio.run(main())


def test_a_follower_crosses_files_and_loses_nothing(tmp_path: Path) -> None:
    path = tmp_path / "0.log"

    async def main() -> None:
        file, follower = LogFile(str(path), size=1000, kept=2), Follower(path)
        file.write(STAMP + b"0\n", mark)
        heard: list[int] = []
        more = asyncio.Event()

        async def follow() -> None:
            rest = b""
            async for chunk in follower.logs.logs("default", "p", "", LogOptions(follow=True)):
                *lines, rest = (rest + chunk).split(b"\n")
                heard.extend(map(int, lines))
                more.set()

        following = asyncio.create_task(follow())
        for number in range(1, 2000):
            file.write(STAMP + b"%d\n" % number, mark)
            if number % 20 == 0:
                while not heard or heard[-1] < number:
                    more.clear()
                    await more.wait()
        follower.alive = False
        follower.logs.changed(path)
        await following
        assert heard == list(range(2000))
        assert follower.files._inotify == -1
        file.close()

    asyncio.run(asyncio.wait_for(main(), 30))


def test_what_somebody_has_yet_to_read_is_kept_for_a_while(tmp_path: Path) -> None:
    path = tmp_path / "0.log"
    log(path, range(100), kept=3)
    oldest = logfiles.segments(str(path))[0]
    with logfiles.open_segment(oldest):
        log(path, range(100, 300), kept=3)
        assert logfiles.segments(str(path))[0] == oldest
        log(path, range(300, 700), kept=3)
        found = logfiles.segments(str(path))
        assert found[0].number > oldest.number, "not for ever"
        assert len(found) <= logfiles.MOST
    log(path, range(700, 800), kept=3)
    assert len(logfiles.segments(str(path))) == 3


def test_a_disk_that_was_full_is_told_of_when_there_is_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real, full = os.write, False

    def write(fd: int, data: bytes) -> int:
        if full:
            if len(data) > 10:
                return real(fd, data[:10])  # the last bytes of the disk
            raise OSError(28, "No space left on device")
        return real(fd, data)

    monkeypatch.setattr(os, "write", write)
    path = tmp_path / "0.log"

    async def main() -> None:
        nonlocal full
        file = LogFile(str(path))
        file.write(STAMP + b"one\n", mark)
        full = True
        file.write(STAMP + b"two\n", mark)
        file.write(STAMP + b"three\n", mark)
        assert path.read_bytes() == STAMP + b"one\n"
        full = False
        file.write(STAMP + b"four\n", mark)
        file.close()

    asyncio.run(main())
    lost = len(STAMP) * 2 + len(b"two\nthree\n")
    assert path.read_bytes() == STAMP + b"one\n" + mark(lost) + STAMP + b"four\n"
