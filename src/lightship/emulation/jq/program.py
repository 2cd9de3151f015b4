"""A jq expression as a function from a value to the values that it gives. Pure.

`compile` makes nested closures over generators once; a `Query` then runs as often as one likes. Values are read, never changed.
"""

import math
from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from itertools import islice
from typing import Any, TypeAlias

from lightship.emulation.jq import values
from lightship.emulation.jq.functions import FUNCTIONS
from lightship.emulation.jq.parser import Node, parse
from lightship.emulation.jq.values import JqError, equal, is_true, short, sort_key, text_of

Variables: TypeAlias = Mapping[str, Any]
Run: TypeAlias = Callable[[Any, Variables], Iterator[Any]]

_BINARY: dict[str, Callable[[Any, Any], Any]] = {
    "==": equal,
    "!=": lambda left, right: not equal(left, right),
    "<": lambda left, right: sort_key(left) < sort_key(right),
    "<=": lambda left, right: sort_key(left) <= sort_key(right),
    ">": lambda left, right: sort_key(left) > sort_key(right),
    ">=": lambda left, right: sort_key(left) >= sort_key(right),
    "+": values.add,
    "-": values.subtract,
    "*": values.multiply,
    "/": values.divide,
    "%": values.modulo,
}
MOST = 100_000
"""Values that one expression may give."""


class Query:
    """A compiled expression."""

    def __init__(self, text: str, run: Run) -> None:
        self.text = text
        self._run = run

    def execute(self, value: Any) -> list[Any] | None:
        """All that it gives but nulls; None where it fails, as kwok has it."""
        try:
            return [found for found in islice(self._run(value, {}), MOST) if found is not None]
        except (JqError, TypeError, ValueError, AttributeError, RecursionError):
            return None


@lru_cache(maxsize=1024)
def compile(text: str) -> Query:
    """Raises `JqError` for what is no expression, or uses what is not known here."""
    return Query(text, _compiled(parse(text), text))


def _compiled(node: Node, text: str) -> Run:
    def sub(part: Any) -> Any:
        """What a part of a node stands for: a node is compiled, a list of them one by one, a name stays."""
        if isinstance(part, tuple) and part and isinstance(part[0], str):
            return _compiled(part, text)
        return [sub(inner) for inner in part] if isinstance(part, tuple) else part

    kind, *parts = node
    if kind == "literal":
        return _constant(parts[0])
    if kind == "call":
        return _called(parts[0], sub(parts[1]), text)
    return _KINDS[kind](*map(sub, parts))


def _constant(value: Any) -> Run:
    return lambda _, names: iter((value,))


def _variable(name: str) -> Run:
    def run(value: Any, names: Variables) -> Iterator[Any]:
        if name not in names:
            raise JqError(f"{name} is not defined")
        yield names[name]

    return run


def _pipe(left: Run, right: Run) -> Run:
    def run(value: Any, names: Variables) -> Iterator[Any]:
        for found in left(value, names):
            yield from right(found, names)

    return run


def _bound(source: Run, name: str, body: Run) -> Run:
    def run(value: Any, names: Variables) -> Iterator[Any]:
        for found in source(value, names):
            yield from body(value, {**names, name: found})

    return run


def _comma(left: Run, right: Run) -> Run:
    def run(value: Any, names: Variables) -> Iterator[Any]:
        yield from left(value, names)
        yield from right(value, names)

    return run


def _alternative(left: Run, right: Run) -> Run:
    def run(value: Any, names: Variables) -> Iterator[Any]:
        good = []
        try:
            good = [found for found in left(value, names) if is_true(found)]
        except JqError:
            pass
        yield from good or right(value, names)

    return run


def _logic(left: Run, right: Run, either: bool) -> Run:
    def run(value: Any, names: Variables) -> Iterator[Any]:
        for found in left(value, names):
            if is_true(found) == either:
                yield either
            else:
                yield from map(is_true, right(value, names))

    return run


def _binary(sign: str, left: Run, right: Run) -> Run:
    do = _BINARY[sign]

    def run(value: Any, names: Variables) -> Iterator[Any]:
        for second in right(value, names):
            for first in left(value, names):
                yield do(first, second)

    return run


def _indexed(target: Run, at: Run) -> Run:
    def run(value: Any, names: Variables) -> Iterator[Any]:
        for found in target(value, names):
            for key in at(value, names):
                yield _lookup(found, key)

    return run


