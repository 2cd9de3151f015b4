"""The HTTP transport on good and bad connections. Real sockets on loopback, so real time; nothing here waits longer than it must."""

import asyncio
import sys
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import uvloop

from lightship import kinds
from lightship.aio.clock import SystemClock
from lightship.client import pool
from lightship.client.connection import BUFFER, ConnectionLost
from lightship.client.credentials import Credentials, Token, TokenFile
from lightship.client.http import HttpTransport
from lightship.meta import codec, errors
from lightship.meta.errors import StatusError
from lightship.meta.rest import MERGE_PATCH, DeleteOptions, ListOptions, LogOptions, WatchEvent, WatchOptions
from tests.client import stub
from tests.client.stub import Answer, Request, Stub, always, in_turn, ok

CONFIG_MAPS = kinds.CONFIG_MAPS
OBJ = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a", "namespace": "ns"}}


class FastClock(SystemClock):
    """Real, but never sleeps; remembers how long it should have."""

    def __init__(self) -> None:
        self.slept: list[float] = []

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        await asyncio.sleep(0)


@asynccontextmanager
async def talking(
    answer: Answer, *, credentials: Credentials | None = None, timeout: float = 20, path: str = ""
) -> AsyncIterator[tuple[Stub, HttpTransport]]:
    async with asyncio.timeout(20), stub.serving(answer) as server:
        transport = HttpTransport(server.url + path, credentials=credentials, clock=FastClock(), timeout=timeout)
        try:
            yield server, transport
        finally:
            await transport.close()


