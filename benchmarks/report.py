"""How all benchmarks report: every series with its spread, and the machine that it was measured on."""

import os
import platform
import statistics
from dataclasses import dataclass, field


@dataclass
class Series:
    """One figure, measured several times."""

    name: str
    values: list[float] = field(default_factory=list)

    def add(self, value: float) -> None:
        self.values.append(value)

    @property
    def median(self) -> float:
        return statistics.median(self.values)


def table(series: list[Series]) -> str:
    """A Markdown table: minimum, median, maximum, number of rounds."""
    lines = ["| figure | min | median | max | rounds |", "|---|---|---|---|---|"]
    lines += [f"| {s.name} | {_show(min(s.values))} | {_show(s.median)} | {_show(max(s.values))} | {len(s.values)} |" for s in series]
    return "\n".join(lines)


def _show(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}" if value >= 10 else f"{value:.3f}"


def machine() -> str:
    """One line about where this ran."""
    load = ", ".join(f"{x:.1f}" for x in os.getloadavg())
    system = f"{platform.system()} {platform.release()}, Python {platform.python_version()}"
    return f"{platform.machine()}, {os.cpu_count()} cores, {system}, load {load}"
