"""A few watches never rest; many do, the longer the more there are, and not all alike."""

import pytest

from lightship.apiserver.media.pacing import EACH, FEW, LONGEST, Pace


@pytest.mark.parametrize(("watches", "mean"), [(0, 0.0), (FEW, 0.0), (200, 200 * EACH), (100_000, LONGEST)])
def test_rest(watches: int, mean: float) -> None:
    pace = Pace(lambda: watches)
    rests = [pace.seconds() for _ in range(160)]
    assert sum(rests) / len(rests) == pytest.approx(mean, rel=0.05)
    assert len(set(rests)) == (1 if not mean else 16)
