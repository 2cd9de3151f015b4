"""What followers of a log get from memory: the same as from its files, and nobody is made to wait for those who do not read."""

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lightship.meta.rest import LogOptions
from lightship.node.runtimes import logfiles, logwriter
from lightship.node.runtimes.logwriter import LogWriter, records, stamp
from lightship.node.runtimes.recent import MOST, Recent, Said
from lightship.node.runtimes.recent import Follower as Waiting
from lightship.node.streams.cutting import Cutter

from .contract import CLOCK, until
from .test_logfiles import Follower

NOW = 1_700_000_000.0
FILE = (1, 2)
LINE = b"x" * 79 + b"\n"


def said(text: bytes, end: int = 0) -> Said:
    return Said(stamp(NOW), text, end)


@settings(database=None)
@given(
    st.lists(st.binary(min_size=1, max_size=40) | st.integers(1, 40_000).map(lambda n: b"y" * n)),
    st.booleans(),
    st.sampled_from([b"", stamp(NOW + 2), stamp(NOW + 1000)]),
)
def test_a_client_sees_the_same_from_memory_as_from_the_file(chunks: list[bytes], timestamps: bool, since: bytes) -> None:
    fed, told = (Cutter(since=since, timestamps=timestamps) for _ in range(2))
    for number, chunk in enumerate(chunks):
        when = stamp(NOW + number)
        assert told.said(when, chunk) == fed.feed(records(chunk, when + b" stdout"))


def test_each_follower_has_its_own_place() -> None:
    log = Recent()
    with log.following() as quick, log.following() as slow:
        for number in range(8):
            log.add(FILE, number * 10, said(b"z" * (MOST // 4), number * 10 + 10))
            assert quick.take(FILE, number * 10) is not None
            assert quick.take(FILE, number * 10) is None, "once"
        assert slow.take(FILE, 0) is None, "too old"
        assert slow.until(FILE, 0) == 40
        assert slow.until((1, 3), 0) is None
        assert slow.take(FILE, 40) is not None
        log.forget(FILE)
        assert slow.until(FILE, 0) is None, "another file has its number now"
    log.add(FILE, 0, said(b"nobody follows"))
    assert not log.followers


async def follow(follower: Follower) -> bytes:
    return b"".join([chunk async for chunk in follower.logs.logs("default", "p", "", LogOptions(follow=True))])


async def written(fd: int, data: bytes) -> None:
    """All of it, as a program would that waits for its pipe."""
    os.set_blocking(fd, False)
    while data:
        try:
            data = data[os.write(fd, data) :]
        except BlockingIOError:
            await CLOCK.sleep(0)


def test_who_follows_a_lot_misses_nothing_across_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, text = tmp_path / "0.log", b"".join(b"%d\n" % number for number in range(300_000))

    async def main() -> bytes:
        log, follower = LogWriter(str(path), lambda: NOW), Follower(path)
        log._file._limit = 1_000_000
        ours, theirs = os.pipe()
        log.take(ours, "stdout")
        following = asyncio.create_task(follow(follower))
        await written(theirs, text)
        os.close(theirs)
        log.finish()
        assert logfiles.recent(str(path)) is None
        follower.alive = False
        follower.logs.changed(path)
        return await following

    read, real = 0, Cutter.feed

    def feed(self: Cutter, block: bytes) -> bytes:
        nonlocal read
        read += len(block)
        return real(self, block)

    monkeypatch.setattr(Cutter, "feed", feed)
    assert asyncio.run(asyncio.wait_for(main(), 60)) == text
    assert len(logfiles.segments(str(path))) > 3
    assert read < len(text) // 2, "most of it has come from memory"


def test_nobody_is_waited_for_who_does_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One follower stops reading; the program goes on, and what that follower has missed it reads from the file."""
    path, text = tmp_path / "0.log", LINE * 100_000
    waits, real = 0, LogWriter._waited

    def waited(self: LogWriter, pressing: dict[Waiting, int]) -> None:
        nonlocal waits
        waits += 1
        real(self, pressing)

    monkeypatch.setattr(LogWriter, "_waited", waited)

    async def main() -> None:
        log, follower = LogWriter(str(path), lambda: NOW), Follower(path)
        ours, theirs = os.pipe()
        log.take(ours, "stdout")
        stuck: AsyncIterator[bytes] = follower.logs.logs("default", "p", "", LogOptions(follow=True))
        first = asyncio.ensure_future(anext(stuck))
        await written(theirs, LINE)
        got = [await first]
        await written(theirs, text)
        await until(lambda: sum(segment_size(s.path) for s in logfiles.segments(str(path))) > len(text))
        assert waits <= 1
        os.close(theirs)
        log.finish()
        follower.alive = False
        follower.logs.changed(path)
        got += [chunk async for chunk in stuck]
        assert b"".join(got) == LINE + text

    asyncio.run(asyncio.wait_for(main(), 60))


def segment_size(path: str) -> int:
    return Path(path).stat().st_size


def test_who_reads_is_waited_for_a_moment_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A follower that always reads a little keeps a program back, but never for longer than the courtesy."""
    monkeypatch.setattr(logwriter, "COURTESY", 0.0)
    path = tmp_path / "0.log"

    async def main() -> None:
        log, follower = LogWriter(str(path), lambda: NOW), Follower(path)
        ours, theirs = os.pipe()
        log.take(ours, "stdout")
        reading = follower.logs.logs("default", "p", "", LogOptions(follow=True))
        first = asyncio.ensure_future(anext(reading))
        await written(theirs, LINE)
        got = [await first]
        for _ in range(20):
            await written(theirs, LINE * 10_000)
            got.append(await anext(reading))
        os.close(theirs)
        log.finish()
        follower.alive = False
        follower.logs.changed(path)
        got += [chunk async for chunk in reading]
        assert b"".join(got) == LINE * 200_001

    asyncio.run(asyncio.wait_for(main(), 60))
