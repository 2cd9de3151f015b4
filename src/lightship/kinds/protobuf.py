"""Request bodies in Kubernetes' own protobuf envelope, read into the objects that the same client would have sent as JSON.

The HTTP front calls `decode` for `application/vnd.kubernetes.protobuf`, which typed Go clients send for built-in kinds. The tables are
package data made by `tools/make_protobuf_data.py` and are read when the first such body comes. Refuses to know HTTP.
Contract: apimachinery runtime/serializer/protobuf (four bytes, then a runtime.Unknown) and the MarshalJSON methods of meta/v1,
api/resource, util/intstr and apiextensions/v1.
"""

from datetime import UTC, datetime, timedelta
from functools import lru_cache
from pathlib import Path
from typing import Any

from lightship.meta import codec
from lightship.meta.objects import Obj
from lightship.meta.protobuf import Decoder, Malformed, Special

MEDIA_TYPE = "application/vnd.kubernetes.protobuf"
MAGIC = b"k8s\x00"
_ANY_GROUP = "*/"
_EPOCH = datetime.fromtimestamp(0, UTC)
_FIRST, _LAST = -62135596800, 253402300799
"""The years 1 and 9999 in seconds; the first of them is what Go calls no time at all."""


class UnknownKind(ValueError):  # noqa: N818 - a kind, not a mistake of the body
    """The body is of a kind that has no protobuf form here: custom kinds, and what is not served."""


def decode(body: bytes) -> Obj:
    """The object in a request body. Raises `UnknownKind` and `meta.protobuf.Malformed`, both with one clear line."""
    if not body.startswith(MAGIC):
        raise Malformed(f"it does not begin with {MAGIC!r}, as {MEDIA_TYPE} does")
    kinds, decoder = _tables()
    envelope = decoder.decode("runtime.Unknown", body[len(MAGIC) :])
    head = envelope.get("typeMeta", {})
    api_version, kind = head.get("apiVersion", ""), head.get("kind", "")
    message = kinds.get(f"{api_version}/{kind}") or kinds.get(f"{_ANY_GROUP}{kind}")
    if message is None:
        raise UnknownKind(f"no protobuf form of kind {_shown(kind)} in version {_shown(api_version)} is known: send application/json")
    encoding, media = envelope.get("contentEncoding", ""), envelope.get("contentType", "")
    if encoding or media not in ("", MEDIA_TYPE):
        raise Malformed(f"the envelope holds {_shown(encoding or media)} where it should hold protobuf")
    obj: Obj = {"apiVersion": api_version, "kind": kind}
    obj.update(decoder.decode(message, envelope.get("raw", b"")))
    return obj


@lru_cache(maxsize=1)
def _tables() -> tuple[dict[str, str], Decoder]:
    """`apiVersion/kind` → message, and the decoder of all messages."""
    data: dict[str, Any] = codec.decode((Path(__file__).parent / "data" / "protobuf.json").read_bytes())
    return data["kinds"], Decoder(data["messages"], SPECIAL)


def _shown(text: str) -> str:
    """A word of the client's in quotes: one line, and not a long one."""
    return codec.encode(text[:80]).decode()


def known_kinds() -> frozenset[str]:
    """What `decode` reads, as `apiVersion/kind`; `*/DeleteOptions` stands for every group's."""
    return frozenset(_tables()[0])


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
    "authentication.v1.ExtraValue": lambda fields: fields.get("items", []),
    "authorization.v1.ExtraValue": lambda fields: fields.get("items", []),
    "apiextensions.v1.JSON": lambda fields: fields.get("raw"),
    "apiextensions.v1.JSONSchemaPropsOrBool": _schema_or_bool,
    "apiextensions.v1.JSONSchemaPropsOrArray": lambda fields: fields.get("jSONSchemas") or fields.get("schema"),
    "apiextensions.v1.JSONSchemaPropsOrStringArray": lambda fields: fields.get("property") or fields.get("schema"),
}
"""Messages whose JSON is not an object of their fields."""
