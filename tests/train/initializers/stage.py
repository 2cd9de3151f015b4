"""What tests of initializers share: a source in memory that fails when told to, and runs of the program, here or as pods run it."""

import asyncio
import atexit
import functools
import hashlib
import os
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from lightship.aio.clock import SystemClock
from lightship.node.images.builtin import BUILTIN
from lightship.node.images.environments import Environments, cache_directory
from lightship.train.runtime.initializers import program, settings
from lightship.train.runtime.initializers.downloads import Downloads
from lightship.train.runtime.initializers.items import Chunk, Digest, Item
from lightship.train.runtime.initializers.problems import NoRangesError, UnreachableError
from lightship.train.runtime.initializers.progress import Progress
from lightship.train.runtime.initializers.transfer import Transfer, Wanted
from lightship.train.runtime.initializers.workspace import Workspace

SOURCE = Path(program.__file__).parents[4]
_CHUNK = 1 << 13
PART = 1 << 16


@dataclass
class Memory:
    """Objects by name. `reads` are the ranges that were asked for; `cuts` are bytes after which reads of an object end, one each."""

    objects: dict[str, bytes]
    shared: bool = True
    digests: bool = True
    sure: bool = True
    ranges: bool = True
    sized: bool = True
    reads: list[tuple[str, int, int | None]] = field(default_factory=list)
    cuts: dict[str, list[int]] = field(default_factory=dict)
    spoilt: dict[str, int] = field(default_factory=dict)
    """How many reads from the beginning of an object bring another first byte."""
    gate: threading.Event | None = None
    """Reads wait for it, after having said so by `reached`."""
    reached: threading.Event = field(default_factory=threading.Event)

    def items(self) -> Iterator[Item]:
        for name, found in self.objects.items():
            digest = Digest("md5" if not self.sure else "sha256", _digest(found, sure=self.sure), self.sure) if self.digests else None
            yield Item(name, len(found) if self.sized else None, f"memory {name} {_digest(found)}" if self.sized else "", digest)

    def read(self, item: Item, start: int, stop: int | None) -> Iterator[Chunk]:
        self.reads.append((item.path, start, stop))
        if not self.ranges and (start or stop is not None):
            raise NoRangesError
        if self.gate is not None:
            self.reached.set()
            self.gate.wait(60)
        body = self.objects[item.path][start:stop]
        if start == 0 and self.spoilt.get(item.path):
            self.spoilt[item.path] -= 1
            body = bytes([body[0] ^ 1]) + body[1:]
        cuts = self.cuts.get(item.path)
        cut = cuts.pop(0) if cuts else None
        for at in range(0, len(body) if cut is None else cut, _CHUNK):
            yield body[at : min(at + _CHUNK, len(body) if cut is None else cut)]
        if cut is not None:
            raise UnreachableError("the line went dead")

    def close(self) -> None:
        pass


def _digest(found: bytes, *, sure: bool = True) -> str:
    return (hashlib.sha256(found) if sure else hashlib.md5(found, usedforsecurity=False)).hexdigest()


@dataclass
class Outcome:
    """What a transfer did and said."""

    progress: Progress
    lines: list[str]
    pauses: list[float]


def transfer(source: Memory, workspace: Path, downloads: Path | None = None, wanted: Wanted = Wanted(), workers: int = 4) -> Outcome:  # noqa: B008
    """Bring the objects of a source to `workspace/dataset`. Nobody waits: pauses are written down."""
    lines: list[str] = []
    pauses: list[float] = []
    progress = Progress(lines.append, SystemClock().monotonic)
    places = Workspace(workspace / "dataset", workspace / ".lightship")
    shared = Downloads(downloads) if downloads else None
    outcome = Outcome(progress, lines, pauses)
    Transfer(source, places, shared, progress, pauses.append, PART).run(wanted, workers)
    return outcome


def contents(directory: Path) -> dict[str, bytes]:
    """All files below a directory."""
    return {path.relative_to(directory).as_posix(): path.read_bytes() for path in sorted(directory.rglob("*")) if path.is_file()}


def run(workspace: Path, uri: str, kind: str = settings.DATASET, **variables: str) -> list[str]:
    """The program in this process. Raises what it raises; the lines that it said."""
    wanted = settings.read(kind, {"STORAGE_URI": uri, "LIGHTSHIP_WORKSPACE": str(workspace), **variables})
    assert wanted is not None
    lines: list[str] = []
    program.run(wanted, lines.append, lambda seconds: None, SystemClock())
    return lines


@functools.cache
def python() -> str:
    """The interpreter that the image of initializers means: with huggingface_hub and obstore, built once for this machine."""
    entry = next(entry for entry in BUILTIN if entry.pattern.endswith("dataset-initializer"))
    environments = Environments(cache_directory(), SystemClock())
    atexit.register(environments.store.close)  # what nobody uses may be removed
    return asyncio.run(environments.ensure(entry.packages, print)).python


def variables(workspace: Path, uri: str, more: Mapping[str, str]) -> dict[str, str]:
    """The environment of a pod's program, without what this machine's says of networks."""
    inherited = {name: value for name, value in os.environ.items() if "proxy" not in name.lower() and not name.startswith(("AWS_", "HF_"))}
    own = {"PYTHONPATH": str(SOURCE), "STORAGE_URI": uri, "LIGHTSHIP_WORKSPACE": str(workspace), "HOME": str(workspace)}
    return {**inherited, **own, "LIGHTSHIP_TERMINATION_LOG": str(workspace / "message"), **more}


def start(workspace: Path, uri: str, kind: str = settings.DATASET, /, **more: str) -> "subprocess.Popen[str]":
    """The program in a process of its own, of this interpreter where nothing beyond the standard library is needed."""
    plain = uri.partition(":")[0] in ("http", "https", "file", "pvc")
    command = [sys.executable if plain else python(), "-m", f"lightship.train.runtime.initializers.{kind}"]
    environment = variables(workspace, uri, more)
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def finish(workspace: Path, uri: str, kind: str = settings.DATASET, /, **more: str) -> tuple[int, str]:
    """Start it and wait; exit code and output."""
    process = start(workspace, uri, kind, **more)
    output, _ = process.communicate(timeout=120)
    return process.returncode, output
