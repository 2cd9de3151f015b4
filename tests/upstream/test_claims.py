"""The same pods, claims and devices for kube-scheduler, on our API server, and for our scheduler: the same devices go to the same claims.

Problems are random; each has a node, drivers and classes of its own, and its pods come one after another, so that nothing is left to
chance. What upstream does not settle (which of equal nodes, shares' ids, times) is not compared.
"""

import json
from pathlib import Path
from random import Random
from typing import Any

from lightship.kinds import DEVICE_CLASSES, NODES, PODS, RESOURCE_CLAIMS, RESOURCE_SLICES
from lightship.meta import conditions, objects
from oracle import programs, servers
from tests.scheduler import make
from tests.scheduler.claims import problems
from tests.scheduler.test_controller import Site, run
from tests.upstream.marked import marks

pytestmark = marks()
Obj = dict[str, Any]
SEEDS = (17, 20, 23, 26, 30, 35, 37, 38, 40, 41, 42, 53, 58, 60, 62, 63, 64, 68, 69, 71, 73, 84, 92, 96)
"""Problems that the API accepts, and of which most leave something to be allocated."""
CLAIMS = 4
KINDS = ((DEVICE_CLASSES, "classes"), (RESOURCE_SLICES, "slices"), (RESOURCE_CLAIMS, "claims"))


def problem(seed: int) -> Obj:
    """A node `n1-<seed>` with classes, slices, and claims with a pod for each, that no other problem has to do with."""
    rng = Random(seed)
    found = problems.problem(rng)
    for spec in (slice["spec"] for slice in found["slices"]):
        for place in (spec, *(spec.get("devices") or ())):
            if place.pop("allNodes", None):
                place["nodeName"] = "n1"
        for device in spec.get("devices") or ():
            device.pop("bindingConditions", None)
            device.pop("bindingFailureConditions", None)
    found["claims"] = [problems.claim(rng, at) for at in range(CLAIMS)]
    for generic in found["classes"]:
        if generic["metadata"]["name"] == "any":
            generic["spec"]["selectors"][0]["cel"]["expression"] = 'device.driver in ["a.example.com", "b.example.com"]'
    text = json.dumps(found).replace(".example.com", f"{seed}.example.com").replace('"z1"', f'"z{seed}"').replace('"r1"', f'"r{seed}"')
    for name in problems.CLASSES:
        text = text.replace(f'"{name}"', f'"{name}-{seed}"')
    for kind in problems.KINDS:
        text = text.replace(f'"kind": {{"string": "{kind}-{seed}"}}', f'"kind": {{"string": "{kind}"}}')
    for name in ("n1", "n2"):
        text = text.replace(f'"{name}"', f'"{name}-{seed}"')
    own: Obj = json.loads(text)
    for at, claim in enumerate(own["claims"]):
        claim["metadata"]["name"] = f"c{at}-{seed}"
    for slice in own["slices"]:
        slice["metadata"]["name"] += f"-{seed}"
    labels = {"zone": f"z{seed}", "rack": f"r{seed}", "seed": str(seed)}
    own["node"] = make.node(f"n1-{seed}", labels=labels)
    own["pods"] = [pod(claim["metadata"]["name"], seed) for claim in own["claims"]]
    return own


def pod(claim: str, seed: int) -> Obj:
    containers = [{"name": "main", "image": "python", "resources": {"claims": [{"name": "c"}]}}]
    uses = [{"name": "c", "resourceClaimName": claim}]
    return make.pod(claim, containers=containers, resourceClaims=uses, nodeSelector={"seed": str(seed)})


def told(pod: Obj, claim: Obj) -> Obj:
    """What is compared of a pod and its claim."""
    allocation = objects.status(claim).get("allocation") or {}
    results = [{k: v for k, v in r.items() if k != "shareID"} for r in (allocation.get("devices") or {}).get("results") or ()]
    config = (allocation.get("devices") or {}).get("config")
    reason = (conditions.get(pod, "PodScheduled") or {}).get("reason", "")
    return {"reason": reason, "results": results, "config": config, "nodes": allocation.get("nodeSelector")}


async def build(here: Site, problem: Obj) -> None:
    node = problem["node"]
    await here.client.create(NODES, {k: v for k, v in node.items() if k != "status"})
    await here.client.patch(NODES, node["metadata"]["name"], {"status": node["status"]}, subresource="status")
    for resource, name in KINDS:
        for obj in problem[name]:
            await here.client.create(resource, obj)


def by_ours(kept: dict[int, Obj]) -> dict[str, Obj]:
    """All problems in one cluster; the pods of each one after another."""
    found: dict[str, Obj] = {}

    async def work(here: Site) -> None:
        for one in kept.values():
            await build(here, one)
        for pod in (one["pods"][at] for at in range(CLAIMS) for one in kept.values()):
            name = pod["metadata"]["name"]
            await here.client.create(PODS, pod)

            async def settled(name: str = name) -> bool:
                return conditions.get(await here.client.get(PODS, name, "default"), "PodScheduled") is not None

            await here.until(settled)
            claim = await here.client.get(RESOURCE_CLAIMS, name, "default")
            found[name] = told(await here.client.get(PODS, name, "default"), claim)

    run(work)
    return found


def by_theirs(server: servers.Server, kept: dict[int, Obj]) -> dict[str, Obj]:
    """The same with kube-scheduler on our server."""

    def apply(items: list[Obj]) -> None:
        server.kubectl("create", "-f", "-", text=json.dumps({"apiVersion": "v1", "kind": "List", "items": items}))

    for one in kept.values():
        node = one["node"]
        apply([{k: v for k, v in node.items() if k != "status"}])
        patch = json.dumps({"status": node["status"]})
        server.kubectl("patch", "node", node["metadata"]["name"], "--subresource=status", "--type=merge", "-p", patch)
        typed = [{"apiVersion": "resource.k8s.io/v1", "kind": resource.kind, **obj} for resource, name in KINDS for obj in one[name]]
        apply(typed)
    found: dict[str, Obj] = {}
    for at in range(CLAIMS):
        names = [one["pods"][at]["metadata"]["name"] for one in kept.values()]
        apply([one["pods"][at] for one in kept.values()])
        _until_settled(server, names)
        for name in names:
            found[name] = told(server.get("pod", name), server.get("resourceclaim", name))
    return found


def _until_settled(server: servers.Server, names: list[str]) -> None:
    path = '{.status.conditions[?(@.type=="PodScheduled")].type}=PodScheduled'
    server.kubectl("wait", "pod", *names, f"--for=jsonpath={path}", "--timeout=120s", seconds=150)


def test_the_same_devices_go_to_the_same_claims() -> None:
    kept = {seed: problem(seed) for seed in SEEDS}
    ours = by_ours(kept)
    with programs.workplace() as directory, servers.started(servers.OURS, directory, controllers="none") as server:
        identity = server.acting_as("system:kube-scheduler")
        arguments = programs.scheduler(identity, directory, port=programs.free_port())
        with programs.running("kube-scheduler", arguments, Path(directory)):
            theirs = by_theirs(server, kept)
    assert ours == theirs
    assert sum(bool(found["results"]) for found in ours.values()) > 40
