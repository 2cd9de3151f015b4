"""What expressions of admission may name, and their compilation: match conditions, validations, messages, annotations, mutations.

Called by the validation of policies and webhook configurations in `kinds`, and by `apiserver.admission` when it evaluates them. Loaded when
the first such expression comes. Objects have no types here (`dyn`), but where they are given for a check; requests and namespaces have.
Contract: k8s.io/apiserver pkg/admission/plugin/cel compile.go and composition.go, pkg/cel/mutation.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lightship import cel
from lightship.cel import library
from lightship.cel.library.authz import AUTHORIZER, RESOURCE_CHECK
from lightship.cel.types import BOOL, DYN, INT, NULL, STRING, TIMESTAMP, Field, Kind, ListType, MapType, ObjectType, Opaque, Type
from lightship.cel.values import MapValue

PER_EXPRESSION = 1_000_000
"""What one evaluation may cost."""
PER_POLICY = 10_000_000
"""What all validations and messages of a policy may cost together for one request and parameter; each mutation has as much for itself."""
PER_CONDITIONS = 2_500_000
"""What all match conditions of a policy or webhook may cost together."""


def _object(name: str, /, **fields: Type) -> ObjectType:
    return ObjectType(name, {field: Field(type) for field, type in fields.items()})


_STRINGS = ListType(STRING)
_BY_NAME = MapType(STRING, STRING)
_KIND = _object("kubernetes.GroupVersionKind", group=STRING, version=STRING, kind=STRING)
_RESOURCE = _object("kubernetes.GroupVersionResource", group=STRING, version=STRING, resource=STRING)
_USER = _object("kubernetes.UserInfo", username=STRING, uid=STRING, groups=_STRINGS, extra=MapType(STRING, _STRINGS))
REQUEST = _object(
    "kubernetes.AdmissionRequest",
    kind=_KIND,
    resource=_RESOURCE,
    subResource=STRING,
    requestKind=_KIND,
    requestResource=_RESOURCE,
    requestSubResource=STRING,
    name=STRING,
    namespace=STRING,
    operation=STRING,
    userInfo=_USER,
    dryRun=BOOL,
    options=DYN,
)
_CONDITION = _object(
    "kubernetes.NamespaceCondition", status=STRING, type=STRING, lastTransitionTime=TIMESTAMP, message=STRING, reason=STRING
)
_METADATA = _object(
    "kubernetes.NamespaceMetadata",
    name=STRING,
    generateName=STRING,
    namespace=STRING,
    labels=_BY_NAME,
    annotations=_BY_NAME,
    UID=STRING,
    creationTimestamp=TIMESTAMP,
    deletionGracePeriodSeconds=INT,
    deletionTimestamp=TIMESTAMP,
    generation=INT,
    resourceVersion=STRING,
    finalizers=_STRINGS,
)
NAMESPACE = _object(
    "kubernetes.Namespace",
    metadata=_METADATA,
    spec=_object("kubernetes.NamespaceSpec", finalizers=_STRINGS),
    status=_object("kubernetes.NamespaceStatus", conditions=ListType(_CONDITION), phase=STRING),
)
_ALWAYS: Mapping[str, Type] = {"object": DYN, "oldObject": DYN, "namespaceObject": NAMESPACE, "request": REQUEST}
_AUTHORIZERS: Mapping[str, Type] = {"authorizer": AUTHORIZER, "authorizer.requestResource": RESOURCE_CHECK}


class Made(MapValue):
    """The value of a literal like `Object.spec{replicas: 3}`: its fields, and the name of the type that was written."""

    __slots__ = ("fields", "name")

    def __init__(self, name: str, fields: dict[str, Any]) -> None:
        self.name = name
        self.fields = fields

    def __getitem__(self, key: str) -> Any:
        return self.fields[key]

    def __iter__(self) -> Any:
        return iter(self.fields)

    def __len__(self) -> int:
        return len(self.fields)

    def equals(self, other: Any) -> bool:
        return isinstance(other, Made) and other.name == self.name and super().equals(other)


class Operation(Made):
    """One operation of a JSON patch."""

    __slots__ = ()


class _AnyField(dict[str, Field]):
    """Fields of an object of which no schema is known."""

    def get(self, key: str, default: Any = None) -> Any:
        return _ANY

    def __missing__(self, key: str) -> Field:
        return _ANY


_ANY = Field(DYN)


class _Literals(dict[str, ObjectType]):
    """`JSONPatch`, `Object` and, by any name, what is in it."""

    def get(self, key: str, default: Any = None) -> Any:
        return self[key] if key == "JSONPatch" or key == "Object" or key.startswith("Object.") else default

    def __missing__(self, key: str) -> ObjectType:
        return ObjectType(key, _AnyField(), make=lambda fields: Made(key, fields))


class _OperationFields(_AnyField):
    """The real server takes any field for declared, but not with any value."""

    def get(self, key: str, default: Any = None) -> Any:
        return self[key]

    def __missing__(self, key: str) -> Field:
        return Field(Opaque(""))


OPERATION = ObjectType(
    "JSONPatch",
    _OperationFields({"op": Field(STRING), "path": Field(STRING), "from": Field(STRING), "value": Field(DYN)}),
    make=lambda fields: Operation("JSONPatch", fields),
)
OBJECT = ObjectType("Object", _AnyField())


@dataclass(frozen=True, slots=True)
class Expression:
    """A compiled expression, or why there is none. `internal`: the reason is none that its author must answer for."""

    text: str
    program: "cel.Program | None" = None
    problem: str = ""
    internal: bool = False


class Compiler:
    """Compiles the expressions of one policy or configuration. `params`: it has parameters; `composed`: it may have variables; `types`: of
    objects and parameters, where they are to be checked."""

    def __init__(self, *, params: bool = False, composed: bool = False, types: Mapping[str, Type] | None = None) -> None:
        self._fields: dict[str, Field] = {}
        self._plain = {**_ALWAYS, **({"params": DYN} if params else {}), **(types or {})}
        if composed:
            self._plain["variables"] = ObjectType("kubernetes.variables", self._fields)
        self._asking = {**self._plain, **_AUTHORIZERS}

    def variable(self, name: str, text: str) -> Expression:
        """A variable, which those that come after may name."""
        found = _compiled(text, self._asking, ())
        self._fields[name] = Field(_declared(found.program.result) if found.program else DYN)
        return found

    def condition(self, text: str) -> Expression:
        """A match condition or a validation."""
        return _compiled(text, self._asking, (BOOL,))

    def message(self, text: str) -> Expression:
        return _compiled(text, self._plain, (STRING,))

    def annotation(self, text: str) -> Expression:
        """The value of an audit annotation."""
        return _compiled(text, self._asking, (STRING, NULL))

    def check(self, text: str) -> str:
        """What is wrong with an expression of any type by the types of its variables; empty when nothing is."""
        try:
            cel.compile(text, {**self._plain, "authorizer": AUTHORIZER}, libraries=library.KUBERNETES)
        except cel.ProgramError:
            return ""  # it is well-typed, and will never have a value
        except cel.CelError as error:
            return str(error)
        return ""

    def configuration(self, text: str) -> Expression:
        """What is to be applied."""
        return _compiled(text, self._asking, (OBJECT,), mutating=True)

    def json_patch(self, text: str) -> Expression:
        return _compiled(text, self._asking, (ListType(OPERATION),), mutating=True)


def _compiled(text: str, variables: Mapping[str, Type], results: Sequence[Type], *, mutating: bool = False) -> Expression:
    libraries = library.MUTATION if mutating else library.KUBERNETES
    objects = _Literals(JSONPatch=OPERATION) if mutating else None
    try:
        program = cel.compile(text, variables, libraries=libraries, objects=objects)
    except cel.ProgramError as error:
        return Expression(text, None, f"program instantiation failed: {error}", internal=True)
    except cel.CelError as error:
        return Expression(text, None, f"compilation failed: {error}")
    if results and program.result not in results:
        wanted = _shown(results[0]) if len(results) == 1 else f"one of [{' '.join(map(_shown, results))}]"
        return Expression(text, None, f"must evaluate to {wanted} but got {_shown(program.result)}")
    return Expression(text, program)


def _shown(type: Type) -> str:
    """A type as Go prints it, which is not as complaints name it."""
    if type.nullable:
        return f"wrapper({type.name})"
    return f"{type.name}({', '.join(map(_shown, type.parameters))})" if type.parameters else type.name


_SCALARS = frozenset({Kind.BOOL, Kind.BYTES, Kind.DOUBLE, Kind.DURATION, Kind.INT, Kind.NULL, Kind.STRING, Kind.TIMESTAMP, Kind.UINT})


def _declared(type: Type) -> Type:
    """What is known of a variable's type where it is used: scalars, and lists and maps of them."""
    if type.kind in _SCALARS and not type.nullable:
        return type
    if type.kind is Kind.LIST:
        return ListType(_declared(type.parameters[0]))
    if type.kind is Kind.MAP:
        return MapType(_declared(type.parameters[0]), _declared(type.parameters[1]))
    return DYN


