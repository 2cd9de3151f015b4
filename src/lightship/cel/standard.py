"""The functions and operators that every CEL has: one library, `STANDARD`, made of tables.

Called by `program.py`, which offers it to every expression. The names, signatures and identifiers are those of cel-go's standard library;
the work is done in `numbers.py`, `strings.py` and `moments.py`. `&&`, `||`, `?:`, `==` and indices are declared here for the checker and
evaluated by the compiler, which must not evaluate all their operands.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

from lightship.cel import macros, moments, numbers, strings
from lightship.cel.errors import EvaluationError
from lightship.cel.functions import Cost, Estimate, Library, Overload
from lightship.cel.types import (
    BOOL,
    BYTES,
    DOUBLE,
    DURATION,
    DYN,
    INT,
    LIST,
    MAP,
    NULL,
    STRING,
    TIMESTAMP,
    TYPE,
    UINT,
    ListType,
    MapType,
    Opaque,
    OptionalType,
    Type,
    TypeOf,
    TypeParam,
)
from lightship.cel.values import Duration, Timestamp, equal, type_of

A, B, K, V = TypeParam("A"), TypeParam("B"), TypeParam("K"), TypeParam("V")
LIST_A, MAP_AB = ListType(A), MapType(A, B)


def _unreachable(*args: Any) -> Any:
    raise EvaluationError("no such overload")


def _one(
    name: str,
    id: str,
    params: tuple[Type, ...],
    result: Type,
    call: Callable[..., Any],
    cost: Cost = 1,
    estimate: Estimate | None = None,
    *,
    member: bool = False,
) -> Overload:
    return Overload(name, params, result, call, member, cost, estimate, id)


def _no_nan(compare: Callable[[Any, Any], bool]) -> Callable[[Any, Any], bool]:
    def checked(a: float, b: float) -> bool:
        if a != a or b != b:
            raise EvaluationError("NaN values cannot be ordered")
        return compare(float(a), float(b))

    return checked


_NUMBERS = (("int64", INT), ("uint64", UINT), ("double", DOUBLE))
_ORDERS = (("_<_", "less", operator.lt), ("_<=_", "less_equals", operator.le), ("_>_", "greater", operator.gt))


def _order(name: str, word: str, compare: Callable[[Any, Any], bool]) -> list[Overload]:
    """A comparison: of numbers across their types, of everything else with its own kind."""
    out = [_one(name, f"{word}_bool", (BOOL, BOOL), BOOL, compare)]
    for first, a in _NUMBERS:
        for second, b in _NUMBERS:
            id = f"{word}_{first}" if a is b else f"{word}_{first}_{second}"
            out.append(_one(name, id, (a, b), BOOL, _no_nan(compare) if DOUBLE in (a, b) else compare))
    for kind, t in (("string", STRING), ("bytes", BYTES)):
        out.append(_one(name, f"{word}_{kind}", (t, t), BOOL, compare, strings.shorter_argument, strings.estimate_order))
    for kind, t in (("timestamp", TIMESTAMP), ("duration", DURATION)):
        out.append(_one(name, f"{word}_{kind}", (t, t), BOOL, compare))
    return out


_LOGIC = (
    _one("_?_:_", "conditional", (BOOL, A, A), A, _unreachable, 0, strings.estimate_either),
    _one("_&&_", "logical_and", (BOOL, BOOL), BOOL, _unreachable, 0),
    _one("_||_", "logical_or", (BOOL, BOOL), BOOL, _unreachable, 0),
    _one("!_", "logical_not", (BOOL,), BOOL, operator.not_),
    _one("@not_strictly_false", "not_strictly_false", (BOOL,), BOOL, _unreachable),
    _one("_==_", "equals", (A, A), BOOL, equal, strings.shorter_argument, strings.estimate_order),
    _one("_!=_", "not_equals", (A, A), BOOL, lambda a, b: not equal(a, b), strings.shorter_argument, strings.estimate_order),
)

_ADD = (
    _one("_+_", "add_bytes", (BYTES, BYTES), BYTES, operator.add, strings.both_arguments, strings.estimate_add),
    _one("_+_", "add_double", (DOUBLE, DOUBLE), DOUBLE, lambda a, b: float(a) + float(b)),
    _one("_+_", "add_duration_duration", (DURATION, DURATION), DURATION, lambda a, b: moments.span(a.nanos + b.nanos)),
    _one("_+_", "add_duration_timestamp", (DURATION, TIMESTAMP), TIMESTAMP, lambda d, t: moments.moved(t, d.nanos)),
    _one("_+_", "add_timestamp_duration", (TIMESTAMP, DURATION), TIMESTAMP, lambda t, d: moments.moved(t, d.nanos)),
    _one("_+_", "add_int64", (INT, INT), INT, numbers.add_ints),
    _one("_+_", "add_list", (LIST_A, LIST_A), LIST_A, strings.add_lists, 1, strings.estimate_add_lists),
    _one("_+_", "add_string", (STRING, STRING), STRING, operator.add, strings.both_arguments, strings.estimate_add),
    _one("_+_", "add_uint64", (UINT, UINT), UINT, numbers.add_uints),
)


def _between(a: Timestamp, b: Timestamp) -> Duration:
    return moments.span(a.nanos - b.nanos)


_ARITHMETIC = (
    *_ADD,
    _one("_/_", "divide_double", (DOUBLE, DOUBLE), DOUBLE, numbers.divide_doubles),
    _one("_/_", "divide_int64", (INT, INT), INT, numbers.divide_ints),
    _one("_/_", "divide_uint64", (UINT, UINT), UINT, numbers.divide_uints),
    _one("_%_", "modulo_int64", (INT, INT), INT, numbers.modulo_ints),
    _one("_%_", "modulo_uint64", (UINT, UINT), UINT, numbers.modulo_uints),
    _one("_*_", "multiply_double", (DOUBLE, DOUBLE), DOUBLE, numbers.multiply_doubles),
    _one("_*_", "multiply_int64", (INT, INT), INT, numbers.multiply_ints),
    _one("_*_", "multiply_uint64", (UINT, UINT), UINT, numbers.multiply_uints),
    _one("-_", "negate_double", (DOUBLE,), DOUBLE, lambda a: -float(a)),
    _one("-_", "negate_int64", (INT,), INT, numbers.negate_int),
    _one("_-_", "subtract_double", (DOUBLE, DOUBLE), DOUBLE, lambda a, b: float(a) - float(b)),
    _one("_-_", "subtract_duration_duration", (DURATION, DURATION), DURATION, lambda a, b: moments.span(a.nanos - b.nanos)),
    _one("_-_", "subtract_int64", (INT, INT), INT, numbers.subtract_ints),
    _one("_-_", "subtract_timestamp_duration", (TIMESTAMP, DURATION), TIMESTAMP, lambda t, d: moments.moved(t, -d.nanos)),
    _one("_-_", "subtract_timestamp_timestamp", (TIMESTAMP, TIMESTAMP), DURATION, _between),
    _one("_-_", "subtract_uint64", (UINT, UINT), UINT, numbers.subtract_uints),
)

_OPTIONAL_LIST, _OPTIONAL_MAP = OptionalType(ListType(V)), OptionalType(MapType(K, V))
_OPTIONAL_V = OptionalType(V)
_INDEX = (
    _one("_[_]", "index_list", (LIST_A, INT), A, _unreachable),
    _one("_[_]", "index_map", (MAP_AB, A), B, _unreachable),
    _one("_[_]", "optional_list_index_int", (_OPTIONAL_LIST, INT), _OPTIONAL_V, _unreachable),
    _one("_[_]", "optional_map_index_value", (_OPTIONAL_MAP, K), _OPTIONAL_V, _unreachable),
    _one("_[?_]", "list_optindex_optional_int", (ListType(V), INT), _OPTIONAL_V, _unreachable),
    _one("_[?_]", "optional_list_optindex_optional_int", (_OPTIONAL_LIST, INT), _OPTIONAL_V, _unreachable),
    _one("_[?_]", "map_optindex_optional_value", (MapType(K, V), K), _OPTIONAL_V, _unreachable),
    _one("_[?_]", "optional_map_optindex_optional_value", (_OPTIONAL_MAP, K), _OPTIONAL_V, _unreachable),
    _one("@in", "in_list", (A, LIST_A), BOOL, strings.is_in, strings.list_search, strings.estimate_in_list),
    _one("@in", "in_map", (A, MAP_AB), BOOL, strings.is_in),
)

_SIZE = tuple(
    overload
    for word, t in (("bytes", BYTES), ("list", LIST_A), ("map", MAP_AB), ("string", STRING))
    for overload in (
        _one("size", f"size_{word}", (t,), INT, strings.length),
        _one("size", f"{word}_size", (t,), INT, strings.length, member=True),
    )
)


def _conversion(name: str, result: Type, call: Callable[[Any], Any], **sources: Type) -> list[Overload]:
    """A conversion from each of several types. `sources` are named as cel-go names them."""
    to = {"int": "int64", "uint": "uint64"}.get(name, name)
    return [_one(name, f"{source}_to_{to}", (t,), result, call) for source, t in sources.items()]


_TO_BYTES = _one("bytes", "string_to_bytes", (STRING,), BYTES, numbers.to_bytes, strings.first_argument, strings.estimate_to_bytes)
_FROM_BYTES = _one("string", "bytes_to_string", (BYTES,), STRING, numbers.to_string, strings.first_argument, strings.estimate_to_string)
_TIMES = {"timestamp": TIMESTAMP, "duration": DURATION}
_INTEGERS = {"int64": INT, "uint64": UINT}

_CONVERSIONS = (
    _one("type", "type", (A,), TypeOf(A), type_of),
    _one("dyn", "to_dyn", (A,), DYN, lambda value: value),
    *_conversion("bool", BOOL, numbers.to_bool, bool=BOOL, string=STRING),
    *_conversion("bytes", BYTES, numbers.to_bytes, bytes=BYTES),
    _TO_BYTES,
    *_conversion("double", DOUBLE, numbers.to_double, double=DOUBLE, **_INTEGERS, string=STRING),
    *_conversion("duration", DURATION, numbers.to_duration, duration=DURATION, int64=INT, string=STRING),
    *_conversion("int", INT, numbers.to_int, **_INTEGERS, double=DOUBLE, string=STRING, **_TIMES),
    *_conversion("string", STRING, numbers.to_string, string=STRING, bool=BOOL, double=DOUBLE, **_INTEGERS, **_TIMES),
    _FROM_BYTES,
    *_conversion("timestamp", TIMESTAMP, numbers.to_timestamp, timestamp=TIMESTAMP, int64=INT, string=STRING),
    *_conversion("uint", UINT, numbers.to_uint, **_INTEGERS, double=DOUBLE, string=STRING),
)

_TEXT = (STRING, STRING)
_STRINGS = (
    _one("contains", "contains_string", _TEXT, BOOL, lambda a, b: b in a, strings.product, strings.estimate_contains, member=True),
    _one("endsWith", "ends_with_string", _TEXT, BOOL, str.endswith, strings.first_argument, strings.estimate_affix, member=True),
    _one("startsWith", "starts_with_string", _TEXT, BOOL, str.startswith, strings.first_argument, strings.estimate_affix, member=True),
    _one("matches", "matches", _TEXT, BOOL, strings.matches, 1),
    _one("matches", "matches_string", _TEXT, BOOL, strings.matches, strings.pattern_search, strings.estimate_matches, member=True),
)

_MOMENTS = (
    *(_one(name, f"timestamp_{name}", (TIMESTAMP,), INT, get, member=True) for name, get in moments.PARTS.items()),
    *(_one(name, f"timestamp_{name}_with_tz", (TIMESTAMP, STRING), INT, get, member=True) for name, get in moments.PARTS.items()),
    *(_one(name, f"duration_{name}", (DURATION,), INT, get, member=True) for name, get in moments.SPANS.items()),
)

_INSERTS = (
    _one(macros.MAP_INSERT, "@mapInsert_map_key_value", (MAP_AB, A, B), MAP_AB, strings.insert),
    _one(macros.MAP_INSERT, "@mapInsert_map_map", (MAP_AB, MAP_AB), MAP_AB, strings.insert),
)

STANDARD = Library(
    "standard",
    (
        *_LOGIC,
        *_ARITHMETIC,
        *(overload for order in _ORDERS for overload in _order(*order)),
        *_order("_>=_", "greater_equals", operator.ge),
        *_INDEX,
        *_SIZE,
        *_CONVERSIONS,
        *_STRINGS,
        *_MOMENTS,
        *_INSERTS,
    ),
    (*macros.ONE_VARIABLE, *macros.TWO_VARIABLES, *macros.OPTIONAL),
    {
        **{t.name: t for t in (BOOL, BYTES, DOUBLE, INT, STRING, UINT, NULL, TYPE, TIMESTAMP, DURATION)},
        "list": LIST,
        "map": MAP,
        "optional_type": Opaque("optional_type"),
    },
)
BINDINGS = Library("cel.bind", macros=macros.BIND)

CONVERSIONS = frozenset({"bool", "bytes", "double", "duration", "dyn", "int", "string", "timestamp", "type", "uint"})
"""Conversions of constants are worked out before the expression runs, and cost nothing."""
