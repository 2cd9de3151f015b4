"""Protobuf bodies of built-in kinds: what Go encodes is read as Go's own JSON shows it, and what is damaged is refused in one line."""

import base64
import gzip
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lightship import kinds
from lightship.kinds import protobuf
from lightship.meta import codec
from lightship.meta.objects import Obj
from lightship.meta.protobuf import Malformed

from .judge import compiled

FILES = ("full", "zero", "empty")


def golden(file: str) -> dict[str, tuple[bytes, Obj]]:
    lines = (Path(__file__).parent / "protobuf" / f"{file}.jsonl").read_text().splitlines()
    return {case["kind"]: (base64.b64decode(case["protobuf"]), case["json"]) for case in map(json.loads, lines)}


def published() -> dict[str, tuple[bytes, Obj]]:
    lines = gzip.decompress((Path(__file__).parent / "protobuf" / "published.jsonl.gz").read_bytes()).decode().splitlines()
    return {case["kind"]: (base64.b64decode(case["protobuf"]), case["json"]) for case in map(json.loads, lines)}


GOLDEN = {f"{file} {kind}": case for file in FILES for kind, case in golden(file).items()}
PUBLISHED = published()
GOLDEN |= {f"published {kind}": case for kind, case in PUBLISHED.items()}
SMALL = sorted((body for body, _ in GOLDEN.values()), key=len)[40:70]


def without_absent_lists(want: Any, ours: Any) -> Any:
    """What Go shows, without the nulls of which we have nothing at all."""
    if isinstance(want, dict) and isinstance(ours, dict):
        return {k: without_absent_lists(v, ours.get(k)) for k, v in want.items() if v is not None or k in ours}
    if isinstance(want, list) and isinstance(ours, list) and len(want) == len(ours):
        return [without_absent_lists(*pair) for pair in zip(want, ours, strict=True)]
    return want


def varint(number: int) -> bytes:
    head = b""
    while number > 127:
        head += bytes([number & 127 | 128])
        number >>= 7
    return head + bytes([number])


def piece(number: int, content: bytes) -> bytes:
    return varint(number << 3 | 2) + varint(len(content)) + content


def enveloped(raw: bytes, api_version: bytes = b"v1", kind: bytes = b"Pod", more: bytes = b"") -> bytes:
    return protobuf.MAGIC + piece(1, piece(1, api_version) + piece(2, kind)) + piece(2, raw) + more


@pytest.mark.parametrize("name", GOLDEN)
def test_what_go_encodes(name: str) -> None:
    body, want = GOLDEN[name]
    found = protobuf.decode(body)
    # As text, since to Python 1 == True == 1.0.
    assert json.dumps(found, sort_keys=True) == json.dumps(without_absent_lists(want, found), sort_keys=True)


def fields(data: bytes) -> list[Any]:
    """A message as a list of its fields, without what Go writes and JSON leaves out: zeros and empty messages. Knows no tables."""
    found: list[Any] = []
    at = 0
    while at < len(data):
        tag, at = number(data, at)
        if tag & 7 == 0:
            value, at = number(data, at)
            if value:
                found.append([tag, value])
        elif tag & 7 == 1:
            found.append([tag, data[at : at + 8].hex()])
            at += 8
        else:
            size, at = number(data, at)
            content = data[at : at + size]
            at += size
            if content and (inner := parts(content)) != []:
                found.append([tag, inner])
    return sorted(found, key=repr)


def parts(content: bytes) -> Any:
    """A message where it can be one, else the bytes."""
    try:
        return fields(content)
    except (IndexError, ValueError):
        return content.hex()


