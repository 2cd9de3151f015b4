"""Subresources that are no view of the object: binding, eviction, scale, tokens, logs."""

from collections.abc import Sequence
from typing import Any

import pytest

from lightship import kinds
from lightship.apiserver.requests import Request, TokenSubject
from lightship.meta import conditions, times
from lightship.meta.objects import Obj
from lightship.meta.resources import Resource, Scale
from lightship.meta.rest import LogOptions, WriteOptions

from .site import ADMIN, CONFIG_MAPS, PODS, Nodes, Site, config_map, pod, refused, run

WIDGETS = Resource(
    group="example.com",
    version="v1",
    kind="Widget",
    plural="widgets",
    status=True,
    scale=Scale(".spec.replicas", ".status.replicas", ".status.selector"),
    custom=True,
    schema={"type": "object", "x-kubernetes-preserve-unknown-fields": True},
)


async def bind(site: Site, name: str, node: str = "n1", **metadata: Any) -> Obj:
    binding = {"metadata": {"name": name, **metadata}, "target": {"kind": "Node", "name": node}}
    return await site.api.create(PODS, "default", binding, name=name, subresource="binding")


def test_binding_gives_a_pod_its_node() -> None:
    async def test(site: Site) -> None:
        old = await site.create(PODS, pod("p", labels={"a": "1"}))
        answer = await bind(site, "p", annotations={"why": "free"}, labels={"zone": "z"})
        assert (answer["kind"], answer["status"], answer["code"]) == ("Status", "Success", 201)
        got = await site.get(PODS, "p")
        assert got["spec"]["nodeName"] == "n1"
        assert got["metadata"]["annotations"] == {"why": "free"}
        assert got["metadata"]["labels"] == {"a": "1", "zone": "z"}
        assert got["metadata"]["generation"] == old["metadata"]["generation"]
        scheduled = conditions.get(got, "PodScheduled")
        assert scheduled is not None
        assert scheduled["status"] == "True"
        assert not {"reason", "message"} & scheduled.keys()

    run(test)


def test_binding_clears_why_a_pod_waited() -> None:
    async def test(site: Site) -> None:
        await site.create(PODS, pod("p"))
        waits = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/1 nodes"}
        await site.patch(PODS, "p", {"status": {"conditions": [waits]}}, subresource="status")
        await bind(site, "p")
        found = (await site.get(PODS, "p"))["status"]["conditions"]
        assert [(c["type"], c["status"], c.get("reason")) for c in found] == [("PodScheduled", "True", None)]

    run(test)


def test_binding_refuses() -> None:
    async def test(site: Site) -> None:
        await site.create(PODS, pod("p"))
        with refused(400, "BadRequest", "name in URL does not match name in Binding object"):
            await site.api.create(PODS, "default", {"target": {"name": "n"}}, name="p", subresource="binding")
        with refused(422, "Invalid", "target.name: Required value"):
            await bind(site, "p", "")
        with refused(409, "Conflict", "Precondition failed: UID in precondition: other"):
            await bind(site, "p", uid="other")
        with refused(404, "NotFound", 'pods "nope" not found'):
            await bind(site, "nope")
        await bind(site, "p")
        with refused(409, "Conflict", 'Operation cannot be fulfilled on pods/binding "p": pod p is already assigned to node "n1"'):
            await bind(site, "p", "n2")
        await site.create(PODS, pod("gone", finalizers=["x/y"]))
        await site.delete(PODS, "gone")
        with refused(409, "Conflict", "pod gone is being deleted, cannot be assigned to a host"):
            await bind(site, "gone")

    run(test)


def test_eviction_deletes() -> None:
    async def test(site: Site) -> None:
        await site.create(PODS, pod("p", node="n"))
        body = {"metadata": {"name": "p"}, "deleteOptions": {"gracePeriodSeconds": 7}}
        answer = await site.api.create(PODS, "default", body, name="p", subresource="eviction")
        assert answer["status"] == "Success"
        assert (await site.get(PODS, "p"))["metadata"]["deletionGracePeriodSeconds"] == 7
        with refused(404, "NotFound", 'pods "nope" not found'):
            await site.api.create(PODS, "default", {"metadata": {"name": "nope"}}, name="nope", subresource="eviction")

    run(test)


