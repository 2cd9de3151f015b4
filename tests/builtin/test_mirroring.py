"""Endpoints that somebody writes by hand are mirrored: upstream's tables as data, and a life on our server."""

import json
from pathlib import Path
from typing import Any

import pytest

from lightship.builtin.endpoints import build, mirroring
from lightship.kinds import ENDPOINT_SLICES, ENDPOINTS, SERVICES
from lightship.meta import objects
from lightship.meta.objects import Obj
from tests.builtin.site import Site, run

LINES = (Path(__file__).parent / "cases" / "mirroring.jsonl").read_text().splitlines()
CASES: list[dict[str, Any]] = [json.loads(line) for line in LINES]


@pytest.mark.parametrize("case", CASES)
def test_what_is_mirrored(case: dict[str, Any]) -> None:
    found = mirroring.plan(case["endpoints"], case.get("existing", ()), case["max"])
    create = [] if objects.meta(case["endpoints"]).get("deletionTimestamp") else case.get("create", ())
    capped = case["max"] < 1000
    assert _shown(found.create, capped) == _shown(create, capped)
    # Which of several slices is used again is up to the order of Go's maps.
    assert len(found.update) == len(case.get("update", ()))
    assert _shown(found.update, capped) == _shown(case.get("update", ()), capped)
    assert sorted(p["addressType"] for p in found.delete) == sorted(p["addressType"] for p in case.get("delete", ()))
    if not case.get("update"):
        assert {objects.name(piece) for piece in found.delete} == {objects.name(piece) for piece in case.get("delete", ())}


def _shown(slices: Any, capped: bool) -> list[str]:
    """Without names, in an order of their own; of slices that have no room for all, how many they have."""
    found = []
    for piece in slices:
        ports = sorted(json.dumps({**p, "protocol": p["protocol"] or "TCP"}, sort_keys=True) for p in piece.get("ports") or ())
        endpoints = sorted(json.dumps(e, sort_keys=True) for e in piece.get("endpoints") or ())
        notes = objects.annotations(piece) or {}
        owner = objects.meta(piece)["ownerReferences"][0]["name"]
        whole = [len(endpoints) if capped else endpoints, ports, piece["addressType"], objects.labels(piece), notes, owner]
        found.append(json.dumps(whole, sort_keys=True))
    return sorted(found)


def endpoints(*addresses: str, **meta: Any) -> Obj:
    subset = {"addresses": [{"ip": ip} for ip in addresses], "ports": [{"port": 80, "name": "http"}]}
    return {"apiVersion": "v1", "kind": "Endpoints", "metadata": {"name": "s", "namespace": "default", **meta}, "subsets": [subset]}


async def mirrored(here: Site) -> dict[str, list[str]]:
    """Addresses by kind, of the slices that are mirrors."""
    label = f"{build.MANAGED_BY}={mirroring.MANAGER}"
    found = (await here.client.list(ENDPOINT_SLICES, "default", labels=label)).items
    return {piece["addressType"]: sorted(a for e in piece["endpoints"] for a in e["addresses"]) for piece in found}


def test_a_mirror_follows_its_endpoints() -> None:
    async def work(here: Site) -> None:
        spec = {"ports": [{"port": 80}]}
        service = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "s", "namespace": "default"}, "spec": spec}
        await here.client.create(ENDPOINTS, endpoints("10.1.2.3", "2001:db8::1", labels={"a": "b"}))
        await here.settle()
        assert await mirrored(here) == {}, "for a Service, not for itself"
        await here.client.create(SERVICES, service)
        await here.settle()
        assert await mirrored(here) == {"IPv4": ["10.1.2.3"], "IPv6": ["2001:db8::1"]}
        await here.client.patch(ENDPOINTS, "s", {"subsets": endpoints("10.1.2.4", "10.1.2.5")["subsets"]}, "default")
        await here.settle()
        assert await mirrored(here) == {"IPv4": ["10.1.2.4", "10.1.2.5"]}
        slices = (await here.client.list(ENDPOINT_SLICES, "default")).items
        await here.client.delete(ENDPOINT_SLICES, objects.name(slices[0]), "default")
        await here.settle()
        assert await mirrored(here) == {"IPv4": ["10.1.2.4", "10.1.2.5"]}, "it is made again"
        await here.client.patch(SERVICES, "s", {"spec": {"selector": {"app": "s"}}}, "default")
        await here.settle()
        assert await mirrored(here) == {}

    run(work, only=("endpointslice-mirroring",))
