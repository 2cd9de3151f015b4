"""Emulated nodes and pods on our own API server, in virtual time, by the rules that hold where nobody wrote any."""

from lightship.emulation import api, leases
from lightship.kinds import LEASES, NODES, PODS
from lightship.meta import conditions, objects
from lightship.meta.rest import DeleteOptions
from tests.emulation.place import Place, run


def test_a_node_becomes_ready_and_its_lease_is_renewed() -> None:
    async def work(here: Place) -> None:
        node = await here.ready_node("n")
        assert objects.status(node)["capacity"] == {"cpu": "1k", "memory": "1Ti", "pods": "1M"}
        assert {"type": "Hostname", "address": "n"} in objects.status(node)["addresses"]

        async def renewed() -> bool:
            lease = await here.client.get_or_none(LEASES, "n", api.LEASE_NAMESPACE)
            return lease is not None and objects.spec(lease)["renewTime"] > first

        first = ""
        await here.until(renewed, "a lease")
        lease = await here.client.get(LEASES, "n", api.LEASE_NAMESPACE)
        first = objects.spec(lease)["renewTime"]
        assert objects.spec(lease)["holderIdentity"] == leases.HOLDER
        assert objects.meta(lease)["ownerReferences"][0]["uid"] == objects.uid(node)
        began = here.manager.clock.monotonic()
        await here.until(renewed, "a renewed lease")
        assert here.manager.clock.monotonic() - began < 2 * leases.ROUND

    run(work)


def test_a_node_that_nobody_annotated_is_left_alone() -> None:
    async def work(here: Place) -> None:
        await here.client.create(NODES, {"metadata": {"name": "real"}})
        await here.pod("p", "real")
        await here.manager.clock.sleep(60)
        assert not objects.status(await here.client.get(NODES, "real")).get("conditions")
        assert objects.status(await here.client.get(PODS, "p", "default"))["phase"] == "Pending"
        await here.client.patch(NODES, "real", {"metadata": {"annotations": {api.FAKE: api.FAKE_VALUE}}})
        await here.until_ready("real")
        await here.until_phase("p", "Running")

    run(work)


def test_a_pod_runs_after_one_write_and_has_an_address() -> None:
    async def work(here: Place) -> None:
        await here.ready_node("n")
        created = await here.pod("p")
        pod = await here.until_phase("p", "Running")
        status = objects.status(pod)
        assert objects.meta(pod)["managedFields"] != objects.meta(created).get("managedFields")
        assert conditions.is_true(pod, "Ready")
        assert conditions.is_true(pod, "ContainersReady")
        assert conditions.is_true(pod, "Initialized")
        assert status["podIP"].startswith("10.0.0.")
        assert status["containerStatuses"][0]["state"]["running"]["startedAt"]
        assert here.emulation.pods.played == 1
        other = await here.pod("q")
        assert objects.name(other) == "q"
        assert objects.status(await here.until_phase("q", "Running"))["podIP"] != status["podIP"]

    run(work)


def test_pods_of_jobs_succeed_after_the_time_they_ask_for() -> None:
    async def work(here: Place) -> None:
        await here.ready_node("n")
        owner = {"apiVersion": "batch/v1", "kind": "Job", "name": "j", "uid": "1"}
        wait = {"pod-complete.stage.kwok.x-k8s.io/delay": "1h", "pod-complete.stage.kwok.x-k8s.io/jitter-delay": "1h"}
        await here.pod("short", ownerReferences=[owner])
        await here.pod("long", ownerReferences=[owner], annotations=wait)
        await here.until_phase("short", "Succeeded")
        await here.manager.clock.sleep(3590)
        assert objects.status(await here.client.get(PODS, "long", "default"))["phase"] == "Running"
        ended = await here.until_phase("long", "Succeeded")
        assert objects.status(ended)["containerStatuses"][0]["state"]["terminated"]["exitCode"] == 0
        assert conditions.is_false(ended, "Ready")

    run(work)


