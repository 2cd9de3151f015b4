"""PATCH: JSON and merge patches, their refusals, and patches that race."""

import asyncio
from typing import Any

import pytest

from lightship.meta.rest import APPLY_PATCH, JSON_PATCH, MERGE_PATCH, STRATEGIC_MERGE_PATCH, PatchType

from .site import CONFIG_MAPS, GADGETS, PODS, Site, config_map, pod, refused, run


def test_merge_patch_adds_changes_and_removes() -> None:
    async def test(site: Site) -> None:
        old = await site.create(CONFIG_MAPS, config_map("a", labels={"x": "1", "y": "2"}))
        new = await site.patch(CONFIG_MAPS, "a", {"metadata": {"labels": {"x": None, "z": "3"}}, "data": {"b": "2"}})
        assert new["metadata"]["labels"] == {"y": "2", "z": "3"}
        assert new["data"] == {"a": "1", "b": "2"}
        assert old["data"] == {"a": "1"}

    run(test)


def test_json_patch() -> None:
    async def test(site: Site) -> None:
        await site.create(CONFIG_MAPS, config_map("a"))
        ops = [{"op": "test", "path": "/data/a", "value": "1"}, {"op": "add", "path": "/data/b", "value": "2"}]
        assert (await site.patch(CONFIG_MAPS, "a", ops, type=JSON_PATCH))["data"] == {"a": "1", "b": "2"}

    run(test)


REFUSED: list[tuple[str, Any, PatchType, int, str, str]] = [
    ("test fails", [{"op": "test", "path": "/data/a", "value": "z"}], JSON_PATCH, 422, "Invalid", "the server rejected our request"),
    ("no such path", [{"op": "remove", "path": "/data/z"}], JSON_PATCH, 422, "Invalid", "the server rejected our request"),
    ("no such op", [{"op": "foo", "path": "/data/z"}], JSON_PATCH, 422, "Invalid", "the server rejected our request"),
    ("no list", {"op": "foo"}, JSON_PATCH, 400, "BadRequest", "error decoding patch"),
    ("no object", [1], MERGE_PATCH, 400, "BadRequest", "error decoding patch"),
    ("other name", {"metadata": {"name": "b"}}, MERGE_PATCH, 400, "BadRequest", "does not match the name on the URL (a)"),
    ("stale", {"metadata": {"resourceVersion": "2"}}, MERGE_PATCH, 409, "Conflict", "the object has been modified"),
    ("wrong type", {"data": {"x": 1}}, MERGE_PATCH, 422, "Invalid", "patch: Invalid value"),
    ("other kind", {"kind": "Pod"}, MERGE_PATCH, 422, "Invalid", "patch: Invalid value"),
    ("bad label", {"metadata": {"labels": {"a b": "c"}}}, MERGE_PATCH, 422, "Invalid", 'ConfigMap "a" is invalid: metadata.labels'),
    ("nobody applies", {}, APPLY_PATCH, 422, "Invalid", "fieldManager: Required value: is required for apply patch"),
]


@pytest.mark.parametrize(("patch", "type", "code", "reason", "message"), [c[1:] for c in REFUSED], ids=[c[0] for c in REFUSED])
def test_patch_refuses(patch: Any, type: PatchType, code: int, reason: str, message: str) -> None:
    async def test(site: Site) -> None:
        await site.create(CONFIG_MAPS, config_map("a"))
        before = site.store.revision
        with refused(code, reason, message):
            await site.patch(CONFIG_MAPS, "a", patch, type=type)
        assert site.store.revision == before

    run(test)


def test_patch_of_uid_is_immutable() -> None:
    async def test(site: Site) -> None:
        await site.create(CONFIG_MAPS, config_map("a"))
        with refused(422, "Invalid", 'metadata.uid: Invalid value: "1": field is immutable'):
            await site.patch(CONFIG_MAPS, "a", {"metadata": {"uid": "1"}})

    run(test)


def test_patch_of_what_is_not_there() -> None:
    async def test(site: Site) -> None:
        with refused(404, "NotFound", 'configmaps "nope" not found'):
            await site.patch(CONFIG_MAPS, "nope", {})

    run(test)


def test_custom_kinds_take_no_strategic_merge() -> None:
    async def test(site: Site) -> None:
        await site.create(GADGETS, {"metadata": {"name": "g"}, "spec": {"size": 1}})
        with refused(415, "UnsupportedMediaType", "accepted media types include: application/json-patch+json"):
            await site.patch(GADGETS, "g", {}, type=STRATEGIC_MERGE_PATCH)

    run(test, extra=[GADGETS])


