"""The Python interpreters that are on this machine already: which distributions they have, and whether those satisfy requirements.

`environments` asks before it builds anything, so that nothing is fetched twice. Version checks are deliberately coarse: `torch==2.13.0`
is satisfied by any 2.13. Knows no image and no pod.
"""

import functools
import os
import re
import sys
import sysconfig
from collections.abc import Iterable
from pathlib import Path

import msgspec

SOURCE_ROOT = Path(__file__).resolve().parents[3]
"""Where this package itself is imported from; elsewhere than the interpreter's packages when it is installed editable."""

_REQUIREMENT = re.compile(r"^\s*([A-Za-z0-9._-]+)\s*(?:\[[^\]]*\])?\s*(?:(==|>=|~=)\s*([0-9][^\s,;]*))?\s*$")

_INFO = re.compile(r"^([A-Za-z0-9._]+)-([^-]+)\.(?:dist|egg)-info$")
"""Contract: PEP 376 and 427, `<name>-<version>.dist-info` with dashes of the name escaped."""


class Interpreter(msgspec.Struct, frozen=True):
    """One Python with its packages. `prefix` is where its scripts live, `base` where its standard library does."""

    prefix: Path
    base: Path
    packages: tuple[Path, ...]

    @property
    def scripts(self) -> Path:
        return self.prefix / "bin"

    @property
    def roots(self) -> list[Path]:
        """Every directory that must be readable for this interpreter to work."""
        found = {self.prefix, self.base, self.base.resolve(), *(p for p in self.packages if not p.is_relative_to(self.prefix))}
        if not SOURCE_ROOT.is_relative_to(self.prefix):
            found.add(SOURCE_ROOT)
        return sorted(found)

    def version(self, name: str) -> str | None:
        """The installed version of a distribution. Read from names of folders: asking `importlib.metadata` costs a start 10 ms."""
        wanted = canonical(name)
        for place in self.packages:
            for entry in _entries(place):
                match = _INFO.match(entry)
                if match and canonical(match[1]) == wanted:
                    return match[2]
        return None

    def satisfies(self, requirements: Iterable[str], *, exactly: bool = False) -> bool:
        """Are all requirements installed, at least in the asked-for major and minor version, or `exactly` in the asked-for one?"""
        return all(self._has(requirement, exactly) for requirement in requirements)

    def _has(self, requirement: str, exactly: bool) -> bool:
        match = _REQUIREMENT.match(requirement)
        if match is None:
            return False
        name, operator, version = match.groups()
        installed = self.version(name)
        if installed is None or operator is None:
            return installed is not None
        if exactly and operator != ">=":
            return installed.partition("+")[0] == version
        return _fits(installed, operator, version)


def running() -> Interpreter:
    """The interpreter that runs this program."""
    return Interpreter(Path(sys.prefix), Path(sys.base_prefix), _site_directories(sys.prefix))


def base() -> Interpreter:
    """The interpreter that the running one's virtual environment was made from; itself outside of one."""
    return Interpreter(Path(sys.base_prefix), Path(sys.base_prefix), _site_directories(sys.base_prefix))


def canonical(name: str) -> str:
    """Contract: PEP 503 normalized names."""
    return re.sub(r"[-_.]+", "-", name).lower()


@functools.cache  # `sysconfig` reads the whole build's settings each time, which is half a millisecond for every pod
def _site_directories(prefix: str) -> tuple[Path, ...]:
    places = {sysconfig.get_path(kind, vars={"base": prefix, "platbase": prefix}) for kind in ("purelib", "platlib")}
    return tuple(sorted(Path(place) for place in places))


def _entries(place: Path) -> list[str]:
    try:
        return os.listdir(place)
    except OSError:
        return []


def _fits(installed: str, operator: str, wanted: str) -> bool:
    have, want = _release(installed), _release(wanted)
    if operator == "==":
        return have[:2] == want[:2]
    return have >= want


def _release(version: str) -> tuple[int, ...]:
    """The leading numbers of a version: `2.13.0+cpu` → (2, 13, 0)."""
    match = re.match(r"\d+(?:\.\d+)*", version)
    return tuple(int(part) for part in match[0].split(".")) if match else ()
