"""Very many of what is harmless: watches that are read and watches that are not, namespaces, clients that come and go."""

import json
import resource
import socket
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from tests.hostile.attack import Answer, Probe, Target, request, target
from tests.hostile.bombs import MAPS, config_map
from tests.hostile.test_bombs import judge

pytestmark = [pytest.mark.slow, pytest.mark.soak]
WATCHES = 2_000
NAMESPACES = 10_000
NAMESPACE_PATH = "/api/v1/namespaces"
EACH = 0.6
"""Megabytes that a watch may take with its TLS connection and what waits on it."""
OF_A_NAMESPACE = 0.02
"""Megabytes that a namespace may take, with what belongs to it and what is told of it."""


@pytest.fixture(scope="module")
def server() -> Iterator[Target]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < WATCHES + 500:
        pytest.skip("this machine allows too few open files")
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    try:
        with target() as found:
            yield found
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_watches(server: Target) -> None:
    before = server.rss()
    server.report()
    with Probe(server) as probe, ExitStack() as stack:
        lines = [stack.enter_context(server.line()) for _ in range(WATCHES)]
        for i, line in enumerate(lines):
            if i % 2:
                line.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            line.send(request("GET", f"{MAPS}?watch=true"))
        for line in lines:
            assert line.head().startswith(b"HTTP/1.1 200")
        for i in range(40):
            assert server.ask("POST", MAPS, config_map(metadata={"name": f"told{i}"}, data={"a": "x" * 20_000})).code == 201
        heard = b""
        while b"told39" not in heard[-90_000:]:
            more = lines[0].read()
            assert more
            heard += more
        grown = server.rss() - before
    judge(server, probe, Answer(200), 0)
    assert grown < WATCHES * EACH


def test_namespaces(server: Target) -> None:
    before = server.rss()
    with Probe(server) as probe, server.line() as line:
        for at in range(0, NAMESPACES, 10):
            line.send(b"".join(request("POST", NAMESPACE_PATH, {"metadata": {"name": f"n{i}"}}) for i in range(at, at + 10)))
            for _ in range(10):
                assert line.answer().code == 201
        listed = server.ask("GET", f"{NAMESPACE_PATH}?limit=1")
        assert json.loads(listed.body)["metadata"]["remainingItemCount"] >= NAMESPACES
        assert server.ask("GET", f"{NAMESPACE_PATH}/n{NAMESPACES // 2}").code == 200
    judge(server, probe, listed, 0)
    assert server.rss() - before < NAMESPACES * OF_A_NAMESPACE
