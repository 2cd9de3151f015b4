"""Cached Python environments: what an image's packages are turned into, once per machine, shared by all instances.

An environment is (1) a thin virtual environment over an interpreter that has the packages already, made in milliseconds, or (2) one into
which the packages were installed, with uv where there is one. Both see the base interpreter's packages and the user's (`pip install
--user` works in a pod), and always have pip. They live below `~/.cache/lightship/environments` (LIGHTSHIP_CACHE overrides), are built
under another name and renamed, with a lock file per environment: neither a crash nor a second builder leaves half of one behind.
Called by `images`.
"""

import asyncio
import fcntl
import hashlib
import os
import shutil
import sys
import venv
import zipfile
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from importlib import util
from pathlib import Path

import msgspec

from lightship.aio.clock import Clock

from . import interpreter
from .interpreter import Interpreter

Progress = Callable[[str], None]
"""Told one line whenever something worth showing happens."""

VERSION = 2
"""Part of every name: raise it when what is built changes."""
LOCK_POLL = 0.2
"""Seconds between tries for another builder's lock."""


class Environment(msgspec.Struct, frozen=True, kw_only=True):
    """What a container runs in, instead of an image's file system."""

    name: str
    path: list[str]
    """Directories for PATH, before those of the host."""
    variables: dict[str, str] = {}
    read_only_paths: list[str] = []
    command: list[str] = []
    """What runs when the container says nothing."""
    python: str = ""
    """The interpreter that `python` means inside; empty when the image brings none of ours."""
    packages: list[str] = []
    entrypoint: list[str] = []
    """What the container's `args` are given to, unless it has a `command`."""
    working_dir: str = ""
    user: str = ""
    """`uid` or `uid:gid`; empty: root."""
    files: dict[str, str] = {}
    """What the image adds to the file tree: path in the container → file or directory on the host, shown read-only."""
    root: str = ""
    """Directory with a whole file tree of its own (an unpacked OCI image); empty: the host's system directories."""


class BuildError(Exception):
    """An environment could not be built; the message ends with what the installer said last."""


def cache_directory() -> Path:
    """Where environments are kept: LIGHTSHIP_CACHE, or `lightship` in the user's cache directory."""
    override = os.environ.get("LIGHTSHIP_CACHE")
    if override:
        return Path(override).expanduser()
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "lightship"


