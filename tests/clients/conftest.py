"""One platform for the tests of all clients, with the custom kind `Widget`, and a namespace of its own for each test."""

import gc
import itertools
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lightship.kinds import CUSTOM_RESOURCE_DEFINITIONS, NAMESPACES, SERVICE_ACCOUNTS
from lightship.testing import Cluster, cluster
from tests.platform.kit import Api, eventually

from .shared import GROUP, definition

_numbers = itertools.count(1)


@pytest.fixture(scope="package")
def platform() -> Iterator[Cluster]:
    with cluster() as running:
        running.run(running.client.create(CUSTOM_RESOURCE_DEFINITIONS, definition()))
        api = Api.of(Path(running.kubeconfig))
        eventually(lambda: api.call("GET", f"/apis/{GROUP}/v1/widgets").code == 200, "widgets are served")
        yield running


@pytest.fixture
def namespace(platform: Cluster) -> str:
    """A new namespace in which pods may be created. Nobody waits for its end: the platform ends with the package."""
    name = f"test-{next(_numbers)}"
    made: dict[str, Any] = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}
    platform.run(platform.client.create(NAMESPACES, made))
    eventually(lambda: platform.run(platform.client.get_or_none(SERVICE_ACCOUNTS, "default", name)), "the namespace is ready")
    return name


HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Clients of others may leave sockets to the garbage collector, whenever that runs; what we leave open is told of everywhere else."""
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning"))


@pytest.fixture(autouse=True, scope="module")
def leftovers() -> Iterator[None]:
    """What a client leaves open is collected with its own module, not blamed on the next."""
    yield
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        gc.collect()
