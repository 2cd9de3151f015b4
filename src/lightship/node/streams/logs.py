"""Reading container logs: the CRI files that the runtimes write, served as PodLogOptions ask.

`Logs` is what the API server calls (`meta.rest.NodeConnection`); the agent tells it where a pod's containers stand. Files are read in
large blocks and cut by fixed columns, since our own writer makes them: 30 bytes of time, the stream, a tag, the text. A log is all its
files (`runtimes.logfiles`); who follows one goes on to the next where it was turned over.
Contract: PodLogOptions; kubelet validateContainerLogStatus (texts), CRI logging format.
"""

import asyncio
import contextlib
import functools
import os
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO, TypeVar

import msgspec

from lightship.aio.clock import Clock
from lightship.aio.streams import closing
from lightship.meta import errors, times
from lightship.meta.rest import LogOptions
from lightship.node.runtimes import logfiles
from lightship.node.runtimes.recent import FileId, Follower, identity

from . import tailing
from .cutting import Cutter
from .filewatch import FileWatch

T = TypeVar("T")
BLOCK = 262_144
"""Bytes read at a time."""


class Run(msgspec.Struct, frozen=True):
    """One run of a container and its log file."""

    path: Path
    container_id: str


class Position(msgspec.Struct, frozen=True, kw_only=True):
    """Where a container stands, as far as its logs are concerned."""

    waiting: str = ""
    """The reason for which it has never run."""
    unknown: bool = False
    """The pod's status does not tell of it yet."""
    current: Run | None = None
    previous: Run | None = None


class Source(msgspec.Struct, frozen=True, kw_only=True):
    """One pod as its node knows it."""

    containers: Sequence[str]
    init_containers: Sequence[str]
    ephemeral_containers: Sequence[str] = ()
    position: Callable[[str], Position]
    """Where a container stands now."""
    running: Callable[[str], bool]
    """Does the container with this id still run?"""


Find = Callable[[str, str, str], Source | None]
"""(namespace, pod, uid or empty) → the pod, or None when it is not on this node."""


class Logs:
    """Serves logs of the pods that `find` knows."""

    def __init__(self, find: Find, clock: Clock, files: FileWatch | None = None) -> None:
        self._find = find
        self._clock = clock
        self._files = files or FileWatch()

    def changed(self, path: Path) -> None:
        """Wake followers: the container has ended, its file is complete."""
        self._files.notify(str(path))

    async def logs(self, namespace: str, pod: str, uid: str, options: LogOptions) -> AsyncIterator[bytes]:
        """The wanted part of a log, in chunks. Raises `StatusError` before the first chunk."""
        source = self._find(namespace, pod, uid)
        if source is None:
            raise errors.not_found("pods", pod)
        name = choose_container(source, pod, options.container)
        run = choose_run(source.position(name), name, pod, previous=options.previous)
        async with closing(self._limited(source, run, options)) as chunks:
            async for chunk in chunks:
                yield chunk

    async def _limited(self, source: Source, run: Run, options: LogOptions) -> AsyncIterator[bytes]:
        left = options.limit_bytes
        async with closing(self._chunks(source, run, options)) as chunks:
            async for chunk in chunks:
                if left is not None and len(chunk) >= left:
                    yield chunk[:left]
                    return
                if left is not None:
                    left -= len(chunk)
                yield chunk

    async def _chunks(self, source: Source, run: Run, options: LogOptions) -> AsyncIterator[bytes]:
        lines = Cutter(since=since_stamp(options, self._clock.now()), timestamps=options.timestamps)
        path = str(run.path)
        start = await _aside(path, lambda: tailing.start(path, options.tail_lines))
        number, offset, last = start.number, start.offset, logfiles.segments(path)[-1].number
        with self._files.subscribe(path) as grown, _following(path, options) as recent:
            while (opened := await _open(path, number)) is not None:
                number, file = opened
                with file:
                    file.seek(offset)
                    offset = 0
                    follows = options.follow and (lambda: source.running(run.container_id))
                    async with closing(self._file(path, file, follows or None, grown, lines, recent)) as chunks:
                        async for chunk in chunks:
                            yield chunk
                    if _is_current(path, file) or (not options.follow and number >= last):
                        return
                number += 1

    async def _file(
        self,
        path: str,
        file: BinaryIO,
        follows: Callable[[], bool] | None,
        grown: asyncio.Event,
        lines: Cutter,
        recent: Follower | None,
    ) -> AsyncIterator[bytes]:
        """The rest of one file of a log; of the current one to the end of the container, if it is followed."""
        read = functools.partial(_read, file)
        if recent is not None:
            read = functools.partial(_recall, file, identity(file.fileno()), recent)
        while True:
            grown.clear()
            # Asked before reading: what was written before the end is read after it.
            over = follows is None or not follows() or not _is_current(path, file)
            while (chunk := read(lines)) is not None:
                if chunk:
                    yield chunk
                await self._clock.sleep(0)
            if over:
                return
            await grown.wait()


