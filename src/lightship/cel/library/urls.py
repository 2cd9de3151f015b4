"""The library `urls`: URLs and their parts.

Called through `library.KUBERNETES`. Only absolute URLs and absolute paths are URLs.
Contract: k8s.io/apiserver/pkg/cel/library/urls.go, Go's net/url.
"""

from collections.abc import Callable
from typing import ClassVar

from lightship.cel.errors import EvaluationError
from lightship.cel.functions import Library, Overload
from lightship.cel.library import costs, urltext
from lightship.cel.types import BOOL, STRING, ListType, MapType, Opaque, Type
from lightship.cel.values import Value

URL = Opaque("kubernetes.URL")


class Url(Value):
    """A URL; two are equal when they are written alike."""

    __slots__ = ("parts",)
    type: ClassVar[Type] = URL

    def __init__(self, parts: urltext.Url) -> None:
        self.parts = parts

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Url) and str(self.parts) == str(other.parts)

    def __hash__(self) -> int:
        return hash(str(self.parts))

    def __repr__(self) -> str:
        return f"url({self.parts})"


def parse(text: str) -> Url:
    """Raises `EvaluationError` in the words of the real server."""
    try:
        urltext.parse_request_uri(text)
        return Url(urltext.parse(text))
    except urltext.UrlError as error:
        raise EvaluationError(f"URL parse error during conversion from string: {error}") from None


def _is_url(text: str) -> bool:
    try:
        urltext.parse_request_uri(text)
    except urltext.UrlError:
        return False
    return True


def _part(name: str, identifier: str, part: Callable[[urltext.Url], bytes]) -> Overload:
    return Overload(name, (URL,), STRING, lambda url: urltext.text_of(part(url.parts)), True, id=identifier)


LIBRARY = Library(
    "kubernetes.urls",
    (
        Overload("url", (STRING,), URL, parse, cost=costs.traversal(), estimate=costs.of_argument(sized=True), id="string_to_url"),
        _part("getScheme", "url_get_scheme", lambda url: url.scheme),
        _part("getHost", "url_get_host", lambda url: url.host),
        _part("getHostname", "url_get_hostname", lambda url: url.hostname()),
        _part("getPort", "url_get_port", lambda url: url.port()),
        _part("getEscapedPath", "url_get_escaped_path", lambda url: url.escaped_path()),
        Overload("getQuery", (URL,), MapType(STRING, ListType(STRING)), lambda url: url.parts.values(), True, id="url_get_query"),
        Overload("isURL", (STRING,), BOOL, _is_url, id="is_url_string"),
    ),
)
