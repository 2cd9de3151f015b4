"""The library `semver`: versions such as `1.2.3-rc.1+build`, parsed and compared.

Called through `library.KUBERNETES`. With `true` as second argument `semver` and `isSemver` accept a leading `v`, missing parts and
leading zeros. Contract: k8s.io/apiserver/pkg/cel/library/semverlib.go (version 1), github.com/blang/semver/v4.
"""

import re
from typing import ClassVar

from lightship.cel.errors import EvaluationError
from lightship.cel.functions import Library, Overload
from lightship.cel.library import costs
from lightship.cel.library.quoting import quote
from lightship.cel.types import BOOL, INT, STRING, Opaque, Type
from lightship.cel.values import INT_MAX, UINT_MAX, Value

SEMVER = Opaque("kubernetes.Semver")

_NUMBER = re.compile("[0-9]*", re.ASCII)
_WORD = re.compile("[0-9A-Za-z-]*", re.ASCII)


class Semver(Value):
    """A version. Build metadata is read and has no say in comparisons."""

    __slots__ = ("before", "release")
    type: ClassVar[Type] = SEMVER

    def __init__(self, release: tuple[int, int, int], before: tuple[int | str, ...]) -> None:
        self.release = release
        self.before = before

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Semver) and compare(self, other) == 0

    def __hash__(self) -> int:
        return hash((self.release, self.before))

    def __repr__(self) -> str:
        return f"semver({'.'.join(map(str, self.release))}{'-' * bool(self.before)}{'.'.join(map(str, self.before))})"


def parse(text: str, normalize: bool = False) -> Semver:
    """Raises `EvaluationError` in the words of the real server."""
    if normalize:
        text = _normalized(text)
    if not text:
        raise EvaluationError("Version string empty")
    parts = text.split(".", 2)
    if len(parts) != 3:
        raise EvaluationError("No Major.Minor.Patch elements found")
    major, minor = _number(parts[0], "major"), _number(parts[1], "minor")
    rest, plus, build = parts[2].partition("+")
    patch_text, dash, before = rest.partition("-")
    patch = _number(patch_text, "patch")
    pre = tuple(map(_prerelease, before.split("."))) if dash else ()
    for word in build.split(".") if plus else ():
        if not word:
            raise EvaluationError("Build meta data is empty")
        if not _WORD.fullmatch(word):
            raise EvaluationError(f"Invalid character(s) found in build meta data {quote(word)}")
    return Semver((major, minor, patch), pre)


def _number(text: str, part: str) -> int:
    if not _NUMBER.fullmatch(text):
        raise EvaluationError(f"Invalid character(s) found in {part} number {quote(text)}")
    if len(text) > 1 and text[0] == "0":
        raise EvaluationError(f"{part.capitalize()} number must not contain leading zeroes {quote(text)}")
    return _uint(text)


def _uint(text: str) -> int:
    if not text:
        raise EvaluationError('strconv.ParseUint: parsing "": invalid syntax')
    if len(text) > 20 or int(text) > UINT_MAX:
        raise EvaluationError(f"strconv.ParseUint: parsing {quote(text)}: value out of range")
    return int(text)


def _prerelease(word: str) -> int | str:
    if not word:
        raise EvaluationError("Prerelease is empty")
    if _NUMBER.fullmatch(word):
        if len(word) > 1 and word[0] == "0":
            raise EvaluationError(f"Numeric PreRelease version must not contain leading zeroes {quote(word)}")
        return _uint(word)
    if not _WORD.fullmatch(word):
        raise EvaluationError(f"Invalid character(s) found in prerelease {quote(word)}")
    return word


def _normalized(text: str) -> str:
    parts = [_without_zeros(part) for part in text.removeprefix("v").split(".", 2)]
    if len(parts) < 3 and ("+" in parts[-1] or "-" in parts[-1]):
        raise EvaluationError("short version cannot contain PreRelease/Build meta data")
    return ".".join([*parts, "0", "0"][: max(3, len(parts))])


def _without_zeros(part: str) -> str:
    if len(part) < 2:
        return part
    bare = part.lstrip("0")
    return bare if bare and bare[0] in "0123456789" else "0" + bare


def compare(a: Semver, b: Semver) -> int:
    if a.release != b.release:
        return 1 if a.release > b.release else -1
    if not a.before or not b.before:
        return bool(b.before) - bool(a.before)
    left, right = ([(isinstance(word, str), word) for word in v.before] for v in (a, b))
    return (left > right) - (left < right)


def _is_semver(text: str, normalize: bool = False) -> bool:
    try:
        parse(text, normalize)
    except EvaluationError:
        return False
    return True


def _int(number: int) -> int:
    """Go turns the unsigned number into a signed one."""
    return number if number <= INT_MAX else number - 2**64


_COST = costs.traversal()
_ESTIMATE = costs.of_argument()

LIBRARY = Library(
    "kubernetes.Semver",
    (
        Overload("semver", (STRING,), SEMVER, parse, cost=_COST, estimate=_ESTIMATE, id="string_to_semver"),
        Overload("semver", (STRING, BOOL), SEMVER, parse, cost=_COST, estimate=_ESTIMATE, id="string_bool_to_semver"),
        Overload("isSemver", (STRING,), BOOL, _is_semver, cost=_COST, estimate=_ESTIMATE, id="is_semver_string"),
        Overload("isSemver", (STRING, BOOL), BOOL, _is_semver, cost=_COST, estimate=_ESTIMATE, id="is_semver_string_bool"),
        Overload("isGreaterThan", (SEMVER, SEMVER), BOOL, lambda a, b: compare(a, b) > 0, True, id="semver_is_greater_than"),
        Overload("isLessThan", (SEMVER, SEMVER), BOOL, lambda a, b: compare(a, b) < 0, True, id="semver_is_less_than"),
        Overload("compareTo", (SEMVER, SEMVER), INT, compare, True, id="semver_compare_to"),
        Overload("major", (SEMVER,), INT, lambda v: _int(v.release[0]), True, id="semver_major"),
        Overload("minor", (SEMVER,), INT, lambda v: _int(v.release[1]), True, id="semver_minor"),
        Overload("patch", (SEMVER,), INT, lambda v: _int(v.release[2]), True, id="semver_patch"),
    ),
)