class Environments:
    """Finds and builds environments below one directory."""

    def __init__(self, directory: Path, clock: Clock) -> None:
        self._directory = directory / "environments"
        self._clock = clock
        self._thin: dict[str, Environment] = {}

    @property
    def tools(self) -> Path:
        """Where links to tools of this machine are kept: see `programs.applets`."""
        return self._directory

    async def ensure(self, requirements: Sequence[str], progress: Progress) -> Environment:
        """An environment that has these packages, built if need be. Raises `BuildError`."""
        for candidate in (interpreter.running(), interpreter.base()):
            if candidate.satisfies(requirements):
                return await self._over(candidate, requirements, progress)
        return await self._installed(requirements, progress)

    async def _over(self, python: Interpreter, requirements: Sequence[str], progress: Progress) -> Environment:
        name = f"over-{_digest(sys.version, sys._base_executable, *map(str, python.packages), _stamp(python.scripts))}"  # type: ignore[attr-defined]  # CPython keeps it there
        if name not in self._thin:
            path = self._directory / name
            if not path.is_dir():
                async with self._building(path) as draft:
                    if draft is not None:
                        await asyncio.to_thread(_create, draft, python)
                        await self._add_pip(draft, progress)
                        _relocate(draft, path)
            roots = [str(path), *map(str, python.roots)]
            self._thin[name] = Environment(
                name=name, python=str(path / "bin" / "python"), path=[str(path / "bin"), str(python.scripts)], read_only_paths=roots
            )
        await self._compile_once(self._directory / name, python.packages, requirements, progress)
        return msgspec.structs.replace(self._thin[name], packages=list(requirements))

    async def _installed(self, requirements: Sequence[str], progress: Progress) -> Environment:
        wanted = sorted(requirements)
        base = interpreter.base()
        name = f"packages-{_digest(sys.version, sys._base_executable, *wanted)}"  # type: ignore[attr-defined]  # as above
        path = self._directory / name
        if not path.is_dir():
            async with self._building(path) as draft:
                if draft is not None:
                    progress(f"building an environment with {', '.join(wanted)} (once; kept in {path})")
                    await asyncio.to_thread(_create, draft, base)
                    await self._install(draft, wanted, progress)
                    await self._add_pip(draft, progress)
                    await self._compile(draft, [_site_packages(draft)], progress, moved=(draft, path))
                    (draft / "requirements.txt").write_text("\n".join(wanted) + "\n")
                    _relocate(draft, path)
        return Environment(
            name=name,
            python=str(path / "bin" / "python"),
            path=[str(path / "bin")],
            read_only_paths=[str(path), *map(str, base.roots)],
            packages=wanted,
        )

    @asynccontextmanager
    async def _building(self, path: Path) -> AsyncIterator[Path | None]:
        """The directory to build in, renamed to `path` at the end; None when somebody else has built it meanwhile."""
        self._directory.mkdir(parents=True, exist_ok=True)
        with (self._directory / f"{path.name}.lock").open("w") as lock:
            while not _try_lock(lock.fileno()):
                await self._clock.sleep(LOCK_POLL)
            if _exists(path):
                yield None
                return
            draft = self._directory / f"{path.name}.building"
            # We hold the lock, so what lies there was left by a builder that died.
            shutil.rmtree(draft, ignore_errors=True)
            try:
                yield draft
                draft.rename(path)
            except OSError as error:
                raise BuildError(f"{path.name}: {error.strerror or error}: {error.filename or draft}") from error
            finally:
                shutil.rmtree(draft, ignore_errors=True)

    async def _install(self, draft: Path, requirements: Sequence[str], progress: Progress) -> None:
        python = str(draft / "bin" / "python")
        uv = find_uv()
        if uv:
            await self._run([uv, "pip", "install", "--no-progress", "--python", python, *requirements], progress)
            return
        await self._add_pip(draft, progress)
        quiet = ["--disable-pip-version-check", "--no-warn-script-location", "--progress-bar", "off"]
        await self._run([python, "-m", "pip", "install", *quiet, *requirements], progress)

    async def _add_pip(self, draft: Path, progress: Progress) -> None:
        if _has_pip(draft) or await asyncio.to_thread(_unpack_bundled_pip, draft):
            _pip_scripts(draft)
            return
        uv = find_uv()
        if not uv:
            raise BuildError("this Python brings no pip: install the python3-venv package of your system, or uv")
        await self._run([uv, "pip", "install", "--no-progress", "--python", str(draft / "bin" / "python"), "pip"], progress)

    async def _compile_once(self, environment: Path, places: Sequence[Path], requirements: Sequence[str], progress: Progress) -> None:
        """Packages that are used where they are may never have been imported there (uv does not compile them)."""
        marker = environment / f"compiled-{_digest(*requirements)}"
        if requirements and not _exists(marker):
            await self._compile(environment, [place for place in places if os.access(place, os.W_OK)], progress)
            marker.touch()

    async def _compile(self, environment: Path, places: Sequence[Path], progress: Progress, moved: tuple[Path, Path] | None = None) -> None:
        """Bytecode for everything: pods see their environment read-only and would compile it again at each start, for seconds.

        `moved`: where the environment is and where it will be, so that tracebacks name its final place.
        """
        if not places:
            return
        progress("compiling the packages (once)")
        names = ["-s", str(moved[0]), "-p", str(moved[1])] if moved else []
        try:
            await self._run(
                [str(environment / "bin" / "python"), "-m", "compileall", "-qq", "-j", "0", *names, *map(str, places)], progress
            )
        except BuildError:
            pass  # some package always brings a file for another Python

    async def _run(self, argv: list[str], progress: Progress) -> None:
        process = await asyncio.create_subprocess_exec(
            *argv,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            start_new_session=True,
        )
        assert process.stdout is not None
        last: list[str] = []
        try:
            async for line in process.stdout:
                text = line.decode(errors="replace").rstrip()
                if text:
                    progress(text)
                    last = [*last[-9:], text]
            code = await process.wait()
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        if code != 0:
            raise BuildError(f"{Path(argv[0]).name} ended with {code}: " + "; ".join(last))


