"""Gives a template's child the looks of a freshly started program: arguments, variables, flags, process name, seeds.

Called by `template` when nothing can fail any more but this, right before the program runs. What it cannot give is decided in `warmth`
and `basis` to be cold. Contract: proc(5), prctl(2) PR_SET_MM_MAP, and what CPython does between exec and a program's first line.
"""

import ctypes
import io
import mmap
import os
import signal
import sys
import threading
import time
from typing import Any

from . import installed, warmth
from .basis import Basis, Found, python_path

_PR_SET_DUMPABLE, _PR_SET_NAME, _PR_SET_MM, _PR_SET_MM_MAP = 4, 15, 35, 14
_STAT = {"start_code": 23, "end_code": 24, "start_stack": 25, "start_data": 42, "end_data": 43, "start_brk": 44}
"""Positions in /proc/self/stat, counted from behind the name, which may hold anything."""


class _MemoryMap(ctypes.Structure):
    _fields_ = (
        *((name, ctypes.c_uint64) for name in ("start_code", "end_code", "start_data", "end_data", "start_brk", "brk", "start_stack")),
        *((name, ctypes.c_uint64) for name in ("arg_start", "arg_end", "env_start", "env_end", "auxv")),
        ("auxv_size", ctypes.c_uint32),
        ("exe_fd", ctypes.c_int32),
    )


def variables(env: dict[str, str]) -> None:
    """Make `env` the environment, with the one variable that an interpreter adds to it in a plain locale."""
    added = {} if "LC_CTYPE" in env or "LC_CTYPE" not in os.environ else {"LC_CTYPE": os.environ["LC_CTYPE"]}
    os.environ.clear()
    os.environ.update({**env, **added})
    time.tzset()


def take(found: Found, basis: Basis, env: dict[str, str], *, write_bytecode: bool) -> None:
    """Look like `found` from the inside (`sys`, seeds) and the outside (`ps`). Raises `OSError` before anything is lost."""
    _process(found, env)
    _interpreter(found, basis, env, write_bytecode=write_bytecode)
    _streams()
    _signals()
    _modules()
    _threads(basis, env)


def _process(found: Found, env: dict[str, str]) -> None:
    name = ctypes.create_string_buffer(os.fsencode(found.name)[:15])
    show(found.command, env)
    ctypes.CDLL(None).prctl(_PR_SET_NAME, ctypes.c_ulong(ctypes.addressof(name)), 0, 0, 0)
    dumpable()


def dumpable() -> None:
    """As after exec: changing users has made /proc/self somebody else's."""
    ctypes.CDLL(None).prctl(_PR_SET_DUMPABLE, ctypes.c_ulong(1), 0, 0, 0)


def show(command: list[str], env: dict[str, str]) -> None:
    """Make /proc/self/cmdline and environ say this. Raises `OSError` on a kernel that does not allow it."""
    arguments = b"".join(os.fsencode(text) + b"\0" for text in command)
    variables = b"".join(os.fsencode(f"{name}={value}") + b"\0" for name, value in env.items())
    room = mmap.mmap(-1, len(arguments) + len(variables) + 1, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    room.write(arguments + variables)
    view = (ctypes.c_char * len(room)).from_buffer(room)
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(view))  # for as long as the process lives
    start = ctypes.addressof(view)
    with open("/proc/self/stat") as file:
        fields = file.read().rpartition(")")[2].split()
    libc = ctypes.CDLL(None, use_errno=True)
    libc.sbrk.restype = ctypes.c_void_p
    known = {name: int(fields[position]) for name, position in _STAT.items()}
    layout = _MemoryMap(
        **known,
        brk=libc.sbrk(0),
        arg_start=start,
        arg_end=start + len(arguments),
        env_start=start + len(arguments),
        env_end=start + len(arguments) + len(variables),
        exe_fd=-1,
    )
    if libc.prctl(_PR_SET_MM, _PR_SET_MM_MAP, ctypes.byref(layout), ctypes.c_ulong(ctypes.sizeof(layout)), 0) < 0:
        code = ctypes.get_errno()
        raise OSError(code, f"prctl SET_MM_MAP: {os.strerror(code)}")


