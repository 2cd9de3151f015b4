"""kopf: operators with handlers, retries, timers, daemons, finalizers, events, admission webhooks and peering.

Each operator runs in a thread of its own, as it is published: it finds what is served, watches it and writes to it over TLS.
"""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import kopf
import pytest
from kopf import on

from lightship.aio.clock import SystemClock
from lightship.apiserver.access import pki
from lightship.apiserver.transport import tls
from lightship.testing import Cluster
from tests.platform.kit import Api, eventually

from .shared import GROUP, config_map, definition, widget

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore::DeprecationWarning")]
LIMIT = 60
MERGE = "application/merge-patch+json"


@contextmanager
def operating(platform: Cluster, registry: kopf.OperatorRegistry, **settings: Any) -> Iterator[None]:
    """An operator with these handlers, from when it watches until it has taken its leave."""
    stop, ready = threading.Event(), threading.Event()
    broken: list[BaseException] = []
    on.login(registry=registry)(kopf.login_with_kubeconfig)

    def run() -> None:
        try:
            asyncio.run(kopf.operator(registry=registry, stop_flag=stop, ready_flag=ready, **settings))
        except BaseException as error:
            broken.append(error)
            ready.set()

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    assert ready.wait(LIMIT)
    try:
        yield
    finally:
        stop.set()
        thread.join(LIMIT)
        assert not thread.is_alive()
        assert not broken


@pytest.fixture
def api(platform: Cluster, monkeypatch: pytest.MonkeyPatch) -> Api:
    monkeypatch.setenv("KUBECONFIG", platform.kubeconfig)
    return Api.of(Path(platform.kubeconfig))


def keeper(api: Api) -> kopf.OperatorRegistry:
    """An operator that keeps one ConfigMap for each widget, with the widget's size in it."""
    registry = kopf.OperatorRegistry()

    @on.create(GROUP, "v1", "widgets", registry=registry, id="made")
    async def made(spec: kopf.Spec, name: str, namespace: Any, body: kopf.Body, **_: Any) -> str:
        child = config_map(name, size=str(spec["size"]))
        kopf.adopt(child, owner=body)
        await asyncio.to_thread(api.create, f"/api/v1/namespaces/{namespace}/configmaps", child)
        kopf.info(body, reason="Made", message=f"made for {name}")
        return "done"

    @on.update(GROUP, "v1", "widgets", field="spec.size", registry=registry, id="sized")
    async def sized(old: Any, new: Any, retry: int, patch: kopf.Patch, name: str, namespace: Any, **_: Any) -> None:
        if not retry:
            raise kopf.TemporaryError("the first try fails", delay=0.01)
        path = f"/api/v1/namespaces/{namespace}/configmaps/{name}"
        assert (await asyncio.to_thread(api.call, "PATCH", path, {"data": {"size": str(new)}}, content_type=MERGE)).code == 200
        patch.status["change"] = f"{old}-{new} at try {retry}"

    @on.delete(GROUP, "v1", "widgets", registry=registry, id="gone")
    async def gone(name: str, namespace: Any, **_: Any) -> None:
        await asyncio.to_thread(api.create, f"/api/v1/namespaces/{namespace}/configmaps", config_map(f"{name}-was"))

    return registry


def test_an_object_from_its_creation_to_its_end(platform: Cluster, api: Api, namespace: str) -> None:
    path = f"/apis/{GROUP}/v1/namespaces/{namespace}/widgets"
    maps, events = f"/api/v1/namespaces/{namespace}/configmaps", f"/api/v1/namespaces/{namespace}/events"
    with operating(platform, keeper(api), namespaces=[namespace], standalone=True):
        api.create(path, widget("w", 1))
        made = api.until(f"{path}/w", lambda found: found.get("status", {}).get("made") == "done", "the operator answered")
        assert made["metadata"]["finalizers"] == ["kopf.zalando.org/KopfFinalizerMarker"]
        assert '"size":1' in made["metadata"]["annotations"]["kopf.zalando.org/last-handled-configuration"]
        child = api.get(f"{maps}/w")
        assert (child["data"], child["metadata"]["ownerReferences"][0]["uid"]) == ({"size": "1"}, made["metadata"]["uid"])
        eventually(lambda: "Made" in {event["reason"] for event in api.get(events)["items"]}, "its event is there")
        assert api.call("PATCH", f"{path}/w", {"spec": {"size": 2}}, content_type=MERGE).code == 200
        api.until(f"{path}/w", lambda found: found["status"].get("change") == "1-2 at try 1", "the operator saw the change")
        assert api.get(f"{maps}/w")["data"] == {"size": "2"}
        api.delete(f"{path}/w")
        eventually(lambda: api.call("GET", f"{path}/w").code == 404, "the finalizer was taken off")
        assert api.get(f"{maps}/w-was")["metadata"]["name"] == "w-was"
        eventually(lambda: api.call("GET", f"{maps}/w").code == 404, "the child went with its owner")


