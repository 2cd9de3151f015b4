"""Label and field selectors: what they match, how they are written, how bad ones are refused (texts as kube-apiserver's)."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lightship.meta import selectors
from lightship.meta.selectors import FieldRequirement, LabelRequirement, LabelSelector

_LABELS = {"app": "web", "tier": "front", "n": "5", "empty": ""}


@pytest.mark.parametrize(
    ("text", "want"),
    [
        ("", True),
        ("app=web", True),
        ("app==web", True),
        ("app = web , tier=front", True),
        ("app!=web", False),
        ("other!=x", True),
        ("app in (web, db)", True),
        ("app in (db)", False),
        ("app notin (db)", True),
        ("other notin (db)", True),
        ("app", True),
        ("!app", False),
        ("!other", True),
        ("n>4", True),
        ("n<5", False),
        ("app>1", False),
        ("empty=", True),
        ("app=", False),
        ("empty in ()", True),
        ("app,!other,tier in (front)", True),
    ],
)
def test_matches(text: str, want: bool) -> None:
    assert selectors.parse_label_selector(text).matches(_LABELS) is want


@pytest.mark.parametrize(
    ("text", "want"),
    [
        ("a b", "unable to parse requirement: found 'b', expected: in, notin, =, ==, !=, gt, lt"),
        ("a=b c", "found 'c', expected: ',' or 'end of string'"),
        ("=b", "found '=', expected: !, identifier, or 'end of string'"),
        (",", "found ',', expected: !, identifier, or 'end of string'"),
        ("a,,b", "found ',', expected: identifier after ','"),
        ("a=b,", "found '', expected: identifier after ','"),
        ("!a=b", "found '=', expected: ',' or 'end of string'"),
        ("a in (b", "unable to parse requirement: found '', expected: ',' or ')'"),
        ("a in b", "unable to parse requirement: found 'b' expected: '('"),
        ("a notin(b c)", "unable to parse requirement: found 'c', expected: ',' or ')'"),
        ("a>x", "unable to parse requirement: values[0]: Invalid value: \"x\": for 'Gt', 'Lt' operators, the value must be an integer"),
        ("-a=b", 'unable to parse requirement: <nil>: Invalid value: "-a": name part must consist of'),
        ("a in (-x)", 'unable to parse requirement: values[0][a]: Invalid value: "-x": a valid label must be'),
    ],
)
def test_bad_label_selectors(text: str, want: str) -> None:
    with pytest.raises(ValueError) as error:
        selectors.parse_label_selector(text)
    assert str(error.value).startswith(want)


def test_selectors_in_specs() -> None:
    assert not selectors.from_label_selector(None).matches({})
    assert selectors.from_label_selector({}).matches({})
    expressions = [
        {"key": "tier", "operator": "In", "values": ["front", "back"]},
        {"key": "x", "operator": "DoesNotExist"},
        {"key": "n", "operator": "Exists"},
        {"key": "app", "operator": "NotIn", "values": ["db"]},
    ]
    found = selectors.from_label_selector({"matchLabels": {"app": "web"}, "matchExpressions": expressions})
    assert found.matches(_LABELS)
    assert not found.matches({**_LABELS, "x": "y"})
    assert not found.matches(None)


@pytest.mark.parametrize(
    "expression",
    [
        {"key": "a", "operator": "Near"},
        {"key": "a", "operator": "In", "values": []},
        {"key": "a", "operator": "Exists", "values": ["b"]},
        {"key": "a b", "operator": "Exists"},
    ],
)
def test_bad_expressions(expression: dict[str, object]) -> None:
    with pytest.raises(ValueError):
        selectors.from_label_selector({"matchExpressions": [expression]})


_KEYS = st.from_regex(r"[a-z]([a-z0-9]{0,5})", fullmatch=True).filter(lambda k: k not in ("in", "notin"))
_VALUES = st.from_regex(r"[a-z0-9]{1,5}", fullmatch=True).filter(lambda v: v not in ("in", "notin"))
_REQUIREMENTS = st.one_of(
    st.builds(lambda k, v: LabelRequirement(k, "in", frozenset(v)), _KEYS, st.sets(_VALUES, min_size=1, max_size=3)),
    st.builds(lambda k, v: LabelRequirement(k, "notin", frozenset(v)), _KEYS, st.sets(_VALUES, min_size=1, max_size=3)),
    st.builds(lambda k, op: LabelRequirement(k, op, frozenset()), _KEYS, st.sampled_from(["exists", "!"])),
    st.builds(lambda k, op, n: LabelRequirement(k, op, frozenset([str(n)])), _KEYS, st.sampled_from(["gt", "lt"]), st.integers(0, 99)),
)


@pytest.mark.slow
@given(st.lists(_REQUIREMENTS, max_size=4))
def test_text_round_trip(requirements: list[LabelRequirement]) -> None:
    selector = LabelSelector(requirements)
    assert selectors.parse_label_selector(str(selector)) == selector


@pytest.mark.slow
@given(st.text(alphabet="ab=!,()<> in", max_size=14))
def test_any_text_parses_or_is_refused(text: str) -> None:
    """Nothing but `ValueError` ever comes out."""
    with contextlib.suppress(ValueError):
        assert selectors.parse_label_selector(text).matches({"a": "b"}) in (True, False)


def test_field_selectors() -> None:
    assert selectors.parse_field_selector("") == []
    want = [FieldRequirement("a.b", "=", "c"), FieldRequirement("d", "!=", "e,f"), FieldRequirement("g", "=", "")]
    assert selectors.parse_field_selector("a.b==c,d!=e\\,f,g=") == want


@pytest.mark.parametrize(
    ("text", "want"),
    [
        ("a", "invalid selector: 'a'; can't understand 'a'"),
        ("a=b=c", "invalid field selector: unescaped character in value: 61"),
        ("a=\\x", "invalid field selector: invalid escape sequence: \\x"),
    ],
)
def test_bad_field_selectors(text: str, want: str) -> None:
    with pytest.raises(ValueError) as error:
        selectors.parse_field_selector(text)
    assert str(error.value) == want


@given(st.text(max_size=8))
def test_escaped_values_survive(value: str) -> None:
    escaped = value.replace("\\", "\\\\").replace(",", "\\,").replace("=", "\\=")
    assert selectors.parse_field_selector(f"a={escaped},b=c") == [FieldRequirement("a", "=", value), FieldRequirement("b", "=", "c")]


def test_field_text() -> None:
    assert selectors.field_text({"a": {"b": True}}, ("a", "b")) == "true"
    assert selectors.field_text({"a": {"b": 5}}, ("a", "b")) == "5"
    assert selectors.field_text({"a": 1}, ("a", "b")) == ""


def test_format_labels() -> None:
    assert selectors.format_labels({"b": "2", "a": "1"}) == "a=1,b=2"
    assert selectors.format_labels(None) == "<none>"
