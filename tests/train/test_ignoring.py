"""Patterns mean what they mean to git; the table was held against `git check-ignore`."""

import pytest

from lightship.train.shipping import ignoring

CASES = [
    ("*.log", "a.log sub/a.log", "a.log.txt"),
    ("build/", "build/ sub/build/", "build sub/builds/"),
    ("/top", "top", "sub/top"),
    ("docs/*.txt", "docs/a.txt", "docs/sub/a.txt sub/docs/a.txt"),
    ("**/cache", "cache sub/cache a/b/cache", "caches"),
    ("logs/**", "logs/a logs/a/b", "sub/logs/a"),
    ("a/**/b", "a/b a/x/b a/x/y/b", "b a/xb"),
    ("data?.csv", "data1.csv", "data10.csv data/.csv"),
    ("[ab].py", "a.py b.py", "c.py"),
    ("[!ab].py", "c.py", "a.py"),
    ("# no comment\\\n\\#file", "#file", "file"),
    ("*.pt\n!best.pt", "last.pt sub/last.pt", "best.pt sub/best.pt"),
    ("trailing   ", "trailing", "trailing   "),
    ("a.b", "a.b", "axb"),
    ("[", "", "[ a"),
    ("/", "", "a a/"),
    ("\\!keep", "!keep", "keep"),
]


@pytest.mark.parametrize(("patterns", "left_out", "kept"), CASES, ids=[case[0] for case in CASES])
def test_patterns(patterns: str, left_out: str, kept: str) -> None:
    rules = ignoring.parse(patterns.splitlines())

    def is_ignored(path: str) -> bool:
        return ignoring.is_ignored(path.rstrip("/"), path.endswith("/"), rules)

    names = left_out.split() + ([kept] if " " in kept and kept.endswith(" ") else kept.split())
    assert [name for name in names if is_ignored(name)] == left_out.split()


def test_patterns_of_a_folder_hold_below_it() -> None:
    rules = [*ignoring.parse(["*.txt"]), *ignoring.parse(["!*.txt", "/own"], "sub/")]
    assert [ignoring.is_ignored(path, False, rules) for path in ("a.txt", "sub/a.txt", "sub/own", "own", "sub/x/own")] == [
        *(True, False, True, False, False)
    ]


@pytest.mark.parametrize("path", [".git", "a/__pycache__", ".venv", "node_modules"])
def test_what_nobody_wants_to_ship_stays(path: str) -> None:
    assert ignoring.is_ignored(path, True, ignoring.parse(ignoring.ALWAYS))
