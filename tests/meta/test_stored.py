"""Lists of objects that are decoded as somebody goes through them look like lists of objects."""

import pytest

from lightship.meta.objects import Key, Obj
from lightship.meta.stored import Objects, glance, held_of, key_of, read

PLAIN: Obj = {"metadata": {"name": "plain", "namespace": "here", "resourceVersion": "1"}}


class Kept:
    """Counts how often it was decoded, and for whom."""

    revision = 2

    def __init__(self) -> None:
        self.glances = self.reads = 0

    def where(self) -> Key:
        return Key("there", "kept")

    @property
    def obj(self) -> Obj:
        self.reads += 1
        return {"metadata": {"name": "kept"}}

    def glance(self) -> Obj:
        self.glances += 1
        return {"metadata": {"name": "kept"}}


def test_a_list_decodes_what_is_looked_at() -> None:
    kept = Kept()
    items = Objects([PLAIN, kept])
    assert len(items) == 2
    assert items[0] is PLAIN
    assert held_of(items) == [PLAIN, kept]
    assert held_of(items[1:]) == [kept]
    assert kept.glances == 0
    assert [obj["metadata"]["name"] for obj in items] == ["plain", "kept"]
    assert items == [PLAIN, {"metadata": {"name": "kept"}}]
    assert items != [PLAIN]
    assert kept.glances == 3
    with pytest.raises(TypeError):
        hash(items)


def test_what_is_held_is_one_or_the_other() -> None:
    kept = Kept()
    assert (key_of(PLAIN), key_of(kept)) == (Key("here", "plain"), Key("there", "kept"))
    assert glance(PLAIN) is read(PLAIN) is PLAIN
    assert glance(kept) == read(kept)
    assert (kept.glances, kept.reads) == (1, 1)
    assert held_of([PLAIN]) == [PLAIN]