def _following(path: str, options: LogOptions) -> AbstractContextManager[Follower | None]:
    recent = logfiles.recent(path) if options.follow else None
    return recent.following() if recent is not None else contextlib.nullcontext()


def _read(file: BinaryIO, lines: Cutter, most: int = BLOCK) -> bytes | None:
    """What the client sees of the next block of a file, None at its end."""
    block = file.read(min(most, BLOCK))
    return lines.feed(block) if block else None


def _recall(file: BinaryIO, which: FileId, recent: Follower, lines: Cutter) -> bytes | None:
    """The same, from memory where that has it."""
    at = file.tell()
    said = recent.take(which, at)
    if said is None:
        return _read(file, lines, recent.until(which, at) or BLOCK)
    file.seek(said.end)
    return lines.said(said.stamp, said.text)


async def _aside(path: str, work: Callable[[], T]) -> T:
    """Done in a thread where there are compressed files to look into."""
    packed = any(segment.packed for segment in logfiles.segments(path))
    return await asyncio.to_thread(work) if packed else work()


async def _open(path: str, number: int) -> tuple[int, BinaryIO] | None:
    """The file of this number, or the next one that is still there; None when there is none."""
    for segment in logfiles.segments(path):
        if segment.number >= number:
            with contextlib.suppress(FileNotFoundError):
                file = await asyncio.to_thread(logfiles.open_segment, segment) if segment.packed else logfiles.open_segment(segment)
                return segment.number, file
    return None


def _is_current(path: str, file: BinaryIO) -> bool:
    """Is it the file that is still written to?"""
    try:
        return os.path.samestat(os.stat(path), os.fstat(file.fileno()))
    except FileNotFoundError:
        return True  # the whole log is gone: there is no next one


def choose_container(source: Source, pod: str, wanted: str) -> str:
    """The container to read. Raises `StatusError` (400) when it is ambiguous or not there."""
    if wanted:
        if wanted not in [*source.containers, *source.init_containers, *source.ephemeral_containers]:
            raise errors.bad_request(f"container {wanted} is not valid for pod {pod}")
        return wanted
    if len(source.containers) == 1:
        return source.containers[0]
    message = f"a container name must be specified for pod {pod}, choose one of: [{' '.join(source.containers)}]"
    if source.init_containers:
        message += f" or one of the init containers: [{' '.join(source.init_containers)}]"
    raise errors.bad_request(message)


def choose_run(position: Position, container: str, pod: str, *, previous: bool) -> Run:
    """The run whose log is meant. Raises `StatusError` (400) in the kubelet's words."""
    if previous:
        if position.previous is None:
            raise errors.bad_request(f'previous terminated container "{container}" in pod "{pod}" not found')
        return position.previous
    if position.current is not None:
        return position.current
    if position.unknown:
        raise errors.bad_request(f'container "{container}" in pod "{pod}" is not available')
    reasons = {"ErrImagePull": "image can't be pulled", "ImagePullBackOff": "trying and failing to pull image"}
    why = reasons.get(position.waiting, position.waiting)
    raise errors.bad_request(f'container "{container}" in pod "{pod}" is waiting to start: {why}')


def since_stamp(options: LogOptions, now: float) -> bytes:
    """The earliest time to show, in the notation of the log files; empty for everything. Raises `StatusError` (400)."""
    if options.since_time:
        try:
            return _stamp(times.parse(options.since_time))
        except ValueError as error:
            raise errors.bad_request(f"sinceTime: {error}") from error
    if options.since_seconds is not None:
        return _stamp(now - options.since_seconds)
    return b""


def _stamp(seconds: float) -> bytes:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S.%f000Z").encode()


def last_lines(path: Path, limit: int, bytes_limit: int) -> str:
    """The end of a log as text, for termination messages."""
    text = b""
    lines = Cutter(since=b"", timestamps=False)
    start = tailing.start(str(path), limit)
    for segment in logfiles.segments(str(path)):
        if segment.number >= start.number:
            try:
                with logfiles.open_segment(segment) as file:
                    file.seek(start.offset if segment.number == start.number else 0)
                    text += lines.feed(file.read())
            except OSError:
                continue
    return text[-bytes_limit:].decode(errors="replace")
