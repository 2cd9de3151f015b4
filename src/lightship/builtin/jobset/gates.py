"""Feature gates of JobSet: what upstream has switched off unless it is asked for.

`main` parses them from `lightship up --feature-gates`; `sync`, `rules` and `admission` are given them. Off is the default of all of them.
Contract: JobSet 0.12 pkg/features (the fourth gate, TLSOptions, is about the manager's own servers and has no meaning here).
"""

from collections.abc import Iterable
from typing import NamedTuple


class Gates(NamedTuple):
    """`restart_job`: single Jobs can be restarted; `in_place_restart`: pods can be restarted where they are; `elastic`: parallelism and
    completions of a JobSet that runs can change."""

    in_place_restart: bool = False
    restart_job: bool = False
    elastic: bool = False


NONE = Gates()
NAMES = {"InPlaceRestart": "in_place_restart", "RestartJob": "restart_job", "ElasticJobSet": "elastic"}
"""Upstream's name of each."""
_BOOLEANS = {word: value for value, words in ((True, "1 t T true TRUE True"), (False, "0 f F false FALSE False")) for word in words.split()}


def parse(text: str) -> Gates:
    """`RestartJob=true,ElasticJobSet=true`, as upstream's programs take it. Raises `ValueError` for what is no such list."""
    chosen: dict[str, bool] = {}
    for word in filter(None, map(str.strip, text.split(","))):
        name, _, value = word.partition("=")
        if name not in NAMES:
            raise ValueError(f'no feature gate is called "{name}": there are {", ".join(NAMES)}')
        if value not in _BOOLEANS:
            raise ValueError(f'feature gate {name} cannot be "{value}": say {name}=true or {name}=false')
        chosen[NAMES[name]] = _BOOLEANS[value]
    return Gates(**chosen)


def hints(refusals: Iterable[str]) -> list[str]:
    """How to switch on what was refused in upstream's words, which do not say it."""
    told = " ".join(refusals)
    off = [name for name in NAMES if f"{name} feature gate is disabled" in told]
    return [f"{name} is off by default: `lightship up --feature-gates {name}=true` switches it on" for name in off]