def _interpreter(found: Found, basis: Basis, env: dict[str, str], *, write_bytecode: bool) -> None:
    sys.argv[:] = found.argv
    sys.orig_argv[:] = found.command
    if sys._base_executable == sys.executable:  # type: ignore[attr-defined]  # CPython keeps it there
        sys._base_executable = found.executable  # type: ignore[attr-defined]  # as above
    sys.executable = found.executable
    if not write_bytecode:
        sys.dont_write_bytecode = True
        _set_flag("dont_write_bytecode")
    if found.user_site and found.user_site not in sys.path:
        sys.path.insert(installed.position(sys.path), found.user_site)
    if env.get("PYTHONPATH"):
        sys.path[:] = list(dict.fromkeys([*python_path(env), *sys.path]))
    for path, finder in list(sys.path_importer_cache.items()):
        if finder is None:
            del sys.path_importer_cache[path]  # it may be there in this file tree
        elif hasattr(finder, "invalidate_caches"):
            finder.invalidate_caches()


def _streams() -> None:
    """Made anew over what the program has: what can be sought, and where it stands, is asked once. Contract: `create_stdio`, unbuffered."""
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        old = getattr(sys, name)
        if old is None:
            continue
        mode = "w" if number else "r"
        below: Any = open(number, mode + "b", buffering=0 if number else -1, closefd=False)  # noqa: SIM115 - it lives as long as the program
        (below if number else below.raw).name = f"<{name}>"
        text: Any = io.TextIOWrapper(below, old.encoding, old.errors, "\n", line_buffering=False, write_through=True)
        text.mode = mode
        setattr(sys, name, text)
        setattr(sys, f"__{name}__", text)


def _set_flag(name: str) -> None:
    """Fields of `sys.flags` stand in the order of the tuple's repr."""
    fields = [part.partition("=")[0] for part in repr(sys.flags).partition("(")[2].split(", ")]
    api: Any = ctypes.pythonapi.PyStructSequence_SetItem
    api.argtypes = (ctypes.py_object, ctypes.c_ssize_t, ctypes.py_object)
    api.restype = None
    value = 1
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(value))  # the call takes one
    api(sys.flags, fields.index(name), value)


def _signals() -> None:
    """Contract: `_PySignal_Init`; a container's program begins with everything at its default."""
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())


def _modules() -> None:
    """Renew what modules remember of the moment of their import."""
    loaded: dict[str, Any] = {**sys.modules}
    loaded["threading"].main_thread()._native_id = threading.get_native_id()  # there is no call for it
    if "multiprocessing.process" in loaded:
        processes = loaded["multiprocessing.process"]
        processes._current_process._config["authkey"] = processes.AuthenticationString(os.urandom(32))
        processes.ORIGINAL_DIR = os.path.abspath(os.getcwd())
    if "logging" in loaded:
        in_nanoseconds = isinstance(getattr(loaded["logging"], "_startTime", None), int)
        loaded["logging"]._startTime = time.time_ns() if in_nanoseconds else time.time_ns() / 1e9
    if "platform" in loaded:
        loaded["platform"]._uname_cache = None
        loaded["platform"]._platform_cache.clear()
    if getattr(loaded.get("sysconfig"), "_CONFIG_VARS", None):
        loaded["sysconfig"]._CONFIG_VARS["userbase"] = loaded["sysconfig"]._getuserbase()
    if "numpy.random" in loaded:
        loaded["numpy.random"].seed()
    if "torch" in loaded:
        loaded["torch"].default_generator.seed()


def _threads(basis: Basis, env: dict[str, str]) -> None:
    """As many threads as the libraries would have chosen when they were loaded."""
    if not basis.libraries:
        return
    wanted = int(env.get(warmth.THREADS) or 0)
    for set_threads, most in blas_controls():
        set_threads(wanted or min(most, len(os.sched_getaffinity(0))))
    if wanted and "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(wanted)


def blas_controls() -> list[tuple[Any, int]]:
    """The calls that set how many threads the OpenBLAS libraries in this process use, and the most that each can."""
    with open("/proc/self/maps") as file:
        paths = sorted({line.split(maxsplit=5)[5].strip() for line in file if "openblas" in line})
    found = []
    for path in paths:
        library = ctypes.CDLL(path)
        for name in ("scipy_openblas_set_num_threads64_", "scipy_openblas_set_num_threads", "openblas_set_num_threads"):
            if hasattr(library, name):
                found.append((getattr(library, name), 64))
                break
    return found
