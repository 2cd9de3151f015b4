"""The values that everything here speaks of: an object to fetch, what is promised of its bytes, and where it comes from.

`sources` make `Item`s and read ranges of them, `transfer` brings them to disk. A source knows no disk, the rest knows no network.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

from .problems import DamagedError

Chunk: TypeAlias = "bytes | bytearray | memoryview"
CHUNK = 1 << 20
"""Bytes that are in memory at once, for each worker."""


@dataclass(frozen=True)
class Digest:
    """What an object's bytes should hash to."""

    algorithm: str
    """`sha256`, `md5`, or `git`: the object id of a blob."""
    value: str
    """Lower-case hexadecimal."""
    sure: bool = True
    """False for an ETag that looks like a digest and is one almost everywhere."""


@dataclass(frozen=True)
class Item:
    """One object."""

    path: str
    """Where it belongs, below the target directory, with slashes."""
    size: int | None
    """None: nobody says before it ends."""
    identity: str
    """Names exactly these bytes at exactly this place; empty: nothing does, so neither resume nor share them."""
    digest: Digest | None = None
    key: Any = None
    """The source's own."""
    name: str = ""
    """What patterns are compared with; empty: the path."""


class Source(Protocol):
    """Where objects come from. Both methods raise `InitializerError`; they are called from several threads."""

    shared: bool
    """Is it worth keeping for other jobs? Not what is on a disk of this machine anyway."""

    def items(self) -> Iterable[Item]: ...

    def read(self, item: Item, start: int, stop: int | None) -> Iterator[Chunk]:
        """The bytes from `start` to before `stop` (None: all), in chunks of about `CHUNK`; they may stop coming early.

        Raises `ChangedError`, and `NoRangesError` when there is only the whole of it, which is not read then.
        """
        ...

    def close(self) -> None:
        """Nobody will ask any more."""
        ...


def check(path: str) -> str:
    """A path that stays below the target. Raises `DamagedError`."""
    parts = path.split("/")
    if not path or "\0" in path or any(part in ("", ".", "..") for part in parts):
        raise DamagedError(
            f'the source has an object named "{path}", which is no path below a directory: leave it out with IGNORE_PATTERNS'
        )
    return path
