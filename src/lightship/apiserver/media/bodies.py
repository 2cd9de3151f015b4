"""Request bodies: bytes of some media type become the object that an endpoint wants, or a refusal in the real server's words.

`front` calls `read_object` for creates and updates, `read_patch` for patches and `read_options` for deletions. The usual body costs one
fast decode and one count of its quotes, which tells whether a field could have come twice; all else is looked into only then, or when
something is wrong. Refuses to know what objects mean.
Contract: apiserver pkg/endpoints/handlers (create.go, rest.go, patch.go), apimachinery runtime/serializer/json with sigs.k8s.io/json.
"""

import json
import re
from collections.abc import Callable
from functools import lru_cache
from typing import Any, NamedTuple

import msgspec

from lightship.kinds import protobuf
from lightship.meta import codec, errors, gojson
from lightship.meta.errors import StatusError
from lightship.meta.gojson import Double, Doubles
from lightship.meta.objects import GVK, Obj
from lightship.meta.protobuf import Malformed

from . import yaml_bodies
from .negotiation import ALL, JSON, PROTOBUF, YAML

_HEAD = 'struct { APIVersion string "json:\\"apiVersion,omitempty\\""; Kind string "json:\\"kind,omitempty\\"" }'
_SCHEME = '"pkg/runtime/scheme.go:111"'
"""Where the real server says its built-in kinds are registered."""
_OPERATION = ("op", "path", "from", "value")
_SHOWN = 30
MOST_VALUES = 250_000
"""Objects and lists of one body. Each takes a hundred times its bytes in memory, and no object that is of use has nearly as many."""
_LONG_NUMBER = re.compile(rb"[0-9]{19}")
_ESCAPED_QUOTE = b"\\u0022"
_PARAMETER = re.compile(r"[^\s;=]+\s*=\s*(\"[^\"]*\"|[^\s;\"]*)")


class Wanted(NamedTuple):
    """What an endpoint takes: its kind, whether that is a custom one, and which other kinds the server knows."""

    gvk: GVK
    custom: bool = False
    is_known: Callable[[GVK], bool] = lambda gvk: False


class _Unreadable(ValueError):  # noqa: N818 - the text says what is wrong
    """A body that is no text of its format."""


def read_object(content_type: str, data: bytes, wanted: Wanted) -> tuple[Obj, Doubles | None]:
    """The object in a body, and the fields that came twice in it. Raises 400, 415, and 422 for another custom kind."""
    media = _media(content_type)
    if media not in ALL or (media == PROTOBUF and wanted.custom):
        raise unsupported()
    try:
        if media == PROTOBUF:
            return _from_protobuf(data, wanted), None
        value, doubles = _from_yaml(data) if media == YAML else _from_json(data, wanted)
        return _identified(value, data, wanted), doubles
    except _Unreadable as error:
        raise _unrecognized(wanted, str(error), data) from error


def read_patch(media: str, data: bytes, *, custom: bool) -> tuple[Any, Doubles | None]:
    """The patch in a body. Raises 400."""
    strategic = "strategic" in media
    try:
        value, doubles = _decoded(data, merge=False, custom=custom)
    except _Unreadable as error:
        raise errors.bad_request(f"{'' if strategic else 'error decoding patch: '}{error}") from error
    _check_shape(media, value, strategic)
    if "json-patch" in media:
        doubles = _strange_operations(value or [], doubles)
    elif doubles is not None:
        doubles = doubles._replace(places={})
    return ([] if "json-patch" in media else {}) if value is None else value, doubles


def read_apply(data: bytes, *, custom: bool, validation: str, warnings: list[str]) -> Any:
    """The object in the body of an apply, which is YAML and so mostly JSON. Raises 400, under Strict for what is set twice too."""
    try:
        value, doubles = _decoded(data, merge=False, custom=custom)
    except _Unreadable:
        value, doubles = None, Doubles()
    if doubles is None:
        return value
    try:
        value, lines = yaml_bodies.decode(data)
    except ValueError as error:
        reading = "error converting YAML to JSON: " if str(error).startswith("yaml: ") else ""
        raise errors.bad_request(f"error decoding YAML: {reading}{error}") from error
    if lines and validation == "Strict":
        listed = "\n".join(["yaml: unmarshal errors:", *(f"  {line}" for line in lines)])
        raise errors.bad_request(f"error strict decoding YAML: error converting YAML to JSON: {listed}")
    if validation != "Ignore":
        warnings.extend(lines)
    return value


def read_options(content_type: str, data: bytes, kind: str) -> Obj:
    """The options in the body of a deletion. Raises 400 and 415."""
    media = _media(content_type)
    if media not in ALL:
        raise unsupported()
    wanted = Wanted(GVK("meta.k8s.io", "v1", kind))
    try:
        if media == PROTOBUF:
            return _protobuf(data)
        value = (_from_yaml(data) if media == YAML else _from_json(data, wanted))[0]
    except (_Unreadable, protobuf.UnknownKind) as error:
        raise errors.bad_request(str(error)) from error
    if value.get("kind", kind) not in (kind, ""):
        version = value.get("apiVersion") or "meta.k8s.io/v1"
        raise errors.bad_request(f'no kind "{value["kind"]}" is registered for version "{version}" in scheme {_SCHEME}')
    found: Obj = value
    return found


