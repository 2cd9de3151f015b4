"""Custom objects on their way in: what the schema of their definition takes away, fills in and says against them.

`served.Served` calls `accept` for every custom object that is written, and `ratcheted` for what an update leaves as wrong as it was. The
metadata of an object, and of objects inside it, is read as Go reads metadata, whatever the schema. Refuses to know rules
(x-kubernetes-validations), which are `cel.rules`'. Contract: apiextensions-apiserver pkg/apiserver (schema coercing), pkg/apiserver/
validation/ratcheting.go, registry/customresource.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

from lightship.meta import codec, errors, names, schema
from lightship.meta.errors import Cause
from lightship.meta.objects import Obj
from lightship.meta.resources import Resource, Scale
from lightship.meta.schema import embedded
from lightship.meta.schema.limits import UNDECODABLE

OBJECT_META = "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta"
NAMES = ("name", "generateName")
"""What a definition may limit of metadata."""
_GO_VALUE = "Go value of type v1.ObjectMeta"
_STANDARD_FINALIZERS = ("orphan", "foregroundDeletion", "kubernetes")


class Undecodable(Exception):  # noqa: N818  reads as what happened
    """No object of this kind could be made of a body."""


class Judgement(NamedTuple):
    """What came in: fields that nobody knows, as the real server lists them, and what the schema says against the rest."""

    unknown: list[str]
    causes: list[Cause]


class Metadata:
    """ObjectMeta, compiled once for all custom kinds of a server, with the first object."""

    def __init__(self, definitions: Callable[[], Mapping[str, Obj]]) -> None:
        self._definitions = definitions
        self._schema: schema.Compiled | None = None

    def take(self, metadata: Any, path: str) -> list[str]:
        """Prune metadata in place, and return the paths of what went. Raises `Undecodable` in Go's words."""
        if metadata is None:
            return []
        if not isinstance(metadata, dict):
            raise Undecodable(f"json: cannot unmarshal {_go_kind(metadata)} into {_GO_VALUE}")
        if self._schema is None:
            self._schema = schema.compile({"$ref": f"#/components/schemas/{OBJECT_META}"}, self._definitions)
        compiled = self._schema
        if compiled.settle(metadata):
            return []
        wrong = compiled.check(metadata)
        if wrong and wrong[0].reason == UNDECODABLE:
            raise Undecodable(wrong[0].text())
        unknown = compiled.unknown(metadata)
        if unknown:
            compiled.prune(metadata)
        compiled.default(metadata)
        return [f"{path}metadata.{field}" for field in unknown]


def accept(compiled: schema.Compiled, metadata: Metadata, obj: Obj) -> Judgement:
    """Make a decoded body a custom object, in place. Raises `Undecodable`."""
    unknown = metadata.take(obj.get("metadata"), "")
    if compiled.settle(obj):
        return Judgement(unknown, compiled.lists(obj))
    inside = compiled.embedded(obj)
    found = [path for part in inside for path in _take_embedded(metadata, part)]
    strays = compiled.unknown(obj)
    if strays:
        compiled.prune(obj)
    compiled.default(obj)
    causes = compiled.check(obj)
    if inside:
        # Once more: defaults may have made some, and pruning may have taken some away.
        causes += [c for part in compiled.embedded(obj) for c in embedded.problems(part.obj, part.path)]
    causes += compiled.lists(obj)
    if not (inside or strays or causes):
        compiled.learn(obj)
    return Judgement(unknown + strays + sorted(found), causes)


def naming(structural: Obj) -> schema.Compiled | None:
    """The part of a custom kind's schema that is about names, if there is one: it may limit these of all metadata, and nothing else."""
    metadata = (structural.get("properties") or {}).get("metadata") or {}
    limits = {field: part for field, part in (metadata.get("properties") or {}).items() if field in NAMES and part.keys() - {"type"}}
    if not limits:
        return None
    return schema.compile({"type": "object", "properties": {"metadata": {"type": "object", "properties": limits}}}, {})


def _take_embedded(metadata: Metadata, part: schema.Embedded) -> list[str]:
    at = f"{part.path}." if part.path else ""
    for field in ("apiVersion", "kind"):
        value = part.obj.get(field, "")
        if not isinstance(value, str):
            raise Undecodable(f"{at}{field}: Invalid value: {codec.encode(value).decode()}: must be a string")
    sent = part.obj.get("metadata")
    try:
        return metadata.take(sent, at)
    except Undecodable as error:
        shown = codec.encode(dict(sorted(sent.items())) if isinstance(sent, dict) else sent).decode()
        raise Undecodable(f"{at}metadata: Invalid value: {shown}: {error}") from error


def undecodable_metadata(resource: Resource, value: Any) -> str:
    """What Go says of metadata that is no object."""
    where = _GO_VALUE if resource.custom else f"Go struct field {resource.kind}.metadata of type v1.ObjectMeta"
    return f"json: cannot unmarshal {_go_kind(value)} into {where}"


def _go_kind(value: Any) -> str:
    kinds = {bool: "bool", int: "number", float: "number", str: "string", list: "array"}
    return kinds.get(type(value), "object")


def without_status(causes: list[Cause]) -> list[Cause]:
    """What counts of a new object that comes without the status that a client gave it."""
    return [c for c in causes if not _is_of_status(c)]


def of_status(causes: list[Cause]) -> list[Cause]:
    """What counts of a write to /status, in the words of a judge who sees nothing but the status."""
    return [c._replace(message=c.message.replace(f": {c.field} in body", f": {c.field[7:]} in body")) for c in causes if _is_of_status(c)]


