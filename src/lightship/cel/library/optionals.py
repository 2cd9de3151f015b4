"""The functions of optional values: `optional.of`, `hasValue`, `first`, `unwrap` and the rest.

Called through `library.KUBERNETES`. `or` and `orValue` are given here as plain functions; that they look at their second argument only
when they need it, the syntax `a.?b` and `a[?b]` and the macros `optMap` and `optFlatMap` are the compiler's.
Contract: cel-go cel/library.go, optionalLib version 2.
"""

from collections.abc import Sequence
from typing import Any

from lightship.cel import macros
from lightship.cel.errors import EvaluationError
from lightship.cel.functions import Library, Overload
from lightship.cel.library.formatting import shown
from lightship.cel.types import BOOL, ListType, OptionalType, TypeParam
from lightship.cel.values import Duration, Optional, Timestamp

_VALUE = TypeParam("V")
_OPTIONAL = OptionalType(_VALUE)
_LIST = ListType(_VALUE)
_YEAR_ONE = -62_135_596_800 * 10**9


def is_zero(value: Any) -> bool:
    """null, false, 0, and whatever is empty."""
    if isinstance(value, Timestamp):
        return value.nanos == _YEAR_ONE
    if isinstance(value, Duration):
        return value.nanos == 0
    if isinstance(value, Optional):
        return not value.present or is_zero(value.value)
    return value is None or (isinstance(value, bool | int | float | str | bytes | list | dict) and not value)


def _of_non_zero(value: Any) -> Optional:
    return Optional.NONE if is_zero(value) else Optional(value)


def _value(optional: Optional) -> Any:
    if not optional.present:
        raise EvaluationError("optional.none() dereference")
    return optional.value


def _unwrap(items: Sequence[Any]) -> list[Any]:
    for item in items:
        if not isinstance(item, Optional):
            raise EvaluationError(f"value {shown(item)} is not optional")
    return [item.value for item in items if item.present]


LIBRARY = Library(
    "cel.lib.optional",
    (
        Overload("optional.of", (_VALUE,), _OPTIONAL, Optional, id="optional_of"),
        Overload("optional.ofNonZeroValue", (_VALUE,), _OPTIONAL, _of_non_zero, id="optional_ofNonZeroValue"),
        Overload("optional.none", (), _OPTIONAL, lambda: Optional.NONE, id="optional_none"),
        Overload("value", (_OPTIONAL,), _VALUE, _value, True, id="optional_value"),
        Overload("hasValue", (_OPTIONAL,), BOOL, lambda optional: optional.present, True, id="optional_hasValue"),
        Overload("or", (_OPTIONAL, _OPTIONAL), _OPTIONAL, lambda a, b: a if a.present else b, True, id="optional_or_optional"),
        Overload("orValue", (_OPTIONAL, _VALUE), _VALUE, lambda a, b: a.value if a.present else b, True, id="optional_orValue_value"),
        Overload("last", (_LIST,), _OPTIONAL, lambda items: Optional(items[-1]) if items else Optional.NONE, True, id="list_last"),
        Overload("first", (_LIST,), _OPTIONAL, lambda items: Optional(items[0]) if items else Optional.NONE, True, id="list_first"),
        Overload("optional.unwrap", (ListType(_OPTIONAL),), _LIST, _unwrap, id="optional_unwrap"),
        Overload("unwrapOpt", (ListType(_OPTIONAL),), _LIST, _unwrap, True, id="optional_unwrapOpt"),
    ),
    macros.OPTIONAL,
)
