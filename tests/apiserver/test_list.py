"""Reading: resourceVersion rules, selectors, and pages that belong together whatever happens between them."""

from typing import Any

import pytest

from lightship import kinds
from lightship.apiserver.requests import Request
from lightship.meta.rest import ListOptions

from .site import ADMIN, CONFIG_MAPS, GADGETS, PODS, Site, config_map, pod, refused, run


async def fill(site: Site, count: int) -> None:
    for i in range(count):
        await site.create(CONFIG_MAPS, config_map(f"c{i:02}", labels={"odd": str(i % 2)}))


def test_get_by_resource_version() -> None:
    async def test(site: Site) -> None:
        await site.create(CONFIG_MAPS, config_map("a"))
        registry = site.server.registry
        request = Request(ADMIN, CONFIG_MAPS, "default", "a")
        for version in ("", "0", "1", str(site.store.revision)):
            assert (await registry.get(request, version)).obj["metadata"]["name"] == "a"
        with refused(504, "Timeout", "Timeout: Too large resource version: 9999") as found:
            await registry.get(request, "9999")
        assert (found[0].details or {})["causes"][0]["reason"] == "ResourceVersionTooLarge"
        with refused(400, "BadRequest", "abc"):
            await registry.get(request, "abc")

    run(test)


def test_list_is_sorted_and_at_one_revision() -> None:
    async def test(site: Site) -> None:
        for name in ("b", "a", "c"):
            await site.create(CONFIG_MAPS, config_map(name))
        await site.create(CONFIG_MAPS, config_map("k"), "kube-system")
        listing = await site.listing(CONFIG_MAPS)
        assert [o["metadata"]["name"] for o in listing.items] == ["a", "b", "c"]
        assert listing.resource_version == str(site.store.revision)
        assert await site.names(CONFIG_MAPS, "") == ["a", "b", "c", "k"]
        assert await site.names(CONFIG_MAPS, "empty") == []

    run(test)


def test_list_hands_out_the_stored_bytes() -> None:
    async def test(site: Site) -> None:
        await fill(site, 2)
        page = await site.server.registry.list(Request(ADMIN, CONFIG_MAPS, "default"), ListOptions())
        assert page.records[0] is site.store.get("core/configmaps/default/c00")

    run(test)


def test_list_returns_consistent_pages() -> None:
    """Chunks: what changes between two pages is not seen by the second."""

    async def test(site: Site) -> None:
        await fill(site, 10)
        first = await site.listing(CONFIG_MAPS, limit=4)
        assert (len(first.items), first.remaining) == (4, 6)
        await site.delete(CONFIG_MAPS, "c05")
        await site.create(CONFIG_MAPS, config_map("c045"))
        await site.patch(CONFIG_MAPS, "c06", {"data": {"a": "changed"}})
        second = await site.listing(CONFIG_MAPS, limit=4, continue_=first.continue_)
        assert [o["metadata"]["name"] for o in second.items] == ["c04", "c05", "c06", "c07"]
        assert second.items[2]["data"] == {"a": "1"}
        assert second.resource_version == first.resource_version
        assert second.remaining == 2
        last = await site.listing(CONFIG_MAPS, limit=4, continue_=second.continue_)
        assert (len(last.items), last.continue_, last.remaining) == (2, "", None)

    run(test)


def test_a_page_that_ends_the_list_has_no_token() -> None:
    async def test(site: Site) -> None:
        await fill(site, 4)
        assert (await site.listing(CONFIG_MAPS, limit=4)).continue_ == ""
        assert (await site.listing(CONFIG_MAPS, limit=4, label_selector="odd=1")).continue_ == ""

    run(test)


def test_selective_pages_tell_no_remaining_count() -> None:
    async def test(site: Site) -> None:
        await fill(site, 10)
        seen: list[str] = []
        token = ""
        for want in (2, 2, 1):
            page = await site.listing(CONFIG_MAPS, limit=2, label_selector="odd=1", continue_=token)
            assert page.remaining is None
            assert len(page.items) == want
            seen += [o["metadata"]["name"] for o in page.items]
            token = page.continue_
        assert seen == ["c01", "c03", "c05", "c07", "c09"]
        assert token == ""

    run(test)


