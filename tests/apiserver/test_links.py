"""Pages behind `/proxy`: their links lead back through it."""

import asyncio
import gzip
from collections.abc import AsyncIterator

import pytest

from lightship.apiserver.proxying import links
from lightship.apiserver.proxying.links import Place, mended, rewritten, rewritten_page
from lightship.apiserver.transport.exchange import Reply, Stream

PLACE = Place("/api/v1/namespaces/n/pods/p/proxy", "api:6443", "10.244.0.2:80")
HTML = "text/html; charset=utf-8"


@pytest.mark.parametrize(
    ("url", "want"),
    [
        ("/x", f"{PLACE.prefix}/x"),
        ("/x/", f"{PLACE.prefix}/x/"),
        ("/", f"{PLACE.prefix}/"),
        ("/x?a=b#c", f"{PLACE.prefix}/x?a=b#c"),
        ("x", "x"),
        ("../x", "../x"),
        ("#c", "#c"),
        ("http://elsewhere/x", "http://elsewhere/x"),
        ("http://10.244.0.2:80/x", f"{PLACE.prefix}/x"),
        ("http://api:6443/x", f"http://api:6443{PLACE.prefix}/x"),
        (f"{PLACE.prefix}/x", f"{PLACE.prefix}/x"),
        ("http://[broken/x", "http://[broken/x"),
        ("mailto:a@b", "mailto:a@b"),
    ],
)
def test_urls(url: str, want: str) -> None:
    assert rewritten(url, PLACE) == want


@pytest.mark.parametrize(
    ("page", "want"),
    [
        ('<a href="/x">test</a>', '<a href="P/x">test</a>'),
        ("a\n<p>\n <IMG src=/i.png alt='q\"'/> <b title='/x'>", 'a\n<p>\n <img src="P/i.png" alt="q&quot;"/> <b title=\'/x\'>'),
        ("<!-- <a href='/x'> --><script>'<a href=\"/x\">'</script>", "<!-- <a href='/x'> --><script>'<a href=\"/x\">'</script>"),
        ("<a href='/x'>é</a><a name=q>&amp;</a>", '<a href="P/x">é</a><a name=q>&amp;</a>'),
        ("<a href='/x", "<a href='/x"),
    ],
)
def test_pages(page: str, want: str) -> None:
    assert rewritten_page(page, lambda url: "P" + url) == want


async def _pieces(*chunks: bytes) -> AsyncIterator[bytes]:
    for chunk in chunks:
        yield chunk


def test_answers() -> None:
    async def main() -> None:
        plain = Reply(200, b'<a href="/x">', "text/plain", (("Access-Control-Allow-Origin", "*"), ("X", "y")))
        assert await mended(plain, PLACE) == plain._replace(headers=(("X", "y"),))
        moved = await mended(Reply(302, b"", HTML, (("Location", "/x"),)), PLACE)
        assert moved.headers == (("Location", f"{PLACE.prefix}/x"),)
        packed = await mended(Reply(200, gzip.compress(b'<a href="/x">\xff'), HTML, (("Content-Encoding", "gzip"),)), PLACE)
        assert isinstance(packed, Reply)
        assert gzip.decompress(packed.body) == f'<a href="{PLACE.prefix}/x">'.encode() + b"\xff"
        flowing = await mended(Stream(_pieces(b"<a hre", b'f="/x">'), HTML), PLACE)
        assert isinstance(flowing, Reply)
        assert flowing.body == f'<a href="{PLACE.prefix}/x">'.encode()

    asyncio.run(main())


def test_what_is_too_long_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(links, "LONGEST", 20)

    async def main() -> None:
        bomb = Reply(200, gzip.compress(b"<a href='/x'>" * 100), HTML, (("Content-Encoding", "gzip"),))
        assert await mended(bomb, PLACE) == bomb
        endless = await mended(Stream(_pieces(*[b"<a href='/x'>"] * 3), HTML), PLACE)
        assert isinstance(endless, Stream)
        assert b"".join([piece async for piece in endless.items]) == b"<a href='/x'>" * 3

    asyncio.run(main())
