"""What the registry answered, as the bytes that the client asked for.

`front` hands answers, pages and watch items here with what `negotiation` found. Stored bytes pass through untouched wherever nothing is to
be transformed: a list joins them, a watch sends lines that all its peers share.
"""

from collections.abc import AsyncGenerator, AsyncIterator, Iterable
from typing import NamedTuple

import msgspec

from lightship.aio.clock import Clock
from lightship.aio.streams import closing
from lightship.apiserver.exchange import JSON_TYPE, Refused, Reply
from lightship.apiserver.negotiation import Accepted
from lightship.apiserver.requests import Answer, Batch, Bookmark, Page, Request
from lightship.apiserver.tables import Include, Table, metadata_only
from lightship.meta import codec
from lightship.meta.errors import StatusError
from lightship.meta.objects import Obj
from lightship.meta.resources import Resource
from lightship.store import Event

Headers = tuple[tuple[str, str], ...]


class View(NamedTuple):
    """How one client wants to see a resource."""

    accepted: Accepted
    pretty: bool
    include: Include


def answer_reply(request: Request, answer: Answer, view: View, clock: Clock) -> Reply:
    """One object."""
    headers = warning_headers(request.warnings) if request.warnings else ()
    if not (view.accepted.form or view.pretty):
        return Reply(answer.code, answer.body, JSON_TYPE, headers)
    obj = answer.obj
    if view.accepted.form and obj.get("kind") != "Status":
        obj = _transformed(request.resource, [obj], view, clock, _list_metadata(obj))
    return Reply(answer.code, _encode(obj, view.pretty), JSON_TYPE, headers)


def page_reply(request: Request, page: Page, view: View, clock: Clock) -> Reply:
    """A list."""
    resource = request.resource
    metadata: Obj = {"resourceVersion": str(page.revision)}
    if page.continue_:
        metadata["continue"] = page.continue_
    if page.remaining:
        metadata["remainingItemCount"] = page.remaining
    if view.accepted.form:
        body = _encode(
            _transformed(resource, [r.decoded or codec.decode(r.value) for r in page.records], view, clock, metadata, many=True),
            view.pretty,
        )
    else:
        items = b",".join([record.value for record in page.records])
        start = codec.encode({"kind": resource.list_kind, "apiVersion": resource.api_version, "metadata": metadata})[:-1]
        body = b'%b,"items":[%b]}\n' % (start, items)
        if view.pretty:
            body = msgspec.json.format(body, indent=2)
    return Reply(200, body, JSON_TYPE, warning_headers(request.warnings))


async def watch_lines(request: Request, batches: AsyncIterator[Batch], view: View, clock: Clock) -> AsyncGenerator[bytes, None]:
    """The lines of a watch, those that are ready together in one piece. What goes wrong later is its last line, an ERROR event.

    Raises `Refused` for what is wrong from the beginning.
    """
    begun = False
    form = view.accepted.form
    table = Table(request.resource, view.accepted.version, view.include, clock.now()) if form == "Table" else None
    async with closing(batches) as stream:
        try:
            async for batch in stream:
                begun = True
                if table is not None:
                    table.at(clock.now())
                if form:
                    yield b"".join([_line(item, table, view.accepted) for item in batch])
                else:
                    yield b"".join([item.wire for item in batch])
        except StatusError as error:
            if not begun:
                raise Refused(error_reply(error)) from error
            yield codec.encode({"type": "ERROR", "object": error.status()}) + b"\n"


def error_reply(error: StatusError, *, pretty: bool = False) -> Reply:
    """A refusal as the `Status` it is."""
    headers: Headers = ()
    if error.code == 401:
        headers = (("WWW-Authenticate", 'Bearer realm="lightship"'),)
    if error.details and (seconds := error.details.get("retryAfterSeconds")):
        headers = (("Retry-After", str(seconds)),)
    return Reply(error.code, _encode(error.status(), pretty), JSON_TYPE, headers)


def warning_headers(warnings: Iterable[str]) -> Headers:
    """`Warning: 299` headers, each text once. Contract: RFC 7234 section 5.5 as Kubernetes uses it."""
    return tuple([("Warning", f'299 - "{_quoted(text)}"') for text in dict.fromkeys(warnings)])


def _quoted(text: str) -> str:
    return " ".join(text.split()).replace("\\", "\\\\").replace('"', '\\"')


def _line(item: Event | Bookmark, table: Table | None, accepted: Accepted) -> bytes:
    obj = item.object if isinstance(item, Bookmark) else item.record.obj
    if table is None:
        shown = metadata_only(obj, f"{accepted.group}/{accepted.version}")
    elif isinstance(item, Bookmark):
        shown = table.document((), obj["metadata"])
    else:
        shown = table.document((obj,), _list_metadata(obj))
    return codec.encode({"type": item.type, "object": shown}) + b"\n"


def _transformed(resource: Resource, objs: list[Obj], view: View, clock: Clock, metadata: Obj, *, many: bool = False) -> Obj:
    accepted = view.accepted
    if accepted.form == "Table":
        return Table(resource, accepted.version, view.include, clock.now()).document(objs, metadata)
    api_version = f"{accepted.group}/{accepted.version}"
    if not many:
        return metadata_only(objs[0], api_version)
    items = [metadata_only(obj, api_version) for obj in objs]
    return {"kind": "PartialObjectMetadataList", "apiVersion": api_version, "metadata": metadata, "items": items}


def _list_metadata(obj: Obj) -> Obj:
    """The metadata of a table that shows one object."""
    return {"resourceVersion": (obj.get("metadata") or {}).get("resourceVersion", "")}


def _encode(obj: Obj, pretty: bool) -> bytes:
    body = codec.encode(obj)
    return msgspec.json.format(body, indent=2) + b"\n" if pretty else body + b"\n"
