"""Every built-in kind against what kube-apiserver 1.36.3 said to the same objects, recorded in `cases/`.

A case is an object, and what the real server answered: `refused` (causes) or `stored` (the object without metadata). With `old` it is an
update of that (of its `part`, such as status). A whole server of ours has to answer the same. Where ours differs
knowingly (no addresses allocated, JSON instead of Go structs in texts, …) the case says so under `ours`.
"""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from lightship import kinds
from lightship.meta.objects import Obj
from lightship.meta.resources import Resource

from .changes import answer
from .judge import judge

_CASES = Path(__file__).parent / "cases"
_RESOURCES = {f"{r.api_version}/{r.plural}".replace("/", "_").replace(".k8s.io", ""): r for r in kinds.BUILTIN}
_ALONE = ("v1_pods",)
"""Kinds of which admission decides much: their own rules are asked without a server."""
_HIDDEN = "{…}"
_VALUE = re.compile(r"(value: )[\[{].*[\]}](?=: |$)", re.DOTALL)
_SERVER_SET = ("apiVersion", "kind", "metadata")


def _load() -> list[tuple[str, int, Obj]]:
    return [(path.stem, i, case) for path in sorted(_CASES.glob("*.json")) for i, case in enumerate(json.loads(path.read_text()))]


@pytest.mark.parametrize(("name", "case"), [pytest.param(n, c, id=f"{n}-{i}") for n, i, c in _load()])
def test_as_the_real_server(name: str, case: Obj) -> None:
    want = case.get("ours") or case
    resource = _RESOURCES[name]
    found = judged(resource, case["object"]) if name in _ALONE and "old" not in case else answer(resource, case)
    refused = sorted(want.get("refused", ()))
    hidden = any(_HIDDEN in text for text in refused)
    assert sorted(without_values(found.get("refused", ())) if hidden else found.get("refused", ())) == refused
    assert without_nulls(found.get("stored")) == without_nulls(want.get("stored"))
    assert found.get("generation") == want.get("generation")


def judged(resource: Resource, obj: Obj) -> Obj:
    """What the rules of a kind make of an object without a server."""
    verdict = judge(resource, obj)
    return (
        {"refused": verdict.refused} if verdict.refused else {"stored": {k: v for k, v in verdict.stored.items() if k not in _SERVER_SET}}
    )


def without_values(texts: list[str]) -> list[str]:
    """The real server prints some values by the names of Go's fields, which are recorded as {…}."""
    return [_VALUE.sub(rf"\1{_HIDDEN}", text) for text in texts]


def without_nulls(value: Any) -> Any:
    """Go shows times that nobody set as null; we leave them out."""
    if isinstance(value, dict):
        return {k: without_nulls(v) for k, v in value.items() if v is not None}
    return [without_nulls(v) for v in value] if isinstance(value, list) else value


def test_every_kind_that_is_stored_has_cases() -> None:
    assert {name for name, _, _ in _load()} == set(_RESOURCES) - {"v1_bindings", "v1_componentstatuses"}


def test_most_cases_are_the_same() -> None:
    """So that `ours` stays an exception and cannot become the habit."""
    cases = [case for _, _, case in _load()]
    assert sum("ours" in case for case in cases) < len(cases) / 6
