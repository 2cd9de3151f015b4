"""Decides, purely, whether a program can begin as a fork of an interpreter that runs already, and what it is then told.

The node asks before it lends a template, the template's child asks again. Cold, that is exec, whenever in doubt: an option or a variable
that an interpreter or a library reads only when it starts cannot be given to one that has. Knows no files: see `guise` for those.
"""

import os
import re
from collections.abc import Iterable, Mapping
from typing import NamedTuple

SWITCH = "LIGHTSHIP_WARM"
"""`0` in a container's environment: never warm. The same in that of `lightship up`: no templates at all."""

COMMANDS = "/run/lightship/bin"
"""Where a container's PATH begins when its processes may ask for forks: `entry`, under the names of an environment's commands."""

_INTERPRETER = re.compile(r"python(3(\.\d+)?)?")
_FLAGS = re.compile(r"-[uB]+")
_PLAIN = {"PYTHONUNBUFFERED", "PYTHONPATH", "PYTHONDONTWRITEBYTECODE"}
_START = {"LANG", "LANGUAGE", "LOCPATH", "PYTHONUNBUFFERED"}
_START_PREFIXES = ("LC_",)
"""What a template is started with itself, so that it serves programs that have the same."""
_READ_AT_START = ("PYTHON", "LD_", "MALLOC_", "GLIBC_", "GCONV_", "OPENSSL_", "TZDIR", "NLSPATH")
_READ_AT_IMPORT = (
    "OMP_", "GOMP_", "KMP_", "MKL_", "OPENBLAS_", "GOTO_", "BLIS_", "VECLIB_", "NUMEXPR_", "NPY_", "NUMPY_", "TORCH_", "PYTORCH_",
    "ATEN_", "DNNL_", "ONEDNN_", "TRITON_", "KINETO_", "CUDA_MODULE_LOADING",
)  # fmt: skip
_READ_LATER = ("TORCH_HOME", "TORCH_NCCL_", "TORCH_FR_", "TORCH_GLOO_")
THREADS = "OMP_NUM_THREADS"
"""Read at import too, but there is a call for it."""


class Program(NamedTuple):
    """A program that may be run warm. `kind`: `script`, `code`, `module`, or `command`: an executable whose first line decides."""

    kind: str
    what: str
    arguments: list[str]
    """What follows the script's, module's or command's name."""
    write_bytecode: bool = True


class Cold(NamedTuple):
    """Why a program is started by exec."""

    reason: str


def signature(env: Mapping[str, str]) -> dict[str, str]:
    """The part of an environment that a template has to share with the programs it becomes."""
    return {name: value for name, value in sorted(env.items()) if name in _START or name.startswith(_START_PREFIXES)}


def decide(argv: list[str], env: Mapping[str, str], libraries: Iterable[str] = ()) -> Program | Cold:
    """What to run, by the command line and the whole environment; `libraries`: what the template has imported beyond the standard ones."""
    if env.get(SWITCH, "").lower() in ("0", "no", "off", "false"):
        return Cold(f"{SWITCH} says so")
    if not argv or ("/" in argv[0] and not os.path.isabs(argv[0])):
        return Cold("the program is named relative to a directory")
    if not env.get("HOME"):
        return Cold("there is no HOME")
    for name in env:
        if _unknown_to_template(name, libraries):
            return Cold(f"{name} is read when an interpreter or a library starts")
    if THREADS in env and libraries and not (env[THREADS].isdecimal() and int(env[THREADS]) > 0):
        return Cold(f"{THREADS} is not one number")
    if not _INTERPRETER.fullmatch(os.path.basename(argv[0])):
        unbuffered = bool(env.get("PYTHONUNBUFFERED"))
        return Program("command", argv[0], argv[1:], _writes(env)) if unbuffered else Cold("its output is buffered")
    return _parse(argv[1:], env)


def _unknown_to_template(name: str, libraries: Iterable[str]) -> bool:
    if name in _PLAIN or name == THREADS:
        return False
    if name.startswith(_READ_AT_START):
        return True
    return bool(libraries) and name.startswith(_READ_AT_IMPORT) and not name.startswith(_READ_LATER)


def _writes(env: Mapping[str, str]) -> bool:
    return not env.get("PYTHONDONTWRITEBYTECODE")


def _parse(arguments: list[str], env: Mapping[str, str]) -> Program | Cold:
    """Contract: the command line of CPython, as far as it can be told to an interpreter that runs."""
    unbuffered, writes = bool(env.get("PYTHONUNBUFFERED")), _writes(env)
    rest = list(arguments)
    while rest and _FLAGS.fullmatch(rest[0]):
        unbuffered, writes = unbuffered or "u" in rest[0], writes and "B" not in rest[0]
        rest.pop(0)
    if not rest:
        return Cold("it reads its program from its input")
    if not unbuffered:
        return Cold("its output is buffered")
    if rest[0] in ("-c", "-m"):
        if len(rest) < 2:
            return Cold("an option lacks its argument")
        return Program("code" if rest[0] == "-c" else "module", rest[1], rest[2:], writes)
    if rest[0].startswith("-"):
        return Cold(f"the option {rest[0]}")
    return Program("script", rest[0], rest[1:], writes)
