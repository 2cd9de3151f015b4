"""Claims and volumes, mirrored Endpoints and ranges for Services: under our controllers on our server, and under kube-controller-manager on
the real one. What is written, and what is said of it, has to be the same.
"""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import Any

import pytest

from lightship.aio.clock import pause
from oracle import programs, servers, worlds
from tests.platform.kit import eventually
from tests.upstream.marked import marks
from tests.upstream.test_workloads import differences, plain

pytestmark = marks()
Obj = dict[str, Any]
SECONDS = 180
_FLAGS = ("--kube-api-qps=2000", "--kube-api-burst=4000", "--pvclaimbinder-sync-period=1s")
_CLUSTERS_OWN = {"kubectl.kubernetes.io/last-applied-configuration", "endpoints.kubernetes.io/last-change-trigger-time"}


@pytest.fixture(scope="module")
def pair() -> Iterator[list[worlds.World]]:
    with ExitStack() as stack:

        def start(kind: str) -> worlds.World:
            found = stack.enter_context(worlds.world(kind, controllers="*"))
            if kind == servers.REAL:
                identity, directory = found.server.kubeconfig, found.server.directory
                found.start(
                    "kube-controller-manager", programs.controller_manager(identity, directory, port=programs.free_port(), flags=_FLAGS)
                )
            return found

        with ThreadPoolExecutor() as pool:
            both = list(pool.map(start, (servers.OURS, servers.REAL)))
        yield both


def volume(name: str, size: str, **spec: Any) -> Obj:
    whole = {"capacity": {"storage": size}, "accessModes": ["ReadWriteOnce"], "hostPath": {"path": f"/srv/{name}"}, **spec}
    return {"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": name, "labels": {"disk": name}}, "spec": whole}


