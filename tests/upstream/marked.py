"""What modules of tests are marked with that run programs of upstream's."""

from typing import Any

import pytest
from oracle.worlds import BASE

from oracle import manifests, programs


def marks(*needed: str, files: tuple[str, ...] = ()) -> list[Any]:
    """Marks of a module that needs those programs, and what every world does; it skips, with the reason, where one is missing."""
    absent = [*programs.missing(*BASE, *needed), *manifests.missing("kwok", "stages", *files)]
    return [
        pytest.mark.oracle,
        pytest.mark.slow,
        pytest.mark.skipif(bool(absent), reason=f"`oracle/build` makes what is missing: {', '.join(absent)}"),
    ]
