"""Server-side apply: what configurations become, what is refused and in which words. All texts are the real server's."""

import json
from typing import Any

import pytest

from lightship import kinds
from lightship.apiserver.requests import Request
from lightship.apiserver.verbs.applying import LAST_APPLIED
from lightship.meta.errors import forbidden
from lightship.meta.objects import Obj
from lightship.meta.rest import APPLY_PATCH, User, WriteOptions

from .site import CONFIG_MAPS, GADGETS, PODS, Site, pod, refused, run


def configuration(data: Any, **metadata: Any) -> Obj:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a", **metadata}, "data": data}


async def apply(site: Site, config: Any, manager: str = "m1", **options: Any) -> Obj:
    return await site.patch(CONFIG_MAPS, "a", config, type=APPLY_PATCH, field_manager=manager, **options)


def owners(obj: Obj) -> dict[str, Any]:
    """Fields by manager, `+` before those that apply."""
    entries = obj["metadata"].get("managedFields") or []
    return {("+" if e["operation"] == "Apply" else "") + e["manager"] + e.get("subresource", ""): e["fieldsV1"] for e in entries}


def test_an_apply_creates_changes_and_takes_away() -> None:
    async def test(site: Site) -> None:
        made = await apply(site, configuration({"x": "1", "y": "2"}), force=True)
        assert made["metadata"]["managedFields"] == [
            {
                "manager": "m1",
                "operation": "Apply",
                "apiVersion": "v1",
                "time": made["metadata"]["creationTimestamp"],
                "fieldsType": "FieldsV1",
                "fieldsV1": {"f:data": {"f:x": {}, "f:y": {}}},
            }
        ]
        changed = await apply(site, configuration({"x": "3"}))
        assert changed["data"] == {"x": "3"}
        assert owners(changed) == {"+m1": {"f:data": {"f:x": {}}}}

    run(test)


def test_an_apply_that_changes_nothing_is_no_write_but_the_first_of_a_manager_is() -> None:
    async def test(site: Site) -> None:
        first = await apply(site, configuration({"x": "1"}))
        assert await apply(site, configuration({"x": "1"})) == first
        second = await apply(site, configuration({"x": "1"}), "m2")
        assert second["metadata"]["resourceVersion"] != first["metadata"]["resourceVersion"]
        assert owners(second) == {"+m1": {"f:data": {"f:x": {}}}, "+m2": {"f:data": {"f:x": {}}}}
        # The real server gives such an entry no time.
        assert ["time" in entry for entry in second["metadata"]["managedFields"]] == [False, True]
        assert await apply(site, configuration({"x": "1"}), "m2") == second

    run(test)


def test_what_two_apply_stays_until_both_let_go() -> None:
    async def test(site: Site) -> None:
        await apply(site, configuration({"x": "1", "y": "2"}))
        await apply(site, configuration({"x": "1"}), "m2")
        assert (await apply(site, configuration({})))["data"] == {"x": "1"}
        assert "data" not in await apply(site, configuration({}), "m2")

    run(test)


def test_conflicts() -> None:
    async def test(site: Site) -> None:
        await apply(site, configuration({"x": "1", "y": "2"}))
        with refused(409, "Conflict", 'Apply failed with 1 conflict: conflict with "m1": .data.x') as found:
            await apply(site, configuration({"x": "7"}), "m2")
        assert found[0].details == {"causes": [{"reason": "FieldManagerConflict", "message": 'conflict with "m1"', "field": ".data.x"}]}
        await site.patch(CONFIG_MAPS, "a", {"data": {"z": "3"}}, field_manager="ed")
        with refused(409, "Conflict") as found:
            await apply(site, configuration({"x": "7", "y": "8", "z": "9"}), "m2")
        assert found[0].message == (
            'Apply failed with 3 conflicts: conflicts with "ed" using v1:\n- .data.z\nconflicts with "m1":\n- .data.x\n- .data.y'
        )
        forced = await apply(site, configuration({"x": "7", "z": "9"}), "m2", force=True)
        assert owners(forced) == {"+m1": {"f:data": {"f:y": {}}}, "+m2": {"f:data": {"f:x": {}, "f:z": {}}}}

    run(test)


def test_conflicts_name_items_and_subresources() -> None:
    async def test(site: Site) -> None:
        await site.create(PODS, pod("p"), field_manager="me")
        condition = {"conditions": [{"type": "Ready", "status": "True"}]}
        await site.patch(PODS, "p", {"status": condition}, subresource="status", field_manager="kubelet")
        config = {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": "p"},
            "status": {"conditions": [{"type": "Ready", "status": "False"}]},
        }
        why = 'conflict with "kubelet" with subresource "status" using v1: .status.conditions[type="Ready"].status'
        with refused(409, "Conflict", f"Apply failed with 1 conflict: {why}"):
            await site.patch(PODS, "p", config, type=APPLY_PATCH, subresource="status", field_manager="other")

    run(test)


