"""Programs that are forked from a template behave as those that are executed: one table, both ways, in every tier that has templates."""

import os
import re
import shutil
import signal
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from lightship.node.runtimes import templates
from lightship.node.runtimes.runtime import Mount, Security, Warm
from lightship.node.runtimes.sandbox import SandboxRuntime

from .contract import World, until
from .test_sandbox import abilities
from .test_sandbox_volumes import PUBLIC, Story, play, play_without_root

pytestmark = pytest.mark.slow

MARK = "import sys; open('/mark/' + ('warm' if 'zipfile' in sys.modules else 'cold'), 'w').close(); "
"""First line of every program: modules that nobody has asked for tell that it was forked."""

FACTS = """
import os, posix
NAMES = "flags argv orig_argv executable _base_executable prefix exec_prefix base_prefix path dont_write_bytecode warnoptions _xoptions \
meta_path path_hooks excepthook pycache_prefix platlibdir".split()
for name in NAMES: print(name, repr(getattr(sys, name)))
print(sys.getrecursionlimit(), sys.getswitchinterval(), sys.getfilesystemencoding(), sys._getframe().f_back)
print(sorted((k, repr(v)) for k, v in globals().items() if k.startswith("__")))
print({k: v for k, v in os.environ.items()}, posix.environ[b"HOME"], os.getcwd(), os.getppid(), os.umask(0o22), os.getpid() == os.getsid(0))
for name in ("cmdline", "comm", "environ", "oom_score_adj", "limits", "cgroup"): print(name, repr(open("/proc/self/" + name).read()))
print([l for l in open("/proc/self/status").read().splitlines() if l.split(":")[0] in
    "Uid Gid Groups Threads SigBlk SigIgn SigCgt CapInh CapPrm CapEff CapBnd CapAmb NoNewPrivs Seccomp".split()])
print(os.readlink("/proc/self/exe"), os.stat("/proc/self/fd").st_uid, [os.readlink("/proc/self/fd/" + n)[:5] for n in "012"])
def opened(fd):
    try: return bool(os.fstat(fd))
    except OSError: return False
print([fd for fd in range(100) if opened(fd)])
for s in (sys.stdin, sys.stdout, sys.stderr):
    print(s.name, s.mode, s.encoding, s.errors, s.line_buffering, s.write_through, type(s.buffer), s.fileno())
import warnings, gc, threading, signal, site, time, resource
print(warnings.filters, gc.isenabled(), gc.get_threshold(), threading.active_count(), threading.main_thread().native_id == os.getpid())
print([signal.getsignal(n) for n in range(1, 32)], signal.pthread_sigmask(signal.SIG_BLOCK, []))
print(site.ENABLE_USER_SITE, site.USER_BASE, site.USER_SITE, time.tzname, time.timezone)
import socket, platform, sysconfig, tempfile, locale, faulthandler
print(socket.gethostname(), platform.node(), sysconfig.get_config_var("userbase"), sysconfig.get_path("purelib"), tempfile.gettempdir())
print(locale.getlocale(), locale.setlocale(locale.LC_ALL), faulthandler.is_enabled(), resource.getrlimit(resource.RLIMIT_STACK))
"""
SPAWN = """
import multiprocessing as mp, os
def work(n): return n * n, mp.current_process().name
if __name__ == "__main__":
    print(os.path.basename(mp.spawn.get_executable()), mp.process.ORIGINAL_DIR, mp.get_start_method(), len(mp.current_process().authkey))
    for method in ("fork", "spawn", "forkserver"):
        with mp.get_context(method).Pool(2) as pool: print(sorted(v for v, _ in pool.map(work, range(5))))
"""
SUBPROCESS = "import subprocess; print(subprocess.run([sys.executable, '-c', 'import sys; print(sys.argv, sys.flags)']).returncode)"
ENDING = """
import atexit, threading, time, os
atexit.register(print, "at exit", file=sys.stderr)
def later():
    threading.main_thread().join()
    print("thread after main")
threading.Thread(target=later).start()
class Last:
    def __del__(self): print("deleted")
last = Last()
sys.stdout.write("no newline at end")
"""
STACKS = """
import traceback, warnings, inspect
def depth(n=0):
    try: return depth(n + 1)
    except RecursionError: return n
traceback.print_stack()
warnings.warn("mine", stacklevel=2)
warnings.warn("old", DeprecationWarning)
print([frame.function for frame in inspect.stack()], sys.exc_info())
sys.setrecursionlimit(300); print(depth() > 280)
def fail():
    try: 1 / 0
    except ZeroDivisionError as error: raise ValueError("wrong") from error
fail()
"""


