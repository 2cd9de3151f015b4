"""The rules for names, label keys and label values, with the sentences in which the API server refuses a bad one.

Called by object validation (`meta.metadata`, `kinds`, each capability's `api.py`) and by the server when it generates a name. Refuses
to know which kind uses which rule.
Contract: apimachinery pkg/util/validation, pkg/api/validation/path; generated names as apiserver pkg/storage/names.
"""

import re
from collections.abc import Callable
from functools import lru_cache
from typing import Literal, TypeAlias

Rule: TypeAlias = Literal[
    "label", "label1035", "subdomain", "qualified", "label-value", "path", "c-identifier", "env", "port", "config-key"
]

_LABEL = "[a-z0-9]([-a-z0-9]*[a-z0-9])?"
_SUBDOMAIN = rf"{_LABEL}(\.{_LABEL})*"
_LABEL_1035 = "[a-z]([-a-z0-9]*[a-z0-9])?"
_QUALIFIED = "([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]"
_LABEL_VALUE = f"({_QUALIFIED})?"
_CONFIG_KEY = "[-._a-zA-Z0-9]+"

_label = re.compile(_LABEL).fullmatch
_subdomain = re.compile(_SUBDOMAIN).fullmatch
_label_1035 = re.compile(_LABEL_1035).fullmatch
_qualified = re.compile(_QUALIFIED).fullmatch
_label_value = re.compile(_LABEL_VALUE).fullmatch
_config_key = re.compile(_CONFIG_KEY).fullmatch
_c_identifier = re.compile("[A-Za-z_][A-Za-z0-9_]*").fullmatch
_env_name = re.compile("[ -<>-~]+").fullmatch
_port_name = re.compile("[-a-z0-9]+").fullmatch

NAME_LIMIT = 253
LABEL_LIMIT = 63
_PATTERNS: dict[str, tuple[int, Callable[[str], object]]] = {
    "label": (LABEL_LIMIT, _label),
    "subdomain": (NAME_LIMIT, _subdomain),
    "label-value": (LABEL_LIMIT, _label_value),
}
"""Rules that say no more than a pattern and a length: names of objects are asked about once, and not worth remembering."""
_GENERATED_SUFFIX = 5
_GENERATED_BASE = LABEL_LIMIT - _GENERATED_SUFFIX


def is_dns_label(text: str) -> bool:
    """RFC 1123 label: what namespaces, pods' hostnames and containers are called."""
    return len(text) <= LABEL_LIMIT and _label(text) is not None


def is_dns_subdomain(text: str) -> bool:
    """RFC 1123 subdomain: what most objects are called."""
    return len(text) <= NAME_LIMIT and _subdomain(text) is not None


def check_name(text: str, rule: Rule) -> str | None:
    """None when `text` follows the rule, otherwise the (first) sentence that says what is wrong with it."""
    found = problems(text, rule)
    return found[0] if found else None


def follows(text: str, rule: Rule) -> bool:
    """Is nothing wrong with `text`? The cheapest question, for those who ask it of every object."""
    pattern = _PATTERNS.get(rule)
    if pattern is not None:
        limit, match = pattern
        return len(text) <= limit and match(text) is not None
    return not (_remembered(text, rule) if len(text) <= NAME_LIMIT else _RULES[rule](text))


def problems(text: str, rule: Rule) -> list[str]:
    """All that is wrong with `text` under the rule, each a sentence of its own as the real server lists them."""
    return list(_remembered(text, rule)) if len(text) <= NAME_LIMIT else _RULES[rule](text)


@lru_cache(maxsize=8192)
def _remembered(text: str, rule: Rule) -> tuple[str, ...]:
    """The same few label keys and variable names come with every object. Long texts are not worth their memory."""
    return tuple(_RULES[rule](text))


def generate(base: str, random_suffix: Callable[[int], str]) -> str:
    """`generateName` made into a name: the base cut to 58 characters and five from `random_suffix(5)`."""
    return base[:_GENERATED_BASE] + random_suffix(_GENERATED_SUFFIX)


def _too_long(limit: int, unit: str = "characters") -> str:
    """The real server counts bytes in both cases, but says so only of label keys, label values and C identifiers."""
    return f"must be no more than {limit} {unit}"


