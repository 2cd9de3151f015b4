"""Upstream's tables of small controllers: the pod garbage collector, times to live of Jobs and of what nodes keep."""

import pytest

from lightship.builtin import podgc, ttl
from lightship.builtin.nodes import caching
from lightship.kinds import NODES, PODS
from lightship.meta import conditions, objects, times
from lightship.meta.objects import Obj
from tests.builtin import make
from tests.builtin.site import Site, run
from tests.builtin.tables import cases, moment, names

NOW = 1_700_000_000.0
TERMINATED = [case for case in cases("podgc", "TestGCTerminated") if (case["given"] or {}).get("pods")]
TERMINATING = [case for case in cases("podgc", "TestGCTerminating") if (case["given"] or {}).get("pods")]
SIZES = cases("ttl", "TestDesiredTTL")
LEFT = cases("ttl_after_finished", "TestTimeLeft")


@pytest.mark.parametrize("case", TERMINATED, ids=names(TERMINATED))
def test_the_oldest_of_too_many_that_have_ended_go(case: Obj) -> None:
    given = case["given"]
    ended = []
    for pod in given["pods"]:
        created = pod.get("creationTimestamp")
        stamp = created if isinstance(created, str) else times.rfc3339(moment(created, NOW))
        status = {"phase": pod.get("phase", ""), "reason": pod.get("reason", "")}
        ended.append({"metadata": {"name": pod["name"], "creationTimestamp": stamp}, "status": status})
    gone = podgc.surplus(
        [pod for pod in ended if pod["status"]["phase"] not in ("Pending", "Running", "Unknown")], given.get("threshold", 0)
    )
    assert {objects.name(pod) for pod in gone} == set(given.get("deletedPodNames") or ())


@pytest.mark.parametrize("case", TERMINATING, ids=names(TERMINATING))
def test_pods_that_are_to_go_from_nodes_out_of_service(case: Obj) -> None:
    given = case["given"]
    nodes = {}
    for node in given["nodes"]:
        status = {"conditions": [{"type": "Ready", "status": node["readyCondition"]}]}
        nodes[node["name"]] = {"spec": {"taints": node.get("taints") or []}, "status": status}
    gone = {
        pod["name"]
        for pod in given["pods"]
        if pod.get("deletionTimeStamp") and pod.get("nodeName") in nodes and podgc.is_out_of_service(nodes[pod["nodeName"]])
    }
    assert gone == set(given.get("deletedPodNames") or ())


@pytest.mark.parametrize("case", SIZES, ids=str)
def test_for_how_long_nodes_keep_things(case: Obj) -> None:
    given = case["given"]
    count = given.get("nodeCount", 0) + (1 if given.get("addNode") else -1)
    assert caching.SIZES[caching.step(given.get("boundaryStep", 0), count)][2] == given.get("expectedTTL", 0)


@pytest.mark.parametrize("case", LEFT, ids=names(LEFT))
def test_how_long_a_finished_job_may_stay(case: Obj) -> None:
    given = case["given"]
    done = {"type": "Complete", "status": "True"}
    if given.get("completionTime"):
        done["lastTransitionTime"] = times.rfc3339(moment(given["completionTime"], NOW))
    job: Obj = {"spec": {"ttlSecondsAfterFinished": given["ttl"]} if "ttl" in given else {}, "status": {"conditions": [done]}}
    if given.get("failedTime"):
        done |= {"type": "Failed", "lastTransitionTime": times.rfc3339(moment(given["failedTime"], NOW))}
    if "lastTransitionTime" not in done:
        job["status"] = {}
    if given.get("expectErr"):
        assert ttl.seconds_left(job, moment(given["since"], NOW)) is None
    else:
        assert ttl.seconds_left(job, moment(given["since"], NOW)) == given["expectedTimeLeft"]


def test_nodes_are_told_how_long_they_may_keep_things() -> None:
    async def work(here: Site) -> None:
        await here.client.create(NODES, {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "n"}})
        await here.settle()
        assert objects.annotations(await here.client.get(NODES, "n"))[caching.ANNOTATION] == "0"

    run(work, only=("node-ttl",))


def test_a_pod_that_is_to_go_from_a_node_out_of_service_goes() -> None:
    async def work(here: Site) -> None:
        await here.client.create(NODES, {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "n"}})
        metadata = {"name": "p", "namespace": "default"}
        made = await here.client.create(
            PODS, {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": make.pod_spec(nodeName="n")}
        )
        await here.move(made, "Running", ready=True)
        await here.client.delete(PODS, "p", "default")
        await here.settle()
        assert objects.is_deleting(await here.client.get(PODS, "p", "default"))
        taint = {"key": podgc.OUT_OF_SERVICE, "effect": "NoExecute"}
        await here.client.patch(NODES, "n", {"spec": {"taints": [taint]}})
        await here.until_gone(PODS, "p")

    run(work, only=("podgc",))


def test_what_is_said_of_a_pod_whose_node_has_vanished() -> None:
    (case,) = [each for each in cases("podgc", "TestGCInspectingPatchedPodBeforeDeletion") if each["given"]]
    want = conditions.get(case["given"]["expectedPatchedPod"], "DisruptionTarget") or {}

    async def work(here: Site) -> None:
        metadata = {"name": "p", "namespace": "default", "finalizers": ["example.com/look"]}
        spec = make.pod_spec(nodeName="vanished")
        made = await here.client.create(PODS, {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec})
        await here.move(made, "Running", ready=True)
        await here.manager.clock.sleep(60)
        told = conditions.get(await here.client.get(PODS, "p", "default"), "DisruptionTarget") or {}
        assert {field: told.get(field) for field in want} == want

    run(work, only=("podgc",))
