"""Upstream's tables of the node lifecycle and taint eviction controllers, on our API server in virtual time."""

import pytest

from lightship.builtin.nodes import leaving, taints
from lightship.builtin.nodes.zones import Rates, State, Zones, is_excluded
from lightship.kinds import LEASES, NODES, PODS
from lightship.kinds import pods as podlib
from lightship.meta import conditions, objects
from lightship.meta.objects import Obj
from tests.builtin import make
from tests.builtin.site import Site, run
from tests.builtin.tables import cases, names

ZONES = cases("node_lifecycle", "TestMonitorNodeHealth")
TAINTED = cases("node_lifecycle", "TestTaintsNodeByCondition")
LABELS = cases("node_lifecycle", "TestReconcileNodeLabels")
EXCLUDED = cases("node_lifecycle", "Test_isNodeExcludedFromDisruptionChecks")
HEALTH = cases(
    "node_lifecycle",
    *("TestMonitorNodeHealthUpdateStatus", "TestMonitorNodeHealthUpdateNodeAndPodStatusWithLease", "TestMonitorNodeHealthMarkPodsNotReady"),
)
PLACED = cases("node_lifecycle", "TestProcessPodMarkPodNotReady")
PATIENCE = cases("taint_eviction", "TestGetMinTolerationTime")
REFUSED = ("lengthening toleration shouldn't work", "removing toleration")
"""What no server lets one do with a pod."""
EVICTED = [
    case
    for case in cases("taint_eviction", "TestCreatePod", "TestUpdatePod", "TestCreateNode", "TestUpdateNode", "TestEventualConsistency")
    if case["given"]["description"] not in REFUSED
]


@pytest.mark.parametrize("case", ZONES, ids=names(ZONES))
def test_states_of_zones(case: Obj) -> None:
    given = case["given"]
    zones = Zones(Rates(unhealthy=0.55))
    for node in given["nodeList"]:
        zones.note(node, ready=taints.is_ready(node))
    zones.settle(0.0)
    assert states(zones) == wanted(given["expectedInitialStates"])
    for node, status in zip(given["nodeList"], given.get("updatedNodeStatuses") or [], strict=False):
        # The state of a node that has not been heard of for an hour is unknown.
        changed = {**node, "status": status}
        zones.note(changed, ready=taints.is_ready(changed) and status["conditions"][0].get("lastHeartbeatTime") != "2015-01-01T12:00:00Z")
    zones.settle(3600.0)
    assert states(zones) == wanted(given["expectedFollowingStates"])


def states(zones: Zones) -> dict[str, State]:
    return {name: zone.state for name, zone in zones.zones.items() if zone.nodes}


def wanted(found: dict[str, str]) -> dict[str, str]:
    return {name.replace("\\u0000", "\x00"): state for name, state in found.items()}


@pytest.mark.parametrize("case", TAINTED, ids=[case["given"]["Name"] for case in TAINTED])
def test_taints_by_condition(case: Obj) -> None:
    found = taints.wanted(case["given"]["Node"], 0.0, evict=False)
    assert [{key: taint[key] for key in ("effect", "key")} for taint in found] == case["given"]["ExpectedTaints"]


@pytest.mark.parametrize("case", LABELS, ids=[case["given"]["Name"] for case in LABELS])
def test_old_names_of_labels(case: Obj) -> None:
    node = case["given"]["Node"]
    assert {**objects.labels(node), **taints.labels(node)} == case["given"].get("ExpectedLabels", {})


@pytest.mark.parametrize("case", EXCLUDED, ids=str)
def test_nodes_that_do_not_count(case: Obj) -> None:
    assert is_excluded(case["given"]["input"]) == case["given"].get("want", False)


@pytest.mark.parametrize("case", PATIENCE, ids=str)
def test_the_least_patience(case: Obj) -> None:
    listed = [{"key": f"k{i}", "operator": "Exists", **toleration} for i, toleration in enumerate(case["given"]["tolerations"])]
    driving = [{"key": f"k{i}", "effect": "NoExecute"} for i in range(len(listed))]
    expected = case["given"].get("expected", 0)
    found = leaving.patience(listed, driving)
    assert found == (leaving.FOR_EVER if expected < 0 or not listed else expected)


async def put_node(here: Site, node: Obj, name: str = "") -> None:
    """A node as a table has it; times of its conditions do not matter to who looks at changes."""
    name = name or objects.name(node)
    if await here.client.get_or_none(NODES, name) is None:
        metadata = {"name": name, "labels": objects.labels(node)}
        await here.client.create(NODES, {"apiVersion": "v1", "kind": "Node", "metadata": metadata})
    listed = [{k: v for k, v in taint.items() if k != "timeAdded"} for taint in objects.spec(node).get("taints") or ()]
    await here.client.patch(NODES, name, {"spec": {"taints": listed or None}})
    status = node.get("status") or {}
    if status.get("conditions"):
        await here.client.patch(NODES, name, {"status": {"conditions": status["conditions"]}}, subresource="status")


