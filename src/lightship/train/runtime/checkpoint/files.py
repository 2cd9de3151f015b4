"""Checkpoints on disk: a directory for each step, which is there whole or not at all, and only the last few of them.

A step is written beside its place, with a list of what it consists of, brought to the disk, and renamed; a process that is killed at any
moment leaves the step before it as the last one. What was damaged afterwards is passed over when resuming. One process writes at a time
(rank 0, or all ranks into the same step). Standard library only.
"""

import json
import os
import re
import shutil
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

VARIABLE = "LIGHTSHIP_CHECKPOINT_DIR"
_MANIFEST = "whole.json"
_STEP = re.compile(r"step-(\d{9,})")
_CHUNK = 1 << 22


def directory(default: str | os.PathLike[str] | None = None) -> Path:
    """Where this job's checkpoints are: what the platform says, or else the default. Raises `LookupError` without either."""
    said = os.environ.get(VARIABLE) or default
    if not said:
        raise LookupError(f"no place for checkpoints: annotate the TrainJob with lightship.dev/checkpoint: 'true', or set {VARIABLE}")
    return Path(said)


class Folder:
    """The checkpoints in a directory, of which the last `keep` are kept."""

    def __init__(self, path: str | os.PathLike[str] | None = None, *, keep: int = 3) -> None:
        if keep < 1:
            raise ValueError(f"keep must be 1 or more, not {keep}")
        self.path = directory(path) if path is None else Path(path)
        self._keep = keep

    def steps(self) -> list[int]:
        """The steps that are there, whole or damaged, the newest first."""
        return sorted((step for step, _ in self._found()), reverse=True)

    def last(self) -> tuple[int, Path] | None:
        """The newest step that is whole, and its directory."""
        for step in self.steps():
            if is_whole(self._place(step)):
                return step, self._place(step)
        return None

    def begin(self, step: int) -> Path:
        """An empty directory to write a step into; `commit` makes it count."""
        draft = self._draft(step)
        shutil.rmtree(draft, ignore_errors=True)
        draft.mkdir(parents=True)
        return draft

    def commit(self, step: int, *, checked: bool = True) -> Path:
        """Make what was written the step, and forget the oldest. `checked`: read it all once more, so that damage shows later."""
        draft, place = self._draft(step), self._place(step)
        _write_manifest(draft, checked)
        if place.exists():  # an attempt that came this far before; what is written now is as good, and whole
            shutil.rmtree(place)
        draft.rename(place)
        _sync(self.path)
        self._forget(step)
        return place

    def write(self, step: int, fill: Callable[[Path], None]) -> Path:
        """Write a step with `fill`, which gets the directory."""
        fill(self.begin(step))
        return self.commit(step)

    def _forget(self, step: int) -> None:
        """Later steps are of a course that was left, as one resumed before them; drafts are of writers that died."""
        found = sorted(self._found(), reverse=True)
        for _, old in [f for f in found if f[0] <= step][self._keep :]:
            shutil.rmtree(old, ignore_errors=True)
        for _, stale in (f for f in found if f[0] > step):
            shutil.rmtree(stale, ignore_errors=True)
        for draft in self.path.glob(".step-*"):
            shutil.rmtree(draft, ignore_errors=True)

    def _found(self) -> Iterator[tuple[int, Path]]:
        if not self.path.is_dir():
            return
        for entry in self.path.iterdir():
            match = _STEP.fullmatch(entry.name)
            if match:
                yield int(match[1]), entry

    def _place(self, step: int) -> Path:
        return self.path / f"step-{step:09d}"

    def _draft(self, step: int) -> Path:
        return self.path / f".step-{step:09d}"


def is_whole(place: Path) -> bool:
    """Is everything there that was written, as it was written?"""
    try:
        listed: dict[str, list[Any]] = json.loads((place / _MANIFEST).read_bytes())["files"]
        return all(
            (place / name).stat().st_size == size and (crc is None or _crc(place / name) == crc) for name, (size, crc) in listed.items()
        )
    except (OSError, ValueError, KeyError, TypeError):
        return False


def _write_manifest(draft: Path, checked: bool) -> None:
    files: dict[str, list[int | None]] = {}
    for file in sorted(p for p in draft.rglob("*") if p.is_file()):
        _sync(file)
        files[str(file.relative_to(draft))] = [file.stat().st_size, _crc(file) if checked else None]
    manifest = draft / _MANIFEST
    manifest.write_text(json.dumps({"files": files}))
    _sync(manifest)
    _sync(draft)


def _crc(file: Path) -> int:
    found = 0
    with file.open("rb") as opened:
        while chunk := opened.read(_CHUNK):
            found = zlib.crc32(chunk, found)
    return found


def _sync(path: Path) -> None:
    """To the disk, not only to the system's memory: the machine may be what fails."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