class Variables(MapValue):
    """The values of a policy's variables, each evaluated when it is first asked for. `spent`: what that has cost since `settle`.

    `values` are the other variables of the language. They must not come to hold this: a circle would keep the objects of every request
    until the collector comes by.
    """

    __slots__ = ("_expressions", "_found", "_values", "spent")

    def __init__(self, expressions: Mapping[str, Expression], values: Mapping[str, Any]) -> None:
        self._expressions = expressions
        self._values = values
        self._found: dict[str, Any] = {}
        self.spent = 0

    def __getitem__(self, name: str) -> Any:
        if name not in self._found:
            self._found[name] = self._evaluate(name, self._expressions[name])
        found = self._found[name]
        if isinstance(found, cel.EvaluationError):
            raise cel.EvaluationError(str(found))
        return found

    def _evaluate(self, name: str, expression: Expression) -> Any:
        if expression.program is None:
            return cel.EvaluationError(f'composited variable "{name}" fails to compile: {expression.problem}')
        budget = cel.Budget(per_call=PER_EXPRESSION, total=2 * PER_EXPRESSION)
        try:
            return evaluate(expression.program, {**self._values, "variables": self}, budget)
        except (cel.EvaluationError, cel.CostExceeded) as error:
            return cel.EvaluationError(f'composited variable "{name}" fails to evaluate: {error}')
        finally:
            self.spent += budget.spent

    def __iter__(self) -> Any:
        return iter(self._expressions)

    def __len__(self) -> int:
        return len(self._expressions)

    def equals(self, other: Any) -> bool:
        return other is self

    def settle(self) -> int:
        """What has been spent since this was last asked."""
        spent, self.spent = self.spent, 0
        return spent