WRONG_TYPES = """failed to create typed patch object (n/a; /v1, Kind=ConfigMap): errors:
  .data.a: expected string, got &value.valueUnstructured{Value:1}
  .data.b: expected string, got &value.valueUnstructured{Value:[]interface {}{1}}
  .data.c: expected string, got &value.valueUnstructured{Value:map[string]interface {}{"x":1}}
  .data.d: expected string, got &value.valueUnstructured{Value:true}"""
REFUSED: list[tuple[str, Any, int, str, str]] = [
    ("another kind", {"apiVersion": "v1", "kind": "Secret"}, 400, "BadRequest", "invalid object type: /v1, Kind=Secret"),
    ("another version", {"apiVersion": "a/v2", "kind": "ConfigMap"}, 400, "BadRequest", "invalid object type: a/v2, Kind=ConfigMap"),
    ("no kind", {"metadata": {"name": "a"}}, 400, "BadRequest", "invalid object type: /, Kind="),
    ("nothing", None, 400, "BadRequest", "invalid object type: /, Kind="),
    (
        "a list",
        [],
        400,
        "BadRequest",
        "while decoding JSON: json: cannot unmarshal array into Go value of type map[string]interface {}",
    ),
    ("managed fields", configuration({}, managedFields=[]), 400, "BadRequest", "metadata.managedFields must be nil"),
    (
        "unknown field",
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}, "dat": {}},
        500,
        "",
        "failed to create typed patch object (/a; /v1, Kind=ConfigMap): .dat: field not declared in schema",
    ),
    (
        "wrong types",
        configuration({"a": 1, "b": [1], "c": {"x": 1}, "d": True}, namespace="n"),
        500,
        "",
        WRONG_TYPES,
    ),
    (
        "a string for metadata",
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": "a"},
        500,
        "",
        "failed to create typed patch object (/; /v1, Kind=ConfigMap): .metadata: expected map, got &{a}",
    ),
    ("another name", configuration({}, name="b"), 400, "BadRequest", "the name of the object (b) does not match the name on the URL (a)"),
    (
        "another namespace",
        configuration({}, namespace="x"),
        400,
        "BadRequest",
        "the namespace of the provided object does not match the namespace sent on the request",
    ),
    ("another uid", configuration({}, uid="x"), 422, "Invalid", 'metadata.uid: Invalid value: "x": field is immutable'),
    (
        "an old version",
        configuration({}, resourceVersion="1"),
        409,
        "Conflict",
        'Operation cannot be fulfilled on configmaps "a": the object has been modified; please apply your changes to the latest version',
    ),
]


@pytest.mark.parametrize(("config", "code", "reason", "message"), [pytest.param(*case[1:], id=case[0]) for case in REFUSED])
def test_refusals(config: Any, code: int, reason: str, message: str) -> None:
    async def test(site: Site) -> None:
        before = await apply(site, configuration({"x": "1"}))
        with refused(code, reason, message):
            await apply(site, config, force=True)
        assert await site.get(CONFIG_MAPS, "a") == before

    run(test)


def test_an_object_that_is_meant_to_be_there_must_be_there() -> None:
    async def test(site: Site) -> None:
        why = "uid mismatch: the provided object specified uid x, and no existing object was found"
        with refused(409, "Conflict", f'Operation cannot be fulfilled on configmaps "a": {why}'):
            await apply(site, configuration({}, uid="x"))
        assert (await apply(site, configuration({}, resourceVersion="5")))["metadata"]["resourceVersion"] != "5"
        with refused(404, "NotFound"):
            await site.patch(
                PODS,
                "p",
                {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}},
                type=APPLY_PATCH,
                subresource="status",
                field_manager="m",
            )

    run(test)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"field_manager": ""}, "fieldManager: Required value: is required for apply patch"),
        ({"field_manager": "a" * 129}, "fieldManager: Too long: may not be more than 128 bytes"),
        ({"field_manager": "a\ab"}, 'fieldManager: Invalid value: "a\\ab": invalid character U+0007 (at position 1)'),
    ],
)
def test_options(options: Any, message: str) -> None:
    async def test(site: Site) -> None:
        with refused(422, "Invalid", f'PatchOptions.meta.k8s.io "" is invalid: {message}'):
            await site.patch(CONFIG_MAPS, "a", configuration({}), type=APPLY_PATCH, **options)
        with refused(422, "Invalid", "force: Forbidden: may not be specified for non-apply patch"):
            await site.patch(CONFIG_MAPS, "a", {}, force=True)

    run(test)


def test_a_dry_run_tells_and_stores_nothing() -> None:
    async def test(site: Site) -> None:
        told = await apply(site, configuration({"x": "1"}), dry_run=True)
        assert owners(told) == {"+m1": {"f:data": {"f:x": {}}}}
        assert await site.gone(CONFIG_MAPS, "a")
        made = await apply(site, configuration({"x": "1"}))
        assert (await apply(site, configuration({"x": "2"}), dry_run=True))["data"] == {"x": "2"}
        assert await site.get(CONFIG_MAPS, "a") == made

    run(test)


