"""The libraries `lists`: Kubernetes' (isSorted, sum, min, max, indexOf, lastIndexOf) and cel-go's (slice, flatten, sort, distinct, …).

Called through `library.KUBERNETES`. Work that grows with the square of a list is priced before it is done.
Contract: k8s.io/apiserver/pkg/cel/library/lists.go, cel-go ext/lists.go version 3.
"""

from collections.abc import Callable, Sequence
from functools import cmp_to_key
from typing import Any

from lightship.cel.ast import Call, Expr, Fold, Ident, Literal, MakeList, Select
from lightship.cel.errors import EvaluationError
from lightship.cel.functions import TRAVERSAL, UNBOUNDED, CallEstimate, Estimate, Library, Macro, Operand, Overload, Range
from lightship.cel.library import costs
from lightship.cel.macros import ACCU, UNUSED, Expander
from lightship.cel.types import (
    BOOL,
    BYTES,
    DOUBLE,
    DURATION,
    DYN,
    INT,
    LIST,
    STRING,
    TIMESTAMP,
    UINT,
    ListType,
    Type,
    TypeParam,
)
from lightship.cel.values import INT_MAX, INT_MIN, UINT_MAX, Duration, ListValue, Timestamp, UInt, equal, type_of

COMPARABLE = {
    "int": INT,
    "uint": UINT,
    "double": DOUBLE,
    "bool": BOOL,
    "duration": DURATION,
    "timestamp": TIMESTAMP,
    "string": STRING,
    "bytes": BYTES,
}
_NUMBERS = (int, float, UInt)
_ORDERED = (str, bytes, bool, Timestamp, Duration)
_TEXTS = (str, bytes)
_ELEMENT = TypeParam("A")
_ITEM = TypeParam("T")
_ITEMS = ListType(_ITEM)
_SQUARE = 2.0
_INPUT = "@__sortBy_input__"


def order(a: Any, b: Any) -> int | None:
    """-1, 0 or 1; None for values that cannot be compared with each other."""
    kind, other = type(a), type(b)
    if (kind in _NUMBERS and other in _NUMBERS) or (kind is other and kind in _ORDERED):
        if a < b:
            return -1
        return int(a > b) if a >= b else None
    return None


def _check_ordered(item: Any) -> None:
    if type(item) not in _NUMBERS and type(item) not in _ORDERED:
        raise EvaluationError("no such overload")


def _is_sorted(items: Sequence[Any]) -> bool:
    for i, item in enumerate(items):
        _check_ordered(item)
        if i and order(items[i - 1], item) == 1:
            return False
    return True


def _extreme(name: str, preferred: int) -> Callable[[Sequence[Any]], Any]:
    """The element before which none is `preferred`."""

    def find(items: Sequence[Any]) -> Any:
        if not items:
            raise EvaluationError(f"{name} called on empty list")
        found = items[0]
        for item in items:
            _check_ordered(item)
            if order(found, item) == preferred:
                found = item
        return found

    return find


def _sum_ints(items: Sequence[Any]) -> int:
    return _checked(items, int, INT_MIN, INT_MAX, "integer overflow")


def _sum_uints(items: Sequence[Any]) -> UInt:
    return UInt(_checked(items, UInt, 0, UINT_MAX, "unsigned integer overflow"))


def _sum_doubles(items: Sequence[Any]) -> float:
    total = 0.0
    for item in items:
        if type(item) is not float:
            raise EvaluationError("no such overload")
        total += item
    return total


def _sum_durations(items: Sequence[Any]) -> Duration:
    if any(type(item) is not Duration for item in items):
        raise EvaluationError("no such overload")
    return Duration(_checked([item.nanos for item in items], int, INT_MIN, INT_MAX, "duration overflow"))


def _checked(items: Sequence[Any], kind: type[int], low: int, high: int, why: str) -> int:
    total = 0
    for item in items:
        if item.__class__ is not kind:
            raise EvaluationError("no such overload")
        total += item
        if not low <= total <= high:
            raise EvaluationError(why)
    return total


def _index_of(items: Sequence[Any], wanted: Any) -> int:
    return next((i for i, item in enumerate(items) if equal(item, wanted)), -1)


def _last_index_of(items: Sequence[Any], wanted: Any) -> int:
    return next((i for i in range(len(items) - 1, -1, -1) if equal(items[i], wanted)), -1)


