"""What a server does with the rules of a kind: the steps of a write, in their order, without a server."""

from functools import cache
from typing import NamedTuple

from lightship import kinds
from lightship.meta import schema
from lightship.meta.errors import StatusError
from lightship.meta.objects import Obj, copy
from lightship.meta.resources import Resource


class Verdict(NamedTuple):
    """Either causes, or the object as it would be stored."""

    refused: list[str]
    stored: Obj


@cache
def compiled(resource: Resource) -> schema.Compiled:
    assert resource.schema is not None
    return schema.compile(resource.schema, kinds.definitions())


def judge(resource: Resource, obj: Obj, old: Obj | None = None) -> Verdict:
    """Create `obj`, or update `old` to it."""
    new: Obj = copy(obj)
    rules = compiled(resource)
    causes = rules.check(new)
    if causes and causes[0].reason == "FieldValueTypeInvalid":
        return Verdict([causes[0].text()], new)
    unknown = rules.unknown(new)
    if unknown:
        return Verdict([f'unknown field "{path}"' for path in unknown], new)
    rules.default(new)
    if old is None:
        new["metadata"].update({"uid": "UID", "namespace": "default", "creationTimestamp": "2026-01-01T00:00:00Z"})
    try:
        if resource.prepare:
            resource.prepare(new, old)
    except StatusError as error:
        return Verdict([error.message], new)  # what it is made of could not be decoded
    if resource.default:
        resource.default(new)
    found = rules.check(new) if causes else []
    if resource.validate:
        found += resource.validate(new, old)
    return Verdict([c.text() for c in found], new)


def stored(resource: Resource, obj: Obj) -> Obj:
    """The object as created; fails when it is refused."""
    verdict = judge(resource, obj)
    assert not verdict.refused
    return verdict.stored