async def put_pod(here: Site, pod: Obj) -> None:
    name, found = objects.name(pod), None
    wish = {field: objects.spec(pod).get(field) for field in ("tolerations", "nodeName")}
    metadata = {"name": name, "namespace": "default", "labels": objects.labels(pod)}
    found = await here.client.get_or_none(PODS, name, "default")
    if found is not None and podlib.node_name(found) != (wish["nodeName"] or ""):
        bound = {"metadata": metadata, "target": {"kind": "Node", "name": wish["nodeName"]}}
        await here.client.create_subresource(PODS, name, "default", "binding", bound)
    elif found is not None:
        return
    else:
        spec = make.pod_spec(**{field: value for field, value in wish.items() if value})
        await here.client.create(PODS, {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec})
    if wish["nodeName"]:
        await here.move(await here.client.get(PODS, name, "default"), "Running", ready=True)


@pytest.mark.parametrize("case", HEALTH, ids=names(HEALTH))
def test_health(case: Obj) -> None:
    given = case["given"]
    (node,) = given["fakeNodeHandler"]["Existing"]
    told = conditions.get(node, "Ready")
    beats = (conditions.get({"status": given.get("newNodeStatus") or {}}, "Ready") or {}).get("lastHeartbeatTime", "")
    renewed = (given.get("newLease") or {}).get("spec") != (given.get("lease") or {}).get("spec")
    silent = given.get("timeToPass", 0) > 50 and not renewed and beats <= "2015-01-01T12:00:00Z"
    old = told is None and objects.meta(node)["creationTimestamp"] < "2015" and given.get("lease") is None

    async def work(here: Site) -> None:
        await put_node(here, node)
        if given.get("lease"):
            held = {**given["lease"], "apiVersion": "coordination.k8s.io/v1", "kind": "Lease"}
            await here.client.create(LEASES, {**held, "spec": {"holderIdentity": "node0", "renewTime": "2015-01-01T12:00:00.000000Z"}})
        await put_pod(here, {"metadata": {"name": "pod0"}, "spec": {"nodeName": "node0"}})
        if silent or old:
            await here.manager.clock.sleep(70)
        found = await here.client.get(NODES, "node0")
        if given.get("expectedNodes"):
            (want,) = given["expectedNodes"]
            fields = ("type", "status", "reason", "message")
            shown = [{field: c[field] for field in fields if field in c} for c in objects.status(found).get("conditions") or ()]
            assert shown == [{field: c[field] for field in fields if field in c} for c in objects.status(want).get("conditions") or ()]
        else:
            assert (conditions.get(found, "Ready") or {}).get("status") == ("Unknown" if silent else (told or {}).get("status"))
        ready = podlib.is_ready(await here.client.get(PODS, "pod0", "default"))
        assert ready != bool(given.get("expectedPodStatusUpdate")) or told is None

    run(work, only=("nodelifecycle",))


@pytest.mark.parametrize("case", PLACED, ids=[case["given"]["desc"] for case in PLACED])
def test_pods_that_come_to_a_node_that_is_not_ready(case: Obj) -> None:
    given = case["given"]
    (node,) = given["fakeNodeHandler"]["Existing"]
    if not given.get("monitorNodeHealth"):
        return  # what this controller knows of a node it knows as soon as there is one

    async def work(here: Site) -> None:
        await put_node(here, node)
        await here.settle()
        await put_pod(here, given["pod"])
        await here.settle()
        ready = podlib.is_ready(await here.client.get(PODS, "pod0", "default"))
        assert ready != given.get("expectedPodStatusUpdate", False)

    run(work, only=("nodelifecycle",))


@pytest.mark.parametrize("case", EVICTED, ids=[f"{case['test']}-{case['given']['description']}" for case in EVICTED])
def test_who_is_driven_out(case: Obj) -> None:
    given = case["given"]

    async def work(here: Site) -> None:
        for name, listed in (given.get("taintedNodes") or {}).items():
            await put_node(here, {"spec": {"taints": listed}}, name)
        for field in ("oldNode", "node"):
            if given.get(field):
                await put_node(here, given[field])
        if given.get("newNode") and not given.get("newPod"):  # the controller begins when this is so already
            await put_node(here, given["newNode"])
        for pod in [*(given.get("pods") or []), *(given[field] for field in ("pod", "prevPod") if given.get(field))]:
            await put_pod(here, pod)
        await here.settle()
        if given.get("newNode"):
            await put_node(here, given["newNode"])
        if given.get("newPod"):
            await put_pod(here, given["newPod"])
        await here.manager.clock.sleep(2)
        leaving = [pod for pod in await here.pods() if objects.is_deleting(pod)]
        assert bool(leaving) == given.get("expectDelete", False)
        for pod in leaving:
            assert (conditions.get(pod, "DisruptionTarget") or {}).get("reason") == "DeletionByTaintManager"

    run(work, only=("taint-eviction",))
