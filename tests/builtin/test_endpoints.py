"""Endpoints of a Service from its pods, as tables."""

from typing import Any

import pytest

from lightship.builtin.endpoints import build
from lightship.meta.objects import Obj


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
    found = build.slices(service(), [pod(f"p{n:03}") for n in range(250)])
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
