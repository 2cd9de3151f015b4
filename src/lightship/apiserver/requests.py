"""What travels between a front (HTTP or in-process) and the registry: the question, the answer, and nothing of either transport.

`http` builds a `Request` from a URL and a user, `local` from a method call; the registry answers with an `Answer`, a `Page` or a
stream of watch items. Refuses to know how anything is spelled on the wire beyond JSON bytes that are ready to be sent.
"""

from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple, Protocol, TypeAlias

from lightship.meta import codec
from lightship.meta.gojson import Doubles
from lightship.meta.objects import Obj
from lightship.meta.resources import Resource
from lightship.meta.rest import User
from lightship.store import Event, Record

HEAVY = 64 * 1024
"""Bytes of a body, or of the object that it changes, from which on the pure steps of a request are done off the event loop."""
LARGEST = 6 * 1024 * 1024
"""Bytes of an object as it is stored, its managed fields included: without a limit, patch upon patch could make it grow for ever."""
INITIAL_EVENTS_END = "k8s.io/initial-events-end"
"""Annotation of the bookmark that ends the initial events of a watch-list."""


class View(NamedTuple):
    """How admission is shown a write to a subresource that stands for the object: as the object that the client wrote, a Scale.

    `show` is how that object is shown to those who judge, `sent` how its new and its old state are to those who may change it; `take` puts
    what they have made of it into the object behind it, in place."""

    subresource: str
    show: Callable[[Obj], Obj]
    sent: Callable[[Obj, Obj], tuple[Obj, Obj]]
    take: Callable[[Obj, Obj], None]


@dataclass(slots=True)
class Request:
    """One operation on one resource by one user. Authentication and authorization are over when the registry sees it."""

    user: User
    resource: Resource
    namespace: str = ""
    """Empty for cluster-scoped kinds and for "all namespaces"."""
    name: str = ""
    subresource: str = ""
    user_agent: str = ""
    """What the client calls itself; the manager of the fields that it writes, where it names none."""
    may: Callable[[str], None] | None = None
    """Raises 403 unless the user may do this other verb to the same object, too; None where everybody may everything."""
    warnings: list[str] = field(default_factory=list)
    """Filled by the operation; HTTP sends each as a `Warning: 299 - "..."` header."""
    doubles: Doubles | None = None
    """Fields that came twice in the body."""
    weight: int = 0
    """Bytes of the body that a stranger sent; 0 for requests from within, which are never taken aside."""
    view: View | None = None
    """What admission is shown in place of the object."""
    generated: bool = False
    """The server has made up the name of the object."""
    annotations: dict[str, str] = field(default_factory=dict)
    """What is noted for the audit trail on the way; the first note of a key counts."""


class Answer:
    """One object for the client: its JSON bytes and its decoded form, each made only when somebody asks for it."""

    __slots__ = ("_body", "_obj", "code", "record")

    def __init__(self, code: int = 200, *, record: Record | None = None, obj: Obj | None = None) -> None:
        self.code = code
        self.record = record
        self._obj = obj
        self._body: bytes | None = None

    @property
    def body(self) -> bytes:
        """JSON of the object; for a stored object the very bytes of the store."""
        if self.record is not None:
            return self.record.value
        if self._body is None:
            self._body = codec.encode(self._obj)
        return self._body

    @property
    def obj(self) -> Obj:
        """The object, shared: never mutate it."""
        if self.record is not None:
            return self.record.obj
        return self._obj or {}


class Page(NamedTuple):
    """One page of a list: records whose bytes can be joined, the list's revision, and how to go on."""

    records: Sequence[Record]
    revision: int
    continue_: str = ""
    remaining: int | None = None


class Bookmark:
    """A watch item that carries no object, only how far the watch has come."""

    __slots__ = ("object",)
    type: Literal["BOOKMARK"] = "BOOKMARK"

    def __init__(self, resource: Resource, revision: int, *, initial_events_end: bool = False) -> None:
        metadata: Obj = {"resourceVersion": str(revision)}
        if initial_events_end:
            metadata["annotations"] = {INITIAL_EVENTS_END: "true"}
        self.object: Obj = {"kind": resource.kind, "apiVersion": resource.api_version, "metadata": metadata}

    @property
    def wire(self) -> bytes:
        """The line of the watch stream, as `Event.wire`."""
        return codec.encode({"type": self.type, "object": self.object}) + b"\n"


Batch: TypeAlias = Sequence[Event | Bookmark]
"""Watch items that are ready together; each has `.wire`, so that a front writes them in one go."""


class TokenIssuer(Protocol):
    """Signs ServiceAccount tokens; `tokens` implements it, `main` wires it."""

    issuer: str

    def issue(self, subject: "TokenSubject", audiences: Sequence[str], seconds: int, *, warn_after: int = 0) -> tuple[str, float]:
        """The token and its expiry in seconds since the epoch. No audiences: those of the API server itself.

        `warn_after`: seconds after which its use is worth a note, of a token that lives longer than was asked for.
        """
        ...


class TokenSubject(NamedTuple):
    """Whose token it is, the object that it dies with (kind `Pod`, `Node` or `Secret`), if any, and the node of its pod."""

    namespace: str
    service_account: str
    service_account_uid: str
    bound_kind: str = ""
    bound_name: str = ""
    bound_uid: str = ""
    node: str = ""
    node_uid: str = ""


LogStream: TypeAlias = AsyncIterator[bytes]
