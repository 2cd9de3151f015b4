"""What an object asks of a stage by its annotations: a delay, and up to how much of it is chance. Pure.

Contract: kwok 0.8.0, the annotations `<stage>.stage.kwok.x-k8s.io/delay` and `/jitter-delay` of its shipped sets, read as its Stages
read them (a Go duration, or a time); a jitter that is not longer than the delay is the delay.
"""

from collections.abc import Mapping
from random import Random

from lightship.emulation.durations import parse
from lightship.meta import times

SUFFIX = ".stage.kwok.x-k8s.io"


def delay_of(stage: str, annotations: Mapping[str, str], default: tuple[float, float | None], now: float, random: Random) -> float:
    """Seconds before `stage` is entered. `default` are the shortest and the longest time where nothing else is asked for."""
    shortest, longest = default
    told = _seconds(annotations.get(f"{stage}/delay"), now)
    if told is not None:
        shortest, longest = told, (told if longest is None else max(told, longest))
    told = _seconds(annotations.get(f"{stage}/jitter-delay"), now)
    if told is not None:
        longest = told
    return drawn(shortest, longest, random)


def drawn(shortest: float, longest: float | None, random: Random) -> float:
    """A time between the two; the longer one, if it is not longer."""
    if longest is None:
        return shortest
    return longest if longest <= shortest else shortest + random.random() * (longest - shortest)


def _seconds(text: str | None, now: float) -> float | None:
    """A duration, or the time until a moment; None for what is neither."""
    if not text:
        return None
    found = parse(text)
    if found is not None:
        return found
    try:
        return times.parse(text) - now
    except ValueError:
        return None
