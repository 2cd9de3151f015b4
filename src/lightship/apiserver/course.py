"""What goes along with one request on its way through the front: its seat among the others, and its trail in the audit log.

`front` makes one for each request. Both are things that most requests are done with in two steps: taken at the beginning, given back at the
end, whatever happened between. Contract: KEP-1040 (headers of answers); audit.k8s.io/v1 stages.
"""

from collections.abc import AsyncIterator
from functools import lru_cache

from lightship.aio.streams import closing
from lightship.meta.rest import User

from .access.authz import Attributes
from .audit import Auditor, Trail
from .fairness import Flow, Gate, Pass
from .transport.exchange import HttpRequest, Reply, Stream, Switch

_PROXY = "proxy"
_ENDLESS = frozenset(("attach", "exec", "log", "portforward", _PROXY))


def endless(resource: str, subresource: str) -> bool:
    """May a request take as long as its client likes? Watches may too, but are counted until they have begun."""
    return subresource in _ENDLESS or resource == _PROXY


class Course:
    """The seat and the trail of one request; either may be missing."""

    __slots__ = ("_auditor", "_gate", "_seat", "notes", "trail")

    def __init__(self, gate: Gate, auditor: Auditor | None) -> None:
        self._gate = gate
        self._auditor = auditor
        self._seat: Pass | None = None
        self.trail: Trail | None = None
        self.notes: dict[str, str] = {}
        """What is noted of the request while it is worked on, for its trail."""

    def note(self, request: HttpRequest, wish: Attributes, version: str) -> None:
        """It is known who wants what: the trail begins, if there is to be one."""
        if self._auditor is not None:
            uri = f"{request.path}?{request.query}" if request.query else request.path
            agent = request.header(b"user-agent")
            self.trail = self._auditor.begin(request.audit_id, wish, uri=uri, version=version, agent=agent, source=request.peer)

    def impersonates(self, user: User) -> None:
        """The request is done as somebody else."""
        if self.trail is not None:
            self.trail.impersonated(user)

    async def enter(self, wish: Attributes) -> None:
        """Take a seat, waiting for one if need be. What takes as long as its client likes takes none. Raises 429."""
        if not endless(wish.resource, wish.subresource):
            self._seat = await self._gate.enter(wish)

    def leave(self) -> None:
        """Give the seat back."""
        if self._seat is not None:
            self._seat.leave()

    def finish(self, reply: Reply | Stream | Switch) -> Reply | Stream | Switch:
        """The answer as it goes out: with the headers of its flow, and written down."""
        trail = self.trail
        if trail is not None:
            for key, value in self.notes.items():
                trail.annotate(key, value)
        seat = self._seat
        if isinstance(reply, Reply):
            if trail is not None:
                trail.complete(reply.code, reply.body if reply.content_type.startswith("application/json") else b"")
            if seat is None:
                return reply
            return Reply(reply.code, reply.body, reply.content_type, reply.headers + _headers(seat.flow), reply.pieces)
        if isinstance(reply, Stream) and seat is not None:
            reply = reply._replace(headers=reply.headers + _headers(seat.flow))
        if trail is None:
            return reply
        if isinstance(reply, Switch):
            trail.complete(101)
            return reply
        trail.started(200)
        return reply._replace(items=_until_end(reply.items, trail))


@lru_cache(maxsize=1024)
def _headers(flow: Flow) -> tuple[tuple[str, str], ...]:
    if not flow.schema:
        return ()
    return (("X-Kubernetes-Pf-Flowschema-Uid", flow.schema_uid), ("X-Kubernetes-Pf-Prioritylevel-Uid", flow.level_uid))


async def _until_end(items: AsyncIterator[bytes], trail: Trail) -> AsyncIterator[bytes]:
    """The items of a stream, whose end is written down however it comes."""
    try:
        async with closing(items) as inner:
            async for item in inner:
                yield item
    finally:
        trail.complete(200)
