"""The README's promise: its first two `sh` blocks are the two commands, alone, and both exist."""

import os
import re
import shutil
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


def test_the_door_installs_when_what_is_needed_has_changed(tmp_path: Path) -> None:
    """With a Python that only writes down how it is called: nothing is installed twice, and nothing old is kept."""
    for name in ("lightship", "pyproject.toml", "constraints.txt"):
        (tmp_path / name).write_text((ROOT / name).read_text())
    commands = tmp_path / ".venv" / "bin"
    commands.mkdir(parents=True)
    for name in ("python", "lightship"):
        (commands / name).write_text(f'#!/bin/sh\necho "{name} $*" >> "{tmp_path}/calls"\n')
        (commands / name).chmod(0o755)
    (tmp_path / "tools").mkdir()
    for tool in ("sh", "dirname", "cat", "cksum", "grep"):
        (tmp_path / "tools" / tool).symlink_to(str(shutil.which(tool)))

    def calls() -> list[str]:
        (tmp_path / "calls").write_text("")
        env = {"PATH": str(tmp_path / "tools")}
        subprocess.run(["sh", str(tmp_path / "lightship"), "status"], env=env, capture_output=True, check=True)
        return [" ".join(line.split()[:3]) for line in (tmp_path / "calls").read_text().splitlines()]

    assert calls() == ["python -m pip", "lightship status"]
    assert calls() == ["lightship status"], "installed already"
    (tmp_path / "constraints.txt").write_text("msgspec==0.20\n")
    assert calls() == ["python -m pip", "lightship status"], "what is needed has changed"
    (tmp_path / ".venv" / ".installed-core").rename(tmp_path / ".venv" / ".installed-demo,fast")
    assert calls() == ["lightship status"], "the demo's environment has the core"
