"""Turns a checked tree into closures, with what running them costs.

Called by `program.py` once per expression. What an expression does over and over is decided here once: which slot a name has, which
overload a call means, which constants need no work.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from lightship.cel import access, calls, folds, operators, patterns
from lightship.cel.ast import Call, Expr, Fold, Ident, Literal, MakeList, MakeMap, MakeStruct, Select
from lightship.cel.code import FIRST, Code, Frame, constant
from lightship.cel.errors import EvaluationError
from lightship.cel.functions import LIST_BASE, MAP_BASE, STRUCT_BASE, Overload
from lightship.cel.standard import CONVERSIONS, STANDARD
from lightship.cel.types import DYN, Kind, ObjectType, Type
from lightship.cel.values import Optional

_STANDARD = frozenset(id(overload) for overload in STANDARD.overloads)
_ADDED = frozenset({"add_string", "add_bytes", "add_list"})
_PATTERNS = frozenset({"matches", "find", "findAll"})
Make = Callable[[str, Mapping[str, Any]], Any]


class Compiler:
    """One run over one tree. `slots`: the variables that it asks for, and where the frame keeps them."""

    def __init__(self) -> None:
        self._locals: list[tuple[str, Code]] = []
        self._next = FIRST
        self._made: dict[int, Code] = {}
        self.slots: dict[str, int] = {}
        self._visits: Mapping[type[Expr], Callable[[Any], Code]] = {
            Literal: lambda node: constant(node.value),
            Ident: self._ident,
            Select: self._select,
            Call: self._call,
            MakeList: self._list,
            MakeMap: self._map,
            MakeStruct: self._struct,
            Fold: self._fold,
        }

    @property
    def size(self) -> int:
        return self._next

    def visit(self, node: Expr) -> Code:
        """The code of a node. Macros may put a node into several places: it is compiled once."""
        found = self._made.get(id(node))
        if found is None:
            found = self._made[id(node)] = self._visits[type(node)](node)
        return found

    def _slot(self) -> int:
        self._next += 1
        return self._next - 1

    # Names and selections

    def _ident(self, node: Ident) -> Code:
        if node.constant is not None:
            return constant(node.constant)
        for name, code in reversed(self._locals):
            if name == node.name:
                return code
        if node.name not in self.slots:
            self.slots[node.name] = self._slot()
        return access.slot(self.slots[node.name])

    def _select(self, node: Select) -> Code:
        if node.resolved is not None:
            return self._ident(node.resolved)
        operand = self.visit(node.operand)
        key = _key(node.operand.type, node.field)
        if node.test:
            return access.test(operand, key)
        if _is_optional(node.operand.type):
            return access.optional(operand, constant(key))
        return access.field(operand, key)

    def _index(self, node: Call) -> Code:
        of = node.args[0].type or DYN
        operand, key = self.visit(node.args[0]), self.visit(node.args[1])
        return access.optional(operand, key) if _is_optional(of) else access.indexed(operand, key, of)

    def _optional_look(self, node: Call) -> Code:
        operand, key = self.visit(node.args[0]), self.visit(node.args[1])
        if node.name == "_?._":
            key = constant(_key(node.args[0].type, key.value))
        return access.optional(operand, key)

    # Calls

    def _call(self, node: Call) -> Code:
        special = _SPECIAL.get(node.name)
        if special is not None:
            return special(self, node)
        if node.name in ("or", "orValue") and len(node.overloads) == 1 and node.overloads[0].id.startswith("optional_or"):
            left, right = (self.visit(operand) for operand in node.operands)
            return operators.or_else(left, right, unwrap=node.name == "orValue")
        args = [self.visit(operand) for operand in node.operands]
        return self._function(node, args)

    def _function(self, node: Call, args: list[Code]) -> Code:
        standard = all(id(overload) in _STANDARD for overload in node.overloads)
        if node.name in CONVERSIONS and standard and len(args) == 1 and args[0].constant:
            return self._converted(node, args[0].value)
        only = node.overloads[0] if len(node.overloads) == 1 else None
        if only is None or not _surely(only, node.operands):
            return calls.dynamic(node.name, node.overloads, args, standard)
        if node.name in _PATTERNS and args[-1].constant and isinstance(args[-1].value, str):
            # A bad constant pattern is told before anything runs.
            found = patterns.compiled(args[-1].value)
            if only.id == "matches_string":
                return calls.searched(found, args[0], len(args[-1].value))
        if only.id in _ADDED:
            return calls.joined(only.call, args[0], args[1], None if isinstance(only.cost, int) else only.cost)
        return calls.static(only, args)

    def _converted(self, node: Call, value: Any) -> Code:
        """A conversion of a constant: done now, free of charge. That it fails is known now, too."""
        for overload in node.overloads:
            if calls.belongs(value, overload.params[0]):
                return constant(overload.call(value))
        raise EvaluationError(f"no such overload: {node.name}")

    def _both(self, node: Call) -> Code:
        left, right = (self.visit(arg) for arg in node.args)
        return operators.both(left, right, (_is_bool(node.args[0]), _is_bool(node.args[1])))

    def _either(self, node: Call) -> Code:
        left, right = (self.visit(arg) for arg in node.args)
        return operators.either(left, right, (_is_bool(node.args[0]), _is_bool(node.args[1])))

    def _choose(self, node: Call) -> Code:
        condition, then, other = (self.visit(arg) for arg in node.args)
        return operators.choose(condition, then, other, _is_bool(node.args[0]))

    def _not(self, node: Call) -> Code:
        return operators.negated(self.visit(node.args[0]), _is_bool(node.args[0]))

    def _equals(self, node: Call) -> Code:
        left, right = (self.visit(arg) for arg in node.args)
        return operators.equals(left, right, _types(node), differ=node.name == "_!=_")

    def _ordered(self, node: Call) -> Code:
        args = [self.visit(arg) for arg in node.args]
        return operators.ordered(node.name, args[0], args[1], _types(node)) or self._function(node, args)

    def _in(self, node: Call) -> Code:
        wanted, container = self.visit(node.args[0]), self.visit(node.args[1])
        only = node.overloads[0].id if len(node.overloads) == 1 else ""
        if only == "in_list" and container.constant:
            found = operators.among(wanted, container.value)
            if found is not None:
                return found
        return operators.member(wanted, container, counted=only == "in_list")

    # Literals with parts

    def _list(self, node: MakeList) -> Code:
        parts = [self.visit(element) for element in node.elements]
        if all(part.constant for part in parts) and not node.optional:
            return constant([part.value for part in parts])
        runs = [part.run for part in parts]
        cost = sum(part.cost for part in parts) + LIST_BASE
        if not node.optional:
            return Code(lambda frame: [run(frame) for run in runs], cost)
        optional = node.optional

        def make(frame: Frame) -> list[Any]:
            out = []
            for index, run in enumerate(runs):
                value = run(frame)
                if index not in optional:
                    out.append(value)
                elif not isinstance(value, Optional):
                    raise EvaluationError(f"cannot initialize optional list element from non-optional value {value}")
                elif value.present:
                    out.append(value.value)
            return out

        return Code(make, cost)

    def _map(self, node: MakeMap) -> Code:
        keys = [self.visit(entry.key) for entry in node.entries]
        values = [self.visit(entry.value) for entry in node.entries]
        if all(part.constant for part in (*keys, *values)) and not any(entry.optional for entry in node.entries):
            return constant(_entries([(k.value, v.value, False) for k, v in zip(keys, values, strict=True)]))
        parts = [(k.run, v.run, entry.optional) for k, v, entry in zip(keys, values, node.entries, strict=True)]
        cost = sum(part.cost for part in (*keys, *values)) + MAP_BASE
        return Code(lambda frame: _entries([(key(frame), value(frame), optional) for key, value, optional in parts]), cost)

    def _struct(self, node: MakeStruct) -> Code:
        of = node.type
        assert isinstance(of, ObjectType)
        values = [self.visit(entry.value) for entry in node.entries]
        parts = [(entry.key.value, value.run, entry.optional) for entry, value in zip(node.entries, values, strict=True)]  # type: ignore[attr-defined]
        names = {name: of.fields[name].key or name for name, _, _ in parts}

        wrap = of.make

        def make(frame: Frame) -> Any:
            made = _entries([(names[name], value(frame), optional) for name, value, optional in parts])
            return made if wrap is None else wrap(made)

        return Code(make, sum(value.cost for value in values) + STRUCT_BASE)

    # Comprehensions

    def _fold(self, node: Fold) -> Code:
        if node.macro == "bind":
            return self._bind(node)
        over = self.visit(node.range)
        fill = self._enter(node)
        made = self._known(node, over, fill) or self._general(node, over, fill)
        del self._locals[-(2 if node.var2 else 1) :]
        return made

    def _enter(self, node: Fold) -> folds.Fill:
        """Give the variables of a loop their slots."""
        first = self._slot()
        self._locals.append((node.var, access.slot(first)))
        if not node.var2:
            return folds.fill_one(first)
        second = self._slot()
        self._locals.append((node.var2, access.slot(second)))
        return folds.fill_two(first, second)

    def _known(self, node: Fold, over: Code, fill: folds.Fill) -> Code | None:
        """The loop of a macro."""
        step = node.step
        assert isinstance(step, Call)
        if node.macro in ("all", "exists"):
            make = folds.every if node.macro == "all" else folds.some
            return make(over, fill, self.visit(step.args[1]), _is_bool(step.args[1]))
        if node.macro == "exists_one":
            return folds.exactly_one(over, fill, self.visit(step.args[0]), _is_bool(step.args[0]))
        if node.macro not in ("list", "map"):
            return None
        test: Code | None = None
        sure = True
        if step.name == "_?_:_":
            test, sure = self.visit(step.args[0]), _is_bool(step.args[0])
            inner = step.args[1]
            assert isinstance(inner, Call)
            step = inner
        if node.macro == "map":
            return folds.collect_map(over, fill, test, sure, [self.visit(part) for part in step.args[1:]])
        element = step.args[1]
        assert isinstance(element, MakeList)
        return folds.collect_list(over, fill, test, sure, self.visit(element.elements[0]))

    def _general(self, node: Fold, over: Code, fill: folds.Fill) -> Code:
        init, at = self.visit(node.init), self._slot()
        self._locals.append((node.accu, access.slot(at)))
        condition, step, result = self.visit(node.condition), self.visit(node.step), self.visit(node.result)
        self._locals.pop()
        return folds.fold(over, fill, at, init, condition, step, result)

    def _bind(self, node: Fold) -> Code:
        at, value = self._slot(), self.visit(node.init)
        self._locals.append((node.accu, Code(folds.lazy(at, value), 1, 1, attribute=True)))
        body = self.visit(node.result)
        self._locals.pop()
        return folds.bound(at, value, body)


_SPECIAL: Mapping[str, Callable[[Compiler, Call], Code]] = {
    "_&&_": Compiler._both,
    "_||_": Compiler._either,
    "_?_:_": Compiler._choose,
    "!_": Compiler._not,
    "_==_": Compiler._equals,
    "_!=_": Compiler._equals,
    **dict.fromkeys(("_<_", "_<=_", "_>_", "_>=_"), Compiler._ordered),
    "@in": Compiler._in,
    "_[_]": Compiler._index,
    "_[?_]": Compiler._optional_look,
    "_?._": Compiler._optional_look,
}


def _entries(parts: list[tuple[Any, Any, bool]]) -> dict[Any, Any]:
    out: dict[Any, Any] = {}
    for key, value, optional in parts:
        if optional:
            if not isinstance(value, Optional):
                raise EvaluationError(f"cannot initialize optional entry '{key}' from non-optional value {value}")
            if not value.present:
                out.pop(key, None)
                continue
            out[key] = value.value
        else:
            out[key] = value
    return out


def _key(of: Type | None, name: str) -> str:
    """How a field that expressions call `name` is called in the object."""
    if _is_optional(of) and of is not None:
        of = of.parameters[0]
    return of.fields[name].key or name if isinstance(of, ObjectType) and name in of.fields else name


def _is_optional(t: Type | None) -> bool:
    return t is not None and t.kind is Kind.OPAQUE and t.name == "optional_type"


def _is_bool(node: Expr) -> bool:
    return node.type is not None and node.type.kind is Kind.BOOL


def _types(node: Call) -> tuple[Type, Type]:
    return node.args[0].type or DYN, node.args[1].type or DYN


def _surely(overload: Overload, operands: list[Expr]) -> bool:
    """Whether the operands are known to be what an overload takes; parameters of lists and maps are trusted."""
    for operand, param in zip(operands, overload.params, strict=True):
        if param.is_dynamic:
            continue
        got = operand.type or DYN
        if got.kind is not param.kind or got.name != param.name or got.nullable:
            return False
    return True
