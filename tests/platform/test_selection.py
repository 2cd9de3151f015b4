"""Which controllers a list chooses."""

import pytest

from lightship.main import selection


@pytest.mark.parametrize(
    ("text", "runs", "rests"),
    [
        ("*", ["job", "endpoints"], []),
        ("-job", ["endpoints"], ["job"]),
        ("*,-job", ["endpoints"], ["job"]),
        ("job", ["job"], ["endpoints"]),
        ("job,-job", ["job"], ["endpoints"]),
        ("-job,job", [], ["job", "endpoints"]),
        ("job, endpoints", ["job", "endpoints"], ["ttl"]),
        ("none", [], ["job", "endpoints"]),
        ("", [], ["job"]),
    ],
)
def test_a_list_chooses(text: str, runs: list[str], rests: list[str]) -> None:
    chosen = selection.words(text)
    assert [name for name in (*runs, *rests) if selection.selected(name, chosen)] == runs


def test_strangers_are_named() -> None:
    assert selection.unknown(selection.words("*,-jop,endpoints"), {"job", "endpoints"}) == ["-jop"]
