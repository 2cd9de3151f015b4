"""Links in pages that come from behind `/proxy`: what a page says of its own root must lead back through the proxy.

`places` gives `mended` every answer of a pod or service. Redirects and the links of HTML pages are changed, headers that would open this
server to pages of other origins are taken away; everything else passes. Pages too long to hold, or packed in a way that is not understood,
pass as they are. Contract: apimachinery pkg/util/proxy Transport and corsRemovingTransport.
"""

import gzip
import posixpath
import zlib
from collections.abc import AsyncIterator, Callable
from html import escape
from html.parser import HTMLParser
from typing import NamedTuple
from urllib.parse import urlsplit, urlunsplit

from lightship.apiserver.transport.exchange import Reply, Stream, Switch

LONGEST = 1024 * 1024
"""Bytes of a page whose links are changed, packed and unpacked: it is held in memory meanwhile."""
_CROSS_ORIGIN = frozenset(f"access-control-allow-{what}" for what in ("credentials", "headers", "methods", "origin"))
_ATTRIBUTES = {
    "a": {"href"},
    "applet": {"codebase"},
    "area": {"href"},
    "audio": {"src"},
    "base": {"href"},
    "blockquote": {"cite"},
    "body": {"background"},
    "button": {"formaction"},
    "command": {"icon"},
    "del": {"cite"},
    "embed": {"src"},
    "form": {"action"},
    "frame": {"longdesc", "src"},
    "head": {"profile"},
    "html": {"manifest"},
    "iframe": {"longdesc", "src"},
    "img": {"longdesc", "src", "usemap"},
    "input": {"src", "usemap", "formaction"},
    "ins": {"cite"},
    "link": {"href"},
    "object": {"classid", "codebase", "data", "usemap"},
    "q": {"cite"},
    "script": {"src"},
    "source": {"src"},
    "video": {"poster", "src"},
}


class Place(NamedTuple):
    """Where a page was asked for: the path of the request up to its own, the host that was asked, and the one behind the proxy."""

    prefix: str
    asked: str
    behind: str


def rewritten(url: str, place: Place) -> str:
    """The URL that leads there through the proxy; relative ones and those of other hosts are left as they are."""
    try:
        scheme, host, path, query, fragment = urlsplit(url)
    except ValueError:
        return url
    if host not in ("", place.behind, place.asked) or not path.startswith("/"):
        return url
    if host != place.asked:
        scheme = host = ""
    if not path.startswith(place.prefix):
        slash = "/" if path.endswith("/") else ""
        path = posixpath.normpath(f"{place.prefix}/{path}").rstrip("/") + slash
    return urlunsplit((scheme, host, path, query, fragment))


def rewritten_page(text: str, rewrite: Callable[[str], str]) -> str:
    """The page with its links changed. Only tags that have such links are written anew."""
    finder = _Tags(text, rewrite)
    finder.feed(text)
    finder.close()
    pieces, at = [], 0
    for start, length, tag in finder.found:
        pieces += [text[at:start], tag]
        at = start + length
    return "".join([*pieces, text[at:]])


class _Tags(HTMLParser):
    """Finds the tags whose links change: (offset, length, the new tag)."""

    def __init__(self, text: str, rewrite: Callable[[str], str]) -> None:
        super().__init__(convert_charrefs=False)
        self.found: list[tuple[int, int, str]] = []
        self._rewrite = rewrite
        self._lines = [0]
        for line in text.split("\n"):
            self._lines.append(self._lines[-1] + len(line) + 1)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        wanted = _ATTRIBUTES.get(tag)
        raw = self.get_starttag_text()
        if wanted is None or raw is None or not any(name in wanted and value for name, value in attrs):
            return
        shown = "".join(
            f' {name}="{escape((self._rewrite(value) if name in wanted else value) if value else "")}"' for name, value in attrs
        )
        line, offset = self.getpos()
        self.found.append((self._lines[line - 1] + offset, len(raw), f"<{tag}{shown}{'/' if raw.endswith('/>') else ''}>"))

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)


async def mended(answer: Reply | Stream | Switch, place: Place) -> Reply | Stream | Switch:
    """The answer as somebody on this side of the proxy should see it."""
    if isinstance(answer, Switch):
        return answer
    headers = tuple((name, value) for name, value in answer.headers if name.lower() not in _CROSS_ORIGIN)
    target = _header(headers, "location")
    if target:
        headers = tuple((name, rewritten(value, place) if name.lower() == "location" else value) for name, value in headers)
        return answer._replace(headers=headers)
    answer = answer._replace(headers=headers)
    packing = _header(headers, "content-encoding")
    if (answer.content_type or "").partition(";")[0].strip() != "text/html" or packing not in ("", "gzip"):
        return answer
    whole = answer if isinstance(answer, Reply) else await _held(answer)
    if isinstance(whole, Stream):
        return whole
    page = _unpacked(whole.body, packing)
    if page is None:
        return whole
    # Bytes that are no UTF-8 come back as they were.
    changed = rewritten_page(page.decode("utf-8", "surrogateescape"), lambda url: rewritten(url, place)).encode("utf-8", "surrogateescape")
    return whole._replace(body=gzip.compress(changed) if packing else changed)


def _header(headers: tuple[tuple[str, str], ...], wanted: str) -> str:
    return next((value for name, value in headers if name.lower() == wanted), "")


async def _held(answer: Stream) -> Reply | Stream:
    """All of a stream that ends soon; else the stream, with what was read of it in front."""
    chunks, size, source = list[bytes](), 0, aiter(answer.items)
    async for chunk in source:
        chunks.append(chunk)
        size += len(chunk)
        if size > LONGEST:
            return answer._replace(items=_joined(chunks, source))
    return Reply(answer.code, b"".join(chunks), answer.content_type, answer.headers)


async def _joined(first: list[bytes], rest: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    for chunk in first:
        yield chunk
    async for chunk in rest:
        yield chunk


def _unpacked(body: bytes, packing: str) -> bytes | None:
    """The page itself; None when it is too long or broken."""
    if not packing:
        return body if len(body) <= LONGEST else None
    try:
        opened = zlib.decompressobj(zlib.MAX_WBITS | 16)
        page = opened.decompress(body, LONGEST)
    except zlib.error:
        return None
    return page if opened.eof else None