def unsupported() -> StatusError:
    """415: a format that nobody here reads."""
    return errors.unsupported_media_type(
        f"the body of the request was in an unknown format - accepted media types include: {', '.join(ALL)}"
    )


@lru_cache(maxsize=64)
def _media(content_type: str) -> str:
    """The media type of a Content-Type header, JSON where there is none; empty when it is no such header."""
    media, *parameters = content_type.split(";")
    if parameters and not parameters[-1].strip():
        parameters.pop()
    if not all(_PARAMETER.fullmatch(parameter.strip()) for parameter in parameters):
        return ""
    return media.strip().lower() or (JSON if not content_type else "")


def _from_json(data: bytes, wanted: Wanted) -> tuple[Any, Doubles | None]:
    try:
        value, doubles = _decoded(data, merge=not wanted.custom, custom=wanted.custom)
    except _Unreadable as error:
        raise _Unreadable(f"couldn't get version/kind; json parse error: {error}") from error
    return _head_checked(value), doubles


def _from_yaml(data: bytes) -> tuple[Any, Doubles | None]:
    try:
        value, lines = yaml_bodies.decode(data)
    except ValueError as error:
        raise _Unreadable(str(error)) from error
    return _head_checked(value), Doubles(lines=lines) if lines else None


def _head_checked(value: Any) -> Any:
    """An object of which kind and version can be told; null is an empty one."""
    if value is None:
        return {}
    if not isinstance(value, dict):
        why = f"json: cannot unmarshal {gojson.kind_of(value)} into Go value of type {_HEAD}"
        raise _Unreadable(f"couldn't get version/kind; json parse error: {why}")
    for field in ("apiVersion", "kind"):
        found = value.get(field)
        if found is not None and not isinstance(found, str):
            why = f"json: cannot unmarshal {gojson.kind_of(found)} into Go struct field .{field} of type string"
            raise _Unreadable(f"couldn't get version/kind; json parse error: {why}")
    return value


def _decoded(data: bytes, *, merge: bool, custom: bool) -> tuple[Any, Doubles | None]:
    """JSON as Go reads it: bad UTF-8 becomes U+FFFD, and what came twice is told."""
    decode = _decode_custom if custom else codec.decode
    if len(data) > MOST_VALUES and data.count(b"{") + data.count(b"[") > MOST_VALUES:
        raise errors.too_large(f"Request entity too large: more than {MOST_VALUES} objects and lists")
    try:
        value = decode(data)
    except ValueError as error:
        data = _mended(data, error)
        value = decode(data)
    if data.count(b'"') == codec.encode(value).count(b'"') and (b"\\" not in data or _ESCAPED_QUOTE not in data):
        return value, None
    try:
        again, doubles = gojson.decode(data, merge=merge, typed=not custom)
    except ValueError as error:
        raise _Unreadable(str(error)) from error
    return (again, doubles) if doubles.fields else (value, None)


def _mended(data: bytes, error: ValueError) -> bytes:
    """What Go would have read in the place of text that is no Unicode. Raises `_Unreadable` where that is not what is wrong."""
    if "Go value" in str(error):
        raise _Unreadable(str(error).partition(" - at ")[0]) from error
    if "nested too deeply" in str(error):
        raise _Unreadable(f"invalid character '{chr(data.lstrip()[0])}' exceeded max depth") from error
    text = data.decode("utf-8", "replace")
    try:
        value = json.loads(text, parse_constant=_refuse)
    except (ValueError, RecursionError):
        raise _Unreadable(gojson.complaint(data)) from error
    if "\\u" in text:
        text = json.dumps(value, ensure_ascii=False).encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    mended = text.encode()
    try:
        codec.decode(mended)
    except ValueError:
        raise _Unreadable(gojson.complaint(data)) from error
    return mended


def _refuse(constant: str) -> Any:
    raise ValueError(constant)


_untyped = msgspec.json.Decoder(float_hook=gojson.number)


def _decode_custom(data: bytes) -> Any:
    try:
        if _LONG_NUMBER.search(data):
            return gojson.decode(data, merge=False, typed=False)[0]
        return _untyped.decode(data)
    except RecursionError:
        raise ValueError("JSON is nested too deeply") from None


def _from_protobuf(data: bytes, wanted: Wanted) -> Obj:
    try:
        return _identified(_protobuf(data), data, wanted)
    except protobuf.UnknownKind as error:
        raise _not_registered(GVK(*_group_version(error.api_version, data, wanted), error.kind), wanted) from error


def _protobuf(data: bytes) -> Obj:
    try:
        return protobuf.decode(data)
    except Malformed as error:
        raise _Unreadable("unexpected EOF" if " ends " in str(error) else str(error)) from error


