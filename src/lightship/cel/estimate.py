"""The static estimate: the least and the most that an expression can cost, before any value is known.

Called by `program.py`. Follows cel-go 0.26, checker/cost.go, because Kubernetes refuses rules by it. Sizes come from literals, from what
calls say of their results, and from the types of variables: an expression that is a path into a variable (`self.list[0].name`) has the
bound of the type at the end of that path, and types off the path have none. Scalars have bounds, too: Kubernetes gives them 0.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from lightship.cel.ast import Call, Expr, Fold, Ident, Literal, MakeList, MakeMap, MakeStruct, Select
from lightship.cel.functions import LIST_BASE, MAP_BASE, ONE, STRUCT_BASE, UNBOUNDED, UNKNOWN, CallEstimate, Operand, Overload, Range
from lightship.cel.types import DYN, Kind, ObjectType, Type

Path = tuple[str, ...]
_SCALARS = frozenset({Kind.BOOL, Kind.DOUBLE, Kind.DURATION, Kind.INT, Kind.TIMESTAMP, Kind.UINT})
_NOTHING = Range(0, 0)


def estimate(tree: Expr, variables: Mapping[str, Type]) -> Range:
    """What a checked tree can cost."""
    return _Coster(variables).cost(tree)


@dataclass(slots=True)
class _Entries:
    """How long the keys and the values of a container are."""

    kind: Kind
    key: Range
    value: Range

    def union(self, other: _Entries | None) -> _Entries | None:
        return None if other is None else _Entries(self.kind, self.key.union(other.key), self.value.union(other.value))


@dataclass(slots=True)
class _Local:
    path: Path
    size: Range | None
    entries: _Entries | None


@dataclass(slots=True)
class _Operand:
    """What the estimates of overloads see of an operand."""

    type: Type
    path: Path
    coster: _Coster
    node: Expr | None = None

    @property
    def size(self) -> Range:
        found = self.coster.size(self.node) if self.node is not None else self.coster.bound(self.path) or _type_size(self.type)
        return UNKNOWN if found is None else found

    @property
    def literal(self) -> Any:
        return self.node.value if isinstance(self.node, Literal) else None

    def element(self) -> Operand | None:
        if not self.type.parameters:
            return None
        return _Operand(self.type.parameters[0], (*self.path, "@items") if self.path else (), self.coster)


class _Coster:
    def __init__(self, variables: Mapping[str, Type]) -> None:
        self._variables = variables
        self._costs: dict[int, Range] = {}
        self._paths: dict[int, Path] = {}
        self._sizes: dict[int, Range] = {}
        self._entries: dict[int, _Entries] = {}
        self._locals: dict[str, list[_Local]] = {}
        self._visits: Mapping[type[Expr], Callable[[Any], Range]] = {
            Literal: lambda node: _NOTHING,
            Ident: self._ident,
            Select: self._select,
            Call: self._call,
            MakeList: self._list,
            MakeMap: self._map,
            MakeStruct: self._struct,
            Fold: self._fold,
        }

    def cost(self, node: Expr) -> Range:
        found = self._costs.get(id(node))
        if found is None:
            found = self._costs[id(node)] = self._visits[type(node)](node)
        return found

    # Sizes

    def bound(self, path: Path) -> Range | None:
        """The bound of the type that a path into a variable leads to.

        Kubernetes takes every path to begin at `self`, also that of an element of a list made on the spot, and of a type's name.
        """
        t: Type | None = self._variables.get(path[0], self._variables.get("self")) if path else None
        for step in path[1:]:
            t = _follow(t, step)
            if t is None:
                return None
        return None if t is None or t.bound is None else Range(0, t.bound)

    def size(self, node: Expr) -> Range | None:
        known = self._sizes.get(id(node)) or _literal_size(node)
        if known is not None:
            return known
        by_path = self.bound(self._path(node))
        if by_path is not None:
            self._sizes[id(node)] = by_path
            return by_path
        by_type = _type_size(node.type or DYN)
        if by_type is None and isinstance(node, Ident) and (local := self._local(node.name)):
            return local.size
        return by_type

    def _size(self, node: Expr) -> Range:
        found = self.size(node)
        return UNKNOWN if found is None else found

    def _entry_sizes(self, node: Expr) -> _Entries | None:
        found = self._entries.get(id(node))
        if found is None and isinstance(node, Ident) and (local := self._local(node.name)):
            return local.entries
        return found

    def _set_entries(self, node: Expr, entries: _Entries | None) -> None:
        if entries is not None:
            self._entries[id(node)] = entries

    def _set_size(self, node: Expr, size: Range | None) -> None:
        if size is not None:
            self._sizes[id(node)] = size

    # Names and selections

    def _local(self, name: str) -> _Local | None:
        found = self._locals.get(name)
        return found[-1] if found else None

    def _path(self, node: Expr) -> Path:
        if isinstance(node, Ident) and (local := self._local(node.name)):
            return local.path
        return self._paths.get(id(node), ())

    def _operand(self, node: Expr) -> _Operand:
        path = self._path(node)
        return _Operand(node.type or DYN, () if path and path[0] == "@result" else path, self, node)

    def _ident(self, node: Ident) -> Range:
        local = self._local(node.name)
        self._paths[id(node)] = local.path if local else (node.name,)
        return ONE

    def _select(self, node: Select) -> Range:
        if node.resolved is not None:
            self._paths[id(node)] = (node.resolved.name,)
            return ONE
        cost = self.cost(node.operand)
        if node.test:
            return cost
        of = node.operand.type or DYN
        self._paths[id(node)] = (*self._path(node.operand), node.field)
        return cost.plus(ONE) if of.kind in (Kind.MAP, Kind.OBJECT, Kind.PARAM) else cost

    # Calls

    def _call(self, node: Call) -> Range:
        if node.name == "dyn" and len(node.args) == 1:
            cost = self.cost(node.args[0])
            self._set_size(node, self.size(node.args[0]))
            self._set_entries(node, self._entry_sizes(node.args[0]))
            return ONE.plus(cost)
        costs = [self.cost(arg) for arg in node.args]
        before = _NOTHING
        if node.name == "_?._":
            return _sum(costs).plus(ONE)
        if node.target is not None:
            before = self.cost(node.target)
        target = None if node.target is None else self._operand(node.target)
        args = [self._operand(arg) for arg in node.args]
        total = Range(UNBOUNDED, 0)
        size: Range | None = None
        for overload in node.overloads:
            one = self._overload(node, overload, target, args, costs)
            total = total.union(one.cost)
            size = one.size if size is None else size if one.size is None else size.union(one.size)
            size = self._indexed(node, overload, size)
            if size is None:
                size = self.size(node)
        self._set_size(node, size)
        return before.plus(total)

    def _indexed(self, node: Call, overload: Overload, size: Range | None) -> Range | None:
        step = {"index_list": "@items", "index_map": "@values"}.get(overload.id)
        if step is None:
            return size
        entries = self._entry_sizes(node.args[0])
        self._paths[id(node)] = (*self._path(node.args[0]), step)
        return None if entries is None else entries.value

    def _overload(self, node: Call, overload: Overload, target: _Operand | None, args: list[_Operand], costs: list[Range]) -> CallEstimate:
        if overload.id in ("logical_and", "logical_or"):
            return CallEstimate(Range(costs[0].min, costs[0].plus(costs[1]).max))
        if overload.id == "conditional":
            self._merge(node, node.args[1], node.args[2])
            return CallEstimate(costs[0].plus(costs[1].union(costs[2])), args[1].size.union(args[2].size))
        if overload.id in ("add_string", "add_bytes", "add_list"):
            self._merge(node, node.args[0], node.args[1])
        said = overload.estimate(target, args) if overload.estimate is not None else None
        if said is None:
            return CallEstimate(ONE.plus(_sum(costs)))
        return CallEstimate(said.cost.plus(_sum(costs)), said.size)

    def _merge(self, node: Call, first: Expr, second: Expr) -> None:
        entries = self._entry_sizes(first)
        self._set_entries(node, None if entries is None else entries.union(self._entry_sizes(second)))

    # Literals with parts

    def _list(self, node: MakeList) -> Range:
        total, item = Range(LIST_BASE, LIST_BASE), Range(UNBOUNDED if node.elements else 0, 0)
        for element in node.elements:
            total = total.plus(self.cost(element))
            item = item.union(self._size(element))
        self._entries[id(node)] = _Entries(Kind.LIST, ONE, item)
        return total

    def _map(self, node: MakeMap) -> Range:
        total, least = Range(MAP_BASE, MAP_BASE), UNBOUNDED if node.entries else 0
        keys, values = Range(least, 0), Range(least, 0)
        for entry in node.entries:
            total = total.plus(self.cost(entry.key)).plus(self.cost(entry.value))
            keys, values = keys.union(self._size(entry.key)), values.union(self._size(entry.value))
        self._entries[id(node)] = _Entries(Kind.MAP, keys, values)
        return total

    def _struct(self, node: MakeStruct) -> Range:
        return _sum([self.cost(entry.value) for entry in node.entries]).plus(Range(STRUCT_BASE, STRUCT_BASE))

    # Comprehensions

    def _push(self, name: str, path: Path, size: Range | None, entries: _Entries | None = None) -> None:
        self._locals.setdefault(name, []).append(_Local(path, size, entries))

    def _fold(self, node: Fold) -> Range:
        total = self.cost(node.range).plus(self.cost(node.init))
        self._push(node.accu, self._path(node.init), self.size(node.init), self._entry_sizes(node.init))
        if node.macro == "bind":
            total = total.plus(self.cost(node.result))
            self._locals[node.accu].pop()
            self._set_size(node, self.size(node.result))
            self._set_entries(node, self._entry_sizes(node.result))
            return total
        self._enter(node)
        turn = self.cost(node.condition).plus(self.cost(node.step))
        self._locals[node.var].pop()
        if node.var2:
            self._locals[node.var2].pop()
        total = total.plus(self.cost(node.result))
        self._locals[node.accu].pop()
        count = self._size(node.range)
        self._leave(node, count)
        return total.plus(count.times(turn))

    def _enter(self, node: Fold) -> None:
        entries, path = self._entry_sizes(node.range), self._path(node.range)
        kind = entries.kind if entries else (node.range.type or DYN).kind
        key, value = (entries.key, entries.value) if entries else (None, None)
        is_list = kind is Kind.LIST
        if node.var2:
            self._push(node.var, (*path, "@indices" if is_list else "@keys"), key)
            self._push(node.var2, (*path, "@items" if is_list else "@values"), value)
        else:
            self._push(node.var, (*path, "@items" if is_list else "@keys"), value if is_list else key)

    def _leave(self, node: Fold, count: Range) -> None:
        if isinstance(node.init, Literal):
            self._set_size(node, self.size(node.init))
        elif isinstance(node.init, MakeList | MakeMap):
            self._sizes[id(node)] = count
            self._set_entries(node, self._entry_sizes(node.step))


def _sum(costs: list[Range]) -> Range:
    total = _NOTHING
    for cost in costs:
        total = total.plus(cost)
    return total


def _follow(t: Type | None, step: str) -> Type | None:
    if t is None:
        return None
    if step in ("@items", "@values"):
        return t.parameters[-1] if t.kind in (Kind.LIST, Kind.MAP) else None
    if step == "@keys":
        return t.parameters[0] if t.kind is Kind.MAP else None
    field = t.fields.get(step) if isinstance(t, ObjectType) else None
    return None if field is None else field.type


def _literal_size(node: Expr) -> Range | None:
    if isinstance(node, Literal):
        amount = len(node.value) if isinstance(node.value, str | bytes) else 1
    elif isinstance(node, MakeList):
        amount = len(node.elements)
    elif isinstance(node, MakeMap):
        amount = len(node.entries)
    else:
        return None
    return Range(amount, amount)


def _type_size(t: Type) -> Range | None:
    if t.kind in _SCALARS:
        return ONE
    if t.kind is Kind.OPAQUE:
        # Values of libraries are compared at the price of one.
        return _type_size(t.parameters[0]) if t.name == "optional_type" and t.parameters else ONE
    return None