def test_scale() -> None:
    async def test(site: Site) -> None:
        await site.create(WIDGETS, {"metadata": {"name": "w"}, "spec": {"replicas": 3}})
        await site.patch(WIDGETS, "w", {"status": {"replicas": 2, "selector": "a=b"}}, subresource="status")
        scale = await site.api.get(WIDGETS, "default", "w", subresource="scale")
        assert (scale["kind"], scale["apiVersion"]) == ("Scale", "autoscaling/v1")
        assert scale["spec"] == {"replicas": 3}
        assert scale["status"] == {"replicas": 2, "selector": "a=b"}
        scale = await site.update(WIDGETS, {**scale, "spec": {"replicas": 5}}, subresource="scale")
        assert scale["spec"] == {"replicas": 5}
        scale = await site.update(WIDGETS, {**scale, "spec": {}}, subresource="scale")  # Go programs leave out a zero
        assert scale["spec"] == {"replicas": 0}
        got = await site.get(WIDGETS, "w")
        assert got["spec"]["replicas"] == 0
        assert got["metadata"]["generation"] == 3
        with refused(409, "Conflict", "the object has been modified"):
            await site.update(WIDGETS, {**scale, "metadata": {"name": "w", "resourceVersion": "1"}}, subresource="scale")
        with refused(422, "Invalid", ".spec.replicas: Invalid value: -1: should be a non-negative integer"):
            await site.patch(WIDGETS, "w", {"spec": {"replicas": -1}}, subresource="scale")
        await site.create(CONFIG_MAPS, config_map("c"))
        with refused(404, "NotFound"):
            await site.api.get(CONFIG_MAPS, "default", "c", subresource="scale")

    run(test, extra=[WIDGETS])


class Issuer:
    """Hands out tokens that say what they were asked for."""

    issuer = "https://issuer"

    def issue(self, subject: TokenSubject, audiences: Sequence[str], seconds: int, *, warn_after: int = 0) -> tuple[str, float]:
        said = f"{subject.namespace}/{subject.service_account} {subject.bound_kind}:{subject.bound_uid} {subject.node}:{subject.node_uid}"
        return f"{said} {list(audiences)} {seconds} {warn_after}", 0.0


async def ask_token(site: Site, name: str, **spec: Any) -> Obj:
    return await site.api.create(kinds.SERVICE_ACCOUNTS, "default", {"spec": spec}, name=name, subresource="token")


def test_tokens() -> None:
    async def test(site: Site) -> None:
        p = await site.create(PODS, pod("p"))
        got = await ask_token(site, "default", audiences=["x"], expirationSeconds=600)
        assert (got["kind"], got["metadata"]["name"]) == ("TokenRequest", "default")
        assert got["spec"] == {"audiences": ["x"], "expirationSeconds": 600, "boundObjectRef": None}
        assert got["status"]["token"] == "default/default : : ['x'] 600 0"
        assert times.parse(got["status"]["expirationTimestamp"]) - times.parse(got["metadata"]["creationTimestamp"]) == 600
        assert (await ask_token(site, "default"))["spec"]["audiences"] == ["https://issuer"]
        bound = await ask_token(site, "default", boundObjectRef={"kind": "Pod", "name": "p", "apiVersion": "v1"})
        assert f"Pod:{p['metadata']['uid']} :" in bound["status"]["token"]
        with refused(422, "Invalid", "may not specify a duration less than 10 minutes"):
            await ask_token(site, "default", expirationSeconds=599)
        with refused(422, "Invalid", "Invalid value: 0: may not specify a duration less than 10 minutes"):
            await ask_token(site, "default", expirationSeconds=0)
        with refused(422, "Invalid", "may not specify a duration larger than 2^32 seconds"):
            await ask_token(site, "default", expirationSeconds=2**32 + 1)
        with refused(404, "NotFound", 'pods "nope" not found'):
            await ask_token(site, "default", boundObjectRef={"kind": "Pod", "name": "nope"})
        with refused(409, "Conflict", "the UID in the bound object reference (other) does not match the UID in record"):
            await ask_token(site, "default", boundObjectRef={"kind": "Pod", "name": "p", "uid": "other"})
        with refused(400, "BadRequest", "cannot bind token to object of type a/v1, Kind=Foo"):
            await ask_token(site, "default", boundObjectRef={"kind": "Foo", "name": "p", "apiVersion": "a/v1"})
        with refused(400, "BadRequest", "cannot bind token to object of type /, Kind="):
            await ask_token(site, "default", boundObjectRef={})
        with refused(404, "NotFound", 'serviceaccounts "nope" not found'):
            await ask_token(site, "nope")

    run(test, tokens=Issuer())


