"""Every built-in kind against what kube-apiserver 1.36.3 said to the same objects, recorded in `cases/`.

A case is an object, and what the real server answered: `refused` (causes) or `stored` (the object without metadata). Where ours differs
knowingly (no addresses allocated, JSON instead of Go structs in texts, …) the case says so under `ours`.
"""

import json
from pathlib import Path

import pytest

from lightship import kinds
from lightship.meta.objects import Obj

from .judge import judge

_CASES = Path(__file__).parent / "cases"
_RESOURCES = {f"{r.api_version}/{r.plural}".replace("/", "_").replace(".k8s.io", ""): r for r in kinds.BUILTIN}
_SERVER_SET = ("apiVersion", "kind", "metadata")


def _load() -> list[tuple[str, int, Obj]]:
    return [(path.stem, i, case) for path in sorted(_CASES.glob("*.json")) for i, case in enumerate(json.loads(path.read_text()))]


@pytest.mark.parametrize(("name", "case"), [pytest.param(n, c, id=f"{n}-{i}") for n, i, c in _load()])
def test_as_the_real_server(name: str, case: Obj) -> None:
    verdict = judge(_RESOURCES[name], case["object"])
    want = case.get("ours") or case
    if "refused" in want:
        assert sorted(verdict.refused) == sorted(want["refused"])
    else:
        assert verdict.refused == []
        assert {k: v for k, v in verdict.stored.items() if k not in _SERVER_SET} == want["stored"]


def test_cases_are_of_kinds_that_are_served() -> None:
    assert {name for name, _, _ in _load()} <= set(_RESOURCES)


def test_most_cases_are_the_same() -> None:
    """So that `ours` stays an exception and cannot become the habit."""
    cases = [case for _, _, case in _load()]
    assert sum("ours" in case for case in cases) < len(cases) / 6
