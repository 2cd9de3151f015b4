"""Single requests that mean harm are answered or refused, in bounded time and memory, while another client hardly notices.

The fast ones run always. Those of the `soak` are as large as a body may be: they may take seconds of their own, but not of others.
"""

from collections.abc import Iterator

import pytest

from tests.hostile.attack import Answer, Probe, Target, target
from tests.hostile.bombs import BOMBS, BUSY, DEFINITIONS, LIMIT, MAPS, PODS, PRESENT, config_map, definition, packed

MOST_HELD = 250
"""Units (see `attack.Report`; 3 ms where this was written) of processor time that one request may hold the event loop."""
MOST_GROWTH = 400.0
"""Megabytes by which the server may grow with one request."""
UNAVAILABLE = (503, 504)
"""What says the truth: that a node is not there, or a revision not yet. Nothing has failed."""
IN_THE_REAL_WORDS = {"an apply with items that are twice there"}
"""What the real server, too, answers with 500 and the reason."""
QUICK = (
    *("deep lists", "deep objects", "deep and unclosed", "unclosed", "bad UTF-8", "surrogates", "one key many times", "escaped quotes"),
    *("large numbers", "exponents", "nulls", "blanks", "aliases", "aliases applied", "an alias of itself", "deep YAML", "deep YAML blocks"),
    *("tags", "copies that double", "copies of much", "copies of lists", "too many operations", "far too many operations"),
    *("tests of much", "long pointers", "moves about", "a large index", "a bad operation", "a deep merge", "strategic order"),
    *("a strategic merge without sense", "unhashable merge keys", "a deep apply", "quantities", "quantities with exponents"),
    *("a deep schema", "a bad pattern", "a large pattern", "a long rule", "a deep rule", "a rule of nested lists", "YAML base 60"),
)

DEAR = ("many rules", "many versions", "many owners", "a pod of many variables", "a wide schema", "a gzip bomb")
"""Some of the large ones, of each sort."""


@pytest.fixture(scope="module")
def server() -> Iterator[Target]:
    with target() as found:
        assert found.ask("POST", MAPS, config_map(metadata={"name": "present"}, data={"a": "b"})).code == 201
        assert found.ask("POST", MAPS, config_map(metadata={"name": "big"}, data={"a": "x" * 900_000})).code == 201
        env = [{"name": f"n{i}", "value": "a"} for i in range(10_000)]
        pod = {"metadata": {"name": "busy"}, "spec": {"nodeName": "n", "containers": [{"name": "main", "image": "x", "env": env}]}}
        assert found.ask("POST", PODS, pod).code == 201
        found.report()
        yield found


def judge(server: Target, probe: Probe, answer: Answer, grown: float, *, may_fail: bool = False) -> None:
    """What must be so after any attack."""
    report = server.report()
    assert answer.code < 500 or answer.code in UNAVAILABLE or may_fail, answer
    assert not report.errors, report.errors[0][-2000:]
    assert report.held < MOST_HELD * report.unit, (report.held, report.unit, report.where)
    assert grown < MOST_GROWTH
    assert not probe.wrong
    assert probe.count


def throw(server: Target, name: str) -> Answer:
    bomb = BOMBS[name]
    extra = b"Content-Encoding: gzip\r\n" if "gzip" in name else b""
    body = bomb.body() if bomb.body else None
    before = server.rss()
    with Probe(server) as probe:
        answer = server.ask(bomb.method, bomb.path, body, content_type=bomb.type, extra=extra)
    judge(server, probe, answer, server.rss() - before, may_fail=name in IN_THE_REAL_WORDS)
    if answer.code == 201:
        server.ask("DELETE", f"{bomb.path.partition('?')[0]}/bomb")
    return answer


@pytest.mark.parametrize("name", QUICK)
def test_what_is_mean_and_quickly_told(server: Target, name: str) -> None:
    throw(server, name)


@pytest.mark.slow
@pytest.mark.parametrize("name", DEAR)
def test_what_is_large(server: Target, name: str) -> None:
    throw(server, name)


@pytest.mark.slow
@pytest.mark.soak
@pytest.mark.parametrize("name", sorted(set(BOMBS) - set(QUICK) - set(DEAR)))
def test_what_is_as_large_as_can_be(server: Target, name: str) -> None:
    throw(server, name)


@pytest.mark.slow
def test_dear_rules_hold_nobody_up(server: Target) -> None:
    """The whole budget of an object, spent by a small body."""
    numbers = {"type": "array", "items": {"type": "integer"}, "maxItems": 400}
    rule = {"rule": "self.all(a, self.all(b, a + b >= 0 || a * b > 7))"}
    names = [f"f{i}" for i in range(12)]
    schema = {"type": "object", "properties": {n: {**numbers, "x-kubernetes-validations": [rule]} for n in names}}
    made = server.ask("POST", DEFINITIONS, definition(schema, "dears"))
    assert made.code == 201, made.message
    path = "/apis/hostile.example.com/v1/namespaces/default/dears"
    body = {"apiVersion": "hostile.example.com/v1", "kind": "Dear", "metadata": {"name": "dear"}, **{n: list(range(400)) for n in names}}
    before = server.rss()
    server.report()
    with Probe(server) as probe:
        answer = server.ask("POST", path, body)
    assert answer.code == 422, answer.message
    assert "cost" in answer.message or "budget" in answer.message, answer.message
    judge(server, probe, answer, server.rss() - before)


def test_a_short_patch_of_a_large_object_holds_nobody_up(server: Target) -> None:
    with Probe(server) as probe:
        answer = server.ask("PATCH", BUSY, packed({"metadata": {"labels": {"a": "b"}}}), content_type="application/merge-patch+json")
    assert answer.code == 200
    judge(server, probe, answer, 0)


def test_bodies_at_the_limit_are_read_and_those_beyond_are_not(server: Target) -> None:
    assert server.ask("PUT", PRESENT, b" " * LIMIT).code == 400
    assert server.ask("PUT", PRESENT, b" " * (LIMIT + 8192)).code == 413
