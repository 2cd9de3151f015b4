"""How an update of several roles goes on: the next numbers of groups of the old versions and of the new one, role by role.

Pure. Both sides follow a straight line, the old from what it was to nothing, the new from nothing to what is wanted, in as many steps as
the largest role needs; a step changes only one side. No role may have more groups than wanted and `surge`, nor fewer than wanted less
`unavailable`, and no old version may lose one role while it keeps another. Contract: planner of DisaggregatedSet, LeaderWorkerSet 0.9.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

Counts = list[int]
"""Groups of each role, in one order."""


class Limits(NamedTuple):
    surge: int = 1
    unavailable: int = 0


class Step(NamedTuple):
    old: Counts
    new: Counts


class _Update(NamedTuple):
    initial: Sequence[int]
    """The old versions when the update began."""
    old: Sequence[int]
    new: Sequence[int]
    wanted: Sequence[int]
    limits: Sequence[Limits]

    @property
    def roles(self) -> range:
        return range(len(self.wanted))


def next_step(
    initial: Sequence[int], old: Sequence[int], new: Sequence[int], wanted: Sequence[int], limits: Sequence[Limits]
) -> Step | None:
    """The next numbers; None where there is nothing to do, or nothing that may be done."""
    update = _Update(initial, old, new, wanted, limits)
    steps = total_steps(initial, wanted, limits)
    at_target = all(have >= want for have, want in zip(new, wanted, strict=True))
    if steps == 0 or (at_target and not any(old)):
        return None
    if any(have > had for have, had in zip(old, initial, strict=True)):
        return Step([min(pair) for pair in zip(initial, old, strict=True)], list(new))
    if at_target:
        return Step([0] * len(initial), list(new))
    grown = _grown(update, steps)
    if any(after > before for after, before in zip(grown, new, strict=True)) and _has_room(update, grown):
        return Step(list(old), grown)
    shrunk = _shrunk(update, steps)
    if any(after < before for after, before in zip(shrunk, old, strict=True)):
        return Step(shrunk, list(new))
    return _forced(update, grown)


def total_steps(initial: Sequence[int], wanted: Sequence[int], limits: Sequence[Limits]) -> int:
    """What the role that takes longest needs."""
    sizes = (limit.surge if limit.surge > 0 else max(1, limit.unavailable) for limit in limits)
    return max((-(-max(before, after, 0) // size) for before, after, size in zip(initial, wanted, sizes, strict=True)), default=0)


def _grown(update: _Update, steps: int) -> Counts:
    """The new version one step further than its slowest role."""
    slowest = min(
        (int(have * steps / want) if want else steps for have, want in zip(update.new, update.wanted, strict=True)), default=steps
    )
    step = min(slowest, steps) + 1
    found = []
    for have, want in zip(update.new, update.wanted, strict=True):
        found.append(max(min(math.ceil(step * want / steps), want), have))
    return found


def _has_room(update: _Update, grown: Counts) -> bool:
    return all(
        want == 0 or old + new <= want + limit.surge
        for old, new, want, limit in zip(update.old, grown, update.wanted, update.limits, strict=True)
    )


def _shrunk(update: _Update, steps: int) -> Counts:
    """The old versions one step further than the role that has gone furthest, as far as nobody is missed."""
    gone = [int((was - have) * steps / was) for was, have in zip(update.initial, update.old, strict=True) if was]
    step = max([0, *gone]) + 1
    found = []
    for i in update.roles:
        line = max(0, update.initial[i] - math.floor(step * update.initial[i] / steps))
        found.append(max(min(line, update.old[i]), _least(update, i, update.new)))
    _keep_together(update, found, update.new)
    return found


def _least(update: _Update, role: int, new: Sequence[int]) -> int:
    """Old groups that must stay while the new ones are so many; a role that grows has none to miss."""
    if update.initial[role] < update.wanted[role]:
        return 0
    return max(0, update.wanted[role] - update.limits[role].unavailable - new[role])


def _keep_together(update: _Update, old: Counts, new: Sequence[int]) -> None:
    """No role of the old versions may be the last that is left, in place: all go, or one of each stays."""
    left = [old[i] > 0 for i in update.roles if update.initial[i]]
    if all(left) or not any(left):
        return
    may_go = all(update.initial[i] < update.wanted[i] or new[i] >= update.wanted[i] - update.limits[i].unavailable for i in update.roles)
    for i in update.roles:
        old[i] = 0 if may_go else max(old[i], 1 if update.initial[i] > 0 else 0)


def _forced(update: _Update, grown: Counts) -> Step | None:
    """Make room for the new version, where the straight line alone would not."""
    found = []
    for i in update.roles:
        most = update.wanted[i] + update.limits[i].surge - grown[i]
        found.append(max(0, min(update.old[i], most), _least(update, i, grown)))
    if not any(after < before for after, before in zip(found, update.old, strict=True)):
        return None
    _keep_together(update, found, grown)
    return Step(found, grown)
