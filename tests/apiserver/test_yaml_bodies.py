"""YAML from strangers: read like JSON, refused when it would take the server down."""

import pytest

from lightship.apiserver import yaml_bodies


def test_what_json_has_comes_through() -> None:
    body = b"kind: Pod\nmetadata: {name: a, labels: {'1': x}}\nspec:\n- 1\n- true\n- null\n- 1.5\n"
    assert yaml_bodies.decode(body) == {"kind": "Pod", "metadata": {"name": "a", "labels": {"1": "x"}}, "spec": [1, True, None, 1.5]}


def test_dates_become_text() -> None:
    assert yaml_bodies.decode(b"when: 2026-11-21\n") == {"when": "2026-11-21"}


LAUGHTER = b"a: &a [x, x]\n" + b"".join(b"%c: &%c [*%c, *%c]\n" % (c + 1, c + 1, c, c) for c in range(97, 120))


@pytest.mark.parametrize(
    ("body", "want"),
    [
        (b"[" * 100_000, "nested more than 200 levels"),
        (b"- " * 100_000, "nested more than 200 levels"),
        (LAUGHTER, "aliases are not taken"),
        (b"a: [1\nb: 2", "expected"),
        (b"a: !!python/object:os.system x", "could not determine a constructor"),
        (b"\xff\xfe\x00", "."),
    ],
    ids=["nested in flow", "nested in blocks", "a billion laughs", "broken", "a tag of Python's", "not text"],
)
def test_what_would_hurt_is_refused(body: bytes, want: str) -> None:
    with pytest.raises(ValueError, match=want):
        yaml_bodies.decode(body)
