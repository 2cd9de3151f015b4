"""Sub paths stay in their volume, whatever others put there."""

import os
import stat
from pathlib import Path

import pytest

from lightship.node.launch import subpath
from lightship.node.launch.subpath import SubPathError


def resolve(volume: Path, sub_path: str) -> Path:
    return Path(subpath.resolve(str(volume), sub_path, "it")).relative_to(volume.resolve())


@pytest.fixture
def volume(tmp_path: Path) -> Path:
    """A volume beside a secret."""
    (tmp_path / "secret").mkdir()
    (tmp_path / "secret/file").write_text("s")
    made = tmp_path / "volume"
    made.mkdir()
    made.chmod(0o2775)
    return made


def test_missing_directories_are_made_like_the_volume(volume: Path) -> None:
    before = os.umask(0o077)
    try:
        assert resolve(volume, "a/./b//c") == Path("a/b/c")
    finally:
        os.umask(before)
    assert {stat.S_IMODE((volume / p).stat().st_mode) for p in ("a", "a/b", "a/b/c")} == {0o2775}


def test_files_and_links_inside(volume: Path) -> None:
    (volume / "..1").mkdir()
    (volume / "..1/key").write_text("v")
    (volume / "..data").symlink_to("..1")
    (volume / "key").symlink_to("..data/key")
    (volume / "absolute").symlink_to(volume / "..1")
    assert resolve(volume, "key") == Path("..1/key")
    assert resolve(volume, "absolute/key") == Path("..1/key")
    assert resolve(volume, "absolute/new") == Path("..1/new")


@pytest.mark.parametrize("link", ["/", "../secret", "..", "/proc/self/root"])
@pytest.mark.parametrize("below", ["", "/file", "/new", "/new/er"])
def test_links_that_lead_out(volume: Path, link: str, below: str) -> None:
    before = sorted(volume.parent.rglob("*"))
    (volume / "out").symlink_to(link)
    with pytest.raises(SubPathError, match=r"failed to (prepare subPath|create subPath directory) for it"):
        resolve(volume, "out" + below)
    (volume / "out").unlink()
    assert sorted(volume.parent.rglob("*")) == before


@pytest.mark.parametrize("sub_path", ["/etc", "..", "../secret", "a/../../secret"])
def test_paths_that_lead_out(volume: Path, sub_path: str) -> None:
    with pytest.raises(SubPathError):
        resolve(volume, sub_path)
    assert not list(volume.iterdir())


def test_a_file_is_no_directory_and_a_dangling_link_no_place(volume: Path) -> None:
    (volume / "file").write_text("")
    (volume / "nowhere").symlink_to("gone")
    for sub_path in ("file/x", "nowhere", "nowhere/x"):
        with pytest.raises(SubPathError, match="failed to create subPath directory for it"):
            resolve(volume, sub_path)


def test_what_is_swapped_for_a_link_after_the_look_is_not_followed(volume: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (volume / "a").mkdir()
    (volume / "a/file").write_text("ours")
    true = os.path.realpath

    def swapping(path: str) -> str:
        found = true(path)
        if path.endswith("a/file") and not (volume / "a").is_symlink():
            (volume / "a").rename(volume / "b")
            (volume / "a").symlink_to("../secret")
        return found

    monkeypatch.setattr(os.path, "realpath", swapping)
    before = len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else 0
    with pytest.raises(SubPathError, match="failed to prepare subPath for it"):
        subpath.prepare(str(volume), "a/file", "it")
    if before:
        assert len(os.listdir("/proc/self/fd")) == before
