"""What a template knows about itself, and whether a child of it may pass for the program that a container asks for.

Built once when a template has imported all it will; `program` is asked in each child, inside the container's own file tree, where what
exec would have found decides. Everything that differs from what the template saw means cold. Called by `template`.
"""

import os
import sys
import zipimport
from collections.abc import Iterable
from typing import Any, NamedTuple

from . import door, installed, warmth

_LONGEST_SCRIPT = 1 << 24
_HOOKS = frozenset({"sitecustomize", "usercustomize"})


class Found(NamedTuple):
    """A program as exec would run it."""

    program: door.Program
    executable: str
    """Path of the interpreter, as a virtual environment's."""
    command: list[str]
    """What `ps` shows."""
    name: str
    """The short name of the process."""
    argv: list[str]
    user_site: str = ""
    """Where there are packages of the user's own."""


class Basis:
    """The template's own facts."""

    def __init__(self, before: Iterable[str], libraries: list[str], env: dict[str, str], missed: Iterable[str] = ()) -> None:
        """`env`: what of an environment it was started with (`warmth.signature`); `missed`: names that were looked for in vain."""
        own = {"launch", "sitecustomize"}
        self.libraries = libraries
        loaded: dict[str, Any] = {**sys.modules}
        self._threads = loaded["torch"].get_num_threads() if "torch" in libraries else len(os.sched_getaffinity(0))
        self.loaded = {name.partition(".")[0] for name in sys.modules if name not in before} - own
        """Top-level names of what was imported here and would not have been by an interpreter that just starts."""
        self._signature = env
        self.executable = sys.executable
        self.base_executable: str = sys._base_executable  # type: ignore[attr-defined]  # CPython keeps it there
        self._program = _identity("/proc/self/exe")
        self._places = {path: _identity(path) for path in sys.path}
        self._listings = {path: installed.listing(path) for path in sys.path if path.endswith("-packages")}
        self._known = {installed.plain(name) for name in (*self.loaded, *_HOOKS, *missed)}

    def changes(self) -> dict[str, int]:
        """When the directories on the path were changed last: a template is as old as they are."""
        return {path: os.stat(path).st_mtime_ns for path, known in self._places.items() if known is not None}

    def program(self, argv: list[str], env: dict[str, str]) -> Found | None:
        """What `argv` means in this file tree; None: leave it to exec. Raises `OSError` for files that cannot be read."""
        return self._program_at(find(argv[0], env.get("PATH", "")), argv, env)

    def asked(self, real: str, argv: list[str], env: dict[str, str]) -> Found | None:
        """As `program`, of what a process has found to be at `real`; nobody has compared the environments yet."""
        if warmth.signature(env) != self._signature or not os.path.isabs(real):
            return None
        return self._program_at(real, argv, env)

    def _program_at(self, path: str | None, argv: list[str], env: dict[str, str]) -> Found | None:
        decided = warmth.decide(argv, env, self.libraries)
        if isinstance(decided, warmth.Cold) or path is None or not self._same_interpreter():
            return None
        if self.libraries and int(env.get(warmth.THREADS) or 0) > self._threads:
            return None  # some libraries take what they are told when they are loaded for an upper bound
        found = self._command(path, decided, argv) if decided.kind == "command" else self._interpreter(path, decided, argv)
        user_site = installed.user_site()
        if found is None or self._hidden(found.program, env) or not installed.harmless({}, installed.listing(user_site), self._known):
            return None
        return found._replace(user_site=user_site)

    def _same_interpreter(self) -> bool:
        return all(_identity(path) == known or self._still_stands_for(path) for path, known in self._places.items())

    def _still_stands_for(self, path: str) -> bool:
        """Whether packages were changed there that nothing here has to do with."""
        return path in self._listings and installed.harmless(self._listings[path], installed.listing(path), self._known)

    def _is_ours(self, path: str) -> bool:
        return os.path.dirname(path) == os.path.dirname(self.executable) and _identity(path) == self._program

    def _interpreter(self, path: str, decided: warmth.Program, argv: list[str]) -> Found | None:
        if not self._is_ours(path):
            return None
        program = _script(decided.what) if decided.kind == "script" else door.Program(decided.kind, decided.what)
        if program is None or (decided.kind == "code" and sys.version_info >= (3, 13)):  # which shows the lines of such code
            return None
        own = {"script": decided.what, "code": "-c", "module": "-m"}[decided.kind]
        return Found(program, path, argv, os.path.basename(path), [own, *decided.arguments])

    def _command(self, path: str, decided: warmth.Program, argv: list[str]) -> Found | None:
        """An executable text of which the first line names our interpreter, and nothing else."""
        with open(path, "rb") as file:
            line = file.readline(256)
        interpreter = os.fsdecode(line[2:].strip())
        if line[:2] != b"#!" or line[-1:] != b"\n" or " " in interpreter or not self._is_ours(interpreter):
            return None
        program = _script(path)
        if program is None:
            return None
        return Found(program, interpreter, [interpreter, path, *argv[1:]], os.path.basename(path), [path, *decided.arguments])

    def _hidden(self, program: door.Program, env: dict[str, str]) -> bool:
        """Whether the program brings modules of the same names as some that are loaded here: it would not see its own."""
        first = door.first_path(program)
        for place in (first or ".", *python_path(env)):
            try:
                entries = os.listdir(place)
            except OSError:
                continue
            if any(_importable(place, name) for name in entries if name.partition(".")[0] in self.loaded | _HOOKS):
                return True
        return False


def _importable(place: str, name: str) -> bool:
    return name.endswith((".py", ".pyc", ".so")) or os.path.isfile(f"{place}/{name}/__init__.py")


def find(program: str, path: str) -> str | None:
    """What exec would run. Contract: execvpe(3), first the path's order."""
    directories = [directory for directory in path.split(":") if directory != warmth.COMMANDS]
    candidates = [program] if "/" in program else [f"{directory or '.'}/{program}" for directory in directories]
    return next((c for c in candidates if os.path.isabs(c) and os.path.isfile(c) and os.access(c, os.X_OK)), None)


def python_path(env: dict[str, str]) -> list[str]:
    """The directories of PYTHONPATH as `site` leaves them."""
    text = env.get("PYTHONPATH", "")
    return [os.path.abspath(part) for part in text.split(os.pathsep)] if text else []


def _script(path: str) -> door.Program | None:
    """Contract: `pymain_run_python`: what is no file of source text is a matter of importers, or of an error message."""
    if not os.path.isfile(path) or path.endswith(".pyc"):
        return None
    try:
        zipimport.zipimporter(path)
        return None
    except zipimport.ZipImportError:
        pass
    with open(path, "rb") as file:
        source = file.read(_LONGEST_SCRIPT)
    name = path if os.path.isabs(path) else f"{os.getcwd()}/{path}"
    try:
        return door.Program("script", name, compile(source, name, "exec", dont_inherit=True)) if len(source) < _LONGEST_SCRIPT else None
    except (SyntaxError, ValueError):
        return None  # the interpreter says it best


def _identity(path: str) -> Any:
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_mode, found.st_size, found.st_mtime_ns  # layers show the same file as another device's
