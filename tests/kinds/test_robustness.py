"""Rules never crash: any object of the right types, however incomplete or odd, is stored or refused, and shown.

Objects are drawn from the schemas themselves: every field may be missing, null, empty or strange.
"""

import random
from typing import Any

import pytest

from lightship import kinds
from lightship.meta.objects import Obj
from lightship.meta.resources import Resource
from lightship.meta.schema import Node

from .judge import compiled, judge

_STRINGS = ("", "a", "A_", "a b", "Always", "Never", "Indexed", "1Gi", "None", "x" * 300, "1-0", "é", "10.0.0.1")
_NUMBERS = (0, 1, -1, 80, 2**31 - 1, 70000)
_QUANTITIES = ("1", "500m", "-1", "1Gi", 2, 0.5, "0")
_TIMES = ("2026-01-01T00:00:00Z", "2026-01-01T00:00:00.000000Z")
_NOW = 1_800_000_000.0
_ROUNDS = 60


class _Draw:
    """Random values for nodes; the deeper, the sparser."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)

    def value(self, node: Node, depth: int = 0) -> Any:
        if self.random.random() < 0.04:
            return None
        if node.special:
            return self.random.choice({"quantity": _QUANTITIES, "time": _TIMES, "int-or-string": (*_STRINGS, *_NUMBERS)}[node.special])
        if node.type == "object" or node.properties:
            return self.object(node, depth)
        if node.type == "array" and node.items is not None:
            return [self.value(node.items, depth + 1) for _ in range(self.random.choice((0, 1, 2)))]
        return self.scalar(node)

    def scalar(self, node: Node) -> Any:
        if node.raw.get("enum") and self.random.random() < 0.8:
            return self.random.choice(node.raw["enum"])
        if node.raw.get("format") == "byte":
            return self.random.choice(("", "Yg==", "e30="))
        choices: dict[str, Any] = {"integer": _NUMBERS, "number": _NUMBERS, "boolean": (True, False)}
        return self.random.choice(choices.get(node.type, _STRINGS))

    def object(self, node: Node, depth: int) -> Obj:
        if node.additional is not None:
            return {
                key: self.value(node.additional, depth + 1)
                for key in self.random.sample(("cpu", "a", "A b", ""), k=self.random.choice((0, 1, 2)))
            }
        names = list(node.properties)
        if depth > 8:
            return {}
        share = 0.9 if depth < 2 else 0.5 if depth < 4 else 0.25
        chosen = [name for name in names if self.random.random() < share]
        return {name: self.value(field, depth + 1) for name in chosen[:25] if (field := node.field(name)) is not None}


def _odd(resource: Resource, seed: int) -> Obj:
    obj = _Draw(seed).object(compiled(resource).node, 0)
    return {**obj, "metadata": {"name": "a"}, "apiVersion": resource.api_version, "kind": resource.kind}


@pytest.mark.slow
@pytest.mark.parametrize("resource", kinds.BUILTIN, ids=repr)
def test_no_object_of_the_right_types_breaks_the_rules(resource: Resource) -> None:
    assert resource.row is not None
    for seed in range(_ROUNDS):
        obj = _odd(resource, seed)
        verdict = judge(resource, obj)
        assert all(isinstance(text, str) for text in verdict.refused)
        again = judge(resource, _odd(resource, seed + 1), verdict.stored)
        assert all(isinstance(text, str) for text in again.refused)
        # What is shown went through the schema: the status too, on its own way.
        compiled(resource).default(obj)
        assert len(resource.row(obj, _NOW)) == len(resource.columns) + (resource is kinds.IP_ADDRESSES)


@pytest.mark.slow
@pytest.mark.parametrize("resource", kinds.BUILTIN, ids=repr)
def test_defaults_are_complete_after_one_round(resource: Resource) -> None:
    for seed in range(_ROUNDS // 3):
        first = judge(resource, _odd(resource, seed)).stored
        if not judge(resource, first, first).refused:
            assert judge(resource, first, first).stored == first
