"""Writes docs/conformance.md from what ginkgo reported: counts by area, and each miss with its reason.

Called by `run_conformance`. Reasons are kept in oracle/conformance-misses.txt by hand; a miss that has none there is shown as ours to mend.
"""

from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "conformance.md"
REASONS = ROOT / "oracle" / "conformance-misses.txt"
NO_REASON = "still ours to mend"

Specs = dict[str, dict[str, Any]]
"""Ginkgo's verdict by full test name."""


def passed(names: list[str], specs: Specs) -> set[str]:
    return {name for name in names if (specs.get(name) or {}).get("State") == "passed"}


def reasons() -> dict[str, str]:
    return dict(line.split("\t", 1) for line in REASONS.read_text().splitlines() if line and not line.startswith("#"))


def area(name: str) -> str:
    return name.partition("]")[0].strip("[")


def page(names: list[str], specs: Specs, theirs: str, how: str) -> str:
    """The whole page. `how` is the command line of the platform; `theirs` the controllers that ran from elsewhere."""
    good, why = passed(names, specs), reasons()
    areas: dict[str, list[str]] = {}
    for name in names:
        areas.setdefault(area(name), []).append(name)
    lines = [
        "# Conformance",
        "",
        f"Kubernetes' own conformance tests, run by the unmodified `e2e.test` of 1.36 against `{how}`, where pods are processes:",
        f"**{len(good)} of {len(names)} pass**.",
        "",
        "Made by `python -m tools.run_conformance`; the names are in `oracle/conformance.txt`. Controllers that Lightship does not have",
        "yet ran from upstream's kube-controller-manager, as a client of our server like any other:",
        "",
        "> " + ", ".join(theirs.split(",")),
        "",
        "| area | tests | pass |",
        "|---|---|---|",
        *(f"| {found} | {len(listed)} | {sum(name in good for name in listed)} |" for found, listed in sorted(areas.items())),
        "",
    ]
    misses = [name for name in names if name not in good]
    if misses:
        lines += ["## Misses, and why", "", *(f"- {name}: {why.get(name, NO_REASON)}" for name in misses), ""]
    lines += ["## All tests", "", *(f"- {'pass' if name in good else '**miss**'} {name}" for name in names), ""]
    return "\n".join(lines)
