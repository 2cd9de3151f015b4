"""Where a webhook is called: the URLs that a kube-apiserver makes of its configuration, as its errors told them; and whom it trusts."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from lightship.apiserver.transport import tls
from lightship.apiserver.transport.outbound import Address, Outbound, target_of

from .webhook_site import webhook


@pytest.mark.parametrize(
    ("url", "want"),
    [
        ("https://127.0.0.1:1//a", "https://127.0.0.1:1/a?timeout=10s"),
        ("https://127.0.0.1:1/a/b/../c/", "https://127.0.0.1:1/a/c?timeout=10s"),
        ("https://127.0.0.1:1", "https://127.0.0.1:1/?timeout=10s"),
        ("https://127.0.0.1:1/./x//y/", "https://127.0.0.1:1/x/y?timeout=10s"),
        ("https://127.0.0.1:1/../..", "https://127.0.0.1:1/?timeout=10s"),
        ("https://127.0.0.1:1/a%2Fb%20c/", "https://127.0.0.1:1/a/b%20c?timeout=10s"),
        ("https://127.0.0.1:1/a%7Eb", "https://127.0.0.1:1/a~b?timeout=10s"),
        ("https://127.0.0.1:1/é", "https://127.0.0.1:1/%C3%A9?timeout=10s"),
    ],
)
def test_urls(url: str, want: str) -> None:
    assert target_of({"url": url}).shown("timeout=10s") == want


@pytest.mark.parametrize(("path", "want"), [("", "/"), ("/", "/"), ("/a/b", "/a/b"), ("/a/", "/a")])
def test_paths_of_services(path: str, want: str) -> None:
    service = {"namespace": "n", "name": "s", "path": path}
    assert target_of({"service": service}).shown("timeout=10s") == f"https://s.n.svc:443{want}?timeout=10s"


def test_what_is_no_url_stays_for_the_call_to_fail_on() -> None:
    assert target_of({"url": "https://[::1"}).url == "https://[::1"


def test_a_bundle_may_hold_the_certificate_of_the_webhook_itself(tmp_path: Path) -> None:
    async def echoed(path: str, document: Any) -> Any:
        return {"path": path, "said": document}

    async def test() -> None:
        async with webhook(tmp_path, echoed) as site:
            outbound = Outbound(lambda *_: Address("", 0))
            pinned = site._replace(ca=(tmp_path / tls.CERTIFICATE).read_bytes())
            assert await outbound.post(target_of(pinned.config("//x/")), {"a": 1}, timeout=10) == {"path": "/x", "said": {"a": 1}}
            outbound.close()

    asyncio.run(test())
