"""Stand-ins for the services that initializers read from: each speaks as much of its protocol as clients use, and fails when it is told to.

`Web` (ranges, ETags), `S3` (ListObjectsV2 with pages, path style), `Hub` (Hugging Face: info, tree, resolve), `Gcs` and `Azure` (listing
and reading). All keep a log of what was asked, so that tests can tell what was fetched twice.
"""

import hashlib
import json
import ssl
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, TypeVar
from urllib.parse import parse_qs, unquote, urlsplit
from xml.sax.saxutils import escape

_PIECE = 1 << 18
S = TypeVar("S", bound="Server")


class Asked(NamedTuple):
    """One request that came."""

    path: str
    query: dict[str, str]
    range: str
    headers: dict[str, str]


@dataclass
class Faults:
    """What goes wrong, by the name of an object; each number is how often, or after how many bytes."""

    cut: dict[str, list[int]] = field(default_factory=dict)
    """Connections end after so many bytes of the body, one after the other."""
    spoil: dict[str, int] = field(default_factory=dict)
    """Answers whose first byte is another one."""
    busy: int = 0
    """Requests that are answered with 503."""
    ranges: bool = True
    token: str = ""
    """What must be in Authorization."""
    gates: list[threading.Event | None] = field(default_factory=list)
    """One for each body to come: it stops half way until the gate is set."""


class Server:
    """A server on a thread, for the time of a `with`. `objects` are the bytes by name."""

    def __init__(self, objects: dict[str, bytes], tls: Path | None = None, port: int = 0) -> None:
        self.objects = objects
        self.asked: list[Asked] = []
        self.faults = Faults()
        self.reached = threading.Semaphore(0)
        """Counts the bodies that have come to where they are held."""
        self.passed: list[threading.Event] = []
        self._lock = threading.Lock()
        self._http = ThreadingHTTPServer(("0.0.0.0" if port else "127.0.0.1", port), _handler(self))
        self._http.daemon_threads = True
        self._scheme = "http"
        if tls is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(tls)
            self._http.socket = context.wrap_socket(self._http.socket, server_side=True)
            self._scheme = "https"
        self._thread = threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)

    def __enter__(self: S) -> S:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        for gate in self.passed:
            gate.set()
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()

    def wait(self) -> None:
        """Serve for ever."""
        self._thread.join()

    @property
    def url(self) -> str:
        host = "localhost" if self._scheme == "https" else "127.0.0.1"
        return f"{self._scheme}://{host}:{self._http.server_port}"

    def gets(self, name: str) -> list[Asked]:
        """Requests for the bytes of an object."""
        return [asked for asked in self.asked if asked.path.endswith(name)]

    def answer(self, asked: Asked, to: "Answering") -> None:
        raise NotImplementedError

    def object(self, name: str, to: "Answering", asked: Asked, headers: dict[str, str] | None = None) -> None:
        """The bytes of an object, or a part of them."""
        found = self.objects.get(name)
        if found is None:
            to.send(404, b"no such thing")
            return
        etag = etag_of(found)
        if asked.headers.get("if-match", etag) != etag:
            to.send(412, b"")
            return
        status, body, more = 200, found, {"ETag": etag, "Last-Modified": "Sun, 01 Nov 2026 00:00:00 GMT", **(headers or {})}
        if self.faults.ranges:
            more["Accept-Ranges"] = "bytes"
            if asked.range:
                start, _, end = asked.range.removeprefix("bytes=").partition("-")
                first, last = int(start), min(int(end) if end else len(found) - 1, len(found) - 1)
                if first >= len(found):
                    to.send(416, b"", {"Content-Range": f"bytes */{len(found)}"})
                    return
                status, body = 206, found[first : last + 1]
                more["Content-Range"] = f"bytes {first}-{last}/{len(found)}"
        to.send(status, self._spoilt(name, body), more, self._cut(name, body))

    def gate(self) -> threading.Event | None:
        """That of the next body."""
        with self._lock:
            gate = self.faults.gates.pop(0) if self.faults.gates else None
        if gate is not None:
            self.passed.append(gate)
        return gate

    def _spoilt(self, name: str, body: bytes) -> bytes:
        with self._lock:
            left = self.faults.spoil.get(name, 0)
            if not left or len(body) < 2:
                return body
            self.faults.spoil[name] = left - 1
        return bytes([body[0] ^ 1]) + body[1:]

    def _cut(self, name: str, body: bytes) -> int | None:
        with self._lock:
            listed = self.faults.cut.get(name)
            return listed.pop(0) if listed and len(body) > 1 else None


