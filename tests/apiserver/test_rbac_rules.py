"""Policy rules as values: what they allow, what covers what, and how what is missing is told."""

import pytest

from lightship.apiserver.access.rbac import rules
from lightship.apiserver.access.rbac.rules import Rights, Rule

PODS = Rule(("get", "list"), ("",), ("pods",))


@pytest.mark.parametrize(
    ("rule", "question", "want"),
    [
        (PODS, ("get", "", "pods", "", "a"), True),
        (PODS, ("get", "", "pods", "", ""), True),
        (PODS, ("update", "", "pods", "", "a"), False),
        (PODS, ("get", "apps", "pods", "", "a"), False),
        (PODS, ("get", "", "podss", "", "a"), False),
        (PODS, ("get", "", "pods", "log", "a"), False),
        (Rule(("get",), ("",), ("pods/log",)), ("get", "", "pods", "log", "a"), True),
        (Rule(("get",), ("",), ("pods/log",)), ("get", "", "pods", "", "a"), False),
        (Rule(("get",), ("",), ("*/log",)), ("get", "", "pods", "log", "a"), True),
        (Rule(("get",), ("",), ("*/log",)), ("get", "", "pods", "logs", "a"), False),
        (Rule(("get",), ("",), ("*/log",)), ("get", "", "pods", "", "a"), False),
        (Rule(("get",), ("",), ("pods/*",)), ("get", "", "pods", "log", "a"), False),
        (Rule(("get",), ("",), ("*",)), ("get", "", "pods", "log", "a"), True),
        (Rule(("*",), ("*",), ("*",)), ("fly", "x.y", "zs", "w", "a"), True),
        (Rule(("get",), ("*",), ("pods",)), ("get", "x.y", "pods", "", ""), True),
        (Rule(("get",), ("",), ("pods",), ("a", "b")), ("get", "", "pods", "", "b"), True),
        (Rule(("get",), ("",), ("pods",), ("a", "b")), ("get", "", "pods", "", "c"), False),
        (Rule(("get",), ("",), ("pods",), ("a", "b")), ("get", "", "pods", "", ""), False),
        (Rule(("get",), ("",), ("pods",), ("*",)), ("get", "", "pods", "", "a"), False),
        (Rule(("get",), (), ()), ("get", "", "pods", "", "a"), False),
        (Rule((), ("",), ("pods",)), ("get", "", "pods", "", "a"), False),
    ],
)
def test_what_a_rule_allows(rule: Rule, question: tuple[str, str, str, str, str], want: bool) -> None:
    rights = Rights([rule])
    assert rights.allow(*question) is want
    assert rights.allow(*question) is want  # the second time from memory


def test_names_of_several_rules_add_up() -> None:
    rights = Rights([Rule(("get",), ("",), ("pods",), (name,)) for name in "ab"])
    assert [rights.allow("get", "", "pods", "", name) for name in ("a", "b", "c", "")] == [True, True, False, False]


@pytest.mark.parametrize(
    ("url", "path", "want"),
    [
        ("/healthz", "/healthz", True),
        ("/healthz", "/healthz/", False),
        ("/healthz/*", "/healthz/etcd", True),
        ("/healthz/*", "/healthz", False),
        ("/healthz*", "/healthz", True),
        ("*", "/anything", True),
        ("/a*/b", "/ax/b", False),
        ("/version/", "/version/", True),
    ],
)
def test_paths(url: str, path: str, want: bool) -> None:
    rights = Rights([Rule(("get",), urls=(url,))])
    assert rights.allow_path("get", path) is want
    assert rights.allow_path("post", path) is False


@pytest.mark.parametrize(
    ("owned", "wanted", "lacks"),
    [
        ([PODS], PODS, 0),
        ([PODS], Rule(("get", "watch"), ("",), ("pods",)), 1),
        ([PODS, Rule(("watch",), ("",), ("pods",))], Rule(("get", "watch"), ("",), ("pods",)), 0),
        ([Rule(("*",), ("*",), ("*",))], Rule(("a", "b"), ("x", "y"), ("s", "t/u")), 0),
        ([Rule(("get",), ("",), ("*",))], Rule(("*",), ("",), ("pods",)), 1),
        ([Rule(("get",), ("",), ("pods",))], Rule(("get",), ("*",), ("pods",)), 1),
        ([Rule(("get",), ("",), ("pods",))], Rule(("get",), ("",), ("*",)), 1),
        ([Rule(("get",), ("",), ("*/scale",))], Rule(("get",), ("",), ("pods/scale",)), 0),
        ([Rule(("get",), ("",), ("*/scale",))], Rule(("get",), ("",), ("*/scale", "pods")), 1),
        ([Rule(("get",), ("",), ("pods",), ("a",))], Rule(("get",), ("",), ("pods",), ("a",)), 0),
        ([Rule(("get",), ("",), ("pods",), ("a",))], Rule(("get",), ("",), ("pods",), ("a", "b")), 1),
        ([Rule(("get",), ("",), ("pods",), ("a",))], Rule(("get",), ("",), ("pods",)), 1),
        ([Rule(("get",), ("",), ("pods",), ("",))], Rule(("get",), ("",), ("pods",)), 1),
        ([Rule(("get",), ("",), ("pods",))], Rule(("get",), ("",), ("pods",), ("a", "b")), 0),
        ([Rule(("get",), urls=("/a/*",))], Rule(("get",), urls=("/a/b", "/a/*")), 0),
        ([Rule(("get",), urls=("/a",))], Rule(("get", "post"), urls=("/a", "/b")), 3),
        ([Rule(("*",), urls=("*",))], Rule(("get",), ("",), ("pods",)), 1),
        ([], Rule((), (), ()), 0),
    ],
)
def test_coverage(owned: list[Rule], wanted: Rule, lacks: int) -> None:
    assert len(Rights(owned).lack([wanted])) == lacks


def test_what_is_missing_is_told_with_verbs_together() -> None:
    wanted = [Rule(("get", "list"), ("", "apps"), ("pods",)), Rule(("get",), ("",), ("secrets",), ("a",)), Rule(("get",), urls=("/x",))]
    assert rules.described(Rights([]).lack(wanted)) == [
        '{APIGroups:[""], Resources:["pods"], Verbs:["get" "list"]}',
        '{APIGroups:[""], Resources:["secrets"], ResourceNames:["a"], Verbs:["get"]}',
        '{APIGroups:["apps"], Resources:["pods"], Verbs:["get" "list"]}',
        '{NonResourceURLs:["/x"], Verbs:["get"]}',
    ]


def test_a_role_of_a_thousand_times_a_thousand_things_costs_no_more_than_a_refusal() -> None:
    many = tuple(f"x{i}" for i in range(1000))
    with pytest.raises(ValueError, match="more than 20000 things"):
        Rights([PODS]).lack([Rule(many, many, many)])


def test_memory_of_questions_is_bounded() -> None:
    rights = Rights([Rule(("*",), ("*",), ("*",))])
    for i in range(5000):
        assert rights.allow("get", "", f"things{i}", "", "")
    assert len(rights._known) <= 512
    nothing = Rights([PODS])
    for i in range(100):
        assert not nothing.allow("get", "", f"things{i}", "", "")
    assert not nothing._known
