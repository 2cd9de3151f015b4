"""Odd objects of every built-in kind, drawn from a seed: recorded ones, changed at random as the schemas allow, and as they do not.

A recorded object (tests/kinds/cases) is near to what people write, and the values of its fields are near to the limits of the rules. A
draw takes one, puts fields and items into it that others of its kind have, or that the schema knows, takes some out, and sometimes puts
in what nobody should. The same seed draws the same steps.
"""

import functools
import json
import random
import re
from pathlib import Path
from typing import Any

from lightship import kinds
from lightship.meta import schema
from lightship.meta.objects import Obj, copy
from lightship.meta.resources import Resource
from lightship.meta.schema import Node

from .steps import Step, delete, patch, post, put

CASES = Path(__file__).resolve().parent.parent / "kinds" / "cases"
_STRINGS = ("", "a", "A_", "a b", "a.b", "a/b", "None", "x" * 64, "x" * 254, "1-0", "é", "10.0.0.1", "*", "/a", "../a", "http://a", "a=b")
_NUMBERS = (0, 1, -1, 2, 80, 100, 101, 65535, 65536, 2**31 - 1)
_QUANTITIES = ("1", "500m", "-1", "1Gi", 2, "0", "0.5", "1e3", "x")
_TIMES = ("2026-01-01T00:00:00Z", "2026-01-01T00:00:00.000000Z", "2026", "")
_ENTRIES = ("a", "b", "A b", "", "a/b", "kubernetes.io/a", "cpu", "memory", "x" * 64)
_WRONG: tuple[Any, ...] = ("a", 1, True, [], {}, 1.5)
_METADATA = ("labels", "annotations", "finalizers", "ownerReferences", "generateName")
_LIVE = frozenset({"admissionregistration.k8s.io", "apiregistration.k8s.io", "flowcontrol.apiserver.k8s.io"})
"""Groups whose objects change what the server does with others, or are changed by it: only ever written without effect."""
_TRIED = frozenset({"ServiceCIDR"})
_NAMED = ("IPAddress", "APIService")
"""Kinds whose names say what is in them."""
_UNKNOWN = "oddity"
_ALLOCATED = r"\b10\.96\.\d+\.\d+\b"
"""Addresses of Services, which come from another range on each server."""
_DEEPEST = 9


def draw(resource: Resource, seed: int) -> list[Step]:
    """The life of an odd object: its creation, changes of it and of its status, its end."""
    drawn = _Draw(resource, random.Random(f"{resource.plural}.{resource.api_version}.{seed}"))
    return [step._replace(body=_compact(step.body)) for step in drawn.steps(f"o{seed}")]


def _compact(body: Any) -> str | None:
    """As Go writes it: some kinds keep a part of what they are sent letter by letter."""
    return None if body is None else json.dumps(body, separators=(",", ":"), ensure_ascii=False)


@functools.cache
def _recorded(resource: Resource) -> tuple[list[Obj], list[Obj]]:
    """Objects of a kind that were taken, and those that were refused."""
    group = resource.group.removesuffix(".k8s.io")
    path = CASES / f"{group + '_' if group else ''}{resource.version}_{resource.plural}.json"
    cases = json.loads(re.sub(_ALLOCATED, "None", path.read_text())) if path.exists() else []
    taken = [_full(case["object"]) for case in cases if "stored" in case and "old" not in case]
    taken += [_full(case["old"]) for case in cases if "old" in case]
    refused = [_full(case["object"]) for case in cases if "refused" in case and "old" not in case]
    return taken or [{"spec": {}}], refused


def _full(value: Any) -> Any:
    """Without empty lists: the real server knows them from missing ones for as long as a request takes."""
    if isinstance(value, dict):
        return {key: _full(part) for key, part in value.items() if part != []}
    return [_full(part) for part in value] if isinstance(value, list) else value


@functools.cache
def _seen(resource: Resource) -> dict[str, list[Any]]:
    """What fields of a name hold in all recorded objects of a kind."""
    found: dict[str, dict[str, Any]] = {}

    def look(value: Any) -> None:
        if isinstance(value, dict):
            for key, part in value.items():
                found.setdefault(key, {})[json.dumps(part, sort_keys=True)] = part
                look(part)
        elif isinstance(value, list):
            for part in value:
                look(part)

    for obj in [*_recorded(resource)[0], *_recorded(resource)[1]]:
        look({key: part for key, part in obj.items() if key != "metadata"})
    return {key: list(values.values()) for key, values in found.items()}


@functools.cache
def _node(resource: Resource) -> Node:
    assert resource.schema is not None
    return schema.compile(resource.schema, kinds.definitions()).node


def _fits(node: Node, value: Any) -> bool:
    if node.special:
        return isinstance(value, str | int | float)
    wanted = {"object": dict, "array": list, "string": str, "integer": int, "number": int, "boolean": bool}.get(node.type)
    return wanted is None or (isinstance(value, wanted) and (wanted is bool or not isinstance(value, bool)))


