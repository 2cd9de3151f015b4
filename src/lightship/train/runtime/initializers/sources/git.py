"""git:// and git+https://, git+http://, git+ssh://, git+file://: a commit of a repository, without its history.

    git+https://host/repository.git@ref#subdirectory=path       ref: branch, tag or commit; without it what the server calls HEAD

The ref is looked up once, and what is checked out is the commit that it was. Objects are fetched into a bare repository that jobs of a
namespace share (`downloads`), checked by their own names before they are used again. ACCESS_TOKEN is sent as the password of whoever.
Runs the program `git`; a fetch that is cut short begins anew, one that has ended is not repeated.
"""

import base64
import os
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple
from urllib.parse import unquote, urlsplit

from lightship.train.runtime.initializers import patterns
from lightship.train.runtime.initializers.downloads import Downloads
from lightship.train.runtime.initializers.problems import MissingError, MisuseError, RefusedError, UnreachableError, of_disk
from lightship.train.runtime.initializers.progress import Progress
from lightship.train.runtime.initializers.settings import Settings, safe

_COMMIT = re.compile("[0-9a-f]{40}([0-9a-f]{24})?")
_POINTER = b"version https://git-lfs.github.com/spec"
_ATTEMPTS = 4
_NOT_THERE = ("not found", "does not exist", "does not appear to be a git repository", "no such")
_NOT_ALLOWED = (
    "authentication failed",
    "could not read username",
    "could not read password",
    "permission denied",
    "returned error: 403",
    "returned error: 401",
)


class Place(NamedTuple):
    """What a URI says."""

    url: str
    ref: str
    subdirectory: str


def parse(uri: str) -> Place:
    """Raises `MisuseError`."""
    split = urlsplit(uri)
    path, _, ref = split.path.partition("@")
    fields = dict(part.partition("=")[::2] for part in split.fragment.split("&") if part)
    if set(fields) - {"subdirectory"}:
        raise MisuseError(f'"#{split.fragment}" of the URI says what git sources do not know: write #subdirectory=path')
    subdirectory = unquote(fields.get("subdirectory", "")).strip("/")
    if ref.startswith("-") or ".." in subdirectory.split("/") or (split.scheme != "git+file" and not split.hostname):
        raise MisuseError(f"{safe(uri)} is no git repository: write git+https://host/repository.git@ref#subdirectory=path")
    url = split._replace(scheme=split.scheme.removeprefix("git+"), path=path, fragment="").geturl()
    return Place(url, unquote(ref) or "HEAD", subdirectory)


def check_out(settings: Settings, downloads: Downloads | None, progress: Progress, pause: Callable[[float], object]) -> None:
    """Bring the files to the target. Raises `InitializerError`."""
    if shutil.which("git") is None:
        raise MisuseError(f"{settings.scheme}:// needs the program git, which this image does not have: install it there")
    place = parse(settings.uri)
    state = Path(settings.state)
    try:
        state.mkdir(parents=True, exist_ok=True)
        repository = downloads.repository(place.url) if downloads else state / "git"
        lock = downloads.lock(place.url, wait=True) if downloads else None
        try:
            _Checkout(settings, place, repository, progress, pause).run(state / "index")
            if downloads:
                downloads.used(repository)
        finally:
            if lock is not None:
                lock.release()
    except OSError as error:
        raise of_disk(error, settings.target) from error


