"""A glance never lets pass what a closer look would refuse, prune or change differently; and what is common passes."""

import json
import random
from pathlib import Path
from typing import Any

import pytest

from lightship import kinds
from lightship.meta import schema
from lightship.meta.objects import Obj, copy
from lightship.meta.resources import Resource
from lightship.meta.schema import glance

_CASES = Path(__file__).parent.parent / "kinds" / "cases"
_ODD: tuple[Any, ...] = (
    None,
    {},
    [],
    "",
    "a",
    "Always",
    0,
    1,
    1.0,
    True,
    2**31,
    2**70,
    [None],
    [{}],
    {"a": None},
    {"a": {}},
    "500m",
    "2026-01-01T00:00:00Z",
)
_CHANGES = 60


def _cases(resource: Resource, *, refused: bool = True) -> list[Obj]:
    """The recorded objects of a kind; without those that the real server `refused`, when that is asked for."""
    name = resource.api_version.replace(".k8s.io", "").replace("/", "_") + f"_{resource.plural}.json"
    path = _CASES / name
    cases = json.loads(path.read_bytes()) if path.exists() else []
    return [case["object"] for case in cases if refused or ("refused" not in case and "old" not in case)]


def _compiled(resource: Resource) -> tuple[schema.Compiled, glance.Glance]:
    compiled = schema.compile(resource.schema or {}, kinds.definitions())
    return compiled, glance.prepare(compiled.node)


def _places(value: Any) -> list[tuple[Any, Any]]:
    """All (container, key) inside a value."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [place for key, item in items for place in [(value, key), *_places(item)]]


def _change(obj: Obj, draw: random.Random) -> None:
    container, key = draw.choice(_places(obj))
    way = draw.random()
    if way < 0.6:
        container[key] = copy(draw.choice(_ODD))
    elif way < 0.8:
        del container[key]
    elif isinstance(container, dict):
        container["surprise"] = copy(draw.choice(_ODD))


def _agree(compiled: schema.Compiled, looked: glance.Glance, obj: Obj) -> bool:
    """Does the object pass? If so, the closer look must find nothing, and end at the same object."""
    if not glance.fits(obj, looked.type):
        return False
    slow, quick = copy(obj), copy(obj)
    assert compiled.check(slow) == [], obj
    assert compiled.unknown(slow) == [], obj
    compiled.default(slow)
    if looked.complete is not None:
        looked.complete(quick)
    assert slow == quick
    return True


@pytest.mark.slow
@pytest.mark.parametrize("resource", kinds.BUILTIN, ids=repr)
def test_a_glance_agrees_with_a_closer_look(resource: Resource) -> None:
    compiled, looked = _compiled(resource)
    draw = random.Random(resource.plural)
    for obj in _cases(resource):
        _agree(compiled, looked, obj)
        for _ in range(_CHANGES):
            changed = copy(obj)
            _change(changed, draw)
            _agree(compiled, looked, changed)


@pytest.mark.parametrize(
    "resource",
    [r for r in kinds.BUILTIN if _cases(r) and r.plural not in ("customresourcedefinitions", "endpointslices", "storageclasses")],
    ids=repr,
)
def test_common_objects_pass(resource: Resource) -> None:
    compiled, looked = _compiled(resource)
    right = [obj for obj in _cases(resource, refused=False) if not compiled.check(obj) and not compiled.unknown(obj)]
    passed = sum(glance.fits(obj, looked.type) for obj in right)
    assert passed > len(right) * 0.4  # the cases are stranger than what clients send