def test_pages_across_namespaces() -> None:
    async def test(site: Site) -> None:
        for namespace in ("default", "kube-system", "kube-public"):
            await site.create(CONFIG_MAPS, config_map("x"), namespace)
        seen, token = [], ""
        while True:
            page = await site.listing(CONFIG_MAPS, "", limit=1, continue_=token)
            seen += [o["metadata"]["namespace"] for o in page.items]
            token = page.continue_
            if not token:
                break
        assert seen == ["default", "kube-public", "kube-system"]

    run(test)


def test_continue_after_compaction() -> None:
    """410 with a token that goes on, inconsistently, where the old one was."""

    async def test(site: Site) -> None:
        await fill(site, 6)
        first = await site.listing(CONFIG_MAPS, limit=2)
        await site.delete(CONFIG_MAPS, "c03")
        site.store.compact(site.store.revision)
        with refused(410, "Expired", "The provided continue parameter is too old to display a consistent list result.") as found:
            await site.listing(CONFIG_MAPS, limit=2, continue_=first.continue_)
        token = found[0].status()["metadata"]["continue"]
        second = await site.listing(CONFIG_MAPS, limit=2, continue_=token)
        assert [o["metadata"]["name"] for o in second.items] == ["c02", "c04"]
        assert second.resource_version == str(site.store.revision)
        assert await site.names(CONFIG_MAPS, limit=2, continue_=second.continue_) == ["c05"]

    run(test)


def test_list_at_a_revision() -> None:
    async def test(site: Site) -> None:
        await fill(site, 3)
        then = str(site.store.revision)
        await site.delete(CONFIG_MAPS, "c00")
        exact: dict[str, Any] = {"resource_version": then, "resource_version_match": "Exact"}
        assert await site.names(CONFIG_MAPS, **exact) == ["c00", "c01", "c02"]
        assert (await site.listing(CONFIG_MAPS, **exact)).resource_version == then
        assert len(await site.names(CONFIG_MAPS, resource_version=then)) == 2, "not older than is the present here"
        assert len(await site.names(CONFIG_MAPS, resource_version=then, limit=10)) == 3, "with a limit it is exact"
        assert len(await site.names(CONFIG_MAPS, resource_version="0")) == 2
        site.store.compact(site.store.revision)
        with refused(410, "Expired", "too old resource version"):
            await site.listing(CONFIG_MAPS, **exact)

    run(test)


REFUSED: list[tuple[str, dict[str, Any], int, str, str]] = [
    ("future", {"resource_version": "9999"}, 504, "Timeout", "Timeout: Too large resource version: 9999, current: "),
    ("future, exact", {"resource_version": "9999", "resource_version_match": "Exact"}, 504, "Timeout", "Too large resource version"),
    ("no number", {"resource_version": "x"}, 400, "BadRequest", "invalid resource version"),
    ("match alone", {"resource_version_match": "Exact"}, 422, "Invalid", "is forbidden unless resourceVersion is provided"),
    (
        "exact any",
        {"resource_version": "0", "resource_version_match": "Exact"},
        422,
        "Invalid",
        'resourceVersionMatch "exact" is forbidden for resourceVersion "0"',
    ),
    (
        "no such match",
        {"resource_version": "1", "resource_version_match": "Foo"},
        422,
        "Invalid",
        'Unsupported value: "Foo": supported values: "Exact", "NotOlderThan", ""',
    ),
    ("bad token", {"continue_": "abc"}, 400, "BadRequest", "invalid continue token: continue key is not valid"),
    ("token of nothing", {"continue_": "e30"}, 400, "BadRequest", "not valid: server does not recognize this encoded version "),
    ("token of text", {"continue_": "aGVsbG8"}, 400, "BadRequest", "not valid: invalid character 'h' looking for beginning of value"),
    ("no base64", {"continue_": "ab="}, 400, "BadRequest", "continue key is not valid: illegal base64 data at input byte 2"),
    ("label syntax", {"label_selector": "a b"}, 400, "BadRequest", "unable to parse requirement"),
    ("field syntax", {"field_selector": "foo"}, 400, "BadRequest", "invalid"),
    (
        "field",
        {"field_selector": "foo=bar"},
        400,
        "BadRequest",
        '"foo" is not a known field selector: only "metadata.name", "metadata.namespace"',
    ),
]


