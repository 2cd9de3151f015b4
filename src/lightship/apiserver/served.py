"""One resource with everything compiled that its requests need: keys, schema, defaults, conversion, admission, facts of its kind.

Made once by `catalogue.Catalogue`; the operations ask it instead of deciding again for every request. The schema is compiled when the
first object is written.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Literal

from lightship.cel import rules as expressions
from lightship.meta import codec, errors, gojson, schema
from lightship.meta.errors import Cause
from lightship.meta.gojson import Doubles
from lightship.meta.objects import Obj
from lightship.meta.resources import Resource
from lightship.store import Record

from . import custom_objects, traits
from .conversion.versions import Unconverted, Versions, convert
from .custom_objects import NAMES, OBJECT_META, naming
from .rules import Rule, Rules

_TYPE_INVALID = "FieldValueTypeInvalid"
_BLOCKING = frozenset(("FieldValueNotSupported", "FieldValueRequired", "FieldValueTooLong", "FieldValueTooMany", _TYPE_INVALID))
_NOT_CHECKED = errors.invalid_value(
    "<nil>",
    None,
    "some validation rules were not checked because the object was invalid; correct the existing errors to complete validation",
)


class CannotDecode(errors.StatusError):
    """400: a body that is not an object of the kind that was asked for; `why` without the kind around it."""

    def __init__(self, message: str, why: str) -> None:
        super().__init__(400, "BadRequest", message)
        self.why = why


class Served:
    """`rules` are the admission rules that want to see this resource."""

    def __init__(self, resource: Resource, definitions: Callable[[], Mapping[str, Obj]]) -> None:
        self.resource = resource
        self.bucket = resource.bucket
        self.prefix = resource.bucket + "/"
        self.rules = Rules()
        self.shared = resource.storage is not None
        """Is the bucket served under several groups or versions?"""
        self.owned: Any = None
        """How its fields are owned (`managed.Owned`); made at the first write."""
        self.terminating = False
        """Is the definition of this custom kind being deleted?"""
        self.has_generation = traits.has_generation(resource)
        self.annotations_count = traits.annotations_count(resource)
        self.creates_on_update = traits.creates_on_update(resource)
        self.returns_deleted = traits.returns_deleted(resource)
        self.name_rule = traits.name_rule(resource)
        self.metadata_order = traits.metadata_order(resource)
        self.metadata_last = traits.metadata_last(resource)
        self.knows_finalizers = traits.knows_finalizers(resource)
        self.judges_prefixes = traits.judges_prefixes(resource)
        self._definitions = definitions
        self._compiled: schema.Compiled | None = None
        self._rules: expressions.Rules | Literal[False] | None = False
        self._naming: schema.Compiled | Literal[False] | None = False
        self.versions: Versions | None = None
        """All versions of a custom kind; None: there is this one only, and all objects are of it."""
        self.uniform_since = 0
        """Objects written after this revision are served just as they are stored."""
        self.metadata: custom_objects.Metadata | None = None
        """How metadata of custom objects is read; shared by all custom kinds."""

    def belong(self, versions: Versions) -> None:
        """Be one version of a custom kind."""
        self.versions = versions
        self.uniform_since = versions.uniform_since(self.resource.api_version)

    def key(self, namespace: str, name: str) -> str:
        """Where the store keeps one object."""
        return f"{self.prefix}{namespace}/{name}"

    def under(self, namespace: str) -> str:
        """The prefix of all objects in a namespace, or everywhere."""
        return f"{self.prefix}{namespace}/" if namespace else self.prefix

    def admit(self, rules: Iterable[Rule]) -> None:
        """Choose the admission rules of this resource."""
        self.rules = Rules(r for r in rules if not r.admission.resources or self.resource in r.admission.resources)

    def read(self, record: Record) -> Record:
        """The record as this resource serves it; the very same one nearly always. Raises `conversion.Unconverted`."""
        if self.versions is not None:
            if record.revision > self.uniform_since:
                return record
            shown = self.versions.shown(record.obj, record.revision, self.resource.api_version)
            return record if shown is record.obj else _derived(record, shown)
        if not self.shared or self.resource.custom or record.obj.get("apiVersion") == self.resource.api_version:
            return record
        return _derived(record, convert(record.obj, self.resource))

    def read_all(self, records: Sequence[Record]) -> Sequence[Record]:
        """`read` of each; what a webhook must convert is asked of it all at once."""
        if self.as_stored:
            return records
        if self.versions is not None and self.versions.converter is not None:
            left = self.versions.missing([r.obj for r in records], self.resource.api_version)
            if left is not None:
                raise left
        return [self.read(record) for record in records]

    async def show(self, record: Record) -> Record:
        """`read`, after asking the webhook that it may take."""
        try:
            return self.read(record)
        except Unconverted as wanted:
            await wanted.convert()
            return self.read(record)

    async def ready(self, records: Sequence[Record]) -> None:
        """Ask for all that `read` will need of these."""
        if self.versions is not None and self.versions.converter is not None:
            left = self.versions.missing([r.obj for r in records], self.resource.api_version)
            if left is not None:
                await left.convert()

    async def to_store(self, obj: Obj) -> Obj:
        """The object in the version in which it is stored."""
        if self.versions is None:
            return obj
        try:
            return self.versions.to_store(obj)
        except Unconverted as wanted:
            await wanted.convert()
            return self.versions.to_store(obj)

    def is_outdated(self, record: Record) -> bool:
        """Is it stored in another version than it would be now?"""
        return self.versions is not None and record.obj["apiVersion"] != self.versions.storage

    @property
    def as_written(self) -> bool:
        """True when objects are stored in the version of this resource."""
        return self.versions is None or self.versions.storage == self.resource.api_version

    @property
    def as_stored(self) -> bool:
        """True when every record is served just as it is stored."""
        if self.versions is not None:
            return self.uniform_since == 0
        return not self.shared or self.resource.custom

    def not_found(self, name: str) -> errors.StatusError:
        return errors.not_found(self.resource.plural, name, self.resource.group)

    def conflict(self, name: str, why: str = errors.MODIFIED) -> errors.StatusError:
        return errors.conflict(self.resource.plural, name, why, self.resource.group)

    def invalid(self, name: str, causes: Iterable[Cause]) -> errors.StatusError:
        return errors.invalid(self.resource.kind, name, causes, self.resource.group)

    def forbidden(self, name: str, why: str) -> errors.StatusError:
        resource = self.resource
        qualified = f"{resource.plural}.{resource.group}" if resource.group else resource.plural
        shown = f'{qualified} "{name}"' if name else qualified
        return errors.forbidden(f"{shown} is forbidden: {why}", resource.plural, name, resource.group)

    def cannot_decode(self, why: str) -> "CannotDecode":
        """400: the body is not an object of this kind."""
        kind = self.resource.kind
        return CannotDecode(f'{kind} in version "{self.resource.version}" cannot be handled as a {kind}: {why}', why)

    def compiled(self) -> schema.Compiled | None:
        """The schema as functions; None for kinds without one."""
        if self._compiled is None and self.resource.schema is not None:
            definitions = self._definitions()
            found = self.resource.schema
            if self.resource.custom:
                found = _with_metadata(found, definitions)
            self._compiled = schema.compile(found, definitions)
        return self._compiled

    def merge_schema(self) -> schema.Compiled | Obj:
        """The schema that says how lists merge in a strategic merge patch."""
        return self.compiled() or {}

    def accept(self, obj: Obj, validation: str, warnings: list[str], doubles: Doubles | None = None) -> list[Cause]:
        """Make a decoded body an object of this kind, in place: unknown fields, types, schema defaults.

        `doubles`: fields that came twice in the body, which is as bad as unknown ones. Returns what the schema says against it. Raises 400
        for both under Strict, and for wrong types of built-in kinds, which no decoder would have read.
        """
        compiled = self.compiled()
        if self.resource.custom:
            return self._accept_custom(compiled, obj, validation, warnings, doubles)
        if compiled is None or (doubles is None and compiled.settle(obj)):
            return []
        causes = compiled.check(obj)
        if causes and causes[0].reason == _TYPE_INVALID:
            raise self.cannot_decode(causes[0].text())
        unknown = compiled.unknown(obj)
        if unknown or doubles is not None:
            self._complain(unknown, validation, warnings, doubles)
        if unknown:
            compiled.prune(obj)
        compiled.default(obj)
        return causes

    def _accept_custom(
        self, compiled: schema.Compiled | None, obj: Obj, validation: str, warnings: list[str], doubles: Doubles | None
    ) -> list[Cause]:
        if self.metadata is None:
            self.metadata = custom_objects.Metadata(self._definitions)
        if compiled is None:
            self._complain(self.metadata.take(obj.get("metadata"), ""), validation, warnings, doubles)
            return []
        try:
            found = custom_objects.accept(compiled, self.metadata, obj)
        except custom_objects.Undecodable as error:
            raise self.cannot_decode(str(error)) from error
        self._complain(found.unknown, validation, warnings, doubles)
        return found.causes

    def counting(self, causes: list[Cause], new: Obj, old: Obj | None, subresource: str) -> list[Cause]:
        """What counts of `causes`: of built-in kinds all, of custom ones not what was as wrong before, nor what nobody asked to write."""
        compiled = self.compiled() if self.resource.custom else None
        if compiled is None:
            return causes
        if old is None:
            return custom_objects.without_status(causes) if self.resource.status else causes
        causes = custom_objects.ratcheted(compiled, causes, new, old)
        return custom_objects.of_status(causes) if subresource == "status" else causes

    def breaches(self, obj: Obj, old: Obj | None, found: list[Cause], warnings: list[str], *, short: bool) -> list[Cause]:
        """What the rules of a custom kind (x-kubernetes-validations) say. They are not asked of an object that is wrong more simply.

        With `short`, raises `cel.rules.Dear` when that takes long. A kind that came with a validation of its own has its rules in there.
        """
        if self._rules is False:
            resource = self.resource
            self._rules = expressions.Rules.of(resource.schema) if resource.schema and resource.custom and not resource.validate else None
        if self._rules is None:
            return []
        return self.unchecked(found) or self._rules.check(obj, old, warnings, short=short)

    def unchecked(self, found: list[Cause]) -> list[Cause]:
        """What is said instead of a custom kind's rules when an object is wrong more simply; nothing when it is not."""
        return [_NOT_CHECKED] if self.resource.custom and any(cause.reason in _BLOCKING for cause in found) else []

    def misnamed(self, meta: Obj) -> list[Cause]:
        """What the schema of a custom kind says against the name of a new object."""
        if self._naming is False:
            self._naming = naming(self.resource.schema or {})
        return self._naming.check({"metadata": {f: meta[f] for f in NAMES if f in meta}}) if self._naming is not None else []

    def check(self, obj: Obj) -> list[Cause]:
        """What the schema says against an object."""
        compiled = self.compiled()
        return compiled.check(obj) if compiled else []

    def _complain(self, unknown: list[str], validation: str, warnings: list[str], doubles: Doubles | None) -> None:
        if not (unknown or doubles):
            return
        texts = gojson.strict_errors(unknown, doubles, builtin=not self.resource.custom)
        if texts and validation == "Strict":
            raise self.cannot_decode("strict decoding error: " + ", ".join(texts))
        if validation != "Ignore":
            warnings.extend(gojson.as_warnings(texts))


def _derived(record: Record, obj: Obj) -> Record:
    return Record(record.key, codec.encode(obj), record.revision, obj)


def _with_metadata(structural: Obj, definitions: Mapping[str, Obj]) -> Obj:
    """A custom schema with the metadata that every object has, which CustomResourceDefinitions leave out."""
    properties = {**structural.get("properties", {}), "apiVersion": {"type": "string"}, "kind": {"type": "string"}}
    if OBJECT_META in definitions:
        properties["metadata"] = {"$ref": f"#/components/schemas/{OBJECT_META}"}
    return {**structural, "properties": properties}
