"""Creating: what the server fills in, and every way in which it refuses."""

from typing import Any

import pytest

from lightship import kinds
from lightship.meta.admission import Admission, AdmissionRequest
from lightship.meta.errors import forbidden
from lightship.meta.objects import Obj
from lightship.meta.rest import WriteOptions

from .site import CONFIG_MAPS, GADGETS, PODS, Site, config_map, pod, refused, run


def test_create_fills_in_what_the_server_decides() -> None:
    async def test(site: Site) -> None:
        sent = config_map("a", uid="mine", creationTimestamp=None, generation=9, managedFields=[{}], selfLink="/x")
        got = await site.create(CONFIG_MAPS, sent)
        meta = got["metadata"]
        assert (got["kind"], got["apiVersion"], meta["namespace"]) == ("ConfigMap", "v1", "default")
        assert meta["uid"] != "mine"
        assert meta["uid"][14] == "4"
        assert meta["creationTimestamp"] == "2023-11-14T22:13:20Z"
        assert int(meta["resourceVersion"]) == site.store.revision
        assert "selfLink" not in meta
        assert meta["generation"] == 9, "a kind that counts none keeps what it is told"
        assert [entry["manager"] for entry in meta["managedFields"]] == ["admin"]
        assert sent["metadata"]["uid"] == "mine", "what was sent belongs to the sender"

    run(test)


def test_generation_starts_at_one_for_kinds_that_have_one() -> None:
    async def test(site: Site) -> None:
        assert (await site.create(PODS, pod("p")))["metadata"]["generation"] == 1
        assert (await site.create(GADGETS, {"metadata": {"name": "g"}, "spec": {"size": 1}}))["metadata"]["generation"] == 1

    run(test, extra=[GADGETS])


def test_create_with_generated_name() -> None:
    async def test(site: Site) -> None:
        names = {(await site.create(CONFIG_MAPS, {"metadata": {"generateName": "job-"}}))["metadata"]["name"] for _ in range(20)}
        assert len(names) == 20
        assert all(name.startswith("job-") and len(name) == 9 for name in names)
        long = await site.create(CONFIG_MAPS, {"metadata": {"generateName": "x" * 60}})
        assert long["metadata"]["name"][:58] == "x" * 58
        assert len(long["metadata"]["name"]) == 63

    run(test)


def test_generated_name_is_tried_again_on_collision(monkeypatch: pytest.MonkeyPatch) -> None:
    async def test(site: Site) -> None:
        given = iter(["aaaaa", "aaaaa", "aaaaa", "bbbbb", *["aaaaa"] * 20])
        monkeypatch.setattr("lightship.apiserver.core.Core.suffix", lambda self, length: next(given))
        template: Obj = {"metadata": {"generateName": "n-"}}
        assert (await site.create(CONFIG_MAPS, template))["metadata"]["name"] == "n-aaaaa"
        assert (await site.create(CONFIG_MAPS, template))["metadata"]["name"] == "n-bbbbb"
        with refused(409, "AlreadyExists", "the server was not able to generate a unique name for the object"):
            await site.create(CONFIG_MAPS, template)

    run(test)


