"""Objects in Kubernetes' own protobuf envelope: bodies read as the objects that JSON would have shown, and answers written.

The HTTP front calls `decode` for `application/vnd.kubernetes.protobuf`, which typed Go clients send for built-in kinds, and the encoding
functions for clients that take nothing else. The tables are package data made by `tools/make_protobuf_data.py` and are read when the first
protobuf comes or goes. Refuses to know HTTP.
Contract: apimachinery runtime/serializer/protobuf (four bytes, then a runtime.Unknown) and the MarshalJSON methods of meta/v1,
api/resource, util/intstr and apiextensions/v1.
"""

import struct
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

from lightship.meta import codec, packed
from lightship.meta.objects import Obj
from lightship.meta.protobuf import Decoder, Malformed, Special, Tables
from lightship.meta.protobuf_encoder import Encoder, Plain

MEDIA_TYPE = "application/vnd.kubernetes.protobuf"
MAGIC = b"k8s\x00"
_MAGIC_SHOWN = " ".join(map(str, MAGIC))
_ANY_GROUP = "*/"
_ENVELOPE = "runtime.Unknown"
_LIST_META = "meta.v1.ListMeta"
_LIST, _EVENT = "List", "WatchEvent"
_FRAMES: Tables = {
    _LIST: {"1": ["metadata", "slice"], "2": ["items", "slice", "repeated"]},
    _EVENT: {"1": ["type", "string"], "2": ["object", "Raw"]},
    "Raw": {"1": ["raw", "slice"]},
}
"""What every list and every watch event is, around parts that are written already."""
_EPOCH = datetime.fromtimestamp(0, UTC)
_FIRST, _LAST = -62135596800, 253402300799
"""The years 1 and 9999 in seconds; the first of them is what Go calls no time at all."""


class UnknownKind(ValueError):  # noqa: N818 - a kind, not a mistake of the body
    """The body is of a kind that has no protobuf form here: custom kinds, and what is not served."""

    def __init__(self, api_version: str, kind: str) -> None:
        super().__init__(f"no protobuf form of kind {_shown(kind)} in version {_shown(api_version)} is known: send application/json")
        self.api_version = api_version
        self.kind = kind


def decode(body: bytes) -> Obj:
    """The object in a request body. Raises `UnknownKind` and `meta.protobuf.Malformed`, both with one clear line."""
    if not body.startswith(MAGIC):
        raise Malformed(f"provided data does not appear to be a protobuf message, expected prefix [{_MAGIC_SHOWN}]")
    if body == MAGIC:
        raise Malformed("empty body")
    data = _data()
    decoder = data.decoder
    envelope = decoder.decode(_ENVELOPE, body[len(MAGIC) :])
    head = envelope.get("typeMeta", {})
    api_version, kind = head.get("apiVersion", ""), head.get("kind", "")
    message = data.message(api_version, kind)
    if message is None:
        raise UnknownKind(api_version, kind)
    encoding, media = envelope.get("contentEncoding", ""), envelope.get("contentType", "")
    if encoding or media not in ("", MEDIA_TYPE):
        raise Malformed(f"the envelope holds {_shown(encoding or media)} where it should hold protobuf")
    obj: Obj = {"apiVersion": api_version, "kind": kind}
    obj.update(decoder.decode(message, envelope.get("raw", b"")))
    return obj


def encodes(api_version: str, kind: str) -> bool:
    """Has this kind a protobuf form? Custom kinds have none."""
    return _data().message(api_version, kind) is not None


def encode(obj: Obj) -> bytes:
    """An object in its envelope. Raises `UnknownKind`."""
    api_version, kind = obj["apiVersion"], obj["kind"]
    return _enveloped(api_version, kind, _written(api_version, kind, obj))


def encode_list(api_version: str, kind: str, metadata: Obj, items: Iterable[bytes]) -> bytes:
    """A list of the given kind (`PodList`); its items come from `encode_item`."""
    data = _data()
    parts = [data.list_encoder.encode(_LIST, {"metadata": data.encoder.encode(_LIST_META, metadata), "items": items})]
    return _enveloped(api_version, kind, b"".join(parts))


def encode_item(api_version: str, kind: str, obj: Obj) -> bytes:
    """An object as an item of a list: no envelope. Raises `UnknownKind`."""
    return _written(api_version, kind, obj)


def encode_event(type: str, obj: bytes) -> bytes:
    """A frame of a watch stream that tells of an object in its envelope. Contract: apimachinery's length-delimited framer."""
    event = _data().list_encoder.encode(_EVENT, {"type": type, "object": {"raw": obj}})
    return struct.pack(">I", len(event)) + event


class _Data(NamedTuple):
    """`kinds`: `apiVersion/kind` → message."""

    kinds: dict[str, str]
    decoder: Decoder
    encoder: Encoder
    list_encoder: Encoder

    def message(self, api_version: str, kind: str) -> str | None:
        return self.kinds.get(f"{api_version}/{kind}") or self.kinds.get(f"{_ANY_GROUP}{kind}")


@lru_cache(maxsize=1)
def _data() -> _Data:
    data: dict[str, Any] = codec.decode(packed.read(Path(__file__).parent / "data" / "protobuf.json"))
    messages = data["messages"]
    return _Data(data["kinds"], Decoder(messages, SPECIAL), Encoder(messages, PLAIN), Encoder(_FRAMES, {}))


