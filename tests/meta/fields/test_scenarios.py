"""What structured-merge-diff publishes of updates and applies by several managers, played through ours."""

from typing import Any

import pytest

from lightship.meta.fields import application, checking, ownership, sets
from lightship.meta.fields.application import Conflicts
from lightship.meta.fields.comparing import compare
from lightship.meta.fields.filters import Filter
from lightship.meta.fields.ownership import APPLY, UPDATE, Manager
from lightship.meta.fields.types import Type
from lightship.meta.objects import Obj

from .published import load, schema

CASES = load("scenarios")["cases"]


class Versions:
    """Types by version; converting changes nothing, as in the published tests."""

    def __init__(self, types: Any) -> None:
        self.types = {version: _type(given) for version, given in types.items()}

    changing = True

    def type_of(self, api_version: str) -> Type | None:
        return self.types.get(api_version)

    def convert(self, obj: Obj, api_version: str) -> Obj | None:
        return obj


def _type(given: Any) -> Type:
    return schema("scenarios", given["schema"]).of(given["type"])


class Play:
    def __init__(self, case: Any) -> None:
        self.live: Any = {}
        self.entries: list[Obj] = []
        self.versions = Versions(case["types"])
        self.keep: Filter | None = None
        if case.get("ignored"):
            ignored = sets.all_of(case["ignored"].values())
            self.keep = lambda fields: sets.recursive_difference(fields, ignored)

    def all(self, steps: list[Any]) -> None:
        for step in steps:
            self.step(step)

    def step(self, step: Any) -> None:
        if step["op"] == "types":
            self.versions = Versions(step["types"])
            return
        version, config = step["version"], step["object"] or {}
        type = self.versions.types[version]
        if step["op"] == "update":
            self._update(version, type, config, step["manager"])
            return
        assert checking.check(type, config) == []
        who = Manager(step["manager"], APPLY, version)
        try:
            found = application.apply(self.live, config, self.entries, who, self.versions, self.keep, time="", force=step["op"] == "force")
        except Conflicts as conflicts:
            got = sorted((c.entry["manager"], str(sets.of(c.path))) for c in conflicts.found)
            assert got == sorted((manager, str(path)) for manager, path in step.get("conflicts") or ())
            return
        assert not step.get("conflicts")
        self.live = self.live if found.obj is None else found.obj
        self.entries = found.entries

    def _update(self, version: str, type: Type, new: Any, manager: str) -> None:
        entries = application.reconciled(self.live, self.entries, self.versions)
        changes: Any = application.comparisons(self.live, new, entries, version, self.versions, self.keep)
        assert changes[version] == compare(type, self.live, new).kept_by(self.keep)
        self.entries = list(ownership.updated(entries, Manager(manager, UPDATE, version), changes, ""))
        self.live = new


def _one_way_each(case: Any) -> bool:
    """Where managers are told apart by name alone, as there, each must write in one way only to mean the same here."""
    ways: dict[str, set[str]] = {}
    for step in case["ops"]:
        if step["op"] != "types":
            way = "update " + step["version"] if step["op"] == "update" else "apply"
            ways.setdefault(step["manager"], set()).add(way)
    return all(len(found) == 1 for found in ways.values())


@pytest.mark.parametrize(
    "case",
    [pytest.param(case, id=f"{case['name']}-{i}") for i, case in enumerate(CASES) if _one_way_each(case)],
)
def test_scenario(case: Any) -> None:
    play = Play(case)
    if case["fails"]:
        with pytest.raises((AssertionError, ValueError)):
            play.all(case["ops"])
        return
    play.all(case["ops"])
    if "object" in case:
        assert play.live == (case["object"] or {})
    if "managed" in case:
        want = {name: (each["version"], each["set"]) for name, each in case["managed"].items() if each["set"]}
        assert {entry["manager"]: (entry["apiVersion"], entry["fieldsV1"]) for entry in play.entries} == want


def test_enough_scenarios_are_played() -> None:
    assert sum(map(_one_way_each, CASES)) >= 80
