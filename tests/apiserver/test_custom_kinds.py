"""Custom kinds: served when their definition is stored, pruned, defaulted and checked, gone with their definition."""

from typing import Any

from lightship import kinds, store
from lightship.apiserver.definitions.objects import custom_resources, definition_of
from lightship.meta import conditions
from lightship.meta.objects import Obj, copy
from lightship.meta.resources import Column, Resource, Scale

from .site import GADGETS, Site, refused, run

CRDS = kinds.CUSTOM_RESOURCE_DEFINITIONS
FOO = Resource(group="stable.example.com", version="v1", kind="Foo", plural="foos", custom=True)
FOO_V2 = Resource(group="stable.example.com", version="v2", kind="Foo", plural="foos", custom=True)


def definition(*versions: Obj, **spec: Any) -> Obj:
    schema = {"type": "object", "properties": {"spec": {"type": "object", "properties": {"n": {"type": "integer", "default": 7}}}}}
    v1 = {"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}, "subresources": {"status": {}}}
    return {
        "metadata": {"name": "foos.stable.example.com"},
        "spec": {
            "group": "stable.example.com",
            "scope": "Namespaced",
            "names": {"plural": "foos", "kind": "Foo"},
            "versions": list(versions) or [v1],
            **spec,
        },
    }


def test_creating_and_deleting_a_definition() -> None:
    async def test(site: Site) -> None:
        with refused(404, "NotFound"):
            await site.listing(FOO)
        before = site.server.resources.generation
        crd = await site.create(CRDS, definition(), "")
        assert conditions.is_true(crd, "Established")
        assert conditions.is_true(crd, "NamesAccepted")
        assert crd["status"]["acceptedNames"] == {"plural": "foos", "kind": "Foo", "singular": "foo", "listKind": "FooList"}
        assert crd["status"]["storedVersions"] == ["v1"]
        assert site.server.resources.generation > before
        found = site.server.resources.find("stable.example.com", "v1", "foos")
        assert found is not None
        assert (found.kind, found.status, found.custom, found.namespaced) == ("Foo", True, True, True)
        assert (await site.create(FOO, {"metadata": {"name": "f"}, "spec": {}}))["spec"] == {"n": 7}
        async with site.watching(FOO) as watching:
            assert (await watching.take(2))[0] == ("ADDED", "f")
            await site.delete(CRDS, "foos.stable.example.com", "")
            assert await watching.rest() == [("DELETED", "f")], "and then the watch ends"
        assert await site.gone(CRDS, "foos.stable.example.com", "")
        assert site.server.resources.find("stable.example.com", "v1", "foos") is None
        await site.create(CRDS, definition(), "")
        assert await site.names(FOO) == []

    run(test)


def test_deleting_the_definition_of_a_capability_removes_its_instances() -> None:
    async def test(site: Site) -> None:
        await site.create(GADGETS, {"metadata": {"name": "g"}, "spec": {"size": 1}})
        await site.delete(CRDS, "gadgets.example.com", "")
        assert await site.gone(CRDS, "gadgets.example.com", "")
        assert not site.store.list("example.com/gadgets/").records
        with refused(404, "NotFound"):
            await site.listing(GADGETS)

    run(test, extra=[GADGETS])


def test_a_definition_waits_for_instances_with_finalizers() -> None:
    async def test(site: Site) -> None:
        await site.create(CRDS, definition(), "")
        await site.create(FOO, {"metadata": {"name": "f", "finalizers": ["x/y"]}})
        await site.create(FOO, {"metadata": {"name": "g"}})
        await site.delete(CRDS, "foos.stable.example.com", "")
        assert not await site.gone(CRDS, "foos.stable.example.com", "")
        assert await site.names(FOO) == ["f"]
        with refused(403, "Forbidden", "create not allowed while custom resource definition is terminating"):
            await site.create(FOO, {"metadata": {"name": "late"}})
        await site.patch(FOO, "f", {"metadata": {"finalizers": None}})
        assert await site.gone(CRDS, "foos.stable.example.com", "")

    run(test)


def test_updating_a_definition_changes_what_is_served() -> None:
    async def test(site: Site) -> None:
        crd = copy(await site.create(CRDS, definition(), ""))
        await site.create(FOO, {"metadata": {"name": "old"}, "spec": {"x": 1}})
        properties = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"]
        properties["colour"] = {"type": "string", "default": "red"}
        crd["spec"]["versions"].append({**copy(crd["spec"]["versions"][0]), "name": "v2", "storage": False})
        await site.update(CRDS, crd, "")
        assert (await site.get(FOO, "old"))["spec"] == {"n": 7, "colour": "red"}, "defaults of today on objects of yesterday"
        assert [o["spec"] for o in (await site.listing(FOO)).items] == [{"n": 7, "colour": "red"}]
        new = await site.get(FOO_V2, "old")
        assert (new["apiVersion"], new["spec"]["colour"]) == ("stable.example.com/v2", "red")
        await site.patch(FOO_V2, "old", {"spec": {"n": 8}})
        assert (await site.get(FOO, "old"))["apiVersion"] == "stable.example.com/v1"
        assert (await site.get(FOO, "old"))["spec"]["n"] == 8
        crd = copy(await site.get(CRDS, "foos.stable.example.com", ""))
        crd["spec"]["versions"][1]["served"] = False
        await site.update(CRDS, crd, "")
        with refused(404, "NotFound", "the server could not find the requested resource"):
            await site.get(FOO_V2, "old")

    run(test)


def test_watching_another_version_than_is_stored() -> None:
    async def test(site: Site) -> None:
        v1 = definition()["spec"]["versions"][0]
        await site.create(CRDS, definition(v1, {**v1, "name": "v2", "storage": False}), "")
        async with site.watching(FOO_V2, resource_version=str(site.store.revision)) as watching:
            await site.create(FOO, {"metadata": {"name": "f"}})
            await watching.take(1)
            assert watching.events[0].object["apiVersion"] == "stable.example.com/v2"

    run(test)


def test_a_definition_must_make_sense() -> None:
    async def test(site: Site) -> None:
        wrong = definition()
        wrong["metadata"]["name"] = "foos"
        with refused(422, "Invalid", 'metadata.name: Invalid value: "foos": must be spec.names.plural+"."+spec.group'):
            await site.create(CRDS, wrong, "")
        v1 = definition()["spec"]["versions"][0]
        with refused(422, "Invalid", "must have exactly one version marked as storage version"):
            await site.create(CRDS, definition(v1, {**v1, "name": "v2"}), "")
        with refused(422, "Invalid", "spec.versions[0].schema.openAPIV3Schema: Required value"):
            await site.create(CRDS, definition({"name": "v1", "served": True, "storage": True}), "")
        assert site.server.resources.find("stable.example.com", "v1", "foos") is None

    run(test)


def test_no_definition_takes_the_place_of_a_built_in_kind() -> None:
    async def test(site: Site) -> None:
        clash = definition(group="coordination.k8s.io", names={"plural": "leases", "kind": "Lease"})
        clash["metadata"] = {"name": "leases.coordination.k8s.io", "annotations": {"api-approved.kubernetes.io": "unapproved, a test"}}
        lease = kinds.LEASES
        await site.create(lease, {"metadata": {"name": "l"}})
        await site.create(CRDS, clash, "")
        assert site.server.resources.find("coordination.k8s.io", "v1", "leases") is lease
        await site.delete(CRDS, "leases.coordination.k8s.io", "")
        assert await site.gone(CRDS, "leases.coordination.k8s.io", "")
        assert await site.names(lease) == ["l"], "objects of the built-in kind stay"

    run(test)


def test_status_of_a_definition() -> None:
    async def test(site: Site) -> None:
        crd = copy(await site.create(CRDS, definition(), ""))
        crd["status"]["conditions"].append({"type": "StatusUpdate", "status": "True", "reason": "E2E", "message": "set"})
        got = await site.update(CRDS, crd, "", subresource="status")
        assert conditions.is_true(got, "StatusUpdate")
        assert conditions.is_true(got, "Established")

    run(test)


def test_writes_are_pruned_defaulted_and_checked() -> None:
    async def test(site: Site) -> None:
        sent: Obj = {"metadata": {"name": "g", "odd": 1}, "spec": {"size": 2, "what": 1, "free": {"any": {"thing": [1]}}}, "more": 1}
        got = await site.create(GADGETS, sent)
        assert got["spec"] == {"size": 2, "colour": "grey", "free": {"any": {"thing": [1]}}}
        assert "more" not in got
        assert "odd" not in got["metadata"]
        with refused(
            400, "BadRequest", 'strict decoding error: unknown field "metadata.odd", unknown field "more", unknown field "spec.what"'
        ):
            await site.create(GADGETS, {**sent, "metadata": {"name": "h", "odd": 1}}, field_validation="Strict")
        with refused(422, "Invalid", 'Gadget.example.com "h" is invalid') as found:
            await site.create(GADGETS, {"metadata": {"name": "h"}, "spec": {"size": 0, "mode": "odd", "colour": 3}})
        fields = sorted(c["field"] for c in (found[0].details or {})["causes"])
        assert fields == ["spec.colour", "spec.mode", "spec.size"]
        with refused(422, "Invalid", "spec.size: Required value"):
            await site.create(GADGETS, {"metadata": {"name": "h"}, "spec": {}})
        assert await site.names(GADGETS) == ["g"]

    run(test, extra=[GADGETS])


def test_kinds_handed_in_appear_as_definitions() -> None:
    async def test(site: Site) -> None:
        crd = await site.get(CRDS, "gadgets.example.com", "")
        assert conditions.is_true(crd, "Established")
        assert crd["spec"]["names"] == {"plural": "gadgets", "singular": "gadget", "kind": "Gadget", "listKind": "GadgetList"}
        version = crd["spec"]["versions"][0]
        assert (version["name"], version["storage"], version["subresources"]) == ("v1", True, {"status": {}})
        assert version["schema"]["openAPIV3Schema"] == GADGETS.schema
        await site.patch(CRDS, "gadgets.example.com", {"metadata": {"labels": {"a": "b"}}}, "")
        assert site.server.resources.find("example.com", "v1", "gadgets") is GADGETS, "the capability's own rules stay"

    run(test, extra=[GADGETS])


def test_definitions_survive_a_restart() -> None:
    backing = store.memory()

    async def before(site: Site) -> None:
        await site.create(CRDS, definition(), "")
        await site.create(FOO, {"metadata": {"name": "f"}})

    async def after(site: Site) -> None:
        assert await site.names(FOO) == ["f"]
        assert site.server.resources.find("example.com", "v1", "gadgets") is GADGETS

    run(before, backing=backing, extra=[GADGETS])
    settled = backing.revision
    run(after, backing=backing, extra=[GADGETS])
    assert backing.revision == settled, "a second start writes nothing"


def test_deletion_of_a_definition_goes_on_after_a_restart() -> None:
    backing = store.memory()

    async def before(site: Site) -> None:
        await site.create(CRDS, definition(), "")
        await site.create(FOO, {"metadata": {"name": "f", "finalizers": ["x/y"]}})
        await site.delete(CRDS, "foos.stable.example.com", "")

    async def after(site: Site) -> None:
        with refused(403, "Forbidden"):
            await site.create(FOO, {"metadata": {"name": "late"}})
        await site.patch(FOO, "f", {"metadata": {"finalizers": None}})
        assert await site.gone(CRDS, "foos.stable.example.com", "")

    run(before, backing=backing)
    run(after, backing=backing)


def test_a_newer_capability_refreshes_its_definition() -> None:
    backing = store.memory()

    async def nothing(site: Site) -> None:
        pass

    async def look(site: Site) -> None:
        crd = await site.get(CRDS, "gadgets.example.com", "")
        assert crd["spec"]["names"]["shortNames"] == ["gd"]
        assert crd["metadata"]["generation"] == 2

    newer = Resource(
        group="example.com",
        version="v1",
        kind="Gadget",
        plural="gadgets",
        custom=True,
        status=True,
        schema=GADGETS.schema,
        short_names=("gd",),
    )
    run(nothing, extra=[GADGETS], backing=backing)
    run(look, extra=[newer], backing=backing)


def test_from_resource_to_definition_and_back() -> None:
    resource = Resource(
        group="x.io",
        version="v1",
        kind="Thing",
        plural="things",
        singular="thing",
        namespaced=False,
        short_names=("t",),
        categories=("all",),
        status=True,
        scale=Scale(".spec.n", ".status.n", ".status.sel"),
        schema={"type": "object"},
        custom=True,
        columns=(
            Column("State", json_path=".status.state", description="How it is"),
            Column("Age", "date", json_path=".metadata.creationTimestamp", description="x"),
        ),
        unconditional_update=False,
    )
    ((back, served),) = custom_resources(definition_of([resource]))
    assert served
    names = ("group", "version", "kind", "plural", "namespaced", "short_names", "categories", "status", "scale", "schema", "columns")
    for name in names:
        assert getattr(back, name) == getattr(resource, name), name
