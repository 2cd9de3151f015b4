"""What holds for all tests: those that run real programs get a second chance, which the summary shows as a rerun.

A kube-apiserver, a client of somebody else's, or sixteen processes at once that start too slowly on a busy machine say little about
Lightship. A test that fails twice in a row does, and so does a rerun that is seen again and again. Tests in virtual time, and all that
takes less than a quarter of a second, have no second chance.
"""

from pathlib import Path

import pytest

_FOREIGN = ("clients", "upstream")
_HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        marked = item.get_closest_marker("oracle") or item.get_closest_marker("slow")
        if marked or item.path.relative_to(_HERE).parts[0] in _FOREIGN:
            item.add_marker(pytest.mark.flaky(reruns=1))
