"""Quantities: grammar, canonical form, rounding, sums. Canonical forms as kube-apiserver writes them."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lightship.meta import quantity


@pytest.mark.parametrize(
    ("text", "value", "canonical"),
    [
        ("0", "0", "0"),
        ("1", "1", "1"),
        ("500m", "0.5", "500m"),
        ("0.5", "0.5", "500m"),
        (".5", "0.5", "500m"),
        ("1.", "1", "1"),
        ("2000m", "2", "2"),
        ("1500m", "1.5", "1500m"),
        ("1.5Gi", "1610612736", "1536Mi"),
        ("1024Ki", "1048576", "1Mi"),
        ("1025Ki", "1049600", "1025Ki"),
        ("0.1Gi", "107374182.4", "107374182400m"),
        ("100Mi", "104857600", "100Mi"),
        ("1000Mi", "1048576000", "1000Mi"),
        ("1500M", "1500000000", "1500M"),
        ("1E", "1000000000000000000", "1E"),
        ("1e3", "1000", "1e3"),
        ("12E6", "12000000", "12e6"),
        ("1e-3", "0.001", "1e-3"),
        ("-1500m", "-1.5", "-1500m"),
        ("100n", "0.0000001", "100n"),
        ("0.0000000001", "0.000000001", "1n"),
    ],
)
def test_parse_and_canonical(text: str, value: str, canonical: str) -> None:
    assert quantity.parse(text) == Decimal(value)
    assert quantity.canonical(text) == canonical


@pytest.mark.parametrize("text", ["", "x", "1x", "1 Gi", "1gi", "--1", "1.2.3", "Gi", "1e", "1e1234", "0x1", "1_000", "٣"])
def test_bad_quantities(text: str) -> None:
    with pytest.raises(ValueError, match="quantities must match the regular expression"):
        quantity.parse(text)


def test_numbers_are_quantities() -> None:
    assert quantity.canonical(4) == "4"
    assert quantity.canonical(0.5) == "500m"


def test_rounding_is_up() -> None:
    assert quantity.to_int("1500m") == 2
    assert quantity.to_int("1Ki") == 1024
    assert quantity.millis("0.0001") == 1
    assert quantity.millis("2") == 2000


def test_too_large_is_the_largest() -> None:
    assert quantity.parse("99999E") == 2**63 - 1


def test_add() -> None:
    assert quantity.add({"cpu": "500m"}, {"cpu": "1", "memory": "1Gi"}) == {"cpu": "1500m", "memory": "1Gi"}
    assert quantity.add({"memory": "512Mi"}, {"memory": "512Mi"}) == {"memory": "1Gi"}
    assert quantity.add({}, {}) == {}


def test_maximum() -> None:
    assert quantity.maximum({"cpu": "2", "a": "1"}, {"cpu": "1500m", "b": "1"}) == {"cpu": "2", "a": "1", "b": "1"}


_NUMBERS = st.integers(-(10**6), 10**6)
_SUFFIXES = st.sampled_from(["", "n", "u", "m", "k", "M", "G", "Ki", "Mi", "Gi", "Ti"])
_QUANTITIES = st.builds(lambda n, s: f"{n}{s}", _NUMBERS, _SUFFIXES)


@given(_QUANTITIES)
def test_canonical_keeps_the_value_and_is_its_own_canonical_form(text: str) -> None:
    canonical = quantity.canonical(text)
    assert quantity.parse(canonical) == quantity.parse(text)
    assert quantity.canonical(canonical) == canonical


@given(_QUANTITIES, _QUANTITIES)
def test_sums_are_exact(a: str, b: str) -> None:
    assert quantity.parse(quantity.add({"x": a}, {"x": b})["x"]) == quantity.parse(a) + quantity.parse(b)


@given(_QUANTITIES)
def test_rounded_values_are_never_less(text: str) -> None:
    assert 0 <= quantity.to_int(text) - quantity.parse(text) < 1
    assert 0 <= quantity.millis(text) - quantity.parse(text) * 1000 < 1
