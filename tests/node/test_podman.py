"""The engine runtime over a real podman, where there is one: the contract of all runtimes, and what only an engine does."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from .contract import RuntimeContract, World
from .engines import Service, drive, podman

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def service() -> Iterator[Service]:
    with podman() as found:
        yield found


class TestPodman(RuntimeContract):
    service: Service

    @pytest.fixture(autouse=True)
    def _service(self, service: Service) -> None:
        self.service = service

    def drive(self, directory: Path, story: Callable[[World], Any]) -> None:
        drive(self.service, directory, story)
