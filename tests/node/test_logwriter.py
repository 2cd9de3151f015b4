"""Log lines from arbitrary chunks, and the writer on real pipes."""

import asyncio
import os
import signal
import subprocess
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lightship.node.runtimes.logwriter import LONGEST, LogWriter, records

from .contract import CLOCK, until

NOW = 1_700_000_000.123456
STAMP = b"2023-11-14T22:13:20.123456000Z"


@pytest.mark.parametrize(
    ("data", "want"),
    [
        (b"one\ntwo\n", [b"F one", b"F two"]),
        (b"no end", [b"P no end"]),
        (b"one\nno end", [b"F one", b"P no end"]),
        (b"\n\n", [b"F ", b"F "]),
        (b"", []),
        (b"bar 1\rbar 2\r\n", [b"F bar 1\rbar 2\r"]),
        (b"x" * (LONGEST + 1) + b"\n", [b"P " + b"x" * LONGEST, b"F x"]),
        (b"x" * LONGEST + b"\n", [b"F " + b"x" * LONGEST]),
        (b"x" * LONGEST + b"x", [b"P " + b"x" * LONGEST, b"P x"]),
        (b"x" * (2 * LONGEST), [b"P " + b"x" * LONGEST] * 2),
        (b"a\n" + b"x" * (LONGEST + 1) + b"\nb\n", [b"F a", b"P " + b"x" * LONGEST, b"F x", b"F b"]),
    ],
)
def test_records(data: bytes, want: list[bytes]) -> None:
    assert records(data, STAMP + b" stdout") == b"".join(STAMP + b" stdout " + line + b"\n" for line in want)


@settings(database=None)
@given(st.lists(st.binary(max_size=40) | st.integers(1, 40_000).map(lambda n: b"y" * n)))
def test_nothing_is_lost_or_added_and_nothing_is_too_long(chunks: list[bytes]) -> None:
    text = b"".join(records(chunk, STAMP + b" stderr") for chunk in chunks)
    lines = [line.split(b" ", 3) for line in text.split(b"\n")[:-1]]
    assert b"".join(said + (b"\n" if tag == b"F" else b"") for _, _, tag, said in lines) == b"".join(chunks)
    assert all(len(said) <= LONGEST for _, _, _, said in lines)


def test_finish_drains_the_pipes(tmp_path: Path) -> None:
    async def main() -> None:
        log = LogWriter(str(tmp_path / "deep" / "0.log"), lambda: NOW)
        ours, other = os.pipe()
        log.take(ours, "stdout")
        os.write(other, b"a\nlast words")
        log.finish()
        log.finish()
        os.close(other)

    asyncio.run(main())
    assert (tmp_path / "deep" / "0.log").read_bytes() == STAMP + b" stdout F a\n" + STAMP + b" stdout P last words\n"


def test_a_line_in_pieces_is_one_record_unless_it_takes_its_time(tmp_path: Path) -> None:
    path = tmp_path / "0.log"

    async def main() -> None:
        log = LogWriter(str(path), lambda: NOW)
        ours, theirs = os.pipe()
        log.take(ours, "stdout")
        for piece in (b"a", b" ", b"b\nno e"):
            os.write(theirs, piece)
            await CLOCK.sleep(0)
        await until(lambda: path.read_bytes().endswith(b"P no e\n"))
        os.write(theirs, b"nd\n")
        log.finish()
        os.close(theirs)

    asyncio.run(main())
    assert path.read_bytes() == b"".join(STAMP + b" stdout " + text + b"\n" for text in (b"F a b", b"P no e", b"F nd"))


def test_who_goes_on_writing_does_not_keep_finish_from_ending(tmp_path: Path) -> None:
    async def main() -> None:
        log = LogWriter(str(tmp_path / "0.log"), lambda: NOW)
        ours, theirs = os.pipe()
        log.take(ours, "stdout")
        with subprocess.Popen(["yes"], stdout=theirs) as process:  # noqa: ASYNC220 - it must go on while the loop does not
            os.close(theirs)
            log.finish()
            assert process.wait() == -signal.SIGPIPE

    asyncio.run(main())


def test_a_full_disk_loses_lines_and_nothing_else() -> None:
    async def main() -> int:
        log = LogWriter("/dev/full", lambda: NOW)
        ours, other = os.pipe()
        log.take(ours, "stderr")
        os.write(other, b"does not fit\n")
        os.close(other)
        log.finish()
        return log.lost

    assert asyncio.run(main()) > 0
