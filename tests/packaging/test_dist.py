"""The wheel and the sdist: what is in them, that they install into an empty environment and start there, and what that weighs."""

import json
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from email.parser import HeaderParser
from importlib.util import find_spec
from pathlib import Path

import pytest

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(find_spec("build") is None or find_spec("hatchling") is None, reason="needs build and hatchling (the dev extra)"),
]
ROOT = Path(__file__).parent.parent.parent
UV = shutil.which("uv") or shutil.which("uv", path=str(Path(sys.executable).parent))
CORE_LIMIT = 40 * 2**20
"""Bytes that the core may weigh, installed with all it needs."""


def call(*command: str | Path, env: dict[str, str] | None = None) -> str:
    ended = subprocess.run([str(word) for word in command], capture_output=True, text=True, timeout=300, check=False, env=env)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout


@pytest.fixture(scope="module")
def dist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Both built, the wheel from the sdist, as a packager would."""
    where = tmp_path_factory.mktemp("dist")
    call(sys.executable, "-m", "build", "--no-isolation", "--outdir", where, ROOT)
    return where


@pytest.fixture(scope="module")
def wheel(dist: Path) -> Path:
    (found,) = dist.glob("lightship-*-py3-none-any.whl")
    return found


@pytest.fixture(scope="module")
def environment(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty environment with the wheel and what it needs."""
    if UV is None:
        pytest.skip("needs uv")
    where = tmp_path_factory.mktemp("environment") / "venv"
    call(UV, "venv", "--quiet", "--python", sys.executable, where)
    call(UV, "pip", "install", "--quiet", "--python", where / "bin" / "python", "-c", ROOT / "constraints.txt", wheel)
    return where


def test_what_the_wheel_holds(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        metadata = HeaderParser().parsestr(archive.read(next(n for n in names if n.endswith("METADATA"))).decode())
        entry_points = archive.read(next(n for n in names if n.endswith("entry_points.txt"))).decode()
    assert {name.split("/")[0] for name in names} == {"lightship", names[-1].split("/")[0]}, "nothing beside the package"
    files = [path for path in (ROOT / "src" / "lightship").rglob("*") if path.is_file() and "__pycache__" not in path.parts]
    source = {str(path.relative_to(ROOT / "src")) for path in files}
    packed = {f"{name}.gz" if "/data/" in name and name.endswith(".json") else name for name in source if not name.endswith("README.md")}
    assert packed <= set(names), "package data"
    assert not [name for name in names if name.endswith("README.md")], "what rooms say of themselves stays with the sources"
    assert any(name.startswith("lightship/kinds/data/") for name in names)
    assert "lightship/py.typed" in names
    assert not [name for name in names if "/test_" in name or "/tests/" in name or "__pycache__" in name]
    assert metadata["Name"] == "lightship"
    assert metadata["License-Expression"] == "Apache-2.0"
    assert metadata["Requires-Python"] == ">=3.11"
    assert {"train", "demo", "fast"} <= set(metadata.get_all("Provides-Extra") or [])
    assert any(name.endswith("licenses/LICENSE") for name in names)
    assert "lightship = lightship.__main__:run" in entry_points
    assert "[pytest11]" in entry_points


def test_what_the_sdist_holds(dist: Path) -> None:
    (found,) = dist.glob("lightship-*.tar.gz")
    with tarfile.open(found) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    wanted = {"pyproject.toml", "README.md", "LICENSE", "lightship", "constraints.txt", "src/lightship/__init__.py", "tests/test_house.py"}
    assert wanted <= names, wanted - names
    assert not [name for name in names if name.startswith((".venv", "dist", ".git/", "shared")) or "__pycache__" in name]


def test_the_core_is_light(environment: Path, record_property: Callable[[str, object], None], capsys: pytest.CaptureFixture[str]) -> None:
    (packages,) = environment.glob("lib/python*/site-packages")
    sizes: dict[str, int] = {}
    for path in packages.rglob("*"):
        if path.is_file() and path.relative_to(packages).parts[0] != "pip":
            top = path.relative_to(packages).parts[0]
            sizes[top] = sizes.get(top, 0) + path.stat().st_size
    total = sum(sizes.values())
    heaviest = ", ".join(f"{name} {size / 1e6:.1f}" for name, size in sorted(sizes.items(), key=lambda item: -item[1])[:5])
    record_property("core bytes", total)
    with capsys.disabled():
        print(f"\ncore install: {total / 1e6:.1f} MB ({heaviest})", end="")
    assert total < CORE_LIMIT


@pytest.fixture
def home() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="ls-") as directory:
        yield Path(directory)


def test_it_runs_from_there(environment: Path, home: Path) -> None:
    env = {"PATH": os.environ["PATH"], "HOME": str(home), "LIGHTSHIP_HOME": str(home / "platforms"), "PYTHONWARNINGS": "error"}
    lightship = environment / "bin" / "lightship"
    assert "Usage: lightship" in call(lightship, "--help", env=env)
    told = json.loads(call(lightship, "up", "-o", "json", env=env))
    try:
        assert json.loads(call(lightship, "status", "-o", "json", env=env)) == told
        assert "Ready" in call(lightship, "get", "nodes", env=env)
        assert "torch-distributed" in call(lightship, "train", "runtimes", env=env)
    finally:
        assert call(lightship, "down", env=env).startswith("stopped")


def test_the_demo_says_what_it_lacks_there(environment: Path, home: Path) -> None:
    env = {"PATH": os.environ["PATH"], "HOME": str(home), "LIGHTSHIP_HOME": str(home / "platforms")}
    ended = subprocess.run([environment / "bin" / "lightship", "demo"], capture_output=True, text=True, timeout=60, check=False, env=env)
    assert ended.returncode == 1
    assert not (home / "platforms").exists(), "it says so before it starts anything"
    assert 'hint: pip install "lightship[demo]"' in ended.stderr
    assert "Traceback" not in ended.stderr
