"""The servers on which every scenario is played."""

import pytest

from tests.cluster.site import BACKENDS, Backend


@pytest.fixture(params=BACKENDS)
def backend(request: pytest.FixtureRequest) -> Backend:
    found: Backend = request.param
    return found
