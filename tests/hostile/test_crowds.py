"""Many at once who mean harm: what they hold together is bounded, and whoever does not is served."""

import random
import threading
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from lightship.kinds import protobuf
from tests.hostile.attack import PATIENCE, Answer, Probe, Target, request, target
from tests.hostile.bombs import DEPLOYMENTS, JSON, MAPS, PODS, config_map, with_text
from tests.hostile.test_bombs import judge
from tests.hostile.wires import POST

pytestmark = pytest.mark.slow
MOST_TOGETHER = 700.0
"""Megabytes by which the server may grow: `cargo.ROOM` and a few bodies that are being read."""
CLIENTS = 48
EXPANDING = with_text(config_map()[:-1] + b',"x":[', b'{"a":"b"     },', b"{}]}")
"""A body that takes fifteen times its bytes once it is read."""


@pytest.fixture(scope="module")
def server() -> Iterator[Target]:
    with target() as found:
        yield found


def test_large_bodies_of_many(server: Target) -> None:
    codes: list[int] = []

    def send() -> None:
        codes.append(server.ask("POST", MAPS + "?dryRun=All", EXPANDING, content_type=JSON).code)

    before = server.rss()
    with Probe(server) as probe:
        threads = [threading.Thread(target=send) for _ in range(CLIENTS)]
        for thread in threads:
            thread.start()
        most = before
        while any(thread.is_alive() for thread in threads):
            threads[-1].join(0.05)
            most = max(most, server.rss())
        for thread in threads:
            thread.join(PATIENCE)
    assert len(codes) == CLIENTS
    assert set(codes) <= {201, 413, 429}
    assert 201 in codes
    judge(server, probe, Answer(200), 0)
    assert most - before < MOST_TOGETHER


def test_halves_of_large_bodies(server: Target) -> None:
    """Far more of them than there is room for, from nobody in particular: who sends a whole one still comes through."""
    before = server.rss()
    head = POST.replace(b"admin-token", b"x") + b"Content-Length: 3000000\r\n\r\n"
    with Probe(server) as probe, ExitStack() as stack:
        for _ in range(120):
            stack.enter_context(server.line()).send(head + b" " * 2_900_000)
        large = config_map(metadata={"name": "whole"}, data={"a": "x" * 500_000})
        answer = server.ask("POST", MAPS, large)
        while answer.code == 429:
            answer = server.ask("POST", MAPS, large)
    assert answer.code == 201, answer.message
    judge(server, probe, answer, 0)
    assert server.rss() - before < MOST_TOGETHER


def test_protobuf_that_is_damaged(server: Target) -> None:
    """Real messages with bytes changed, cut out, put in and blown up; always the same ones."""
    chance = random.Random(20)
    containers = [{"name": "a", "image": "x", "env": [{"name": "n", "value": "v"}], "resources": {"limits": {"cpu": "1"}}}]
    template = {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": containers}}
    spec = {"selector": {"matchLabels": {"a": "b"}}, "template": template}
    whole = [
        (MAPS, {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}, "data": {"a": "b"}}),
        (PODS, {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a"}, "spec": {"containers": containers}}),
        (DEPLOYMENTS, {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "a"}, "spec": spec}),
    ]
    messages = [(path, protobuf.encode(obj)) for path, obj in whole]
    codes = set()
    with Probe(server) as probe, server.line() as line:
        for path, message in messages:
            for _ in range(150):
                body = damaged(message, chance)
                line.send(request("POST", path + "?dryRun=All", body, content_type="application/vnd.kubernetes.protobuf"))
                answer = line.answer()
                assert 200 <= answer.code < 500, (body, answer)
                codes.add(answer.code)
    assert {400, 201} <= codes
    judge(server, probe, Answer(200), 0)


def damaged(message: bytes, chance: random.Random) -> bytes:
    data = bytearray(message)
    for _ in range(chance.randint(1, 4)):
        at = chance.randrange(4, len(data)) if len(data) > 4 else 0
        match chance.randrange(5):
            case 0:
                data[at:at] = bytes([chance.randrange(256)])
            case 1:
                del data[at : at + chance.randint(1, 8)]
            case 2:
                data[at:at] = b"\xff" * 9 + b"\x01"
            case 3:
                data += data[at:] * chance.randint(1, 20)
            case _:
                if at < len(data):
                    data[at] ^= 1 << chance.randrange(8)
    return bytes(data[:200_000])
