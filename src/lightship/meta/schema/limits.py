"""The constraints of a schema beyond types: ranges, lengths, patterns, formats, enums, duplicates; each as a function of its own.

Called by `checks`, which has made sure of the type before it asks. Texts compared with kube-apiserver 1.36.
"""

from collections.abc import Callable
from typing import Any, TypeAlias

from lightship.meta import codec, errors
from lightship.meta.errors import Cause
from lightship.meta.schema import formats, patterns
from lightship.meta.schema.nodes import Node

Path: TypeAlias = "tuple[Path, str | int] | None"
Check: TypeAlias = Callable[[Any, "Path", list[Cause]], None]
UNDECODABLE = "FieldValueTypeInvalid"
"""Reason of a value of the wrong type."""


def path_text(path: Path) -> str:
    """`spec.containers[0].image`"""
    steps: list[str] = []
    while path is not None:
        path, step = path
        steps.append(f"[{step}]" if isinstance(step, int) else f".{step}")
    return "".join(reversed(steps)).removeprefix(".")


def enum(node: Node) -> Check:
    allowed = node.raw["enum"]
    # A Go string that is empty was not given.
    known = frozenset(a for a in allowed if isinstance(a, str)) | ({""} if node.go else set())
    others = [a for a in allowed if not isinstance(a, str)]
    shown = [a if isinstance(a, str) else codec.encode(a).decode() for a in allowed]

    def walk(value: Any, path: Path, out: list[Cause]) -> None:
        if not (value in known if value.__class__ is str else value in others):
            out.append(errors.not_supported(path_text(path), value, shown))

    return walk


def _limit(broken: Callable[[Any], bool], cause: Callable[[Any, str], Cause]) -> Check:
    def walk(value: Any, path: Path, out: list[Cause]) -> None:
        if broken(value):
            out.append(cause(value, path_text(path)))

    return walk


def number(node: Node) -> list[Check]:
    found: list[Check] = []
    raw = node.raw
    low, high, step = raw.get("minimum"), raw.get("maximum"), raw.get("multipleOf")
    if low is not None:
        strict = bool(raw.get("exclusiveMinimum"))
        words = f"should be greater than {'' if strict else 'or equal to '}{low}"
        found.append(_limit(lambda v: v < low or (strict and v == low), lambda v, at: _in_body(at, v, words)))
    if high is not None:
        open_end = bool(raw.get("exclusiveMaximum"))
        bound = f"should be less than {'' if open_end else 'or equal to '}{high}"
        found.append(_limit(lambda v: v > high or (open_end and v == high), lambda v, at: _in_body(at, v, bound)))
    if step:
        found.append(_limit(lambda v: v % step != 0, lambda v, at: _in_body(at, v, f"should be a multiple of {step}")))
    return found


def string(node: Node) -> list[Check]:
    rules: list[tuple[Callable[[Any], bool], Callable[[Any, str], Cause]]] = []
    raw = node.raw
    low, high, pattern = raw.get("minLength"), raw.get("maxLength"), raw.get("pattern")
    if high is not None:
        rules.append((lambda v: _length(v) > high, lambda v, at: errors.too_long(at, high)))
    if low:
        rules.append((lambda v: _length(v) < low, lambda v, at: _in_body(at, v, f"should be at least {low} chars long")))
    if pattern:
        matches = patterns.searcher(pattern)
        rules.append((lambda v: isinstance(v, str) and not matches(v), lambda v, at: _in_body(at, v, f"should match '{pattern}'")))
    found = [_first(rules)] if rules else []
    name = raw.get("format") or ""
    right = formats.find(name) if name and node.type == "string" else None
    if right is not None:
        found.append(_format(node, name, formats.is_base64 if node.context.builtin else right))
    return found


def _first(rules: list[tuple[Callable[[Any], bool], Callable[[Any, str], Cause]]]) -> Check:
    """Of the rules that are broken the first is told."""

    def walk(value: Any, path: Path, out: list[Cause]) -> None:
        for broken, cause in rules:
            if broken(value):
                out.append(cause(value, path_text(path)))
                return

    return walk


def _length(value: Any) -> int:
    """Characters; wrongly typed values were complained about already."""
    return len(value) if isinstance(value, str) else 0


def _format(node: Node, name: str, right: Callable[[str], bool]) -> Check:
    def walk(value: Any, path: Path, out: list[Cause]) -> None:
        if value.__class__ is not str or right(value):
            return
        if node.context.builtin:
            out.append(Cause("", f"illegal base64 data at input byte {formats.bad_base64(value)}", UNDECODABLE))
        else:
            out.append(bad_format(value, path, name))

    return walk


def bad_format(value: str, path: Path, name: str) -> Cause:
    at = path_text(path)
    return Cause(at, f'Invalid value: "{value}": {at} in body must be of type {name}: "{value}"', UNDECODABLE)


def size(node: Node, suffix: str, word: str) -> list[Check]:
    found: list[Check] = []
    low, high = node.raw.get("min" + suffix), node.raw.get("max" + suffix)
    if low:
        found.append(_limit(lambda v: len(v) < low, lambda v, at: _in_body(at, len(v), f"should have at least {low} {word}")))
    if high is not None:
        found.append(_limit(lambda v: len(v) > high, lambda v, at: _too_many(at, len(v), high)))
    return found


def _too_many(at: str, found: int, limit: int) -> Cause:
    return Cause(at, f"Too many: {found}: must have at most {limit} item{'' if limit == 1 else 's'}", "FieldValueTooMany")


def _in_body(at: str, value: Any, words: str) -> Cause:
    return errors.invalid_value(at, value, f"{at} in body {words}")
