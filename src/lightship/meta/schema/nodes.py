"""Schemas made ready to compile: references followed, the facts that matter in slots, parsed only as far as objects go.

Called by `checks` and `shape`, which turn nodes into functions. A node knows whether it stands inside one of the API server's own Go
types (then empty maps, zero values and nulls follow Go's rules) or in the structural schema of a custom kind. Refuses to know objects.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from lightship.meta.objects import Obj

PREFIX = "#/components/schemas/"
OBJECT_META = "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta"
RAW_EXTENSION = "io.k8s.apimachinery.pkg.runtime.RawExtension"
"""Any JSON at all, though the document says that it is an object."""
_QUANTITY = "io.k8s.apimachinery.pkg.api.resource.Quantity"
_TIMES = {
    "io.k8s.apimachinery.pkg.apis.meta.v1.Time": "2006-01-02T15:04:05Z07:00",
    "io.k8s.apimachinery.pkg.apis.meta.v1.MicroTime": "2006-01-02T15:04:05.000000Z07:00",
}
NO_DEFAULT: Any = object()
_GO_TYPES = {"string": "string", "boolean": "bool", "number": "float64", "object": "map[string]interface {}"}
_OPEN: Obj = {"x-kubernetes-preserve-unknown-fields": True}
_EMBEDDED: Obj = {"apiVersion": {"type": "string"}, "kind": {"type": "string"}}


@dataclass(frozen=True, slots=True)
class Context:
    """What a whole schema has in common: the definitions, and whether it is that of a built-in kind."""

    definitions: Mapping[str, Obj]
    builtin: bool


@dataclass(frozen=True, eq=False)
class Node:
    """One schema, references resolved. `definition` is the component that it stands in, empty in custom schemas."""

    raw: Obj
    context: Context
    definition: str = ""
    lenient: bool = False
    """Inside a built-in kind's metadata or status, where Go decodes whatever fits and no rule is checked by schema."""
    optional: bool = True
    special: str = ""
    """`quantity`, `time` or `int-or-string`: kinds of values that JSON schema cannot say."""
    owner: str = ""
    """The definition that has this as one of its fields."""

    @property
    def go(self) -> bool:
        """Is this (part of) a Go type?"""
        return bool(self.definition)

    @cached_property
    def type(self) -> str:
        """JSON type, or empty when any will do."""
        found = self.raw.get("type") or ""
        if not found and ("properties" in self.raw or "additionalProperties" in self.raw):
            return "object"
        return found if isinstance(found, str) else ""

    @cached_property
    def default(self) -> Any:
        """The default to fill in, or `NO_DEFAULT`. Go's zero values count only in built-in kinds, where the real server emits them."""
        if "default" not in self.raw:
            return NO_DEFAULT
        found = self.raw["default"]
        if self.go and not self.context.builtin and found in ("", 0, {}) and not isinstance(found, bool):
            return NO_DEFAULT
        return found

    @property
    def nullable(self) -> bool:
        return bool(self.raw.get("nullable"))

    @cached_property
    def required(self) -> tuple[str, ...]:
        return tuple(self.raw.get("required") or ())

    @cached_property
    def embedded(self) -> bool:
        return bool(self.raw.get("x-kubernetes-embedded-resource"))

    @property
    def by_hand(self) -> bool:
        """Are enum and required judged elsewhere, in words of their own?

        At a built-in kind's root, of a list in it, and of a definition that is marked with `inside`: those of everything inside.
        """
        return bool(self.raw.get("x-lightship-by-hand"))

    @cached_property
    def left_out(self) -> frozenset[str]:
        """Fields of a Go struct that its JSON does not have when they are empty, zero or false."""
        return frozenset(self.raw.get("x-lightship-left-out") or ())

    @cached_property
    def properties(self) -> Obj:
        """Raw schemas of the known fields."""
        found: Obj = self.raw.get("properties") or {}
        if self.embedded:
            metadata = {"metadata": {"$ref": PREFIX + OBJECT_META}} if OBJECT_META in self.context.definitions else {"metadata": _OPEN}
            return {**found, **_EMBEDDED, **metadata}
        return found

    @cached_property
    def open(self) -> bool:
        """Are unknown fields kept? So it is where the schema says nothing about the inside of a value."""
        if self.raw.get("x-kubernetes-preserve-unknown-fields"):
            return True
        if "properties" in self.raw or "additionalProperties" in self.raw or self.embedded:
            return False
        return self.go or self.type != "object"

    @cached_property
    def is_map(self) -> bool:
        return "additionalProperties" in self.raw and "properties" not in self.raw

    @property
    def is_bare(self) -> bool:
        """Does it say of further fields no more than whether there may be any?"""
        return isinstance(self.raw.get("additionalProperties"), bool) and not self.go

    def fills(self, name: str, default: Any) -> bool:
        """Is this default filled in where the field is missing? Not where Go would leave it out again."""
        return default is not NO_DEFAULT and (bool(default) or name not in self.left_out)

    def field(self, name: str) -> "Node | None":
        """The node of a field; None when the schema has no such field."""
        found = self.properties.get(name)
        if found is None:
            return None
        required = name in self.required
        inside = self.raw.get("x-lightship-by-hand") == "inside"
        by_hand = inside or (self._at_root and (self.by_hand or name in ("metadata", "status")))
        lenient = self.lenient or (self.context.builtin and by_hand)
        return _resolve(found, self, lenient=lenient, optional=not required)

    @cached_property
    def additional(self) -> "Node | None":
        """The node of a map's values; None when anything goes."""
        found = self.raw.get("additionalProperties")
        return _resolve(found, self, lenient=self.lenient) if isinstance(found, dict) else None

    @cached_property
    def items(self) -> "Node | None":
        found = self.raw.get("items")
        return _resolve(found, self, lenient=self.lenient or (self.by_hand and self.context.builtin)) if isinstance(found, dict) else None

    def junctors(self, name: str) -> list["Node"]:
        """Sub-schemas of `allOf`, `anyOf`, `oneOf`."""
        return [_resolve(s, self, lenient=self.lenient) for s in self.raw.get(name) or () if isinstance(s, dict)]

    @cached_property
    def negated(self) -> "Node | None":
        found = self.raw.get("not")
        return _resolve(found, self, lenient=self.lenient) if isinstance(found, dict) else None

    @property
    def struct(self) -> str:
        """The short name of the Go type that this is a field of (`Container`), as decoding errors name it."""
        return self.owner.rpartition(".")[2]

    @property
    def go_type(self) -> str:
        """How Go would print the type of this value."""
        if self.special == "int-or-string":
            return "int32"
        if self.raw.get("$name"):
            package, _, name = self.definition.rpartition(".")
            return f"{package.rpartition('.')[2]}.{name}"
        if self.type == "array":
            return "[]" + (self.items.go_type if self.items else "interface {}")
        if self.type == "object" and self.additional:
            return f"map[string]{self.additional.go_type}"
        if self.type == "integer":
            return str(self.raw.get("format") or "int64")
        return "[]uint8" if self.raw.get("format") == "byte" else _GO_TYPES.get(self.type, "interface {}")

    @property
    def _at_root(self) -> bool:
        return "x-kubernetes-group-version-kind" in self.raw


