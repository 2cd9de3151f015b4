"""The functions of sprig that have no time, chance or environment in them, as kwok offers them to Stages. Pure.

Contract: Masterminds/sprig 3.3. What asks for the machine (`env`, `getHostByName`), makes keys or passwords, or reads paths is not known.
"""

import base64
import hashlib
import json
import math
import re
import zlib
from collections.abc import Callable, Iterable
from typing import Any

from lightship.emulation.templates.values import TemplateError, compact, is_true, text_of


def default(given: Any, value: Any = None) -> Any:
    return value if is_true(value) else given


def _fail(message: str) -> Any:
    raise TemplateError(message)


def to_int(value: Any) -> int:
    """What cannot be read is 0, as sprig has it."""
    try:
        return int(value, 0) if isinstance(value, str) else int(value or 0)
    except ValueError:
        try:
            return int(float(value))
        except ValueError:
            return 0


def to_float(value: Any) -> float:
    try:
        return float(value or 0)
    except ValueError:
        return 0.0


def strings(value: Any) -> list[str]:
    if value is None:
        return []
    return [text_of(item) for item in value if item is not None] if isinstance(value, list | tuple) else [text_of(value)]


def _dictionary(*parts: Any) -> dict[str, Any]:
    return {text_of(parts[at]): parts[at + 1] if at + 1 < len(parts) else "" for at in range(0, len(parts), 2)}


def _with(value: dict[str, Any], key: str, item: Any) -> dict[str, Any]:
    value[key] = item
    return value


def _without(value: dict[str, Any], key: str) -> dict[str, Any]:
    value.pop(key, None)
    return value


def _merged(target: dict[str, Any], *others: dict[str, Any]) -> dict[str, Any]:
    """Fields that the first has stay."""
    for other in others:
        for key, item in other.items():
            if key not in target or not is_true(target[key]):
                target[key] = item
            elif isinstance(target[key], dict) and isinstance(item, dict):
                _merged(target[key], item)
    return target


def _dug(*parts: Any) -> Any:
    *keys, given, found = parts
    for key in keys:
        if not isinstance(found, dict) or key not in found:
            return given
        found = found[key]
    return found


def _unique(values: Iterable[Any]) -> list[Any]:
    found: list[Any] = []
    for value in values:
        if value not in found:
            found.append(value)
    return found


def _indented(spaces: int, text: str) -> str:
    pad = " " * spaces
    return pad + text.replace("\n", "\n" + pad)


def _cut(begin: int, end: int, text: str) -> str:
    if begin < 0:
        return text[:end]
    return text[begin:] if end < 0 or end > len(text) else text[begin:end]


def _truncated(length: int, text: str) -> str:
    if length < 0:
        return text[length:] if len(text) + length > 0 else text
    return text[:length]


def _divided(left: Any, right: Any, *, rest: bool = False) -> int:
    dividend, divisor = to_int(left), to_int(right)
    if not divisor:
        raise TemplateError("integer divide by zero")
    whole = abs(dividend) // abs(divisor)
    whole = whole if (dividend < 0) == (divisor < 0) else -whole
    return dividend - whole * divisor if rest else whole


def _product(first: Any, *others: Any) -> int:
    return math.prod(map(to_int, (first, *others)))


def _rounded(value: Any, digits: int, on: float = 0.5) -> float:
    scaled = to_float(value) * 10**digits
    whole = math.floor(scaled)
    return float((whole + 1 if scaled - whole >= on else whole) / 10**digits)


def _steps(begin: int, end: int, step: int) -> list[int]:
    return list(range(begin, end, step)) if step and (end > begin) == (step > 0) else []


def _kind_of(value: Any) -> str:
    if value is None:
        return "invalid"
    if isinstance(value, bool):
        return "bool"
    kinds: list[tuple[Any, str]] = [(int, "int"), (float, "float64"), (str, "string"), (dict, "map")]
    return next((name for kind, name in kinds if isinstance(value, kind)), "slice")


def _quoted(*values: Any) -> str:
    return " ".join(json.dumps(text_of(value), ensure_ascii=False) for value in values if value is not None)


def _go(pattern: str) -> "re.Pattern[str]":
    try:
        return re.compile(pattern)
    except re.error as error:
        raise TemplateError(f'"{pattern}" is no regular expression: {error}') from error


def _replaced(pattern: str, text: str, by: str) -> str:
    return _go(pattern).sub(re.sub(r"\$\{?(\w+)\}?", r"\\g<\1>", by), text)


def _ternary(yes: Any, no: Any, test: Any) -> Any:
    return yes if test else no


def _plural(one: str, many: str, count: int) -> str:
    return one if count == 1 else many


def _camel(text: str) -> str:
    return "".join(part[:1].upper() + part[1:] for part in re.split(r"[_\-\s]+", text))


def _snake(text: str, by: str = "_") -> str:
    return re.sub(r"[-\s]+|_+", by, re.sub(r"(?<=[a-z0-9])(?=[A-Z])", by, text)).lower()


