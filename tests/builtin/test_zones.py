"""Zones of nodes, as endpoints tell them: on our own API server, in virtual time."""

from lightship.builtin.endpoints.zones import ZONE, Zones
from lightship.kinds import ENDPOINT_SLICES, NODES, PODS, SERVICES
from lightship.meta import objects
from lightship.meta.objects import Obj
from tests.builtin.site import Site, run


def node(name: str, zone: str = "") -> Obj:
    return {"apiVersion": "v1", "kind": "Node", "metadata": {"name": name, "labels": {ZONE: zone} if zone else {}}}


def on(*names: str) -> list[Obj]:
    return [{"spec": {"nodeName": name}} for name in names]


def test_only_nodes_that_there_are_are_remembered() -> None:
    async def scenario(here: Site) -> None:
        zones = Zones(here.manager.cache.informer(NODES))
        for number in range(50):
            await here.client.create(NODES, node(f"n{number}", "east"))
        await here.client.create(NODES, node("plain"))
        await here.settle()
        assert zones.of(on("n7", "plain", "nobody", "")) == {"n7": "east"}
        assert len(zones) == 50
        await here.client.patch(NODES, "n7", {"metadata": {"labels": {ZONE: "west"}}})
        await here.client.patch(NODES, "n8", {"metadata": {"labels": {ZONE: None}}})
        for number in range(10, 50):
            await here.client.delete(NODES, f"n{number}")
        await here.settle()
        assert zones.of(on("n7", "n8", "n9", "n10")) == {"n7": "west", "n9": "east"}
        assert len(zones) == 9
        await here.client.create(NODES, node("n10", "north"))
        await here.settle()
        assert zones.of(on("n10")) == {"n10": "north"}

    run(scenario, only=("endpointslice",))


def test_slices_tell_the_zone_of_a_pod() -> None:
    async def scenario(here: Site) -> None:
        await here.client.create(NODES, node("n", "east"))
        web = {"metadata": {"name": "web", "namespace": "default"}, "spec": {"clusterIP": "None", "selector": {"app": "web"}}}
        await here.client.create(SERVICES, {"apiVersion": "v1", "kind": "Service", **web})
        spec = {"nodeName": "n", "containers": [{"name": "c", "image": "busybox"}]}
        meta = {"name": "a", "namespace": "default", "labels": {"app": "web"}}
        made = await here.client.create(PODS, {"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": spec})
        await here.move(made, "Running", ready=True, podIP="10.0.0.1", podIPs=[{"ip": "10.0.0.1"}])
        await here.settle()
        (found,) = (await here.client.list(ENDPOINT_SLICES, "default", labels="kubernetes.io/service-name=web")).items
        assert [(e["zone"], objects.name({"metadata": e["targetRef"]})) for e in found["endpoints"]] == [("east", "a")]

    run(scenario, only=("endpointslice",))
