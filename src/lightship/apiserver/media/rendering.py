"""What the registry answered, as the bytes that the client asked for.

`operations` hands answers, pages and watch items here with what `negotiation` found. Stored bytes pass through untouched wherever nothing
is to be transformed: a list joins them, a watch sends lines that all its peers share. What must be made of decoded objects (tables,
metadata only, YAML, protobuf) is made in slices, so that a long list does not keep others waiting.
Contract: apiserver pkg/endpoints/handlers (response.go, responsewriters), metav1.List kinds, metav1.WatchEvent.
"""

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import msgspec

from lightship.aio.clock import Clock
from lightship.aio.streams import closing
from lightship.apiserver.requests import Answer, Batch, Bookmark, Page, Request
from lightship.apiserver.transport.exchange import JSON_TYPE, Refused, Reply
from lightship.kinds import protobuf
from lightship.meta import codec, errors
from lightship.meta.errors import StatusError
from lightship.meta.objects import Obj
from lightship.meta.resources import Resource
from lightship.store import Event, Record

from . import negotiation, tables, yaml_bodies
from .negotiation import JSON, PLAIN, PROTOBUF, YAML, Accepted
from .pacing import Pace
from .tables import Include, Table, metadata_only

Headers = tuple[tuple[str, str], ...]

SLICE = 200
"""Objects of a list that are transformed in one go: a few milliseconds."""
PIECE = 128 * 1024
"""Bytes of a long list that are put together and encrypted in one go: some 0.3 ms of work."""
LONG = 1024 * 1024
"""Bytes of objects from which on a list is made while it goes out."""
_MOST_WARNINGS = 4 * 1024
"""Characters of warnings that are sent as they are; of more, each is cut to `_LONG_WARNING`."""
_LONG_WARNING = 256
_STATUS = ("v1", "Status")


class View(NamedTuple):
    """How one client wants to see a resource; `header` is its Accept header, by which refusals go too."""

    accepted: Accepted = PLAIN
    pretty: bool = False
    include: Include = "Metadata"
    header: str = ""

    @property
    def untouched(self) -> bool:
        """Are stored bytes just what is wanted?"""
        return self.accepted is PLAIN and not self.pretty


def answer_reply(request: Request, answer: Answer, view: View, clock: Clock) -> Reply:
    """One object. Raises 406 when it is asked for as a list."""
    headers = warning_headers(request.warnings) if request.warnings else ()
    if view.accepted is PLAIN and not view.pretty:
        return Reply(answer.code, answer.body, JSON_TYPE, headers)
    obj = answer.obj
    form = view.accepted.form
    if form and obj.get("kind") != "Status":
        if form == "PartialObjectMetadataList":
            raise errors.not_acceptable(
                f"you requested PartialObjectMetadataList, but the requested object is not a list ({_go_type(request)})"
            )
        if form == "Table":
            shown = tables.of_scale(request.resource) if request.subresource == "scale" else request.resource
            obj = _table(shown, view, clock, [obj], _version(obj))
        else:
            obj = _shape(request.resource, view, clock)(obj)
    return Reply(answer.code, encoded(obj, view.accepted.media, pretty=view.pretty), view.accepted.media, headers)


async def page_reply(request: Request, page: Page, view: View, clock: Clock) -> Reply:
    """A list. Raises 406 when it is asked for as a single object."""
    resource, accepted = request.resource, view.accepted
    metadata = _list_metadata(page, unstructured=resource.custom and not accepted.form)
    headers = warning_headers(request.warnings) if request.warnings else ()
    if accepted.form == "PartialObjectMetadata":
        raise errors.not_acceptable(
            f"you requested PartialObjectMetadata, but the requested object is a list ({_go_type(request, 'List')})"
        )
    if not accepted.form and accepted.media == JSON:
        pieces = ListBody(resource, metadata, page.records)
        if sum([record.size for record in page.records]) > LONG and not view.pretty:
            return Reply(200, b"", JSON_TYPE, headers, pieces)
        body = b"".join(pieces)
        return Reply(200, msgspec.json.format(body, indent=2) if view.pretty else body, JSON_TYPE, headers)
    objs = [record.decoded or codec.decode(record.value) for record in page.records]
    if accepted.form == "Table":
        table = Table(resource, accepted.version, view.include, clock.now())
        rows = await _sliced(table.row, objs, clock)
        return Reply(200, encoded(table.of_rows(rows, metadata), accepted.media, pretty=view.pretty), accepted.media, headers)
    if accepted.form:
        api_version, kind = f"{accepted.group}/{accepted.version}", "PartialObjectMetadata"
    else:
        api_version, kind = resource.api_version, resource.kind
    shape = _shape(resource, view, clock)
    if accepted.media == JSON:
        items = await _sliced(shape, objs, clock)
        return Reply(200, encoded(_list(api_version, kind, metadata, items), JSON, pretty=view.pretty), JSON, headers)
    if accepted.media == YAML:
        bare = not (resource.custom or accepted.form)
        parts = await _sliced(lambda obj: yaml_bodies.encode(_nameless(obj) if bare else shape(obj)), objs, clock)
        head = {"kind": f"{kind}List", "apiVersion": api_version, "metadata": metadata}
        return Reply(200, yaml_bodies.encode_list(head, parts), YAML, headers)
    parts = await _sliced(lambda obj: protobuf.encode_item(api_version, kind, shape(obj)), objs, clock)
    return Reply(200, protobuf.encode_list(api_version, f"{kind}List", metadata, parts), PROTOBUF, headers)


