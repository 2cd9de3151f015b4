"""The library `format`: named rules for texts, such as `format.dns1123Label().validate(name)`.

Called through `library.KUBERNETES`. `validate` gives none for a text that follows the rule, else the sentences that say what is wrong.
Contract: k8s.io/apiserver/pkg/cel/library/format.go.
"""

import re
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

from lightship.cel.functions import REGEX, TRAVERSAL, CallEstimate, Library, Operand, Overload
from lightship.cel.library import costs, urltext
from lightship.cel.types import STRING, ListType, Opaque, OptionalType, Type
from lightship.cel.values import Optional, Value
from lightship.meta import names
from lightship.meta.schema.formats import FORMATS as MORE_FORMATS

FORMAT = Opaque("kubernetes.NamedFormat")

_UUID = re.compile("[0-9a-f]{8}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{12}", re.IGNORECASE | re.ASCII)
_ASSUMED_PATTERN = 128


class NamedFormat(Value):
    """`length` is that of the pattern that is deemed to be matched, for the cost."""

    __slots__ = ("length", "name", "problems")
    type: ClassVar[Type] = FORMAT

    def __init__(self, name: str, length: int, problems: Callable[[str], list[str]]) -> None:
        self.name = name
        self.length = length
        self.problems = problems

    def __eq__(self, other: object) -> bool:
        return isinstance(other, NamedFormat) and self.name == other.name

    def __hash__(self) -> int:
        return hash(self.name)

    def __repr__(self) -> str:
        return f"format.{self.name}"


def _name(rule: names.Rule) -> Callable[[str], list[str]]:
    return lambda text: names.problems(text, rule)


def _prefix(rule: names.Rule) -> Callable[[str], list[str]]:
    """The beginning of a name may end with a dash."""
    return lambda text: names.problems(text[:-2] + "a" if len(text) > 1 and text.endswith("-") else text, rule)


def _test(test: Callable[[str], object], complaint: str) -> Callable[[str], list[str]]:
    return lambda text: [] if test(text) else [complaint]


def _uri(text: str) -> list[str]:
    try:
        urltext.parse_request_uri(text)
    except urltext.UrlError as error:
        return [str(error)]
    return []


_DATE_TIME_PATTERN = 71
FORMATS = {
    "dns1123Label": NamedFormat("DNS1123Label", 30, _name("label")),
    "dns1123Subdomain": NamedFormat("DNS1123Subdomain", 60, _name("subdomain")),
    "dns1035Label": NamedFormat("DNS1035Label", 30, _name("label1035")),
    "qualifiedName": NamedFormat("QualifiedName", 60, _name("qualified")),
    "dns1123LabelPrefix": NamedFormat("DNS1123LabelPrefix", 30, _prefix("label")),
    "dns1123SubdomainPrefix": NamedFormat("DNS1123SubdomainPrefix", 60, _prefix("subdomain")),
    "dns1035LabelPrefix": NamedFormat("DNS1035LabelPrefix", 30, _prefix("label1035")),
    "labelValue": NamedFormat("LabelValue", 40, _name("label-value")),
    "uri": NamedFormat("URI", 1103, _uri),
    "uuid": NamedFormat("uuid", 70, _test(_UUID.fullmatch, "does not match the UUID format")),
    "byte": NamedFormat("byte", 84, _test(MORE_FORMATS["byte"], "invalid base64")),
    "date": NamedFormat("date", _DATE_TIME_PATTERN, _test(MORE_FORMATS["date"], "invalid date")),
    "datetime": NamedFormat("datetime", _DATE_TIME_PATTERN, _test(MORE_FORMATS["datetime"], "invalid datetime")),
}


def _validate(named: NamedFormat, text: str) -> Optional:
    problems = named.problems(text)
    return Optional(problems) if problems else Optional.NONE


def _named(name: str) -> Optional:
    found = FORMATS.get(name)
    return Optional(found) if found else Optional.NONE


def _constant(name: str, found: NamedFormat) -> Overload:
    return Overload(f"format.{name}", (), FORMAT, lambda: found, id=f"format.{name}")


def _cost(arguments: Sequence[Any], _: Any) -> int:
    return costs.regex(len(arguments[1]), arguments[0].length)


def _estimate(_: Operand | None, arguments: Sequence[Operand]) -> CallEstimate:
    return CallEstimate(arguments[0].size.scaled(TRAVERSAL).scaled(_ASSUMED_PATTERN * REGEX))


_RESULT = OptionalType(ListType(STRING))

LIBRARY = Library(
    "kubernetes.format",
    (
        Overload("validate", (FORMAT, STRING), _RESULT, _validate, True, _cost, _estimate, "format-validate"),
        Overload("format.named", (STRING,), OptionalType(FORMAT), _named, id="format-named"),
        *(_constant(name, found) for name, found in FORMATS.items()),
    ),
)
