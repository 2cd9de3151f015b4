"""In which representation a client wants its answer: media types, and the transformations that hang on them.

`front` asks here before anything else is done for a request; `rendering` encodes accordingly. JSON, YAML and protobuf go out, as the object
itself, as a Table for people, or as metadata only. Knows Accept headers, not how anything is encoded. Where JSON will do it is JSON, since
that is how objects are stored: protobuf goes only to those who take nothing else.
Contract: apiserver pkg/endpoints/handlers/negotiation with goautoneg's order of clauses; go-restful's check of what a route produces.
"""

from collections.abc import Sequence
from functools import lru_cache
from typing import Literal, NamedTuple, TypeAlias

from lightship.kinds import protobuf
from lightship.meta import errors
from lightship.meta.errors import StatusError

Form: TypeAlias = Literal["", "Table", "PartialObjectMetadata", "PartialObjectMetadataList", "APIGroupDiscoveryList"]
Forms: TypeAlias = frozenset[tuple[str, str, str]]
"""(form, group, version) of the transformations that an endpoint can do."""

JSON = "application/json"
YAML = "application/yaml"
JWKS = "application/jwk-set+json"
PROTOBUF = protobuf.MEDIA_TYPE
ALL = (JSON, YAML, PROTOBUF)
NO_FORMS: Forms = frozenset()
_METADATA: Forms = frozenset(
    (form, "meta.k8s.io", version) for form in ("PartialObjectMetadata", "PartialObjectMetadataList") for version in ("v1", "v1beta1")
)
OBJECT_FORMS: Forms = _METADATA | {("Table", "meta.k8s.io", version) for version in ("v1", "v1beta1")}
METADATA_FORMS = _METADATA
"""Of answers that no table is known for."""
DISCOVERY_FORMS: Forms = frozenset({("APIGroupDiscoveryList", "apidiscovery.k8s.io", "v2")})
_NO_MESSAGES = ("Table", "APIGroupDiscoveryList")
"""Forms that do not come in protobuf."""
_LONG = 1000
"""Characters from which on a header is not worth remembering."""
_INSERTED = 12
"""Clauses up to which Go sorts by insertion."""
_STREAM = ";stream=watch"
_TRUE = frozenset({"1", "t", "T", "true", "TRUE", "True"})
_PEOPLE = ("curl", "Wget", "Mozilla/5.0")


class Accepted(NamedTuple):
    """The representation to answer in. `form` empty is the object as it is."""

    form: Form = ""
    group: str = ""
    version: str = ""
    media: str = JSON
    pretty: bool = False

    @property
    def content_type(self) -> str:
        """Discovery clients insist on seeing their parameters again."""
        return f"{self.media};g={self.group};v={self.version};as={self.form}" if self.form else self.media


PLAIN = Accepted()


class Endpoint(NamedTuple):
    """What can be had somewhere. `media` is for the object itself; its transformations come in all forms that they have."""

    forms: Forms = NO_FORMS
    media: tuple[str, ...] = ALL
    routed: bool = True
    """Does go-restful look at the header first, as it does for everything but custom kinds?"""
    streaming: bool = False
    listing: bool = False
    """Could the same place be watched? Then refusals name the media types of watches too."""


class _Clause:
    """One of a header's wishes."""

    __slots__ = ("main", "parameters", "quality", "sub")

    def __init__(self, main: str, sub: str) -> None:
        self.main = main
        self.sub = sub
        self.quality = 1.0
        self.parameters: dict[str, str] = {}

    def before(self, other: "_Clause") -> bool:
        """Not an order in the strict sense, but the real one."""
        if self.quality > other.quality:
            return True
        if self.main != "*" and other.main == "*":
            return True
        return self.sub != "*" and other.sub == "*"

    def means(self, media: str) -> bool:
        main, _, sub = media.partition("/")
        return (self.main == main and self.sub in (sub, "*")) or (self.main == "*" and self.sub == "*")


def accept(header: str, endpoint: Endpoint) -> Accepted:
    """The representation to give for an Accept header. Raises 406 when there is none."""
    if not header:
        return PLAIN
    return _remembered(header, endpoint) if len(header) < _LONG else _negotiated(header, endpoint)


