"""Every scenario on a real kube-apiserver and on ours: the same steps in a fresh namespace must get the same answers."""

from collections import Counter
from typing import Any

import pytest

from lightship.meta import codec
from tests import oracle

from . import servers
from .answers import Answer, Normaliser, differences
from .known import KNOWN
from .scenarios import ALL
from .servers import Client
from .steps import Scenario, Step, filled, located, post, written

pytestmark = oracle.marks
TRIES = 24
"""A refusal whose causes come from a map is told in another order nearly every time."""


class Play:
    """One server, one scenario: what it kept, and how its answers are shown."""

    def __init__(self, client: Client, namespace: str) -> None:
        self._client = client
        self._namespace = namespace
        self._kept: dict[str, Any] = {}
        self._normaliser = Normaliser()
        for step in (post("namespaces", {"metadata": {"name": "$ns"}}), post("serviceaccounts", {"metadata": {"name": "default"}})):
            assert self.ask(step).code == 201

    def ask(self, step: Step) -> Answer:
        path = filled(located(step.path, self._namespace), self._kept)
        body = written(step.body, self._namespace, self._kept)
        if step.until:
            answer = self._client.wait(step.until, step.method, path, body, step.headers)
            assert answer.code == step.until, f"{step}: {answer}"
        else:
            answer = self._client.ask(step.method, path, body, step.headers, step.lines)
        if step.keep:
            self._kept[step.keep] = codec.decode(answer.body)
        return answer

    def shown(self, step: Step) -> Any:
        return self._normaliser.shown(self.ask(step))

    def close(self) -> None:
        self._client.close()


_TRIED: Counter[str] = Counter()


@pytest.mark.parametrize("scenario", ALL, ids=lambda scenario: scenario.name)
def test_same_answers(scenario: Scenario) -> None:
    _TRIED[scenario.name] += 1
    namespace = scenario.name + ("-again" if _TRIED[scenario.name] > 1 else "")
    real, ours = Play(servers.real(), namespace), Play(servers.ours(), namespace)
    used = set()
    told = []
    for i, step in enumerate(scenario.steps):
        theirs, own = real.shown(step), ours.shown(step)
        found = [] if _is_fickle(real, step, theirs, own) else list(differences(theirs, own))
        for difference in tuple(found):
            covering = [line for line in KNOWN if line.covers(scenario.name, step, difference)]
            used.update(covering)
            if covering:
                found.remove(difference)
        if found:
            told.append("\n".join([f"  step {i}: {step} {str(step.body)[:200]}", *map(str, found)]))
    real.close()
    ours.close()
    told += [f"  no longer differs, strike it out: {line}" for line in KNOWN if line.scenario == scenario.name and line not in used]
    if told:
        pytest.fail("\n".join([f"{scenario.name}:", *told]), pytrace=False)


def _is_fickle(real: Play, step: Step, first: Any, ours: Any) -> bool:
    """Are both the same refusal but for the order of its causes, and is that of the real server ours, or another, when asked again?"""
    if first == ours or _unordered(first) is None or _unordered(first) != _unordered(ours):
        return False
    again = [real.shown(step) for _ in range(TRIES)]
    return any(shown != first and _unordered(shown) == _unordered(first) for shown in again)


def _unordered(answer: Any) -> Any:
    """A refusal with its causes in an order of our own; None for what is none with several."""
    details = answer["body"].get("details") if answer["code"] == 422 and isinstance(answer["body"], dict) else None
    causes = (details or {}).get("causes") or ()
    return {**answer, "body": sorted(causes, key=str)} if len(causes) > 1 else None
