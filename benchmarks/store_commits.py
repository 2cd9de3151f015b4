"""Commits per second of the store from 1, 16 and 64 concurrent writers, beside what the disk and SQLite can do at all.

    python -m benchmarks.store_commits [--seconds 1] [--rounds 5] [--directory DIR]

Three contestants take turns in every round, so that a busy machine is busy for all of them. *disk*: append as many objects as there are
writers to a file, then fdatasync. *sqlite*: the same as one INSERT per group in WAL mode with synchronous=FULL, in a plain loop, nobody
waiting for anything. *store*: that many tasks, each of which waits for its commit to be durable before the next. An object is 1 KB.
Bias: the two floors know their group beforehand and need no thread, no event loop and no revision in the bytes; the store does.
"""

import argparse
import asyncio
import os
import sqlite3
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import uvloop

from benchmarks.report import Series, machine
from lightship import store

WRITERS = (1, 16, 64)
VALUE = b'{"apiVersion":"v1","kind":"Pod","metadata":{"name":"p","resourceVersion":"%d"},"x":"' + b"y" * 920 + b'"}'


def disk(directory: Path, writers: int, seconds: float) -> float:
    """Objects per second onto the disk, `writers` of them per sync."""
    fd = os.open(directory / "raw", os.O_CREAT | os.O_WRONLY | os.O_TRUNC)
    count, start = 0, time.perf_counter()
    while (now := time.perf_counter()) - start < seconds:
        os.write(fd, (VALUE % count) * writers)
        # macOS has no fdatasync.
        getattr(os, "fdatasync", os.fsync)(fd)
        count += writers
    os.close(fd)
    return count / (now - start)


def sqlite(directory: Path, writers: int, seconds: float) -> float:
    """Rows per second into a log table, `writers` of them per transaction."""
    connection = sqlite3.connect(directory / "raw.db", isolation_level=None)
    for pragma in ("locking_mode = EXCLUSIVE", "journal_mode = WAL", "synchronous = FULL", "wal_autocheckpoint = 4000"):
        connection.execute(f"PRAGMA {pragma}")
    connection.execute("CREATE TABLE log (revision INTEGER PRIMARY KEY, key TEXT, value BLOB, deleted INTEGER, sum INTEGER)")
    statement = f"INSERT INTO log VALUES {','.join(['(?,?,?,?,?)'] * writers)}"
    count, start = 0, time.perf_counter()
    while (now := time.perf_counter()) - start < seconds:
        rows = [(count + i, f"core/pods/default/{count + i}", VALUE % (count + i), 0, 0) for i in range(writers)]
        connection.execute(statement, [column for row in rows for column in row])
        count += writers
    connection.close()
    return count / (now - start)


def ours(directory: Path, writers: int, seconds: float) -> float:
    """Commits per second of the store, one object each."""
    rate: float = uvloop.run(_ours(directory, writers, seconds))
    return rate


async def _ours(directory: Path, writers: int, seconds: float) -> float:
    opened = store.sqlite(directory / "store.db")
    end = time.perf_counter() + seconds
    counts = [0] * writers

    async def writer(number: int) -> None:
        while time.perf_counter() < end:
            await opened.commit(store.Put(f"core/pods/default/{number}-{counts[number]}", lambda revision: VALUE % revision, 0))
            counts[number] += 1

    start = time.perf_counter()
    async with asyncio.TaskGroup() as group:
        for number in range(writers):
            group.create_task(writer(number))
    rate = sum(counts) / (time.perf_counter() - start)
    await opened.close()
    return rate


CONTESTANTS: dict[str, Callable[[Path, int, float], float]] = {"disk": disk, "sqlite": sqlite, "store": ours}


def measure(directory: str | None, seconds: float, rounds: int) -> dict[tuple[str, int], Series]:
    """Everything, interleaved."""
    found = {(name, writers): Series(name) for writers in WRITERS for name in CONTESTANTS}
    for _ in range(rounds):
        for writers in WRITERS:
            for name, contestant in CONTESTANTS.items():
                with tempfile.TemporaryDirectory(dir=directory) as fresh:
                    found[name, writers].add(contestant(Path(fresh), writers, seconds))
    return found


def show(found: dict[tuple[str, int], Series]) -> str:
    """A Markdown table with spreads and ratios."""
    lines = ["| writers | disk | sqlite | store | store / sqlite | store / disk |", "|---|---|---|---|---|---|"]
    for writers in WRITERS:
        series = [found[name, writers] for name in CONTESTANTS]
        cells = [f"{s.median:,.0f} ({min(s.values):,.0f}-{max(s.values):,.0f})" for s in series]
        on_disk, in_sqlite, in_store = (s.median for s in series)
        lines.append(f"| {writers} | {' | '.join(cells)} | {in_store / in_sqlite:.2f} | {in_store / on_disk:.2f} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description="durable commits per second of the store, beside disk and SQLite")
    parser.add_argument("--seconds", type=float, default=1.0, help="per contestant and round")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--directory", help="where to write: the disk that is to be measured (default: the temporary directory)")
    options = parser.parse_args()
    print(f"{machine()}, SQLite {sqlite3.sqlite_version}; commits of one 1 KB object per second, median (least-most)\n")
    print(show(measure(options.directory, options.seconds, options.rounds)))


if __name__ == "__main__":
    main()