def number(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[at]
        value |= (byte & 127) << shift
        at, shift = at + 1, shift + 7
        if byte < 128:
            return value, at
        if shift > 63:
            raise ValueError("no number")


@pytest.mark.parametrize("name", GOLDEN)
def test_what_is_written_is_read_as_the_same(name: str) -> None:
    read = protobuf.decode(GOLDEN[name][0])
    again = protobuf.decode(protobuf.encode(read))
    assert json.dumps(without_nulls(again), sort_keys=True) == json.dumps(without_nulls(read), sort_keys=True)


def without_nulls(value: Any) -> Any:
    """Null is what JSON shows of the time that is none; it is written as nothing at all."""
    if isinstance(value, dict):
        return {k: without_nulls(v) for k, v in value.items() if v is not None}
    return [without_nulls(v) for v in value] if isinstance(value, list) else value


@pytest.mark.parametrize("name", PUBLISHED)
def test_what_is_written_are_the_fields_that_go_writes(name: str) -> None:
    """Field by field, by a reader that knows no tables: wrong numbers or types in these would show, though our own reader shares them."""
    body, want = PUBLISHED[name]
    written = protobuf.encode(want)
    assert len(fields(written[4:])) == len(fields(body[4:]))
    assert len(written) <= len(body)
    assert sorted(numbers(written[4:])) == sorted(numbers(body[4:]))


def numbers(data: bytes) -> list[str]:
    """The paths of all fields that are not zero, by tag, as often as they come."""

    def walk(found: Any, path: str) -> Iterator[str]:
        for tag, value in found if isinstance(found, list) else []:
            here = f"{path}/{tag}"
            if isinstance(value, list):
                yield from walk(value, here)
            else:
                yield f"{here}={value}"

    return list(walk(fields(data), ""))


@pytest.mark.parametrize("resource", kinds.BUILTIN, ids=repr)
def test_every_built_in_kind_can_be_read_and_has_no_strange_fields(resource: Any) -> None:
    name = f"{resource.api_version}/{resource.kind}"
    assert name in protobuf.known_kinds()
    case = GOLDEN.get(f"published {name}") or GOLDEN.get(f"full {name}")
    if case is None:
        assert resource.group in ("apiregistration.k8s.io",), "published elsewhere"
        return
    # Deprecated fields of the Go types that no document tells of.
    assert [path for path in compiled(resource).unknown(protobuf.decode(case[0])) if path not in ("metadata.selfLink",)] == []


def test_every_body_that_is_no_stored_kind_can_be_read() -> None:
    reviews = {"SelfSubjectAccessReview", "SelfSubjectRulesReview", "SubjectAccessReview", "LocalSubjectAccessReview"}
    wanted = {f"authorization.k8s.io/v1/{kind}" for kind in reviews}
    wanted |= {f"authentication.k8s.io/v1/{kind}" for kind in ("TokenRequest", "TokenReview", "SelfSubjectReview")}
    wanted |= {"v1/Binding", "policy/v1/Eviction", "autoscaling/v1/Scale", "*/DeleteOptions"}
    assert wanted <= protobuf.known_kinds()
    assert {kind for name in GOLDEN if (kind := name.split()[1]) not in protobuf.known_kinds()} == {
        "v1/DeleteOptions",
        "batch/v1/DeleteOptions",
    }


def test_the_tables_name_only_messages_that_are_there() -> None:
    messages = codec.decode((Path(protobuf.__file__).parent / "data" / "protobuf.json").read_bytes())["messages"]
    types = {row[1] for rows in messages.values() for row in rows.values()}
    assert types - messages.keys() == {"string", "bytes", "slice", "json", "bool", "int32", "int64", "double"}


def test_what_is_no_object_in_json_is_special() -> None:
    """A kind that is added may bring such a message: then the decoder must learn it."""
    messages = codec.decode((Path(protobuf.__file__).parent / "data" / "protobuf.json").read_bytes())["messages"]
    plain = {name for name, schema in kinds.definitions().items() if schema.get("type") != "object" or "properties" not in schema}
    plain = {name.rpartition("pkg.")[2].removeprefix("apis.").removeprefix("io.k8s.api.") for name in plain}
    assert {name for name in plain & messages.keys() if messages[name]} <= protobuf.SPECIAL.keys()
    assert plain & messages.keys(), "no name of a schema is the name of a message any more"


def test_every_group_has_delete_options() -> None:
    found = protobuf.decode(enveloped(b"\x08\x00" + piece(4, b"Background"), b"apps/v1", b"DeleteOptions"))
    assert found == {"apiVersion": "apps/v1", "kind": "DeleteOptions", "gracePeriodSeconds": 0, "propagationPolicy": "Background"}


@pytest.mark.parametrize(
    ("seconds", "nanos", "want"),
    [
        (0, 0, "1970-01-01T00:00:00Z"),
        (1_700_000_000, 5, "2023-11-14T22:13:20Z"),
        (-62135596800, 0, None),
        (-62135596799, 0, "0001-01-01T00:00:01Z"),
        (253402300799, 0, "9999-12-31T23:59:59Z"),
    ],
)
def test_times(seconds: int, nanos: int, want: str | None) -> None:
    moment = b"\x08" + varint(seconds % 2**64) + b"\x10" + varint(nanos)
    found = protobuf.decode(enveloped(piece(1, piece(9, moment))))["metadata"]
    assert found == {"deletionTimestamp": want}


@pytest.mark.parametrize(
    ("port", "want"),
    [
        (b"", 0),
        (b"\x08\x00\x10\x50", 80),
        (b"\x08\x00\x10\x50" + piece(3, b"ignored"), 80),
        (b"\x08\x01\x10\x50" + piece(3, b"http"), "http"),
        (b"\x08\x01\x10\x50" + piece(3, b""), ""),
    ],
)
def test_the_type_of_a_number_or_text_decides(port: bytes, want: int | str) -> None:
    probe = piece(1, piece(2, piece(2, port)))  # handler, httpGet, port
    found = protobuf.decode(enveloped(piece(2, piece(2, piece(10, probe)))))
    assert found["spec"]["containers"][0]["livenessProbe"]["httpGet"] == {"port": want}


MALFORMED = [
    (b"", "does not appear to be a protobuf message, expected prefix .107 56 115 0."),
    (b'{"kind":"Pod"}', "does not appear to be a protobuf message"),
    (protobuf.MAGIC, "empty body"),
    (protobuf.MAGIC + b"\x0a", "the data ends within a number"),
    (protobuf.MAGIC + b"\x0a\x05", "ends 5 bytes after its message"),
    (enveloped(b"", more=piece(3, b"gzip")), 'the envelope holds "gzip"'),
    (enveloped(b"", more=piece(4, b"application/json")), 'the envelope holds "application/json"'),
    (enveloped(b"\x0b"), "wire type 3 is not one of"),
    (enveloped(b"\x00\x00"), "there is no field 0"),
    (enveloped(b"\x08\x01"), "metadata has wire type 0 and should have 2"),
    (enveloped(b"\xff" * 11), "a number of more than 64 bits"),
    (enveloped(piece(1, piece(1, b"\xff"))), "text that is not UTF-8"),
    (enveloped(piece(1, piece(17, piece(7, piece(1, b"{"))))), "it is not JSON"),
    (enveloped(piece(1, piece(17, piece(7, piece(1, b"[" * 100_000))))), "it is not JSON"),
    (enveloped(piece(1, piece(9, b"\x08" + varint(253402300800)))), "outside the years 1 to 9999"),
    (enveloped(piece(1, piece(9, b"\x08" + varint(2**63)))), "outside the years 1 to 9999"),
    (enveloped(piece(2, piece(4, b"\x08\x01\x10" + varint(10**9))), b"coordination.k8s.io/v1", b"Lease"), "no part of a second"),
    (enveloped(piece(2, piece(2, b"") * 300_000)), "more than 200000 messages"),
]


@pytest.mark.parametrize(("body", "complaint"), MALFORMED, ids=[complaint for _, complaint in MALFORMED])
def test_malformed_bodies_are_refused_in_one_line(body: bytes, complaint: str) -> None:
    with pytest.raises(Malformed, match=complaint) as caught:
        protobuf.decode(body)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 300


def test_nesting_has_an_end() -> None:
    """A schema in a schema in a schema: the one kind of message that can hold itself."""
    schema = b""
    for _ in range(150):
        schema = piece(28, schema)  # not
    body = enveloped(piece(2, piece(7, piece(4, piece(1, schema)))), b"apiextensions.k8s.io/v1", b"CustomResourceDefinition")
    with pytest.raises(Malformed, match="nested more than 100 messages deep"):
        protobuf.decode(body)


@pytest.mark.parametrize("kind", [b"TrainJob", b"", b"PodList"])
def test_kinds_without_protobuf(kind: bytes) -> None:
    with pytest.raises(protobuf.UnknownKind, match=f'kind "{kind.decode()}" in version "v1" .* application/json'):
        protobuf.decode(enveloped(b"", kind=kind))


def test_what_the_client_calls_itself_is_quoted() -> None:
    with pytest.raises(protobuf.UnknownKind) as caught:
        protobuf.decode(enveloped(b"", kind=b"a\n" + b"b" * 1000))
    assert '"a\\nb' in str(caught.value)
    assert len(str(caught.value)) < 300


def read(body: bytes) -> None:
    """Whatever the bytes: an object that is JSON, or a refusal."""
    complaint = ""
    try:
        codec.encode(protobuf.decode(body))
    except (Malformed, protobuf.UnknownKind) as error:
        complaint = str(error)
    assert "\n" not in complaint


@given(st.binary(max_size=200), st.sampled_from(sorted(protobuf.known_kinds())))
@settings(max_examples=150, deadline=None, database=None)
def test_random_bytes(raw: bytes, kind: str) -> None:
    api_version, _, name = kind.rpartition("/")
    read(protobuf.MAGIC + raw)
    read(enveloped(raw, api_version.encode(), name.encode()))


@given(st.sampled_from(SMALL), st.data())
@settings(max_examples=150, deadline=None, database=None)
def test_damaged_bodies(body: bytes, data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(body) - 1))
    read(body[:at])
    read(body[:at] + data.draw(st.binary(max_size=4)) + body[at + data.draw(st.integers(0, 3)) :])


def test_the_tables_are_read_only_when_a_protobuf_body_comes() -> None:
    script = "from lightship.apiserver.media import bodies as b; from lightship.meta.objects import GVK; "
    script += "b.read_object('', b'{}', b.Wanted(GVK('', 'v1', 'Pod'))); from lightship.kinds import protobuf as p; "
    script += "print(p._data.cache_info().currsize)"
    assert subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout == "0\n"