def etag_of(found: bytes) -> str:
    return f'"{hashlib.md5(found, usedforsecurity=False).hexdigest()}"'


class Answering(BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"
    of: Server

    def do_GET(self) -> None:
        split = urlsplit(self.path)
        query = {name: values[0] for name, values in parse_qs(split.query, keep_blank_values=True).items()}
        headers = {name.lower(): value for name, value in self.headers.items()}
        asked = Asked(unquote(split.path), query, headers.get("range", ""), headers)
        faults = self.of.faults
        with self.of._lock:
            self.of.asked.append(asked)
            busy, faults.busy = faults.busy > 0, max(0, faults.busy - 1)
        if busy:
            self.send(503, b"busy")
        elif faults.token and faults.token not in headers.get("authorization", ""):
            self.send(401, b"who are you?", {"X-Error-Code": ""})
        else:
            self.of.answer(asked, self)

    do_HEAD = do_GET  # noqa: N815

    def json(self, found: Any, headers: dict[str, str] | None = None) -> None:
        self.send(200, json.dumps(found).encode(), {"Content-Type": "application/json", **(headers or {})})

    def send(self, status: int, body: bytes, headers: dict[str, str] | None = None, cut: int | None = None) -> None:
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command == "HEAD":
            return
        self.close_connection = cut is not None
        gate = self.of.gate()
        try:
            for at in range(0, len(body) if cut is None else min(cut, len(body)), _PIECE):
                if gate is not None and at >= len(body) // 2:
                    self.of.reached.release()
                    gate.wait(60)
                    gate = None
                self.wfile.write(body[at : min(at + _PIECE, len(body) if cut is None else cut)])
        except OSError:
            self.close_connection = True  # whoever asked has been killed

    def log_message(self, format: str, *args: object) -> None:
        """Quietly."""


def _handler(server: Server) -> type[Answering]:
    return type("Handler", (Answering,), {"of": server})


class Web(Server):
    """Objects by their paths; `moved` paths lead to other URLs."""

    moved: dict[str, str]

    def __init__(self, objects: dict[str, bytes], tls: Path | None = None) -> None:
        super().__init__(objects, tls)
        self.moved = {}

    def answer(self, asked: Asked, to: Answering) -> None:
        if asked.path in self.moved:
            to.send(302, b"", {"Location": self.moved[asked.path]})
        else:
            self.object(asked.path.lstrip("/"), to, asked)


class S3(Server):
    """Objects named `bucket/key`; a page of a listing has two of them. `encrypted`: ETags are no digests."""

    encrypted = False
    page = 2

    def answer(self, asked: Asked, to: Answering) -> None:
        bucket, _, key = asked.path.lstrip("/").partition("/")
        if bucket == "sts":
            to.send(200, _CREDENTIALS)
        elif bucket not in {name.partition("/")[0] for name in self.objects}:
            to.send(404, b"<Error><Code>NoSuchBucket</Code></Error>")
        elif "list-type" in asked.query:
            self._list(bucket, asked, to)
        else:
            self.object(f"{bucket}/{key}", to, asked)

    def _list(self, bucket: str, asked: Asked, to: Answering) -> None:
        prefix, after = asked.query.get("prefix", ""), asked.query.get("continuation-token", "")
        names = sorted(name.partition("/")[2] for name in self.objects if name.startswith(f"{bucket}/"))
        names = [name for name in names if name.startswith(prefix) and name > after]
        page, rest = names[: self.page], names[self.page :]
        contents = "".join(_xml_entry("Contents", "Key", name, self.objects[f"{bucket}/{name}"]) for name in page)
        token = f"<NextContinuationToken>{escape(page[-1])}</NextContinuationToken>" if rest else ""
        head = f"<Name>{bucket}</Name><KeyCount>{len(page)}</KeyCount><IsTruncated>{str(bool(rest)).lower()}</IsTruncated>{token}"
        body = f'<?xml version="1.0"?><ListBucketResult>{head}{contents}</ListBucketResult>'
        to.send(200, body.encode(), {"Content-Type": "application/xml"})


_CREDENTIALS = b"""<AssumeRoleResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><AssumeRoleResult><Credentials>
<AccessKeyId>ROLE</AccessKeyId><SecretAccessKey>role-secret</SecretAccessKey><SessionToken>role-token</SessionToken>
<Expiration>2099-01-01T00:00:00Z</Expiration></Credentials></AssumeRoleResult></AssumeRoleResponse>"""


class Hub(Server):
    """Repositories: objects named `models/organisation/name/path`, or `datasets/…`; large ones are kept apart, as by LFS."""

    commit = "c" * 40
    large = 1024

    def answer(self, asked: Asked, to: Answering) -> None:
        parts = asked.path.strip("/").split("/")
        if parts[0] == "api":
            self._api(parts[1:], to)
            return
        if parts[0] != "datasets":
            parts = ["models", *parts]
        where, path = parts[:3], "/".join(parts[5:])
        self.object("/".join([*where, path]), to, asked, {"X-Repo-Commit": self.commit})

    def _api(self, parts: list[str], to: Answering) -> None:
        repository = "/".join(parts[:3]) + "/"
        files = {name.removeprefix(repository): found for name, found in self.objects.items() if name.startswith(repository)}
        if not files:
            to.send(404, b'{"error": "Repository not found"}', {"X-Error-Code": "RepoNotFound"})
        elif parts[3:4] == ["tree"]:
            to.json([self._entry(path, found) for path, found in sorted(files.items())])
        elif parts[3:4] == ["revision"] and parts[4] not in ("main", "v1", self.commit):
            to.send(404, b'{"error": "Invalid rev"}', {"X-Error-Code": "RevisionNotFound"})
        else:
            to.json({"id": "/".join(parts[1:3]), "sha": self.commit, "siblings": [{"rfilename": path} for path in files]})

    def _entry(self, path: str, found: bytes) -> dict[str, Any]:
        oid = hashlib.sha1(b"blob %d\0" % len(found) + found, usedforsecurity=False).hexdigest()
        entry: dict[str, Any] = {"type": "file", "path": path, "size": len(found), "oid": oid}
        if len(found) > self.large:
            entry["lfs"] = {"oid": hashlib.sha256(found).hexdigest(), "size": len(found), "pointerSize": 134}
        return entry


class Gcs(Server):
    """Objects named `bucket/key`, by the XML interface. There are no pages: listings are short."""

    def answer(self, asked: Asked, to: Answering) -> None:
        bucket, _, key = asked.path.lstrip("/").partition("/")
        if key:
            self.object(f"{bucket}/{key}", to, asked)
            return
        prefix = asked.query.get("prefix", "")
        names = sorted(name for name in self.objects if name.startswith(f"{bucket}/{prefix}"))
        contents = "".join(_xml_entry("Contents", "Key", name.partition("/")[2], self.objects[name]) for name in names)
        to.send(200, f"<ListBucketResult><Name>{bucket}</Name>{contents}</ListBucketResult>".encode())


class Azure(Server):
    """Objects named `account/container/name`."""

    def answer(self, asked: Asked, to: Answering) -> None:
        if asked.query.get("comp") != "list":
            self.object(asked.path.lstrip("/"), to, asked, {"x-ms-blob-type": "BlockBlob"})
            return
        place, prefix = asked.path.strip("/"), asked.query.get("prefix", "")
        names = sorted(name for name in self.objects if name.startswith(f"{place}/{prefix}"))
        blobs = "".join(_azure_entry(name.removeprefix(f"{place}/"), self.objects[name]) for name in names)
        to.send(200, f"<EnumerationResults><Blobs>{blobs}</Blobs><NextMarker/></EnumerationResults>".encode())


def _xml_entry(tag: str, key: str, name: str, found: bytes) -> str:
    fields = f"<{key}>{escape(name)}</{key}><Size>{len(found)}</Size><ETag>{escape(etag_of(found))}</ETag>"
    return f"<{tag}>{fields}<LastModified>2026-11-01T00:00:00.000Z</LastModified></{tag}>"


def _azure_entry(name: str, found: bytes) -> str:
    fields = f"<Last-Modified>Sun, 01 Nov 2026 00:00:00 GMT</Last-Modified><Etag>{escape(etag_of(found))}</Etag>"
    more = f"<Content-Length>{len(found)}</Content-Length><Content-Type>text/plain</Content-Type>"
    return f"<Blob><Name>{escape(name)}</Name><Properties>{fields}{more}</Properties></Blob>"
