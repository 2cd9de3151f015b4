"""The types of CEL: what the checker reasons with, what `type(x)` answers and what libraries declare their functions over.

A type is its kind, its name and its parameters; two that agree in these are equal. Beside that it may carry two things that only
some readers ask for: `bound`, the most elements (of a list or map) or characters (of a string) that a value can have, for estimates of
cost; and `adapt`, which makes a CEL value, with all its parts, of a raw JSON value where the two differ (a date-time string is a Timestamp,
say): whoever hands raw JSON to a program adapts it first.

Called by everyone in this room. Knows no schema, no value and no expression. Contract: github.com/google/cel-spec, doc/langdef.md.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any

Adapt = Callable[[Any], Any]


class Kind(Enum):
    DYN = auto()
    BOOL = auto()
    BYTES = auto()
    DOUBLE = auto()
    DURATION = auto()
    ERROR = auto()
    INT = auto()
    LIST = auto()
    MAP = auto()
    NULL = auto()
    OPAQUE = auto()
    STRING = auto()
    OBJECT = auto()
    TIMESTAMP = auto()
    TYPE = auto()
    PARAM = auto()
    UINT = auto()


class Type:
    """A CEL type. `name` is what `type(x)` prints; `str(t)` is how error messages name it."""

    __slots__ = ("adapt", "bound", "kind", "name", "nullable", "parameters")

    def __init__(
        self,
        kind: Kind,
        name: str,
        parameters: tuple[Type, ...] = (),
        *,
        bound: int | None = None,
        adapt: Adapt | None = None,
        nullable: bool = False,
    ) -> None:
        self.kind = kind
        self.name = name
        self.parameters = parameters
        self.bound = bound
        self.adapt = adapt
        self.nullable = nullable

    def __eq__(self, other: object) -> bool:
        if self is other:
            return True
        if not isinstance(other, Type):
            return NotImplemented
        return (self.kind, self.name, self.parameters) == (other.kind, other.name, other.parameters)

    def __hash__(self) -> int:
        return hash((self.kind, self.name))

    def __str__(self) -> str:
        name = _SHORT.get(self.kind, self.name)
        if self.nullable:
            return f"wrapper({name})"
        return f"{name}({', '.join(map(str, self.parameters))})" if self.parameters else name

    __repr__ = __str__

    @property
    def is_dynamic(self) -> bool:
        return self.kind is Kind.DYN or self.kind is Kind.PARAM

    def bounded(self, bound: int | None, adapt: Adapt | None = None) -> Type:
        """This scalar type with a bound on its size (characters or bytes), and with another way to read raw values."""
        return Type(self.kind, self.name, self.parameters, bound=bound, adapt=adapt or self.adapt, nullable=self.nullable)


# Messages say "timestamp" where `type(x)` says "google.protobuf.Timestamp".
_SHORT = {Kind.TIMESTAMP: "timestamp", Kind.DURATION: "duration", Kind.NULL: "null", Kind.ERROR: "!error!"}

BOOL = Type(Kind.BOOL, "bool")
BYTES = Type(Kind.BYTES, "bytes")
DOUBLE = Type(Kind.DOUBLE, "double")
DURATION = Type(Kind.DURATION, "google.protobuf.Duration")
DYN = Type(Kind.DYN, "dyn")
ERROR = Type(Kind.ERROR, "error")
INT = Type(Kind.INT, "int")
NULL = Type(Kind.NULL, "null_type")
STRING = Type(Kind.STRING, "string")
TIMESTAMP = Type(Kind.TIMESTAMP, "google.protobuf.Timestamp")
TYPE = Type(Kind.TYPE, "type")
UINT = Type(Kind.UINT, "uint")


class ListType(Type):
    """`bound`: the most elements."""

    __slots__ = ()

    def __init__(self, element: Type, *, bound: int | None = None, adapt: Adapt | None = None) -> None:
        super().__init__(Kind.LIST, "list", (element,), bound=bound, adapt=adapt)

    @property
    def element(self) -> Type:
        return self.parameters[0]


class MapType(Type):
    """`bound`: the most entries."""

    __slots__ = ()

    def __init__(self, key: Type, value: Type, *, bound: int | None = None, adapt: Adapt | None = None) -> None:
        super().__init__(Kind.MAP, "map", (key, value), bound=bound, adapt=adapt)

    @property
    def key(self) -> Type:
        return self.parameters[0]

    @property
    def value(self) -> Type:
        return self.parameters[1]


@dataclass(frozen=True, slots=True)
class Field:
    """One field of an object type. `key` is its name in the JSON, where that is not its name in CEL (`a-b` is `a__dash__b`)."""

    type: Type
    key: str = ""


class ObjectType(Type):
    """An object with declared fields, told apart by its name. `fields` may be filled after making (recursive types).

    `make`, where given, makes the value of a literal (`Name{field: value}`) of its fields; else it is a plain dict.
    """

    __slots__ = ("fields", "make")

    def __init__(
        self,
        name: str,
        fields: Mapping[str, Field],
        *,
        bound: int | None = None,
        adapt: Adapt | None = None,
        make: Callable[[dict[str, Any]], Any] | None = None,
    ) -> None:
        super().__init__(Kind.OBJECT, name, bound=bound, adapt=adapt)
        self.fields = fields
        self.make = make


class OptionalType(Type):
    __slots__ = ()

    def __init__(self, of: Type) -> None:
        super().__init__(Kind.OPAQUE, "optional_type", (of,))


class TypeParam(Type):
    """A placeholder in a declaration: `size(list(A))`."""

    __slots__ = ()

    def __init__(self, name: str) -> None:
        super().__init__(Kind.PARAM, name)


class Opaque(Type):
    """A library's own type: no fields, only functions."""

    __slots__ = ()

    def __init__(self, name: str, *parameters: Type) -> None:
        super().__init__(Kind.OPAQUE, name, parameters)


class TypeOf(Type):
    """The type of a type: `type(1)` is a `type(int)`."""

    __slots__ = ()

    def __init__(self, of: Type) -> None:
        super().__init__(Kind.TYPE, "type", (of,))


LIST = ListType(DYN)
MAP = MapType(DYN, DYN)
