"""Delays between retries."""

from random import Random

import pytest

from lightship.aio.backoff import Backoff, exponential, jitter


@pytest.mark.parametrize(
    ("attempt", "want"),
    [(0, 0.005), (1, 0.01), (2, 0.02), (10, 5.12), (17, 655.36), (18, 1000.0), (64, 1000.0), (10_000_000, 1000.0)],
)
def test_delays_double_up_to_the_limit(attempt: int, want: float) -> None:
    assert exponential(attempt, 0.005, 1000.0) == pytest.approx(want)


def test_jitter_only_lengthens_and_only_by_its_fraction() -> None:
    random = Random(1)
    found = [jitter(10.0, 0.5, random) for _ in range(200)]
    assert min(found) >= 10.0
    assert max(found) < 15.0
    assert len(set(found)) > 100


def test_a_backoff_grows_and_starts_again_after_reset() -> None:
    backoff = Backoff(1.0, 4.0, random=Random(0), spread=0.0)
    assert [backoff.next() for _ in range(4)] == [1.0, 2.0, 4.0, 4.0]
    backoff.reset()
    assert backoff.next() == 1.0


def test_two_seeds_do_not_come_back_together() -> None:
    one, other = (Backoff(1.0, 60.0, random=Random(seed)) for seed in (1, 2))
    assert one.next() != other.next()
