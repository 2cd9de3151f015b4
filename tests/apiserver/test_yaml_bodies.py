"""YAML from strangers and for them: read as Go reads it, refused when it would take the server down, written so that all can read it."""

from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from lightship.apiserver.media import yaml_bodies


def decode(text: str | bytes) -> Any:
    return yaml_bodies.decode(text.encode() if isinstance(text, str) else text)[0]


def test_what_json_has_comes_through() -> None:
    body = b"kind: Pod\nmetadata: {name: a, labels: {'1': x}}\nspec:\n- 1\n- true\n- null\n- 1.5\n"
    assert decode(body) == {"kind": "Pod", "metadata": {"name": "a", "labels": {"1": "x"}}, "spec": [1, True, None, 1.5]}


@pytest.mark.parametrize(
    ("text", "want"),
    [
        *((word, True) for word in ("y", "Yes", "on", "TRUE")),
        *((word, False) for word in ("n", "no", "Off", "false")),
        *((word, None) for word in ("~", "null", "")),
        ("'yes'", "yes"),
        ("!!str 1", "1"),
        ("017", 15),
        ("0o17", 15),
        ("0x1F", 31),
        ("0b11", 3),
        ("1_000", 1000),
        ("+5", 5),
        ("-0", 0),
        ("08", 8),
        ("1e3", 1000),
        (".5", 0.5),
        ("18446744073709551616", 18446744073709552000),
        ("12:30", "12:30"),
        ("2001-01-01", "2001-01-01"),
        ("2001-01-01T00:00:00Z", "2001-01-01T00:00:00Z"),
        ("1.2.3", "1.2.3"),
        ("0b2", "0b2"),
        ("-", [None]),
        ("!!binary aGk=", "hi"),
        ("!thing x", "x"),
    ],
)
def test_plain_words_mean_what_they_mean_to_go(text: str, want: Any) -> None:
    found = decode(text if text == "-" else f"a: {text}")
    assert (found if text == "-" else found["a"]) == want


def test_keys_are_text_and_sorted() -> None:
    assert list(decode("b: 1\ntrue: 2\n3: 4\na: 5")) == ["3", "a", "b", "true"]


def test_anchors_and_merges() -> None:
    found = decode("a: &x {b: 1, c: 2}\nd:\n  <<: *x\n  c: 3\ne: *x\nf:\n  <<: [*x, {g: 1}]")
    assert found == {"a": {"b": 1, "c": 2}, "d": {"b": 1, "c": 3}, "e": {"b": 1, "c": 2}, "f": {"b": 1, "c": 2, "g": 1}}
    assert found["e"] is not found["a"]


def test_only_the_first_document_counts() -> None:
    assert decode("a: 1\n---\nb: 2\n") == {"a": 1}
    assert decode("") is None


def test_keys_that_are_set_twice_are_told_with_their_lines() -> None:
    found, lines = yaml_bodies.decode(b"a: 1\nb:\n- {c: 1, c: 2}\na: 2\n")
    assert found == {"a": 2, "b": [{"c": 2}]}
    assert lines == ['line 3: key "c" already set in map', 'line 4: key "a" already set in map']


LAUGHTER = b"a: &a [x, x]\n" + b"".join(b"%c: &%c [*%c, *%c]\n" % (c + 1, c + 1, c, c) for c in range(97, 120))


@pytest.mark.parametrize(
    ("body", "want"),
    [
        (b"[" * 100_000, "^yaml: exceeded max depth of 200$"),
        (b"- " * 100_000, "^yaml: exceeded max depth of 200$"),
        (LAUGHTER, "^yaml: document contains excessive aliasing$"),
        (b"a: &x [*x]", "^yaml: anchor 'x' value contains itself$"),
        (b"a: *x", "^yaml: unknown anchor 'x' referenced$|undefined alias"),
        (b"- a\n" * 250_000, "^yaml: document contains more than 200000 values$"),
        (b"a: b: c", "^yaml: mapping values are not allowed in this context$"),
        (b"a: [", "^yaml: line 1: did not find expected node content$"),
        (b"a: 1\nb: 2\nmetadata: {name: wire}\n  x", "^yaml: line 3: did not find expected key$"),
        (b"a: .inf", "no JSON number"),
        (b"[]: 1", "^yaml: unsupported map key of type: list$"),
        (b"<<: 1", "^yaml: map merge requires map or sequence of maps as the value$"),
        (b"a: !!binary '*'", "^yaml: !!binary value contains invalid base64 data$"),
        (b"\xff\xfe\x00", "^yaml: "),
        (b"\x00", "^yaml: "),
    ],
    ids=lambda value: value[:12] if isinstance(value, bytes) else None,
)
def test_what_would_hurt_is_refused(body: bytes, want: str) -> None:
    with pytest.raises(ValueError, match=want):
        decode(body)


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(-1e15, 1e15) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


@given(VALUES)
@settings(max_examples=200, deadline=None, database=None)
def test_what_is_written_is_read_as_the_same(value: Any) -> None:
    written = yaml_bodies.encode(value)
    assert yaml.safe_load(written) == value
    assert decode(written) == value


def test_lists_are_put_together_from_their_items() -> None:
    items: list[dict[str, Any]] = [{"a": {"b": [1, {"c": []}]}}, {}]
    written = yaml_bodies.encode_list({"kind": "L", "metadata": {"x": "1"}}, [yaml_bodies.encode(item) for item in items])
    assert yaml.safe_load(written) == {"kind": "L", "metadata": {"x": "1"}, "items": items}
    assert yaml.safe_load(yaml_bodies.encode_list({"kind": "L"}, [])) == {"kind": "L", "items": []}
    assert yaml_bodies.encode({"b": {"c": "yes"}, "a": [1]}) == b'a:\n- 1\nb:\n  c: "yes"\n'


@given(st.binary(max_size=100))
@settings(max_examples=150, deadline=None, database=None)
def test_noise_is_refused_in_words(body: bytes) -> None:
    try:
        yaml_bodies.decode(body)
    except ValueError as error:
        assert str(error).startswith("yaml: ")  # noqa: PT017 - what is refused varies
