"""Options and answers as HTTP spells them."""

import pytest

from lightship import kinds
from lightship.client import wire
from lightship.meta import codec
from lightship.meta.rest import DeleteOptions, ListOptions, LogOptions, WatchOptions, WriteOptions


def test_names_cannot_escape_their_path() -> None:
    found = wire.path(kinds.PODS, "ns/../../x", "a b?watch=1\r\nHost: evil", "status")
    assert found == "/api/v1/namespaces/ns%2F..%2F..%2Fx/pods/a%20b%3Fwatch%3D1%0D%0AHost%3A%20evil/status"


@pytest.mark.parametrize(
    ("found", "want"),
    [
        (wire.list_query(ListOptions()), ""),
        (
            wire.list_query(ListOptions(label_selector="a in (b,c)", limit=5, continue_="tok en")),
            "?labelSelector=a+in+%28b%2Cc%29&limit=5&continue=tok+en",
        ),
        (
            wire.watch_query(WatchOptions(resource_version="7", timeout=9)),
            "?watch=true&resourceVersion=7&allowWatchBookmarks=true&timeoutSeconds=9",
        ),
        (
            wire.watch_query(WatchOptions(allow_bookmarks=False, send_initial_events=True, resource_version_match="NotOlderThan")),
            "?watch=true&resourceVersionMatch=NotOlderThan&sendInitialEvents=true",
        ),
        (wire.write_query(WriteOptions(dry_run=True, field_manager="m", force=True)), "?dryRun=All&fieldManager=m&force=true"),
        (wire.log_query(LogOptions()), ""),
        (wire.log_query(LogOptions(tail_lines=0)), "?tailLines=0"),
        (wire.log_query(LogOptions(container="c", follow=True, tail_lines=10)), "?container=c&follow=true&tailLines=10"),
    ],
)
def test_queries(found: str, want: str) -> None:
    assert found == want


@pytest.mark.parametrize(
    ("options", "want"),
    [
        (DeleteOptions(), {}),
        (DeleteOptions(grace_period_seconds=0, dry_run=True), {"gracePeriodSeconds": 0, "dryRun": ["All"]}),
        (DeleteOptions(uid="u", propagation_policy="Orphan"), {"propagationPolicy": "Orphan", "preconditions": {"uid": "u"}}),
    ],
)
def test_delete_bodies(options: DeleteOptions, want: dict[str, object]) -> None:
    assert codec.decode(wire.delete_body(options)) == {"kind": "DeleteOptions", "apiVersion": "v1"} | want


@pytest.mark.parametrize(
    ("code", "body", "want"),
    [
        (404, b'{"kind":"Status","reason":"NotFound","message":"no","code":404}', (404, "NotFound", "no")),
        (403, b'{"kind":"Status","message":"no"}', (403, "", "no")),
        (502, b"<html>bad gateway</html>", (502, "Unknown", "<html>bad gateway</html>")),
        (503, b"", (503, "ServiceUnavailable", "the server answered 503 without a word")),
        (500, b"[1]", (500, "InternalError", "[1]")),
        (500, b"\xff\xfe", (500, "InternalError", "\ufffd\ufffd")),
    ],
)
def test_errors(code: int, body: bytes, want: tuple[int, str, str]) -> None:
    found = wire.error(code, body)
    assert (found.code, found.reason, found.message) == want


def test_items_get_their_kind() -> None:
    items = wire.typed([{"metadata": {}}, {"kind": "X", "apiVersion": "y"}], kinds.JOBS)
    assert items == [{"metadata": {}, "apiVersion": "batch/v1", "kind": "Job"}, {"kind": "X", "apiVersion": "y"}]
