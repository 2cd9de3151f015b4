"""What never ends: headers, trailers and chunk extensions of clients. Each is refused while it is still coming."""

from collections.abc import Iterator

import pytest

from tests.hostile.attack import Probe, Target, target
from tests.hostile.test_bombs import judge
from tests.hostile.wires import HEAD, POST

MUCH = b"y" * (2 * 1024 * 1024)
ENDLESS = {
    "a header": HEAD + b"X: ",
    "the name of a header": HEAD,
    "a trailer": POST + b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\nX: ",
    "an extension of a chunk": POST + b"Transfer-Encoding: chunked\r\n\r\n2;a=",
    "the target": b"GET /",
    "the method": b"",
    "the size of a chunk": POST + b"Transfer-Encoding: chunked\r\n\r\n" + b"0" * 1_000_000,
}


@pytest.fixture(scope="module")
def server() -> Iterator[Target]:
    with target() as found:
        yield found


@pytest.mark.parametrize("name", ENDLESS)
def test_what_never_ends(server: Target, name: str) -> None:
    before = server.rss()
    with Probe(server) as probe, server.line() as line:
        line.send(ENDLESS[name] + MUCH)
        answer = line.answer()
    assert answer.code in (400, 414, 431), answer
    judge(server, probe, answer, server.rss() - before)
