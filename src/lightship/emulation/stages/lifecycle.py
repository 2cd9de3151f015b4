"""The Stages of one kind together: which of those that match an object is entered, by weight and chance. Pure.

Contract: kwok 0.8.0, pkg/utils/lifecycle: weights count where they can be had; where all are 0, or none
can be had, each has the same chance.
"""

from collections.abc import Iterable, Sequence
from random import Random
from typing import NamedTuple

from lightship.emulation.play import Due, StageError
from lightship.emulation.stages.stage import Compiled
from lightship.meta import objects
from lightship.meta.objects import Obj


class Lifecycle:
    """The `play.Rules` that Stages make."""

    def __init__(self, stages: Sequence[Compiled]) -> None:
        self.stages = tuple(stages)

    def step(self, obj: Obj, now: float, random: Random) -> Due | None:
        """What comes next. Raises `StageError`."""
        chosen = choose(self.possible(obj, now), obj, now, random)
        return None if chosen is None else Due(chosen, chosen.delay(obj, now, random))

    def possible(self, obj: Obj, now: float) -> list[Compiled]:
        """Those that match an object. Raises `StageError`."""
        return [stage for stage in self.stages if stage.matches(obj, now)]


def choose(matching: Sequence[Compiled], obj: Obj, now: float, random: Random) -> Compiled | None:
    """One of those that match."""
    if len(matching) < 2:
        return matching[0] if matching else None
    candidates = weighed(matching, obj, now)
    total = sum(weight for _, weight in candidates)
    if not total:
        return candidates[random.randrange(len(candidates))][0]
    left = random.random() * total
    for stage, weight in candidates:
        left -= weight
        if left < 0:
            return stage
    return candidates[-1][0]


def weighed(matching: Sequence[Compiled], obj: Obj, now: float) -> list[tuple[Compiled, float]]:
    """Those that can be entered at all, with their weights."""
    weights = [(stage, stage.weight(obj, now)) for stage in matching]
    known = [(stage, weight) for stage, weight in weights if weight is not None]
    if not known:
        return [(stage, 0.0) for stage in matching]
    heavy = [(stage, weight) for stage, weight in known if weight > 0]
    return heavy or known


class Compiling(NamedTuple):
    """Stages by the kind that they are for, and what was wrong with others, by name."""

    of_kind: dict[tuple[str, str], Lifecycle]
    problems: dict[str, str]


def compiled(stages: Iterable[Obj], random: Random) -> Compiling:
    """Compile all that can be used, in the order of their names as kwok has them from the cluster."""
    found: dict[tuple[str, str], list[Compiled]] = {}
    problems: dict[str, str] = {}
    for stage in stages:
        try:
            made = Compiled(stage, random)
        except StageError as error:
            problems[objects.name(stage)] = str(error)
        else:
            found.setdefault((made.api_version, made.kind), []).append(made)
    return Compiling({kind: Lifecycle(listed) for kind, listed in found.items()}, problems)
