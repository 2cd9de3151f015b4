"""Facts about built-in kinds, read from package data that `tools/make_kinds_data.py` took from a real API server.

Called by the modules of this room, each of which adds to the facts of its kinds the rules that are code: defaults, validation, rows.
The schemas (by far the larger file) are read only when somebody asks for them, and decoded one by one. Refuses to know any rule.
"""

from collections.abc import Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import msgspec

from lightship.meta import codec, packed
from lightship.meta.objects import Obj
from lightship.meta.resources import Column, Default, Part, Prepare, Resource, Row, Scale, Sign, Validate, Warn

from . import cells

_DATA = Path(__file__).parent / "data"
_SCHEMA_PREFIX = "#/components/schemas/"
_OWN_FIELDS = frozenset({"status", "scale"})
"""Subresources that `Resource` tells by fields of their own."""
_SCALE = Scale(selector_path=".spec.selector")


class Definitions(Mapping[str, Obj]):
    """Schemas by name, each decoded when it is first asked for: a running server needs few of them. Shared: never mutate."""

    def __init__(self, data: bytes) -> None:
        self._raw: dict[str, msgspec.Raw] = msgspec.json.decode(data, type=dict[str, msgspec.Raw])
        self._decoded: dict[str, Obj] = {}

    def __getitem__(self, name: str) -> Obj:
        found = self._decoded.get(name)
        if found is None:
            found = self._decoded[name] = codec.decode(self._raw[name])
        return found

    def __contains__(self, name: object) -> bool:
        return name in self._raw

    def __iter__(self) -> Iterator[str]:
        return iter(self._raw)

    def __len__(self) -> int:
        return len(self._raw)


@lru_cache(maxsize=1)
def definitions() -> Mapping[str, Obj]:
    """Component schemas by full name (`io.k8s.api.core.v1.Pod`), as `$ref`s and the OpenAPI documents name them."""
    return Definitions(packed.read(_DATA / "schemas.json"))


@lru_cache(maxsize=1)
def resources() -> dict[str, Any]:
    """Discovery facts by `group/version/plural`."""
    found: dict[str, Any] = codec.decode(packed.read(_DATA / "resources.json"))
    return found


def schema_ref(name: str) -> Obj:
    """A schema that is nothing but a reference to a component schema."""
    return {"$ref": _SCHEMA_PREFIX + name}


def resource(
    identity: str,
    *,
    selectable: Mapping[str, tuple[str, ...]] | None = None,
    prepare: Prepare | None = None,
    default: Default | None = None,
    validate: Validate | None = None,
    warn: Warn | None = None,
    sign: Sign | None = None,
    parts: Mapping[str, Part] | None = None,
    row: Row | None = None,
    unconditional_update: bool = True,
    graceful: bool = False,
    keeps_dependents: str = "",
    deprecation: str = "",
    storage: tuple[str, str] | None = None,
) -> Resource:
    """The `Resource` of a kind in the data files, with the given rules. Raises `KeyError` for a kind that is not there."""
    facts = resources()[identity]
    columns = tuple(Column(*c) for c in facts["columns"])
    group_version, _, plural = identity.rpartition("/")
    group, _, version = group_version.rpartition("/")
    return Resource(
        group=group,
        version=version,
        kind=facts["kind"],
        plural=plural,
        singular=facts["singular"],
        namespaced=facts["namespaced"],
        short_names=tuple(facts["shortNames"]),
        categories=tuple(facts["categories"]),
        verbs=tuple(facts["verbs"]),
        status="status" in facts["subresources"],
        scale=_SCALE if "scale" in facts["subresources"] else None,
        subresources=tuple(sorted(facts["subresources"].keys() - _OWN_FIELDS)),
        schema=schema_ref(facts["schema"]),
        columns=columns,
        selectable=selectable or {},
        prepare=prepare,
        default=default,
        validate=validate,
        warn=warn,
        sign=sign,
        parts=parts or {},
        row=row or cells.plain_row([c.name for c in columns]),
        unconditional_update=unconditional_update,
        graceful=graceful,
        keeps_dependents=keeps_dependents,
        deprecation=deprecation,
        storage=storage,
    )