def test_a_token_for_a_pod_knows_its_node() -> None:
    async def test(site: Site) -> None:
        await site.create(PODS, pod("p", node="n1"))
        ref = {"kind": "Pod", "name": "p"}
        assert " n1: " in (await ask_token(site, "default", boundObjectRef=ref))["status"]["token"]
        node = await site.create(kinds.NODES, {"metadata": {"name": "n1"}})
        assert f" n1:{node['metadata']['uid']} " in (await ask_token(site, "default", boundObjectRef=ref))["status"]["token"]
        # What admission mounts lives for a year, as long as its pod does, and says when it should have been read again.
        mounted = await ask_token(site, "default", boundObjectRef=ref, expirationSeconds=3607)
        assert mounted["status"]["token"].endswith(" 31536000 3607")
        assert times.parse(mounted["status"]["expirationTimestamp"]) - times.parse(mounted["metadata"]["creationTimestamp"]) == 3607
        await site.create(kinds.SERVICE_ACCOUNTS, {"metadata": {"name": "other"}})
        with refused(400, "BadRequest", 'cannot bind token for serviceaccount "other" to pod running with different serviceaccount name.'):
            await ask_token(site, "other", boundObjectRef=ref)

    run(test, tokens=Issuer())


def test_a_token_request_means_the_account_that_it_names() -> None:
    async def test(site: Site) -> None:
        async def ask(**metadata: str) -> None:
            body = {"metadata": metadata, "spec": {}}
            await site.api.create(kinds.SERVICE_ACCOUNTS, "default", body, name="default", subresource="token")

        with refused(422, "Invalid", 'metadata.name: Invalid value: "zz": must match the service account name if specified'):
            await ask(name="zz")
        with refused(400, "BadRequest", "the namespace of the provided object does not match the namespace sent on the request"):
            await ask(namespace="zz")
        with refused(409, "Conflict", "the UID in the token request (zz) does not match the UID of the service account"):
            await ask(uid="zz")
        await ask(name="default", namespace="default")

    run(test, tokens=Issuer())


def test_no_tokens_without_a_key() -> None:
    async def test(site: Site) -> None:
        with refused(503, "ServiceUnavailable", "issues no tokens"):
            await ask_token(site, "default")

    run(test)


def test_logs_come_from_the_node() -> None:
    nodes = Nodes([b"one\n", b"two\n"])

    async def test(site: Site) -> None:
        p = await site.create(PODS, pod("p", node="n"))
        chunks = [chunk async for chunk in site.api.logs("default", "p", LogOptions(follow=True, tail_lines=5))]
        assert chunks == [b"one\n", b"two\n"]
        ((namespace, name, uid, options),) = nodes.asked
        assert (namespace, name, uid) == ("default", "p", p["metadata"]["uid"])
        assert (options.container, options.follow, options.tail_lines) == ("main", True, 5)

    run(test, node=nodes)


TWO = {
    "containers": [{"name": "c", "image": "i"}, {"name": "d", "image": "i"}],
    "initContainers": [{"name": "e", "image": "i"}],
    "nodeName": "n",
}


@pytest.mark.parametrize(
    ("name", "container", "code", "message"),
    [
        ("nope", "", 404, 'pods "nope" not found'),
        ("two", "", 400, "a container name must be specified for pod two, choose one of: [e c d]"),
        ("two", "zz", 400, "container zz is not valid for pod two"),
        ("waiting", "", 400, "pod waiting does not have a host assigned"),
        ("lost", "c", 404, 'pods "nowhere" not found'),
        ("two", "e", 503, 'the node "n", on which pod two runs, is not connected to this server'),
    ],
)
def test_logs_refuse(name: str, container: str, code: int, message: str) -> None:
    async def test(site: Site) -> None:
        await site.create(kinds.NODES, {"metadata": {"name": "n"}})
        await site.create(PODS, {"metadata": {"name": "two"}, "spec": TWO})
        await site.create(PODS, {"metadata": {"name": "lost"}, "spec": {**TWO, "nodeName": "nowhere"}})
        await site.create(PODS, pod("waiting"))
        reason = {404: "NotFound", 400: "BadRequest", 503: "ServiceUnavailable"}[code]
        with refused(code, reason, message):
            async for _ in site.api.logs("default", name, LogOptions(container=container)):
                pass

    run(test)


def test_other_subresources_are_not_there() -> None:
    async def test(site: Site) -> None:
        await site.create(CONFIG_MAPS, config_map("c"))
        registry = site.server.registry
        with refused(405, "MethodNotAllowed"):
            await registry.create(Request(ADMIN, CONFIG_MAPS, "default", "c", "binding"), {}, WriteOptions())
        with refused(405, "MethodNotAllowed"):
            await registry.update(Request(ADMIN, CONFIG_MAPS, "default", "c", "finalize"), config_map("c"), WriteOptions())

    run(test)