def _lookup(value: Any, key: Any) -> Any:
    if value is None:
        return None
    if isinstance(value, dict) and isinstance(key, str):
        return value.get(key)
    if isinstance(value, list) and isinstance(key, int | float) and not isinstance(key, bool):
        at = math.floor(key)
        return value[at] if -len(value) <= at < len(value) else None
    raise JqError(f"{short(value)} has nothing at {short(key)}")


def _sliced(target: Run, begin: Run | None, end: Run | None) -> Run:
    def bound(of: Run | None, value: Any, names: Variables) -> Any:
        return None if of is None else next(of(value, names))

    def run(value: Any, names: Variables) -> Iterator[Any]:
        for found in target(value, names):
            if found is None:
                yield None
            elif isinstance(found, list | str):
                yield found[bound(begin, value, names) : bound(end, value, names)]
            else:
                raise JqError(f"{short(found)} cannot be cut")

    return run


def _each(target: Run) -> Run:
    def run(value: Any, names: Variables) -> Iterator[Any]:
        for found in target(value, names):
            if isinstance(found, dict):
                yield from found.values()
            elif isinstance(found, list):
                yield from found
            else:
                raise JqError(f"{short(found)} has no items")

    return run


def _tried(inner: Run) -> Run:
    def run(value: Any, names: Variables) -> Iterator[Any]:
        try:
            yield from inner(value, names)
        except JqError:
            return

    return run


def _conditional(test: Run, then: Run, other: Run) -> Run:
    def run(value: Any, names: Variables) -> Iterator[Any]:
        for found in test(value, names):
            yield from (then if is_true(found) else other)(value, names)

    return run


def _array(inner: Run | None) -> Run:
    return lambda value, names: iter(([] if inner is None else list(inner(value, names)),))


def _object(entries: list[tuple[Run, Run]]) -> Run:
    def built(at: int, made: dict[str, Any], value: Any, names: Variables) -> Iterator[Any]:
        if at == len(entries):
            yield made
            return
        keys, items = entries[at]
        for key in keys(value, names):
            if not isinstance(key, str):
                raise JqError(f"{short(key)} is no key of an object")
            for item in items(value, names):
                yield from built(at + 1, {**made, key: item}, value, names)

    return lambda value, names: built(0, {}, value, names)


def _joined(parts: list[Run]) -> Run:
    return lambda value, names: iter(("".join(text_of(found) for part in parts for found in part(value, names)),))


def _reduced(source: Run, name: str, begin: Run, step: Run) -> Run:
    def run(value: Any, names: Variables) -> Iterator[Any]:
        total = next(begin(value, names), None)
        for found in source(value, names):
            for next_total in step(total, {**names, name: found}):
                total = next_total
        yield total

    return run


def _called(name: str, arguments: list[Run], text: str) -> Run:
    known = _SPECIAL.get((name, len(arguments)))
    if known is not None:
        return known(*arguments)
    do = FUNCTIONS.get((name, len(arguments)))
    if do is None:
        count = len(arguments)
        raise JqError(f'the function {name}/{count} of "{text}" is not known here')
    if not arguments:
        return lambda value, names: iter((do(value),))
    if len(arguments) == 1:
        return lambda value, names: (do(value, found) for found in arguments[0](value, names))
    return lambda value, names: iter((do(value, *(next(argument(value, names)) for argument in arguments)),))


def _select(test: Run) -> Run:
    def run(value: Any, names: Variables) -> Iterator[Any]:
        for found in test(value, names):
            if is_true(found):
                yield value

    return run


