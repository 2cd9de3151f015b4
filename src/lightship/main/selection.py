"""Which controllers run: the list that `--controllers` takes, read as kube-controller-manager reads its own.

Called by `up` (to refuse bad lists) and `platform` (to choose). Knows no controller: names come from outside.
Contract: kube-controller-manager --controllers: `*` is all, `name` one, `-name` not that one; the first word that names it wins.
"""

from collections.abc import Collection

ALL = "*"
NONE = "none"


def words(text: str) -> tuple[str, ...]:
    """The words of a list; `none` and an empty list are none at all. A list of exceptions alone means all but those."""
    found = tuple(word.strip() for word in text.split(",") if word.strip())
    if found in ((), (NONE,)):
        return ()
    return (*found, ALL) if all(word.startswith("-") for word in found) else found


def selected(name: str, chosen: Collection[str]) -> bool:
    """Does a controller of this name run? `chosen` are the `words` of a list."""
    for word in chosen:
        if word.removeprefix("-") == name:
            return word == name
    return ALL in chosen


def unknown(chosen: Collection[str], names: Collection[str]) -> list[str]:
    """Words that name no controller there is."""
    return sorted(word for word in chosen if word != ALL and word.removeprefix("-") not in names)
