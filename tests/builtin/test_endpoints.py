"""Endpoints of a Service from its pods, as tables."""

from typing import Any

import pytest

from lightship.aio import virtual
from lightship.aio.clock import LoopClock
from lightship.builtin.endpoints import build
from lightship.builtin.endpoints.briefs import brief
from lightship.builtin.pace import Pace
from lightship.meta.objects import Key, Obj


def service(**spec: Any) -> Obj:
    return {
        "metadata": {"name": "web", "namespace": "default", "uid": "u"},
        "spec": {"selector": {"app": "web"}, **spec},
        "apiVersion": "v1",
        "kind": "Service",
    }


def pod(name: str, *, ready: bool = True, phase: str = "Running", leaving: bool = False, ip: str = "10.0.0.1", **spec: Any) -> Obj:
    meta: Obj = {"name": name, "namespace": "default", "uid": f"uid-{name}", "labels": {"app": "web"}}
    if leaving:
        meta["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    conditions = [{"type": "Ready", "status": "True" if ready else "False"}]
    return {"metadata": meta, "spec": spec, "status": {"phase": phase, "podIP": ip, "conditions": conditions}}


STATES = [
    ("ready", {}, {}, (True, True, False)),
    ("not ready", {"ready": False}, {}, (False, False, False)),
    ("not ready, published", {"ready": False}, {"publishNotReadyAddresses": True}, (True, True, False)),
    ("leaving", {"leaving": True}, {}, (False, True, True)),
    ("leaving and not ready", {"leaving": True, "ready": False}, {}, (False, False, True)),
]


@pytest.mark.parametrize(("name", "fields", "spec", "want"), STATES, ids=[row[0] for row in STATES])
def test_conditions(name: str, fields: Obj, spec: Obj, want: tuple[bool, bool, bool]) -> None:
    (found,) = build.slices(service(**spec), [pod("a", **fields)])
    conditions = found["endpoints"][0]["conditions"]
    assert (conditions["ready"], conditions["serving"], conditions["terminating"]) == want


@pytest.mark.parametrize("fields", [{"phase": "Succeeded"}, {"phase": "Failed"}, {"ip": ""}])
def test_pods_that_cannot_be_reached_are_left_out(fields: Obj) -> None:
    (found,) = build.slices(service(), [pod("a", **fields)])
    assert found["endpoints"] == []
    assert build.endpoints(service(), [pod("a", **fields)])["subsets"] == []


def test_named_ports_may_differ_from_pod_to_pod() -> None:
    web = service(ports=[{"port": 80, "targetPort": "http"}])
    pods = [pod(n, containers=[{"ports": [{"name": "http", "containerPort": p}]}]) for n, p in (("a", 8080), ("b", 9090), ("c", 8080))]
    found = build.slices(web, pods)
    assert [(s["ports"][0]["port"], len(s["endpoints"])) for s in found] == [(8080, 2), (9090, 1)]
    assert len({s["metadata"]["name"] for s in found}) == 2


def test_at_most_a_hundred_in_a_slice() -> None:
    found = build.slices(service(), [pod(f"p{n:03}", ip=f"10.0.1.{n}") for n in range(250)])
    assert [len(s["endpoints"]) for s in found] == [100, 100, 50]


def test_labels_say_whose_they_are() -> None:
    headless = build.slices(service(clusterIP="None"), [])[0]
    assert headless["metadata"]["labels"] == {
        "kubernetes.io/service-name": "web",
        "endpointslice.kubernetes.io/managed-by": "endpointslice-controller.k8s.io",
        "service.kubernetes.io/headless": "",
    }
    assert headless["metadata"]["ownerReferences"][0]["controller"] is True


def test_a_hostname_counts_in_its_own_domain_only() -> None:
    (found,) = build.slices(service(), [pod("a", hostname="h", subdomain="web"), pod("b", hostname="h", subdomain="other")])
    assert [e.get("hostname") for e in found["endpoints"]] == ["h", None]


@pytest.mark.parametrize(("spec", "want"), [({}, True), ({"selector": None}, False), ({"type": "ExternalName"}, False)])
def test_services_without_a_selector_are_somebody_elses(spec: Obj, want: bool) -> None:
    assert build.has_selector(service(**spec)) is want


def many(count: int, **fields: Any) -> list[Obj]:
    return [pod(f"p{n:04}", ip=f"10.0.{n // 250}.{n % 250 + 1}", **fields) for n in range(count)]


def test_a_pod_more_or_less_changes_one_slice() -> None:
    pods = many(350)
    before = build.slices(service(), pods)
    without = [found for found in pods if found["metadata"]["name"] != "p0007"]
    after = {s["metadata"]["name"]: s for s in build.slices(service(), without, before)}
    assert len(after) == 4
    assert [len(s["endpoints"]) for s in before if after[s["metadata"]["name"]] != s] == [100]
    more = build.slices(service(), [*pods, pod("a", ip="10.9.9.9")], before)
    names = {s["metadata"]["name"]: s for s in before}
    assert [len(s["endpoints"]) for s in more if s != names[s["metadata"]["name"]]] == [51], "the one that has room"
    assert len(build.slices(service(), many(420), before)) == 5


def test_the_slice_of_nobody_becomes_that_of_the_first_pod() -> None:
    """In one write: a reader must never find an empty one beside it."""
    web = service(ports=[{"name": "http", "port": 80, "protocol": "TCP", "targetPort": 8080}])
    (empty,) = build.slices(web, [])
    (first,) = build.slices(web, [pod("a")], [empty])
    assert first["metadata"]["name"] == empty["metadata"]["name"]
    assert (empty["ports"], [port["port"] for port in first["ports"]]) == ([], [8080])


def test_both_kinds_of_addresses_have_slices() -> None:
    both = pod("a")
    both["status"]["podIPs"] = [{"ip": "10.0.0.1"}, {"ip": "2001:db8::1"}]
    found = build.slices(service(ipFamilies=["IPv4", "IPv6"]), [both, pod("b", ip="10.0.0.2")])
    assert [(s["addressType"], [e["addresses"] for e in s["endpoints"]]) for s in found] == [
        ("IPv4", [["10.0.0.1"], ["10.0.0.2"]]),
        ("IPv6", [["2001:db8::1"]]),
    ]


@pytest.mark.parametrize(
    ("wanted", "want"),
    [
        (None, None),
        ("PreferClose", {"forZones": [{"name": "z"}]}),
        ("PreferSameZone", {"forZones": [{"name": "z"}]}),
        ("PreferSameNode", {"forZones": [{"name": "z"}], "forNodes": [{"name": "n"}]}),
    ],
)
def test_hints_keep_traffic_near(wanted: str | None, want: Obj | None) -> None:
    pods = [pod("a", nodeName="n"), pod("b", ready=False, ip="10.0.0.2", nodeName="n")]
    (found,) = build.slices(service(trafficDistribution=wanted), pods, (), {"n": "z"})
    assert [e.get("hints") for e in found["endpoints"]] == [want, None]
    assert [e["zone"] for e in found["endpoints"]] == ["z", "z"]


def test_endpoints_hold_a_thousand_addresses() -> None:
    ready, others = many(1200), [pod(f"q{n:04}", ready=False, ip=f"10.1.{n // 250}.{n % 250 + 1}") for n in range(300)]
    found = build.endpoints(service(), [*ready, *others])
    assert found["metadata"]["annotations"] == {build.OVER_CAPACITY: "truncated"}
    assert [(len(s.get("addresses", ())), len(s.get("notReadyAddresses", ()))) for s in found["subsets"]] == [(1000, 0)]
    fewer = build.endpoints(service(), [*ready[:900], *others])
    assert [(len(s["addresses"]), len(s["notReadyAddresses"])) for s in fewer["subsets"]] == [(900, 100)]
    assert "annotations" not in build.endpoints(service(), ready[:1000])["metadata"]


def test_what_is_remembered_of_pods_is_all_that_endpoints_tell() -> None:
    web = service(ports=[{"port": 80, "targetPort": "http"}], publishNotReadyAddresses=True)
    http = {"name": "main", "image": "x", "ports": [{"name": "http", "containerPort": 8080}]}
    sidecar = {"name": "side", "restartPolicy": "Always", "ports": [{"name": "http", "containerPort": 8081}]}
    pods = [
        pod("a", containers=[http], nodeName="n1", hostname="zero", subdomain="web"),
        pod("b", ready=False, containers=[http], initContainers=[sidecar], nodeName="n2"),
        pod("c", leaving=True, containers=[http]),
        pod("d", phase="Succeeded", containers=[http]),
    ]
    pods[0]["status"]["podIPs"] = [{"ip": "10.0.0.1"}, {"ip": "fd00::1"}]
    pods[0]["spec"]["tolerations"] = [{"operator": "Exists"}]
    short = [brief(pod) for pod in pods]
    assert build.slices(web, short, zones={"n1": "east"}) == build.slices(web, pods, zones={"n1": "east"})
    assert build.endpoints(web, short) == build.endpoints(web, pods)
    assert "tolerations" not in short[0]["spec"]


async def _looks() -> None:
    key = Key("default", "web")
    pace = Pace(clock := LoopClock())
    pace.looked(key, 100)
    assert pace.left(key, 100) == 0
    assert [pace.left(key, 4000) for _ in range(2)] == [0, 0], "a look that fails leaves the time of the next to the queue"
    pace.looked(key, 4000)
    assert pace.left(key, 4000) == 2
    await clock.sleep(2)
    assert pace.left(key, 4000) == 0
    pace.looked(key, 4000)
    assert pace.left(key, 101) == 0.5
    pace.forget(key)
    assert pace.left(key, 101) == 0


def test_large_ones_are_looked_at_now_and_then() -> None:
    virtual.run(_looks())