def root(schema: Obj, definitions: Mapping[str, Obj]) -> Node:
    """The node of a whole kind. A schema that is nothing but a reference stands for one of the server's own Go types."""
    context = Context(definitions, builtin=schema.keys() == {"$ref"})
    return _resolve(schema, Node({}, context))


def _resolve(schema: Obj, parent: Node, *, lenient: bool = False, optional: bool = True) -> Node:
    """Follow `$ref`, alone or as the only member of `allOf`; siblings of the reference win over what it refers to."""
    definition, raw = parent.definition, schema
    reference = schema.get("$ref") or _only_reference(schema)
    while reference:
        definition = str(reference).removeprefix(PREFIX)
        target = parent.context.definitions.get(definition)
        if target is None:
            raise ValueError(f'the schema refers to "{reference}", which is not among the {len(parent.context.definitions)} definitions')
        siblings = {k: v for k, v in raw.items() if k not in ("$ref", "allOf")}
        raw = {**target, **siblings, "$name": definition}
        if definition == RAW_EXTENSION:
            raw.pop("type", None)
        reference = raw.get("$ref") or _only_reference(raw)
    lenient = lenient or definition == OBJECT_META
    return Node(raw, parent.context, definition, lenient, optional, _special(raw, definition), parent.definition)


def _only_reference(schema: Obj) -> str:
    members = schema.get("allOf")
    if isinstance(members, list) and len(members) == 1 and isinstance(members[0], dict) and members[0].keys() == {"$ref"}:
        return str(members[0]["$ref"])
    return ""


def _special(raw: Obj, definition: str) -> str:
    name = raw.get("$name") and definition
    if name == _QUANTITY:
        return "quantity"
    if name in _TIMES:
        return "time"
    if raw.get("x-kubernetes-int-or-string") or raw.get("format") == "int-or-string":
        return "int-or-string"
    return ""


def time_layout(node: Node) -> str:
    """Go's layout of a time, as its parse errors quote it."""
    return _TIMES.get(node.definition, "")
