"""Where a webhook is called: the URLs that a kube-apiserver makes of its configuration, as its errors told them."""

import pytest

from lightship.apiserver.outbound import target_of


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
