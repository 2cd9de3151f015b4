"""The contract on SQLite, and what only a store on disk can do: come back, refuse a second owner, survive damage and a full disk."""

import asyncio
import os
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from lightship import store
from lightship.store import Store, StoreError
from tests.store.contract import StoreContract, brief, delete, put
from tests.store.manual_clock import ManualClock


class TestSqlite(StoreContract):
    @pytest.fixture(autouse=True)
    def file(self, tmp_path: Path) -> None:
        self.path = tmp_path / "new" / "store.db"

    def opened(self, clock: ManualClock, limits: store.Limits) -> Store:
        return store.sqlite(self.path, clock=clock, limits=limits)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "store.db"


async def fill(path: Path) -> None:
    s = store.sqlite(path)
    await s.commit(put("core/pods/default/a", "one"), put("core/nodes//n"))  # 2, 3
    await s.commit(put("core/pods/default/a", "two"))  # 4
    await s.commit(put("core/pods/default/b"))  # 5
    await s.commit(delete("core/pods/default/b"))  # 6
    await s.close()


def test_everything_comes_back(path: Path) -> None:
    async def test() -> None:
        await fill(path)
        s = store.sqlite(path)
        assert (s.revision, s.oldest) == (6, 1)
        found = s.get("core/pods/default/a")
        assert found is not None
        assert (found.revision, found.obj["text"]) == (4, "two")
        assert [r.key for r in s.list("core/pods/").records] == ["core/pods/default/a"]
        assert s.list("core/pods/", revision=2).records[0].obj["text"] == "one"
        want = [("ADDED", "a", 2), ("MODIFIED", "a", 4), ("ADDED", "b", 5), ("DELETED", "b", 6)]
        assert brief(await anext(s.watch("core/pods/", 1))) == want
        assert (await s.commit(put("core/pods/default/b", expect=0)))[0].revision == 7
        await s.close()

    asyncio.run(test())


def test_compaction_comes_back_and_drops_superseded_rows(path: Path) -> None:
    async def test() -> None:
        await fill(path)
        s = store.sqlite(path)
        s.compact(6)
        await s.close()
        with sqlite3.connect(path) as reader:
            assert [row[0] for row in reader.execute("SELECT revision FROM log")] == [3, 4]
        reader.close()
        s = store.sqlite(path)
        # The last row is gone with the deletion it recorded; its revision is not given again.
        assert (s.revision, s.oldest) == (6, 6)
        with pytest.raises(store.Compacted):
            s.watch("core/pods/", 5)
        assert [r.revision for r in (*s.list("core/nodes/").records, *s.list("core/pods/").records)] == [3, 4]
        await s.close()

    asyncio.run(test())


def test_a_compaction_that_was_cut_short_is_finished_at_the_next_opening(path: Path) -> None:
    async def test() -> None:
        await fill(path)
        with sqlite3.connect(path) as writer:
            writer.execute("UPDATE history SET oldest = 6")
        writer.close()
        await store.sqlite(path).close()
        with sqlite3.connect(path) as reader:
            assert [row[0] for row in reader.execute("SELECT revision FROM log")] == [3, 4]
        reader.close()

    asyncio.run(test())


def test_a_commit_larger_than_a_group_is_still_one(path: Path) -> None:
    async def test() -> None:
        s = store.sqlite(path)
        await s.commit(*(put(f"core/pods/default/{i:04}") for i in range(1000)))
        with pytest.raises(store.RevisionMismatch):
            await s.commit(*(put(f"core/pods/other/{i:04}") for i in range(1000)), put("core/pods/default/0000", expect=0))
        await s.close()
        s = store.sqlite(path)
        assert len(s.list("core/pods/").records) == 1000
        await s.close()

    asyncio.run(test())


def test_files_are_the_owners_alone(path: Path) -> None:
    asyncio.run(fill(path))
    assert {p.stat().st_mode & 0o077 for p in path.parent.iterdir()} == {0}


def test_a_second_owner_is_told_who_the_first_is(path: Path) -> None:
    async def test() -> None:
        first = store.sqlite(path)
        with pytest.raises(StoreError, match=rf"in use by pid {os.getpid()}"):
            store.sqlite(path)
        await first.commit(put("core/pods/default/a"))
        await first.close()
        await store.sqlite(path).close()

    asyncio.run(test())


def _page_bytes(whole: bytes) -> int:
    """Of the database file's header; the log begins on its second page."""
    return int.from_bytes(whole[16:18], "big")


DAMAGE: dict[str, Callable[[bytes], int]] = {
    "the file's first bytes": lambda whole: 0,
    "the page size": lambda whole: 16,
    "the log page's header": lambda whole: _page_bytes(whole) + 3,
    "the log page's pointers": lambda whole: _page_bytes(whole) + 8,
    "a key": lambda whole: whole.index(b"core/pods/default/b"),
    "a value": lambda whole: whole.index(b'"two"'),
}


@pytest.mark.parametrize("where", DAMAGE)
def test_damage_is_named_and_nothing_is_touched(path: Path, where: str) -> None:
    asyncio.run(fill(path))
    whole = path.read_bytes()
    at = DAMAGE[where](whole)
    damaged = whole[:at] + bytes(byte ^ 0x5A for byte in whole[at : at + 4]) + whole[at + 4 :]
    path.write_bytes(damaged)
    with pytest.raises(StoreError, match=r"store\.db is .*") as refused:
        store.sqlite(path)
    assert "\n" not in str(refused.value)
    assert path.read_bytes() == damaged


def test_a_missing_row_is_noticed(path: Path) -> None:
    asyncio.run(fill(path))
    with sqlite3.connect(path) as writer:
        writer.execute("DELETE FROM log WHERE revision = 4")
    writer.close()
    with pytest.raises(StoreError, match="revision 4 is missing"):
        store.sqlite(path)


@pytest.mark.slow
def test_a_program_that_reads_the_file_is_not_called_damage(path: Path) -> None:
    asyncio.run(fill(path))
    reader = sqlite3.connect(path)
    assert reader.execute("SELECT count(*) FROM log").fetchone() == (5,)
    with pytest.raises(StoreError, match="locked by another program"):
        store.sqlite(path)
    reader.close()
    asyncio.run(store.sqlite(path).close())


def test_a_value_that_changed_on_disk_is_noticed(path: Path) -> None:
    asyncio.run(fill(path))
    with sqlite3.connect(path) as writer:
        writer.execute("UPDATE log SET value = '{}' WHERE revision = 4")
    writer.close()
    with pytest.raises(StoreError, match=r"core/pods/default/a at revision 4"):
        store.sqlite(path)


def test_a_strangers_database_is_left_alone(path: Path) -> None:
    with sqlite3.connect(path) as stranger:
        stranger.execute("CREATE TABLE log (line TEXT)")
    stranger.close()
    with pytest.raises(StoreError, match="not one of Lightship's"):
        store.sqlite(path)


def test_a_newer_format_asks_for_an_upgrade(path: Path) -> None:
    asyncio.run(fill(path))
    with sqlite3.connect(path) as newer:
        newer.execute("PRAGMA user_version = 99")
    newer.close()
    with pytest.raises(StoreError, match="upgrade first"):
        store.sqlite(path)


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match=r"cannot open .*file/store\.db"):
        store.sqlite(tmp_path / "file" / "store.db")


def test_two_loops_one_after_the_other(path: Path) -> None:
    s = store.sqlite(path)

    async def write(name: str) -> None:
        await s.commit(put(f"core/pods/default/{name}"))

    asyncio.run(write("a"))
    asyncio.run(write("b"))
    asyncio.run(s.close())
    assert s.revision == 3
