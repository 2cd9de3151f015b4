"""Plays the objects of one kind: asks the rules what comes next for each, waits for its time on a wheel, and does it.

`controller` feeds it with changes and runs it. An object is looked at anew whenever it has changed; what was planned for it before is
forgotten then, as kwok does it. Deeds that failed for a reason that may pass are done again, from the one that failed.
Contract: kwok 0.8.0, pkg/kwok/controllers (pod, node and stage controllers).
"""

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random
from typing import Protocol

from lightship.aio.backoff import exponential, jitter
from lightship.aio.clock import Clock
from lightship.aio.wheel import Wheel
from lightship.client.informer import Informer
from lightship.emulation.play import Deed, Delete, Rules, Stage, StageError, Surroundings
from lightship.meta import errors, objects
from lightship.meta.objects import Key, Obj

log = logging.getLogger(__name__)

SIDE_BY_SIDE = 64
"""Objects of one kind that are written at once."""
FIRST_RETRY, LAST_RETRY, SPREAD = 1.0, 32 * 60.0, 0.2
"""Seconds before deeds that failed are done again, and how much of that is chance."""
PATIENCE = 5.0
"""Seconds to wait for news of an object that was not as it was known."""


class Hands(Protocol):
    """What does deeds: `deeds.Writer`."""

    async def do(self, deed: Deed, obj: Obj) -> Obj | None:
        """The object as it is now, if the deed changed it. Raises `StatusError`."""
        ...


@dataclass(slots=True)
class Plan:
    """What is to happen to an object next."""

    stage: Stage
    revision: str
    obj: Obj | None
    """The object, where it is not in the cache yet or will be wanted at once."""
    failures: int = 0
    done: int = 0
    """Deeds that are done already."""
    deeds: Sequence[Deed] | None = None


class Player:
    def __init__(
        self,
        *,
        informer: Informer,
        hands: Hands,
        rules: Callable[[], Rules],
        around: Surroundings,
        clock: Clock,
        random: Random,
        wanted: Callable[[Obj], bool],
    ) -> None:
        """`wanted`: is this object ours to play? `rules` are asked for again each time, since they can change."""
        self._informer = informer
        self._hands = hands
        self._rules = rules
        self._around = around
        self._clock = clock
        self._random = random
        self._wanted = wanted
        self._plans: dict[Key, Plan] = {}
        self._busy: set[Key] = set()
        """Keys that somebody works on: one at a time for each object."""
        self._ready: deque[Key] = deque()
        self._wheel: Wheel[Key] = Wheel(self._due)
        self._free = SIDE_BY_SIDE
        self._group: asyncio.TaskGroup | None = None
        self.played = 0
        """Stages that were entered so far."""

    @property
    def idle(self) -> bool:
        """Is nothing being done, and nothing due?"""
        return not self._ready and not self._busy

    def look(self, key: Key, obj: Obj | None) -> None:
        """An object is now like this, or gone: plan for it. What was planned for the very same object stays."""
        if obj is None or not self._wanted(obj):
            self._forget(key)
            return
        revision = objects.meta(obj).get("resourceVersion", "")
        known = self._plans.get(key)
        if known is not None and known.revision == revision:
            return
        try:
            due = self._rules().step(obj, self._clock.now(), self._random)
        except StageError as error:
            log.warning("stages cannot be used for %s %s: %s", self._informer.resource.kind, key, error)
            due = None
        if due is None:
            self._forget(key)
            return
        at_once = due.delay <= 0
        self._set(key, Plan(due.stage, revision, obj if at_once else None), due.delay)

    def look_again(self) -> None:
        """The rules have changed, or what they are about: plan anew for everything that nobody works on."""
        for key in list(self._informer.keys()):
            self._forget(key)
            self.look(key, self._informer.get(key))

    async def run(self) -> None:
        """Play until cancelled."""
        try:
            async with asyncio.TaskGroup() as group:
                self._group = group
                self._begin()
                await asyncio.Event().wait()
        finally:
            self._group = None
            self._wheel.clear()

    def _set(self, key: Key, plan: Plan, delay: float) -> None:
        self._plans[key] = plan
        if delay <= 0:
            self._wheel.cancel(key)
            self._ready.append(key)
            self._begin()
        else:
            self._wheel.set(key, delay)

    def _forget(self, key: Key) -> None:
        if self._plans.pop(key, None) is not None:
            self._wheel.cancel(key)

    def _due(self, keys: list[Key]) -> None:
        self._ready.extend(keys)
        self._begin()

    def _begin(self) -> None:
        """Put as many to work as may be."""
        while self._group is not None and self._free and self._ready:
            self._free -= 1
            self._group.create_task(self._work())

    async def _work(self) -> None:
        try:
            while self._ready:
                key = self._ready.popleft()
                if key in self._busy:
                    continue  # whoever works on it looks for a newer plan at the end
                self._busy.add(key)
                try:
                    await self._play(key)
                finally:
                    self._busy.discard(key)
        finally:
            self._free += 1

    async def _play(self, key: Key) -> None:
        """Do what is planned for a key now, and what comes up for it at once meanwhile."""
        while (plan := self._plans.get(key)) is not None and key not in self._wheel:
            obj = plan.obj or self._informer.get(key)
            if obj is None or objects.meta(obj).get("resourceVersion", "") != plan.revision or not self._wanted(obj):
                # Its change is on its way here, and is planned for then; or it is nobody's to play now, and comes back when it is.
                self._plans.pop(key, None)
                return
            try:
                changed = await self._carry_out(plan, obj)
            except errors.StatusError as error:
                self._failed(key, plan, error)
                return
            except Exception:  # one object's odd Stage must not stop the others
                log.exception("stage failed kind=%s key=%s stage=%s", self._informer.resource.kind, key, plan.stage.name)
                changed = None
            self.played += 1
            if self._plans.get(key) is plan:
                del self._plans[key]
            if changed is not None and plan.stage.immediate:
                self.look(key, changed)

    async def _carry_out(self, plan: Plan, obj: Obj) -> Obj | None:
        """Do the deeds that are left; the object as the last of them left it, if it is there and was changed."""
        if plan.deeds is None:
            plan.deeds = plan.stage.deeds(obj, self._around)
        changed = None
        while plan.done < len(plan.deeds):
            deed = plan.deeds[plan.done]
            changed = await self._hands.do(deed, obj) or changed
            if isinstance(deed, Delete):
                changed = None
            plan.done += 1
        return changed

    def _failed(self, key: Key, plan: Plan, error: errors.StatusError) -> None:
        """Try again what may go well later. What the server refuses for good is left, until the object changes."""
        if self._plans.get(key) is not plan:
            return
        if errors.is_not_found(error):
            del self._plans[key]
            return
        if errors.is_conflict(error):
            # Somebody changed the object meanwhile, and the news of it brings a new plan; unless we have that already.
            del self._plans[key]
            self._set(key, Plan(plan.stage, plan.revision, None, plan.failures + 1), PATIENCE)
            return
        if error.code < 500 and error.code != 429:
            log.warning("stage refused kind=%s key=%s stage=%s: %s", self._informer.resource.kind, key, plan.stage.name, error)
            del self._plans[key]
            return
        delay = jitter(exponential(plan.failures, FIRST_RETRY, LAST_RETRY), SPREAD, self._random)
        plan.failures += 1
        log.info("stage failed, again in %.1f s kind=%s key=%s: %s", delay, self._informer.resource.kind, key, error)
        self._set(key, plan, delay)
