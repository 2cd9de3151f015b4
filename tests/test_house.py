"""The house rules that a machine can check: every room has its README, every module says what it is, nothing grows past its bounds."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SOURCE = ROOT / "src" / "lightship"
BELOW = ("meta", "aio", "cel", "kinds", "store", "apiserver", "client", "control")
ROOMS = (*BELOW, "builtin", "scheduler", "node", "emulation", "cli", "train", "main", "rehearsal", "planning")
MODULES = sorted(SOURCE.rglob("*.py"))
# A docstring of 3 to 12 lines is the rule; a package that only groups its modules, or a table of constants, may say it in one.
MOST_LINES = 800
LONGEST_FUNCTION = 100


def identify(path: Path) -> str:
    return str(path.relative_to(SOURCE))


@pytest.mark.parametrize("room", ROOMS)
def test_every_room_has_a_readme_that_names_real_modules(room: str) -> None:
    text = (SOURCE / room / "README.md").read_text()
    named = set(re.findall(r"`([a-z_/]+\.py)`", text))
    missing = [name for name in named if not (SOURCE / room / name).exists() and not (SOURCE / name).exists()]
    assert not missing, f"{room}/README.md names files that are not there: {missing}"


@pytest.mark.parametrize("path", MODULES, ids=identify)
def test_every_module_says_what_it_is_and_stays_in_bounds(path: Path) -> None:
    text = path.read_text()
    tree = ast.parse(text)
    if not tree.body:
        pytest.fail(f"{identify(path)} is empty: a package says in its docstring what it is for")
    doc = ast.get_docstring(tree)
    assert doc, f"{identify(path)} opens without a docstring"
    assert len(doc.splitlines()) <= 40, f"{identify(path)}: the opening docstring is an essay; move it to the README"
    assert text.count("\n") <= MOST_LINES
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            assert (node.end_lineno or 0) - node.lineno < LONGEST_FUNCTION, f"{identify(path)}:{node.name} is too long"


@pytest.mark.parametrize("path", MODULES, ids=identify)
def test_time_is_read_in_one_place_only(path: Path) -> None:
    if path.is_relative_to(SOURCE / "aio") or path.is_relative_to(SOURCE / "node" / "launch"):
        return  # what runs inside namespaces are programs of their own, outside any loop
    found = re.findall(r"\btime\.(?:time|monotonic|sleep)\(|\basyncio\.sleep\(", path.read_text())
    assert not found, f"{identify(path)} reads the clock itself: take an aio.clock.Clock"


def test_no_test_sleeps() -> None:
    pattern = re.compile(r"time\.sleep\(|asyncio\.sleep\((?!0\))")
    sleepers = [str(path.relative_to(ROOT)) for path in (ROOT / "tests").rglob("*.py") if pattern.search(path.read_text())]
    assert sleepers in ([], ["tests/test_house.py"]), "wait on a condition, or run in virtual time"


def test_the_project_stands_alone() -> None:
    """No file names a place or a tool that only one machine has. (`/root/` may be named: it is where images expect their user's home.)"""
    words = re.compile(r"/(?:work|farm)/|\.\./shared")
    texts = [p for p in ROOT.rglob("*") if p.suffix in {".py", ".md", ".toml", ".yaml", ".sh", ".json"} and not _ignored(p)]
    guilty = [str(path.relative_to(ROOT)) for path in texts if words.search(path.read_text(errors="replace"))]
    assert [g for g in guilty if g != "tests/test_house.py"] == []


def _ignored(path: Path) -> bool:
    parts = path.relative_to(ROOT).parts
    return any(part.startswith(".") and part != ".ci" for part in parts) or "dist" in parts or "build" in parts