class ListBody:
    """A list in JSON out of stored bytes, in pieces. Items of built-in kinds do not say what they are, as those of Go's lists."""

    def __init__(self, resource: Resource, metadata: Obj, records: Sequence[Record]) -> None:
        self._records = records
        self._start = codec.encode({"kind": resource.list_kind, "apiVersion": resource.api_version, "metadata": metadata})[:-1]
        said = {"kind": resource.kind, "apiVersion": resource.api_version}
        self._told = b"" if resource.custom else codec.encode(said)[:-1] + b","

    def __iter__(self) -> Iterator[bytes]:
        before = self._start + b',"items":['
        records, told, size = self._records, self._told, len(self._told)
        last, done = len(records), 0
        while done < last:
            first, held = done, 0
            while done < last and held < PIECE:
                held += records[done].size
                done += 1
            values = [record.value for record in records[first:done]]
            if told:
                values = [b"{" + value[size:] if value.startswith(told) else value for value in values]
            yield before + b",".join(values)
            before = b","
        yield b"]}\n" if records else before + b"]}\n"


def _nameless(obj: Obj) -> Obj:
    """An item of a list of a built-in kind, which does not say what it is."""
    return {name: value for name, value in obj.items() if name not in ("kind", "apiVersion")}


async def watch_lines(request: Request, batches: AsyncIterator[Batch], view: View, clock: Clock, pace: Pace) -> AsyncGenerator[bytes, None]:
    """The lines (or frames) of a watch, those that are ready together in one piece. What goes wrong later is the last, an ERROR event.

    Raises `Refused` for what is wrong from the beginning, but for a revision that is gone: that is an event here, too.
    """
    begun = False
    accepted = view.accepted
    line = None if accepted.media == JSON and not accepted.form else _line_maker(request.resource, view, clock)
    async with closing(batches) as stream:
        try:
            async for batch in stream:
                begun = True
                yield b"".join([item.wire for item in batch] if line is None else [line(item) for item in batch])
                if (rest := pace.rest()) is not None:
                    await rest
        except StatusError as error:
            if not begun and error.code != _GONE:
                raise Refused(error_reply(error, view.header, pretty=view.pretty)) from error
            yield _event("ERROR", error.status(), accepted.media)


def watch_type(accepted: Accepted) -> str:
    """The content type of a watch."""
    return f"{PROTOBUF};stream=watch" if accepted.media == PROTOBUF else JSON_TYPE


_GONE = 410
_BARRED = ' forbidden: User "'
"""What the authorizer says, and nobody else."""
_NOBODY = " without impersonating a user name"
"""What is said to those who want to be nobody in particular."""
_NO_SNIFFING = (("X-Content-Type-Options", "nosniff"),)


def error_reply(error: StatusError, header: str = "", *, pretty: bool = False) -> Reply:
    """A refusal as the `Status` it is, for a client with this Accept header."""
    headers: Headers = ()
    if (error.code == 403 and _BARRED in f" {error.message}") or (error.code == 400 and error.message.endswith(_NOBODY)):
        headers = _NO_SNIFFING
    if error.details and (seconds := error.details.get("retryAfterSeconds")):
        headers = (("Retry-After", str(seconds)),)
    accepted = negotiation.of_error(header) if header else PLAIN
    return Reply(error.code, encoded(error.status(), accepted.media, pretty=pretty or accepted.pretty), accepted.media, headers)