def test_timers_and_daemons_of_two_runs(platform: Cluster, api: Api, namespace: str) -> None:
    path = f"/apis/{GROUP}/v1/namespaces/{namespace}/widgets"
    registry, ended = kopf.OperatorRegistry(), threading.Event()

    @on.resume(GROUP, "v1", "widgets", registry=registry, id="resumed")
    async def resumed(**_: Any) -> bool:
        return True

    @on.timer(GROUP, "v1", "widgets", interval=0.02, registry=registry, id="ticked")
    async def ticked(patch: kopf.Patch, status: kopf.Status, **_: Any) -> None:
        if (count := status.get("ticks", 0)) < 3:
            patch.status["ticks"] = count + 1

    @on.daemon(GROUP, "v1", "widgets", registry=registry, id="stayed", cancellation_timeout=LIMIT)
    async def stayed(stopped: kopf.DaemonStopped, patch: kopf.Patch, **_: Any) -> None:
        try:
            await stopped.wait(LIMIT)
        finally:
            ended.set()

    api.create(path, widget("w"))
    with operating(platform, registry, namespaces=[namespace], standalone=True):
        found = api.until(f"{path}/w", lambda found: found.get("status", {}).get("ticks") == 3, "the timer ticked")
        assert found["metadata"]["generation"] == 1
        assert "resumed" not in found["status"]
    assert ended.is_set()
    with operating(platform, registry, namespaces=[namespace], standalone=True):
        api.until(f"{path}/w", lambda found: found["status"].get("resumed"), "it was taken up")
        api.delete(f"{path}/w")
        eventually(lambda: api.call("GET", f"{path}/w").code == 404, "the daemon let go of it")


def test_admission_handlers(platform: Cluster, api: Api, namespace: str, tmp_path: Path) -> None:
    made = definition("gizmos", "Gizmo")
    api.create("/apis/apiextensions.k8s.io/v1/customresourcedefinitions", made)
    pki.issue(tmp_path, SystemClock().now())
    registry = kopf.OperatorRegistry()

    @on.startup(registry=registry)
    def configure(settings: kopf.OperatorSettings, **_: Any) -> None:
        ca, certificate, key = (tmp_path / name for name in (tls.CA, tls.CERTIFICATE, tls.KEY))
        settings.admission.server = kopf.WebhookServer(addr="127.0.0.1", cafile=ca, certfile=certificate, pkeyfile=key)
        settings.admission.managed = "clients.kopf.dev"

    @on.validate(GROUP, "v1", "gizmos", registry=registry, id="small")
    def small(spec: kopf.Spec, warnings: list[str], **_: Any) -> None:
        if spec["size"] > 9:
            raise kopf.AdmissionError("too large", code=418)
        warnings.append("looked at")

    @on.mutate(GROUP, "v1", "gizmos", registry=registry, id="red")
    def red(patch: kopf.Patch, **_: Any) -> None:
        patch.spec["color"] = "red"

    def gizmo(name: str, size: int) -> dict[str, Any]:
        return {**widget(name, size), "kind": "Gizmo"}

    path = f"/apis/{GROUP}/v1/namespaces/{namespace}/gizmos"
    with operating(platform, registry, clusterwide=True, standalone=True):
        names = ("validatingwebhookconfigurations", "mutatingwebhookconfigurations")
        there = [f"/apis/admissionregistration.k8s.io/v1/{name}/clients.kopf.dev" for name in names]
        for found in there:
            api.until(found, lambda configuration: configuration.get("webhooks"), "the operator wrote its webhooks down")
        assert api.create(path, gizmo("a", 1))["spec"] == {"size": 1, "color": "red"}
        refused = api.call("POST", path, gizmo("b", 10))
        assert (refused.code, refused.body["message"]) == (418, 'admission webhook "small.clients.kopf.dev" denied the request: too large')


PEERING = {
    "apiVersion": "apiextensions.k8s.io/v1",
    "kind": "CustomResourceDefinition",
    "metadata": {"name": "kopfpeerings.kopf.dev"},
    "spec": {
        "scope": "Namespaced",
        "group": "kopf.dev",
        "names": {"kind": "KopfPeering", "plural": "kopfpeerings", "singular": "kopfpeering"},
        "versions": [
            {
                "name": "v1",
                "served": True,
                "storage": True,
                "schema": {
                    "openAPIV3Schema": {
                        "type": "object",
                        "properties": {"status": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}},
                    }
                },
            }
        ],
    },
}


def answering(name: str) -> kopf.OperatorRegistry:
    """An operator that writes its name to each widget it sees first."""
    registry = kopf.OperatorRegistry()

    @on.create(GROUP, "v1", "widgets", registry=registry, id="answered")
    async def answered(**_: Any) -> str:
        return name

    return registry


def test_of_two_operators_the_higher_one_works(platform: Cluster, api: Api, namespace: str) -> None:
    api.create("/apis/apiextensions.k8s.io/v1/customresourcedefinitions", PEERING)
    peerings = f"/apis/kopf.dev/v1/namespaces/{namespace}/kopfpeerings"
    api.create(peerings, {"apiVersion": "kopf.dev/v1", "kind": "KopfPeering", "metadata": {"name": "both"}})
    path = f"/apis/{GROUP}/v1/namespaces/{namespace}/widgets"
    shared: dict[str, Any] = {"namespaces": [namespace], "peering_name": "both"}
    with operating(platform, answering("low"), priority=1, identity="low", **shared):
        with operating(platform, answering("high"), priority=2, identity="high", **shared):
            api.until(
                f"{peerings}/both", lambda found: {"low", "high"} <= found.get("status", {}).keys(), "both have said that they are there"
            )
            api.create(path, widget("first"))
            found = api.until(f"{path}/first", lambda found: found.get("status", {}).get("answered"), "one has answered")
            assert found["status"] == {"answered": "high"}
        api.until(f"{peerings}/both", lambda found: not found["status"].get("high"), "it said that it goes")
        api.create(path, widget("second"))
        api.until(f"{path}/second", lambda found: found.get("status", {}).get("answered") == "low", "the other one works now")
