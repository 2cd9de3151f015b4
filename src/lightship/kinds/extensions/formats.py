"""String and number formats that the server checks in custom objects; all others are kept and mean nothing.

Called by `crd.warn`. Contract: apiextensions-apiserver pkg/apiserver/validation/formats.go at 1.36.
"""

from collections.abc import Iterator

from lightship.meta import objects
from lightship.meta.objects import Obj

from .structural import subschemas

_STRINGS = frozenset(
    (
        *("bsonobjectid", "uri", "email", "hostname", "ipv4", "ipv6", "cidr", "mac", "uuid", "uuid3", "uuid4", "uuid5"),
        *("isbn", "isbn10", "isbn13", "creditcard", "ssn", "hexcolor", "rgbcolor", "byte", "password", "date", "duration"),
        *("datetime", "k8sshortname", "k8slongname"),
    )
)
_NUMBERS = {"integer": ("int32", "int64"), "number": ("float", "double")}


def unrecognized(crd: Obj) -> list[str]:
    """Formats in the schemas of a definition that no check stands behind, in the order in which they are found."""
    return list(_found(crd))


def _found(crd: Obj) -> Iterator[str]:
    for version in objects.spec(crd).get("versions") or ():
        for schema in subschemas((version.get("schema") or {}).get("openAPIV3Schema") or {}):
            format = schema.get("format")
            if format and not _is_known(schema.get("type") or "", format):
                yield format


def _is_known(kind: str, format: str) -> bool:
    if kind in ("", "string"):
        return format.replace("-", "") in _STRINGS
    return format in _NUMBERS.get(kind, ())
