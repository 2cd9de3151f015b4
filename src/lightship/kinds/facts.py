"""Facts about built-in kinds, read from package data that `tools/make_kinds_data.py` took from a real API server.

Called by the modules of this room, each of which adds to the facts of its kinds the rules that are code: defaults, validation, rows.
The schemas (by far the larger file) are read only when somebody asks for them. Refuses to know any rule.
"""

from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from lightship.meta import codec
from lightship.meta.objects import Obj
from lightship.meta.resources import Column, Default, Part, Prepare, Resource, Row, Sign, Validate, Warn

_DATA = Path(__file__).parent / "data"
_SCHEMA_PREFIX = "#/components/schemas/"
_NOT_YET = frozenset({"attach", "exec", "portforward", "proxy", "ephemeralcontainers", "resize"})
"""Subresources of the real server that ours does not serve."""
_OWN_FIELDS = frozenset({"status", "scale"})
"""Subresources that `Resource` tells by fields of their own."""


@lru_cache(maxsize=1)
def definitions() -> dict[str, Obj]:
    """Component schemas by full name (`io.k8s.api.core.v1.Pod`), as `$ref`s and the OpenAPI documents name them. Shared: never mutate."""
    found: dict[str, Obj] = codec.decode((_DATA / "schemas.json").read_bytes())
    return found


@lru_cache(maxsize=1)
def resources() -> dict[str, Any]:
    """Discovery facts by `group/version/plural`."""
    found: dict[str, Any] = codec.decode((_DATA / "resources.json").read_bytes())
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
    storage: tuple[str, str] | None = None,
) -> Resource:
    """The `Resource` of a kind in the data files, with the given rules. Raises `KeyError` for a kind that is not there."""
    facts = resources()[identity]
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
        subresources=tuple(sorted(facts["subresources"].keys() - _NOT_YET - _OWN_FIELDS)),
        schema=schema_ref(facts["schema"]),
        columns=tuple(Column(*c) for c in facts["columns"]),
        selectable=selectable or {},
        prepare=prepare,
        default=default,
        validate=validate,
        warn=warn,
        sign=sign,
        parts=parts or {},
        row=row,
        unconditional_update=unconditional_update,
        graceful=graceful,
        keeps_dependents=keeps_dependents,
        storage=storage,
    )
