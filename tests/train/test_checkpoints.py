"""Checkpoints on disk: whole or not there, the last few of them, and what is damaged is passed over."""

import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from lightship.train.runtime.checkpoint import VARIABLE, Folder, directory
from lightship.train.runtime.checkpoint.leaving import Leaving


def fill(text: str) -> Callable[[Path], None]:
    def write(place: Path) -> None:
        (place / "state.pt").write_text(text)
        (place / "shards").mkdir()
        (place / "shards" / "0").write_text(text)

    return write


def folder(tmp_path: Path, *steps: int, keep: int = 3) -> Folder:
    found = Folder(tmp_path, keep=keep)
    for step in steps:
        found.write(step, fill(f"step {step}"))
    return found


def test_the_last_few_are_kept(tmp_path: Path) -> None:
    found = folder(tmp_path, 10, 20, 30, 40, keep=2)
    assert found.steps() == [40, 30]
    last = found.last()
    assert last is not None
    assert (last[0], (last[1] / "state.pt").read_text()) == (40, "step 40")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["step-000000030", "step-000000040"]


def test_there_may_be_none(tmp_path: Path) -> None:
    assert Folder(tmp_path / "gone").last() is None


@pytest.mark.parametrize("damage", ["missing", "short", "changed", "manifest", "no manifest"])
def test_what_is_damaged_is_passed_over(tmp_path: Path, damage: str) -> None:
    found = folder(tmp_path, 1, 2)
    place = tmp_path / "step-000000002"
    match damage:
        case "missing":
            (place / "shards" / "0").unlink()
        case "short":
            (place / "state.pt").write_text("step")
        case "changed":
            (place / "state.pt").write_text("stop 2")
        case "manifest":
            (place / "whole.json").write_text("{")
        case _:
            (place / "whole.json").unlink()
    last = found.last()
    assert last is not None
    assert last[0] == 1


def test_a_writer_that_dies_leaves_the_one_before(tmp_path: Path) -> None:
    found = folder(tmp_path, 1)

    def die(place: Path) -> None:
        (place / "state.pt").write_text("half of")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        found.write(2, die)
    assert found.steps() == [1]
    folder(tmp_path, 2)
    assert [p.name for p in tmp_path.iterdir() if p.name.startswith(".")] == [], "what was half written is gone"


def test_a_step_that_is_reached_again_takes_the_place_of_the_first(tmp_path: Path) -> None:
    found = folder(tmp_path, 1, 2, 3)
    found.write(2, fill("again"))
    assert found.steps() == [2, 1], "what came after it is of another course"
    last = found.last()
    assert last is not None
    assert (last[1] / "state.pt").read_text() == "again"


def test_where_checkpoints_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    with pytest.raises(LookupError, match=r"annotate the TrainJob with lightship\.dev/checkpoint"):
        directory()
    assert directory(tmp_path) == tmp_path
    monkeypatch.setenv(VARIABLE, "/checkpoint")
    assert directory(tmp_path) == Path("/checkpoint")
    with pytest.raises(ValueError, match="keep must be 1 or more"):
        Folder(tmp_path, keep=0)


def test_leaving_hears_the_signal() -> None:
    before = signal.getsignal(signal.SIGTERM)
    try:
        leaving = Leaving()
        assert not leaving.asked
        os.kill(os.getpid(), signal.SIGTERM)
        assert leaving.asked
    finally:
        signal.signal(signal.SIGTERM, before)