def _by_pattern(match: Callable[[str], object], limit: int, message: str, unit: str = "characters") -> Callable[[str], list[str]]:
    def check(text: str) -> list[str]:
        found = [_too_long(limit, unit)] if len(text) > limit else []
        return found if match(text) else [*found, message]

    return check


_NAME_PART = (
    "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character "
    f"(e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '{_QUALIFIED}')"
)
_LABEL_NAME = (
    "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an "
    f"alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '{_LABEL}')"
)
_QUALIFIED_NAME = (
    "a valid label key must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an "
    f"alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '{_QUALIFIED}') "
    "with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')"
)
_ENV_NAME = "a valid environment variable name must consist only of printable ASCII characters other than '='"
_check_subdomain = _by_pattern(
    _subdomain,
    NAME_LIMIT,
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an "
    rf"alphanumeric character (e.g. 'example.com', regex used for validation is '{_SUBDOMAIN}')",
)


def _check_label(text: str) -> list[str]:
    found = [_too_long(LABEL_LIMIT)] if len(text) > LABEL_LIMIT else []
    if _label(text):
        return found
    return [*found, "must not contain dots" if _subdomain(text) else _LABEL_NAME]


def _check_qualified(text: str) -> list[str]:
    """A label key or finalizer: `name` or `prefix/name`."""
    prefix, slash, name = text.rpartition("/")
    if slash and "/" in prefix:
        return [_QUALIFIED_NAME]
    found: list[str] = []
    if slash:
        problems = [m.replace("characters", "bytes") if m.startswith("must be no more") else m for m in _check_subdomain(prefix)]
        found += [f"prefix part {m}" for m in (problems if prefix else ["must be non-empty"])]
    if not name:
        found.append("name part must be non-empty")
    elif len(name) > LABEL_LIMIT:
        found.append(f"name part {_too_long(LABEL_LIMIT, 'bytes')}")
    return found if _qualified(name) else [*found, _NAME_PART]


def _check_path(text: str) -> list[str]:
    if text in (".", ".."):
        return [f"may not be '{text}'"]
    return [f"may not contain '{c}'" for c in "/%" if c in text]


def _check_config_key(text: str) -> list[str]:
    found = [_too_long(NAME_LIMIT)] if len(text) > NAME_LIMIT else []
    if not _config_key(text):
        found.append(
            "a valid config key must consist of alphanumeric characters, '-', '_' or '.' "
            f"(e.g. 'key.name',  or 'KEY_NAME',  or 'key-name', regex used for validation is '{_CONFIG_KEY}')"
        )
    if text in (".", ".."):
        found.append(f"must not be '{text}'")
    elif text.startswith(".."):
        found.append("must not start with '..'")
    return found


def _check_env(text: str) -> list[str]:
    return [] if _env_name(text) else [_ENV_NAME]


def _check_port(text: str) -> list[str]:
    found: list[str] = []
    if len(text) > 15:
        found.append("must be no more than 15 characters")
    if not _port_name(text):
        found.append("must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)")
    if not re.search("[a-z]", text):
        found.append("must contain at least one letter (a-z)")
    if "--" in text:
        found.append("must not contain consecutive hyphens")
    if text.startswith("-") or text.endswith("-"):
        found.append("must not begin or end with a hyphen")
    return found


_RULES: dict[Rule, Callable[[str], list[str]]] = {
    "label": _check_label,
    "label1035": _by_pattern(
        _label_1035,
        LABEL_LIMIT,
        "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic character, and end with an "
        f"alphanumeric character (e.g. 'my-name',  or 'abc-123', regex used for validation is '{_LABEL_1035}')",
    ),
    "subdomain": _check_subdomain,
    "qualified": _check_qualified,
    "label-value": _by_pattern(
        _label_value,
        LABEL_LIMIT,
        "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an "
        f"alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is '{_LABEL_VALUE}')",
        "bytes",
    ),
    "path": _check_path,
    "c-identifier": _by_pattern(
        _c_identifier,
        10**6,
        "a valid C identifier must start with alphabetic character or '_', followed by a string of alphanumeric characters or '_' "
        "(e.g. 'my_name',  or 'MY_NAME',  or 'MyName', regex used for validation is '[A-Za-z_][A-Za-z0-9_]*')",
        "bytes",
    ),
    "env": _check_env,
    "port": _check_port,
    "config-key": _check_config_key,
}