BAD: list[tuple[str, Any, int, str, str]] = [
    (
        "no name",
        {"metadata": {}},
        422,
        "Invalid",
        'ConfigMap "" is invalid: metadata.name: Required value: name or generateName is required',
    ),
    ("bad name", {"metadata": {"name": "A_"}}, 422, "Invalid", "a lowercase RFC 1123 subdomain must consist of"),
    ("bad generateName", {"metadata": {"generateName": "A_"}}, 422, "Invalid", 'metadata.generateName: Invalid value: "A_"'),
    ("version", {"metadata": {"name": "a", "resourceVersion": "5"}}, 500, "", "resourceVersion should not be set on objects to be created"),
    (
        "version, too",
        {"metadata": {"name": "A_", "resourceVersion": "5"}},
        422,
        "Invalid",
        "a lowercase RFC 1123 subdomain must consist of",
    ),
    (
        "namespace mismatch",
        {"metadata": {"name": "a", "namespace": "x"}},
        400,
        "BadRequest",
        "the namespace of the provided object does not match the namespace sent on the request",
    ),
    ("other kind", {"kind": "Secret", "metadata": {"name": "a"}}, 400, "BadRequest", "cannot be handled as a ConfigMap"),
    ("other version", {"apiVersion": "v2", "metadata": {"name": "a"}}, 400, "BadRequest", "cannot be handled as a ConfigMap"),
    ("a list", [], 400, "BadRequest", "the object provided is unrecognized (must be of type ConfigMap)"),
    (
        "wrong type",
        {"metadata": {"name": "a"}, "data": {"x": 1}},
        400,
        "BadRequest",
        'ConfigMap in version "v1" cannot be handled as a ConfigMap: json: cannot unmarshal number into Go struct field ConfigMap.data',
    ),
    ("label key", {"metadata": {"name": "a", "labels": {"a b": "c"}}}, 422, "Invalid", 'metadata.labels: Invalid value: "a b"'),
    ("label value", {"metadata": {"name": "a", "labels": {"a": "c d"}}}, 422, "Invalid", 'metadata.labels: Invalid value: "c d"'),
    (
        "bare finalizer",
        {"metadata": {"name": "a", "finalizers": ["x"]}},
        422,
        "Invalid",
        'metadata.finalizers[0]: Invalid value: "x": name is neither a standard finalizer name nor is it fully qualified',
    ),
    (
        "two deletion policies",
        {"metadata": {"name": "a", "finalizers": ["orphan", "foregroundDeletion"]}},
        422,
        "Invalid",
        "finalizer orphan and foregroundDeletion cannot be both set",
    ),
    (
        "owner without uid",
        {"metadata": {"name": "a", "ownerReferences": [{"apiVersion": "v1", "kind": "Pod", "name": "p", "uid": ""}]}},
        422,
        "Invalid",
        'metadata.ownerReferences.uid: Invalid value: "": must not be empty',
    ),
    (
        "too many annotations",
        {"metadata": {"name": "a", "annotations": {"a": "x" * 300_000}}},
        422,
        "Invalid",
        "metadata.annotations: Too long: may not be more than 262144 bytes",
    ),
]


@pytest.mark.parametrize(("obj", "code", "reason", "message"), [case[1:] for case in BAD], ids=[case[0] for case in BAD])
def test_create_refuses(obj: Any, code: int, reason: str, message: str) -> None:
    async def test(site: Site) -> None:
        before = site.store.revision
        with refused(code, reason, message):
            await site.create(CONFIG_MAPS, obj)
        assert site.store.revision == before

    run(test)


def test_create_refuses_two_controllers() -> None:
    async def test(site: Site) -> None:
        owner = {"apiVersion": "v1", "kind": "Pod", "uid": "u", "controller": True}
        with refused(422, "Invalid", "Only one reference can have Controller set to true"):
            await site.create(CONFIG_MAPS, config_map("a", ownerReferences=[{**owner, "name": "p"}, {**owner, "name": "q"}]))

    run(test)


def test_causes_tell_every_problem_at_once() -> None:
    async def test(site: Site) -> None:
        with refused(422, "Invalid") as found:
            await site.create(CONFIG_MAPS, config_map("A", labels={"a b": "c d"}))
        details = found[0].details or {}
        assert details["name"] == "A"
        assert details["kind"] == "ConfigMap"
        assert [c["field"] for c in details["causes"]] == ["metadata.name", "metadata.labels", "metadata.labels"]

    run(test)


def test_create_existing() -> None:
    async def test(site: Site) -> None:
        await site.create(CONFIG_MAPS, config_map("a"))
        with refused(409, "AlreadyExists", 'configmaps "a" already exists') as found:
            await site.create(CONFIG_MAPS, config_map("a"))
        assert found[0].details == {"name": "a", "kind": "configmaps"}
        await site.create(PODS, pod("p", finalizers=["x/y"]))
        await site.delete(PODS, "p")
        with refused(409, "AlreadyExists", 'object is being deleted: pods "p" already exists'):
            await site.create(PODS, pod("p"))

    run(test)


def test_a_namespace_with_a_drawn_name_is_labelled_with_it() -> None:
    async def test(site: Site) -> None:
        made = (await site.create(kinds.NAMESPACES, {"metadata": {"generateName": "team-"}}, ""))["metadata"]
        assert made["labels"] == {"kubernetes.io/metadata.name": made["name"]}

    run(test)


def test_cluster_scoped_objects_lose_their_namespace() -> None:
    async def test(site: Site) -> None:
        got = await site.create(kinds.NODES, {"metadata": {"name": "n", "namespace": "default"}}, "")
        assert "namespace" not in got["metadata"]

    run(test)


