"""git: repositories on this disk, by their own protocol and as plain files behind http."""

import os
import subprocess
from pathlib import Path

import pytest

from lightship.train.runtime.initializers.problems import MissingError, MisuseError, UnreachableError
from lightship.train.runtime.initializers.sources.git import parse
from tests.train.initializers.servers import Web
from tests.train.initializers.stage import contents, run

pytestmark = pytest.mark.slow


def git(*arguments: str, at: Path) -> str:
    who = {f"GIT_{role}_{what}": value for role in ("AUTHOR", "COMMITTER") for what, value in (("NAME", "n"), ("EMAIL", "e@e"))}
    environment = {**os.environ, **who, "GIT_CONFIG_GLOBAL": "/dev/null"}
    return subprocess.run(["git", *arguments], cwd=at, env=environment, check=True, capture_output=True, text=True).stdout.strip()


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """Two commits; the first has a tag, the second is a branch's and HEAD."""
    place = tmp_path / "repository"
    (place / "data").mkdir(parents=True)
    git("init", "--quiet", "--initial-branch=main", at=place)
    (place / "data" / "a.txt").write_text("first")
    git("add", ".", at=place)
    git("commit", "--quiet", "-m", "first", at=place)
    git("tag", "-a", "v1", "-m", "one", at=place)
    (place / "data" / "a.txt").write_text("second")
    (place / "README.md").write_text("about")
    git("add", ".", at=place)
    git("commit", "--quiet", "-m", "second", at=place)
    git("config", "uploadpack.allowAnySHA1InWant", "true", at=place)
    return place


def test_refs_and_subdirectories(repository: Path, tmp_path: Path) -> None:
    uri = f"git+file://{repository}"
    lines = run(tmp_path / "head", uri)
    assert contents(tmp_path / "head" / "dataset") == {"README.md": b"about", "data/a.txt": b"second"}
    assert f"HEAD is commit {git('rev-parse', 'HEAD', at=repository)}" in lines
    run(tmp_path / "tag", f"{uri}@v1")
    assert contents(tmp_path / "tag" / "dataset") == {"data/a.txt": b"first"}
    run(tmp_path / "part", f"{uri}@main#subdirectory=data")
    assert contents(tmp_path / "part" / "dataset") == {"a.txt": b"second"}
    commit = git("rev-parse", "v1^{commit}", at=repository)
    run(tmp_path / "commit", f"{uri}@{commit}", IGNORE_PATTERNS="*.md")
    assert contents(tmp_path / "commit" / "dataset") == {"data/a.txt": b"first"}
    history = git("rev-list", "--count", "--all", at=tmp_path / "part" / ".lightship" / "dataset" / "git")
    assert history == "0", "a single commit, which no ref holds"


def test_what_was_fetched_is_shared_and_looked_through(repository: Path, tmp_path: Path) -> None:
    (tmp_path / "d").mkdir()
    uri = f"git+file://{repository}"
    run(tmp_path / "one", uri, LIGHTSHIP_DOWNLOADS=str(tmp_path / "d"))
    kept = next((tmp_path / "d" / "git").iterdir())
    packs = list(kept.glob("objects/pack/*.pack")) + list(kept.glob("objects/??/*"))
    assert packs
    times = [p.stat().st_mtime_ns for p in packs]
    run(tmp_path / "two", uri, LIGHTSHIP_DOWNLOADS=str(tmp_path / "d"))
    assert [p.stat().st_mtime_ns for p in packs] == times, "nothing was fetched"
    for path in packs:
        path.chmod(0o644)
        path.write_bytes(path.read_bytes()[:-25] + b"spoilt" + path.read_bytes()[-19:])
    (kept / "shallow.lock").touch()  # of one that was killed
    lines = run(tmp_path / "three", uri, LIGHTSHIP_DOWNLOADS=str(tmp_path / "d"))
    assert any("damaged" in line for line in lines)
    for name in "one", "two", "three":
        assert contents(tmp_path / name / "dataset") == {"README.md": b"about", "data/a.txt": b"second"}


def test_a_repository_as_plain_files(repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "*")
    git("clone", "--quiet", "--bare", str(repository), str(tmp_path / "bare.git"), at=tmp_path)
    git("update-server-info", at=tmp_path / "bare.git")
    with Web({f"bare.git/{name}": body for name, body in contents(tmp_path / "bare.git").items()}) as web:
        run(tmp_path / "w", f"git+{web.url}/bare.git@v1", ACCESS_TOKEN="mine")
        assert contents(tmp_path / "w" / "dataset") == {"data/a.txt": b"first"}
        assert {asked.headers.get("authorization") for asked in web.asked} == {"Basic eC1hY2Nlc3MtdG9rZW46bWluZQ=="}
        with pytest.raises(MissingError, match="not found"):
            run(tmp_path / "v", f"git+{web.url}/none.git")


def test_refusals(repository: Path, tmp_path: Path) -> None:
    uri = f"git+file://{repository}"
    with pytest.raises(MissingError, match="there is no branch or tag none"):
        run(tmp_path / "w", f"{uri}@none")
    with pytest.raises(MissingError, match="there is no directory none"):
        run(tmp_path / "w", f"{uri}#subdirectory=none")
    with pytest.raises(MissingError, match="patterns"):
        run(tmp_path / "w", uri, IGNORE_PATTERNS="*")
    with pytest.raises(MissingError, match="does not appear to be a git repository"):
        run(tmp_path / "w", f"git+file://{tmp_path}/none")
    with pytest.raises(UnreachableError, match="no answer from http repository"):
        run(tmp_path / "w", "git+http://127.0.0.1:9/none")
    (repository / "weights.bin").write_text("version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n")
    git("add", ".", at=repository)
    git("commit", "--quiet", "-m", "pointer", at=repository)
    with pytest.raises(MisuseError, match=r"weights.bin is a pointer of Git LFS"):
        run(tmp_path / "w", uri)


@pytest.mark.parametrize(
    ("uri", "want"),
    [
        ("git://h/a.git", ("git://h/a.git", "HEAD", "")),
        ("git+https://u@h/a.git@feature/x#subdirectory=b/c", ("https://u@h/a.git", "feature/x", "b/c")),
        ("git+ssh://git@h/a.git@v1", ("ssh://git@h/a.git", "v1", "")),
    ],
)
def test_uris(uri: str, want: tuple[str, str, str]) -> None:
    assert parse(uri) == want


@pytest.mark.parametrize("uri", ["git+https:///a", "git+https://h/a@-x", "git+https://h/a#subdirectory=../b", "git+https://h/a#egg=b"])
def test_uris_that_make_no_sense(uri: str) -> None:
    with pytest.raises(MisuseError, match="write"):
        parse(uri)
