"""The machine's clock can be set while pods run: what was to happen in ten seconds still happens in ten seconds.

Facts about pods are in wall time (`state`), since the API is told of them. A worker asks `Jumps.look` before it decides anything, and
moves what it measures by (`moved`) along with the clock; what was told stays as it was told. `evicting` wakes those that sleep.
"""

from collections.abc import Iterator

from lightship.aio.clock import Clock

from .state import PodState, Problem

LEAST = 0.5
"""Seconds. A clock that is only kept in step moves by less, and what it has moved adds up."""


class Jumps:
    """Remembers how far the wall clock is ahead of the one that cannot be set."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._ahead = clock.now() - clock.monotonic()

    def look(self) -> float:
        """Seconds by which the clock was set since the last look, negative for backwards; 0.0 when it was left alone."""
        ahead = self._clock.now() - self._clock.monotonic()
        jump = ahead - self._ahead
        if abs(jump) < LEAST:
            return 0.0
        self._ahead = ahead
        return jump


def moved(state: PodState, seconds: float) -> None:
    """Keep all that is waited for as far away as it was."""
    state.skew += seconds
    for problem in _problems(state):
        problem.since += seconds
        problem.retry_at += seconds
    if state.restarting_since is not None:
        state.restarting_since += seconds
    if state.stopping_since is not None:
        state.stopping_since += seconds
    for container in state.containers.values():
        container.skew += seconds
        container.backoff_at += seconds
        if container.stop_at is not None:
            container.stop_at += seconds
        if container.term_at is not None:
            container.term_at += seconds


def _problems(state: PodState) -> Iterator[Problem]:
    found = [state.volumes_problem, state.sandbox_problem, state.resize_pending, state.resize_problem]
    found += [image.problem for image in state.images.values()]
    found += [container.problem for container in state.containers.values()]
    yield from (problem for problem in found if problem is not None)
