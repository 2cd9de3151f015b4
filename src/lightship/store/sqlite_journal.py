"""The journal on disk: an append-only log table in SQLite, written by one thread that commits in groups.

Whatever was submitted while the last group was being synced goes into the next one, so that any number of waiting writers share one
fsync. A group is a single INSERT statement outside an explicit transaction: one call into SQLite, which gives up the interpreter lock
once and returns when the log is on disk. Superseded rows are deleted later, a few at a time, when nobody waits.
"""

import asyncio
import os
import sqlite3
import threading
import zlib
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Literal, NamedTuple, TypeAlias

from .errors import StoreError
from .journal import Batch, Past, Settled
from .lock import FileLock
from .records import DELETED, Event, Row
from .state import FIRST_REVISION

Synchronous: TypeAlias = Literal["FULL", "NORMAL", "OFF"]

_APPLICATION_ID = 0x4C536870  # "LShp": tells our files from other SQLite databases
_FORMAT = 1
_SCHEMA = f"""
PRAGMA application_id = {_APPLICATION_ID};
PRAGMA user_version = {_FORMAT};
CREATE TABLE log (revision INTEGER PRIMARY KEY, key TEXT NOT NULL, value BLOB NOT NULL, deleted INTEGER NOT NULL, sum INTEGER NOT NULL);
CREATE TABLE history (oldest INTEGER NOT NULL);
INSERT INTO history VALUES (0);
"""
_GROUP_ROWS = 256
"""Rows of one INSERT statement; SQLite takes 32,766 parameters, and longer statements gain nothing."""
_SWEEP_ROWS = 200
_PAGE_BYTES = 16_384
"""Seven pods share a page and its checksum: a third more commits per second than with SQLite's 4 KiB, and shorter checkpoints."""
_CHECKPOINT_PAGES = 2000
"""Pages of the write-ahead log after which it is copied into the database: 32 MiB, for some ten milliseconds in which commits wait."""


class _Compaction(NamedTuple):
    oldest: int
    garbage: Sequence[int]


class _Close(NamedTuple):
    loop: asyncio.AbstractEventLoop
    done: asyncio.Future[None]


