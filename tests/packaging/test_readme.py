"""The README's promise: its first two `sh` blocks are the two commands, alone, and both exist."""

import os
import re
import subprocess
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent


def blocks() -> list[str]:
    return re.findall(r"^```sh\n(.*?)^```$", (ROOT / "README.md").read_text(), re.MULTILINE | re.DOTALL)


def test_the_first_two_blocks_are_the_two_commands() -> None:
    assert blocks()[:2] == ["./lightship demo\n", "./lightship test\n"]


def test_the_door_can_be_opened_by_any_shell() -> None:
    door = ROOT / "lightship"
    assert os.access(door, os.X_OK)
    assert door.read_text().startswith("#!/bin/sh\n")
    subprocess.run(["sh", "-n", str(door)], check=True)
    subprocess.run(["sh", "-n", str(ROOT / ".ci" / "run")], check=True)


def test_continuous_integration_runs_the_second_command() -> None:
    assert "./lightship test" in (ROOT / ".ci" / "run").read_text()
    assert os.access(ROOT / ".ci" / "run", os.X_OK)


def test_pages_that_the_readme_links_to_are_there() -> None:
    links = re.findall(r"\]\(([^)#]+)\)", (ROOT / "README.md").read_text())
    missing = [link for link in links if "://" not in link and not (ROOT / link).exists()]
    assert missing == []


def test_the_door_says_what_is_missing(tmp_path: Path) -> None:
    """A machine without a Python that is new enough: one line, one hint."""
    (tmp_path / "lightship").write_text((ROOT / "lightship").read_text())
    (tmp_path / "bin").mkdir()
    for tool in ("sh", "dirname", "cat", "cksum", "printf", "find"):
        found = subprocess.run(["sh", "-c", f"command -v {tool}"], capture_output=True, text=True, check=True).stdout.strip()
        if found.startswith("/"):
            (tmp_path / "bin" / tool).symlink_to(found)
    ended = subprocess.run(
        ["sh", str(tmp_path / "lightship"), "up"], env={"PATH": str(tmp_path / "bin")}, capture_output=True, text=True, check=False
    )
    assert ended.returncode == 1
    assert "Python 3.11 or newer is needed" in ended.stderr
    assert "hint: install one" in ended.stderr
    assert not (tmp_path / ".venv").exists()
