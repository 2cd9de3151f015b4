"""Objects on their way: parts, resumption, damage, sharing between jobs. The source is in memory, the disk is real."""

import hashlib
import os
import random
import shutil
import threading
from pathlib import Path

import pytest

from lightship.train.runtime.initializers.downloads import Downloads
from lightship.train.runtime.initializers.problems import DamagedError, MissingError, NoRoomError, UnreachableError
from lightship.train.runtime.initializers.transfer import Wanted
from tests.train.initializers.stage import PART, Memory, contents, transfer

RANDOM = random.Random(7)
BIG = RANDOM.randbytes(3 * PART + 12_345)
SMALL = {"a.txt": b"one", "deep/b.txt": b"two", "empty": b""}
LATER = 1e12
"""Seconds since the epoch, long after all files."""


def bytes_read(source: Memory, name: str) -> int:
    size = len(source.objects[name])
    return sum((size if stop is None else stop) - start for found, start, stop in source.reads if found == name)


def blobs(downloads: Path) -> list[Path]:
    return [path for path in downloads.glob("blobs/*/*") if path.is_file()]


@pytest.mark.parametrize("shared", [False, True])
def test_everything_comes_in_parts(tmp_path: Path, shared: bool) -> None:
    source = Memory({**SMALL, "big": BIG})
    outcome = transfer(source, tmp_path / "w", tmp_path / "d" if shared else None)
    assert contents(tmp_path / "w" / "dataset") == source.objects
    assert sorted(stop - start for name, start, stop in source.reads if name == "big" and stop) == [12_345, PART, PART, PART]
    assert (outcome.progress.done, outcome.progress.fetched) == (4, len(BIG) + 6)
    left = list((tmp_path / "w" / ".lightship" / "partial").iterdir())
    assert left == [], "nothing unfinished is left behind"


def test_patterns_choose(tmp_path: Path) -> None:
    source = Memory({"model.bin": b"x", "a/config.json": b"y", "a/notes.md": b"z", "logs/1.json": b"w"})
    outcome = transfer(source, tmp_path, wanted=Wanted(allow=("*.json", "*.md"), ignore=("logs/", "*.md")))
    assert list(contents(tmp_path / "dataset")) == ["a/config.json"]
    assert outcome.progress.left_out == 3
    with pytest.raises(MissingError, match="all 4 objects are left out"):
        transfer(source, tmp_path, wanted=Wanted(ignore=("*",)))


def test_nothing_at_all_is_missing(tmp_path: Path) -> None:
    with pytest.raises(MissingError, match="there is nothing in it"):
        transfer(Memory({}), tmp_path)


@pytest.mark.parametrize("name", ["../up", "/root", "a//b", "a/./b", ""])
def test_no_object_leaves_the_target(tmp_path: Path, name: str) -> None:
    with pytest.raises(DamagedError, match="no path below a directory"):
        transfer(Memory({name: b"x"}), tmp_path)


