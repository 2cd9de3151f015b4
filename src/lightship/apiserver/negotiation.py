"""What the client sends and what it wants back: media types, and the transformations that hang on them.

`front` asks here before it decodes a body and before it encodes an answer. JSON and YAML come in; JSON goes out, as the object itself, as
a Table for people, or as metadata only. Protobuf comes in too, for built-in kinds. Knows media types, not how anything is transformed.
Contract: Kubernetes API concepts, alternate representations; RFC 9110 section 12.5.1.
"""

from functools import lru_cache
from typing import Any, Literal, NamedTuple, TypeAlias

import msgspec

from lightship.apiserver import yaml_bodies
from lightship.kinds import protobuf
from lightship.meta import codec, errors

Form: TypeAlias = Literal["", "Table", "PartialObjectMetadata", "PartialObjectMetadataList", "APIGroupDiscoveryList"]

JSON = "application/json"
YAML = "application/yaml"
_META = ("meta.k8s.io", ("v1", "v1beta1"))
OBJECT_FORMS = frozenset(
    (form, group, version)
    for form in ("Table", "PartialObjectMetadata", "PartialObjectMetadataList")
    for group, versions in (_META,)
    for version in versions
)
DISCOVERY_FORMS = frozenset(
    {("APIGroupDiscoveryList", "apidiscovery.k8s.io", "v2"), ("APIGroupDiscoveryList", "apidiscovery.k8s.io", "v2beta1")}
)
_ANY = frozenset({"*/*", "*", "application/*", JSON})


class Accepted(NamedTuple):
    """The representation to answer in. `form` empty is the object as it is."""

    form: Form = ""
    group: str = ""
    version: str = ""

    @property
    def content_type(self) -> str:
        """Discovery clients insist on seeing their parameters again."""
        return f"{JSON};g={self.group};v={self.version};as={self.form}" if self.form else JSON


PLAIN = Accepted()


@lru_cache(maxsize=512)
def accept(header: str, forms: frozenset[tuple[str, str, str]]) -> Accepted:
    """The first representation in an Accept header that we can give. Raises 406 when there is none."""
    if not header:
        return PLAIN
    for media, parameters in _clauses(header):
        if media not in _ANY:
            continue
        form = parameters.get("as", "")
        if not form:
            return PLAIN
        wanted = (form, parameters.get("g", ""), parameters.get("v", ""))
        if wanted in forms:
            return Accepted(*wanted)  # type: ignore[arg-type]  # the member test above makes it a Form
    raise errors.not_acceptable(f"only the following media types are accepted: {JSON}")


def decode_body(content_type: str, body: bytes, complaint: str = "error decoding patch: ") -> Any:
    """The value in a request body. Raises 400 (beginning with `complaint`) when it cannot be read, 415 for a format that we do not take."""
    media = content_type.partition(";")[0].strip().lower()
    if media in ("", JSON) or media.endswith("+json"):
        try:
            return codec.decode(body)
        except ValueError as error:
            raise errors.bad_request(f"{complaint}it is not JSON: {error}") from error
    if media == YAML or media.endswith("+yaml"):
        try:
            return yaml_bodies.decode(body)
        except ValueError as error:
            raise errors.bad_request(f"{complaint}it is not YAML: {error}") from error
    if media == protobuf.MEDIA_TYPE:
        try:
            return protobuf.decode(body)
        except protobuf.UnknownKind as error:
            raise errors.unsupported_media_type(f"the body of the request was in an unknown format - {error}") from error
        except ValueError as error:
            raise errors.bad_request(f"{complaint}it is not protobuf: {error}") from error
    raise errors.unsupported_media_type(f"the body of the request was in an unknown format - accepted media types include: {JSON}, {YAML}")


def wants_pretty(parameter: str | None, user_agent: str) -> bool:
    """Indented output: when asked for, and for the tools that people look through."""
    if parameter is not None:
        return parameter.lower() not in ("", "0", "false", "f")
    return user_agent.startswith(("curl", "Wget", "Mozilla/5.0"))


def indented(body: bytes) -> bytes:
    """JSON for people."""
    return msgspec.json.format(body, indent=2)


def _clauses(header: str) -> list[tuple[str, dict[str, str]]]:
    """(media type, parameters), best first; those with q=0 are left out."""
    found = []
    for clause in header.split(","):
        media, *rest = clause.split(";")
        parameters = {}
        for parameter in rest:
            name, _, value = parameter.partition("=")
            parameters[name.strip().lower()] = value.strip().strip('"')
        quality = _quality(parameters.pop("q", "1"))
        if quality > 0:
            found.append((quality, media.strip().lower(), parameters))
    found.sort(key=lambda clause: -clause[0])
    return [(media, parameters) for _, media, parameters in found]


def _quality(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return 0.0
