"""The library `sets`: lists compared as sets.

Called through `library.KUBERNETES`. Comparing each with each is priced before it is done; texts are looked up.
Contract: cel-go ext/sets.go.
"""

from collections.abc import Callable, Sequence
from typing import Any

from lightship.cel.functions import ONE, CallEstimate, Library, Operand, Overload
from lightship.cel.library import costs
from lightship.cel.types import BOOL, ListType, TypeParam
from lightship.cel.values import contains

_LIST = ListType(TypeParam("T"))


def _contains(items: Sequence[Any], others: Sequence[Any]) -> bool:
    costs.affordable(_product(items, others))
    return all(contains(items, other) for other in others)


def _equivalent(items: Sequence[Any], others: Sequence[Any]) -> bool:
    return _contains(items, others) and _contains(others, items)


def _intersects(items: Sequence[Any], others: Sequence[Any]) -> bool:
    costs.affordable(_product(items, others))
    return any(contains(others, item) for item in items)


def _product(items: Sequence[Any], others: Sequence[Any]) -> int:
    return 1 + len(items) * len(others)


def _overload(name: str, call: Callable[..., bool], factor: int) -> Overload:
    def cost(arguments: Sequence[Any], _: Any) -> int:
        return 1 + len(arguments[0]) * len(arguments[1]) * factor

    def estimate(_: Operand | None, arguments: Sequence[Operand]) -> CallEstimate:
        return CallEstimate(arguments[0].size.times(arguments[1].size).scaled(factor).plus(ONE))

    return Overload(f"sets.{name}", (_LIST, _LIST), BOOL, call, False, cost, estimate, f"list_sets_{name}_list")


LIBRARY = Library(
    "cel.lib.ext.sets",
    (_overload("contains", _contains, 1), _overload("equivalent", _equivalent, 2), _overload("intersects", _intersects, 1)),
)