def _walks(name: str, params: tuple[Type, ...], result: Type, call: Callable[..., Any], identifier: str) -> Overload:
    return Overload(name, params, result, call, True, costs.deep_traversal, costs.elements, identifier)


def _kubernetes() -> list[Overload]:
    sums = {"int": _sum_ints, "uint": _sum_uints, "double": _sum_doubles, "duration": _sum_durations}
    found = [_walks("isSorted", (ListType(t),), BOOL, _is_sorted, f"list_{n}_is_sorted_bool") for n, t in COMPARABLE.items()]
    found += [_walks("sum", (ListType(COMPARABLE[n]),), COMPARABLE[n], call, f"list_{n}_sum_{n}") for n, call in sums.items()]
    for name, preferred in (("max", -1), ("min", 1)):
        call = _extreme(name, preferred)
        found += [_walks(name, (ListType(t),), t, call, f"list_{n}_{name}_{n}") for n, t in COMPARABLE.items()]
    found.append(_walks("indexOf", (ListType(_ELEMENT), _ELEMENT), INT, _index_of, "list_a_index_of_int"))
    found.append(_walks("lastIndexOf", (ListType(_ELEMENT), _ELEMENT), INT, _last_index_of, "list_a_last_index_of_int"))
    return found


def _slice(items: Sequence[Any], start: int, end: int) -> list[Any]:
    if start < 0 or end < 0:
        raise EvaluationError(f"cannot slice({start}, {end}), negative indexes not supported")
    if start > end:
        raise EvaluationError(f"cannot slice({start}, {end}), start index must be less than or equal to end index")
    if len(items) < end:
        raise EvaluationError(f"cannot slice({start}, {end}), list is length {len(items)}")
    return [items[i] for i in range(start, end)]


def _flatten(items: Sequence[Any], depth: int = 1) -> list[Any]:
    if depth < 0:
        raise EvaluationError("level must be non-negative")
    found: list[Any] = []
    for item in items:
        if depth and isinstance(item, list | ListValue):
            found += _flatten(item, depth - 1)
        else:
            found.append(item)
    return found


def _range(count: int) -> list[int]:
    costs.affordable(count)
    return list(range(count))


def _reverse(items: Sequence[Any]) -> list[Any]:
    return list(items)[::-1]


def _distinct(items: Sequence[Any]) -> list[Any]:
    costs.affordable(_self_compare(items))
    found: list[Any] = []
    for item in items:
        if not any(equal(item, other) for other in found):
            found.append(item)
    return found


def _sort(items: Sequence[Any]) -> Sequence[Any]:
    return sort_by(items, items)


def sort_by(items: Sequence[Any], keys: Sequence[Any]) -> Sequence[Any]:
    """The items in the order of their keys."""
    if len(items) != len(keys):
        sizes = f"got {len(items)} and {len(keys)} elements respectively"
        raise EvaluationError(f"@sortByAssociatedKeys() expected a list of the same size as the associated keys list, but {sizes}")
    if not items:
        return items
    if type(keys[0]) not in _NUMBERS and type(keys[0]) not in _ORDERED:
        raise EvaluationError("list elements must be comparable")
    if any(type_of(key) != type_of(keys[0]) for key in keys):
        raise EvaluationError("list elements must have the same type")
    pairs = sorted(zip(keys, items, strict=True), key=cmp_to_key(_by_key))
    return [item for _, item in pairs]


def _by_key(a: tuple[Any, Any], b: tuple[Any, Any]) -> int:
    return order(a[0], b[0]) or 0


def _self_compare(items: Sequence[Any]) -> int:
    """The cost of comparing each with each."""
    factor = _SQUARE + TRAVERSAL if items and isinstance(items[0], _TEXTS) else _SQUARE
    return costs.cost_of_list(factor, len(items) ** 2)


def _cost_of_result(_: Sequence[Any], result: Any) -> int:
    return costs.cost_of_list(1, len(result))


def _cost_of_flatten(arguments: Sequence[Any], _: Any) -> int:
    return costs.cost_of_list(float(arguments[1]) if len(arguments) == 2 else 1.0, len(arguments[0]))


def _estimate_slice(target: Operand | None, arguments: Sequence[Operand]) -> CallEstimate | None:
    if target is None:
        return None
    start, end = costs.literal(arguments[0], 0), costs.literal(arguments[1], target.size.max)
    length = (end - start) % 2**64
    return costs.making_list(1, Range(length, length))


