"""Writes docs/conformance.md from what ginkgo reported: counts by area, and each miss with its reason.

Called by `run_conformance`. Reasons are kept in oracle/conformance-misses.txt by hand; a miss that has none there is shown as ours to mend.
"""

from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "conformance.md"
REASONS = ROOT / "oracle" / "conformance-misses.txt"
NO_REASON = "still ours to mend"
PROCESSES, EMULATED = "processes", "emulated"
PARTS = {
    PROCESSES: ("On process nodes", "oracle/conformance.txt", "where pods are processes"),
    EMULATED: ("On emulated nodes", "oracle/conformance-emulated.txt", "where pods only say that they run"),
}
"""Title, file of names, and what pods are, by part of the page."""

Specs = dict[str, dict[str, Any]]
"""Ginkgo's verdict by full test name."""


def passed(names: list[str], specs: Specs) -> set[str]:
    return {name for name in names if (specs.get(name) or {}).get("State") == "passed"}


def reasons() -> dict[str, str]:
    return dict(line.split("\t", 1) for line in REASONS.read_text().splitlines() if line and not line.startswith("#"))


def area(name: str) -> str:
    return name.partition("]")[0].strip("[")


def write(part: str, names: list[str], specs: Specs, theirs: str, how: str) -> None:
    """Put one part of the page in its place; the other stays. `how` is the command line of the platform."""
    title, file, where = PARTS[part]
    said = {found: text for found in PARTS if (text := _part(found))}
    said[part] = "\n".join([f"## {title}", "", *_summary(names, specs, theirs, how, file, where), *_all(names, specs)])
    PAGE.write_text("# Conformance\n\n" + "\n".join(said[found] for found in PARTS if found in said))


def _part(part: str) -> str:
    """What the page says now."""
    _, found, rest = PAGE.read_text().partition(f"## {PARTS[part][0]}\n")
    for other in PARTS:
        rest = rest.partition(f"\n## {PARTS[other][0]}\n")[0]
    return found + rest


def _summary(names: list[str], specs: Specs, theirs: str, how: str, file: str, where: str) -> list[str]:
    good, areas = passed(names, specs), dict[str, list[str]]()
    for name in names:
        areas.setdefault(area(name), []).append(name)
    beside = ["Controllers of upstream's kube-controller-manager ran beside ours:", "", "> " + ", ".join(theirs.split(",")), ""]
    return [
        f"Kubernetes' own conformance tests, run by the unmodified `e2e.test` of 1.36 against `{how}`,",
        f"{where}: **{len(good)} of {len(names)} pass**. The names are in `{file}`; `python -m tools.run_conformance` makes this page.",
        "",
        *(beside if theirs else ["No controller of upstream's ran beside ours.", ""]),
        "| area | tests | pass |",
        "|---|---|---|",
        *(f"| {found} | {len(listed)} | {sum(name in good for name in listed)} |" for found, listed in sorted(areas.items())),
        "",
    ]


def _all(names: list[str], specs: Specs) -> list[str]:
    """Misses with their reasons, then every name."""
    good, why = passed(names, specs), reasons()
    misses = [f"- {name}: {why.get(name, NO_REASON)}" for name in names if name not in good]
    listed = [f"- {'pass' if name in good else '**miss**'} {name}" for name in names]
    return [*(["### Misses, and why", "", *misses, ""] if misses else []), "### All tests", "", *listed, ""]
