"""Finds the type of every node of a tree, and which overloads a call may mean; complains in cel-go's words.

Called by `program.py` between parsing and compiling. Writes its findings on the nodes. Names resolve innermost first: comprehension
variables, variables, types. A dotted name may be one variable or one function (`a.b.c()`): the longest match wins.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from lightship.cel import types
from lightship.cel.ast import Call, Expr, Fold, Ident, Literal, MakeList, MakeMap, MakeStruct, Select
from lightship.cel.environment import Environment
from lightship.cel.errors import MOST_ISSUES, EvaluationError
from lightship.cel.functions import Overload
from lightship.cel.parser import qualified
from lightship.cel.types import BOOL, DYN, ERROR, INT, Kind, ListType, MapType, ObjectType, OptionalType, Type, TypeOf, TypeParam
from lightship.cel.unify import Bindings, all_fit, fits, has_params, most_general, substitute
from lightship.cel.values import type_of

Complaints = list[tuple[int, str]]


def check(tree: Expr, environment: Environment) -> tuple[Type, Complaints]:
    """The type of an expression, and what is wrong with it as (offset, message)."""
    checker = _Checker(environment)
    checker.visit(tree)
    checker.settle()
    if not checker.complaints:
        checker.validate()
    return tree.type or DYN, checker.complaints


class _Checker:
    def __init__(self, environment: Environment) -> None:
        self._environment = environment
        self._scopes: list[dict[str, Type]] = []
        self._bound: Bindings = {}
        self._fresh = 0
        self._open: list[Expr] = []
        self._literals: list[MakeList | MakeMap] = []
        self._calls: list[Call] = []
        self._wrong: dict[int, Complaints] = {}
        self.complaints: Complaints = []
        self._visits: Mapping[type[Expr], Callable[[Any], Type]] = {
            Literal: self._literal,
            Ident: self._ident,
            Select: self._select,
            Call: self._call,
            MakeList: self._list,
            MakeMap: self._map,
            MakeStruct: self._struct,
            Fold: self._fold,
        }

    def visit(self, node: Expr) -> Type:
        if node.type is not None:
            return self._again(node, node.type)
        before = len(self.complaints)
        found = self._visits[type(node)](node)
        node.type = found
        if len(self.complaints) > before:
            self._wrong[id(node)] = self.complaints[before:]
        if has_params(found):
            self._open.append(node)
        return found

    def _again(self, node: Expr, found: Type) -> Type:
        """A node that a macro put into two places: what is wrong with it is told for each, as cel-go does, within reason."""
        if len(self.complaints) < MOST_ISSUES:
            self.complaints += self._wrong.get(id(node), ())
        return found

    def settle(self) -> None:
        """Fill in, now that all is seen, what the parameters became."""
        for node in self._open:
            if node.type is not None:
                node.type = substitute(self._bound, node.type, close=True)

    def _complain(self, node_at: int, message: str) -> Type:
        self.complaints.append((node_at, message))
        return ERROR

    def _variable(self) -> Type:
        self._fresh += 1
        return TypeParam(f"_var{self._fresh - 1}")

    def _assignable(self, to: Type, what: Type) -> bool:
        found = fits(self._bound, to, what)
        if found is None:
            return False
        self._bound = found
        return True

    # Names

    def _look_up(self, name: str) -> tuple[Type, Type | None] | None:
        """The type of a name, and what type it stands for where it is a type's name."""
        name = name.removeprefix(".")
        for scope in reversed(self._scopes):
            if name in scope:
                return scope[name], None
        environment = self._environment
        if name in environment.variables:
            return environment.variables[name], None
        stands_for = environment.objects.get(name) or environment.offers.constants.get(name)
        return None if stands_for is None else (TypeOf(stands_for), stands_for)

    def _literal(self, node: Literal) -> Type:
        return type_of(node.value)

    def _ident(self, node: Ident) -> Type:
        found = self._look_up(node.name)
        if found is None:
            return self._complain(node.at, f"undeclared reference to '{node.name}' (in container '')")
        node.name = node.name.removeprefix(".")
        node.constant = found[1]
        return found[0]

    def _select(self, node: Select) -> Type:
        if not node.test and (name := qualified(node)) and (found := self._look_up(name)):
            node.resolved = Ident(node.at, name.removeprefix("."))
            node.resolved.type, node.resolved.constant = found
            return found[0]
        result = self._field(node, node.operand, node.field)
        return BOOL if node.test else substitute(self._bound, result)

    def _field(self, node: Expr, operand: Expr, name: str, optional: bool = False) -> Type:
        of = substitute(self._bound, self.visit(operand))
        target, is_optional = _unwrap(of)
        if target.kind is Kind.MAP:
            result = target.parameters[1]
        elif isinstance(target, ObjectType):
            field = target.fields.get(name)
            result = field.type if field else self._complain(node.at, f"undefined field '{name}'")
        else:
            result = DYN
            if target.kind is Kind.PARAM:
                self._assignable(DYN, target)
            elif target.kind not in (Kind.DYN, Kind.ERROR):
                self._complain(node.at, f"type '{target}' does not support field selection")
        return OptionalType(result) if optional or is_optional else result

    # Calls

    def _call(self, node: Call) -> Type:
        before = len(self._literals)
        found = self._visit_call(node)
        if node.name in self._environment.offers.mixed:
            del self._literals[before:]
        return found

    def _visit_call(self, node: Call) -> Type:
        self._calls.append(node)
        if node.name == "_?._":
            return self._optional_select(node)
        for arg in node.args:
            self.visit(arg)
        declared = self._environment.offers.overloads
        if node.target is None:
            name = node.name.removeprefix(".")
            return self._resolve(node, name, declared.get(name))
        spelled = qualified(node.target)
        if spelled and (namespaced := declared.get(f"{spelled}.{node.name}".removeprefix("."))):
            node.name, node.target = f"{spelled}.{node.name}".removeprefix("."), None
            return self._resolve(node, node.name, namespaced)
        self.visit(node.target)
        return self._resolve(node, node.name, declared.get(node.name))

    def _optional_select(self, node: Call) -> Type:
        field = node.args[1]
        assert isinstance(field, Literal)
        result = self._field(node, node.args[0], field.value, optional=True)
        field.type = types.STRING
        return substitute(self._bound, result)

    def _resolve(self, node: Call, name: str, overloads: tuple[Overload, ...] | None) -> Type:
        if not overloads:
            return self._complain(node.at, f"undeclared reference to '{name}' (in container '')")
        node.name = name
        member = node.target is not None
        given = [arg.type or DYN for arg in node.operands]
        if name in ("_&&_", "_||_"):
            return self._logic(node, overloads, given)
        found: list[Overload] = []
        result: Type | None = None
        for overload in overloads:
            if overload.member != member or len(overload.params) != len(given):
                continue
            params, gives = self._instance(overload)
            bound = all_fit(self._bound, given, params)
            if bound is None:
                continue
            self._bound = bound
            found.append(overload)
            one = substitute(bound, gives)
            if result is None:
                result = one
            elif result.kind is not Kind.DYN and one != result:
                result = DYN
        if result is None:
            return self._complain(node.at, f"found no matching overload for '{name}' applied to '{self._signature(given, member)}'")
        node.overloads = tuple(found)
        return result

    def _logic(self, node: Call, overloads: tuple[Overload, ...], given: list[Type]) -> Type:
        wrong = False
        for arg, got in zip(node.args, given, strict=True):
            if not self._assignable(got, BOOL):
                wrong = True
                self._complain(arg.at, f"expected type 'bool' but found '{got}'")
        node.overloads = overloads
        return ERROR if wrong else BOOL

    def _instance(self, overload: Overload) -> tuple[tuple[Type, ...], Type]:
        """The signature with type parameters of its own for this call."""
        names: list[str] = []
        for t in overload.params:
            _collect(t, names)
        _collect(overload.result, names)
        if not names:
            return overload.params, overload.result
        fresh: Bindings = {name: self._variable() for name in names}
        return tuple(substitute(fresh, t) for t in overload.params), substitute(fresh, overload.result)

    def _signature(self, given: list[Type], member: bool) -> str:
        words = [str(substitute(self._bound, t, close=True)) for t in given]
        return f"{words[0]}.({', '.join(words[1:])})" if member else f"({', '.join(words)})"

    # Literals with parts

    def _join(self, before: Type | None, now: Type) -> Type:
        if before is None:
            return now
        return most_general(before, now) if self._assignable(before, now) else DYN

    def _part(self, node: Expr, optional: bool) -> Type:
        """The type of a part; of what an optional part holds."""
        got = self.visit(node)
        if not optional:
            return got
        held, is_optional = _unwrap(got)
        if not is_optional and held.kind is not Kind.DYN:
            self._complain(node.at, f"expected type 'optional_type({held})' but found '{held}'")
        return held

    def _list(self, node: MakeList) -> Type:
        self._literals.append(node)
        joined: Type | None = None
        for index, element in enumerate(node.elements):
            joined = self._join(joined, self._part(element, index in node.optional))
        return ListType(joined or self._variable())

    def _map(self, node: MakeMap) -> Type:
        self._literals.append(node)
        key: Type | None = None
        value: Type | None = None
        for entry in node.entries:
            key = self._join(key, self.visit(entry.key))
            value = self._join(value, self._part(entry.value, entry.optional))
        return MapType(key or self._variable(), value or self._variable())

    def _struct(self, node: MakeStruct) -> Type:
        found = self._look_up(node.name)
        if found is None:
            return self._complain(node.at, f"undeclared reference to '{node.name}' (in container '')")
        made: Type = ERROR
        if found[1] is None:
            if found[0].kind is not Kind.ERROR:
                self._complain(node.at, f"'{found[0].name}' is not a type")
        elif isinstance(found[1], ObjectType):
            made = found[1]
        else:
            self._complain(node.at, f"'{found[1].name}' is not a message type")
        for entry in node.entries:
            got = self._part(entry.value, entry.optional)
            assert isinstance(entry.key, Literal)
            name = entry.key.value
            if not isinstance(made, ObjectType):
                continue
            field = made.fields.get(name)
            wanted = field.type if field else self._complain(entry.at, f"undefined field '{name}'")
            if not self._assignable(wanted, got):
                self._complain(entry.at, f"expected type of field '{name}' is '{wanted}' but provided type is '{got}'")
        return made

    def _fold(self, node: Fold) -> Type:
        over = substitute(self._bound, self.visit(node.range))
        accu = self.visit(node.init)
        self._scopes.append({node.accu: accu})
        first, second = self._ranges(node, over)
        self._scopes.append({node.var: first, node.var2: second} if node.var2 else {node.var: first})
        for part, wanted in ((node.condition, BOOL), (node.step, accu)):
            got = self.visit(part)
            if not self._assignable(wanted, got):
                self._complain(part.at, f"expected type '{wanted}' but found '{got}'")
        self._scopes.pop()
        result = self.visit(node.result)
        self._scopes.pop()
        return substitute(self._bound, result)

    def _ranges(self, node: Fold, over: Type) -> tuple[Type, Type]:
        """The types of the variables that run over a range."""
        if over.kind is Kind.LIST:
            return (INT, over.parameters[0]) if node.var2 else (over.parameters[0], DYN)
        if over.kind is Kind.MAP:
            return over.parameters[0], over.parameters[1]
        if over.kind in (Kind.DYN, Kind.ERROR, Kind.PARAM):
            self._assignable(DYN, over)
            return DYN, DYN
        message = f"expression of type '{over}' cannot be range of a comprehension (must be list, map, or dynamic)"
        return self._complain(node.range.at, message), ERROR

    # What Kubernetes asks for beside

    def validate(self) -> None:
        """Literals of durations, timestamps and patterns must be right, and the parts of lists and maps of one type."""
        if not self._environment.homogeneous:
            return
        for call in self._calls:
            if call.name in ("duration", "timestamp", "matches") and call.args:
                self._validate_literal(call)
            for judge in self._environment.offers.judges:
                self.complaints.extend(judge(call))
        for node in self._literals:
            if isinstance(node, MakeList):
                self._same([(e, i in node.optional) for i, e in enumerate(node.elements)], stop=True)
            else:
                self._same([(entry.key, False) for entry in node.entries], stop=False)
                self._same([(entry.value, entry.optional) for entry in node.entries], stop=False)

    def _validate_literal(self, call: Call) -> None:
        arg = call.args[0]
        if not isinstance(arg, Literal) or not call.overloads:
            return
        values = ("", arg.value) if call.name == "matches" else (arg.value,)
        try:
            call.overloads[0].call(*values)
        except EvaluationError:
            self._complain(arg.at, f"invalid {call.name} argument")

    def _same(self, parts: list[tuple[Expr, bool]], *, stop: bool) -> None:
        first: Type | None = None
        for node, optional in parts:
            got = node.type or DYN
            if optional:
                got = got.parameters[0] if got.parameters else got
            if first is None:
                first = got
            elif first != got:
                self._complain(node.at, f"expected type '{first}' but found '{got}'")
                if stop:
                    return


def _unwrap(t: Type) -> tuple[Type, bool]:
    return (t.parameters[0], True) if t.kind is Kind.OPAQUE and t.name == "optional_type" else (t, False)


def _collect(t: Type, names: list[str]) -> None:
    if t.kind is Kind.PARAM:
        if t.name not in names:
            names.append(t.name)
        return
    for inner in t.parameters:
        _collect(inner, names)
