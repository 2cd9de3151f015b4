"""What holds for all tests: those that run programs of others get a second chance, which the summary shows as a rerun.

A kube-apiserver, an operator or a client of somebody else's that starts too slowly on a busy machine says nothing about Lightship. A test
that fails twice in a row does. Tests of our code alone have no second chance.
"""

from pathlib import Path

import pytest

_FOREIGN = ("clients", "upstream")
_HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.get_closest_marker("oracle") or item.path.relative_to(_HERE).parts[0] in _FOREIGN:
            item.add_marker(pytest.mark.flaky(reruns=1))