def claim(name: str, size: str = "1Gi", storage_class: str = "", **spec: Any) -> Obj:
    whole = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": size}}, "storageClassName": storage_class, **spec}
    return {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": name, "namespace": "default"}, "spec": whole}


def storage_class(name: str, provisioner: str, **more: Any) -> Obj:
    return {"apiVersion": "storage.k8s.io/v1", "kind": "StorageClass", "metadata": {"name": name}, "provisioner": provisioner, **more}


def stored(world: worlds.World) -> Obj:
    """Claims and volumes by name, and what was said of them, each once."""
    found = world.reader.listed("persistentvolumeclaims", "persistentvolumes")
    events = world.reader.listed("events")
    kinds = ("PersistentVolume", "PersistentVolumeClaim")
    said = {(e["involvedObject"]["name"], e["type"], e["reason"], e["message"]) for e in events if e["involvedObject"]["kind"] in kinds}
    return {**{obj["metadata"]["name"]: bare(obj) for obj in found}, "said": sorted(map(list, said))}


def bare(obj: Obj) -> Obj:
    """Without what is of one cluster only."""
    notes = obj["metadata"].get("annotations") or {}
    obj["metadata"]["annotations"] = {key: value for key, value in notes.items() if key not in _CLUSTERS_OWN}
    for owner in obj["metadata"].get("ownerReferences") or ():
        owner.pop("uid")
    obj.get("spec", {}).get("claimRef", {}).pop("resourceVersion", None)
    obj.get("status", {}).pop("lastPhaseTransitionTime", None)
    found: Obj = plain(obj)
    return found


def alike(pair: list[worlds.World], part: Callable[[worlds.World], Any]) -> None:
    found: list[str] = []

    def same() -> bool:
        found[:] = differences(*worlds.together(part, pair))
        if found:
            pause(0.1)
        return not found

    eventually(same, "both clusters alike", lambda: "\n" + "\n".join(found[:40]), seconds=SECONDS)


def until(pair: list[worlds.World], what: str, condition: str) -> None:
    worlds.together(lambda world: world.wait(what, condition), pair)


def both(pair: list[worlds.World], *arguments: str) -> None:
    worlds.together(lambda world: world.server.kubectl(*arguments), pair)


def test_claims_get_volumes_and_give_them_back(pair: list[worlds.World]) -> None:
    volumes = [
        volume("small", "1Gi", persistentVolumeReclaimPolicy="Retain"),
        volume("fitting", "3Gi", persistentVolumeReclaimPolicy="Delete"),
        volume("large", "10Gi", accessModes=["ReadWriteOnce", "ReadOnlyMany"]),
        volume("meant", "1Gi", claimRef={"namespace": "default", "name": "chosen"}),
        volume("raw", "5Gi", volumeMode="Block"),
    ]
    for world in pair:
        world.apply(volumes)
    for name in ("small", "fitting", "large", "meant", "raw"):
        until(pair, f"pv/{name}", "jsonpath={.status.phase}=Available")
    alike(pair, stored)
    claims = [
        claim("two", "2Gi"),
        claim("chosen"),
        claim("named", volumeName="small"),
        claim("absent", volumeName="nowhere"),
        claim("wrong", volumeName="raw"),
        claim("picky", selector={"matchLabels": {"disk": "none"}}),
        claim("huge", "1Ti"),
    ]
    for world in pair:
        world.apply(claims)
    for name in ("two", "chosen", "named"):
        until(pair, f"pvc/{name}", "jsonpath={.status.phase}=Bound")
    alike(pair, stored)
    both(pair, "delete", "pvc", "two", "named", "chosen", "--wait=true")
    until(pair, "pv/small", "jsonpath={.status.phase}=Released")
    until(pair, "pv/fitting", "jsonpath={.status.phase}=Failed")
    alike(pair, stored)
    both(pair, "patch", "pv", "small", "--type=json", '-p=[{"op":"remove","path":"/spec/claimRef"}]')
    until(pair, "pv/small", "jsonpath={.status.phase}=Available")
    alike(pair, stored)
    both(pair, "delete", "pvc", "absent", "wrong", "picky", "huge", "--wait=true")
    both(pair, "delete", "pv", "--all", "--wait=true")
    alike(pair, stored)


def test_classes_and_who_makes_their_volumes(pair: list[worlds.World]) -> None:
    classes = [
        storage_class("outside", "example.com/disks"),
        storage_class("later", "example.com/disks", volumeBindingMode="WaitForFirstConsumer"),
        storage_class("none", "kubernetes.io/no-provisioner"),
        storage_class("cloud", "kubernetes.io/gce-pd"),
    ]
    claims = [claim(f"of-{name}", storage_class=name) for name in ("outside", "later", "none", "cloud", "unknown")]
    for world in pair:
        world.apply(classes)
        world.apply(claims)
    alike(pair, stored)
    made = volume("made", "1Gi", storageClassName="outside", claimRef={"namespace": "default", "name": "of-outside"})
    for world in pair:
        world.apply([made])
    until(pair, "pvc/of-outside", "jsonpath={.status.phase}=Bound")
    both(pair, "annotate", "pvc", "of-later", "volume.kubernetes.io/selected-node=node-0")
    alike(pair, stored)
    both(pair, "delete", "pvc", *(f"of-{name}" for name in ("outside", "later", "none", "cloud", "unknown")), "--wait=true")
    until(pair, "pv/made", "jsonpath={.status.phase}=Released")
    alike(pair, stored)


def mirrored(world: worlds.World) -> Any:
    """The slices of a Service, whatever they are called."""
    found = world.reader.listed("endpointslices", labels="kubernetes.io/service-name=by-hand")
    for piece in found:
        piece["metadata"].pop("generateName", None)
        piece["metadata"].pop("name")
        piece["endpoints"] = sorted(piece["endpoints"] or [], key=lambda e: str(e["addresses"]))
        piece["ports"] = sorted(piece["ports"] or [], key=str)
    return sorted((bare(piece) for piece in found), key=str)


def test_endpoints_by_hand_are_mirrored(pair: list[worlds.World]) -> None:
    meta = {"name": "by-hand", "namespace": "default"}
    service = {"apiVersion": "v1", "kind": "Service", "metadata": meta, "spec": {"ports": [{"port": 80, "name": "http"}]}}
    labelled = {**meta, "labels": {"a": "b"}, "annotations": {"c": "d"}}

    def endpoints(*subsets: Obj) -> Obj:
        return {"apiVersion": "v1", "kind": "Endpoints", "metadata": labelled, "subsets": list(subsets)}

    http, metrics = {"name": "http", "port": 80, "protocol": "TCP"}, {"name": "metrics", "port": 9090, "protocol": "TCP"}
    first = endpoints({"addresses": [{"ip": "10.1.2.3"}], "notReadyAddresses": [{"ip": "10.1.2.4"}], "ports": [http]})
    second = endpoints(
        {"addresses": [{"ip": "10.1.2.3"}, {"ip": "10.1.2.5", "hostname": "h"}], "ports": [http, metrics]},
        {"addresses": [{"ip": "2001:db8::1"}], "ports": [metrics]},
    )
    for given in (first, second, endpoints()):
        for world in pair:
            world.apply([service, given])
        alike(pair, mirrored)
    both(pair, "delete", "service", "by-hand")
    alike(pair, mirrored)


def extra_range(world: worlds.World) -> Any:
    found = [obj for obj in world.reader.listed("servicecidrs") if obj["metadata"]["name"] == "extra"]
    for obj in found:
        obj["metadata"].pop("deletionTimestamp", None)
    return [plain(obj) for obj in found]


def test_a_range_for_services_comes_and_goes(pair: list[worlds.World]) -> None:
    extra = {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "ServiceCIDR",
        "metadata": {"name": "extra"},
        "spec": {"cidrs": ["172.30.0.0/24"]},
    }
    spec = {"ports": [{"port": 80}], "clusterIP": "172.30.0.7"}
    user = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "user", "namespace": "default"}, "spec": spec}
    for world in pair:
        world.apply([extra])
    until(pair, "servicecidr/extra", "condition=Ready")

    def used() -> bool:
        for world in pair:
            world.apply([user])
        return True

    eventually(lambda: _quietly(used), "a Service has an address of the new range", seconds=SECONDS)
    both(pair, "delete", "servicecidr", "extra", "--wait=false")
    until(pair, "servicecidr/extra", "condition=Ready=False")

    alike(pair, extra_range)
    both(pair, "delete", "service", "user")
    both(pair, "wait", "servicecidr/extra", "--for=delete", "--timeout=60s")


def _quietly(work: Callable[[], bool]) -> bool:
    """A server may take a moment to hear of a range."""
    try:
        return work()
    except RuntimeError:
        return False
