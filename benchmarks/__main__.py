"""All comparisons with kube-apiserver and etcd in one run, as the tables of docs/benchmarks.md.

    python -m benchmarks [--rounds 3] [--only writes,reads]

`oracle/build` makes the peer's programs; without them only our figures are shown. Both servers are up all the time and
take turns in every round; what fills them comes last. Memory is measured first, on servers of their own.
"""

import argparse
import time
from collections import defaultdict
from collections.abc import Callable

from benchmarks import comparison
from benchmarks.comparison import Figures
from benchmarks.contenders import Contender, ours, theirs
from benchmarks.report import Series, machine

_PARTS: dict[str, Callable[[Contender], Figures]] = {
    "started": comparison.just_started,
    "writes": comparison.writes,
    "reads": comparison.reads,
    "features": comparison.features,
    "watches": comparison.watches,
    "crowd": comparison.crowd,
    "held": comparison.held,
}
_ALONE = {"started", "held"}
"""What is measured once, on servers that have done nothing else."""
_LESS = (", s", " in ms", ", MB")
"""Figures of which less is better."""


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", default=",".join(_PARTS), help="comma-separated: " + ", ".join(_PARTS))
    options = parser.parse_args()
    print(machine())
    begun = time.monotonic()
    parts = options.only.split(",")
    for part in parts:
        if part in _ALONE:
            with ours() as we, theirs() as peer:
                _show_part(part, we, peer, 1)
    if not _ALONE.issuperset(parts):
        with ours() as we, theirs() as peer:
            for part in parts:
                if part not in _ALONE:
                    _show_part(part, we, peer, options.rounds)
    print(f"\n{time.monotonic() - begun:.0f} s; {machine()}")


def _show_part(part: str, we: Contender, peer: Contender | None, rounds: int) -> None:
    print(f"\n{_table(_measured(part, [we, *([peer] if peer else [])], rounds))}", flush=True)


def _measured(part: str, contenders: list[Contender], rounds: int) -> dict[str, list[Series]]:
    """Series by figure, in the order of the contenders."""
    found: dict[str, list[Series]] = defaultdict(lambda: [Series(c.name) for c in contenders])
    for _ in range(rounds):
        for place, contender in enumerate(contenders):
            for name, value in _PARTS[part](contender).items():
                found[name][place].add(value)
    return found


def _table(figures: dict[str, list[Series]]) -> str:
    names = [series.name for series in next(iter(figures.values()))]
    lines = [f"| | {' | '.join(names)} | better by |", "|---|" + "---|" * (len(names) + 1)]
    for name, columns in figures.items():
        cells = " | ".join(_cell(series) for series in columns)
        lines.append(f"| {name} | {cells} | {_ratio(name, columns)} |")
    return "\n".join(lines)


def _cell(series: Series) -> str:
    least, most = min(series.values), max(series.values)
    return _show(series.median) + (f" ({_show(least)}-{_show(most)})" if len(series.values) > 1 else "")


def _show(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def _ratio(name: str, columns: list[Series]) -> str:
    if len(columns) < 2:
        return ""
    we, peer = (series.median for series in columns)
    return f"{peer / we if name.endswith(_LESS) else we / peer:.1f}x"


if __name__ == "__main__":
    main()