def _written(api_version: str, kind: str, obj: Obj) -> bytes:
    data = _data()
    message = data.message(api_version, kind)
    if message is None:
        raise UnknownKind(api_version, kind)
    return data.encoder.encode(message, obj)


def _enveloped(api_version: str, kind: str, raw: bytes) -> bytes:
    head = {"apiVersion": api_version, "kind": kind}
    unknown = {"typeMeta": head, "raw": raw, "contentEncoding": "", "contentType": ""}
    return MAGIC + _data().encoder.encode(_ENVELOPE, unknown)


def _shown(text: str) -> str:
    """A word of the client's in quotes: one line, and not a long one."""
    return codec.encode(text[:80]).decode()


def known_kinds() -> frozenset[str]:
    """What `decode` reads, as `apiVersion/kind`; `*/DeleteOptions` stands for every group's."""
    return frozenset(_data().kinds)


def _moment(fields: dict[str, Any]) -> datetime | None:
    seconds = fields.get("seconds", 0)
    if not fields or seconds == _FIRST:
        return None
    if not _FIRST < seconds <= _LAST:
        raise ValueError(f"{seconds} seconds from 1970 is a time outside the years 1 to 9999")
    return _EPOCH + timedelta(seconds=seconds)


def _time(fields: dict[str, Any]) -> str | None:
    moment = _moment(fields)
    return moment.replace(tzinfo=None).isoformat() + "Z" if moment else None


def _micro_time(fields: dict[str, Any]) -> str | None:
    moment = _moment(fields)
    if moment is None:
        return None
    nanos = fields.get("nanos", 0)
    if not 0 <= nanos < 1_000_000_000:
        raise ValueError(f"{nanos} nanoseconds are no part of a second")
    return moment.replace(tzinfo=None, microsecond=nanos // 1000).isoformat(timespec="microseconds") + "Z"


def _int_or_string(fields: dict[str, Any]) -> int | str:
    found: int | str = fields.get("strVal", "") if fields.get("type", 0) else fields.get("intVal", 0)
    return found


def _schema_or_bool(fields: dict[str, Any]) -> Any:
    return fields["schema"] if "schema" in fields else fields.get("allows", False)


SPECIAL: dict[str, Special] = {
    "meta.v1.Time": _time,
    "meta.v1.MicroTime": _micro_time,
    "meta.v1.FieldsV1": lambda fields: fields.get("Raw"),
    "runtime.RawExtension": lambda fields: fields.get("raw"),
    "api.resource.Quantity": lambda fields: fields.get("string") or "0",
    "util.intstr.IntOrString": _int_or_string,
    "meta.v1.Verbs": lambda fields: fields.get("items", []),
    "authentication.v1.ExtraValue": lambda fields: fields.get("items", []),
    "authorization.v1.ExtraValue": lambda fields: fields.get("items", []),
    "certificates.v1.ExtraValue": lambda fields: fields.get("items", []),
    "apiextensions.v1.JSON": lambda fields: fields.get("raw"),
    "apiextensions.v1.JSONSchemaPropsOrBool": _schema_or_bool,
    "apiextensions.v1.JSONSchemaPropsOrArray": lambda fields: fields.get("jSONSchemas") or fields.get("schema"),
    "apiextensions.v1.JSONSchemaPropsOrStringArray": lambda fields: fields.get("property") or fields.get("schema"),
}
"""Messages whose JSON is not an object of their fields."""


@lru_cache(maxsize=4096)
def _from_time(text: str) -> Mapping[str, Any]:
    moment = datetime.fromisoformat(text)
    whole = moment.replace(microsecond=0)
    return {"seconds": (whole - _EPOCH) // timedelta(seconds=1), "nanos": moment.microsecond * 1000}


def _from_int_or_string(value: int | str) -> Mapping[str, Any]:
    return {"type": 1, "intVal": 0, "strVal": value} if isinstance(value, str) else {"type": 0, "intVal": value, "strVal": ""}


def _from_schema_or_bool(value: Any) -> Mapping[str, Any]:
    return {"allows": value} if isinstance(value, bool) else {"allows": True, "schema": value}


PLAIN: dict[str, Plain] = {
    "meta.v1.Time": lambda text: {**_from_time(text), "nanos": 0},
    "meta.v1.MicroTime": _from_time,
    "meta.v1.FieldsV1": lambda value: {"Raw": value},
    "runtime.RawExtension": lambda value: {"raw": value},
    "api.resource.Quantity": lambda value: {"string": str(value)},
    "util.intstr.IntOrString": _from_int_or_string,
    "meta.v1.Verbs": lambda values: {"items": values},
    "authentication.v1.ExtraValue": lambda values: {"items": values},
    "authorization.v1.ExtraValue": lambda values: {"items": values},
    "certificates.v1.ExtraValue": lambda values: {"items": values},
    "apiextensions.v1.JSON": lambda value: {"raw": value},
    "apiextensions.v1.JSONSchemaPropsOrBool": _from_schema_or_bool,
    "apiextensions.v1.JSONSchemaPropsOrArray": lambda value: {"jSONSchemas" if isinstance(value, list) else "schema": value},
    "apiextensions.v1.JSONSchemaPropsOrStringArray": lambda value: {"property" if isinstance(value, list) else "schema": value},
}
"""The way back of `SPECIAL`."""
