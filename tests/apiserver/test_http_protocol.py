"""The HTTP front as a speaker of HTTP/1.1: framing, order, limits, ends. On raw sockets."""

import asyncio
import gc
import logging
import weakref
from collections.abc import AsyncIterator

import pytest

from lightship.apiserver import http
from lightship.apiserver.transport import connection
from lightship.meta.rest import LogOptions
from tests.apiserver.http_site import CONFIG_MAPS, PODS, HttpSite, config_map, pod, request, run
from tests.talkless import Talkless


def test_a_connection_serves_many_requests() -> None:
    async def test(site: HttpSite) -> None:
        wire = await site.connect()
        for i in range(5):
            assert (await wire.ask("POST", CONFIG_MAPS, config_map(f"m{i}"))).code == 201
        assert (await wire.ask("GET", CONFIG_MAPS + "/m3")).obj["metadata"]["name"] == "m3"

    run(test)


def test_pipelined_requests_are_answered_in_order() -> None:
    async def test(site: HttpSite) -> None:
        wire = await site.connect()
        names = [f"m{i}" for i in range(60)]
        await wire.send(b"".join(request("POST", CONFIG_MAPS, config_map(name)) for name in names))
        assert [(await wire.response()).obj["metadata"]["name"] for _ in names] == names

    run(test)


def test_bytes_may_come_one_by_one() -> None:
    async def test(site: HttpSite) -> None:
        wire = await site.connect()
        for byte in request("POST", CONFIG_MAPS, config_map("slow", key="value"), x_long="y" * 50):
            await wire.send(bytes([byte]))
        assert (await wire.response()).code == 201

    run(test)


def test_chunked_request_bodies() -> None:
    async def test(site: HttpSite) -> None:
        wire = await site.connect()
        body = b'{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"chunked"}}'
        await wire.send(
            f"POST {CONFIG_MAPS} HTTP/1.1\r\nHost: t\r\nAuthorization: Bearer admin-token\r\nTransfer-Encoding: chunked\r\n\r\n".encode()
        )
        for part in (body[:10], body[10:]):
            await wire.send(b"%x\r\n%b\r\n" % (len(part), part))
        await wire.send(b"0\r\n\r\n")
        assert (await wire.response()).obj["metadata"]["name"] == "chunked"

    run(test)


def test_expect_continue() -> None:
    async def test(site: HttpSite) -> None:
        wire = await site.connect()
        whole = request("POST", CONFIG_MAPS, config_map("patient"), expect="100-continue")
        head, _, body = whole.partition(b"\r\n\r\n")
        await wire.send(head + b"\r\n\r\n")
        assert (await wire.response()).code == 100
        await wire.send(body)
        assert (await wire.response()).code == 201

    run(test)


def test_head_has_the_length_and_no_body() -> None:
    async def test(site: HttpSite) -> None:
        wire = await site.connect()
        whole = await wire.ask("GET", "/healthz/nope")
        head = await wire.ask("HEAD", "/healthz/nope")
        assert (head.code, head.headers["content-length"]) == (404, str(len(whole.body)))
        assert (await wire.ask("HEAD", "/api/v1/namespaces/default")).code == 405
        assert (await wire.ask("GET", "/version")).code == 200

    run(test)


def test_large_bodies_come_whole() -> None:
    async def test(site: HttpSite) -> None:
        wire = await site.connect()
        assert (await wire.ask("POST", CONFIG_MAPS, config_map("large", data="x" * 900_000))).code == 201
        assert len((await wire.ask("GET", CONFIG_MAPS + "/large")).obj["data"]["data"]) == 900_000

    run(test)


