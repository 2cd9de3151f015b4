"""Asking the file system to keep directories apart: done where it knows how, harmless elsewhere."""

import subprocess
from pathlib import Path

import pytest

from lightship.node.machine import spreading


def file_system(path: Path) -> str:
    return subprocess.run(["stat", "-f", "-c", "%T", path], capture_output=True, text=True, check=True).stdout.strip()


def test_directories_of_an_ext4_are_of_the_top_level(tmp_path: Path) -> None:
    if file_system(tmp_path) != "ext2/ext3":
        pytest.skip("no ext4 here")
    spreading.spread(tmp_path)
    spreading.spread(tmp_path)
    (tmp_path / "pod").mkdir()
    flags = subprocess.run(["lsattr", "-d", tmp_path, tmp_path / "pod"], capture_output=True, text=True, check=True).stdout.splitlines()
    assert ["T" in line.split()[0] for line in flags] == [True, False]


def test_elsewhere_nothing_happens(tmp_path: Path) -> None:
    spreading.spread(Path("/proc"))
    spreading.spread(tmp_path / "none")
