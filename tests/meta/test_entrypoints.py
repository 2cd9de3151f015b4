"""Entry points of other packages: found by reading, loaded on demand, and broken ones told."""

import sys
from pathlib import Path

import pytest

from lightship.meta import entrypoints
from lightship.meta.entrypoints import EntryPoint, LoadError

GROUP = "lightship.tests"


def package(place: Path, name: str, text: str, version: str = "1.0") -> None:
    info = place / f"{name}-{version}.dist-info"
    info.mkdir(parents=True)
    (info / "entry_points.txt").write_text(text)


def test_the_points_of_a_group_by_name(tmp_path: Path) -> None:
    package(
        tmp_path,
        "acme_ring",
        f"[console_scripts]\nring = acme:main\n\n[{GROUP}]\n# ours\nring = acme.ring:PLUGIN [extra]\nmesh=acme.mesh\n",
    )
    package(tmp_path, "bare", "[console_scripts]\nbare = bare:main\n")
    want = [EntryPoint("mesh", "acme.mesh", "acme-ring", "1.0"), EntryPoint("ring", "acme.ring:PLUGIN", "acme-ring", "1.0")]
    assert entrypoints.scan(GROUP, [str(tmp_path), str(tmp_path / "gone")]) == want


def test_the_first_installation_of_a_package_counts(tmp_path: Path) -> None:
    package(tmp_path / "a", "acme", f"[{GROUP}]\nring = new:PLUGIN\n", "2.0")
    package(tmp_path / "b", "acme", f"[{GROUP}]\nring = old:PLUGIN\nmesh = old:PLUGIN\n", "1.0")
    assert entrypoints.scan(GROUP, [str(tmp_path / "a"), str(tmp_path / "b")]) == [EntryPoint("ring", "new:PLUGIN", "acme", "2.0")]


def test_what_this_interpreter_has_is_what_the_standard_library_finds() -> None:
    from importlib import metadata

    want = {(p.name, p.value) for p in metadata.entry_points(group="pytest11")}
    assert {(p.name, p.value) for p in entrypoints.scan("pytest11", sys.path)} == want


def test_loading() -> None:
    assert entrypoints.load(EntryPoint("a", "lightship.meta.entrypoints:EntryPoint.origin", "acme", "1")) is EntryPoint.origin
    assert entrypoints.load(EntryPoint("a", "lightship.meta.entrypoints", "acme", "1")) is entrypoints


@pytest.mark.parametrize(
    ("code", "want"),
    [
        ("raise SystemExit(3)", "SystemExit: 3"),
        ("import no_such_thing", "No module named 'no_such_thing'"),
        ("", "has no attribute 'PLUGIN'"),
    ],
)
def test_a_broken_module_is_one_clear_error(code: str, want: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "acme_broken.py").write_text(code)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "acme_broken", raising=False)
    with pytest.raises(LoadError, match='"ring" of package acme 1.0 cannot be loaded: .*' + want):
        entrypoints.load(EntryPoint("ring", "acme_broken:PLUGIN", "acme", "1.0"))
    sys.modules.pop("acme_broken", None)
