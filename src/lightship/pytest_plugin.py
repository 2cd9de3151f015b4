"""The pytest plugin that comes with Lightship: one fixture, nothing else. It imports the platform only when a test asks for it."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from lightship.testing import Cluster


@pytest.fixture
def lightship_cluster() -> Iterator["Cluster"]:
    """A whole platform of this test's own: API server, controllers, scheduler and node, in this process and in memory."""
    from lightship.testing import cluster

    with cluster() as found:
        yield found
