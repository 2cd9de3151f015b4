"""Devices on a whole platform: pretended ones, asked for both ways, through a kill -9, on several nodes, and as people see them."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from .kit import IMAGE, Home, Obj, eventually

pytestmark = pytest.mark.slow

PODS = "/api/v1/namespaces/default/pods"
CLAIMS = "/apis/resource.k8s.io/v1/namespaces/default/resourceclaims"
SLICES = "/apis/resource.k8s.io/v1/resourceslices"
SLEEPS = ["python", "-c", "import os, signal; print(os.environ.get('NVIDIA_VISIBLE_DEVICES'), flush=True); signal.pause()"]


def pod(name: str, resources: Obj, **spec: Any) -> Obj:
    main = {"name": "main", "image": IMAGE, "command": SLEEPS, "resources": resources}
    body = {"restartPolicy": "Never", "containers": [main], "terminationGracePeriodSeconds": 0, **spec}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": body}


def by_number(name: str) -> Obj:
    return pod(name, {"limits": {"nvidia.com/gpu": "1"}})


def test_both_ways_through_a_kill(home: Home) -> None:
    site = home.up("--gpus", "2")
    site.api.create(PODS, by_number("counted"))
    site.api.phase("counted", "Running")
    eventually(lambda: len(site.api.get(SLICES)["items"][0]["spec"]["devices"]) == 1, "what is given by number is not to be claimed")
    request = {"name": "r", "exactly": {"deviceClassName": "gpu.nvidia.com"}}
    claim = {"apiVersion": "resource.k8s.io/v1", "kind": "ResourceClaim", "metadata": {"name": "c"}}
    site.api.create(CLAIMS, {**claim, "spec": {"devices": {"requests": [request]}}})
    asks = {"resourceClaims": [{"name": "g", "resourceClaimName": "c"}]}
    site.api.create(PODS, pod("claimed", {"claims": [{"name": "g"}]}, **asks))
    site.api.phase("claimed", "Running")
    mine = {name: eventually(lambda name=name: site.api.log(name).strip(), "it says what it has") for name in ("counted", "claimed")}  # type: ignore[misc]  # a closure over a loop
    assert len(set(mine.values())) == 2
    told = home.call("devices").out
    assert "default/counted" in told
    assert "default/claimed" in told
    site.kill()
    site = home.up("--gpus", "2")
    site.api.create(PODS, by_number("late"))
    site.api.until(
        f"{PODS}/late", lambda p: [c for c in p["status"].get("conditions") or () if c.get("reason") == "Unschedulable"], "it has to wait"
    )
    assert site.api.phase("claimed", "Running", "Failed")["status"]["phase"] in ("Running", "Failed")
    for name in ("late", "claimed", "counted"):
        site.api.delete(f"{PODS}/{name}")
    eventually(lambda: "default/" not in home.call("devices").out, "all are given back")
    site.api.create(PODS, by_number("again"))
    site.api.phase("again", "Running")
    eventually(lambda: site.api.log("again").strip() in mine.values(), "it has one of those that were given back")


def test_every_node_has_its_own(home: Home) -> None:
    site = home.up("--gpus", "1", "--agents", "2")
    for name in ("a", "b"):
        site.api.create(PODS, by_number(name))
    nodes = {site.api.phase(name, "Running")["spec"]["nodeName"] for name in ("a", "b")}
    assert len(nodes) == 2
    eventually(lambda: site.api.log("a") and site.api.log("b"), "both have said what they have")
    assert site.api.log("a") != site.api.log("b")


def test_devices_of_a_file(home: Home, tmp_path: Path) -> None:
    path = tmp_path / "devices.yaml"
    path.write_text(yaml.safe_dump({"devices": [{"vendor": "amd.com", "memory": "192Gi", "productName": "MI300X"}]}))
    site = home.up("--devices-file", str(path))
    (node,) = site.api.get("/api/v1/nodes")["items"]
    assert node["status"]["capacity"]["amd.com/gpu"] == "1"
    told = eventually(lambda: "MI300X" in (out := home.call("devices").out) and out, "the device is shown")
    assert "192Gi" in str(told)


def test_a_file_that_is_none_is_refused(home: Home, tmp_path: Path) -> None:
    path = tmp_path / "devices.yaml"
    path.write_text("devices: [{colour: red}]")
    assert "colour is not known" in home.refused("up", "--devices-file", str(path))
    assert '"many": must be a number' in home.call("up", "--gpus", "many", code=2).err
