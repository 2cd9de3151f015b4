"""The demo's demands: limits are kept, so it must not bind itself more than the machine does."""

import pytest

from lightship.demo.job import share


@pytest.mark.parametrize(("processors", "want"), [(1, "450m"), (2, "900m"), (3, "1000m"), (64, "1000m")])
def test_two_nodes_fit_and_are_not_held_back(processors: int, want: str) -> None:
    assert share(2, processors) == want
