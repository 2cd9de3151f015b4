"""Ranges for Services: upstream's tables as data, and a range that leaves only after its last Service."""

import json
from pathlib import Path
from typing import Any

import pytest

from lightship.builtin import servicecidrs
from lightship.kinds import SERVICE_CIDRS, SERVICES
from lightship.meta import conditions, objects, times
from lightship.meta.objects import Obj
from tests.builtin.site import Site, run

LINES = (Path(__file__).parent / "cases" / "cidrs.jsonl").read_text().splitlines()
CASES: list[dict[str, Any]] = [json.loads(line) for line in LINES]


@pytest.mark.parametrize("case", [case for case in CASES if "cidr" in case])
def test_what_can_be_deleted(case: dict[str, Any]) -> None:
    assert servicecidrs.deletable(case["cidr"], case.get("cidrs", ()), case.get("addresses", ())) == case["want"]


@pytest.mark.parametrize("case", [case for case in CASES if "sync" in case])
def test_what_is_written(case: dict[str, Any]) -> None:
    cidr = next((found for found in case.get("cidrs", ()) if objects.name(found) == case["sync"]), None)
    want = [("status" if action["part"] else "finalizer") for action in case["want"]]
    if cidr is None:
        assert want == []
        return
    found = servicecidrs.decide(cidr, case.get("cidrs", ()), case.get("addresses", ()), times.parse(case["now"]))
    if found.ready == servicecidrs.BUSY:
        assert "False" in json.dumps(case["want"])
    assert [part for part, given in (("finalizer", found.finalizer), ("status", found.ready)) if given] == want


def service(name: str, address: str) -> Obj:
    spec = {"clusterIP": address, "ports": [{"port": 80}]}
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name, "namespace": "default"}, "spec": spec}


def test_a_range_leaves_after_its_last_service() -> None:
    async def work(here: Site) -> None:
        extra = {"metadata": {"name": "extra"}, "spec": {"cidrs": ["192.168.0.0/24"]}}
        await here.client.create(SERVICE_CIDRS, {"apiVersion": "networking.k8s.io/v1", "kind": "ServiceCIDR", **extra})

        async def said(status: str) -> Obj | None:
            found = await here.client.get_or_none(SERVICE_CIDRS, "extra")
            return found if found and (conditions.get(found, "Ready") or {}).get("status") == status else None

        ready = await here.until(lambda: said("True"))
        assert objects.meta(ready)["finalizers"] == [servicecidrs.FINALIZER]
        await here.client.create(SERVICES, service("there", "192.168.0.7"))
        await here.client.delete(SERVICE_CIDRS, "extra")
        busy = await here.until(lambda: said("False"))
        assert (conditions.get(busy, "Ready") or {})["reason"] == "Terminating"
        await here.client.delete(SERVICES, "there", "default")
        await here.until_gone(SERVICE_CIDRS, "extra", "")
        default = await here.client.get(SERVICE_CIDRS, "kubernetes")
        assert objects.meta(default)["finalizers"] == [servicecidrs.FINALIZER]

    run(work, only=("service-cidr-controller",))
