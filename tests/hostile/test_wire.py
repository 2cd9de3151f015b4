"""Clients that mean harm below the API: broken framing, floods, slowness, garbage after an upgrade, tricks with paths and credentials."""

import base64
import json
import socket
import ssl
import struct
from collections.abc import Iterator
from contextlib import ExitStack
from urllib.parse import quote

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.hostile.attack import Answer, Probe, Target, request, target
from tests.hostile.bombs import BUSY, MAPS, PODS, config_map
from tests.hostile.test_bombs import UNAVAILABLE, judge
from tests.hostile.wires import POST, WIRE

CONNECTIONS = 300


@pytest.fixture(scope="module")
def server() -> Iterator[Target]:
    with target() as found:
        found.ask("POST", MAPS, config_map(metadata={"name": "present"}, data={"a": "b"}))
        pod = {"metadata": {"name": "busy"}, "spec": {"nodeName": "n", "containers": [{"name": "main", "image": "x"}]}}
        assert found.ask("POST", PODS, pod).code == 201
        found.report()
        yield found


def throw(server: Target, data: bytes) -> Answer:
    before = server.rss()
    with Probe(server) as probe, server.line() as line:
        line.send(data)
        answer = line.answer()
    judge(server, probe, answer, server.rss() - before)
    return answer


@pytest.mark.parametrize("name", WIRE)
def test_what_is_no_good_request(server: Target, name: str) -> None:
    throw(server, WIRE[name] if WIRE[name].endswith(b"}") else WIRE[name] + b"\r\n\r\n")


def test_forged_tokens_open_nothing(server: Target) -> None:
    for name in ("a token of noise", "a token of dots", "a forged token", "a token of another algorithm"):
        assert throw(server, WIRE[name]).code == 401


PATHS = [
    "//", "/api//v1", "//api/v1/pods", "/api/v1/../../", "/api/v1/namespaces/%2e%2e/pods", "/api/v1/namespaces/..%2f..%2fetc/pods",
    "/api/v1/namespaces/default/configmaps/%00", "/api/v1/namespaces/default/configmaps/a%00b", "/api/v1/namespaces/%2e/configmaps",
    "/api/v1/namespaces/default/configmaps/%c0%ae%c0%ae", "/api/v1/namespaces/default/configmaps/%ff%fe", "/api/v1/%", "/%zz", "/api/v1/%2",
    "/api/v1/namespaces/default/configmaps/" + "a" * 50_000, "/api/v1/" + "a/" * 20_000, "/api/v1/watch/watch/watch/pods", "/apis/" + "%2f" * 5_000,
    "/api/v1/namespaces/default/configmaps/\u00e9\u00ff", "/api/v1/namespaces/default/pods/busy/proxy/../../../", "/openapi/v3/../../..",
    "/openapi/v3/apis/%00", "/openapi/v3/" + "a/" * 9_000, "/metrics/..", "/healthz/%2e%2e", "/apis/%0d%0aX: y/v1/pods", "/api/v1/nodes/a%0d%0ab",
    "/api/v1/namespaces/default/configmaps?" + "&" * 60_000, "/api/v1/pods?limit=" + "9" * 50_000, "/api/v1/pods?limit=-1", "/api/v1/pods?limit=1e9",
    "/api/v1/pods?resourceVersion=" + "9" * 50_000, "/api/v1/pods?resourceVersion=-1", "/api/v1/pods?timeoutSeconds=9999999999999",
    "/api/v1/pods?labelSelector=" + quote(",".join(f"a{i}!=b" for i in range(4_500))), "/api/v1/pods?labelSelector=" + "a%20in%20(" + "b," * 25_000 + ")",
    "/api/v1/pods?labelSelector=" + "(" * 60_000, "/api/v1/pods?labelSelector=" + "!" * 60_000, "/api/v1/pods?labelSelector=%00", "/api/v1/pods?labelSelector=a%20in%20(",
    "/api/v1/pods?fieldSelector=" + ",".join(["metadata.name%3Da"] * 3_000), "/api/v1/pods?fieldSelector=" + "%5C" * 20_000, "/api/v1/pods?fieldSelector=metadata.name%3D%00",
    "/api/v1/pods?continue=" + "a" * 60_000, "/api/v1/pods?continue=%00", "/api/v1/pods?continue=" + base64.urlsafe_b64encode(b"[" * 30_000).decode(),
    "/api/v1/namespaces/default/configmaps?continue=" + base64.urlsafe_b64encode(json.dumps({"v": "meta.k8s.io/v1", "rv": 2**80, "start": "../secrets/x"}).encode()).decode(),
    "/api/v1/namespaces/default/configmaps?continue=" + base64.urlsafe_b64encode(json.dumps({"v": "meta.k8s.io/v1", "rv": -1, "start": "\0"}).encode()).decode(),
    "/api/v1/namespaces/default/configmaps?continue=" + base64.urlsafe_b64encode(json.dumps({"v": "meta.k8s.io/v1", "rv": True, "start": "a"}).encode()).decode(),
    "/api/v1/namespaces/default/configmaps?limit=1&continue=" + base64.urlsafe_b64encode(json.dumps({"v": "meta.k8s.io/v1", "rv": 1.5, "start": "a"}).encode()).decode(),
    "/api/v1/namespaces/default/configmaps?resourceVersionMatch=Exact&resourceVersion=99999999999999999999999999", "/api/v1/namespaces/default/pods/busy/log?tailLines=" + "9" * 5_000,
    "/api/v1/namespaces/default/pods/busy/log?sinceTime=" + "9" * 50_000, "/api/v1/namespaces/default/pods/busy/exec?command=" + "&command=".join(["a"] * 6_000),
    "/api/v1/namespaces/default/pods/busy/portforward?ports=" + ",".join(["1"] * 20_000), "/api/v1/namespaces/default/pods/busy/exec", "/api/v1/namespaces/default/pods/busy/attach?stdin=maybe",
]  # fmt: skip


