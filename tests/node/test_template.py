"""What a template loads ahead of its children, where it goes wrong. (What children make of it: `test_warm`, `test_warm_torch`.)"""

import sys
from pathlib import Path

import pytest

from lightship.node.launch import template


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.syspath_prepend(tmp_path)
    for name in ("half", "half.inner", "whole"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    return tmp_path


def test_what_is_not_there_is_done_without(place: Path) -> None:
    (place / "whole.py").write_text("")
    assert (template._imported("whole"), template._imported("half")) == (True, False)
    (place / "half.py").write_text("import no_such_thing\n")
    assert not template._imported("half")


def test_half_a_package_makes_no_template(place: Path) -> None:
    """Its children would find its inner modules loaded, and what they belong to not: `import torch` fails so."""
    (place / "half").mkdir()
    (place / "half" / "inner.py").write_text("")
    (place / "half" / "__init__.py").write_text("import half.inner\nraise OSError('nowhere to write')\n")
    with pytest.raises(OSError, match="nowhere to write"):
        template._imported("half")