@pytest.mark.parametrize("announced", [True, False])
def test_bodies_over_the_limit_are_refused(announced: bool) -> None:
    async def test(site: HttpSite) -> None:
        wire = await site.connect()
        size = connection.BODY_LIMIT + 1
        framing = f"Content-Length: {size}" if announced else "Transfer-Encoding: chunked"
        await wire.send(f"POST {CONFIG_MAPS} HTTP/1.1\r\nHost: t\r\n{framing}\r\n\r\n".encode())
        if not announced:
            await wire.send(b"%x\r\n" % size)
        wire.writer.write(b"x" * size)
        refused = await wire.response()
        assert (refused.code, refused.obj["reason"], refused.headers["connection"]) == (413, "RequestEntityTooLarge", "close")

    run(test)


@pytest.mark.parametrize(
    ("sent", "want"),
    [
        (b"this is not HTTP\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: t\r\nContent-Length: ten\r\n\r\n", 400),
        (b"GET /api/%zz HTTP/1.1\r\nHost: t\r\n\r\n", 400),
        (b"GET version HTTP/1.1\r\nHost: t\r\n\r\n", 400),
        (b"(FOO) / HTTP/1.1\r\nHost: t\r\n\r\n", 400),
        (b"FOO", 400),
        (b"GET / HTTP/1.1\r\nHost: t\r\nX: " + b"y" * (connection.HEADER_LIMIT + 10) + b"\r\n\r\n", 431),
        (b"GET /" + b"y" * (connection.HEADER_LIMIT + 10) + b" HTTP/1.1\r\nHost: t\r\n\r\n", 431),
    ],
)
def test_what_is_no_request_is_refused_and_the_connection_ends(sent: bytes, want: int) -> None:
    async def test(site: HttpSite) -> None:
        wire = await site.connect()
        await wire.send(sent)
        refused = await wire.response()
        assert (refused.code, refused.headers["content-type"]) == (want, "text/plain; charset=utf-8")
        assert refused.body.startswith(f"{want} ".encode())
        wire.writer.write_eof()
        assert await wire.ended()

    run(test)


def test_methods_that_nobody_knows_are_methods() -> None:
    async def test(site: HttpSite) -> None:
        wire = await site.connect()
        for method in ("FOO", "get", "X-Y", "GETX", "A" * 64):
            assert (await wire.ask(method, CONFIG_MAPS)).code == 405
            assert (await wire.ask(method, "/healthz")).code == 200
        assert (await wire.ask("FOO", CONFIG_MAPS, {"a": 1})).code == 405
        assert (await wire.ask("GET", "/version")).code == 200

    run(test)


def test_methods_that_nobody_knows_in_one_piece_with_others() -> None:
    async def test(site: HttpSite) -> None:
        wire = await site.connect()
        ask = "{} /healthz HTTP/1.1\r\nHost: t\r\n\r\n"
        await wire.send((ask.format("FOO") + ask.format("GET")).encode())
        assert [(await wire.response()).code for _ in range(2)] == [403, 200]  # nobody may foo
        await wire.send((ask.format("GET") + ask.format("FOO")).encode())
        assert (await wire.response()).code == 200
        assert await wire.ended()

    run(test)


def test_a_client_may_ask_for_the_end() -> None:
    async def test(site: HttpSite) -> None:
        wire = await site.connect()
        answer = await wire.ask("GET", "/version", connection="close")
        assert (answer.code, answer.headers["connection"]) == (200, "close")
        assert await wire.ended()

    run(test)


def test_http_1_0_is_answered_and_closed() -> None:
    async def test(site: HttpSite) -> None:
        wire = await site.connect()
        await wire.send(b"GET /version HTTP/1.0\r\n\r\n")
        assert (await wire.response()).code == 200
        assert await wire.ended()

    run(test)


def test_an_upgrade_that_we_do_not_offer_is_answered_as_the_plain_request() -> None:
    async def test(site: HttpSite) -> None:
        wire = await site.connect()
        answer = await wire.ask("GET", "/version", connection="Upgrade", upgrade="websocket")
        assert answer.code == 200
        assert await wire.ended()

    run(test)


