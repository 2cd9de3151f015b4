"""One resource with everything compiled that its requests need: keys, schema, defaults, conversion, admission, facts of its kind.

Made once by `catalogue.Catalogue`; the operations ask it instead of deciding again for every request. The schema is compiled when the
first object is written.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

from lightship.apiserver import traits
from lightship.apiserver.conversion import convert
from lightship.meta import codec, errors, schema
from lightship.meta.admission import Admission, Admit
from lightship.meta.errors import Cause
from lightship.meta.objects import Obj, copy
from lightship.meta.resources import Resource
from lightship.store import Record

OBJECT_META = "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta"
_TYPE_INVALID = "FieldValueTypeInvalid"


class CannotDecode(errors.StatusError):
    """400: a body that is not an object of the kind that was asked for; `why` without the kind around it."""

    def __init__(self, message: str, why: str) -> None:
        super().__init__(400, "BadRequest", message)
        self.why = why


class Rule(NamedTuple):
    """An admission rule set, and whether what it adds needs no defaults."""

    admission: Admission
    complete: bool


class Served:
    """`mutating` and `validating` are the admission functions that want to see this resource, in order."""

    def __init__(self, resource: Resource, definitions: Callable[[], Mapping[str, Obj]], stored_since: int) -> None:
        self.resource = resource
        self.bucket = resource.bucket
        self.prefix = resource.bucket + "/"
        self.mutating: list[Admit] = []
        self.validating: list[Admit] = []
        self.shared = resource.storage is not None
        """Is the bucket served under several groups or versions?"""
        self.default_again = False
        """May admission have added what needs defaults?"""
        self.owned: Any = None
        """How its fields are owned (`managed.Owned`); made at the first write."""
        self.terminating = False
        """Is the definition of this custom kind being deleted?"""
        self.has_generation = traits.has_generation(resource)
        self.annotations_count = traits.annotations_count(resource)
        self.creates_on_update = traits.creates_on_update(resource)
        self.returns_deleted = traits.returns_deleted(resource)
        self.name_rule = traits.name_rule(resource)
        self._definitions = definitions
        self._stored_since = stored_since
        self._compiled: schema.Compiled | None = None
        self._has_defaults: bool | None = None

    def key(self, namespace: str, name: str) -> str:
        """Where the store keeps one object."""
        return f"{self.prefix}{namespace}/{name}"

    def under(self, namespace: str) -> str:
        """The prefix of all objects in a namespace, or everywhere."""
        return f"{self.prefix}{namespace}/" if namespace else self.prefix

    def admit(self, rules: Iterable["Rule"]) -> None:
        """Choose the admission functions of this resource."""
        mine = [r for r in rules if not r.admission.resources or self.resource in r.admission.resources]
        mine.sort(key=lambda r: r.admission.last)
        self.mutating = [r.admission.mutate for r in mine if r.admission.mutate]
        self.validating = [r.admission.validate for r in mine if r.admission.validate]
        self.default_again = any(r.admission.mutate and not r.complete for r in mine)

    def read(self, record: Record) -> Record:
        """The record as this resource serves it; the very same one nearly always."""
        if self.resource.custom:
            return self._read_custom(record)
        if not self.shared or record.obj.get("apiVersion") == self.resource.api_version:
            return record
        return _derived(record, convert(record.obj, self.resource))

    @property
    def as_stored(self) -> bool:
        """True when every record is served just as it is stored."""
        return not self.shared and not self.resource.custom

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

    def accept(self, obj: Obj, validation: str, warnings: list[str]) -> list[Cause]:
        """Make a decoded body an object of this kind, in place: unknown fields, types, schema defaults.

        Returns what the schema says against it. Raises 400 for unknown fields under Strict and for wrong types of built-in kinds, which
        no decoder would have read.
        """
        compiled = self.compiled()
        if compiled is None or compiled.settle(obj):
            return []
        causes = [] if self.resource.custom else compiled.check(obj)
        if causes and causes[0].reason == _TYPE_INVALID:
            raise self.cannot_decode(causes[0].text())
        unknown = compiled.unknown(obj)
        if unknown:
            self._complain(unknown, validation, warnings)
            compiled.prune(obj)
        compiled.default(obj)
        return compiled.check(obj) if self.resource.custom else causes

    def check(self, obj: Obj) -> list[Cause]:
        """What the schema says against an object."""
        compiled = self.compiled()
        return compiled.check(obj) if compiled else []

    def _complain(self, unknown: list[str], validation: str, warnings: list[str]) -> None:
        texts = [f'unknown field "{path}"' for path in unknown]
        if validation == "Strict":
            raise self.cannot_decode("strict decoding error: " + ", ".join(texts))
        if validation != "Ignore":
            warnings.extend(texts)

    def _read_custom(self, record: Record) -> Record:
        """Custom kinds get today's defaults on read: only objects from before this version of the schema can lack them."""
        obj = record.obj
        converted = obj["apiVersion"] != self.resource.api_version
        if not converted and record.revision > self._stored_since:
            return record
        if record.revision <= self._stored_since:
            compiled = self.compiled()
            if compiled is not None:
                fresh = copy(obj)
                compiled.default(fresh)
                if fresh != obj:
                    return _derived(record, convert(fresh, self.resource))
        return _derived(record, convert(obj, self.resource)) if converted else record


def _derived(record: Record, obj: Obj) -> Record:
    return Record(record.key, codec.encode(obj), record.revision, obj)


def _with_metadata(structural: Obj, definitions: Mapping[str, Obj]) -> Obj:
    """A custom schema with the metadata that every object has, which CustomResourceDefinitions leave out."""
    properties = {**structural.get("properties", {}), "apiVersion": {"type": "string"}, "kind": {"type": "string"}}
    if OBJECT_META in definitions:
        properties["metadata"] = {"$ref": f"#/components/schemas/{OBJECT_META}"}
    return {**structural, "properties": properties}