def find_uv() -> str | None:
    """uv beside the running interpreter, or on PATH."""
    beside = Path(sys.prefix) / "bin" / "uv"
    return str(beside) if os.access(beside, os.X_OK) else shutil.which("uv")


def _create(draft: Path, python: Interpreter) -> None:
    """A virtual environment of the base interpreter that also sees the packages and scripts of `python`."""
    venv.EnvBuilder(system_site_packages=True, symlinks=True, with_pip=False, prompt="lightship").create(draft)
    own = _site_packages(draft)
    if python.prefix != python.base:
        lines = [f"import site; site.addsitedir({str(place)!r})" for place in python.packages]
        (own / "_lightship_over.pth").write_text("\n".join(lines) + "\n")
        _borrow_scripts(python.scripts, draft / "bin")


def _borrow_scripts(source: Path, target: Path) -> None:
    """Copies of another interpreter's Python scripts that run under ours, so that they see what the user installs in a pod."""
    for script in sorted(source.iterdir()):
        if (target / script.name).exists() or script.is_symlink() or not script.is_file():
            continue
        with script.open("rb") as file:
            start = file.read(512)
        if start.startswith(b"#!") and str(source / "python").encode() in start:
            text = script.read_bytes().replace(str(source / "python").encode(), str(target / "python").encode())
            (target / script.name).write_bytes(text)
            (target / script.name).chmod(0o755)


def _relocate(draft: Path, path: Path) -> None:
    """Scripts name their interpreter by its absolute path: give them the final one before the rename."""
    for script in (draft / "bin").iterdir():
        if script.is_symlink() or not script.is_file():
            continue
        content = script.read_bytes()
        if str(draft).encode() in content[:4096]:
            script.write_bytes(content.replace(str(draft).encode(), str(path).encode()))


def _has_pip(draft: Path) -> bool:
    places = [_site_packages(draft), *interpreter.base().packages]
    return any((place / "pip" / "__main__.py").is_file() for place in places)


def _unpack_bundled_pip(draft: Path) -> bool:
    """The pip that comes with Python, without the seconds that `ensurepip` takes."""
    spec = util.find_spec("ensurepip")
    bundled = Path(spec.origin).parent / "_bundled" if spec and spec.origin else None
    wheels = [*(sorted(bundled.glob("pip-*.whl")) if bundled else ()), *sorted(Path("/usr/share/python-wheels").glob("pip-*.whl"))]
    if not wheels:
        return False
    with zipfile.ZipFile(wheels[-1]) as wheel:
        wheel.extractall(_site_packages(draft))
    return True


def _pip_scripts(draft: Path) -> None:
    for name in ("pip", "pip3"):
        script = draft / "bin" / name
        if not script.exists():
            script.write_text(f"#!{draft}/bin/python\nimport sys\nfrom pip._internal.cli.main import main\nsys.exit(main())\n")
            script.chmod(0o755)


def _site_packages(environment: Path) -> Path:
    return environment / "lib" / f"python{sys.version_info.major}.{sys.version_info.minor}" / "site-packages"


def _exists(path: Path) -> bool:
    return path.exists()


def _try_lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _stamp(scripts: Path) -> str:
    try:
        return str(scripts.stat().st_mtime_ns)
    except OSError:
        return ""


def _digest(*parts: str) -> str:
    return hashlib.blake2b("\0".join((str(VERSION), *parts)).encode(), digest_size=8).hexdigest()
