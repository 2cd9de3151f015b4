"""OpenAPI version 3 for each group version and version 2 for all: what kubectl validates, explains and merges by.

`documents` keeps one `Documents` and asks it when a client asks. Everything is made then, once for each set of served resources, in a
thread (a document takes a tenth of a second), and kept as the bytes that are sent. Addresses and ETags change with what is served, so that
clients may keep what they have.
Contract: kube-openapi pkg/handler3 and pkg/handler: headers, media types, hashes in addresses.
"""

import asyncio
import hashlib
from collections.abc import Callable, Sequence
from typing import Protocol

from lightship import __version__
from lightship.apiserver.catalogue import Catalogue
from lightship.apiserver.media.negotiation import JSON, clauses
from lightship.apiserver.reviews.answering import RESOURCES as REVIEWS
from lightship.apiserver.transport.exchange import Reply
from lightship.meta import codec
from lightship.meta.resources import Resource

from .document import beginnings, v2_document, v3_document, v3_root_document
from .protobuf import encode_v2

V2_PROTOBUF = "application/com.github.proto-openapi.spec.v2.v1.0+protobuf"
_V2_MEDIA = (JSON, V2_PROTOBUF.replace(".v2.v1.0", ".v2@v1.0"), V2_PROTOBUF)
_V3_MEDIA = (JSON,)
_YEAR = 365 * 24 * 3600.0


class Date(Protocol):
    """The time for a header, so many seconds from now."""

    def __call__(self, later: float = 0) -> str: ...


class Documents:
    """The OpenAPI documents of a catalogue."""

    def __init__(self, resources: Catalogue) -> None:
        self._resources = resources
        self._generation = -1
        self._places: dict[str, list[Resource]] = {}
        self._beginnings: list[str] = []
        self._tags: dict[str, str] = {}
        self._made: dict[str, asyncio.Future[bytes]] = {}
        self._modified = ""

    def index(self) -> bytes:
        """`/openapi/v3`: where each document is; the hash in its address changes with what it tells."""
        self._refresh()
        places = (*self._places, *self._beginnings)
        paths = {place: {"serverRelativeURL": f"/openapi/v3/{place}?hash={self._tag(place)}"} for place in places}
        return codec.encode({"paths": dict(sorted(paths.items()))})

    async def v3(self, place: str, accept: str, hash: str, date: Date) -> Reply:
        """`/openapi/v3/api/v1`, `/openapi/v3/apis/<group>/<version>`; 301 for a hash that is no more."""
        self._refresh(date)
        if place not in self._places and place not in self._beginnings:
            return Reply(404, b"", "")
        if _wanted(accept, _V3_MEDIA) is None:
            return Reply(406, b"", "", (("Vary", "Accept"),))
        tag = self._tag(place)
        headers: tuple[tuple[str, str], ...] = (("ETag", f'"{tag}"'), ("Last-Modified", self._modified), ("Vary", "Accept"))
        if hash and hash != tag:
            return Reply(301, b"", JSON, (headers[0], ("Vary", "Accept"), ("Location", f"/openapi/v3/{place}?hash={tag}")))
        if hash:
            headers = (*headers, ("Cache-Control", "public, immutable"), ("Expires", date(_YEAR)))
        resources = self._places.get(place)
        return Reply(200, await self._kept(place, lambda: codec.encode(_v3(place, resources))), JSON, headers)

    async def v2(self, accept: str, date: Date) -> Reply:
        """`/openapi/v2`, in JSON or in the protobuf that old clients insist on."""
        self._refresh(date)
        media = _wanted(accept, _V2_MEDIA)
        headers: tuple[tuple[str, str], ...] = (("Vary", "Accept-Encoding"), ("Vary", "Accept"))
        if media is None:
            return Reply(406, b"", "", headers)
        every = [resource for place in self._places.values() for resource in place]
        tag = self._tag("v2")
        headers = (("ETag", f'"{tag}"'), ("Last-Modified", self._modified), *headers)
        body = await self._kept("v2", lambda: codec.encode(v2_document(every)))
        if media == JSON:
            return Reply(200, body, JSON, headers)
        return Reply(200, await self._kept(f"v2 protobuf {tag}", lambda: encode_v2(codec.decode(body))), V2_PROTOBUF, headers)

    def _refresh(self, date: Date | None = None) -> None:
        if self._generation != self._resources.generation:
            self._generation = self._resources.generation
            self._made = {}
            self._tags.clear()
            self._modified = ""
            self._places = _by_place(self._resources)
            self._beginnings = beginnings(resource for each in self._places.values() for resource in each)
        if date is not None and not self._modified:
            self._modified = date()

    def _tag(self, place: str) -> str:
        """A hash of all that a document depends on; the document itself need not be made for it."""
        if place not in self._tags:
            every = [resource for each in self._places.values() for resource in each] if place == "v2" else []
            facts = [__version__, place, [_fingerprint(resource) for resource in self._places.get(place, every)]]
            self._tags[place] = hashlib.sha512(codec.encode(facts)).hexdigest().upper()
        return self._tags[place]

    async def _kept(self, key: str, make: Callable[[], bytes]) -> bytes:
        """What `make` gives, made once however many ask at the same time."""
        made = self._made
        if key not in made:
            made[key] = asyncio.ensure_future(asyncio.to_thread(make))
        try:
            return await asyncio.shield(made[key])
        except Exception:
            made.pop(key, None)
            raise


def _v3(place: str, resources: Sequence[Resource] | None) -> object:
    return v3_document(resources[0].group, resources[0].version, resources) if resources else v3_root_document(place)


def _by_place(served: Catalogue) -> dict[str, list[Resource]]:
    found: dict[str, list[Resource]] = {}
    for resource in sorted((*served, *REVIEWS), key=lambda r: r.identity):
        place = f"apis/{resource.group}/{resource.version}" if resource.group else f"api/{resource.version}"
        found.setdefault(place, []).append(resource)
    return found


def _fingerprint(resource: Resource) -> list[object]:
    return [resource.plural, resource.kind, resource.namespaced, resource.verbs, resource.schema, resource.status, bool(resource.scale)]


def _wanted(header: str, offered: tuple[str, ...]) -> str | None:
    """The media type to send; parameters mean nothing here."""
    for clause in clauses(header or "*/*"):
        for media in offered:
            if clause.main in ("*", "application") and clause.sub in ("*", media.partition("/")[2]):
                return media
    return None