def _is_of_status(cause: Cause) -> bool:
    found = _place(cause)
    return found == "status" or found.startswith(("status.", "status["))


def _place(cause: Cause) -> str:
    """The path that a cause speaks of. Junctors name no field, but quote it: `Invalid value: "": "spec.x" must validate ...`."""
    if cause.field != "<nil>":
        return cause.field
    told = cause.message.removeprefix('Invalid value: "": ')
    return told[1:].partition('"')[0] if told.startswith('"') else told.rpartition(" in ")[2]


def ratcheted(compiled: schema.Compiled, causes: list[Cause], new: Obj, old: Obj) -> list[Cause]:
    """What counts of `causes` when `new` replaces `old`: a value that stays as it was may stay wrong."""
    repeats = compiled.lists(new)
    if repeats and compiled.lists(old):
        causes = [c for c in causes if c not in repeats]
    return [c for c in causes if not _unchanged(compiled.node.raw, _steps_of(c, new), new, old)]


def _unchanged(node: Any, steps: list[str | int], new: Any, old: Any) -> bool:
    """Does the value that is wrong, or one around it, stand in the old object just so, at the place that corresponds?"""
    for step in steps:
        node = node if isinstance(node, dict) else {}
        if isinstance(step, int):
            old = _corresponding(node, new[step], old)
            new, node = new[step], node.get("items")
        elif isinstance(new, dict) and step in new:
            old = old.get(step) if isinstance(old, dict) else None
            node = (node.get("properties") or {}).get(step) or node.get("additionalProperties")
            new = new[step]
        else:
            return False
        if old is not None and codec.encode(new) == codec.encode(old):
            return True
    return False


def _corresponding(node: Obj, item: Any, old: Any) -> Any:
    """The old item that an item is a newer form of; only lists that are maps can tell."""
    keys = node.get("x-kubernetes-list-map-keys") or ()
    if node.get("x-kubernetes-list-type") != "map" or not isinstance(old, list) or not isinstance(item, dict):
        return None
    wanted = [item.get(key) for key in keys]
    found = [o for o in old if isinstance(o, dict) and [o.get(key) for key in keys] == wanted]
    return found[0] if len(found) == 1 else None


def _steps_of(cause: Cause, obj: Obj) -> list[str | int]:
    """The way to the value that a cause is about. What is missing is the fault of the value that lacks it."""
    return list(_steps(_place(cause), obj))


def _steps(text: str, value: Any) -> Iterator[str | int]:
    while text:
        if text[0] == "[" and isinstance(value, list):
            index, _, text = text[1:].partition("]")
            if not index.isdecimal() or int(index) >= len(value):
                return
            step: str | int = int(index)
            value = value[int(index)]
        elif isinstance(value, dict):
            plain = text.removeprefix(".")
            if plain[:1] == "[" and "]" in plain:
                step, _, text = plain[1:].partition("]")
            else:
                step = _longest(plain, value)
                text = plain[len(step) :]
            if step not in value:
                return
            value = value[step]
        else:
            return
        yield step


def _longest(text: str, value: Obj) -> str:
    """The key that a path goes on with; keys may have dots in them."""
    fitting = [k for k in value if text.startswith(k) and text[len(k) : len(k) + 1] in ("", ".", "[")]
    return max(fitting, key=len, default=text)


def finalizer_warnings(new: Obj, old: Obj | None) -> list[str]:
    """What custom kinds say to new finalizers that others could easily choose too."""
    before = (old or {}).get("metadata", {}).get("finalizers") or ()
    found: list[str] = []
    for text in sorted(set(new["metadata"].get("finalizers") or ()) - set(before)):
        found += [f'metadata.finalizers: "{text}": {why}' for why in names.problems(text, "qualified")]
        if "/" not in text and text not in _STANDARD_FINALIZERS:
            path = " including a path (/)" if "." in text else ""
            why = f"prefer a domain-qualified finalizer name{path} to avoid accidental conflicts with other finalizer writers"
            found.append(f'metadata.finalizers: "{text}": {why}')
    return found


def scale_problems(scale: Scale | None, obj: Obj) -> list[Cause]:
    """What is wrong with the values that the /scale of a custom kind would show."""
    causes: list[Cause] = []
    for path in (scale.spec_path, scale.status_path) if scale is not None else ():
        value = _value(path, obj)
        if value is not None and (isinstance(value, bool) or not isinstance(value, int)):
            why = f"{path} accessor error: {_go_shown(value)} is of the type {_go_type(value)}, expected int64"
            causes.append(errors.invalid_value(path, 0, why))
        elif value is not None and value < 0:
            causes.append(errors.invalid_value(path, value, "should be a non-negative integer"))
        elif value is not None and value > 2**31 - 1:
            causes.append(errors.invalid_value(path, value, f"should be less than or equal to {2**31 - 1}"))
    at = scale.selector_path if scale is not None else ""
    selector = _value(at, obj) if at else None
    if selector is not None and not isinstance(selector, str):
        why = f"{at} accessor error: {_go_shown(selector)} is of the type {_go_type(selector)}, expected string"
        causes.append(errors.invalid_value(at, "", why))
    return causes


def _value(path: str, obj: Any) -> Any:
    for step in path.removeprefix(".").split("."):
        obj = obj.get(step) if isinstance(obj, dict) else None
    return obj


def _go_type(value: Any) -> str:
    kinds = {bool: "bool", int: "int64", float: "float64", str: "string", list: "[]interface {}"}
    return kinds.get(type(value), "map[string]interface {}")


def _go_shown(value: Any) -> str:
    return value if isinstance(value, str) else codec.encode(value).decode()