class _Draw:
    def __init__(self, resource: Resource, chance: random.Random) -> None:
        self.resource = resource
        self.chance = chance
        self.seen = _seen(resource)
        self.node = _node(resource)

    def steps(self, name: str) -> list[Step]:
        resource, chance = self.resource, self.chance
        path = f"{resource.plural}.{resource.version}.{resource.group}" if resource.group else resource.plural
        taken, refused = _recorded(resource)
        obj = copy(chance.choice(refused if refused and chance.random() < 0.2 else taken))
        obj.pop("status", None)
        named = resource.kind in _NAMED
        metadata = obj.get("metadata") if isinstance(obj.get("metadata"), dict) else {}
        if not named or not metadata.get("name"):
            obj["metadata"] = {**metadata, "name": name}
        obj["metadata"].pop("namespace", None)
        name = obj["metadata"]["name"]
        obj["apiVersion"], obj["kind"] = resource.api_version, resource.kind
        first = self.mutated(obj, chance.choice((0, 1, 1, 2, 2, 3, 4)))
        if resource.group in _LIVE or resource.kind in _TRIED:
            return [post(f"{path}?dryRun=All", first)]
        found = [post(path, first)]
        found += [self.change(f"{path}/{name}", first) for _ in range(chance.choice((0, 1, 2)))]
        if resource.status and chance.random() < 0.4:
            found.append(self.change_status(f"{path}/{name}"))
        return [*found, patch(f"{path}/{name}", {"metadata": {"finalizers": None}}), delete(f"{path}/{name}?gracePeriodSeconds=0")]

    def change(self, path: str, first: Obj) -> Step:
        new = self.mutated(first, self.chance.choice((1, 1, 2)))
        if self.chance.random() < 0.3 and self.resource.unconditional_update:
            return put(path, new)
        return patch(path, _between(first, new))

    def change_status(self, path: str) -> Step:
        field = self.node.field("status")
        assert field is not None
        return patch(f"{path}/status", {"status": self.value(field, "status", 1)})

    def mutated(self, obj: Obj, times: int) -> Obj:
        obj = copy(obj)
        for _ in range(times):
            fields = [name for name in self.node.properties if name not in ("apiVersion", "kind", "metadata", "status")]
            if fields and self.chance.random() < 0.95:
                self.within(obj, self.node, fields, 0)
            else:
                metadata = self.node.field("metadata")
                assert metadata is not None
                fields = [name for name in _METADATA if name != "generateName" or self.resource.kind not in _NAMED]
                self.within(obj["metadata"], metadata, fields, 1)
        return obj

    def within(self, obj: Obj, node: Node, fields: list[str], depth: int) -> None:
        """Change something inside an object."""
        chance = self.chance
        present = [name for name in obj if name in fields]
        name = chance.choice(present) if present and chance.random() < (0.95 if depth < 2 else 0.6) else chance.choice(fields)
        field = node.field(name)
        if field is None:
            return
        luck = chance.random()
        if name not in obj:
            obj[name] = self.value(field, name, depth)
        elif isinstance(obj[name], dict) and field.properties and luck < 0.93:
            self.within(obj[name], field, list(field.properties), depth + 1)
        elif isinstance(obj[name], list) and field.items is not None and luck < 0.9:
            self.within_list(obj[name], field.items, name, depth)
        elif luck < 0.96:
            obj[name] = self.value(field, name, depth)
        elif luck < 0.985:
            del obj[name]
        elif luck < 0.995:
            obj[_UNKNOWN] = 1
        else:
            obj[name] = chance.choice(_WRONG)

    def within_list(self, items: list[Any], node: Node, name: str, depth: int) -> None:
        chance = self.chance
        luck = chance.random()
        if not items or luck < 0.1:
            items.append(self.value(node, name, depth))
        elif luck < 0.2:
            items.append(copy(chance.choice(items)))
        elif luck < 0.28 and len(items) > 1:
            items.pop(chance.randrange(len(items)))
        else:
            i = chance.randrange(len(items))
            if isinstance(items[i], dict) and node.properties:
                self.within(items[i], node, list(node.properties), depth + 1)
            else:
                items[i] = self.value(node, name, depth)

    def value(self, node: Node, name: str, depth: int) -> Any:
        """For a field of that name: what others of its name have, or something that the schema allows."""
        chance = self.chance
        known = [part for part in self.seen.get(name, ()) if _fits(node, part) and part not in ({}, [])]
        if known and chance.random() < 0.55:
            return copy(chance.choice(known))
        if node.special:
            return chance.choice({"quantity": _QUANTITIES, "time": _TIMES, "int-or-string": (*_STRINGS, *_NUMBERS)}[node.special])
        if node.type == "object" or node.properties:
            return self.object(node, name, depth)
        if node.type == "array" and node.items is not None:
            return [self.value(node.items, name, depth + 1) for _ in range(chance.choice((1, 1, 2)))]
        return self.scalar(node)

    def object(self, node: Node, name: str, depth: int) -> Obj:
        chance = self.chance
        if node.additional is not None:
            return {key: self.value(node.additional, name, depth + 1) for key in chance.sample(_ENTRIES, k=chance.choice((1, 1, 2)))}
        if depth > _DEEPEST:
            return {}
        chosen = {field for field in node.properties if chance.random() < min(0.4, 4 / len(node.properties))}
        chosen |= {field for field in node.required if chance.random() < 0.9}
        return {key: self.value(field, key, depth + 1) for key in sorted(chosen) if (field := node.field(key)) is not None}

    def scalar(self, node: Node) -> Any:
        chance = self.chance
        if node.raw.get("enum") and chance.random() < 0.8:
            return chance.choice(node.raw["enum"])
        if node.raw.get("format") == "byte":
            return chance.choice(("", "Yg==", "e30=", "x"))
        choices: dict[str, Any] = {"integer": _NUMBERS, "number": _NUMBERS, "boolean": (True, False)}
        return chance.choice(choices.get(node.type, _STRINGS))


def _between(old: Any, new: Any) -> Any:
    """The merge patch that makes one of the other."""
    if not isinstance(old, dict) or not isinstance(new, dict):
        return new
    found = {key: _between(old.get(key), part) for key, part in new.items() if key not in old or old[key] != part}
    return found | dict.fromkeys(key for key in old if key not in new)
