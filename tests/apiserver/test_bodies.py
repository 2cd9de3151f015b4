"""Request bodies as objects: what is taken, what Go would have made of it, and every refusal in the real server's words."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lightship.apiserver.media import bodies
from lightship.apiserver.media.bodies import Wanted
from lightship.meta import codec
from lightship.meta.errors import StatusError
from lightship.meta.objects import GVK
from lightship.meta.rest import JSON_PATCH, MERGE_PATCH, STRATEGIC_MERGE_PATCH

JSON, YAML, PROTOBUF = "application/json", "application/yaml", "application/vnd.kubernetes.protobuf"
MAPS = Wanted(GVK("", "v1", "ConfigMap"), is_known=lambda gvk: gvk == GVK("", "v1", "Pod"))
WIRES = Wanted(GVK("wire.test", "v1", "Wire"), custom=True)
UNRECOGNIZED = "the object provided is unrecognized (must be of type ConfigMap): "
NO_HEAD = UNRECOGNIZED + "couldn't get version/kind; json parse error: "
HEAD = 'struct { APIVersion string "json:\\"apiVersion,omitempty\\""; Kind string "json:\\"kind,omitempty\\"" }'
UNKNOWN_FORMAT = (
    "the body of the request was in an unknown format - accepted media types include: "
    "application/json, application/yaml, application/vnd.kubernetes.protobuf"
)


def read(data: bytes, media: str = JSON, wanted: Wanted = MAPS) -> Any:
    return bodies.read_object(media, data, wanted)[0]


def refusal(data: bytes, media: str = JSON, wanted: Wanted = MAPS) -> tuple[int, str]:
    with pytest.raises(StatusError) as refused:
        read(data, media, wanted)
    return refused.value.code, refused.value.message


@pytest.mark.parametrize(
    ("data", "media"),
    [
        (b"{}", JSON),
        (b"{}", ""),
        (b"{}", "application/json; charset=utf-8"),
        (b"{}", "APPLICATION/JSON"),
        (b"{}", "application/json;"),
        (b"null", JSON),
        (b"", YAML),
        (b"~", YAML),
        (b'{"kind":null,"apiVersion":null}', JSON),
    ],
)
def test_what_is_left_out_is_filled_in(data: bytes, media: str) -> None:
    assert read(data, media) == {"kind": "ConfigMap", "apiVersion": "v1"}


def test_kind_and_version_come_first() -> None:
    assert list(read(b'{"metadata":{},"apiVersion":"v1","data":{},"kind":"ConfigMap"}')) == ["kind", "apiVersion", "metadata", "data"]


@pytest.mark.parametrize(
    ("data", "want"),
    [(b'{"data":{"a":"\xff"}}', "\ufffd"), (b'{"data":{"a":"\\ud800"}}', "\ufffd"), (b'{"data":{"a":"\\ud83d\\ude00"}}', "\U0001f600")],
)
def test_text_that_is_no_unicode_is_mended(data: bytes, want: str) -> None:
    assert read(data)["data"]["a"] == want


@pytest.mark.parametrize(
    ("data", "want"),
    [
        (b"", NO_HEAD + "unexpected end of JSON input (<empty>)"),
        (b"{", NO_HEAD + "unexpected end of JSON input ({)"),
        (b"[]", NO_HEAD + f"json: cannot unmarshal array into Go value of type {HEAD} (5b5d)"),
        (b'"x"', NO_HEAD + f"json: cannot unmarshal string into Go value of type {HEAD} (227822)"),
        (b'{"a":1}x', NO_HEAD + "invalid character 'x' after top-level value ({\"a\":1}x)"),
        (b'{"kind":1}', NO_HEAD + 'json: cannot unmarshal number into Go struct field .kind of type string ({"kind":1})'),
        (b"[" * 11_000, NO_HEAD + f"invalid character '[' exceeded max depth ({'5b' * 30} ...)"),
        (b'{"apiVersion":"a/b/c"}', UNRECOGNIZED + 'unexpected GroupVersion string: a/b/c ({"apiVersion":"a/b/c"})'),
        (
            b'{"kind":"Foo"}',
            (
                'Foo in version "v1" cannot be handled as a ConfigMap: '
                'no kind "Foo" is registered for version "v1" in scheme "pkg/runtime/scheme.go:111"'
            ),
        ),
        (
            b'{"kind":"Pod"}',
            'Pod in version "v1" cannot be handled as a ConfigMap: converting (v1.Pod) to (core.ConfigMap): unknown conversion',
        ),
        (
            b'{"apiVersion":"apps/v1"}',
            (
                'ConfigMap in version "v1" cannot be handled as a ConfigMap: '
                'no kind "ConfigMap" is registered for version "apps/v1" in scheme "pkg/runtime/scheme.go:111"'
            ),
        ),
        (
            b'{"metadata":[]}',
            (
                'ConfigMap in version "v1" cannot be handled as a ConfigMap: '
                "json: cannot unmarshal array into Go struct field ConfigMap.metadata of type v1.ObjectMeta"
            ),
        ),
    ],
)
def test_json_that_is_refused(data: bytes, want: str) -> None:
    assert refusal(data) == (400, want)


@pytest.mark.parametrize(
    ("data", "want"),
    [
        (b"a: b: c", UNRECOGNIZED + "yaml: mapping values are not allowed in this context (613a20623a2063)"),
        (b"[]", NO_HEAD + f"json: cannot unmarshal array into Go value of type {HEAD} (5b5d)"),
    ],
)
def test_yaml_that_is_refused(data: bytes, want: str) -> None:
    assert refusal(data, YAML) == (400, want)


@pytest.mark.parametrize(
    ("data", "want"),
    [
        (b"{}", "provided data does not appear to be a protobuf message, expected prefix [107 56 115 0] ({})"),
        (b"k8s\x00", "empty body (6b387300)"),
        (b"k8s\x00\x0a\x05", "unexpected EOF (6b3873000a05)"),
    ],
)
def test_protobuf_that_is_refused(data: bytes, want: str) -> None:
    assert refusal(data, PROTOBUF) == (400, UNRECOGNIZED + want)


@pytest.mark.parametrize("media", ["text/plain", "foo", "application/foo+json", "application/json;;", "application/apply-patch+yaml"])
def test_formats_that_nobody_reads(media: str) -> None:
    assert refusal(b"{}", media) == (415, UNKNOWN_FORMAT)


MUST_BE_WIRE = "the object provided is unrecognized (must be of type Wire): "


@pytest.mark.parametrize(
    ("data", "code", "want"),
    [
        (b"null", 400, MUST_BE_WIRE + "Object 'Kind' is missing in 'null' (6e756c6c)"),
        (b"{}", 400, MUST_BE_WIRE + "Object 'Kind' is missing in '{}' ({})"),
        (b'{"kind":"Wire"}', 400, "the API version in the data () does not match the expected API version (wire.test/v1)"),
        (
            b'{"kind":"Wire","apiVersion":"v1"}',
            400,
            "the API version in the data (v1) does not match the expected API version (wire.test/v1)",
        ),
        (
            b'{"kind":"Foo","apiVersion":"wire.test/v1"}',
            422,
            'Foo.wire.test "" is invalid: kind: Invalid value: "Foo": must be Wire',
        ),
        (
            b'{"kind":"Wire","apiVersion":"wire.test/v1","metadata":[]}',
            400,
            'Wire in version "v1" cannot be handled as a Wire: json: cannot unmarshal array into Go value of type v1.ObjectMeta',
        ),
    ],
)
def test_custom_objects_must_say_what_they_are(data: bytes, code: int, want: str) -> None:
    assert refusal(data, wanted=WIRES) == (code, want)


def test_custom_objects_are_never_protobuf() -> None:
    assert refusal(b"k8s\x00", PROTOBUF, WIRES) == (415, UNKNOWN_FORMAT)


@pytest.mark.parametrize(
    ("text", "want"), [("1.0", "1"), ("1e3", "1000"), ("1.5", "1.5"), ("12345678901234567890", "12345678901234567000"), ("-0.0", "0")]
)
def test_numbers_of_custom_objects_are_shown_as_go_shows_them(text: str, want: str) -> None:
    found = read(b'{"kind":"Wire","apiVersion":"wire.test/v1","spec":{"n":%b}}' % text.encode(), wanted=WIRES)
    assert codec.encode(found["spec"]["n"]).decode() == want


def doubles(data: bytes, media: str = JSON) -> list[str]:
    found = bodies.read_object(media, data, MAPS)[1]
    return [] if found is None else [*(each.path for each in found.fields), *found.lines]


@pytest.mark.parametrize(
    ("data", "want"),
    [
        (b'{"data":{"a":"1","b":"2"}}', []),
        (b'{"data":{"a":"1","a":"2"}}', ["data.a"]),
        (b'{"data":{"a":"\\"","a":"2"}}', ["data.a"]),
        (b'{"data":{"a":"\\u0022","a":"2"}}', ["data.a"]),
        (b'{"data":{"a":"\\u0022\\u0022"}}', []),
        (b'{"data":{"\\u0061":"1","a":"2"}}', ["data.a"]),
        (b'{ "data" : { "a" : "x:\\"y\\"" } , "b" : "" }', []),
        (b'{"data":{"a":"\xff","a":"2"}}', ["data.a"]),
    ],
)
def test_fields_that_come_twice_are_found(data: bytes, want: list[str]) -> None:
    assert doubles(data) == want


@given(st.recursive(st.integers() | st.text(), lambda x: st.lists(x) | st.dictionaries(st.text(), x), max_leaves=15), st.booleans())
@settings(max_examples=150, deadline=None, database=None)
def test_fields_that_come_once_cost_nothing_more(value: Any, spaced: bool) -> None:
    data = codec.encode({"data": value})
    assert doubles(data.replace(b":", b" : ") if spaced and b'"' not in data[8:-1] else data) == []


def test_keys_of_yaml_that_are_set_twice() -> None:
    assert doubles(b"data:\n  a: 1\n  a: 2\n", YAML) == ['line 3: key "a" already set in map']


@pytest.mark.parametrize(
    ("type", "data", "want"),
    [
        (MERGE_PATCH, b"", "error decoding patch: unexpected end of JSON input"),
        (MERGE_PATCH, b"[]", "error decoding patch: json: cannot unmarshal array into Go value of type map[string]interface {}"),
        (MERGE_PATCH, b"null", "Invalid JSON Patch"),
        (STRATEGIC_MERGE_PATCH, b"", "unexpected end of JSON input"),
        (STRATEGIC_MERGE_PATCH, b"1", "json: cannot unmarshal number into Go value of type map[string]interface {}"),
        (JSON_PATCH, b"{}", "error decoding patch: json: cannot unmarshal object into Go value of type []handlers.jsonPatchOp"),
        (JSON_PATCH, b"[1]", "error decoding patch: json: cannot unmarshal number into Go value of type handlers.jsonPatchOp"),
        (JSON_PATCH, b"[]x", "error decoding patch: invalid character 'x' after top-level value"),
    ],
)
def test_patches_that_are_refused(type: str, data: bytes, want: str) -> None:
    with pytest.raises(StatusError) as refused:
        bodies.read_patch(type, data, custom=False)
    assert (refused.value.code, refused.value.message) == (400, want)


def test_patches() -> None:
    assert bodies.read_patch(STRATEGIC_MERGE_PATCH, b"null", custom=False) == ({}, None)
    assert bodies.read_patch(JSON_PATCH, b"null", custom=False) == ([], None)
    _, found = bodies.read_patch(JSON_PATCH, b'[{"op":"add","path":"/a","value":{"x":1,"x":2},"foo":1}]', custom=False)
    assert found is not None
    assert [(each.what, each.path) for each in found.fields] == [("duplicate", "[0].value.x"), ("unknown", "[0].foo")]


def test_applies_are_yaml_but_mostly_json() -> None:
    warnings: list[str] = []
    assert bodies.read_apply(b'{"a":1}', custom=False, validation="", warnings=warnings) == {"a": 1}
    assert bodies.read_apply(b"a: 1", custom=False, validation="", warnings=warnings) == {"a": 1}
    assert warnings == []
    assert bodies.read_apply(b"a: 1\na: 2", custom=False, validation="Warn", warnings=warnings) == {"a": 2}
    assert warnings == ['line 2: key "a" already set in map']
    with pytest.raises(StatusError) as refused:
        bodies.read_apply(b'{"a":1,"a":2}', custom=False, validation="Strict", warnings=warnings)
    assert refused.value.message == (
        'error strict decoding YAML: error converting YAML to JSON: yaml: unmarshal errors:\n  line 1: key "a" already set in map'
    )
    with pytest.raises(StatusError, match="error decoding YAML: error converting YAML to JSON: yaml: line 1"):
        bodies.read_apply(b"a: [", custom=False, validation="", warnings=warnings)


@pytest.mark.parametrize(
    ("data", "want"),
    [
        (b"{", "couldn't get version/kind; json parse error: unexpected end of JSON input"),
        (b'{"kind":"Foo"}', 'no kind "Foo" is registered for version "meta.k8s.io/v1" in scheme "pkg/runtime/scheme.go:111"'),
    ],
)
def test_options_that_are_refused(data: bytes, want: str) -> None:
    with pytest.raises(StatusError) as refused:
        bodies.read_options(JSON, data, "DeleteOptions")
    assert refused.value.message == want


TEXTS = st.sampled_from(
    [b'{"kind":"ConfigMap","apiVersion":"v1","metadata":{"name":"x"}}', b"a: [b, {c: d}]\n", b"k8s\x00\x0a\x04\x0a\x02v1"]
)


@given(TEXTS, st.binary(max_size=20), st.integers(0, 60), st.sampled_from([JSON, YAML, PROTOBUF]), st.booleans())
@settings(max_examples=300, deadline=None, database=None)
def test_noise_is_refused_or_is_an_object(text: bytes, noise: bytes, at: int, media: str, custom: bool) -> None:
    try:
        assert isinstance(read(text[:at] + noise + text[at:], media, WIRES if custom else MAPS), dict)
    except StatusError as error:
        assert error.code in (400, 415, 422)  # noqa: PT017 - what is refused varies
