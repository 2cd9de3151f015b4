"""JSON as Go takes it: what it says of text that is none, and which fields came twice."""

import json
import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lightship.meta import gojson
from lightship.meta.gojson import Double, Doubles

END = "unexpected end of JSON input"


@pytest.mark.parametrize(
    ("data", "want"),
    [
        (b"", END),
        (b"{", END),
        (b'{"a":1', END),
        (b'{"a":"b', END),
        (b'{"a":1}x', "invalid character 'x' after top-level value"),
        (b"truex", "invalid character 'x' after top-level value"),
        (b"[]]", "invalid character ']' after top-level value"),
        (b'{"a":1,}', "invalid character '}' looking for beginning of object key string"),
        (b"{'a':1}", "invalid character '\\'' looking for beginning of object key string"),
        (b"{1:1}", "invalid character '1' looking for beginning of object key string"),
        (b'{"a" 1}', "invalid character '1' after object key"),
        (b'{"a":1 "b":2}', "invalid character '\"' after object key:value pair"),
        (b'{"a":01}', "invalid character '1' after object key:value pair"),
        (b"[1 2]", "invalid character '2' after array element"),
        (b"[1,]", "invalid character ']' looking for beginning of value"),
        (b"\xef\xbb\xbf{}", "invalid character '\u00ef' looking for beginning of value"),
        (b'{"a":tru}', "invalid character '}' in literal true (expecting 'e')"),
        (b'{"a":nul', "invalid character ' ' in literal null (expecting 'l')"),
        (b'{"a":1.}', "invalid character '}' after decimal point in numeric literal"),
        (b'{"a":-}', "invalid character '}' in numeric literal"),
        (b"-", "invalid character ' ' in numeric literal"),
        (b'{"a":1e}', "invalid character '}' in exponent of numeric literal"),
        (b'{"a":"\x01"}', "invalid character '\\x01' in string literal"),
        (b'{"a":"\\x"}', "invalid character 'x' in string escape code"),
        (b'"\\u12', "invalid character ' ' in \\u hexadecimal character escape"),
        (b"[" * 10_001, "invalid character '[' exceeded max depth"),
    ],
)
def test_what_go_says_of_text_that_is_no_json(data: bytes, want: str) -> None:
    assert gojson.complaint(data) == want


def test_long_texts_are_judged_quickly() -> None:
    start = time.process_time()
    assert gojson.complaint(b'{"a":"' + b"x" * 3_000_000) == END
    assert gojson.complaint(b"[" + b"1," * 1_000_000 + b"}").startswith("invalid character '}'")
    assert gojson.complaint(b"[" * 3_000_000) == "invalid character '[' exceeded max depth"
    assert time.process_time() - start < 1


@pytest.mark.parametrize(
    ("text", "want"),
    [
        ('{"a":1,"a":2}', ["a"]),
        ('{"a":1,"a":2,"a":3}', ["a"]),
        ('{"a":{"b":1,"b":2},"a":{"b":1}}', ["a.b", "a"]),
        ('[{"x":1,"x":1},{"y":[{"z":0,"z":0}]}]', ["[0].x", "[1].y[0].z"]),
        ('{"a":{"a":1}}', []),
        ('{"":1,"":2}', [""]),
    ],
)
def test_fields_that_come_twice(text: str, want: list[str]) -> None:
    assert [double.path for double in gojson.decode(text.encode(), merge=False)[1].fields] == want


def test_an_object_that_comes_twice_is_filled_twice_where_go_has_a_struct() -> None:
    data = b'{"a":{"x":1,"y":1},"a":{"y":2}}'
    assert gojson.decode(data, merge=True)[0] == {"a": {"x": 1, "y": 2}}
    assert gojson.decode(data, merge=False)[0] == {"a": {"y": 2}}


def test_the_first_hundred_are_enough() -> None:
    text = "{" + ",".join(f'"k{i}":1,"k{i}":2' for i in range(1000)) + "}"
    assert len(gojson.decode(text.encode(), merge=False)[1].fields) == gojson.MAX_DOUBLES


@pytest.mark.parametrize(
    ("unknown", "doubles", "builtin", "want"),
    [
        (["a", "b"], None, True, ['unknown field "a"', 'unknown field "b"']),
        (["u"], Doubles([Double("d", 1)], {"d": 0, "u": 2}), True, ['duplicate field "d"', 'unknown field "u"']),
        (["u"], Doubles([Double("d", 3)], {"d": 0, "u": 2}), True, ['unknown field "u"', 'duplicate field "d"']),
        (["u"], Doubles([Double("u", 1), Double("u.x", 2), Double("u[0].y", 3)], {"u": 1}), True, ['unknown field "u"']),
        (["u"], Doubles([Double("u.x", 2)], {"u": 1}), False, ['duplicate field "u.x"', 'unknown field "u"']),
        ([], Doubles([Double("[0].x", 1)], prefix="json patch "), True, ['json patch duplicate field "[0].x"']),
        (
            ["u"],
            Doubles(lines=["line 3: x", "line 4: y"]),
            True,
            ["yaml: unmarshal errors:\n  line 3: x\n  line 4: y", 'unknown field "u"'],
        ),
    ],
)
def test_what_a_strict_decoder_says(unknown: list[str], doubles: Doubles | None, builtin: bool, want: list[str]) -> None:
    assert gojson.strict_errors(unknown, doubles, builtin=builtin) == want


def test_lines_of_yaml_are_warnings_of_their_own() -> None:
    assert gojson.as_warnings(["yaml: unmarshal errors:\n  line 3: x\n  line 4: y", "z"]) == ["line 3: x", "line 4: y", "z"]


@pytest.mark.parametrize(
    ("text", "want"),
    [("1.0", 1), ("1e3", 1000), ("-0.0", 0), ("1.5", 1.5), ("1e20", 10**20), ("1e21", 1e21), ("9223372036854775808", 9223372036854776000)],
)
def test_numbers_that_no_type_describes(text: str, want: float) -> None:
    found = gojson.whole_number(text) if text.isdecimal() else gojson.number(text)
    assert (found, type(found)) == (want, type(want))


def test_numbers_that_are_none() -> None:
    with pytest.raises(ValueError, match="cannot unmarshal number 1e400 into Go value of type float64"):
        gojson.number("1e400")


@pytest.mark.parametrize(
    ("text", "want"), [("a\x01b", '"a\\x01b"'), ('"\\', '"\\"\\\\"'), ("\u00e9\n", '"\u00e9\\n"'), ("\u200b", '"\\u200b"')]
)
def test_quotes(text: str, want: str) -> None:
    assert gojson.go_quoted(text) == want


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(), lambda x: st.lists(x) | st.dictionaries(st.text(), x), max_leaves=20
    )
)
@settings(max_examples=100, deadline=None, database=None)
def test_nothing_is_wrong_with_what_is_right(value: Any) -> None:
    data = json.dumps(value).encode()
    found, doubles = gojson.decode(data, merge=False)
    assert found == value
    assert not doubles.fields
    assert gojson.complaint(data) == END


@given(st.binary(max_size=60), st.sampled_from([b'{"a":[1,2,{"b":null}],"c":"d"}', b"[true,false,-1.5e3]"]), st.integers(0, 30))
@settings(max_examples=150, deadline=None, database=None)
def test_a_complaint_is_always_found(noise: bytes, text: bytes, at: int) -> None:
    said = gojson.complaint(text[:at] + noise + text[at:])
    assert said == END or said.startswith("invalid character '")
