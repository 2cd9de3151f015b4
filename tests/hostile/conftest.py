"""Attacks take minutes and a machine of their own, so they run when they are asked for: LIGHTSHIP_HOSTILE=1."""

import os

import pytest

ASKED = os.environ.get("LIGHTSHIP_HOSTILE") == "1"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = os.path.dirname(__file__)
    for item in items:
        if str(item.path).startswith(here) and not ASKED:
            item.add_marker(pytest.mark.skip(reason="attacks run with LIGHTSHIP_HOSTILE=1"))
