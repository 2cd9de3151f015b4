"""A full disk refuses writes, in one clear line, and nothing else: readers go on, nothing is half written, and space brings it back."""

import asyncio
import sqlite3
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from lightship import store
from lightship.store import Event, Put, Store, StoreError
from tests.store.contract import put

BIG = 20_000


def big(key: str) -> Put:
    return Put(key, lambda revision: b'{"revision":%d,"x":"%b"}' % (revision, b"x" * BIG))


async def fill(s: Store) -> int:
    """Write until it fails; how many objects that were."""
    for i in range(1000):
        before = s.revision
        (result,) = await asyncio.gather(s.commit(big(f"core/secrets/default/{i:04}")), return_exceptions=True)
        if isinstance(result, BaseException):
            assert str(result).startswith("no space left")
            assert "\n" not in str(result)
            assert s.revision == before
            assert s.head(f"core/secrets/default/{i:04}") is None
            return i
    raise AssertionError("this disk has no end")


async def refuse_and_recover(path: Path, s: Store, make_room: Callable[[], None]) -> None:
    written = await fill(s)
    watch = s.watch("core/secrets/", s.revision)
    # Many at once: those that were built on the write that fails must fail with it.
    results = await asyncio.gather(*(s.commit(big("core/secrets/default/same")) for _ in range(20)), return_exceptions=True)
    assert {type(r) for r in results} == {StoreError}
    assert s.head("core/secrets/default/same") is None
    assert len(s.list("core/secrets/").records) == written
    make_room()
    revision = s.revision
    (record,) = await s.commit(put("core/secrets/default/after", expect=0))
    assert record.revision == revision + 1
    assert [event.record for event in await anext(watch)] == [record]
    await s.close()
    reopened = store.sqlite(path)
    assert len(reopened.list("core/secrets/").records) == written + 1
    assert reopened.revision == record.revision
    await reopened.close()


def limit_pages(s: Store, pages: int) -> None:
    """As far as SQLite is concerned, the disk ends after this many pages."""
    s._journal._connection.execute(f"PRAGMA max_page_count = {pages}")  # type: ignore[attr-defined]  # the fault is injected behind the seam


def test_a_database_that_cannot_grow(tmp_path: Path) -> None:
    async def test() -> None:
        s = store.sqlite(tmp_path / "store.db")
        limit_pages(s, 40)
        await refuse_and_recover(tmp_path / "store.db", s, lambda: limit_pages(s, 10_000))

    asyncio.run(test())


def test_what_was_built_on_a_failed_write_fails_with_it(tmp_path: Path) -> None:
    async def test() -> None:
        s = store.sqlite(tmp_path / "store.db")
        journal: Any = s._journal  # the fault is injected behind the seam
        append, submitted = journal._append, threading.Event()
        failed: list[list[Event]] = []

        def fail_once(events: list[Event]) -> None:
            submitted.wait(10)
            if not failed:
                failed.append(events)
                raise sqlite3.OperationalError("disk I/O error")
            append(events)

        journal._append = fail_once
        first = asyncio.ensure_future(s.commit(put("core/pods/default/a")))
        await asyncio.sleep(0)
        second = asyncio.ensure_future(s.commit(put("core/pods/default/a", expect=2), put("core/pods/default/b")))
        await asyncio.sleep(0)
        submitted.set()
        results = await asyncio.gather(first, second, return_exceptions=True)
        assert [type(r) for r in results] == [StoreError, StoreError]
        assert (s.revision, s.head("core/pods/default/a"), s.head("core/pods/default/b")) == (1, None, None)
        assert [r.revision for r in await s.commit(put("core/pods/default/c"))] == [2]
        await s.close()
        reopened = store.sqlite(tmp_path / "store.db")
        assert [r.key for r in reopened.list("core/pods/").records] == ["core/pods/default/c"]
        await reopened.close()

    asyncio.run(test())


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "lightship-test", str(tmp_path)], capture_output=True, check=False)
    if done.returncode:
        pytest.skip("mounting a small file system is not allowed here")
    yield tmp_path
    subprocess.run(["umount", str(tmp_path)], check=True)


@pytest.mark.root
def test_a_disk_that_is_full(small_disk: Path) -> None:
    async def test() -> None:
        path = small_disk / "store.db"
        ballast = small_disk / "ballast"
        ballast.write_bytes(b"x" * 400_000)
        await refuse_and_recover(path, store.sqlite(path), ballast.unlink)

    asyncio.run(test())
