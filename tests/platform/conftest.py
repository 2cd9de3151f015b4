"""Homes for platforms: one of a test's own, and one running platform that the tests which change nothing of it share."""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from .kit import Home, Site


@pytest.fixture
def home() -> Iterator[Home]:
    """An empty LIGHTSHIP_HOME; what was started in it is ended. Not below tmp_path: sockets have short names."""
    with tempfile.TemporaryDirectory(prefix="ls-") as directory:
        made = Home(Path(directory))
        yield made
        made.close()


@pytest.fixture(scope="package")
def site() -> Iterator[Site]:
    """A running platform for tests that leave it as they found it."""
    directory = Path(tempfile.mkdtemp(prefix="ls-"))
    made = Home(directory)
    yield made.up()
    made.close()
    shutil.rmtree(directory)