def evaluate(program: "cel.Program", values: Mapping[str, Any], budget: "cel.Budget") -> Any:
    """The value of an expression over raw JSON. What is declared as a timestamp is a string there, which no operator expects."""
    try:
        return program.evaluate(values, budget)
    except (TypeError, AttributeError, ValueError, KeyError):
        raise cel.EvaluationError("no such overload") from None


class Mismatch(Exception):  # noqa: N818  the words of the real server
    """Literals are nested in a way that their names do not allow."""


def plain(value: Any) -> Any:
    """A value that an expression made, as JSON. Raises `Mismatch` for types that are not named as their place is."""
    problems: list[str] = []
    if isinstance(value, Made):
        _check_names(value, (value.name,), problems)
    if problems:
        raise Mismatch("\n".join(problems))
    return _plain(value)


def _plain(value: Any) -> Any:
    if isinstance(value, Made):
        return {key: _plain(item) for key, item in value.fields.items()}
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, str | bytes):
        return value
    return [_plain(item) for item in value] if isinstance(value, Sequence) else value


def _check_names(value: Any, path: tuple[str, ...], problems: list[str]) -> None:
    if isinstance(value, Made):
        expected = ".".join(path)
        if value.name != expected:
            why = "which matches field name path from root Object type"
            problems.append(f'unexpected type name "{value.name}", expected "{expected}", {why}')
        for key, item in value.fields.items():
            _check_names(item, (*path, key), problems)
    elif isinstance(value, list):
        for item in value:
            _check_names(item, path, problems)
    elif isinstance(value, dict):
        for item in value.values():
            _check_names(item, path, problems)
