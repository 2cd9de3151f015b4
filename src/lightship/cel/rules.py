"""Rules of custom kinds (x-kubernetes-validations): which schemas have them, what they say of objects, what is wrong with them.

The door of this room for servers: light, because most kinds have no rules. Parser, libraries and all else are loaded with the first object
that meets a rule, or the first definition that has one. Called by `apiserver.served` and `kinds.extensions.rules`.
Contract: apiextensions-apiserver pkg/apiserver/schema/cel, pkg/apis/apiextensions/validation.
"""

from importlib import import_module
from typing import Any

from lightship.meta.errors import Cause
from lightship.meta.objects import Obj

WORD = "x-kubernetes-validations"


class Dear(Exception):  # noqa: N818  a request for more time
    """The rules cost more than a short check may."""


class Rules:
    """All rules of one schema. Safe to share."""

    def __init__(self, schema: Obj) -> None:
        self._schema = schema
        self._checker: Any = None

    @classmethod
    def of(cls, schema: Obj) -> "Rules | None":
        """The rules of a structural schema of whole objects; None when it has none."""
        return cls(schema) if has_rules(schema) else None

    def check(self, new: Obj, old: Obj | None = None, warnings: list[str] | None = None, *, short: bool = False) -> list[Cause]:
        """What the rules say against `new`, which was `old` before an update. What is tolerated goes to `warnings`.

        With `short`, raises `Dear` when that is more than can be told at once (about a tenth of a second), having told nothing.
        Costs at most 10,000,000 of CEL's units for an object and 1,000,000 for a rule and value; beyond that it says so and stops.
        """
        if self._checker is None:
            self._checker = import_module("lightship.cel.rule_checks").Checker(self._schema)
        told: list[str] = []
        causes: list[Cause] = self._checker.check(new, old, told, short=short)
        if told and warnings is not None:
            warnings += told
        return causes


def has_rules(schema: Any) -> bool:
    """Are there rules anywhere in a schema, not counting those inside of allOf and its like?"""
    if not isinstance(schema, dict):
        return False
    if schema.get(WORD) or has_rules(schema.get("items")) or has_rules(schema.get("additionalProperties")):
        return True
    return any(map(has_rules, (schema.get("properties") or {}).values()))


def problems(schema: Obj, path: str, *, unchanged: bool = False) -> list[Cause]:
    """What is wrong with the rules of a schema that is right otherwise; `path` ends in `openAPIV3Schema`.

    `unchanged`: the schema is stored already just so, so that what single rules cost is not judged again.
    """
    if not has_rules(schema):
        return []
    causes: list[Cause] = import_module("lightship.cel.rule_problems").problems(schema, path, unchanged=unchanged)
    return causes
