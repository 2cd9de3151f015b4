"""Kubernetes' libraries of functions, held against what cel-go makes of them in kube-apiserver's environment.

`library.jsonl` is made as `answers.jsonl` is (oracle/core/celjudge); its one variable, `self`, is of type dyn.
"""

import json
from pathlib import Path
from typing import Any

import pytest

from lightship import cel
from lightship.cel import library
from lightship.cel.errors import CostExceeded
from lightship.cel.library import authz, netip, quantity, urltext
from lightship.cel.types import DYN
from tests.cel.shown import shown
from tests.cel.test_answers import wanted

SETTING, *ANSWERS = [json.loads(line) for line in (Path(__file__).parent / "library.jsonl").read_text().splitlines()]
KNOWN = {"self.m.sort()": "the refusal of a map names its type, too"}


def judge(expr: str) -> dict[str, Any]:
    try:
        program = cel.compile(expr, {"self": DYN}, libraries=library.KUBERNETES)
    except cel.ProgramError as error:
        return {"plan": str(error)}
    except cel.CelError as error:
        return {"issue": str(error)}
    budget = cel.Budget()
    out: dict[str, Any] = {"type": str(program.result), "min": program.estimate().min, "max": program.estimate().max}
    try:
        out["value"] = shown(program.evaluate(SETTING["values"], budget))
        out["cost"] = budget.spent
    except cel.EvaluationError as error:
        out["error"] = str(error)
    return out


@pytest.mark.parametrize("answer", ANSWERS, ids=lambda answer: answer["expr"][:60])
def test_a_function_answers_as_cel_go_does(answer: dict[str, Any]) -> None:
    if answer["expr"] in KNOWN:
        pytest.skip(KNOWN[answer["expr"]])
    assert judge(answer["expr"]) == wanted(answer)


BOMBS = (
    "self.big.replace('', self.big).size() > 0",
    "self.list.join(self.big).size() > 0",
    "lists.range(1000000000).size() > 0",
    "self.list.distinct().size() > 0",
    "sets.equivalent(self.list, self.list)",
    "sets.contains(self.numbers, self.numbers)",
    "'%.999999999f'.format([self.half]).size() > 0",
    "self.big.split('').map(x, self.big).join('').size() > 0",
)


@pytest.mark.parametrize("bomb", BOMBS)
def test_what_would_take_much_memory_or_time_is_stopped(bomb: str) -> None:
    big = {"big": "a" * 200_000, "list": ["a"] * 5_000, "numbers": list(range(5_000)), "half": 0.5}
    program = cel.compile(bomb, {"self": DYN}, libraries=library.KUBERNETES)
    with pytest.raises((CostExceeded, cel.EvaluationError)):
        program.evaluate({"self": big})


def test_amounts_that_are_far_apart_are_compared_but_not_added() -> None:
    huge, one = quantity.parse("1e2000000000"), quantity.parse("1")
    assert quantity.compare(huge, one) == 1
    with pytest.raises(cel.EvaluationError):
        quantity.add(huge, one)


@pytest.mark.parametrize(
    ("text", "want"),
    [
        ("::", "::"),
        ("1::8", "1::8"),
        ("0:0:1:0:0:0:0:1", "0:0:1::1"),
        ("1:0:0:2:0:0:0:3", "1:0:0:2::3"),
        ("64:ff9b::192.0.2.33", "64:ff9b::c000:221"),
        ("1:2:3:4:5:6:7::", "1:2:3:4:5:6:7:0"),
        ("fe80::1%eth0", "fe80::1%eth0"),
    ],
)
def test_addresses_are_written_in_their_shortest_form(text: str, want: str) -> None:
    assert str(netip.parse_addr(text)) == want


@pytest.mark.parametrize(
    ("text", "want"),
    [
        ("HTTPS://example.com", "https://example.com"),
        ("http:/a", "http:/a"),
        ("http:///a", "http:///a"),
        ("/a?", "/a?"),
        ("http://a/%2f%41", "http://a/%2f%41"),
        ("http://a/ü", "http://a/%C3%BC"),
        ("x:opaque?q", "x:opaque?q"),
        ("http://a/b#c d", "http://a/b#c%20d"),
    ],
)
def test_urls_are_put_together_again(text: str, want: str) -> None:
    assert str(urltext.parse(text)) == want


def test_authorizer_asks_what_the_expression_says() -> None:
    asked: list[authz.Question] = []

    def ask(question: authz.Question) -> authz.Answer:
        asked.append(question)
        return authz.Answer(question.verb == "get", reason="because")

    def evaluate(expr: str) -> Any:
        variables = {"authorizer": authz.AUTHORIZER, "authorizer.requestResource": authz.RESOURCE_CHECK}
        request = authz.of_request(ask, group="apps", resource="deployments", subresource="scale", namespace="n", name="d")
        values = {"authorizer": authz.Authorizer(ask), "authorizer.requestResource": request}
        return cel.compile(expr, variables, libraries=library.KUBERNETES).evaluate(values)

    check = "authorizer.group('apps').resource('deployments').subresource('scale').namespace('n').name('x')"
    assert evaluate(f"{check}.labelSelector('a=b').fieldSelector('c=d').check('get').allowed()") is True
    assert asked[-1] == authz.Question("get", "", "apps", "deployments", "scale", "n", "x", "c=d", "a=b")
    assert evaluate("authorizer.path('/healthz').check('post').reason()") == "because"
    assert asked[-1] == authz.Question("post", "/healthz")
    assert evaluate("authorizer.serviceAccount('n', 'a').group('').resource('pods').check('list').errored()") is False
    assert asked[-1] == authz.Question("list", resource="pods", account=("n", "a"))
    assert evaluate("authorizer.requestResource.check('get').allowed()") is True
    assert asked[-1] == authz.Question("get", "", "apps", "deployments", "scale", "n", "d")
    for bad, why in (("path(' ')", "path must not be empty"), ("serviceAccount('N', 'a')", "Invalid service account namespace")):
        with pytest.raises(cel.EvaluationError, match=why):
            evaluate(f"authorizer.{bad} == authorizer.{bad}")


def test_two_questions_fill_a_budget() -> None:
    def evaluate(times: int) -> Any:
        expr = " && ".join(["authorizer.path('/a').check('get').allowed()"] * times)
        ask = authz.Authorizer(lambda _: authz.Answer(True))
        return cel.compile(expr, {"authorizer": authz.AUTHORIZER}, libraries=library.KUBERNETES).evaluate({"authorizer": ask})

    assert evaluate(2) is True
    with pytest.raises(CostExceeded):
        evaluate(3)


def test_keys_of_patches_are_escaped() -> None:
    program = cel.compile("jsonpatch.escapeKey('a/b~c')", {}, libraries=library.MUTATION)
    assert program.evaluate({}) == "a~1b~0c"
