"""Calls of functions: straight to the one overload that fits, or by the types that the values turn out to have.

Called by `compiler.py`. Where the checker could not tell which overload is meant (arguments of type dyn), the choice is made per call and
remembered per combination of Python classes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from lightship.cel.code import Code, Frame, Run, charge, labour
from lightship.cel.errors import EvaluationError
from lightship.cel.functions import Overload
from lightship.cel.types import Kind, Type
from lightship.cel.values import ListValue, MapValue, type_of

_MANY = 1000  # lists shorter than this are joined without being counted

# What cel-go's operators and singleton functions say of operands that they cannot serve at all.
_TRAITS: dict[str, frozenset[Kind]] = {
    "_+_": frozenset({Kind.BYTES, Kind.DOUBLE, Kind.INT, Kind.UINT, Kind.LIST}),
    "_-_": frozenset({Kind.DOUBLE, Kind.INT, Kind.UINT}),
    "_*_": frozenset({Kind.DOUBLE, Kind.INT, Kind.UINT}),
    "_/_": frozenset({Kind.DOUBLE, Kind.INT, Kind.UINT}),
    "_%_": frozenset({Kind.INT, Kind.UINT}),
    "-_": frozenset({Kind.BOOL, Kind.DOUBLE, Kind.INT}),
    "size": frozenset({Kind.BYTES, Kind.LIST, Kind.MAP}),
    **{name: frozenset({Kind.BOOL, Kind.BYTES, Kind.DOUBLE, Kind.INT, Kind.UINT}) for name in ("_<_", "_<=_", "_>_", "_>=_")},
}
_RECEIVERS = frozenset({Kind.STRING, Kind.TIMESTAMP, Kind.DURATION})
_SINGLETONS = frozenset({"contains", "startsWith", "endsWith", "matches", "@in", "!_"})


def static(overload: Overload, args: Sequence[Code]) -> Code:
    """A call of the one overload that it can be."""
    cost = sum(arg.cost for arg in args)
    call, price = overload.call, overload.cost
    if isinstance(price, int):
        return Code(_plain(call, [arg.run for arg in args]), cost + price)
    return Code(_priced(call, [arg.run for arg in args], price), cost)


def _plain(call: Callable[..., Any], runs: list[Run]) -> Run:
    if len(runs) == 1:
        (one,) = runs
        return lambda frame: call(one(frame))
    if len(runs) == 2:
        first, second = runs
        return lambda frame: call(first(frame), second(frame))
    return lambda frame: call(*[run(frame) for run in runs])


def _priced(call: Callable[..., Any], runs: list[Run], price: Callable[[Sequence[Any], Any], int]) -> Run:
    def run(frame: Frame) -> Any:
        values = [run(frame) for run in runs]
        result = call(*values)
        charge(frame, price(values, result))
        return result

    return run


def searched(pattern: Any, text: Code, length: int) -> Code:
    """`text.matches('constant')`."""
    run, search, price = text.run, pattern.search, (length + 3) // 4

    def find(frame: Frame) -> bool:
        value = run(frame)
        charge(frame, (len(value) + 10) // 10 * price)
        return search(value) is not None

    return Code(find, text.cost)


def joined(call: Callable[[Any, Any], Any], left: Code, right: Code, price: Callable[[Sequence[Any], Any], int] | None) -> Code:
    """`a + b` of strings, bytes or lists: paid before it is done, because the result may be long."""
    first, second = left.run, right.run

    def run(frame: Frame) -> Any:
        a, b = first(frame), second(frame)
        if price is not None:
            charge(frame, price((a, b), None))
        elif len(a) + len(b) > _MANY:
            labour(frame, len(a) + len(b))
        return call(a, b)

    return Code(run, left.cost + right.cost + (1 if price is None else 0))


def dynamic(name: str, overloads: Sequence[Overload], args: Sequence[Code], standard: bool) -> Code:
    """A call that finds its overload by the values. Of several, a standard function costs 1 whatever it does, as in cel-go."""
    runs = [arg.run for arg in args]
    known: dict[tuple[type, ...], Overload] = {}
    alone = len(overloads) == 1

    def run(frame: Frame) -> Any:
        values = [run(frame) for run in runs]
        classes = tuple(map(type, values))
        overload = known.get(classes)
        if overload is None:
            overload = _choose(frame, name, overloads, values, standard)
            if not any(param.parameters for param in overload.params):
                known[classes] = overload
        price = 1 if not alone and (standard or overload.priced_by_id) else overload.cost
        if overload.id in _LONG:
            charge(frame, 0 if isinstance(price, int) else price(values, None))
            labour(frame, len(values[0]) + len(values[1]))
            if not isinstance(price, int):
                return overload.call(*values)
        result = overload.call(*values)
        charge(frame, price if isinstance(price, int) else price(values, result))
        return result

    return Code(run, sum(arg.cost for arg in args))


_LONG = frozenset({"add_list", "add_string", "add_bytes"})


def _choose(frame: Frame, name: str, overloads: Sequence[Overload], values: Sequence[Any], standard: bool) -> Overload:
    for overload in overloads:
        if all(map(belongs, values, overload.params)):
            return overload
    charge(frame, 1)
    if not standard:
        raise EvaluationError(f"no such overload: {name}({', '.join(type_of(value).name for value in values)})")
    kind = type_of(values[0]).kind
    if name in _SINGLETONS or kind in _RECEIVERS or kind in _TRAITS.get(name, ()):
        raise EvaluationError("no such overload")
    if name in _TRAITS:
        raise EvaluationError(f"no such overload: {name}")
    raise EvaluationError(f"no such overload: {name}({', '.join(type_of(value).name for value in values)})")


def belongs(value: Any, t: Type) -> bool:
    """Whether a value is of a type; of lists and maps the first element is asked, as cel-go does."""
    if t.is_dynamic:
        return True
    if t.kind is Kind.LIST:
        return isinstance(value, list | ListValue) and (len(value) == 0 or belongs(value[0], t.parameters[0]))
    if t.kind is Kind.MAP:
        if not isinstance(value, dict | MapValue):
            return False
        return all(belongs(key, t.parameters[0]) and belongs(value[key], t.parameters[1]) for key in list(value)[:1])
    if t.kind is Kind.OBJECT:
        return isinstance(value, dict | MapValue)
    return type_of(value).name == t.name
