"""Macros: calls that are rewritten into other expressions before types are checked.

`has`, the quantifiers, `map` and `filter` over one variable; over two (index and element, key and value); `optMap` and `optFlatMap`;
`cel.bind`. Called by `parser.py` for calls whose name and number of arguments fit. What each becomes, down to the order of calls, is
what costs are counted by: it follows the macros of cel-go 0.26.
"""

from __future__ import annotations

from typing import Any, NoReturn, Protocol

from lightship.cel.ast import Call, Expr, Fold, Ident, Literal, MakeList, MakeMap, Select
from lightship.cel.functions import Macro

ACCU = "@result"
UNUSED = "#unused"
MAP_INSERT = "cel.@mapInsert"


class Expander(Protocol):
    """What a macro may ask of the parser."""

    @property
    def at(self) -> int:
        """Where the call stands; what a macro makes up stands there too."""

    def fail(self, expr: Expr, message: str) -> NoReturn:
        """Complain about a place; the call is not expanded."""


def _call(at: int, name: str, *args: Expr) -> Call:
    return Call(at, name, None, list(args))


def _accu(at: int) -> Ident:
    return Ident(at, ACCU)


def _variable(of: Expander, expr: Expr, complaint: str = "argument must be a simple name") -> str:
    if not isinstance(expr, Ident):
        of.fail(expr, complaint)
    return expr.name


def _variables(of: Expander, args: list[Expr], count: int, complaint: str = "argument must be a simple name") -> tuple[str, str]:
    names = [_variable(of, arg, complaint) for arg in args[:count]]
    if count == 2 and names[0] == names[1]:
        of.fail(args[1], f"duplicate variable name: {names[0]}")
    for name, arg in zip(names, args, strict=False):
        if name in (ACCU, "__result__"):
            of.fail(arg, "iteration variable overwrites accumulator variable")
    return names[0], names[1] if count == 2 else ""


def _has(of: Expander, target: Expr | None, args: list[Expr]) -> Expr:
    select = args[0]
    if not isinstance(select, Select):
        of.fail(select, "invalid argument to has() macro")
    return Select(of.at, select.operand, select.field, test=True)


def _all(of: Expander, target: Expr, names: tuple[str, str], condition: Expr) -> Expr:
    at = of.at
    go_on = _call(at, "@not_strictly_false", _accu(at))
    step = _call(at, "_&&_", _accu(at), condition)
    return Fold(at, target, *names, ACCU, Literal(at, True), go_on, step, _accu(at), "all")


def _exists(of: Expander, target: Expr, names: tuple[str, str], condition: Expr) -> Expr:
    at = of.at
    go_on = _call(at, "@not_strictly_false", _call(at, "!_", _accu(at)))
    step = _call(at, "_||_", _accu(at), condition)
    return Fold(at, target, *names, ACCU, Literal(at, False), go_on, step, _accu(at), "exists")


def _exists_one(of: Expander, target: Expr, names: tuple[str, str], condition: Expr) -> Expr:
    at = of.at
    step = _call(at, "_?_:_", condition, _call(at, "_+_", _accu(at), Literal(at, 1)), _accu(at))
    result = _call(at, "_==_", _accu(at), Literal(at, 1))
    return Fold(at, target, *names, ACCU, Literal(at, 0), Literal(at, True), step, result, "exists_one")


def _collect(of: Expander, target: Expr, names: tuple[str, str], condition: Expr | None, step: Expr, start: Expr, macro: str) -> Expr:
    """A comprehension that adds to a list or a map, for each element or for those that fit."""
    at = of.at
    if condition is not None:
        step = _call(at, "_?_:_", condition, step, _accu(at))
    return Fold(at, target, *names, ACCU, start, Literal(at, True), step, _accu(at), macro)


def _plus_one(at: int, element: Expr) -> Expr:
    return _call(at, "_+_", _accu(at), MakeList(at, [element]))


def _quantifier(make: Any, count: int) -> Any:
    def expand(of: Expander, target: Expr, args: list[Expr]) -> Expr:
        made: Expr = make(of, target, _variables(of, args, count), args[count])
        return made

    return expand