def _items(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return list(value.values())
    if isinstance(value, list):
        return value
    raise JqError(f"{short(value)} has no items")


def _map(do: Run) -> Run:
    return lambda value, names: iter(([found for item in _items(value) for found in do(item, names)],))


def _map_values(do: Run) -> Run:
    def run(value: Any, names: Variables) -> Iterator[Any]:
        if isinstance(value, dict):
            yield {key: found for key, item in value.items() for found in islice(do(item, names), 1)}
        else:
            yield [found for item in _items(value) for found in islice(do(item, names), 1)]

    return run


def _with_entries(do: Run) -> Run:
    entries, back = FUNCTIONS[("to_entries", 0)], FUNCTIONS[("from_entries", 0)]
    return lambda value, names: iter((back([found for entry in entries(value) for found in do(entry, names)]),))


def _some(decide: Callable[[Iterator[bool]], bool]) -> Callable[[Run], Run]:
    def made(test: Run) -> Run:
        return lambda value, names: iter((decide(is_true(found) for item in _items(value) for found in test(item, names)),))

    return made


def _some_of(decide: Callable[[Iterator[bool]], bool]) -> Callable[[Run, Run], Run]:
    def made(source: Run, test: Run) -> Run:
        return lambda value, names: iter((decide(is_true(f) for item in source(value, names) for f in test(item, names)),))

    return made


def _by(order: Callable[[list[tuple[Any, Any]]], Any]) -> Callable[[Run], Run]:
    """A function of items with what each is measured by."""

    def made(measure: Run) -> Run:
        def run(value: Any, names: Variables) -> Iterator[Any]:
            yield order([(sort_key(list(measure(item, names))), item) for item in _items(value)])

        return run

    return made


def _grouped(pairs: list[tuple[Any, Any]]) -> list[list[Any]]:
    found: list[tuple[Any, list[Any]]] = []
    for key, item in sorted(pairs, key=lambda pair: pair[0]):
        if found and found[-1][0] == key:
            found[-1][1].append(item)
        else:
            found.append((key, [item]))
    return [group for _, group in found]


def _recurse(value: Any) -> Iterator[Any]:
    yield value
    if isinstance(value, dict | list):
        for item in _items(value):
            yield from _recurse(item)


def _first(source: Run) -> Run:
    return lambda value, names: islice(source(value, names), 1)


def _last(source: Run) -> Run:
    return lambda value, names: iter(list(source(value, names))[-1:])


def _this(value: Any, names: Variables) -> Iterator[Any]:
    yield value


def _range(*bounds: Run) -> Run:
    return lambda value, names: iter(range(*(int(next(bound(value, names))) for bound in bounds)))


_SPECIAL: dict[tuple[str, int], Callable[..., Run]] = {
    ("empty", 0): lambda: lambda value, names: iter(()),
    ("select", 1): _select,
    ("map", 1): _map,
    ("map_values", 1): _map_values,
    ("with_entries", 1): _with_entries,
    ("any", 0): lambda: _some(any)(_this),
    ("all", 0): lambda: _some(all)(_this),
    ("any", 1): _some(any),
    ("all", 1): _some(all),
    ("any", 2): _some_of(any),
    ("all", 2): _some_of(all),
    ("sort_by", 1): _by(lambda pairs: [item for _, item in sorted(pairs, key=lambda pair: pair[0])]),
    ("group_by", 1): _by(_grouped),
    ("unique_by", 1): _by(lambda pairs: [group[0] for group in _grouped(pairs)]),
    ("min_by", 1): _by(lambda pairs: min(pairs, key=lambda pair: pair[0])[1] if pairs else None),
    ("max_by", 1): _by(lambda pairs: max(pairs, key=lambda pair: pair[0])[1] if pairs else None),
    ("recurse", 0): lambda: lambda value, names: _recurse(value),
    ("first", 0): lambda: lambda value, names: iter((_lookup(value, 0),)),
    ("last", 0): lambda: lambda value, names: iter((_lookup(value, -1),)),
    ("first", 1): _first,
    ("last", 1): _last,
    ("values", 0): lambda: _select(lambda value, names: iter((value is not None,))),
    ("range", 1): _range,
    ("range", 2): _range,
}
"""Functions that take expressions: by name and number of arguments."""

_KINDS: dict[str, Callable[..., Run]] = {
    "this": lambda: _this,
    "variable": _variable,
    "pipe": _pipe,
    "as": _bound,
    "comma": _comma,
    "alternative": _alternative,
    "and": lambda left, right: _logic(left, right, either=False),
    "or": lambda left, right: _logic(left, right, either=True),
    "binary": _binary,
    "negate": lambda inner: _binary("-", _constant(0), inner),
    "index": _indexed,
    "slice": _sliced,
    "each": _each,
    "try": _tried,
    "if": _conditional,
    "array": _array,
    "object": _object,
    "text": _joined,
    "reduce": _reduced,
}
"""What compiles a node, of its parts."""