class Case(msgspec.Struct, frozen=True):
    """A program: its command line, its files below /code, its variables, whether it can be forked, and what else its container has."""

    argv: list[str]
    files: dict[str, str] = {}
    env: dict[str, str] = {}
    warm: bool = True
    extra: dict[str, Any] = {}


def script(text: str, *arguments: str, env: dict[str, str] | None = None, warm: bool = True, **extra: Any) -> Case:
    return Case(["python3", "/code/main.py", *arguments], {"main.py": MARK + text}, env or {}, warm, extra)


def code(text: str, *arguments: str) -> Case:
    return Case(["python3", "-c", MARK + text, *arguments])


CASES = {
    "facts of a script": script(FACTS, "a b", "--c"),
    "facts of a relative script": Case(["python3", "./main.py"], {"main.py": MARK + FACTS}, {}, True, {"cwd": "/code"}),
    "facts of code": code(FACTS, "x"),
    "facts of a module": Case(["python3", "-m", "main", "x"], {"main.py": MARK + FACTS}, {}, True, {"cwd": "/code"}),
    "facts of a package": Case(["python3", "-um", "p"], {"p/__init__.py": "", "p/__main__.py": MARK + FACTS}, {}, False, {"cwd": "/code"}),
    "facts of another user": script(FACTS, security=Security(uid=1234, gid=1234)),
    "facts with variables": script(FACTS, env={"TZ": "Asia/Tokyo", "PYTHONPATH": "/a:rel", "PYTHONDONTWRITEBYTECODE": "1", "X": "ä"}),
    "another interpreter's name": Case(["python3.11", "-u", "/code/main.py"], {"main.py": MARK + FACTS}),
    "a link to a script": Case(["python3", "/code/link.py"], {"real/main.py": MARK + FACTS, "link.py": "-> real/main.py"}),
    "stacks, warnings and errors": script(STACKS),
    "an error in a module": Case(["python3", "-m", "main"], {"main.py": MARK + "\nraise KeyError('x')"}, {}, True, {"cwd": "/code"}),
    "an error in code": code("raise AttributeError('x')"),
    "the end of iteration": script("raise StopIteration(1)"),
    "a hook for errors": script("sys.excepthook = lambda *a: print(a[0], a[2].tb_lineno, a[2].tb_next); 1/0"),
    "bad syntax": Case(["python3", "main.py"], {"main.py": "x = = 3"}, {}, True, {"cwd": "/code"}),
    "bad encoding": Case(["python3", "/code/main.py"], {"main.py": "# coding: no-such-thing\nprint(1)"}),
    "latin-1": Case(["python3", "/code/main.py"], {"main.py": "# coding: latin-1\nprint(ascii('\xc3\xa4'))"}),
    "no such script": Case(["python3", "/code/none.py"]),
    "no such module": Case(["python3", "-m", "nowhere"]),
    "a directory": Case(["python3", "/code"], {"__main__.py": MARK + FACTS}, {}, False),
    "exit 3": script("sys.exit(3)"),
    "exit with text": script("sys.exit('text')"),
    "exit with nothing": script("raise SystemExit"),
    "exit in a module": Case(["python3", "-m", "main"], {"main.py": MARK + "\nsys.exit(9)"}, {}, True, {"cwd": "/code"}),
    "exit at once": script("import os; sys.stdout.write('lost?'); os._exit(4)"),
    "interrupted": script("import os, signal\nos.kill(os.getpid(), signal.SIGINT)\nfor _ in range(10**9): pass"),
    "killed": script("import os; os.kill(os.getpid(), 9)"),
    "terminated": script("import os; os.kill(os.getpid(), 15)"),
    "a pipe that nobody reads": script("import os; r, w = os.pipe(); os.close(r); os.write(w, b'x')"),
    "the end": script(ENDING),
    "input": script("print(repr(sys.stdin.read()), sys.stdin.isatty())"),
    "processes": script(SPAWN),
    "subprocesses": script(SUBPROCESS),
    "asyncio": script("import asyncio\nasync def f(): print(asyncio.get_running_loop()._signal_handlers)\nasyncio.run(f())"),
    "own modules of known names": Case(
        ["python3", "/code/main.py"], {"main.py": MARK + "import json; print(json.MINE)", "json.py": "MINE = 1"}, {}, False
    ),
    "own modules on the path": Case(
        ["python3", "/code/main.py"],
        {"main.py": MARK + "import csv; print(csv.MINE)", "lib/csv/__init__.py": "MINE = 1"},
        {"PYTHONPATH": "/code/lib"},
        False,
    ),
    "own customization": Case(
        ["python3", "/code/main.py"], {"main.py": MARK, "lib/sitecustomize.py": "print('mine')"}, {"PYTHONPATH": "/code/lib"}, False
    ),
    "what has no module of ours": script("import importlib.util as u; print([u.find_spec(n) for n in ('launch', 'lightship_template')])"),
    "a command": Case(["/code/run", "a"], {"run": "#!{python}\n" + MARK + FACTS}),
    "a command with options": Case(["/code/run", "a"], {"run": "#!{python} -u\n" + MARK + "print(sys.argv)"}, {}, False),
    "a shell": Case(["/bin/sh", "-c", "echo $0"]),
    "optimized": Case(["python3", "-O", "/code/main.py"], {"main.py": MARK + FACTS}, {}, False),
}  # fmt: skip


