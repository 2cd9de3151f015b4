"""Reading logs: PodLogOptions on files as our writers make them, following without polling."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lightship.aio.clock import SystemClock
from lightship.meta.errors import StatusError
from lightship.meta.rest import LogOptions
from lightship.node.runtimes.logwriter import records, stamp
from lightship.node.streams import logs, tailing
from lightship.node.streams.cutting import Cutter
from lightship.node.streams.filewatch import FileWatch
from lightship.node.streams.logs import Logs, Position, Run, Source

T0 = 1_700_000_000.0


def line(text: str, second: int = 0, *, part: bool = False, stream: str = "stdout") -> bytes:
    stamp = datetime.fromtimestamp(T0 + second, UTC).strftime("%Y-%m-%dT%H:%M:%S.%f000Z")
    return f"{stamp} {stream} {'P' if part else 'F'} {text}\n".encode()


class Pod:
    """One pod as the agent would show it: container `main` writes to `path`."""

    def __init__(self, path: Path, *, containers: tuple[str, ...] = ("main",), position: Position | None = None) -> None:
        self.alive = False
        self.files = FileWatch()
        source = Source(
            containers=containers,
            init_containers=("setup",),
            ephemeral_containers=("debugger",),
            position=lambda _: position or Position(current=Run(path, "id1")),
            running=lambda _: self.alive,
        )
        self.logs = Logs(lambda namespace, name, uid: source if name == "p" else None, SystemClock(), self.files)

    async def read(self, **options: Any) -> bytes:
        return b"".join([chunk async for chunk in self.logs.logs("default", "p", "", LogOptions(**options))])


def read(path: Path, **options: Any) -> bytes:
    return asyncio.run(Pod(path).read(**options))


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "0.log"
    path.write_bytes(line("one", 1) + line("two", 2, stream="stderr") + line("thr", 3, part=True) + line("ee", 3) + line("four", 4))
    return path


def test_everything_with_parts_joined(file: Path) -> None:
    assert read(file) == b"one\ntwo\nthree\nfour\n"


def test_what_our_own_writer_writes_is_what_is_read(tmp_path: Path) -> None:
    text = b"short\n\n" + b"x" * 50_000 + b"\nno end"
    (tmp_path / "0.log").write_bytes(records(text, stamp(T0) + b" stdout"))
    assert read(tmp_path / "0.log") == text
    assert read(tmp_path / "0.log", tail_lines=2) == b"x" * 50_000 + b"\nno end"


def test_timestamps_stand_once_before_a_line(file: Path) -> None:
    shown = read(file, timestamps=True).decode().splitlines()
    assert shown[0] == "2023-11-14T22:13:21.000000000Z one"
    assert shown[2] == "2023-11-14T22:13:23.000000000Z three"


@pytest.mark.parametrize(
    ("wanted", "want"), [(0, b""), (1, b"four\n"), (2, b"three\nfour\n"), (3, b"two\nthree\nfour\n"), (99, b"one\ntwo\nthree\nfour\n")]
)
def test_tail(file: Path, wanted: int, want: bytes) -> None:
    assert read(file, tail_lines=wanted) == want


def test_since(file: Path) -> None:
    assert read(file, since_time="2023-11-14T22:13:23Z") == b"three\nfour\n"
    assert read(file, since_seconds=10**9) == b"one\ntwo\nthree\nfour\n"
    assert read(file, since_seconds=1) == b""
    with pytest.raises(StatusError, match='sinceTime: "yesterday" is not an RFC 3339 time') as raised:
        read(file, since_time="yesterday")
    assert raised.value.code == 400


def test_limit_bytes(file: Path) -> None:
    assert read(file, limit_bytes=5) == b"one\nt"
    assert read(file, limit_bytes=0) == b""
    assert read(file, limit_bytes=1000) == b"one\ntwo\nthree\nfour\n"


def test_a_log_that_was_never_written_is_empty(tmp_path: Path) -> None:
    assert read(tmp_path / "gone.log") == b""


@given(
    texts=st.lists(st.text(st.characters(codec="ascii", exclude_characters="\n"), max_size=40), max_size=30),
    cut=st.integers(0, 30),
    tail=st.integers(0, 35),
    block=st.integers(45, 300),
)
@settings(max_examples=60, deadline=None)
def test_tail_is_the_end_of_everything(tmp_path_factory: pytest.TempPathFactory, texts: list[str], cut: int, tail: int, block: int) -> None:
    path = tmp_path_factory.mktemp("log") / "0.log"
    path.write_bytes(b"".join(line(text) for text in texts) + line("unfinished")[:cut])
    with small_blocks(block):
        assert read(path, tail_lines=tail) == b"".join(t.encode() + b"\n" for t in (texts[-tail:] if tail else []))


@contextmanager
def small_blocks(size: int) -> Iterator[None]:
    before, tailing.BLOCK = tailing.BLOCK, size
    try:
        yield
    finally:
        tailing.BLOCK = before


def test_follow_ends_with_the_container_and_misses_nothing(file: Path) -> None:
    async def scenario() -> None:
        pod = Pod(file)
        pod.alive = True
        async with asyncio.timeout(5):
            stream = pod.logs.logs("default", "p", "", LogOptions(follow=True))
            assert await anext(stream) == b"one\ntwo\nthree\nfour\n"
            with file.open("ab", buffering=0) as writer:
                more = asyncio.ensure_future(anext(stream))
                writer.write(line("five"))
                assert await more == b"five\n"
                end = asyncio.ensure_future(anext(stream))
                writer.write(line("last"))
            pod.alive = False
            pod.logs.changed(file)
            assert await end == b"last\n"
            with pytest.raises(StopAsyncIteration):
                await anext(stream)

    asyncio.run(scenario())


def test_following_what_has_ended_ends_at_once(file: Path) -> None:
    assert read(file, follow=True, tail_lines=1) == b"four\n"


def test_a_follower_that_goes_away_leaves_nothing_behind(file: Path) -> None:
    async def scenario() -> None:
        pod = Pod(file)
        pod.alive = True
        stream = pod.logs.logs("default", "p", "", LogOptions(follow=True))
        assert await anext(stream)
        await stream.aclose()  # type: ignore[attr-defined]  # an async generator
        assert pod.files._subscribers == {}
        assert pod.files._inotify == -1

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("position", "options", "want"),
    [
        (Position(waiting="ContainerCreating"), {}, 'container "main" in pod "p" is waiting to start: ContainerCreating'),
        (Position(waiting="ErrImagePull"), {}, 'container "main" in pod "p" is waiting to start: image can\'t be pulled'),
        (Position(waiting="ImagePullBackOff"), {}, 'container "main" in pod "p" is waiting to start: trying and failing to pull image'),
        (Position(waiting="x"), {"previous": True}, 'previous terminated container "main" in pod "p" not found'),
        (None, {"container": "other"}, "container other is not valid for pod p"),
        (Position(unknown=True), {"container": "debugger"}, 'container "debugger" in pod "p" is not available'),
    ],
)
def test_what_is_refused(tmp_path: Path, position: Position | None, options: dict[str, Any], want: str) -> None:
    with pytest.raises(StatusError) as raised:
        asyncio.run(Pod(tmp_path / "x", position=position).read(**options))
    assert (raised.value.code, raised.value.message) == (400, want)


def test_several_containers_must_be_told_apart(tmp_path: Path) -> None:
    with pytest.raises(StatusError) as raised:
        asyncio.run(Pod(tmp_path / "x", containers=("a", "b")).read())
    want = "a container name must be specified for pod p, choose one of: [a b] or one of the init containers: [setup]"
    assert (raised.value.code, raised.value.message) == (400, want)


def test_previous_reads_the_run_before(tmp_path: Path) -> None:
    (tmp_path / "0.log").write_bytes(line("old"))
    (tmp_path / "1.log").write_bytes(line("new"))
    position = Position(current=Run(tmp_path / "1.log", "b"), previous=Run(tmp_path / "0.log", "a"))
    assert asyncio.run(Pod(tmp_path / "x", position=position).read()) == b"new\n"
    assert asyncio.run(Pod(tmp_path / "x", position=position).read(previous=True)) == b"old\n"


def test_termination_message_from_the_log(tmp_path: Path) -> None:
    path = tmp_path / "0.log"
    path.write_bytes(b"".join(line(f"line {i}") for i in range(200)))
    assert logs.last_lines(path, 2, 2048) == "line 198\nline 199\n"
    assert len(logs.last_lines(path, 80, 100)) == 100
    assert logs.last_lines(tmp_path / "gone", 2, 10) == ""


@given(
    st.lists(
        st.tuples(st.integers(0, 3), st.booleans(), st.booleans(), st.integers(1, 40), st.integers(0, 60)),
        max_size=12,
    ),
    st.integers(1, 700),
    st.booleans(),
    st.integers(0, 4),
)
@settings(max_examples=150, deadline=None)
def test_records_cut_together_are_those_cut_one_by_one(
    runs: list[tuple[int, bool, bool, int, int]], block: int, timestamps: bool, since: int
) -> None:
    records = [
        line("y" * size + str(n), second, part=part, stream="stderr" if error else "stdout")
        for second, part, error, count, size in runs
        for n in range(count)
    ]
    stamp = line("", since)[:30] if since else b""
    want, continued = b"", False
    for record in (r for r in records if r[:30] >= stamp):
        want += record[:31] if timestamps and not continued else b""
        continued = record[38:39] == b"P"
        want += record[40:-1] if continued else record[40:]
    text = b"".join(records)
    cutter = Cutter(since=stamp, timestamps=timestamps)
    assert b"".join(cutter.feed(text[at : at + block]) for at in range(0, len(text), block)) == want
