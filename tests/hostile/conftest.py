"""What takes minutes and most of a machine is marked `soak` and runs when it is asked for: -m soak."""

import pytest


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if "soak" in (config.option.markexpr or ""):
        return
    for item in items:
        if item.get_closest_marker("soak"):
            item.add_marker(pytest.mark.skip(reason="attacks of minutes run with -m soak"))
