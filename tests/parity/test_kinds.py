"""Odd objects of every built-in kind: both servers must take and refuse the same ones, for the same reasons, and store the same.

Told apart are neither the order of causes, which depends on maps in the real server, nor values that messages show as whole Go structs.
"""

import re
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

from lightship import kinds
from lightship.meta.resources import Resource
from tests import oracle

from . import oddities, servers
from .answers import Difference, differences
from .known import KNOWN
from .steps import Step
from .test_parity import Play

pytestmark = oracle.marks
ROUNDS = 10
"""Lives of objects of each kind."""
_ELSEWHERE = frozenset({"bindings", "componentstatuses", "customresourcedefinitions", "namespaces"})
_ALL = [r for r in kinds.BUILTIN if {"create", "delete"} <= set(r.verbs) and r.schema and r.plural not in _ELSEWHERE]
_STRUCT = re.compile(r"(Invalid value|Duplicate value|Unsupported value): (?:[\[{].*[\]}]|null|\"\{.*\}\")(?=: |$)", re.DOTALL)
_SHOWN = (
    (_STRUCT, r"\1: VALUE"),
    (re.compile(r"\n.*", re.DOTALL), ""),
    (re.compile(r"asn1: .*"), "asn1"),
    (re.compile(r"Duplicate value: 3\d{4}"), "Duplicate value: PORT"),
)
_PATCHED = re.compile(r'^Invalid value: (?:VALUE|"[^"]*"): ')
"""Where a patch makes something undecodable, the real server shows all of it."""
_HEADERS = ("header.x-kubernetes-pf-flowschema-uid", "header.x-kubernetes-pf-prioritylevel-uid")


@pytest.mark.parametrize("resource", _ALL, ids=repr)
def test_odd_objects(resource: Resource) -> None:
    plays = [Play(server(), f"odd-{_ALL.index(resource)}") for server in (servers.real, servers.ours)]
    told = [text for seed in range(ROUNDS) for text in _lived(plays, resource, seed)]
    for play in plays:
        play.close()
    if told:
        pytest.fail("\n".join(told), pytrace=False)


def _lived(plays: list[Play], resource: Resource, seed: int) -> Iterator[str]:
    """What differs first in the life of one object; it ends on both servers."""
    steps = oddities.draw(resource, seed)
    for i, step in enumerate([*steps[:-2], *steps[-1:]] if len(steps) > 2 else steps):
        if step is steps[-1]:
            _free(plays, steps)
        real, ours = (play.shown(step) for play in plays)
        found = [d for d in _differing(step, real, ours) if not any(line.covers("", step, d) for line in KNOWN)]
        if found:
            yield "\n".join([f"seed {seed}: {step} {str(step.body)[:1000]}", *map(str, found)])
        if found or (i == 0 and real["code"] >= 400):
            break
    _free(plays, steps)
    for play in plays:
        play.ask(steps[-1])


def _free(plays: list[Play], steps: list[Step]) -> None:
    """Let nothing keep an object from its end."""
    for play in plays:
        if len(steps) > 1:
            play.ask(steps[-2])


def _differing(step: Step, real: Any, ours: Any) -> Iterator[Difference]:
    if real["code"] == ours["code"] == 422:
        causes = Counter(_causes(real)), Counter(_causes(ours))
        if causes[0] != causes[1]:
            yield Difference("causes", sorted((causes[0] - causes[1]).elements()), sorted((causes[1] - causes[0]).elements()))
        return
    yield from (d for d in differences(real, ours) if d.at not in _HEADERS and not _is_no_time(d))


def _is_no_time(difference: Difference) -> bool:
    """Times that nobody set are null there, and left out here."""
    return difference.real is None and difference.ours == "ABSENT" and difference.at.endswith(("Time", "At"))


def _causes(answer: Any) -> Iterator[str]:
    for cause in (answer["body"].get("details") or {}).get("causes") or ():
        message = cause["message"]
        for pattern, instead in _SHOWN:
            message = pattern.sub(instead, message)
        if cause["field"] == "patch":
            message = _PATCHED.sub("", message)
        yield f"{cause['field']}: {message}"