def _map(of: Expander, target: Expr, args: list[Expr]) -> Expr:
    names = _variables(of, args, 1, "argument is not an identifier")
    condition = args[1] if len(args) == 3 else None
    return _collect(of, target, names, condition, _plus_one(of.at, args[-1]), MakeList(of.at, []), "list")


def _filter(of: Expander, target: Expr, args: list[Expr]) -> Expr:
    names = _variables(of, args, 1, "argument is not an identifier")
    return _collect(of, target, names, args[1], _plus_one(of.at, args[0]), MakeList(of.at, []), "list")


def _transform_list(of: Expander, target: Expr, args: list[Expr]) -> Expr:
    names = _variables(of, args, 2)
    condition = args[2] if len(args) == 4 else None
    return _collect(of, target, names, condition, _plus_one(of.at, args[-1]), MakeList(of.at, []), "list")


def _transform_map(of: Expander, target: Expr, args: list[Expr]) -> Expr:
    names, at = _variables(of, args, 2), of.at
    condition = args[2] if len(args) == 4 else None
    step = _call(at, MAP_INSERT, _accu(at), Ident(at, names[0]), args[-1])
    return _collect(of, target, names, condition, step, MakeMap(at, []), "map")


def _transform_entry(of: Expander, target: Expr, args: list[Expr]) -> Expr:
    names, at = _variables(of, args, 2), of.at
    condition = args[2] if len(args) == 4 else None
    return _collect(of, target, names, condition, _call(at, MAP_INSERT, _accu(at), args[-1]), MakeMap(at, []), "map")


def _bind(at: int, name: str, value: Expr, body: Expr) -> Fold:
    """`body` with a name for `value`: a comprehension over nothing, whose start is worked out when first asked for."""
    return Fold(at, MakeList(at, []), UNUSED, "", name, value, Literal(at, False), Ident(at, name), body, "bind")


def _opt(of: Expander, target: Expr, args: list[Expr], name: str, wrap: bool) -> Expr:
    at = of.at
    variable = _variable(of, args[0], f"{name}() variable name must be a simple identifier")
    body: Expr = _bind(at, variable, Call(at, "value", target, []), args[1])
    if wrap:
        body = _call(at, "optional.of", body)
    return _call(at, "_?_:_", Call(at, "hasValue", target, []), body, _call(at, "optional.none"))


def _opt_map(of: Expander, target: Expr, args: list[Expr]) -> Expr:
    return _opt(of, target, args, "optMap", wrap=True)


def _opt_flat_map(of: Expander, target: Expr, args: list[Expr]) -> Expr:
    return _opt(of, target, args, "optFlatMap", wrap=False)


def _cel_bind(of: Expander, target: Expr, args: list[Expr]) -> Expr | None:
    if not isinstance(target, Ident) or target.name != "cel":
        return None
    name = _variable(of, args[0], "cel.bind() variable names must be simple identifiers")
    return _bind(of.at, name, args[1], args[2])


def _member(name: str, arity: int, expand: Any) -> Macro:
    return Macro(name, arity, True, expand)


ONE_VARIABLE = (
    Macro("has", 1, False, _has),
    _member("all", 2, _quantifier(_all, 1)),
    _member("exists", 2, _quantifier(_exists, 1)),
    _member("exists_one", 2, _quantifier(_exists_one, 1)),
    _member("existsOne", 2, _quantifier(_exists_one, 1)),
    _member("map", 2, _map),
    _member("map", 3, _map),
    _member("filter", 2, _filter),
)
TWO_VARIABLES = (
    _member("all", 3, _quantifier(_all, 2)),
    _member("exists", 3, _quantifier(_exists, 2)),
    _member("exists_one", 3, _quantifier(_exists_one, 2)),
    _member("existsOne", 3, _quantifier(_exists_one, 2)),
    *(
        _member(name, arity, expand)
        for name, expand in (("transformList", _transform_list), ("transformMap", _transform_map), ("transformMapEntry", _transform_entry))
        for arity in (3, 4)
    ),
)
OPTIONAL = (_member("optMap", 2, _opt_map), _member("optFlatMap", 2, _opt_flat_map))
BIND = (_member("bind", 3, _cel_bind),)