@pytest.mark.parametrize("path", PATHS, ids=range(len(PATHS)))
def test_tricks_with_paths_and_queries(server: Target, path: str) -> None:
    throw(server, request("GET", path.encode()))


def test_absolute_targets(server: Target) -> None:
    for prefix in ("http://other", "https://a@b", "ftp://", "://", "HTTP://a:99999", "*"):
        throw(server, request("GET", f"{prefix}/api/v1/namespaces/default"))
        throw(server, request("OPTIONS", prefix))


path_text = st.text(alphabet=st.characters(max_codepoint=255, exclude_characters=" \r\n"), max_size=60)


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(method=st.sampled_from(["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]), path=path_text, query=path_text)
def test_any_path_is_answered(server: Target, method: str, path: str, query: str) -> None:
    answer = server.ask(method, f"/api/v1/{path}?{query}", b"{}" if method in ("POST", "PUT", "PATCH") else None)
    assert answer.code < 500 or answer.code in UNAVAILABLE, answer


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    name=st.sampled_from(["Accept", "Authorization", "Content-Type", "Impersonate-User", "Impersonate-Extra-A", "Accept-Encoding", "Audit-ID", "Expect", "Upgrade", "Connection", "X-Remote-User", "If-None-Match", "Sec-WebSocket-Protocol"]),
    value=st.binary(max_size=80).map(lambda data: data.replace(b"\r", b"").replace(b"\n", b"")),
)  # fmt: skip
def test_any_header_is_answered(server: Target, name: str, value: bytes) -> None:
    with server.line() as line:
        line.send(
            request("GET", MAPS, token="" if name == "Authorization" else "admin-token", extra=name.encode() + b": " + value + b"\r\n")
        )
        assert line.answer().code < 500
    assert not server.report().errors


GARBAGE = [
    b"",
    bytes(range(256)) * 200,
    b"\x82\xff" + b"\xff" * 8 + b"\0" * 4,
    b"\x80\x03\x00\x01" + b"\xff" * 40_000,
    b"\x88\x80" * 20_000,
    b"\0" * 300_000,
]


@pytest.mark.parametrize("garbage", GARBAGE, ids=range(len(GARBAGE)))
@pytest.mark.parametrize("part", ["exec?command=a&stdout=true", "attach?stdout=true", "portforward?ports=80"])
@pytest.mark.parametrize(
    ("upgrade", "protocol"), [("websocket", "v5.channel.k8s.io"), ("SPDY/3.1", "v4.channel.k8s.io"), ("nonsense", "x")]
)
def test_garbage_after_an_upgrade(server: Target, part: str, upgrade: str, protocol: str, garbage: bytes) -> None:
    extra = f"Connection: Upgrade\r\nUpgrade: {upgrade}\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {'A' * 22}==\r\n"
    extra += f"Sec-WebSocket-Protocol: {protocol}\r\nX-Stream-Protocol-Version: {protocol}\r\n"
    with Probe(server) as probe, server.line() as line:
        line.send(request("GET", f"{BUSY}/{part}", extra=extra.encode()) + garbage)
        answer = line.answer()
        line.send(garbage)
    judge(server, probe, answer, 0, may_fail=False)


@pytest.mark.slow
def test_slow_senders_and_silent_ones_take_nobody_s_place(server: Target) -> None:
    """Half a header, half a body, half a handshake, nothing at all: on many connections at once."""
    before = server.rss()
    with Probe(server) as probe, ExitStack() as stack:
        for i in range(CONNECTIONS // 3):
            half = stack.enter_context(server.line())
            half.send(b"GET /version HTTP/1.1\r\nHost: " if i % 2 else POST + b"Content-Length: 3000000\r\n\r\n" + b" " * 20_000)
            raw = stack.enter_context(socket.create_connection(("127.0.0.1", server.port)))
            raw.sendall(b"\x16\x03\x01" if i % 2 else b"")
        assert server.ask("GET", MAPS).code == 200
    judge(server, probe, Answer(200), server.rss() - before)


@pytest.mark.slow
def test_watches_that_nobody_reads(server: Target) -> None:
    before = server.rss()
    with Probe(server) as probe, ExitStack() as stack:
        for _ in range(CONNECTIONS):
            line = stack.enter_context(server.line())
            line.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            line.send(request("GET", MAPS + "?watch=true"))
        for i in range(20):
            assert server.ask("POST", MAPS, config_map(metadata={"name": f"told{i}"}, data={"a": "x" * 100_000})).code == 201
    judge(server, probe, Answer(200), server.rss() - before)


@pytest.mark.slow
def test_a_flood_of_requests_on_one_line(server: Target) -> None:
    wire = request("GET", "/api/v1/namespaces/default")
    with Probe(server) as probe, server.line() as line:
        line.socket.settimeout(2)
        try:
            line.socket.sendall(wire * 20_000)
        except (TimeoutError, ssl.SSLError, OSError):
            pass  # we do not read, so the server stops reading too
    judge(server, probe, Answer(200), 0)


@pytest.mark.slow
def test_resets_in_the_middle(server: Target) -> None:
    with Probe(server) as probe:
        for i in range(100):
            raw = socket.create_connection(("127.0.0.1", server.port))
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            if i % 2:
                secured = server.context.wrap_socket(raw)
                secured.sendall(request("GET", MAPS + "?watch=true"))
                secured.close()
            else:
                raw.sendall(b"\x16\x03")
                raw.close()
    judge(server, probe, Answer(200), 0)