@pytest.fixture(params=["root", "rootless"])
def tell(request: pytest.FixtureRequest) -> Iterator[Callable[[Story], None]]:
    """Plays a story in one of the tiers."""
    if not abilities().sandbox:
        pytest.skip(abilities().reason)
    if request.param == "root" and os.geteuid() != 0:
        pytest.skip("not root")
    directory = Path(tempfile.mkdtemp())
    try:
        if request.param == "rootless" and os.geteuid() == 0:
            os.chown(directory, 1001, 1001)
            yield lambda story: play_without_root(directory, story)
        else:
            yield lambda story: play(directory, story)
    finally:
        shutil.rmtree(directory)


class Warmed:
    """One pod and one template in a world."""

    def __init__(self, w: World) -> None:
        self.world = w
        self.code, self.mark = w.directory / "code", w.directory / "mark"
        self.warm = Warm(environment="e", python=sys.executable)
        self.python = sys.executable
        everything = [sys.prefix, sys.base_prefix, *(path for path in sys.path if os.path.isdir(path))]
        self.shown = everything if self.python != PUBLIC else []
        assert isinstance(w.runtime, SandboxRuntime)
        self.templates = w.runtime.templates

    async def ready(self) -> None:
        await self.world.pod()
        self.mark.mkdir()
        self.mark.chmod(0o777)
        await self.run(Case(["python3", "-c", "pass"]), warm=True)
        await self.templates.wait_made()
        assert len(self.templates.known()) == 1

    def lay_out(self, files: dict[str, str]) -> None:
        shutil.rmtree(self.code, ignore_errors=True)
        self.code.mkdir()
        for name, text in files.items():
            path = self.code / name
            path.parent.mkdir(parents=True, exist_ok=True)
            if text.startswith("-> "):
                path.symlink_to(text[3:])
            else:
                path.write_bytes(text.replace("{python}", self.python).encode("latin-1" if "latin-1" in text else "utf-8"))
                path.chmod(0o755)

    async def start(self, case: Case, *, warm: bool) -> str:
        extra = dict(case.extra)
        mounts = [Mount(source=str(self.mark), target="/mark"), *extra.pop("mounts", [])]
        if self.code.exists():
            mounts.append(Mount(source=str(self.code), target="/code", read_only=True))
        env = {"PATH": f"{os.path.dirname(self.python)}:/usr/bin:/bin", "PYTHONUNBUFFERED": "1", **case.env}
        return await self.world.start(
            case.argv, env=env, mounts=mounts, read_only_paths=self.shown, warm=self.warm if warm else None, **extra
        )

    async def run(self, case: Case, *, warm: bool) -> tuple[Any, ...]:
        """Exit code and signal, standard output, standard error, and whether it was forked (None: it did not say)."""
        for name in self.mark.iterdir():
            name.unlink()
        container = await self.start(case, warm=warm)
        end = await self.world.exit(container)
        marked = [path.name for path in self.mark.iterdir()]
        streams: dict[str, list[str]] = {"stdout": [], "stderr": []}
        parts = dict.fromkeys(streams, "")
        for line in self.world.raw_log(container).splitlines():
            _, stream, tag, *text = line.split(" ", 3)
            parts[stream] += "".join(text)
            if tag == "F":
                streams[stream].append(normal(parts[stream]))
                parts[stream] = ""
        return end.code, end.signal, streams["stdout"], streams["stderr"], marked[0] == "warm" if marked else None


def text_of(path: str) -> str:
    return Path(path).read_text()


def normal(text: str) -> str:
    """Without addresses, numbers of processes, and the name of a container's control group."""
    text = re.sub(r"0x[0-9a-f]+", "0x", text)
    return re.sub(r"a-main-\d+", "a-main-n", text)


