"""Label and field selectors: parsed once, then asked of many objects.

Called by the server's list and watch, by informers and by controllers that own pods. Refuses to know which fields a kind lets one
select by; that is the resource's `selectable`.
Contract: apimachinery labels.Parse, metav1.LabelSelector, fields.ParseSelector.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

from lightship.meta import names
from lightship.meta.objects import Obj

_TOKEN = re.compile(r"\s*(?:(==|!=|[=!<>(),])|([^\s=!<>(),]+))")


class LabelRequirement(NamedTuple):
    """`op` is one of `in`, `notin`, `exists`, `!`, `gt`, `lt`; equality is `in` with one value."""

    key: str
    op: str
    values: frozenset[str]

    def matches(self, labels: Mapping[str, str]) -> bool:
        value = labels.get(self.key)
        if self.op == "in":
            return value is not None and value in self.values
        if self.op == "notin":
            return value is None or value not in self.values
        if self.op == "exists":
            return value is not None
        if self.op == "!":
            return value is None
        return value is not None and _compare(self.op, value, next(iter(self.values)))


class LabelSelector:
    """A conjunction of requirements; with none it matches everything. `NOTHING` matches nothing."""

    __slots__ = ("nothing", "requirements")

    def __init__(self, requirements: Iterable[LabelRequirement] = (), *, nothing: bool = False) -> None:
        self.requirements = tuple(requirements)
        self.nothing = nothing

    @property
    def empty(self) -> bool:
        """True when every object matches."""
        return not self.requirements and not self.nothing

    def matches(self, labels: Mapping[str, str] | None) -> bool:
        if self.nothing:
            return False
        found = labels or {}
        return all(requirement.matches(found) for requirement in self.requirements)

    def __str__(self) -> str:
        """The selector in its text form, as a list request carries it."""
        return ",".join(_show(r) for r in sorted(self.requirements, key=lambda r: r.key))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, LabelSelector) and (self.nothing, set(self.requirements)) == (other.nothing, set(other.requirements))

    def __hash__(self) -> int:
        return hash((self.nothing, frozenset(self.requirements)))


EVERYTHING = LabelSelector()
NOTHING = LabelSelector(nothing=True)


class FieldRequirement(NamedTuple):
    """`op` is `=` or `!=`."""

    path: str
    op: str
    value: str


def parse_label_selector(text: str) -> LabelSelector:
    """Parse `app=web,tier in (a, b),!legacy`. Raises `ValueError` naming what was found and what was expected."""
    if not text.strip():
        return EVERYTHING
    return LabelSelector(_Parser(text).requirements())


def from_label_selector(obj: Obj | None) -> LabelSelector:
    """The selector in a spec: None selects nothing, an empty one everything. Raises `ValueError` on a bad operator or value."""
    if obj is None:
        return NOTHING
    found = [_requirement(key, "in", [value]) for key, value in (obj.get("matchLabels") or {}).items()]
    for expression in obj.get("matchExpressions") or ():
        op = _OPERATORS.get(expression.get("operator") or "")
        if op is None:
            raise ValueError(f'"{expression.get("operator")}" is not a valid label selector operator')
        found.append(_requirement(expression.get("key") or "", op, expression.get("values") or []))
    return LabelSelector(found)


def parse_field_selector(text: str) -> list[FieldRequirement]:
    """Parse `status.phase!=Running,spec.nodeName=n1`; `\\`, `,` and `=` in values are escaped by a backslash. Raises `ValueError`."""
    return [_field_requirement(part, text) for part in _split_unescaped(text) if part]


def format_labels(labels: Mapping[str, str] | None) -> str:
    """Labels as kubectl prints them: sorted `k=v` joined by commas, `<none>` when there are none."""
    return ",".join(f"{k}={labels[k]}" for k in sorted(labels)) if labels else "<none>"


_OPERATORS = {"In": "in", "NotIn": "notin", "Exists": "exists", "DoesNotExist": "!"}


def _compare(op: str, value: str, bound: str) -> bool:
    try:
        left, right = int(value), int(bound)
    except ValueError:
        return False
    return left > right if op == "gt" else left < right


def _requirement(key: str, op: str, values: Iterable[str]) -> LabelRequirement:
    problem = names.check_name(key, "qualified")
    if problem:
        raise ValueError(f'<nil>: Invalid value: "{key}": {problem}')
    listed = frozenset(values)
    if op in ("in", "notin") and not listed:
        raise ValueError("values: Invalid value: []: for 'in', 'notin' operators, values set can't be empty")
    if op in ("exists", "!") and listed:
        raise ValueError(f"values: Invalid value: {sorted(listed)}: values set must be empty for exists and does not exist")
    for value in sorted(listed):
        problem = names.check_name(value, "label-value")
        if problem:
            raise ValueError(f'values[0][{key}]: Invalid value: "{value}": {problem}')
    return LabelRequirement(key, op, listed)


def _show(requirement: LabelRequirement) -> str:
    key, op, values = requirement
    if op == "exists":
        return key
    if op == "!":
        return f"!{key}"
    if op in ("gt", "lt"):
        return f"{key}{'>' if op == 'gt' else '<'}{next(iter(values))}"
    if len(values) == 1:
        return f"{key}{'=' if op == 'in' else '!='}{next(iter(values))}"
    return f"{key} {op} ({','.join(sorted(values))})"


class _Parser:
    """Recursive descent over the tokens of one selector."""

    def __init__(self, text: str) -> None:
        self.tokens = _tokens(text)
        self.at = 0

    def requirements(self) -> list[LabelRequirement]:
        self.expect_start("!, identifier, or 'end of string'")
        found = [self.requirement()]
        while self.peek() == ",":
            self.at += 1
            self.expect_start("identifier after ','")
            found.append(self.requirement())
        if self.peek():
            raise ValueError(f"found '{self.peek()}', expected: ',' or 'end of string'")
        return found

    def expect_start(self, expected: str) -> None:
        """A requirement begins with a key or with `!`."""
        token = self.peek()
        if not token or (token in _PUNCTUATION and token != "!"):
            raise ValueError(f"found '{token}', expected: {expected}")

    def requirement(self) -> LabelRequirement:
        if self.peek() == "!":
            self.at += 1
            return self.checked(self.key(), "!", [])
        key, op = self.key(), self.peek()
        if op in ("", ","):
            return self.checked(key, "exists", [])
        self.at += 1
        if op in ("in", "notin"):
            return self.checked(key, op, self.value_set())
        if op in _SYMBOLS:
            return self.checked(key, _SYMBOLS[op], [self.value()])
        raise ValueError(f"unable to parse requirement: found '{op}', expected: in, notin, =, ==, !=, gt, lt")

    def checked(self, key: str, op: str, values: list[str]) -> LabelRequirement:
        try:
            found = _requirement(key, op, values)
        except ValueError as error:
            raise ValueError(f"unable to parse requirement: {error}") from None
        if op in ("gt", "lt") and not re.fullmatch(r"[+-]?\d+", values[0]):
            why = "for 'Gt', 'Lt' operators, the value must be an integer"
            raise ValueError(f'unable to parse requirement: values[0]: Invalid value: "{values[0]}": {why}')
        return found

    def peek(self) -> str:
        return self.tokens[self.at] if self.at < len(self.tokens) else ""

    def key(self) -> str:
        token = self.peek()
        if not token or token in _PUNCTUATION:
            raise ValueError(f"unable to parse requirement: found '{token}', expected: identifier")
        self.at += 1
        return token

    def value(self) -> str:
        """One value; nothing before a comma or the end is the empty value."""
        token = self.peek()
        if token in ("", ","):
            return ""
        if token in _PUNCTUATION:
            raise ValueError(f"unable to parse requirement: found '{token}', expected: identifier")
        self.at += 1
        return token

    def value_set(self) -> list[str]:
        if self.peek() != "(":
            raise ValueError(f"unable to parse requirement: found '{self.peek()}' expected: '('")
        self.at += 1
        values: list[str] = []
        expecting = True
        while (token := self.peek()) != ")":
            if not token or (token in _PUNCTUATION and token != ","):
                raise ValueError(f"unable to parse requirement: found '{token}', expected: ',' or ')'")
            if token == ",":
                if expecting:
                    values.append("")
                expecting = True
            else:
                if not expecting:
                    raise ValueError(f"unable to parse requirement: found '{token}', expected: ',' or ')'")
                values.append(token)
                expecting = False
            self.at += 1
        self.at += 1
        return [*values, ""] if expecting else values


_SYMBOLS = {"=": "in", "==": "in", "!=": "notin", ">": "gt", "<": "lt"}
_PUNCTUATION = frozenset("=!<>(),") | {"==", "!="}


def _tokens(text: str) -> list[str]:
    found, at = [], 0
    text = text.rstrip()
    while at < len(text):
        match = _TOKEN.match(text, at)
        if match is None:  # cannot happen: every character is punctuation, space or part of a word
            raise ValueError(f"unable to parse requirement: unexpected character at {at} in {text!r}")
        found.append(match[1] or match[2])
        at = match.end()
    return found


def _split_unescaped(text: str) -> list[str]:
    parts, current, escaped = [], "", False
    for char in text:
        if not escaped and char == ",":
            parts.append(current)
            current = ""
        else:
            current += char
        escaped = char == "\\" and not escaped
    return [*parts, current]


def _field_requirement(part: str, whole: str) -> FieldRequirement:
    found = re.match(r"([^=!]+)(==|!=|=)(.*)", part, re.DOTALL)
    if found is None:
        raise ValueError(f"invalid selector: '{whole}'; can't understand '{part}'")
    return FieldRequirement(found[1].strip(), "!=" if found[2] == "!=" else "=", _unescape(found[3]))


def _unescape(value: str) -> str:
    text, chars = "", iter(value)
    for char in chars:
        if char == "\\":
            following = next(chars, "")
            if following not in ("\\", ",", "="):
                raise ValueError(f"invalid field selector: invalid escape sequence: \\{following}")
            text += following
        elif char in ",=":
            raise ValueError(f"invalid field selector: unescaped character in value: {ord(char)}")
        else:
            text += char
    return text


MatchFields = Callable[[Obj], bool]


def match_fields(requirements: Iterable[FieldRequirement], selectable: Mapping[str, tuple[str, ...]]) -> MatchFields:
    """One predicate for all requirements; `metadata.name` and `metadata.namespace` are selectable everywhere.

    Raises `ValueError` for a field that is not selectable. A missing field counts as the empty string, booleans as `true`/`false`.
    """
    tests: list[tuple[tuple[str, ...], bool, str]] = []
    for path, op, value in requirements:
        steps = _ALWAYS.get(path) or selectable.get(path)
        if steps is None:
            raise ValueError(f"field label not supported: {path}")
        tests.append((steps, op == "=", value))
    return lambda obj: all((field_text(obj, steps) == value) is equal for steps, equal, value in tests)


_ALWAYS = {"metadata.name": ("metadata", "name"), "metadata.namespace": ("metadata", "namespace")}


def field_text(obj: Obj, steps: Iterable[str]) -> str:
    """A selectable field as text."""
    found: object = obj
    for step in steps:
        found = found.get(step) if isinstance(found, dict) else None
    if isinstance(found, bool):
        return "true" if found else "false"
    return "" if found is None else str(found)
