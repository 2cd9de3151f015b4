"""One rule of x-kubernetes-validations, compiled: its program, that of its message, and what it may cost.

Called by `rules`, which evaluates, and `rule_problems`, which judges definitions. A rule is compiled when it is first asked for.
Contract: apiextensions-apiserver pkg/apiserver/schema/cel compilation.go.
"""

import re
from collections.abc import Mapping
from functools import cached_property
from typing import Any

from lightship import cel
from lightship.cel import library
from lightship.cel.schema_types import REQUEST_LIMIT, Shape
from lightship.cel.types import BOOL, STRING, OptionalType, Type
from lightship.meta.objects import Obj

SELF, OLD_SELF = "self", "oldSelf"
ROOT_NAME = "selfType"
"""What messages call the type of `self`."""

_TOKEN = re.compile(r"'(?:[^'\\]|\\.)*'|[.\[\]]|[^.\[\]]+", re.DOTALL)
_ESCAPE = re.compile(r"\\(.)", re.DOTALL)
_ESCAPES = {"a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}


class RuleProgram:
    """`problem` says why there is no program; empty when there is one. `message` is None where there is none that works."""

    def __init__(self, rule: Obj, schema: Obj, shape: Shape) -> None:
        self.rule = rule
        self.text: str = rule.get("rule") or ""
        self.optional = bool(rule.get("optionalOldSelf"))
        self._schema = schema
        self._shape = shape

    @cached_property
    def program(self) -> cel.Program | None:
        problem, program = _compiled(self.text, self._variables, BOOL, "", "cel expression must evaluate to a bool")
        self.problem = self._relative(problem)
        return program

    problem = ""

    @cached_property
    def message(self) -> cel.Program | None:
        """What makes the text of the refusal."""
        text = self.rule.get("messageExpression") or ""
        if not text or self.program is None:
            return None
        why = "messageExpression must evaluate to a string"
        problem, program = _compiled(text, self._variables, STRING, "messageExpression ", why)
        self.message_problem = self._relative(problem)
        return program

    message_problem = ""

    @cached_property
    def uses_old(self) -> bool:
        """Does the rule speak of the value that was?"""
        return self.program is not None and OLD_SELF in self.program.variables

    @cached_property
    def shown(self) -> str:
        """The rule as messages show it."""
        return (self.rule.get("message") or self.text).strip()

    @cached_property
    def default_message(self) -> str:
        return str(self.rule["message"]).strip() if self.rule.get("message") else f"failed rule: {self.shown}"

    @cached_property
    def field_path(self) -> str:
        """What follows the path of the value in errors: empty, or `.name`."""
        return _path_below(self.rule.get("fieldPath") or "", self._schema)

    def _relative(self, problem: str) -> str:
        """Complaints name types by their place below the rule."""
        return problem.replace(self._shape.name, ROOT_NAME) if self._shape.name else problem

    @property
    def most_often(self) -> int:
        """How many values of this schema fit into one request."""
        return REQUEST_LIMIT // (self._shape.smallest + 1)

    @property
    def _variables(self) -> Mapping[str, Type]:
        kind = self._shape.type
        return {SELF: kind, OLD_SELF: OptionalType(kind) if self.optional else kind}


def _compiled(text: str, variables: Mapping[str, Type], wanted: Type, what: str, otherwise: str) -> tuple[str, cel.Program | None]:
    """What is wrong with an expression, or its program."""
    try:
        program = cel.compile(text, variables, libraries=library.KUBERNETES)
    except cel.ProgramError as error:
        return f"{what or 'program '}instantiation failed: {error}", None
    except cel.CelError as error:
        return f"{what}compilation failed: {error}", None
    return ("", program) if program.result == wanted else (otherwise, None)


def _path_below(path: str, schema: Any) -> str:
    """A path below a schema in the form of errors: fields behind dots, keys of maps in brackets. Empty when it leads nowhere."""
    shown = ""
    for token in _TOKEN.findall(path):
        if token in (".", "[", "]"):
            continue
        name = _ESCAPE.sub(lambda found: _ESCAPES.get(found[1], found[1]), token[1:-1]) if token[0] == "'" else token
        properties = schema.get("properties") if isinstance(schema, dict) else None
        if properties:
            if name not in properties:
                return ""
            shown, schema = f"{shown}.{name}", properties[name]
        elif isinstance(schema, dict) and "additionalProperties" in schema:
            shown, schema = f"{shown}[{name}]", schema["additionalProperties"]
        else:
            return ""
    return shown