def test_patch_that_changes_nothing_is_no_write() -> None:
    async def test(site: Site) -> None:
        old = await site.create(CONFIG_MAPS, config_map("a"))
        async with site.watching(CONFIG_MAPS, resource_version=old["metadata"]["resourceVersion"], timeout=1) as watching:
            same = await site.patch(CONFIG_MAPS, "a", {"data": {"a": "1", "z": None}})
            assert same["metadata"]["resourceVersion"] == old["metadata"]["resourceVersion"]
            assert [e for e in await watching.rest() if e[0] != "BOOKMARK"] == []

    run(test)


def test_patches_without_a_version_never_conflict() -> None:
    async def test(site: Site) -> None:
        await site.create(CONFIG_MAPS, config_map("a"))
        await asyncio.gather(*(site.patch(CONFIG_MAPS, "a", {"data": {f"k{i}": "x"}}) for i in range(30)))
        assert len((await site.get(CONFIG_MAPS, "a"))["data"]) == 31

    run(test)


def test_patch_is_tried_again_when_a_write_was_faster() -> None:
    from lightship.meta.admission import Admission, AdmissionRequest

    async def test(site: Site) -> None:
        await site.create(CONFIG_MAPS, config_map("a"))
        raced: list[str] = []

        async def race(request: AdmissionRequest) -> None:
            if not raced:
                raced.append(request.name)
                await site.patch(CONFIG_MAPS, "a", {"data": {"faster": "1"}})

        site.server.add_admission(Admission(name="race", resources=(CONFIG_MAPS,), validate=race))
        got = await site.patch(CONFIG_MAPS, "a", {"data": {"slower": "1"}})
        assert got["data"] == {"a": "1", "faster": "1", "slower": "1"}
        raced.clear()
        pinned = {"metadata": {"resourceVersion": got["metadata"]["resourceVersion"]}, "data": {"faster": "2"}}

        async def race_again(request: AdmissionRequest) -> None:
            if len(raced) == 1:
                raced.append("again")
                await site.patch(CONFIG_MAPS, "a", {"data": {"faster": "3"}})

        site.server.add_admission(Admission(name="race again", resources=(CONFIG_MAPS,), validate=race_again))
        with refused(409, "Conflict", "the object has been modified"):
            await site.patch(CONFIG_MAPS, "a", pinned)

    run(test)


def test_status_patch_touches_status_only() -> None:
    async def test(site: Site) -> None:
        old = await site.create(PODS, pod("p", node="n"))
        got = await site.patch(PODS, "p", {"spec": {"nodeName": "other"}, "status": {"phase": "Running"}}, subresource="status")
        assert got["status"]["phase"] == "Running"
        assert got["spec"] == old["spec"]
        got = await site.patch(PODS, "p", {"status": {"phase": "Failed"}})
        assert got["status"]["phase"] == "Running"

    run(test)


def test_strategic_merge_knows_which_lists_merge() -> None:
    async def test(site: Site) -> None:
        both = {"metadata": {"name": "p", "finalizers": ["a/b"]}, "spec": {"containers": [{"name": n, "image": "old"} for n in ("c", "d")]}}
        await site.create(PODS, both)
        patch = {"metadata": {"finalizers": ["c/d"]}, "spec": {"containers": [{"name": "d", "image": "new"}]}}
        got = await site.patch(PODS, "p", patch, type=STRATEGIC_MERGE_PATCH)
        assert [(c["name"], c["image"]) for c in got["spec"]["containers"]] == [("c", "old"), ("d", "new")]
        assert sorted(got["metadata"]["finalizers"]) == ["a/b", "c/d"]
        ready = {"status": {"conditions": [{"type": "Ready", "status": "True"}]}}
        await site.patch(PODS, "p", ready, type=STRATEGIC_MERGE_PATCH, subresource="status")
        more = {"status": {"conditions": [{"type": "Initialized", "status": "True"}]}}
        got = await site.patch(PODS, "p", more, type=STRATEGIC_MERGE_PATCH, subresource="status")
        assert {c["type"] for c in got["status"]["conditions"]} == {"Ready", "Initialized"}
        with refused(400, "BadRequest", "error decoding patch"):
            await site.patch(PODS, "p", {"spec": {"$patch": "odd"}}, type=STRATEGIC_MERGE_PATCH)

    run(test)