def _estimate_range(_: Operand | None, arguments: Sequence[Operand]) -> CallEstimate:
    length = costs.literal(arguments[0], UNBOUNDED)
    return costs.making_list(1, Range(length, length))


def _estimate_flatten(target: Operand | None, arguments: Sequence[Operand]) -> CallEstimate | None:
    depth = costs.literal(arguments[0], UNBOUNDED) if arguments else 1
    return costs.making_list(float(depth), target.size) if target else None


def _estimate_reverse(target: Operand | None, _: Sequence[Operand]) -> CallEstimate | None:
    return costs.making_list(1, target.size) if target else None


def _estimate_distinct(target: Operand | None, _: Sequence[Operand]) -> CallEstimate | None:
    return costs.making_list(_SQUARE, target.size.times(target.size)) if target else None


def _estimate_sort(key: Type, *, associated: bool) -> Estimate:
    factor = _SQUARE + TRAVERSAL if key in (STRING, BYTES) else _SQUARE

    def estimate(target: Operand | None, arguments: Sequence[Operand]) -> CallEstimate | None:
        keys = arguments[0] if associated else target
        return costs.making_list(factor, keys.size.times(keys.size)) if keys else None

    return estimate


def _sorting() -> list[Overload]:
    return [
        Overload(
            "sort",
            (ListType(t),),
            ListType(t),
            _sort,
            True,
            lambda arguments, _: _self_compare(arguments[0]),
            _estimate_sort(t, associated=False),
            f"list_{t.name}_sort",
            priced_by_id=True,
        )
        for t in COMPARABLE.values()
    ] + [
        Overload(
            "@sortByAssociatedKeys",
            (_ITEMS, ListType(t)),
            _ITEMS,
            sort_by,
            True,
            lambda arguments, _: _self_compare(arguments[1]),
            _estimate_sort(t, associated=True),
            f"list_{t.name}_sortByAssociatedKeys",
            priced_by_id=True,
        )
        for t in COMPARABLE.values()
    ]


def _sort_by_macro(of: Expander, target: Expr | None, args: list[Expr]) -> Expr | None:
    """`items.sortBy(x, key)`: the items under a name of their own, sorted by the list of their keys."""
    if not isinstance(target, MakeList | Select | Ident | Fold | Call):
        of.fail(target or args[0], "sortBy can only be applied to a list, identifier, comprehension, call or select expression")
    variable = args[0]
    if not isinstance(variable, Ident):
        of.fail(variable, "argument is not an identifier")
    at = of.at
    step = Call(at, "_+_", None, [Ident(at, ACCU), MakeList(at, [args[1]])])
    keys = Fold(at, Ident(at, _INPUT), variable.name, "", ACCU, MakeList(at, []), Literal(at, True), step, Ident(at, ACCU), "list")
    sorting = Call(at, "@sortByAssociatedKeys", Ident(at, _INPUT), [keys])
    return Fold(at, MakeList(at, []), UNUSED, "", _INPUT, target, Literal(at, False), Ident(at, _INPUT), sorting, "bind")


KUBERNETES_LISTS = Library("kubernetes.lists", tuple(_kubernetes()))

EXTENDED_LISTS = Library(
    "cel.lib.ext.lists",
    (
        Overload("slice", (_ITEMS, INT, INT), _ITEMS, _slice, True, _cost_of_result, _estimate_slice, "list_slice"),
        Overload("flatten", (ListType(_ITEMS),), _ITEMS, _flatten, True, _cost_of_flatten, _estimate_flatten, "list_flatten", True),
        Overload("flatten", (LIST, INT), ListType(DYN), _flatten, True, _cost_of_flatten, _estimate_flatten, "list_flatten_int", True),
        *_sorting(),
        Overload("lists.range", (INT,), ListType(INT), _range, False, _cost_of_result, _estimate_range, "lists_range"),
        Overload("reverse", (_ITEMS,), _ITEMS, _reverse, True, _cost_of_result, _estimate_reverse, "list_reverse"),
        Overload(
            "distinct",
            (_ITEMS,),
            _ITEMS,
            _distinct,
            True,
            lambda arguments, _: _self_compare(arguments[0]),
            _estimate_distinct,
            "list_distinct",
        ),
    ),
    (Macro("sortBy", 2, True, _sort_by_macro),),
)