@pytest.mark.parametrize("shared", [False, True])
def test_a_cut_request_goes_on_where_it_ended(tmp_path: Path, shared: bool) -> None:
    source = Memory({"big": BIG}, cuts={"big": [PART // 2, 1000, 0]})
    transfer(source, tmp_path / "w", tmp_path / "d" if shared else None)
    assert contents(tmp_path / "w" / "dataset") == source.objects
    begun = [start for _, start, _ in source.reads]
    assert len(begun) == len(set(begun)) + 1, "only the request that brought nothing began again where it had begun"


def test_a_source_that_brings_nothing_is_given_up(tmp_path: Path) -> None:
    source = Memory({"big": BIG}, cuts={"big": [0] * 100})
    outcome_lines: list[str] = []
    with pytest.raises(UnreachableError, match="the line went dead"):
        outcome_lines = transfer(source, tmp_path).lines
    assert outcome_lines == []
    assert len(source.reads) <= 4 * 8


def test_what_was_killed_goes_on_with_what_is_missing(tmp_path: Path) -> None:
    """Here the first run ends by an error; `test_kill` kills processes."""
    first = Memory({"big": BIG}, cuts={"big": [PART, PART, PART] + [0] * 100})
    with pytest.raises(UnreachableError):
        transfer(first, tmp_path, workers=1)
    second = Memory({"big": BIG})
    outcome = transfer(second, tmp_path)
    assert contents(tmp_path / "dataset") == {"big": BIG}
    assert outcome.progress.there == 3 * PART
    assert bytes_read(second, "big") == len(BIG) - 3 * PART
    assert any("going on after" in line for line in outcome.lines)


def test_a_part_that_the_disk_has_spoilt_comes_again(tmp_path: Path) -> None:
    first = Memory({"big": BIG}, digests=False, cuts={"big": [PART, PART, PART] + [0] * 100})
    with pytest.raises(UnreachableError):
        transfer(first, tmp_path, workers=1)
    partial = next(path for path in (tmp_path / ".lightship" / "partial").iterdir() if not path.suffix)
    with partial.open("r+b") as file:
        for number in range(3):
            file.seek(number * PART + 5)
            file.write(b"spoilt")
    second = Memory({"big": BIG}, digests=False)
    transfer(second, tmp_path)
    assert contents(tmp_path / "dataset") == {"big": BIG}
    assert bytes_read(second, "big") == len(BIG), "every part was spoilt, and was noticed without any digest of the source's"


def test_another_object_of_the_same_name_does_not_go_on_with_the_first(tmp_path: Path) -> None:
    with pytest.raises(UnreachableError):
        transfer(Memory({"big": BIG}, cuts={"big": [PART, PART, PART] + [0] * 100}), tmp_path, workers=1)
    other = Memory({"big": BIG[::-1]})
    assert transfer(other, tmp_path).progress.there == 0
    assert contents(tmp_path / "dataset") == other.objects


@pytest.mark.parametrize("shared", [False, True])
def test_bytes_that_are_not_what_was_promised_come_again(tmp_path: Path, shared: bool) -> None:
    source = Memory({"big": BIG}, spoilt={"big": 1})
    outcome = transfer(source, tmp_path / "w", tmp_path / "d" if shared else None)
    assert contents(tmp_path / "w" / "dataset") == source.objects
    assert any("fetching all parts again" in line for line in outcome.lines)
    always = Memory({"big": BIG}, spoilt={"big": 100})
    with pytest.raises(DamagedError, match="fetched 3 times"):
        transfer(always, tmp_path / "v", tmp_path / "e" if shared else None)
    assert not (tmp_path / "v" / "dataset" / "big").exists()
    assert not blobs(tmp_path / "e"), "nothing wrong is shared"


def test_an_etag_that_is_no_digest_costs_one_object_a_second_time(tmp_path: Path) -> None:
    source = Memory({"a": b"first", "b": b"second", "c": b"third"}, sure=False)
    honest = source.items
    source.items = lambda: (  # type: ignore[method-assign]
        item.__class__(item.path, item.size, item.identity, item.digest.__class__("md5", "0" * 32, False))
        for item in honest()
        if item.digest
    )
    transfer(source, tmp_path)
    assert contents(tmp_path / "dataset") == source.objects
    assert 4 <= len(source.reads) <= 6, "what was under way at that time may have come twice as well"


@pytest.mark.parametrize("sized", [False, True])
def test_without_ranges_it_comes_in_one_go(tmp_path: Path, sized: bool) -> None:
    source = Memory({"big": BIG}, ranges=False, sized=sized, cuts={"big": [] if sized else [5000]})
    transfer(source, tmp_path / "w", tmp_path / "d")
    assert contents(tmp_path / "w" / "dataset") == source.objects
    assert source.reads[-1] == ("big", 0, None)


def test_a_finished_file_is_left_alone_and_a_touched_one_looked_at(tmp_path: Path) -> None:
    objects = {"a": b"first", "b": b"second", "c": b"third"}
    transfer(Memory(objects), tmp_path)
    (tmp_path / "dataset" / "b").write_bytes(b"broken")
    (tmp_path / "dataset" / "c").write_bytes(b"third")  # as it was, at another time
    again = Memory(objects)
    outcome = transfer(again, tmp_path)
    assert [name for name, _, _ in again.reads] == ["b"]
    assert contents(tmp_path / "dataset") == objects
    assert outcome.progress.done == 3


# What jobs share -------------------------------------------------------------------------------------------------------------------------


def test_the_second_job_copies(tmp_path: Path) -> None:
    objects = {**SMALL, "big": BIG}
    transfer(Memory(objects), tmp_path / "one", tmp_path / "d")
    second = Memory(objects)
    outcome = transfer(second, tmp_path / "two", tmp_path / "d")
    assert second.reads == []
    assert contents(tmp_path / "two" / "dataset") == objects
    assert outcome.progress.shared == len(BIG) + 6
    mine = tmp_path / "two" / "dataset" / "big"
    mine.write_bytes(b"trained on")
    assert transfer(Memory(objects), tmp_path / "three", tmp_path / "d").progress.shared == len(BIG) + 6, "workspaces are their own"
    assert contents(tmp_path / "three" / "dataset") == objects


def test_nobody_has_to_trust_what_is_shared(tmp_path: Path) -> None:
    transfer(Memory({"big": BIG}), tmp_path / "one", tmp_path / "d")
    blob = blobs(tmp_path / "d")[0]
    blob.chmod(0o644)
    blob.write_bytes(BIG[:-1] + b"!")
    second = Memory({"big": BIG})
    outcome = transfer(second, tmp_path / "two", tmp_path / "d")
    assert contents(tmp_path / "two" / "dataset") == {"big": BIG}
    assert bytes_read(second, "big") == len(BIG)
    assert any("damaged" in line for line in outcome.lines)
    assert hashlib.sha256(blobs(tmp_path / "d")[0].read_bytes()).hexdigest() == blob.name, "and the right bytes are shared again"


def test_a_link_among_what_is_shared_leads_nowhere(tmp_path: Path) -> None:
    transfer(Memory({"a": b"first"}), tmp_path / "one", tmp_path / "d")
    blob = blobs(tmp_path / "d")[0]
    secret = tmp_path / "secret"
    secret.write_bytes(b"first")
    blob.unlink()
    blob.symlink_to(secret)
    second = Memory({"a": b"first"})
    transfer(second, tmp_path / "two", tmp_path / "d")
    assert len(second.reads) == 1
    assert secret.read_bytes() == b"first"


def test_the_same_bytes_of_two_sources_are_kept_once(tmp_path: Path) -> None:
    transfer(Memory({"a": b"same", "b": b"same"}), tmp_path / "one", tmp_path / "d")
    assert len(blobs(tmp_path / "d")) == 1
    other = Memory({"elsewhere": b"same"})
    transfer(other, tmp_path / "two", tmp_path / "d")
    assert other.reads == [], "its digest says that the bytes are here"


def test_jobs_that_start_together_fetch_once(tmp_path: Path) -> None:
    first = Memory({"big": BIG}, gate=threading.Event())
    second = Memory({"big": BIG})
    lines: list[str] = []
    assert first.gate is not None
    one = threading.Thread(target=transfer, args=(first, tmp_path / "one", tmp_path / "d"))
    two = threading.Thread(target=lambda: lines.extend(transfer(second, tmp_path / "two", tmp_path / "d").lines))
    one.start()
    first.reached.wait(60)
    two.start()
    # The second one is sure to find the first at it: the gate opens only once it has seen the lock taken.
    lock = Downloads(tmp_path / "d").lock(next(iter(second.items())).identity, wait=False)
    assert lock is None
    first.gate.set()
    one.join(60)
    two.join(60)
    assert second.reads == []
    assert contents(tmp_path / "one" / "dataset") == contents(tmp_path / "two" / "dataset") == {"big": BIG}


def test_jobs_that_want_the_same_in_another_order_do_not_wait_for_each_other_for_ever(tmp_path: Path) -> None:
    objects = {f"{n}": RANDOM.randbytes(2000) for n in range(60)}
    sources = [Memory(objects), Memory(dict(reversed(objects.items())))]
    threads = [threading.Thread(target=transfer, args=(s, tmp_path / f"{n}", tmp_path / "d")) for n, s in enumerate(sources)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert contents(tmp_path / "0" / "dataset") == contents(tmp_path / "1" / "dataset") == objects
    assert sum(len(source.reads) for source in sources) == 60, "each was fetched by one of them"


def test_what_was_not_used_for_longest_goes_first(tmp_path: Path) -> None:
    for number in range(5):
        transfer(Memory({"a": bytes([number]) * 100_000}), tmp_path / f"{number}", tmp_path / "d")
    shared = Downloads(tmp_path / "d", limit=300_000)
    old = {hashlib.sha256(bytes([n]) * 100_000).hexdigest(): n for n in range(5)}
    for blob in blobs(tmp_path / "d"):
        number = old[blob.name]
        os.utime(blob, (1000 + (number + 3) % 5, 1000 + (number + 3) % 5))  # 2 is the oldest, then 3, 4, 0, 1
    assert shared.trim(LATER) > 0
    assert sorted(old[blob.name] for blob in blobs(tmp_path / "d")) == [0, 1]


def test_what_is_being_fetched_is_not_tidied_away(tmp_path: Path) -> None:
    source = Memory({"big": BIG}, gate=threading.Event())
    thread = threading.Thread(target=transfer, args=(source, tmp_path / "w", tmp_path / "d"))
    thread.start()
    source.reached.wait(60)
    Downloads(tmp_path / "d", limit=1).trim(LATER)
    assert source.gate is not None
    source.gate.set()
    thread.join(60)
    assert contents(tmp_path / "w" / "dataset") == {"big": BIG}


def test_a_stale_beginning_goes(tmp_path: Path) -> None:
    with pytest.raises(UnreachableError):
        transfer(Memory({"big": BIG}, cuts={"big": [PART] + [0] * 100}), tmp_path / "w", tmp_path / "d")
    assert list((tmp_path / "d" / "partial").iterdir())
    Downloads(tmp_path / "d").trim(LATER)
    assert not list((tmp_path / "d" / "partial").iterdir())


def test_a_full_disk_is_said_before_anything_is_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(10, 10, 0))
    source = Memory({"big": BIG})
    with pytest.raises(NoRoomError, match=r"big needs 204\.1 KiB more"):
        transfer(source, tmp_path)
    assert source.reads == []
