"""Log lines from arbitrary chunks, and the writer on real pipes."""

import asyncio
import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lightship.node.runtimes.logwriter import LONGEST, Lines, LogWriter

NOW = 1_700_000_000.123456
STAMP = b"2023-11-14T22:13:20.123456000Z"


@pytest.mark.parametrize(
    ("chunks", "want"),
    [
        ([b"one\ntwo\n"], [b"F one", b"F two"]),
        ([b"o", b"n", b"e\n"], [b"F one"]),
        ([b"no end"], [b"F no end"]),
        ([b"\n\n"], [b"F ", b"F "]),
        ([b""], []),
        ([b"bar 1\rbar 2\r\n"], [b"F bar 1\rbar 2\r"]),
        ([b"x" * (LONGEST + 1) + b"\n"], [b"P " + b"x" * LONGEST, b"F x"]),
        ([b"x" * LONGEST + b"\n"], [b"F " + b"x" * LONGEST]),
        ([b"x" * LONGEST, b"x"], [b"P " + b"x" * LONGEST, b"F x"]),
    ],
)
def test_lines(chunks: list[bytes], want: list[bytes]) -> None:
    lines = Lines("stdout")
    text = b"".join(lines.feed(chunk, NOW) for chunk in chunks) + lines.end(NOW)
    assert text == b"".join(STAMP + b" stdout " + line + b"\n" for line in want)


@settings(database=None)
@given(st.lists(st.binary(max_size=40)))
def test_nothing_is_lost_or_added(chunks: list[bytes]) -> None:
    lines = Lines("stderr")
    text = b"".join(lines.feed(chunk, NOW) for chunk in chunks) + lines.end(NOW)
    found = b"".join(line.split(b" ", 3)[3] + b"\n" for line in text.split(b"\n")[:-1])
    whole = b"".join(chunks)
    assert found == whole + (b"" if whole.endswith(b"\n") or not whole else b"\n")


def test_finish_drains_the_pipes(tmp_path: Path) -> None:
    async def main() -> None:
        log = LogWriter(str(tmp_path / "deep" / "0.log"), lambda: NOW)
        other = os.dup(log.stdout)
        log.started()
        os.write(other, b"a\nlast words")
        log.finish()
        log.finish()
        os.close(other)

    asyncio.run(main())
    assert (tmp_path / "deep" / "0.log").read_bytes() == STAMP + b" stdout F a\n" + STAMP + b" stdout F last words\n"


def test_a_full_disk_loses_lines_and_nothing_else() -> None:
    async def main() -> int:
        log = LogWriter("/dev/full", lambda: NOW)
        os.write(log.stderr, b"does not fit\n")
        log.finish()
        return log.lost

    assert asyncio.run(main()) > 0