@pytest.mark.parametrize(("options", "code", "reason", "message"), [c[1:] for c in REFUSED], ids=[c[0] for c in REFUSED])
def test_list_refuses(options: dict[str, Any], code: int, reason: str, message: str) -> None:
    async def test(site: Site) -> None:
        with refused(code, reason, message):
            await site.listing(CONFIG_MAPS, **options)

    run(test)


def test_continue_forbids_a_version() -> None:
    async def test(site: Site) -> None:
        await fill(site, 3)
        token = (await site.listing(CONFIG_MAPS, limit=1)).continue_
        with refused(400, "BadRequest", "specifying resource version is not allowed when using continue"):
            await site.listing(CONFIG_MAPS, limit=1, continue_=token, resource_version="3")
        with refused(422, "Invalid", "resourceVersionMatch is forbidden when continue is provided"):
            await site.listing(CONFIG_MAPS, continue_=token, resource_version="3", resource_version_match="Exact")

    run(test)


SELECTORS = [
    ({"label_selector": "app=web"}, ["a", "b"]),
    ({"label_selector": "app!=web"}, ["c", "d"]),
    ({"label_selector": "app in (web,db)"}, ["a", "b", "c"]),
    ({"label_selector": "!app"}, ["d"]),
    ({"label_selector": "app,tier notin (front)"}, ["b", "c"]),
    ({"field_selector": "metadata.name=b"}, ["b"]),
    ({"field_selector": "metadata.name!=b"}, ["a", "c", "d"]),
    ({"field_selector": "spec.nodeName=n1"}, ["b", "c"]),
    ({"field_selector": "spec.nodeName="}, ["a", "d"]),
    ({"field_selector": "spec.nodeName=n1", "label_selector": "app=web"}, ["b"]),
    ({"field_selector": "metadata.namespace=default,status.phase!=Failed"}, ["a", "b", "c", "d"]),
    ({"field_selector": "metadata.name=nope"}, []),
    ({"field_selector": "spec.hostNetwork=false"}, ["a", "b", "c", "d"]),
]


@pytest.mark.parametrize(("options", "want"), SELECTORS, ids=[str(list(c[0].values())) for c in SELECTORS])
def test_selectors(options: dict[str, str], want: list[str]) -> None:
    async def test(site: Site) -> None:
        await site.create(PODS, pod("a", labels={"app": "web", "tier": "front"}))
        await site.create(PODS, pod("b", node="n1", labels={"app": "web"}))
        await site.create(PODS, pod("c", node="n1", labels={"app": "db"}))
        await site.create(PODS, pod("d"))
        assert await site.names(PODS, **options) == want
        assert await site.names(PODS, "", **options) == want

    run(test)


def test_unsupported_fields_of_pods_and_custom_kinds() -> None:
    async def test(site: Site) -> None:
        for resource in (PODS, GADGETS):
            with refused(400, "BadRequest", "field label not supported: foo"):
                await site.listing(resource, field_selector="foo=bar")

    run(test, extra=[GADGETS])


def test_events_of_two_groups_are_one() -> None:
    async def test(site: Site) -> None:
        about = {"kind": "Pod", "name": "p", "namespace": "default"}
        core = {"metadata": {"name": "e"}, "involvedObject": about, "reason": "Why", "message": "what", "type": "Normal", "count": 3}
        await site.create(kinds.EVENTS, core)
        new = await site.get(kinds.EVENTS_V1, "e")
        assert (new["apiVersion"], new["regarding"]["name"], new["note"], new["deprecatedCount"]) == ("events.k8s.io/v1", "p", "what", 3)
        series = {
            "metadata": {"name": "f"},
            "regarding": about,
            "reason": "Why",
            "note": "that",
            "type": "Normal",
            "action": "Did",
            "eventTime": "2023-11-14T22:13:20.000000Z",
            "reportingController": "me",
            "reportingInstance": "me-1",
        }
        await site.create(kinds.EVENTS_V1, series)
        old = await site.get(kinds.EVENTS, "f")
        assert (old["apiVersion"], old["involvedObject"]["name"], old["message"]) == ("v1", "p", "that")
        assert old["reportingComponent"] == "me"
        assert await site.names(kinds.EVENTS) == await site.names(kinds.EVENTS_V1) == ["e", "f"]

    run(test)