@pytest.fixture(params=[asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"], autouse=True)
def loops(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every test runs on both event loops: their transports differ in small ways."""
    monkeypatch.setattr(sys.modules[__name__], "new_loop", request.param)


new_loop: Callable[[], asyncio.AbstractEventLoop] = asyncio.new_event_loop


def run(main: Callable[[], Coroutine[Any, Any, None]]) -> None:
    with asyncio.Runner(loop_factory=new_loop) as runner:
        runner.run(main())


def event(name: str, type: str = "ADDED") -> bytes:
    return codec.encode({"type": type, "object": {"metadata": {"name": name}}}) + b"\n"


def chunked(*parts: bytes) -> bytes:
    body = b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in parts)
    return b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + body


async def collect(stream: AsyncIterator[WatchEvent]) -> list[str]:
    return [found.object["metadata"]["name"] async for found in stream]


def test_requests_say_what_they_must_and_share_a_connection() -> None:
    async def main() -> None:
        async with talking(always(ok(OBJ)), credentials=Token("secret"), path="/clusters/c1/") as (server, transport):
            assert await transport.get(CONFIG_MAPS, "ns", "a") == OBJ
            await transport.create(CONFIG_MAPS, "ns", OBJ)
            await transport.patch(CONFIG_MAPS, "ns", "a", {"data": {}}, type=MERGE_PATCH)
            await transport.delete(CONFIG_MAPS, "ns", "a", DeleteOptions(grace_period_seconds=0))
            assert server.connections == 1
            first, second, third, fourth = server.requests
            assert (first.method, first.target) == ("GET", "/clusters/c1/api/v1/namespaces/ns/configmaps/a")
            assert first.headers["authorization"] == "Bearer secret"
            assert first.headers["host"] == f"127.0.0.1:{server.port}"
            assert first.headers["accept"] == "application/json"
            assert (second.method, codec.decode(second.body), second.headers["content-type"]) == ("POST", OBJ, "application/json")
            assert (third.method, third.headers["content-type"]) == ("PATCH", "application/merge-patch+json")
            assert codec.decode(fourth.body)["gracePeriodSeconds"] == 0

    run(main)


def test_many_requests_at_once_share_few_connections(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool, "REQUESTS_AT_ONCE", 4)

    async def main() -> None:
        async with talking(always(ok(OBJ))) as (server, transport):
            await asyncio.gather(*(transport.get(CONFIG_MAPS, "ns", "a") for _ in range(50)))
            assert len(server.requests) == 50
            assert server.connections <= 4

    run(main)


def test_a_refusal_is_its_status() -> None:
    async def main() -> None:
        status = errors.not_found("configmaps", "a").status()
        async with talking(always(ok(status, "404 Not Found"))) as (_, transport):
            with pytest.raises(StatusError) as refused:
                await transport.get(CONFIG_MAPS, "ns", "a")
            assert refused.value.status() == status

    run(main)


def test_an_answer_that_ends_with_its_connection() -> None:
    async def main() -> None:
        async with talking(always(b"HTTP/1.1 200 OK\r\n\r\n" + codec.encode(OBJ), keep=False)) as (_, transport):
            assert await transport.get(CONFIG_MAPS, "ns", "a") == OBJ

    run(main)


def test_a_continue_before_the_answer_is_no_answer() -> None:
    async def main() -> None:
        async with talking(always(b"HTTP/1.1 100 Continue\r\n\r\n" + ok(OBJ))) as (_, transport):
            assert await transport.create(CONFIG_MAPS, "ns", OBJ) == OBJ

    run(main)


@pytest.mark.parametrize(
    ("answer", "want"),
    [
        pytest.param(b"SSH-2.0-OpenSSH\r\n", "not HTTP", id="another protocol"),
        pytest.param(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{}", "the connection ended in the middle", id="half a body"),
        pytest.param(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{", "the connection ended", id="half a chunk"),
        pytest.param(b"HTTP/1.1 200 OK\r\nContent-", "the connection was lost", id="half a head"),
        pytest.param(ok(b"<html>"), "the answer is not JSON", id="not JSON"),
        pytest.param(b"", "the connection was lost", id="nothing"),
    ],
)
def test_what_is_wrong_on_the_way_is_unavailable(answer: bytes, want: str) -> None:
    async def main() -> None:
        async with talking(always(answer, keep=False)) as (server, transport):
            with pytest.raises(StatusError, match=want) as failed:
                await transport.get(CONFIG_MAPS, "ns", "a")
            assert (failed.value.code, failed.value.reason) == (503, "ServiceUnavailable")
            assert server.url in failed.value.message
            assert failed.value.__cause__ is not None

    run(main)


def test_a_server_that_is_not_there() -> None:
    async def main() -> None:
        async with stub.serving(always(b"")) as server:
            url = server.url
        transport = HttpTransport(url)
        with pytest.raises(StatusError, match=r"refused|Connect") as failed:
            await transport.get(CONFIG_MAPS, "ns", "a")
        assert isinstance(failed.value.__cause__, OSError)
        await transport.close()

    run(main)


def test_a_server_that_does_not_answer() -> None:
    async def main() -> None:
        async with talking(always(b""), timeout=0.05) as (_, transport):
            with pytest.raises(StatusError, match="no answer in time") as failed:
                await transport.get(CONFIG_MAPS, "ns", "a")
            assert isinstance(failed.value.__cause__, TimeoutError)

    run(main)


def test_a_stale_connection_is_replaced_for_what_may_be_sent_twice() -> None:
    async def main() -> None:
        async with talking(in_turn(ok(OBJ), None, ok(OBJ))) as (server, transport):
            await transport.get(CONFIG_MAPS, "ns", "a")
            await transport.get(CONFIG_MAPS, "ns", "a")
            assert [request.connection for request in server.requests] == [1, 1, 2]

    run(main)


def test_a_create_is_never_sent_twice() -> None:
    async def main() -> None:
        async with talking(in_turn(ok(OBJ), None)) as (server, transport):
            await transport.get(CONFIG_MAPS, "ns", "a")
            with pytest.raises(StatusError) as failed:
                await transport.create(CONFIG_MAPS, "ns", OBJ)
            assert isinstance(failed.value.__cause__, ConnectionLost)
            assert [request.method for request in server.requests] == ["GET", "POST"]

    run(main)


def test_idle_connections_that_the_server_closed_are_not_used() -> None:
    async def main() -> None:
        async with talking(always(ok(OBJ), keep=False)) as (server, transport):
            for _ in range(3):
                await transport.create(CONFIG_MAPS, "ns", OBJ)
                for _ in range(5):
                    await asyncio.sleep(0)
            assert server.connections == 3

    run(main)


def test_connection_close_is_honoured() -> None:
    async def main() -> None:
        async with talking(always(ok(OBJ, Connection="close"))) as (server, transport):
            await transport.get(CONFIG_MAPS, "ns", "a")
            await transport.get(CONFIG_MAPS, "ns", "a")
            assert server.connections == 2

    run(main)


def test_a_busy_server_says_when_to_come_again() -> None:
    async def main() -> None:
        busy = ok(errors.too_many_requests("busy").status(), "429 Too Many Requests", Retry_After="3")
        async with talking(in_turn(busy, busy, ok(OBJ))) as (_, transport):
            assert await transport.create(CONFIG_MAPS, "ns", OBJ) == OBJ
            clock = transport._clock
            assert isinstance(clock, FastClock)
            assert clock.slept == [3, 3]
        async with talking(always(busy)) as (server, transport):
            with pytest.raises(StatusError) as refused:
                await transport.create(CONFIG_MAPS, "ns", OBJ)
            assert refused.value.code == 429
            assert len(server.requests) == 6

    run(main)


def test_a_token_that_was_replaced_is_read_again(tmp_path: Path) -> None:
    async def main() -> None:
        file = tmp_path / "token"
        file.write_text("old\n")

        async def answer(request: Request, writer: asyncio.StreamWriter) -> bool:
            known = request.headers["authorization"] == "Bearer new"
            writer.write(ok(OBJ) if known else ok(errors.unauthorized().status(), "401 Unauthorized"))
            return True

        async with talking(answer, credentials=TokenFile(file, SystemClock())) as (server, transport):
            with pytest.raises(StatusError) as refused:
                await transport.get(CONFIG_MAPS, "ns", "a")
            assert refused.value.code == 401
            assert len(server.requests) == 1, "the file said nothing new"
            file.write_text("new")
            assert await transport.get(CONFIG_MAPS, "ns", "a") == OBJ

    run(main)


def test_a_watch_is_read_as_it_comes_however_it_is_cut() -> None:
    async def main() -> None:
        whole = event("a") + event("b") + b"\n" + event("c") + b'{"type":"ADD'
        for size in (1, 7, 1000):
            parts = [whole[at : at + size] for at in range(0, len(whole), size)]
            async with talking(always(chunked(*parts, b""))) as (server, transport):
                options = WatchOptions(resource_version="5")
                assert await collect(transport.watch(CONFIG_MAPS, "ns", options)) == ["a", "b", "c"]
                assert "watch=true&resourceVersion=5" in server.requests[0].target

    run(main)


def test_the_first_event_does_not_wait_for_the_second() -> None:
    async def main() -> None:
        async with talking(always(chunked(event("a")))) as (_, transport):
            stream = transport.watch(CONFIG_MAPS, "", WatchOptions())
            assert (await anext(stream)).object["metadata"]["name"] == "a"
            await stream.aclose()  # type: ignore[attr-defined]  # it is a generator

    run(main)


@pytest.mark.parametrize(
    ("answer", "want_code"),
    [
        pytest.param(
            chunked(event("a"), codec.encode({"type": "ERROR", "object": errors.expired("old").status()}) + b"\n"), 410, id="expired"
        ),
        pytest.param(ok(errors.expired("old").status(), "410 Gone"), 410, id="refused at once"),
        pytest.param(chunked(event("a"), b"nonsense\n"), 503, id="no event"),
        pytest.param(chunked(event("a"), b"[1]\n"), 503, id="JSON but no event"),
        pytest.param(chunked(event("a")), 503, id="dropped"),
    ],
)
def test_how_a_watch_fails(answer: bytes, want_code: int) -> None:
    async def main() -> None:
        async with talking(always(answer, keep=False)) as (_, transport):
            with pytest.raises(StatusError) as failed:
                await collect(transport.watch(CONFIG_MAPS, "ns", WatchOptions()))
            assert failed.value.code == want_code

    run(main)


def test_a_cancelled_watch_gives_its_connection_up() -> None:
    async def main() -> None:
        closed = asyncio.Event()

        async def answer(request: Request, writer: asyncio.StreamWriter) -> bool:
            writer.write(chunked(event("a")))
            await writer.wait_closed()
            closed.set()
            return False

        async with talking(answer) as (_, transport):
            seen = asyncio.Event()

            async def read() -> None:
                async for _ in transport.watch(CONFIG_MAPS, "ns", WatchOptions()):
                    seen.set()

            task = asyncio.create_task(read())
            await seen.wait()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert transport._pool._open == set()

    run(main)


def test_a_silent_watch_is_given_up_after_its_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lightship.client.http.GRACE_SECONDS", -0.95)

    async def main() -> None:
        async with talking(always(chunked(event("a")))) as (_, transport):
            with pytest.raises(StatusError, match="no answer in time"):
                await collect(transport.watch(CONFIG_MAPS, "ns", WatchOptions(timeout=1)))

    run(main)


def test_a_slow_reader_slows_the_server_and_loses_nothing() -> None:
    total = 8 * BUFFER

    async def main() -> None:
        written = 0

        async def answer(request: Request, writer: asyncio.StreamWriter) -> bool:
            nonlocal written
            writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
            piece = b"x" * 65536
            while written < total:
                writer.write(b"%x\r\n%b\r\n" % (len(piece), piece))
                written += len(piece)
                await writer.drain()
            writer.write(b"0\r\n\r\n")
            return True

        async with talking(answer) as (server, transport):
            stream = transport.logs("ns", "a", LogOptions(follow=True, container="c"))
            size = len(await anext(stream))
            for _ in range(500):
                await asyncio.sleep(0)
            buffered = sum(connection._buffered for connection in transport._pool._open)
            assert buffered < 2 * BUFFER
            async for chunk in stream:
                size += len(chunk)
            assert size == total
            assert server.requests[0].target == "/api/v1/namespaces/ns/pods/a/log?container=c&follow=true"

    run(main)


def test_lists_are_typed_and_paged() -> None:
    async def main() -> None:
        page = {"metadata": {"resourceVersion": "7", "continue": "more", "remainingItemCount": 3}, "items": [{"metadata": {"name": "a"}}]}
        async with talking(in_turn(ok(page), ok({"metadata": {}, "items": None}))) as (_, transport):
            listing = await transport.list(CONFIG_MAPS, "ns", ListOptions(limit=1))
            assert (listing.resource_version, listing.continue_, listing.remaining) == ("7", "more", 3)
            assert listing.items[0]["kind"] == "ConfigMap"
            assert (await transport.list(CONFIG_MAPS, "ns", ListOptions())).items == []

    run(main)


def test_closing_ends_what_is_being_read() -> None:
    async def main() -> None:
        async with talking(always(chunked(event("a")))) as (_, transport):
            stream = transport.watch(CONFIG_MAPS, "ns", WatchOptions())
            await anext(stream)
            await transport.close()
            with pytest.raises(StatusError):
                await anext(stream)

    run(main)


@pytest.mark.parametrize("address", ["", "localhost:6443", "ftp://host", "https://"])
def test_what_is_no_server_address(address: str) -> None:
    with pytest.raises(ValueError, match="is no server address"):
        HttpTransport(address)
