"""Makes a running interpreter run a program the way it runs its own main program: from C, with no Python frame below it.

An interpreter that was started with `-m` ends its start by looking up `runpy._run_module_as_main` and calling it. `install` puts there
what calls the program instead, made of C callables only: so tracebacks, `sys._getframe`, exit codes, interrupts and the end of the
interpreter are its own and not an imitation. Called by `template` in a child, as the last thing.
"""

import collections
import importlib.machinery
import operator
import os
import runpy
import sys
from collections.abc import Iterator
from types import CodeType, ModuleType
from typing import Any, NamedTuple

_HOOK = os.path.join(os.path.dirname(os.path.abspath(__file__)), "hook")


class Program(NamedTuple):
    """What to run. `kind`: `script` (`what` is its path), `code` (its text) or `module` (its name)."""

    kind: str
    what: str
    compiled: CodeType | None = None
    """Of a script."""


def install(program: Program) -> None:
    """Let the interpreter run `program` when it comes to its main program."""
    sys.modules["runpy"] = _Lookup(program, len(sys.path))  # type: ignore[assignment]  # as much of a module as the interpreter looks at


class _Lookup:
    """Stands in for `runpy` until the interpreter has found what to call there."""

    __spec__ = None

    def __init__(self, program: Program, paths: int) -> None:
        self._program = program
        self._paths = paths

    @property
    def _run_module_as_main(self) -> Any:
        sys.modules["runpy"] = runpy
        if os.path.dirname(getattr(sys.modules.get("sitecustomize"), "__file__", None) or "") == _HOOK:
            del sys.modules["sitecustomize"]
        path = first_path(self._program)
        if path is not None:
            # The interpreter has put the current directory there, if it has one.
            sys.path[: len(sys.path) - self._paths] = [path]
        return _call(_run(self._program))


def first_path(program: Program) -> str | None:
    """What `sys.path` begins with; None for the current directory's name."""
    if program.kind == "script":
        return os.path.dirname(os.path.realpath(program.what))
    return "" if program.kind == "code" else None


def _run(program: Program) -> Iterator[Any]:
    """Runs the program when its first element is asked for."""
    main = _fresh_main()
    if program.kind == "module":
        return map(runpy._run_module_as_main, [program.what], [True])  # type: ignore[attr-defined]  # what the interpreter calls, too
    if program.kind == "script":
        loader = importlib.machinery.SourceFileLoader("__main__", program.what)
        main.update(__file__=program.what, __cached__=None, __loader__=loader)
    # Taken out of their lists when they are asked for: who kept them would keep alive, to the end, what the program has made.
    nothing = object()
    return map(exec, iter([program.compiled or program.what].pop, nothing), iter([main].pop, nothing))


def _fresh_main() -> dict[str, Any]:
    """The namespace of a new `__main__`: the template's own is frozen, and what refers to it would never be collected."""
    module = ModuleType("__main__")
    names = {**sys.modules["__main__"].__dict__}
    if "__annotations__" in names:
        names["__annotations__"] = {}
    module.__dict__.clear()
    module.__dict__.update(names)
    sys.modules["__main__"] = module
    return module.__dict__


def _call(run: Iterator[Any]) -> Any:
    """A callable of any two arguments that takes the first element of `run`, with no frame of its own.

    To call it means to look up `__call__`: a property, that is a missing entry of a dictionary, that is the next element of an iterator
    over pairs of what the program returns and of what can be called with a name and a flag and does nothing.
    """
    pairs = map(operator.itemgetter(1), zip(run, [{}.get], strict=False))
    missing: collections.defaultdict[Any, Any] = collections.defaultdict(pairs.__next__)
    return type("Main", (), {"__call__": property(missing.__getitem__)})()
