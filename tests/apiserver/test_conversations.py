"""Exec and logs over WebSocket in bytes, and what nodes answer behind `/proxy`: words and frames as kube-apiserver 1.36.3 has them."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from lightship.apiserver.streams.channels import WebSocketChannels
from lightship.apiserver.transport.wire import Wire as HandedOver
from lightship.meta import codec, errors
from lightship.meta.rest import CommandIO, CommandOptions, LogOptions, NodeAnswer
from tests.talkless import Talkless

from .http_site import HttpSite, Wire, request, run
from .site import pod
from .test_watch_websocket import BINARY, CLOSE, HANDSHAKE, TEXT, message, opened

PODS = "/api/v1/namespaces/default/pods"
NODES = "/api/v1/nodes"


class Node(Talkless):
    """Its commands say what they are and end with their number; its server says how it was asked."""

    async def logs(self, namespace: str, pod: str, uid: str, options: LogOptions) -> AsyncIterator[bytes]:
        if options.previous:
            raise errors.bad_request('previous terminated container "main" in pod "talker" not found')
        for line in (b"one\n", b"two\n"):
            yield line

    async def run_command(self, namespace: str, pod: str, uid: str, options: CommandOptions, io: CommandIO) -> int:
        if options.command[0] == "nothing":
            raise errors.internal('error executing command in container: exec "nothing": executable file not found in $PATH')
        await io.write(options.command[0].encode())
        return int(options.command[1])

    async def answer(self, method: str, path: str, query: str) -> NodeAnswer:
        if path == "/stream":
            return NodeAnswer(200, "text/plain", stream=self.logs("", "", "", LogOptions()))
        return NodeAnswer(201, "text/plain", f"{method} {path} {query}".encode())


async def prepared(site: HttpSite) -> Wire:
    wire = await site.connect()
    assert (await wire.ask("POST", PODS, pod("talker", node="n"))).code == 201
    return wire


async def talk(site: HttpSite, command: str, code: str, protocol: str) -> list[tuple[int, bytes]]:
    """All messages to the end."""
    target = f"{PODS}/talker/exec?stdout=true&stderr=true&command={command}&command={code}"
    wire = await opened(site, target, **({"Sec_WebSocket_Protocol": protocol} if protocol else {}))
    found = []
    while (said := await message(wire))[0] != CLOSE:
        found.append(said)
    return found


@pytest.mark.parametrize("protocol", ["", "channel.k8s.io"])
def test_old_clients_are_told_of_failures_only_and_in_words(protocol: str) -> None:
    async def test(site: HttpSite) -> None:
        await prepared(site)
        assert await talk(site, "hello", "0", protocol) == [(BINARY, b"\1"), (BINARY, b"\1hello")]
        failed = await talk(site, "hello", "3", protocol)
        assert failed[2:] == [(BINARY, b"\3command terminated with non-zero exit code: exit status 3")]
        absent = await talk(site, "nothing", "0", protocol)
        assert absent[1][1].endswith(b'exec "nothing": executable file not found in $PATH')

    run(test, node=Node())


@pytest.mark.parametrize(("protocol", "begins"), [("v4.channel.k8s.io", [(BINARY, b"\1")]), ("v5.channel.k8s.io", [])])
def test_others_are_told_by_a_status(protocol: str, begins: list[tuple[int, bytes]]) -> None:
    async def test(site: HttpSite) -> None:
        await prepared(site)
        assert await talk(site, "hello", "0", protocol) == [
            *begins,
            (BINARY, b"\1hello"),
            (BINARY, b'\3{"metadata":{},"status":"Success"}'),
        ]
        _, told = (await talk(site, "hello", "3", protocol))[-1]
        assert codec.decode(told[1:])["details"]["causes"] == [{"reason": "ExitCode", "message": "3"}]

    run(test, node=Node())


class OneEar(asyncio.Transport):
    """Remembers each write."""

    def __init__(self) -> None:
        super().__init__()
        self.written: list[bytes] = []

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.written.append(bytes(data))

    def close(self) -> None:
        self.written.append(b"closed")


@pytest.mark.parametrize(("outcome", "frames"), [(b"{}", b"\x82\3\3{}\x88\2\3\xe8"), (b"", b"\x88\2\3\xe8")])
def test_the_outcome_and_the_end_come_in_one_write(outcome: bytes, frames: bytes) -> None:
    """Threads of clients who hang up at the outcome would go on to read otherwise: from the next connection that gets the number."""
    ear = OneEar()
    asyncio.run(WebSocketChannels(HandedOver(ear), "v5.channel.k8s.io").close(outcome))
    assert ear.written == [frames, b"closed"]


def test_a_log_comes_in_messages_after_an_empty_one() -> None:
    async def test(site: HttpSite) -> None:
        await prepared(site)
        wire = await opened(site, f"{PODS}/talker/log", Sec_WebSocket_Protocol="binary.k8s.io")
        assert [await message(wire) for _ in range(4)] == [(BINARY, b""), (BINARY, b"one\n"), (BINARY, b"two\n"), (CLOSE, b"\x03\xe8")]
        wire = await opened(site, f"{PODS}/talker/log", Sec_WebSocket_Protocol="base64.binary.k8s.io")
        assert [await message(wire) for _ in range(2)] == [(TEXT, b""), (TEXT, b"b25lCg==")]

    run(test, node=Node())


def test_a_log_that_is_refused_is_refused_before_the_switch() -> None:
    async def test(site: HttpSite) -> None:
        await prepared(site)
        refused = await site.ask("GET", f"{PODS}/talker/log?previous=true", **HANDSHAKE)
        assert (refused.code, refused.obj["message"]) == (400, 'previous terminated container "main" in pod "talker" not found')
        refused = await site.ask("GET", f"{PODS}/talker/log", **(HANDSHAKE | {"Sec_WebSocket_Protocol": "channel.k8s.io"}))
        assert refused.code == 400

    run(test, node=Node())


@pytest.mark.parametrize(
    ("method", "name", "path", "want"),
    [
        ("GET", "n", "", "GET / "),
        ("GET", "n", "/healthz", "GET /healthz "),
        ("GET", "n:10250", "/logs/", "GET /logs/ "),
        ("POST", "https:n:10250", "/run/a/b/c?cmd=ls", "POST /run/a/b/c cmd=ls"),
    ],
)
def test_a_node_answers_behind_proxy(method: str, name: str, path: str, want: str) -> None:
    async def test(site: HttpSite) -> None:
        await site.ask("POST", NODES, {"metadata": {"name": "n"}})
        answer = await site.ask(method, f"{NODES}/{name}/proxy{path}")
        assert (answer.code, answer.body.decode()) == (201, want)

    run(test, node=Node())


def test_a_stream_of_a_node_is_carried() -> None:
    async def test(site: HttpSite) -> None:
        await site.ask("POST", NODES, {"metadata": {"name": "n"}})
        answer = await site.ask("GET", f"{NODES}/n/proxy/stream")
        assert (answer.code, answer.body) == (200, b"one\ntwo\n")

    run(test, node=Node())


@pytest.mark.parametrize(
    ("name", "code", "message"),
    [
        ("other", 404, 'nodes "other" not found'),
        ("n:22", 503, "error trying to reach service: port 22 of node n is not its own server's"),
        ("a:b:c:d", 400, 'invalid node request "a:b:c:d"'),
    ],
)
def test_nodes_that_cannot_be_reached_so(name: str, code: int, message: str) -> None:
    async def test(site: HttpSite) -> None:
        await site.ask("POST", NODES, {"metadata": {"name": "n"}})
        refused = await site.ask("GET", f"{NODES}/{name}/proxy/healthz")
        assert (refused.code, refused.obj["message"]) == (code, message)

    run(test, node=Node())


def test_half_a_request_is_none() -> None:
    async def test(site: HttpSite) -> None:
        wire = await prepared(site)
        await wire.send(request("GET", f"{PODS}/talker/exec?stdout=true&command=x", **(HANDSHAKE | {"Sec_WebSocket_Key": ""})))
        code, _ = await wire.head()
        assert code == 400

    run(test, node=Node())
