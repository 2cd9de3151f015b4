"""What values have in common is kept once; every value comes out as it went in."""

import json
import random
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lightship.store.packing import FORMS, LEAST, MOST, SAMPLES, SHAPES, Packer


def pod(name: str, *, revision: int = 1, note: str = "a note", kind: str = "Pod") -> bytes:
    spec = {"image": "busybox:1.36", "command": ["sh", "-c", "echo 100% done; %b %s"], "note": note, "more": "x" * LEAST}
    return json.dumps({"kind": kind, "metadata": {"name": name, "resourceVersion": revision}, "spec": spec}).encode()


def packed(packer: Packer, value: bytes) -> bytes:
    """What stays of a value of its own; the value must come out of it again."""
    found = packer.pack(value)
    if found is None:
        return value
    form, rest = found
    assert form.unpack(rest) == value
    return rest


def test_the_third_of_a_template_is_what_differs() -> None:
    packer = Packer()
    first, second = pod("one"), pod("two", revision=2)
    assert packed(packer, first) == first
    assert packed(packer, second) == second
    assert packed(packer, pod("three", revision=30)) == b'three": 30}, '


def test_values_may_end_with_what_differs() -> None:
    packer = Packer()
    values = [b'{"text":"%s","at":%d}' % (b"x" * LEAST, number) for number in range(20)]
    assert [packed(packer, value) for value in values][2:] == [b":%d}" % number for number in range(2, 20)]


def test_what_comes_to_differ_later_makes_a_wider_form() -> None:
    packer = Packer()
    for number in range(5):
        packed(packer, pod(f"p{number}", revision=number))
    assert len(packed(packer, pod("q", revision=6, note="another"))) > LEAST
    assert len(packed(packer, pod("r", revision=7, note="a third"))) < 40
    assert len(packed(packer, pod("s", revision=8))) < 40


def test_several_templates_at_once() -> None:
    packer = Packer()
    sizes = [len(packed(packer, pod(f"p{n}", revision=n, note=str(n % 3) * 200, kind=f"Kind{n % 3}"))) for n in range(60)]
    assert max(sizes[30:]) < 250


def test_values_that_have_little_in_common_stay_as_they_are() -> None:
    packer = Packer()
    dice = random.Random(1)
    values = [json.dumps({"data": dice.randbytes(400).hex(), "n": n}).encode() for n in range(200)]
    assert [packed(packer, value) for value in values] == values


def test_very_small_and_very_big_values_are_not_looked_at() -> None:
    packer = Packer()
    for value in (b"{}", b'{"a":"%s"}' % (b"x" * MOST)):
        assert [packer.pack(value) for _ in range(5)] == [None] * 5


def test_what_a_packer_remembers_is_bounded() -> None:
    packer = Packer()
    dice = random.Random(2)
    for number in range(3000):
        tokens = ["x" * 10] * dice.randrange(40, 400)
        packer.pack(json.dumps({"n": number, "t": tokens}).encode())
    assert len(packer._shapes) == SHAPES
    assert all(len(shape._forms) <= FORMS and len(shape._samples) <= SAMPLES for shape in packer._shapes.values())


def test_of_many_shapes_those_of_use_stay() -> None:
    packer = Packer()
    for number in range(2 * SHAPES):
        packed(packer, pod(f"p{number}", revision=number))
        packed(packer, json.dumps({"fill": "x" * LEAST, "t": ["t"] * (100 + number)}).encode())
    assert len(packed(packer, pod("q"))) < 40


def test_new_shapes_take_the_place_of_old_ones() -> None:
    packer = Packer()
    for number in range(SHAPES):
        for again in range(10):
            packed(packer, json.dumps({"fill": "x" * LEAST, "t": ["t"] * (100 + number), "again": f"{again}"}).encode())
    sizes = [0, 0]
    for number in range(100):
        for which, kind in enumerate(("Pod", "Other")):
            value = pod(f"p{number}", revision=number, kind=kind) if which else pod(f"p{number}", note='quoted " here')
            sizes[which] = len(packed(packer, value))
    assert max(sizes) < 60


def test_looking_for_forms_thins_out() -> None:
    """Of many values that fit none, few are taken apart."""
    packer = Packer()
    dice = random.Random(3)
    taken: list[bytes] = []

    def value(number: int) -> bytes:
        return json.dumps({"n": number, "t": [dice.randbytes(8).hex() for _ in range(40)]}).encode()

    packer.pack(value(0))
    (shape,) = packer._shapes.values()
    for number in range(2000):
        before = list(shape._samples)
        packer.pack(value(number))
        taken += [sample for sample in shape._samples if sample not in before]
    assert len(packer._shapes) == 1
    assert len(taken) < 200


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)
)


@pytest.mark.slow
@settings(max_examples=30)
@given(
    st.lists(JSON, max_size=4),
    st.lists(st.sampled_from(["a", "b", '"', "%", "%%b", "\\", '\\"', "é", ""]), min_size=3, max_size=12),
    st.booleans(),
)
def test_all_values_come_out_as_they_went_in(parts: list[object], names: list[str], plain: bool) -> None:
    packer = Packer()
    for name in names:
        value = json.dumps({"name": name, "parts": parts, "again": name, "fill": "f" * LEAST}, ensure_ascii=plain).encode()
        packed(packer, value)


@given(st.lists(st.binary(max_size=40).map(lambda rest: rest + b'"' * 3 + b"x" * LEAST + rest), min_size=3, max_size=12))
def test_so_do_values_that_are_no_json(values: list[bytes]) -> None:
    packer = Packer()
    for value in values:
        packed(packer, value)


def test_what_stays_is_a_tenth_of_a_value() -> None:
    packer = Packer()
    stayed = [sys.getsizeof(packed(packer, pod(f"pod-{number}", revision=number))) for number in range(100)]
    assert sum(stayed[2:]) < 100 * sys.getsizeof(pod("pod-100")) / 4