@pytest.mark.parametrize("part", range(6))
def test_warm_programs_behave_as_cold_ones(tell: Callable[[Story], None], part: int) -> None:
    async def story(w: World) -> None:
        warmed = Warmed(w)
        await warmed.ready()
        wrong: dict[str, Any] = {}
        for name, case in [*CASES.items()][part::6]:
            warmed.lay_out(case.files)
            cold, warm = [await warmed.run(case, warm=choice) for choice in (False, True)]
            if warm[:4] != cold[:4]:
                wrong[name] = [(a, b) for a, b in zip(lines(cold), lines(warm), strict=False) if a != b] or (cold, warm)
            elif warm[4] is not None and warm[4] != case.warm:
                wrong[name] = f"forked: {warm[4]}"
            assert cold[4] in (None, False)
        assert not wrong, "\n".join(f"{name}: {what}" for name, what in wrong.items())

    tell(story)


def lines(result: tuple[Any, ...]) -> list[str]:
    return [str(result[:2]), *result[2], *result[3]]


SEEDS = """import random, uuid, tempfile, multiprocessing as m
print(random.random(), uuid.uuid4(), next(tempfile._get_candidate_names()), bytes(m.current_process().authkey).hex())"""


def test_no_two_containers_share_their_chances(tell: Callable[[Story], None]) -> None:
    async def story(w: World) -> None:
        warmed = Warmed(w)
        await warmed.ready()
        first, second = [await warmed.run(code(SEEDS), warm=True) for _ in range(2)]
        assert (first[4], second[4]) == (True, True)
        assert not set(first[2][0].split()) & set(second[2][0].split())

    tell(story)


SERVE = MARK + "import signal\nprint('up')\nsignal.pause()"


def test_a_template_that_is_killed_takes_nobody_with_it_and_comes_again(tell: Callable[[Story], None]) -> None:
    async def story(w: World) -> None:
        warmed = Warmed(w)
        await warmed.ready()
        served = await warmed.start(Case(["python3", "-c", SERVE]), warm=True)
        await w.line(served, "up")
        os.kill(warmed.templates.known()[0].pid, signal.SIGKILL)
        await until(lambda: warmed.templates.known() == [])
        assert (await warmed.run(code("print(1)"), warm=True))[2:] == (["1"], [], False)
        await warmed.templates.wait_made()
        assert (await warmed.run(code("print(1)"), warm=True))[2:] == (["1"], [], True)
        assert served not in w.exits
        await w.runtime.signal(served, signal.SIGTERM)
        assert (await w.exit(served)).signal == signal.SIGTERM

    tell(story)


def test_a_template_that_does_not_answer_is_done_without(tell: Callable[[Story], None], monkeypatch: pytest.MonkeyPatch) -> None:
    async def story(w: World) -> None:
        warmed = Warmed(w)
        await warmed.ready()
        pid = warmed.templates.known()[0].pid
        os.kill(pid, signal.SIGSTOP)
        assert (await warmed.run(code("print(1)"), warm=True))[2:] == (["1"], [], False)
        os.kill(pid, signal.SIGCONT)
        assert (await warmed.run(code("print(2)"), warm=True))[2:] == (["2"], [], True)

    tell(story)


def test_nothing_is_left_of_templates(tell: Callable[[Story], None]) -> None:
    async def story(w: World) -> None:
        before = len(os.listdir("/proc/self/fd"))
        warmed = Warmed(w)
        await warmed.ready()
        held = len(os.listdir("/proc/self/fd"))
        for _ in range(5):
            await warmed.run(code("print(1)"), warm=True)
        assert len(os.listdir("/proc/self/fd")) == held
        pid = warmed.templates.known()[0].pid
        assert os.listdir(f"/proc/{pid}/task") == [str(pid)]
        assert text_of(f"/proc/{pid}/task/{pid}/children") == ""
        assert templates.running(sys.executable) > 1_000_000
        warmed.templates.give_back()
        await until(lambda: not os.path.exists(f"/proc/{pid}"))
        await w.runtime.remove_sandbox("uid-a")
        assert len(os.listdir("/proc/self/fd")) == before

    tell(story)


def test_a_template_holds_nothing_that_can_be_written_to(tell: Callable[[Story], None]) -> None:
    async def story(w: World) -> None:
        warmed = Warmed(w)
        await warmed.ready()
        result = await warmed.run(code("import os\ntry: open('/proc/self/exe', 'r+b')\nexcept OSError as e: print(e.errno)"), warm=True)
        assert result[2] in (["30"], ["26"], ["13"])  # read-only before busy
        mounts = text_of(f"/proc/{warmed.templates.known()[0].pid}/mountinfo").splitlines()
        assert [line for line in mounts if not line.split()[5].startswith("ro")] == []

    tell(story)