SPRIG: dict[str, Callable[..., Any]] = {
    "add": lambda *values: sum(map(to_int, values)),
    "add1": lambda value: to_int(value) + 1,
    "addf": lambda *values: sum(map(to_float, values)),
    "adler32sum": lambda text: str(zlib.adler32(text.encode())),
    "all": lambda *values: all(map(is_true, values)),
    "any": lambda *values: any(map(is_true, values)),
    "append": lambda values, item: [*values, item],
    "atoi": to_int,
    "b64dec": lambda text: base64.b64decode(text).decode(errors="replace"),
    "b64enc": lambda text: base64.b64encode(text.encode()).decode(),
    "camelcase": _camel,
    "cat": lambda *values: " ".join(text_of(value) for value in values if value is not None),
    "ceil": lambda value: math.ceil(to_float(value)),
    "chunk": lambda size, values: [values[at : at + size] for at in range(0, len(values), size)],
    "coalesce": lambda *values: next((value for value in values if is_true(value)), None),
    "compact": lambda values: [value for value in values if is_true(value)],
    "concat": lambda *lists: [item for values in lists for item in values],
    "contains": lambda part, text: part in text,
    "deepEqual": lambda left, right: left == right,
    "default": default,
    "dict": _dictionary,
    "dig": _dug,
    "div": _divided,
    "empty": lambda value: not is_true(value),
    "fail": _fail,
    "first": lambda values: values[0] if values else None,
    "float64": to_float,
    "floor": lambda value: math.floor(to_float(value)),
    "fromJson": json.loads,
    "get": lambda value, key: value.get(key, ""),
    "has": lambda item, values: item in (values or ()),
    "hasKey": lambda value, key: key in value,
    "hasPrefix": lambda part, text: text.startswith(part),
    "hasSuffix": lambda part, text: text.endswith(part),
    "indent": _indented,
    "initial": lambda values: values[:-1],
    "int": to_int,
    "int64": to_int,
    "join": lambda by, values: by.join(strings(values)),
    "kebabcase": lambda text: _snake(text, "-"),
    "keys": lambda *maps: [key for value in maps for key in value],
    "kindIs": lambda kind, value: _kind_of(value) == kind,
    "kindOf": _kind_of,
    "last": lambda values: values[-1] if values else None,
    "list": lambda *values: list(values),
    "lower": str.lower,
    "max": lambda *values: max(map(to_int, values)),
    "merge": _merged,
    "min": lambda *values: min(map(to_int, values)),
    "mod": lambda left, right: _divided(left, right, rest=True),
    "mul": _product,
    "mustFromJson": json.loads,
    "mustToJson": compact,
    "nindent": lambda spaces, text: "\n" + _indented(spaces, text),
    "nospace": lambda text: re.sub(r"\s", "", text),
    "omit": lambda value, *keys: {key: item for key, item in value.items() if key not in keys},
    "pick": lambda value, *keys: {key: value[key] for key in keys if key in value},
    "pluck": lambda key, *maps: [value[key] for value in maps if key in value],
    "plural": _plural,
    "prepend": lambda values, item: [item, *values],
    "quote": _quoted,
    "regexFind": lambda pattern, text: found.group() if (found := _go(pattern).search(text)) else "",
    "regexFindAll": lambda pattern, text, most: [f.group() for f in _go(pattern).finditer(text)][: most if most >= 0 else None],
    "regexMatch": lambda pattern, text: _go(pattern).search(text) is not None,
    "regexReplaceAll": _replaced,
    "regexSplit": lambda pattern, text, most: _go(pattern).split(text, maxsplit=max(0, most - 1)),
    "repeat": lambda count, text: text * count,
    "replace": lambda old, new, text: text.replace(old, new),
    "rest": lambda values: values[1:],
    "reverse": lambda values: values[::-1],
    "round": _rounded,
    "seq": lambda *bounds: " ".join(map(str, range(bounds[0] if len(bounds) > 1 else 1, bounds[-1] + 1))),
    "set": _with,
    "sha1sum": lambda text: hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest(),
    "sha256sum": lambda text: hashlib.sha256(text.encode()).hexdigest(),
    "snakecase": _snake,
    "sortAlpha": lambda values: sorted(strings(values)),
    "split": lambda by, text: {f"_{number}": part for number, part in enumerate(text.split(by))},
    "splitList": lambda by, text: text.split(by),
    "splitn": lambda by, most, text: {f"_{number}": part for number, part in enumerate(text.split(by, most - 1))},
    "squote": lambda *values: " ".join(f"'{text_of(value)}'" for value in values if value is not None),
    "sub": lambda left, right: to_int(left) - to_int(right),
    "substr": _cut,
    "ternary": _ternary,
    "title": str.title,
    "toDecimal": lambda text: int(text_of(text), 8),
    "toJson": compact,
    "toPrettyJson": lambda value: json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False),
    "toRawJson": lambda value: json.dumps(value, separators=(",", ":"), sort_keys=True, ensure_ascii=False),
    "toString": text_of,
    "toStrings": strings,
    "trim": str.strip,
    "trimAll": lambda parts, text: text.strip(parts),
    "trimPrefix": lambda part, text: text.removeprefix(part),
    "trimSuffix": lambda part, text: text.removesuffix(part),
    "trunc": _truncated,
    "tuple": lambda *values: list(values),
    "typeOf": lambda value: {"map": "map[string]interface {}", "slice": "[]interface {}"}.get(_kind_of(value), _kind_of(value)),
    "uniq": _unique,
    "unset": _without,
    "until": lambda end: _steps(0, end, 1 if end > 0 else -1),
    "untilStep": _steps,
    "upper": str.upper,
    "values": lambda *maps: [item for value in maps for item in value.values()],
    "without": lambda values, *items: [value for value in values if value not in items],
}