def test_kubectl_takes_over_what_it_applied_from_the_client_side() -> None:
    async def test(site: Site) -> None:
        last = json.dumps({**configuration({"x": "1"}), "metadata": {"annotations": {}, "name": "a", "namespace": "default"}})
        created = configuration({"x": "1"}, annotations={LAST_APPLIED: last})
        await site.create(CONFIG_MAPS, created, field_manager="kubectl-client-side-apply")
        with refused(409, "Conflict", 'conflict with "kubectl-client-side-apply" using v1: .data.x'):
            await apply(site, configuration({"x": "2"}), "somebody")
        taken = await apply(site, configuration({"x": "2"}), "kubectl")
        assert owners(taken)["+kubectl"] == {"f:data": {"f:x": {}}}
        want = '{"apiVersion":"v1","data":{"x":"2"},"kind":"ConfigMap","metadata":{"name":"a"}}\n'
        assert taken["metadata"]["annotations"] == {LAST_APPLIED: want}
        await site.patch(CONFIG_MAPS, "a", {"data": {"x": "3"}}, field_manager="ed")
        with refused(409, "Conflict", 'Apply failed with 1 conflict: conflict with "ed" using v1: .data.x'):
            await apply(site, configuration({"x": "4"}), "kubectl")

    run(test)


def test_objects_without_managed_fields_get_them_with_the_first_apply() -> None:
    async def test(site: Site) -> None:
        await site.create(CONFIG_MAPS, configuration({"x": "1", "y": "2"}))
        await site.patch(CONFIG_MAPS, "a", {"metadata": {"managedFields": [{}]}})
        untracked = await site.patch(CONFIG_MAPS, "a", {"data": {"z": "3"}}, field_manager="ed")
        assert "managedFields" not in untracked["metadata"]
        with refused(409, "Conflict", 'conflict with "before-first-apply" using v1: .data.x'):
            await apply(site, configuration({"x": "7"}))
        found = await apply(site, configuration({"x": "1"}))
        assert owners(found) == {
            "+m1": {"f:data": {"f:x": {}}},
            "before-first-apply": {"f:data": {".": {}, "f:x": {}, "f:y": {}, "f:z": {}}},
        }

    run(test)


def test_status_is_applied_apart() -> None:
    async def test(site: Site) -> None:
        config: Obj = {"apiVersion": "example.com/v1", "kind": "Gadget", "metadata": {"name": "g"}}
        made = await site.patch(GADGETS, "g", {**config, "spec": {"size": 1}, "status": {"seen": 5}}, type=APPLY_PATCH, field_manager="a")
        assert "status" not in made
        assert owners(made) == {"+a": {"f:spec": {"f:size": {}}}}
        status = {**config, "spec": {"size": 9}, "status": {"seen": 3}}
        found = await site.patch(GADGETS, "g", status, type=APPLY_PATCH, field_manager="a", subresource="status")
        assert (found["spec"]["size"], found["status"]) == (1, {"seen": 3})
        assert owners(found) == {"+a": {"f:spec": {"f:size": {}}}, "+astatus": {"f:status": {"f:seen": {}}}}
        assert found["metadata"]["generation"] == 1

    run(test, extra=[GADGETS])


def test_scale_is_applied_to_the_object_behind_it() -> None:
    async def test(site: Site) -> None:
        template = {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [{"name": "c", "image": "i"}]}}
        spec = {"replicas": 1, "selector": {"matchLabels": {"a": "b"}}, "template": template}
        await site.create(kinds.DEPLOYMENTS, {"metadata": {"name": "d"}, "spec": spec}, field_manager="me")
        await site.patch(kinds.DEPLOYMENTS, "d", {"spec": {"replicas": 2}}, subresource="scale", field_manager="hpa")
        scale = {"apiVersion": "autoscaling/v1", "kind": "Scale", "metadata": {"name": "d"}, "spec": {"replicas": 3}}

        async def put(**options: Any) -> Obj:
            return await site.patch(kinds.DEPLOYMENTS, "d", scale, type=APPLY_PATCH, subresource="scale", field_manager="s", **options)

        with refused(409, "Conflict", 'conflict with "hpa" with subresource "scale" using autoscaling/v1: .spec.replicas'):
            await put()
        assert (await put(force=True))["spec"] == {"replicas": 3}
        found = await site.get(kinds.DEPLOYMENTS, "d")
        assert owners(found)["+sscale"] == {"f:spec": {"f:replicas": {}}}
        assert "hpascale" not in owners(found)
        with refused(409, "Conflict", 'conflict with "s" with subresource "scale": .spec.replicas'):
            config = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "d"}, "spec": {"replicas": 4}}
            await site.patch(kinds.DEPLOYMENTS, "d", config, type=APPLY_PATCH, field_manager="other")

    run(test)


def test_who_may_only_patch_may_not_create_by_applying() -> None:
    async def test(site: Site) -> None:
        def may(verb: str) -> None:
            raise forbidden(f"no {verb}")

        asked = Request(User("u"), CONFIG_MAPS, "default", "a", may=may)
        with refused(403, "Forbidden", "no create"):
            await site.server.registry.patch(asked, configuration({}), APPLY_PATCH, WriteOptions(field_manager="m"))
        await apply(site, configuration({"x": "1"}))
        await site.server.registry.patch(asked, configuration({"y": "1"}), APPLY_PATCH, WriteOptions(field_manager="m"))

    run(test)