def test_unknown_fields_by_field_validation() -> None:
    async def test(site: Site) -> None:
        odd = {"metadata": {"name": "a", "foo": 1}, "bar": {"x": 1}, "data": {"a": "b"}}
        want = 'strict decoding error: unknown field "metadata.foo", unknown field "bar"'
        with refused(400, "BadRequest", want):
            await site.create(CONFIG_MAPS, odd, field_validation="Strict")
        with refused(422, "Invalid", 'fieldValidation: Unsupported value: "Foo": supported values: "", "Ignore", "Strict", "Warn"'):
            await site.create(CONFIG_MAPS, odd, field_validation="Foo")
        got = await site.create(CONFIG_MAPS, odd, field_validation="Warn")
        assert "bar" not in got
        assert "foo" not in got["metadata"]
        assert got["data"] == {"a": "b"}

    run(test)


def test_dry_run_stores_nothing_but_judges_everything() -> None:
    async def test(site: Site) -> None:
        before = site.store.revision
        got = await site.create(CONFIG_MAPS, config_map("a"), dry_run=True)
        assert got["metadata"]["uid"]
        assert "resourceVersion" not in got["metadata"]
        assert site.store.revision == before
        assert await site.gone(CONFIG_MAPS, "a")
        with refused(422, "Invalid"):
            await site.create(CONFIG_MAPS, config_map("A"), dry_run=True)
        await site.create(CONFIG_MAPS, config_map("a"))
        with refused(409, "AlreadyExists"):
            await site.create(CONFIG_MAPS, config_map("a"), dry_run=True)

    run(test)


@pytest.mark.parametrize("version", ["v1", "0", "-1", " 5", "+5", "٣", "18446744073709551616"])
def test_a_version_that_is_none_is_dropped(version: str) -> None:
    async def test(site: Site) -> None:
        got = await site.create(CONFIG_MAPS, config_map("a", resourceVersion=version))
        assert got["metadata"]["resourceVersion"] == str(site.store.revision)

    run(test)


def test_a_dry_run_does_not_mind_a_version() -> None:
    async def test(site: Site) -> None:
        got = await site.create(CONFIG_MAPS, config_map("a", resourceVersion="5"), dry_run=True)
        assert got["metadata"]["resourceVersion"] == "5"

    run(test)


def test_admission_mutates_then_validates_and_warns() -> None:
    seen: list[str] = []

    async def mutate(request: AdmissionRequest) -> list[str]:
        assert request.obj is not None
        seen.append(f"mutate {request.operation} {request.user.name}")
        request.obj["data"]["added"] = "yes"
        return ["be careful"]

    async def validate(request: AdmissionRequest) -> None:
        assert request.obj is not None
        seen.append(f"validate {request.obj['data'].get('added')}")
        if request.name == "bad":
            raise forbidden("not here", "configmaps", request.name)

    async def test(site: Site) -> None:
        site.server.add_admission(Admission(name="t", resources=(CONFIG_MAPS,), mutate=mutate, validate=validate))
        assert (await site.create(CONFIG_MAPS, config_map("a")))["data"] == {"a": "1", "added": "yes"}
        assert seen == ["mutate CREATE admin", "validate yes"]
        with refused(403, "Forbidden", "not here"):
            await site.create(CONFIG_MAPS, config_map("bad"))
        assert await site.gone(CONFIG_MAPS, "bad")
        await site.create(kinds.SECRETS, {"metadata": {"name": "s"}})
        assert len(seen) == 4, "other kinds are none of its business"

    run(test)


def test_warnings_of_admission_reach_the_request() -> None:
    from lightship.apiserver.requests import Request

    from .site import ADMIN

    async def warn(request: AdmissionRequest) -> list[str]:
        return ["old field"]

    async def test(site: Site) -> None:
        site.server.add_admission(Admission(name="t", resources=(), validate=warn))
        request = Request(ADMIN, CONFIG_MAPS, "default")
        answer = await site.server.registry.create(request, {**config_map("a"), "odd": 1}, WriteOptions())
        assert answer.code == 201
        assert request.warnings == ['unknown field "odd"', "old field"]

    run(test)


def test_unknown_resource_is_no_path() -> None:
    async def test(site: Site) -> None:
        with refused(404, "NotFound", "the server could not find the requested resource"):
            await site.create(GADGETS, {"metadata": {"name": "g"}})

    run(test)
