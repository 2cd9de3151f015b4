"""One request on its way: what is noted of it, and the event that is written at each of its stages.

The front begins a trail when it knows who asks for what, and ends it with the code of the answer. A request of which nothing is to be
written has no trail, and costs the question.
Contract: audit.k8s.io/v1 Event.
"""

from typing import Any

from lightship.aio.clock import Clock
from lightship.apiserver.access.authn import user_info
from lightship.apiserver.access.authz import Attributes
from lightship.meta import codec, times
from lightship.meta.objects import Obj
from lightship.meta.rest import User

from .policy import Level, Policy, Wanted
from .sinks import Sink

PATCH = "patch.webhook.admission.k8s.io/"
"""Notes of this kind show a part of the object: they are for trails that show objects."""
_MOST_AGENT = 1024
"""Characters of a user agent that are kept."""
_MOST_OBJECT = 1024 * 1024
"""Bytes of an answer that are written; longer ones are left out."""


class Trail:
    """The notes on one request."""

    __slots__ = ("_auditor", "_begun", "_event", "wanted")

    def __init__(self, auditor: "Auditor", wanted: Wanted, event: Obj, begun: float) -> None:
        self._auditor = auditor
        self._event = event
        self._begun = begun
        self.wanted = wanted

    def annotate(self, key: str, value: str) -> None:
        """Why it went as it did, for those who read the trail."""
        if not key.startswith(PATCH) or self.wanted.level >= Level.Request:
            self._event.setdefault("annotations", {})[key] = value

    def note_request(self, body: Any) -> None:
        """The decoded body, where the policy wants it."""
        if self.wanted.level >= Level.Request and isinstance(body, dict):
            self._event["requestObject"] = self._shown(body)
        meta = body.get("metadata") if isinstance(body, dict) else None
        ref = self._event.get("objectRef")
        if ref is not None and isinstance(meta, dict):
            for field in ("namespace", "name", "uid", "resourceVersion"):
                if meta.get(field) and not ref.get(field):
                    ref[field] = meta[field]

    def impersonated(self, user: User) -> None:
        """It is done in the name of another user."""
        self._event["impersonatedUser"] = user_info(user)

    def started(self, code: int) -> None:
        """The head of a stream has gone out."""
        self._write("ResponseStarted", code, None)

    def complete(self, code: int, body: bytes = b"") -> None:
        """The answer is known. `body` is JSON, or empty for a stream that has ended."""
        shown = None
        if body and len(body) <= _MOST_OBJECT and (self.wanted.level >= Level.RequestResponse or code >= 400):
            shown = _decoded(body)
        self._write("ResponseComplete", code, shown)

    def panicked(self, why: str) -> None:
        """The server itself has failed."""
        self._event["responseStatus"] = {"metadata": {}, "status": "Failure", "message": why, "reason": "InternalError", "code": 500}
        self._emit("Panic")

    def received(self) -> None:
        self._emit("RequestReceived")

    def _write(self, stage: str, code: int, shown: Any) -> None:
        status: Obj = {"metadata": {}, "code": code}
        if isinstance(shown, dict) and code >= 400 and shown.get("kind") == "Status":
            status.update({field: shown[field] for field in ("status", "message", "reason", "details") if field in shown})
        self._event["responseStatus"] = status
        if shown is not None and self.wanted.level >= Level.RequestResponse:
            self._event["responseObject"] = self._shown(shown)
        self._emit(stage)

    def _shown(self, obj: Obj) -> Obj:
        meta = obj.get("metadata")
        if self.wanted.omit_managed_fields and isinstance(meta, dict) and "managedFields" in meta:
            return {**obj, "metadata": {key: value for key, value in meta.items() if key != "managedFields"}}
        return obj

    def _emit(self, stage: str) -> None:
        if stage not in self.wanted.omitted:
            self._auditor.write({**self._event, "stage": stage}, self._begun)


class Auditor:
    """Begins trails and writes their events. Never refuses a request: a sink that cannot keep up loses events and says so."""

    def __init__(self, policy: Policy, sinks: list[Sink], clock: Clock) -> None:
        self._policy = policy
        self._sinks = sinks
        self._clock = clock

    def begin(self, audit_id: str, wish: Attributes, *, uri: str, version: str, agent: str, source: str) -> Trail | None:
        """The trail of a request; None when nothing of it is to be written. `version` is that of the resource's group."""
        wanted = self._policy.wanted(wish)
        if wanted.level is Level.None_:
            return None
        now = self._clock.now()
        event: Obj = {
            "kind": "Event",
            "apiVersion": "audit.k8s.io/v1",
            "level": wanted.level.name,
            "auditID": audit_id,
            "stage": "",
            "requestURI": uri,
            "verb": wish.verb,
            "user": user_info(wish.user),
            "sourceIPs": [source] if source else [],
            "userAgent": agent if len(agent) <= _MOST_AGENT else agent[:_MOST_AGENT] + "...TRUNCATED",
        }
        if wish.resource:
            event["objectRef"] = _reference(wish, version)
        trail = Trail(self, wanted, event, now)
        trail.received()
        return trail

    def write(self, event: Obj, begun: float) -> None:
        event["requestReceivedTimestamp"] = times.rfc3339_micro(begun)
        event["stageTimestamp"] = times.rfc3339_micro(self._clock.now())
        line = codec.encode(event)
        for sink in self._sinks:
            sink.write(line)

    async def close(self) -> None:
        """Carry away what is still on its way."""
        for sink in self._sinks:
            await sink.close()


def _reference(wish: Attributes, version: str) -> Obj:
    fields = {
        "resource": wish.resource,
        "namespace": wish.namespace,
        "name": wish.name,
        "apiGroup": wish.group,
        "apiVersion": version,
        "subresource": wish.subresource,
    }
    return {field: value for field, value in fields.items() if value}


def _decoded(body: bytes) -> Any:
    try:
        return codec.decode(body)
    except ValueError:
        return None
