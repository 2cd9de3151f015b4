"""Whatever the weather, nothing is made or counted twice, and in the end all is as after fine weather.

A few seeds of each play in each mode; `LIGHTSHIP_STORMS=200` plays as many of each.
"""

import functools
import os

import pytest

from tests.storms.plays import PLAYS
from tests.storms.town import Ending, Mode, run

pytestmark = pytest.mark.slow
SEEDS = int(os.environ.get("LIGHTSHIP_STORMS") or 2)
FEW = 60
"""Writes that nobody minds."""
MANY = 40
"""As many writes as in fine weather times this are no hot loop."""


@functools.cache
def fine(name: str) -> Ending:
    """How a play ends in fine weather."""
    return run(PLAYS[name], seed=None)


@pytest.mark.parametrize("seed", range(SEEDS))
@pytest.mark.parametrize("mode", list(Mode))
@pytest.mark.parametrize("name", PLAYS)
def test_nothing_twice(name: str, mode: Mode, seed: int) -> None:
    wanted = fine(name)
    assert wanted.wrong == []
    found = run(PLAYS[name], seed=seed * len(Mode) + list(Mode).index(mode) + 1, mode=mode)
    assert found.wrong == []
    assert found.picture == wanted.picture
    assert found.writes <= FEW + MANY * wanted.writes
