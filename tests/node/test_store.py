"""Where environments are kept: built once, by whoever comes first and lives; never removed under those who use them."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from lightship.aio.clock import SystemClock
from lightship.node.images import keeper
from lightship.node.images.catalogue import Catalogue
from lightship.node.images.environments import Environment
from lightship.node.images.installer import Progress
from lightship.node.images.keeper import Disk, Policy
from lightship.node.images.store import InUseError, Record, Store, Stored

BUILDER = """
import asyncio, sys
from pathlib import Path
from lightship.aio.clock import SystemClock
from lightship.node.images.store import Record, Store

directory, mode = Path(sys.argv[1]), sys.argv[2]

async def build(draft):
    draft.mkdir()
    (draft / "half").touch()
    print("building", flush=True)
    if mode == "hang":
        sys.stdin.readline()
    (draft / "whole").touch()
    return Record(packages=["x"])

async def main():
    store = Store(directory, SystemClock(), mode)
    await store.lease("x", build)
    print("ready", flush=True)
    sys.stdin.readline()

asyncio.run(main())
"""


class Builder:
    """Another process that uses the store, and says what it does."""

    def __init__(self, directory: Path, mode: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", BUILDER, str(directory), mode], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def says(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def go_on(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write("\n")
        self.process.stdin.flush()

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.process.communicate()


@pytest.fixture
def builders(tmp_path: Path) -> Iterator[list[Builder]]:
    made: list[Builder] = []
    yield made
    for builder in made:
        builder.kill()


def names(directory: Path) -> list[str]:
    return sorted(p.name for p in directory.iterdir())


async def make(draft: Path) -> Record:
    fill(draft)
    return Record(packages=["x"])


def fill(draft: Path) -> None:
    draft.mkdir()
    (draft / "file").write_bytes(b"x" * 10_000)


async def never(draft: Path) -> Record:
    raise AssertionError("it is there already")


@pytest.mark.slow
def test_a_builder_that_is_killed_leaves_the_work_to_the_next(tmp_path: Path, builders: list[Builder]) -> None:
    builders.append(first := Builder(tmp_path, "hang"))
    assert first.says() == "building"
    builders.append(second := Builder(tmp_path, "quick"))
    first.kill()
    assert (second.says(), second.says()) == ("building", "ready")
    assert names(tmp_path / "x") == ["half", "whole"]
    assert [n for n in names(tmp_path) if ".building" in n] == []


@pytest.mark.slow
def test_two_processes_build_once(tmp_path: Path, builders: list[Builder]) -> None:
    builders.append(first := Builder(tmp_path, "hang"))
    assert first.says() == "building"
    builders.append(second := Builder(tmp_path, "quick"))
    first.go_on()
    assert first.says() == "ready"
    assert second.says() == "ready", "without building"
    store = Store(tmp_path, SystemClock())
    assert [sorted(s.used_by) for s in store.listed()] == [["hang", "quick"]]
    with pytest.raises(InUseError, match="x is used by"):
        asyncio.run(store.remove("x"))
    first.kill()
    assert [s.used_by for s in store.listed()] == [["quick"]], "the lease of a dead process counts for nothing"
    second.kill()
    asyncio.run(store.remove("x"))
    assert names(tmp_path) == []


def test_what_is_leased_stays_until_it_is_given_back(tmp_path: Path) -> None:
    async def run() -> None:
        ours, others = Store(tmp_path, SystemClock(), "ours"), Store(tmp_path, SystemClock(), "others")
        await ours.lease("x", make)
        assert [(s.name, s.record.packages, s.used_by) for s in others.listed()] == [("x", ["x"], ["ours"])]
        with pytest.raises(InUseError, match="x is used by ours"):
            await others.remove("x")
        ours.release({"x"}, 0.0)
        with pytest.raises(InUseError):
            await others.remove("x")
        ours.release(set(), 3600.0)
        assert others.listed()[0].used_by == ["ours"], "asked for a moment ago"
        ours.release(set(), 0.0)
        assert await others.remove("x") >= 10_000
        with pytest.raises(KeyError):
            await others.remove("x")
        assert names(tmp_path) == []
        await ours.lease("x", make)
        await ours.lease("x", never)
        ours.close()
        assert names(tmp_path) == ["x", "x.json", "x.lock"]

    asyncio.run(run())


def test_an_environment_that_is_deleted_by_hand_is_made_again(tmp_path: Path) -> None:
    async def run() -> None:
        store = Store(tmp_path, SystemClock())
        path = await store.lease("x", make)
        for left in [*path.iterdir(), tmp_path / "x.lock", tmp_path / "x.json"]:
            left.unlink()
        path.rmdir()
        assert (await store.lease("x", make) / "file").exists()
        store.close()

    asyncio.run(run())


def test_what_the_dead_left_is_swept(tmp_path: Path) -> None:
    async def run() -> None:
        store = Store(tmp_path, SystemClock())
        await store.lease("x", make)
        for name in ("x.building-1-1", "y.removing-1-1", "z.building"):
            (tmp_path / name).mkdir()
        assert [s.name for s in store.listed()] == ["x"]
        await asyncio.to_thread(store.sweep)
        assert [n for n in names(tmp_path) if "building" in n or "removing" in n] == []
        store.close()

    asyncio.run(run())


def test_a_build_that_fails_leaves_nothing(tmp_path: Path) -> None:
    async def fail(draft: Path) -> Record:
        fill(draft)
        raise OSError("no")

    async def run() -> None:
        store = Store(tmp_path, SystemClock())
        with pytest.raises(OSError, match="no"):
            await store.lease("x", fail)
        assert names(tmp_path) == ["x.lock"]

    asyncio.run(run())


def test_an_environment_without_a_record_is_measured(tmp_path: Path) -> None:
    fill(tmp_path / "old")
    (found,) = Store(tmp_path, SystemClock()).listed()
    assert (found.record.size >= 10_000, found.record.packages) == (True, [])
    assert Store(tmp_path, SystemClock()).record("old") == found.record


def test_many_may_list_and_remember_at_once(tmp_path: Path) -> None:
    async def run() -> None:
        stores = [Store(tmp_path, SystemClock()) for _ in range(3)]
        for number in range(30):
            fill(tmp_path / f"old{number}")
        found = await asyncio.gather(*(asyncio.to_thread(store.listed) for store in stores))
        assert [len(listed) for listed in found] == [30, 30, 30]
        assert len({tuple(sorted((stored.name, stored.record.size) for stored in listed)) for listed in found}) == 1
        assert [name for name in names(tmp_path) if ".json-" in name] == []

    asyncio.run(run())


def test_image_names_are_remembered_the_newest_first(tmp_path: Path) -> None:
    async def run() -> None:
        store = Store(tmp_path, SystemClock())
        await store.lease("x", make)
        assert [store.remember("x", image) for image in ("a", "a", "b", "a")] == [True, False, True, False]
        assert store.record("x").images == ["a", "b"]
        store.close()

    asyncio.run(run())


# keeping the disk free --------------------------------------------------------------------------------------------------------------------


def kept(name: str, *, used: float, size: int = 10, by: list[str] | None = None, kept: bool = False) -> Stored:
    return Stored(name, Record(size=size, images=[f"{name}:1"], kept=kept), used, by or [])


def test_the_least_recently_used_goes_first_and_what_is_needed_never() -> None:
    found = [
        kept("new", used=95),
        kept("young", used=30),
        kept("old", used=10),
        kept("busy", used=1, by=["p"]),
        kept("loaded", used=1, kept=True),
    ]
    assert [s.name for s in keeper.removable(found, 100.0, 20.0)] == ["old", "young"]


def test_the_node_lists_the_largest_images_first() -> None:
    found = [kept("a", used=2), kept("b", used=1, size=20), Stored("c", Record(size=5, images=["a:1"]), 1.0, [])]
    assert keeper.node_images(found) == [{"names": ["b:1"], "sizeBytes": 20}, {"names": ["a:1"], "sizeBytes": 10}]


@pytest.mark.parametrize(("free", "want_left"), [(160, ["x", "y"]), (140, ["y"])])
def test_space_is_freed_when_the_disk_is_too_full(tmp_path: Path, free: int, want_left: list[str]) -> None:
    async def run() -> None:
        store = Store(tmp_path, SystemClock())
        for name, used in (("x", 1_000), ("y", 2_000)):
            await store.lease(name, make)
            store.close()
            os.utime(tmp_path / f"{name}.lock", (used, used))
        wanted, freed = await keeper.collect(store, Policy(), 3_000.0, Disk(1_000, free))
        assert [s.name for s in store.listed()] == want_left
        assert (wanted > 0) is (freed > 0) is (free < 150)

    asyncio.run(run())


def test_all_that_nobody_uses_goes_when_pods_would_have_to(tmp_path: Path) -> None:
    """However full the disk is; but not what was made for a pod that has yet to start."""

    async def main() -> None:
        store = Store(tmp_path, SystemClock())
        for name, used in (("idle", 1_000), ("used", 1_000), ("new", 2_950)):
            await store.lease(name, make)
            os.utime(tmp_path / f"{name}.lock", (used, used))
        store.release(["used"], 0.0)
        assert await keeper.reclaim(store, Policy(), 3_000.0) > 0
        assert [s.name for s in store.listed()] == ["new", "used"]
        store.close()

    asyncio.run(main())


def test_the_disk_is_measured_where_the_store_will_be(tmp_path: Path) -> None:
    disk = keeper.measure(Store(tmp_path / "not" / "yet", SystemClock()))
    assert 0 < disk.free <= disk.total
    assert 0 <= disk.used_percent <= 100


def test_what_no_pod_names_is_given_back(tmp_path: Path) -> None:
    class Builder:
        tools = tmp_path

        def __init__(self, store: Store) -> None:
            self.store = store

        async def ensure(self, requirements: Sequence[str], progress: Progress, extra: Sequence[str] = ()) -> Environment:
            await self.store.lease("x", make)
            return Environment(name="x", path=[])

    async def run() -> None:
        store = Store(tmp_path / "store", SystemClock(), "ours")
        catalogue, used = Catalogue(tmp_path / "images.json", Builder(store)), {"x"}
        catalogue.users.append(lambda: used)
        news = catalogue.listen()
        await catalogue.resolve("python:3", lambda line: None)
        assert news.is_set()
        assert keeper.node_images(await catalogue.stored())[0]["names"] == ["python:3"]
        news.clear()
        await catalogue.resolve("python:3", lambda line: None)
        assert not news.is_set(), "nothing new"
        assert catalogue.tidy(0.0) is store
        assert [found.used_by for found in store.listed()] == [["ours"]]
        used.clear()
        catalogue.tidy(120.0)
        assert [found.used_by for found in store.listed()] == [["ours"]], "a pod may be about to start with it"
        catalogue.tidy(0.0)
        assert [found.used_by for found in store.listed()] == [[]]

    asyncio.run(run())
