"""What every server does to new objects on its own: namespaces, ServiceAccounts, priorities; and what it has from the start."""

import asyncio
from typing import Any

import pytest

from lightship import kinds
from lightship.apiserver.admission.service_accounts import MOUNT_PATH
from lightship.meta.objects import Obj

from .site import CONFIG_MAPS, NAMESPACES, PODS, Site, config_map, pod, refused, run


def test_every_cluster_has_its_namespaces() -> None:
    async def test(site: Site) -> None:
        assert await site.names(NAMESPACES, "") == ["default", "kube-node-lease", "kube-public", "kube-system", "kubeflow-system"]
        found = await site.get(NAMESPACES, "default", "")
        assert found["metadata"]["labels"] == {"kubernetes.io/metadata.name": "default"}
        assert found["status"]["phase"] == "Active"
        assert await site.names(kinds.PRIORITY_CLASSES, "") == ["system-cluster-critical", "system-node-critical"]
        before = site.store.revision
        await site.server.start()
        assert site.store.revision == before

    run(test)


def test_nothing_is_created_where_no_namespace_is() -> None:
    async def test(site: Site) -> None:
        with refused(404, "NotFound", 'namespaces "nope" not found') as found:
            await site.create(CONFIG_MAPS, config_map("a"), "nope")
        assert found[0].details == {"name": "nope", "kind": "namespaces"}

    run(test)


def test_pods_find_their_token() -> None:
    async def test(site: Site) -> None:
        template = pod("p")
        template["spec"]["initContainers"] = [{"name": "first", "image": "i", "volumeMounts": [{"name": "own", "mountPath": MOUNT_PATH}]}]
        template["spec"]["volumes"] = [{"name": "own", "emptyDir": {}}]
        spec = (await site.create(PODS, template))["spec"]
        assert (spec["serviceAccountName"], spec["serviceAccount"]) == ("default", "default")
        volume = spec["volumes"][1]
        assert volume["name"].startswith("kube-api-access-")
        sources = volume["projected"]["sources"]
        assert sources[0] == {"serviceAccountToken": {"expirationSeconds": 3607, "path": "token"}}
        assert sources[1]["configMap"]["name"] == "kube-root-ca.crt"
        assert sources[2]["downwardAPI"]["items"][0]["path"] == "namespace"
        assert volume["projected"]["defaultMode"] == 420
        assert spec["containers"][0]["volumeMounts"] == [{"name": volume["name"], "readOnly": True, "mountPath": MOUNT_PATH}]
        assert [m["name"] for m in spec["initContainers"][0]["volumeMounts"]] == ["own"]

    run(test)


@pytest.mark.parametrize(
    ("of_pod", "of_account", "want"),
    [(None, None, True), (None, False, False), (True, False, True), (False, None, False), (False, True, False)],
)
def test_automount_of_the_pod_wins_over_that_of_the_account(of_pod: bool | None, of_account: bool | None, want: bool) -> None:
    async def test(site: Site) -> None:
        account: Obj = {"metadata": {"name": "sa"}, "imagePullSecrets": [{"name": "s"}]}
        if of_account is not None:
            account["automountServiceAccountToken"] = of_account
        await site.create(kinds.SERVICE_ACCOUNTS, account)
        template = pod("p")
        template["spec"]["serviceAccountName"] = "sa"
        if of_pod is not None:
            template["spec"]["automountServiceAccountToken"] = of_pod
        spec = (await site.create(PODS, template))["spec"]
        assert bool(spec.get("volumes")) is want
        assert spec["imagePullSecrets"] == [{"name": "s"}]

    run(test)


def test_no_mount_where_all_have_their_own() -> None:
    async def test(site: Site) -> None:
        template = pod("p")
        template["spec"]["containers"][0]["volumeMounts"] = [{"name": "own", "mountPath": MOUNT_PATH}]
        template["spec"]["volumes"] = [{"name": "own", "emptyDir": {}}]
        assert [v["name"] for v in (await site.create(PODS, template))["spec"]["volumes"]] == ["own"]

    run(test)


def test_a_pod_waits_a_moment_for_its_account() -> None:
    async def test(site: Site) -> None:
        await site.create(NAMESPACES, {"metadata": {"name": "new"}}, "")
        waiting = asyncio.ensure_future(site.create(PODS, pod("p"), "new"))
        await site.clock.sleep(0.3)
        assert not waiting.done()
        await site.create(kinds.SERVICE_ACCOUNTS, {"metadata": {"name": "default"}}, "new")
        assert (await waiting)["spec"]["serviceAccountName"] == "default"
        assert site.clock.monotonic() < 0.5

    run(test)


def test_a_pod_without_account_is_refused() -> None:
    async def test(site: Site) -> None:
        template = pod("p")
        template["spec"]["serviceAccountName"] = "nope"
        want = 'pods "p" is forbidden: error looking up service account default/nope: serviceaccount "nope" not found'
        with refused(403, "Forbidden", want):
            await site.create(PODS, template)
        assert site.clock.monotonic() >= 1

    run(test)


PRIORITIES: list[tuple[str, dict[str, Any], int | str]] = [
    ("none", {}, 0),
    ("class", {"priorityClassName": "high"}, 1000),
    ("system", {"priorityClassName": "system-node-critical"}, 2_000_001_000),
    ("the same number", {"priorityClassName": "high", "priority": 1000}, 1000),
    ("another number", {"priorityClassName": "high", "priority": 5}, "the integer value of priority (5) must not be provided in pod spec"),
    ("the same way to preempt", {"priorityClassName": "high", "preemptionPolicy": "Never"}, 1000),
    (
        "another way to preempt",
        {"priorityClassName": "high", "preemptionPolicy": "PreemptLowerPriority"},
        "PreemptionPolicy (PreemptLowerPriority) must not be provided in pod spec; priority admission controller computed Never from",
    ),
    ("a way to preempt of no class", {"preemptionPolicy": "Never"}, "the string value of PreemptionPolicy (Never) must not be provided"),
    ("no such class", {"priorityClassName": "nope"}, "no PriorityClass with name nope was found"),
]


@pytest.mark.parametrize(("spec", "want"), [c[1:] for c in PRIORITIES], ids=[c[0] for c in PRIORITIES])
def test_priorities(spec: dict[str, Any], want: int | str) -> None:
    async def test(site: Site) -> None:
        await site.create(kinds.PRIORITY_CLASSES, {"metadata": {"name": "high"}, "value": 1000, "preemptionPolicy": "Never"}, "")
        template = pod("p")
        template["spec"].update(spec)
        if isinstance(want, str):
            with refused(403, "Forbidden", want):
                await site.create(PODS, template)
            return
        got = (await site.create(PODS, template))["spec"]
        assert got["priority"] == want
        assert got["preemptionPolicy"] == ("Never" if want == 1000 else "PreemptLowerPriority")

    run(test)


def test_the_default_priority_class_is_for_pods_that_name_none() -> None:
    async def test(site: Site) -> None:
        async def priority(name: str) -> tuple[str | None, int]:
            spec = (await site.create(PODS, pod(name)))["spec"]
            return spec.get("priorityClassName"), spec["priority"]

        assert await priority("before") == (None, 0)
        await site.create(kinds.PRIORITY_CLASSES, {"metadata": {"name": "usual"}, "value": 10, "globalDefault": True}, "")
        assert await priority("while") == ("usual", 10)
        await site.api.delete(kinds.PRIORITY_CLASSES, "", "usual")
        assert await priority("after") == (None, 0)

    run(test)