class SqliteJournal:
    """One file (and SQLite's `-wal` beside it), one writer thread that lives from the first write to `close`."""

    def __init__(self, path: str | os.PathLike[str], synchronous: Synchronous) -> None:
        self._path = Path(path)
        self._synchronous = synchronous
        self._queue: SimpleQueue[Batch | _Compaction | _Close] = SimpleQueue()
        self._thread: threading.Thread | None = None
        self._garbage: deque[int] = deque()
        self._oldest = 0
        self._failed_epoch = -1

    def open(self, settled: Settled) -> Past:
        self._settled = settled
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._lock = FileLock(self._path.with_name(self._path.name + "-lock"))
            # Objects hold secrets: the file is the owner's from its first byte on, and SQLite gives its side files the same mode.
            os.close(os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
        except OSError as error:
            raise StoreError(f"cannot open {self._path}: {error.strerror}: choose a data directory that can be written") from error
        try:
            self._connection = self._connect()
            return self._read()
        except BaseException:
            self._lock.release()
            raise

    def submit(self, batch: Batch) -> None:
        self._send(batch)

    def compact(self, oldest: int, garbage: Sequence[int]) -> None:
        self._send(_Compaction(oldest, garbage))

    async def close(self) -> None:
        loop = asyncio.get_running_loop()
        done = loop.create_future()
        self._send(_Close(loop, done))
        await done
        if self._thread:
            self._thread.join()

    def _send(self, item: Batch | _Compaction | _Close) -> None:
        self._queue.put(item)
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="lightship-store", daemon=True)
            self._thread.start()

    # Opening: on the thread that opens the store.

    def _connect(self) -> sqlite3.Connection:
        cached = 2 * _GROUP_ROWS
        connection = sqlite3.connect(self._path, timeout=1, isolation_level=None, check_same_thread=False, cached_statements=cached)
        try:
            self._prepare(connection)
        except sqlite3.Error as error:
            connection.close()
            raise self._damaged(error) from error
        except StoreError:
            connection.close()
            raise
        return connection

    def _prepare(self, connection: sqlite3.Connection) -> None:
        # Exclusive: our own lock file keeps other writers out already, and SQLite then needs no shared memory and no lock calls.
        connection.execute("PRAGMA locking_mode = EXCLUSIVE")
        connection.execute("PRAGMA cell_size_check = ON")
        application, version = (connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("application_id", "user_version"))
        empty = connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0] == 0
        if not empty and application != _APPLICATION_ID:
            raise StoreError(f"{self._path} is a SQLite database, but not one of Lightship's: choose another data directory")
        if version > _FORMAT:
            raise StoreError(f"{self._path} has format {version}, written by a newer Lightship; this one reads {_FORMAT}: upgrade first")
        connection.execute(f"PRAGMA page_size = {_PAGE_BYTES}")  # of a new file; an old one keeps its own
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute(f"PRAGMA synchronous = {self._synchronous}")
        connection.execute(f"PRAGMA wal_autocheckpoint = {_CHECKPOINT_PAGES}")
        if empty:
            connection.executescript(f"BEGIN; {_SCHEMA} COMMIT;")

    def _read(self) -> Past:
        try:
            oldest: int = self._connection.execute("SELECT oldest FROM history").fetchone()[0]
            newest: int = self._connection.execute("SELECT coalesce(max(revision), 0) FROM log").fetchone()[0]
        except sqlite3.Error as error:
            self._connection.close()
            raise self._damaged(error) from error
        self._oldest = oldest
        return Past(self._rows(oldest), max(newest, oldest), oldest)

    def _rows(self, oldest: int) -> Iterator[Row]:
        """All rows, one by one: the reader packs them as they come, so that they are never all there. Raises `StoreError` on the way."""
        try:
            found = self._connection.execute("SELECT revision, key, value, deleted, sum FROM log ORDER BY revision")
            yield from self._complete((self._checked(*columns) for columns in found), oldest)
        except BaseException as error:
            self._connection.close()
            self._lock.release()
            if isinstance(error, sqlite3.Error):
                raise self._damaged(error) from error
            raise

    def _checked(self, revision: int, key: str, value: bytes, deleted: int, checksum: int) -> Row:
        if not isinstance(value, bytes) or _checksum(revision, key, value) != checksum:
            raise self._damaged(f"the value of {key} at revision {revision} does not match its checksum")
        return Row(revision, key, value, bool(deleted))

    def _complete(self, rows: Iterable[Row], oldest: int) -> Iterator[Row]:
        """Before `oldest` superseded rows may be missing; after it, every revision has its row."""
        expected = max(oldest, FIRST_REVISION) + 1
        for row in rows:
            if row.revision > oldest:
                if row.revision != expected:
                    raise self._damaged(f"revision {expected} is missing")
                expected += 1
            yield row

    def _damaged(self, why: object) -> StoreError:
        if getattr(why, "sqlite_errorcode", None) == sqlite3.SQLITE_BUSY:
            return StoreError(f"{self._path} is locked by another program that reads it: close that program and try again")
        advice = "move it and its -wal file away, or put a backup in their place; nothing was changed"
        return StoreError(f"{self._path} is damaged ({why}): {advice}")

    # Writing: on the writer thread, which alone touches the connection from now on.

    def _run(self) -> None:
        while True:
            group, other = self._next_group()
            if group:
                self._commit(group)
            if isinstance(other, _Compaction):
                self._oldest = max(self._oldest, other.oldest)
                self._garbage.extend(other.garbage)
            elif isinstance(other, _Close):
                self._shut(other)
                return
            if self._garbage:
                self._sweep()

    def _next_group(self) -> tuple[list[Batch], _Compaction | _Close | None]:
        """Everything that waits, up to the first item that is not a batch; nothing when there is garbage to sweep instead of waiting."""
        group: list[Batch] = []
        rows = 0
        try:
            item = self._queue.get(block=not self._garbage)
            while isinstance(item, Batch):
                group.append(item)
                rows += len(item.events)
                if rows >= _GROUP_ROWS:
                    return group, None
                item = self._queue.get_nowait()
            return group, item
        except Empty:
            return group, None

    def _commit(self, group: list[Batch]) -> None:
        loop = group[0].done.get_loop()
        error = None
        # Batches are refused from a failure until the store has heard of it, because they were proposed on top of what failed.
        alive = [batch for batch in group if batch.epoch > self._failed_epoch]
        refused = [batch for batch in group if batch.epoch <= self._failed_epoch]
        if refused:
            self._tell(loop, refused, StoreError(f"{self._path}: an earlier write failed, and this one was built on it: try again"))
        if alive:
            try:
                self._append([event for batch in alive for event in batch.events])
            except sqlite3.Error as failure:
                error = self._failure(failure)
                self._failed_epoch = alive[0].epoch
            self._tell(loop, alive, error)

    def _append(self, events: list[Event]) -> None:
        if len(events) <= _GROUP_ROWS:
            self._insert(events)
            return
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            for start in range(0, len(events), _GROUP_ROWS):
                self._insert(events[start : start + _GROUP_ROWS])
            self._connection.execute("COMMIT")
        finally:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")

    def _insert(self, events: list[Event]) -> None:
        columns: list[object] = []
        for event in events:
            revision, key, value = event.revision, event.record.key, event.record.value
            columns += (revision, key, value, event.type == DELETED, _checksum(revision, key, value))
        self._connection.execute(f"INSERT INTO log VALUES {','.join(['(?,?,?,?,?)'] * len(events))}", columns)

    def _failure(self, error: sqlite3.Error) -> StoreError:
        if getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_FULL:
            return StoreError(f"no space left for {self._path}: free some and try again; nothing was written")
        return StoreError(f"cannot write {self._path}: {error}; nothing was written")

    def _tell(self, loop: asyncio.AbstractEventLoop, batches: list[Batch], error: StoreError | None) -> None:
        try:
            loop.call_soon_threadsafe(self._settled, batches, error)
        except RuntimeError:
            pass  # the loop is gone, and with it everybody who waited

    def _sweep(self) -> None:
        """Delete a few superseded rows. Not synced: losing the deletion only means doing it again."""
        some = [self._garbage.popleft() for _ in range(min(_SWEEP_ROWS, len(self._garbage)))]
        try:
            self._connection.execute("PRAGMA synchronous = OFF" if self._synchronous == "OFF" else "PRAGMA synchronous = NORMAL")
            self._connection.execute("BEGIN IMMEDIATE")
            # First of all where history begins, so that no reader of a half-swept log takes its gaps for history.
            self._connection.execute("UPDATE history SET oldest = ?", (self._oldest,))
            self._connection.execute(f"DELETE FROM log WHERE revision IN ({','.join('?' * len(some))})", some)
            self._connection.execute("COMMIT")
        except sqlite3.Error:
            # A full disk most likely. The rows do no harm, and the next opening of the store finds them again.
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
            self._garbage.clear()
        finally:
            self._connection.execute(f"PRAGMA synchronous = {self._synchronous}")

    def _shut(self, item: _Close) -> None:
        self._connection.close()
        self._lock.release()
        item.loop.call_soon_threadsafe(item.done.set_result, None)


def _checksum(revision: int, key: str, value: bytes) -> int:
    return zlib.crc32(value, zlib.crc32(key.encode(), revision & 0xFFFFFFFF))