def test_an_absolute_target_and_a_coded_path_are_understood() -> None:
    async def test(site: HttpSite) -> None:
        wire = await site.connect()
        assert (await wire.ask("GET", "http://anything/api/v1/namespaces/default")).code == 200
        assert (await wire.ask("GET", "/api/v1/namespaces/def%61ult")).code == 200

    run(test)


def test_quiet_connections_are_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "IDLE_SECONDS", 0.0)
    monkeypatch.setattr(http, "SWEEP_SECONDS", 0.01)

    async def test(site: HttpSite) -> None:
        assert await (await site.connect()).ended()
        half = await site.connect()
        await half.send(b"GET /version HTTP/1.1\r\nHost")
        assert await half.ended()

    run(test)


class Dropped(logging.Handler):
    """Tells when the listener says that it has dropped somebody."""

    def __init__(self) -> None:
        super().__init__()
        self.told = asyncio.Event()

    def emit(self, record: logging.LogRecord) -> None:
        if "which has not read" in record.getMessage():
            self.told.set()


def test_a_watcher_that_does_not_read_is_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "STUCK_SECONDS", 0.05)
    monkeypatch.setattr(http, "SWEEP_SECONDS", 0.01)

    async def test(site: HttpSite) -> None:
        wire = await site.connect()
        wire.reader._transport.pause_reading()  # type: ignore[attr-defined]  # asyncio.streams offers no way to stop reading
        await wire.send(request("GET", CONFIG_MAPS + "?watch=true"))
        writer = await site.connect()
        for i in range(80):
            assert (await writer.ask("POST", CONFIG_MAPS, config_map(f"m{i}", data="x" * 300_000))).code == 201
        await dropped.told.wait()

    dropped = Dropped()
    http.log.addHandler(dropped)
    try:
        run(test)
    finally:
        http.log.removeHandler(dropped)


class Quiet(Talkless):
    """A node whose container says one line and then nothing for ever."""

    def __init__(self) -> None:
        self.closed = asyncio.Event()

    async def logs(self, namespace: str, pod: str, uid: str, options: LogOptions) -> AsyncIterator[bytes]:
        try:
            yield b"hello\n"
            await asyncio.Event().wait()
        finally:
            self.closed.set()


def test_a_stream_is_closed_when_its_client_leaves() -> None:
    node = Quiet()

    async def test(site: HttpSite) -> None:
        wire = await site.connect()
        assert (await wire.ask("POST", PODS, pod("talker"))).code == 201
        await wire.send(request("GET", PODS + "/talker/log?follow=true"))
        assert (await wire.head())[0] == 200
        assert await wire.chunk() == b"hello\n"
        wire.writer.close()
        await node.closed.wait()

    run(test, node=node)


def test_closing_the_listener_ends_streams_in_good_order() -> None:
    async def test(site: HttpSite) -> None:
        watcher, idle = await site.connect(), await site.connect()
        await watcher.send(request("GET", CONFIG_MAPS + "?watch=true"))
        assert (await watcher.head())[0] == 200
        assert (await idle.ask("GET", "/version")).code == 200
        await asyncio.gather(site.listener.close(), site.listener.close())
        while await watcher.chunk():
            pass  # what there was, and then the last chunk, which is empty
        assert await watcher.ended()
        assert await idle.ended()
        with pytest.raises(OSError):
            await site.connect()

    run(test)


def test_a_connection_that_has_ended_is_freed_at_once() -> None:
    """Without the help of the garbage collector, whose last generation a server hardly ever reaches."""

    async def test(site: HttpSite) -> None:
        wire = await site.connect()
        assert (await wire.ask("POST", CONFIG_MAPS, config_map("first"))).code == 201
        (served,) = site.listener._connections
        left = weakref.ref(served)
        del served
        wire.writer.close()
        async with asyncio.timeout(5):
            await asyncio.gather(*site.listener._workers)
        for _ in range(5):
            await asyncio.sleep(0)
        assert left() is None

    gc.collect()
    gc.disable()
    try:
        run(test)
    finally:
        gc.enable()