def _identified(value: Obj, data: bytes, wanted: Wanted) -> Obj:
    """The object, told by its kind and version, which come first as in Go. Raises 400 when it is another kind than is wanted here."""
    gvk = wanted.gvk
    kind = value.get("kind") or ("" if wanted.custom else gvk.kind)
    own = f"{gvk.group}/{gvk.version}" if gvk.group else gvk.version
    version = value.get("apiVersion") or ("" if wanted.custom else own)
    if kind != gvk.kind or version != own:
        _refuse_other(GVK(*_group_version(version, data, wanted), kind), version, data, wanted, _name(value))
    metadata = value.get("metadata")
    if metadata is not None and not isinstance(metadata, dict):
        where = "value of type" if wanted.custom else f"struct field {gvk.kind}.metadata of type"
        why = f"json: cannot unmarshal {gojson.kind_of(metadata)} into Go {where} v1.ObjectMeta"
        raise errors.bad_request(f'{kind} in version "{gvk.version}" cannot be handled as a {gvk.kind}: {why}')
    value.pop("kind", None)
    value.pop("apiVersion", None)
    return {"kind": kind, "apiVersion": version, **value}


def _refuse_other(found: GVK, version: str, data: bytes, wanted: Wanted, name: str) -> None:
    gvk = wanted.gvk
    if not wanted.custom:
        raise _not_registered(found, wanted)
    if not found.kind:
        shown = data.decode("utf-8", "replace")
        raise _unrecognized(wanted, f"Object 'Kind' is missing in '{shown}'", data)
    if (found.group, found.version) != (gvk.group, gvk.version):
        own = f"{gvk.group}/{gvk.version}"
        raise errors.bad_request(f"the API version in the data ({version}) does not match the expected API version ({own})")
    raise errors.invalid(found.kind, name, [errors.invalid_value("kind", found.kind, f"must be {gvk.kind}")], gvk.group)


def _name(value: Obj) -> str:
    metadata = value.get("metadata")
    found = metadata.get("name") if isinstance(metadata, dict) else None
    return found if isinstance(found, str) else ""


def _group_version(text: str, data: bytes, wanted: Wanted) -> tuple[str, str]:
    group, slash, version = text.rpartition("/")
    if "/" in group:
        raise _unrecognized(wanted, f"unexpected GroupVersion string: {text}", data)
    return group if slash else "", version


def _not_registered(found: GVK, wanted: Wanted) -> StatusError:
    group_version = f"{found.group}/{found.version}" if found.group else found.version
    if wanted.is_known(found):
        internal = wanted.gvk.group.partition(".")[0] or "core"
        why = f"converting ({found.version}.{found.kind}) to ({internal}.{wanted.gvk.kind}): unknown conversion"
    else:
        why = f'no kind "{found.kind}" is registered for version "{group_version}" in scheme {_SCHEME}'
    return errors.bad_request(f'{found.kind} in version "{found.version}" cannot be handled as a {wanted.gvk.kind}: {why}')


def _unrecognized(wanted: Wanted, why: str, data: bytes) -> StatusError:
    return errors.bad_request(f"the object provided is unrecognized (must be of type {wanted.gvk.kind}): {why} ({_summary(data)})")


def _summary(data: bytes) -> str:
    if not data:
        return "<empty>"
    shown = data[:_SHOWN].decode("utf-8", "replace") if data[:1] == b"{" else data[:_SHOWN].hex()
    return shown + (" ..." if len(data) > _SHOWN else "")


def _strange_operations(operations: list[Obj], doubles: Doubles | None) -> Doubles | None:
    """What a strict decoder objects to in a JSON patch: its fields that came twice, and those that no operation has."""
    places = doubles.places if doubles else {}
    strange = [
        Double(path, places.get(path, at), "unknown")
        for at, operation in enumerate(operations)
        for path in [f"[{at}].{field}" for field in operation or () if field not in _OPERATION]
    ]
    if doubles is None and not strange:
        return None
    listed = sorted((*(doubles.fields if doubles else ()), *strange), key=lambda each: each.place)
    return Doubles(listed, prefix="json patch ")


def _check_shape(media: str, value: Any, strategic: bool) -> None:
    """Is this patch a list of operations, or an object, as its type says? Null is an empty one, but to a merge patch."""
    wrong: Any = None
    if "json-patch" in media:
        type = "[]handlers.jsonPatchOp"
        if value is not None and not isinstance(value, list):
            wrong = value
        elif value:
            type = "handlers.jsonPatchOp"
            wrong = next((op for op in value if op is not None and not isinstance(op, dict)), None)
    else:
        type = "map[string]interface {}"
        if value is None and not strategic:
            raise errors.bad_request("Invalid JSON Patch")
        wrong = value if value is not None and not isinstance(value, dict) else None
    if wrong is not None:
        prefix = "" if strategic else "error decoding patch: "
        raise errors.bad_request(f"{prefix}json: cannot unmarshal {gojson.kind_of(wrong)} into Go value of type {type}")