def _negotiated(header: str, endpoint: Endpoint) -> Accepted:
    if endpoint.routed and not is_produced(header):
        raise not_produced(endpoint.listing)
    first: Accepted | None = None
    for clause in clauses(header):
        for media in ALL:
            accepted = _taken(clause, media, endpoint) if clause.means(media) else None
            if accepted is None:
                continue
            if first is None and accepted.media != PROTOBUF:
                return accepted
            # Protobuf was wished for more, but JSON would do as well.
            if first is not None and media == JSON and accepted._replace(media=PROTOBUF) == first:
                return accepted
            first = first or accepted
    if first is None:
        suffix = _STREAM if endpoint.streaming else ""
        offered = [media + suffix for media in ALL if not (endpoint.streaming and media == YAML)]
        raise errors.not_acceptable(f"only the following media types are accepted: {', '.join(offered)}")
    return first


_remembered = lru_cache(maxsize=512)(_negotiated)


def of_error(header: str) -> Accepted:
    """The representation of a refusal: as asked where that can be, else JSON for people."""
    try:
        return accept(header, _REFUSAL)
    except StatusError:
        return Accepted(pretty=True)


_REFUSAL = Endpoint(routed=False)


def not_produced(listing: bool = False, media: Sequence[str] = ALL) -> StatusError:
    """406 in the words of go-restful, which looks at the header before Kubernetes does."""
    offered = (*ALL, *(media + _STREAM for media in (JSON, PROTOBUF))) if listing else media
    return StatusError(406, "NotAcceptable", f"406: Not Acceptable\n\nAvailable representations: {', '.join(offered)}", {})


def not_consumed() -> StatusError:
    """415, likewise."""
    return StatusError(415, "UnsupportedMediaType", "415: Unsupported Media Type", {})


def wants_pretty(parameter: str | None, user_agent: str) -> bool:
    """Indented output: when asked for, and for the tools that people look through."""
    if parameter:
        return parameter in _TRUE
    return user_agent.startswith(_PEOPLE)


def is_produced(header: str, offered: Sequence[str] = ALL) -> bool:
    """Does the header name one of these media types, or any?"""
    for clause in header.split(","):
        media = clause.partition(";")[0].strip(" ")
        if media == "*/*" or media in offered:
            return True
    return False


def _taken(clause: _Clause, media: str, endpoint: Endpoint) -> Accepted | None:
    """What this clause gets as `media`; None where it cannot be had so."""
    given = clause.parameters
    stream = given.get("stream", "")
    if stream not in ("", "watch") or given.get("sv", "") not in ("", "v1"):
        return None
    if media == YAML and (stream or endpoint.streaming):
        return None
    pretty = given.get("pretty") == "1"
    if not given.keys() & {"as", "g", "v"}:
        if media not in endpoint.media:
            return None
        return Accepted("", "", "", media, pretty) if media != JSON or pretty else PLAIN
    wanted = (given.get("as", ""), given.get("g", ""), given.get("v", ""))
    if wanted not in endpoint.forms or (media == PROTOBUF and wanted[0] in _NO_MESSAGES):
        return None
    return Accepted(*wanted, media, pretty)  # type: ignore[arg-type]  # the member test above makes it a Form


def clauses(header: str) -> list[_Clause]:
    """The clauses of a header, best first."""
    found: list[_Clause] = []
    for part in header.split(","):
        clause = _clause(part.strip(" "))
        if clause is not None:
            found.append(clause)
    if len(found) > _INSERTED:
        return sorted(found, key=lambda clause: (-clause.quality, clause.main == "*", clause.sub == "*"))
    for i in range(1, len(found)):
        at = i
        while at and found[at].before(found[at - 1]):
            found[at], found[at - 1] = found[at - 1], found[at]
            at -= 1
    return found


def _clause(part: str) -> _Clause | None:
    media, *parameters = part.split(";")
    main, slash, sub = media.partition("/")
    main, sub = main.strip(" "), sub.strip(" ")
    if not slash and main == "*":
        sub = "*"
    if not sub or "/" in sub:
        return None
    clause = _Clause(main, sub)
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        if not value or "=" in value:
            continue
        if name.strip(" ") == "q":
            clause.quality = _quality(value)
        else:
            clause.parameters[name.strip(" ")] = value.strip(" ")
    return clause


def _quality(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return 0.0