def test_a_deleted_pod_goes_and_one_that_is_kept_tells_how_it_ended() -> None:
    async def work(here: Place) -> None:
        await here.ready_node("n")
        await here.pod("p")
        await here.pod("kept", finalizers=["example.com/keep"])
        await here.until_phase("p", "Running")
        await here.until_phase("kept", "Running")
        await here.client.delete(PODS, "p", "default")
        await here.client.delete(PODS, "kept", "default")
        await here.until_gone("p")
        kept = await here.until_phase("kept", "Failed")
        assert objects.is_deleting(kept)
        await here.client.patch(PODS, "kept", {"metadata": {"finalizers": None}}, "default")
        await here.until_gone("kept")

    run(work)


def test_a_silent_node_says_nothing_until_it_speaks_again() -> None:
    async def work(here: Place) -> None:
        await here.ready_node("n")
        await here.client.patch(NODES, "n", {"metadata": {"annotations": {api.SILENT: "true"}}})
        await here.pod("p")
        await here.manager.clock.sleep(120)
        lease = await here.client.get_or_none(LEASES, "n", api.LEASE_NAMESPACE)
        assert objects.status(await here.client.get(PODS, "p", "default"))["phase"] == "Pending"
        unknown = [{"type": "Ready", "status": "Unknown", "lastTransitionTime": "2024-01-01T00:00:00Z"}]
        await here.client.patch(NODES, "n", {"status": {"conditions": unknown}}, subresource="status")
        await here.manager.clock.sleep(120)
        assert await here.client.get_or_none(LEASES, "n", api.LEASE_NAMESPACE) == lease
        await here.client.patch(NODES, "n", {"metadata": {"annotations": {api.SILENT: None}}})
        await here.until_ready("n")
        await here.until_phase("p", "Running")

    run(work)


def test_a_node_that_is_to_fail_is_not_ready() -> None:
    async def work(here: Place) -> None:
        await here.ready_node("n")
        label = "node-not-ready.stage.kwok.x-k8s.io"
        why = {f"{label}/reason": "Broken", f"{label}/type": "DiskPressure"}
        await here.client.patch(NODES, "n", {"metadata": {"labels": {label: "true"}, "annotations": why}})
        node = await here.until_ready("n", "False")
        assert (conditions.get(node, "Ready") or {})["reason"] == "Broken"
        assert conditions.is_true(node, "DiskPressure")
        await here.client.patch(NODES, "n", {"metadata": {"labels": {label: None}}})
        await here.until_ready("n")

    run(work)


def test_a_pod_that_is_to_fail_fails() -> None:
    async def work(here: Place) -> None:
        await here.ready_node("n")
        label = "pod-container-running-failed.stage.kwok.x-k8s.io"
        await here.pod("p", labels={label: "true"}, annotations={f"{label}/exit-code": "3", f"{label}/reason": "OOMKilled"})
        pod = await here.until_phase("p", "Failed")
        state = objects.status(pod)["containerStatuses"][0]["state"]["terminated"]
        assert (state["exitCode"], state["reason"]) == (3, "OOMKilled")

    run(work)


def test_a_node_that_somebody_else_plays_is_left_to_him() -> None:
    async def work(here: Place) -> None:
        now = "2100-01-01T00:00:00.000000Z"
        spec = {"holderIdentity": "kwok", "leaseDurationSeconds": 40, "renewTime": now}
        await here.client.create(LEASES, {"metadata": {"name": "n", "namespace": api.LEASE_NAMESPACE}, "spec": spec})
        await here.manager.clock.sleep(1)
        await here.node("n")
        await here.pod("p")
        await here.manager.clock.sleep(120)
        assert not objects.status(await here.client.get(NODES, "n")).get("conditions")
        assert objects.status(await here.client.get(PODS, "p", "default"))["phase"] == "Pending"
        await here.client.delete(LEASES, "n", api.LEASE_NAMESPACE, DeleteOptions())
        await here.until_ready("n")
        await here.until_phase("p", "Running")

    run(work)