def warning_headers(warnings: Iterable[str]) -> Headers:
    """`Warning: 299` headers, each text once, cut short when all together are long.

    Contract: RFC 7234 section 5.5 as Kubernetes uses it; k8s.io/apiserver pkg/endpoints/filters/warning.go.
    """
    texts = list(dict.fromkeys(warnings))
    if sum(map(len, texts)) > _MOST_WARNINGS:
        texts = _shortened(texts)
    return tuple([("Warning", f'299 - "{_quoted(text)}"') for text in texts])


def _shortened(texts: list[str]) -> list[str]:
    """All that came until there was too much, and what fits of the rest."""
    found: list[str] = []
    written, length, full = 0, 0, False
    for text in texts:
        if full and written >= _MOST_WARNINGS:
            break
        found.append(text[:_LONG_WARNING])
        written += len(found[-1])
        length += len(text)
        full = full or length > _MOST_WARNINGS
    return found


def encoded(obj: Obj, media: str, *, pretty: bool = False) -> bytes:
    """An object in one of the three formats."""
    if media == PROTOBUF:
        return protobuf.encode(obj)
    if media == YAML:
        return yaml_bodies.encode(obj)
    body = codec.encode(obj)
    return msgspec.json.format(body, indent=2) if pretty else body + b"\n"


def _quoted(text: str) -> str:
    return " ".join(text.split()).replace("\\", "\\\\").replace('"', '\\"')


async def _sliced(make: Callable[[Obj], Any], objs: Sequence[Obj], clock: Clock) -> list[Any]:
    """`make` of every object, letting others go first now and then."""
    if len(objs) <= SLICE:
        return [make(obj) for obj in objs]
    found: list[Any] = []
    for start in range(0, len(objs), SLICE):
        found += [make(obj) for obj in objs[start : start + SLICE]]
        await clock.sleep(0)
    return found


def _line_maker(resource: Resource, view: View, clock: Clock) -> Callable[[Event | Bookmark], bytes]:
    accepted = view.accepted
    if accepted.form == "Table":
        table = Table(resource, accepted.version, view.include, clock.now())

        def table_line(item: Event | Bookmark) -> bytes:
            obj = _of(item)
            return _event(item.type, table.at(clock.now()).document([obj], _version(obj)), accepted.media)

        return table_line
    shape = _shape(resource, view, clock)
    return lambda item: _event(item.type, shape(_of(item)), accepted.media)


def _of(item: Event | Bookmark) -> Obj:
    return item.object if isinstance(item, Bookmark) else item.record.obj


def _event(type: str, obj: Obj, media: str) -> bytes:
    if media == PROTOBUF:
        return protobuf.encode_event(type, protobuf.encode(obj))
    return codec.encode({"type": type, "object": obj}) + b"\n"


def _shape(resource: Resource, view: View, clock: Clock) -> Callable[[Obj], Obj]:
    """What is made of each object: itself, or its metadata."""
    accepted = view.accepted
    if not accepted.form:
        return lambda obj: obj
    api_version = f"{accepted.group}/{accepted.version}"
    return lambda obj: metadata_only(obj, api_version)


def _table(resource: Resource, view: View, clock: Clock, objs: list[Obj], metadata: Obj) -> Obj:
    return Table(resource, view.accepted.version, view.include, clock.now()).document(objs, metadata)


def _list(api_version: str, kind: str, metadata: Obj, items: list[Obj]) -> Obj:
    return {"kind": f"{kind}List", "apiVersion": api_version, "metadata": metadata, "items": items or None}


def _list_metadata(page: Page, *, unstructured: bool) -> Obj:
    """Lists of custom objects say that they do not go on, too."""
    metadata: Obj = {"resourceVersion": str(page.revision)}
    if page.continue_ or unstructured:
        metadata["continue"] = page.continue_ or ""
    if page.remaining:
        metadata["remainingItemCount"] = page.remaining
    return metadata


def _version(obj: Obj) -> Obj:
    """The metadata of a table that shows one object."""
    return {"resourceVersion": (obj.get("metadata") or {}).get("resourceVersion", "")}


def _go_type(request: Request, suffix: str = "") -> str:
    """What the real server calls the class of an object, which it tells to clients that ask for the wrong form."""
    resource = request.resource
    if resource.custom:
        return f"*unstructured.Unstructured{suffix}"
    package = (resource.storage or (resource.group, ""))[0].partition(".")[0] or "core"
    return f"*{package}.{resource.kind}{suffix}"