class _Checkout:
    def __init__(self, settings: Settings, place: Place, repository: Path, progress: Progress, pause: Callable[[float], object]) -> None:
        self._settings = settings
        self._place = place
        self._repository = repository
        self._progress = progress
        self._pause = pause
        self._where = f"{settings.scheme.removeprefix('git+')} repository {safe(place.url)}"
        self._environment = _environment(settings, place.url)
        self._at: str | None = None

    def run(self, index: Path) -> None:
        commit = self._resolve()
        self._progress.say(f"{self._place.ref} is commit {commit}")
        self._fetch(commit)
        index.unlink(missing_ok=True)
        target = Path(self._settings.target)
        target.mkdir(parents=True, exist_ok=True)
        self._environment |= {"GIT_INDEX_FILE": str(index), "GIT_WORK_TREE": str(target)}
        self._at = str(target)
        tree = f"{commit}:{self._place.subdirectory}" if self._place.subdirectory else commit
        if self._git("cat-file", "-t", tree, check=False).strip() not in ("tree", "commit"):
            raise MissingError(f"{self._where}: there is no directory {self._place.subdirectory} in {commit}")
        self._git("read-tree", tree)
        wanted = list(self._wanted())
        if not wanted:
            raise MissingError(f"{self._where}: there is nothing in it that patterns let through")
        names = "".join(f"{name}\0" for name in wanted)
        self._git("checkout-index", "-z", "--stdin", "--force", given=names)
        _refuse_pointers(target, wanted)
        self._progress.add(objects=len(wanted), done=len(wanted))

    def _wanted(self) -> Iterator[str]:
        for name in self._git("ls-files", "-z").split("\0"):
            if name and patterns.wanted(name, self._settings.allow, self._settings.ignore):
                yield name

    def _resolve(self) -> str:
        """The commit that the ref is now."""
        ref = self._place.ref
        if _COMMIT.fullmatch(ref):
            return ref
        found = {}
        for line in self._patiently("ls-remote", self._place.url, ref, f"{ref}^{{}}").splitlines():
            commit, _, name = line.partition("\t")
            found[name] = commit
        # A tag that has a message points to an object that points to the commit.
        wanted = (ref, f"refs/heads/{ref}", f"refs/tags/{ref}^{{}}", f"refs/tags/{ref}", f"{ref}^{{}}")
        commit = next((found[name] for name in wanted if name in found), "")
        if not commit:
            raise MissingError(f"{self._where}: there is no branch or tag {ref}")
        return commit

    def _fetch(self, commit: str) -> None:
        if self._repository.exists() and self._has(commit) and not self._sound():
            self._progress.say("what an earlier job had fetched is damaged on this machine's disk, fetching it again")
            shutil.rmtree(self._repository)
        if not self._repository.exists():
            self._git("init", "--quiet", "--bare", str(self._repository), inside=False)
        for left in (*self._repository.rglob("*.lock"), *self._repository.glob("objects/pack/tmp_*")):
            left.unlink()  # of one that was killed: the lock is ours
        if self._has(commit):
            return
        try:
            self._patiently("fetch", "--quiet", "--depth=1", "--no-tags", self._place.url, commit)
        except (MissingError, UnreachableError):  # servers may give single commits to nobody, and plain files have no shallow clones
            refs = ("+refs/heads/*:refs/lightship/heads/*", "+refs/tags/*:refs/lightship/tags/*")
            self._patiently("fetch", "--quiet", "--no-tags", self._place.url, *refs)
        if not self._has(commit):
            raise MissingError(f"{self._where}: there is no commit {commit}")

    def _has(self, commit: str) -> bool:
        return self._git("cat-file", "-t", commit, check=False).strip() == "commit"

    def _sound(self) -> bool:
        return self._run("fsck", "--full", "--no-dangling", "--no-progress").returncode == 0

    def _patiently(self, *arguments: str) -> str:
        """Ask the server, more than once if it does not answer."""
        for attempt in range(_ATTEMPTS):
            try:
                return self._git(*arguments, inside=self._repository.exists())
            except UnreachableError as error:
                if attempt == _ATTEMPTS - 1:
                    raise
                self._progress.say(f"{error}; trying again")
                self._pause(2.0**attempt)
        raise AssertionError

    def _git(self, *arguments: str, inside: bool = True, check: bool = True, given: str | None = None) -> str:
        done = self._run(*arguments, inside=inside, given=given)
        if check and done.returncode:
            raise self._problem(done.stderr)
        return done.stdout

    def _run(self, *arguments: str, inside: bool = True, given: str | None = None) -> "subprocess.CompletedProcess[str]":
        where = [f"--git-dir={self._repository}"] if inside else []
        command = ["git", *where, *arguments]
        return subprocess.run(
            command, env=self._environment, cwd=self._at, input=given, capture_output=True, text=True, errors="surrogateescape", check=False
        )

    def _problem(self, said: str) -> MissingError | RefusedError | UnreachableError:
        lines = [line.strip() for line in said.splitlines() if line.strip()]
        words = next((line for line in lines if line.startswith(("fatal:", "error:"))), lines[-1] if lines else "git failed")
        lower = said.lower()
        if any(text in lower for text in _NOT_ALLOWED):
            return RefusedError(f"{self._where}: not with these credentials; give ACCESS_TOKEN of a user who may read it ({words})")
        if any(text in lower for text in _NOT_THERE):
            return MissingError(f"{self._where}: {words}")
        return UnreachableError(f"no answer from {self._where}: {words}")


def _environment(settings: Settings, url: str) -> dict[str, str]:
    """Without questions to anybody, and with the token where no list of processes shows it."""
    config = {"safe.directory": "*", "gc.auto": "0"}
    token, split = settings.given("ACCESS_TOKEN"), urlsplit(url)
    if token and split.scheme in ("https", "http"):
        basic = base64.b64encode(f"x-access-token:{token}".encode()).decode()
        config[f"http.{split.scheme}://{split.netloc.rpartition('@')[2]}/.extraHeader"] = f"Authorization: Basic {basic}"
    found = {**os.environ, "GIT_TERMINAL_PROMPT": "0", "LC_ALL": "C", "GIT_CONFIG_COUNT": str(len(config))}
    found |= {"GIT_SSH_COMMAND": os.environ.get("GIT_SSH_COMMAND", "ssh -o BatchMode=yes")}
    for number, (name, value) in enumerate(config.items()):
        found |= {f"GIT_CONFIG_KEY_{number}": name, f"GIT_CONFIG_VALUE_{number}": value}
    return found


def _refuse_pointers(target: Path, names: list[str]) -> None:
    """Nobody wants to train on the pointers of Git LFS."""
    for name in names:
        path = target / name
        if path.is_symlink() or not path.is_file() or path.stat().st_size > 1024:
            continue
        with path.open("rb") as file:
            if file.read(len(_POINTER)) == _POINTER:
                raise MisuseError(
                    f"{name} is a pointer of Git LFS, whose contents git does not have: fetch it by https://, or leave it out by a pattern"
                )
