"""kopf: a small operator with handlers, a daemon of children, its finalizer, its status and its events."""

import asyncio
import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import kopf
import pytest

from lightship.testing import Cluster
from tests.platform.kit import Api, eventually

from .shared import GROUP, config_map, widget

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
]


def registered(namespace: str) -> kopf.OperatorRegistry:
    """The handlers of an operator that keeps one ConfigMap per widget, with the widget's size in it."""
    registry = kopf.OperatorRegistry()
    on: Any = kopf.on
    on.login(registry=registry)(kopf.login_with_kubeconfig)

    @on.startup(registry=registry)
    def configure(settings: kopf.OperatorSettings, **_: Any) -> None:
        settings.posting.level = 20
        settings.posting.enabled = True

    @on.create(GROUP, "v1", "widgets", registry=registry)
    async def made(spec: kopf.Spec, name: str, patch: kopf.Patch, body: kopf.Body, **_: Any) -> str:
        child = config_map(name, size=str(spec["size"]))
        kopf.adopt(child, owner=body)
        patch.status["child"] = json.dumps(child)
        kopf.info(body, reason="Made", message=f"made for {name}")
        return "done"

    @on.update(GROUP, "v1", "widgets", field="spec.size", registry=registry)
    async def sized(old: Any, new: Any, patch: kopf.Patch, **_: Any) -> None:
        patch.status["change"] = f"{old}-{new}"

    @on.delete(GROUP, "v1", "widgets", registry=registry)
    async def gone(**_: Any) -> None: ...

    return registry


@pytest.fixture
def operator(platform: Cluster, namespace: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("KUBECONFIG", platform.kubeconfig)
    stop, ready = threading.Event(), threading.Event()

    def run() -> None:
        work = kopf.operator(registry=registered(namespace), namespaces=[namespace], standalone=True, stop_flag=stop, ready_flag=ready)
        asyncio.run(work)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    assert ready.wait(20)
    yield
    stop.set()
    thread.join(20)
    assert not thread.is_alive()


def test_an_operator(platform: Cluster, namespace: str, operator: None) -> None:
    api = Api.of(Path(platform.kubeconfig))
    path = f"/apis/{GROUP}/v1/namespaces/{namespace}/widgets"
    api.create(path, widget("w", 1))
    made = api.until(f"{path}/w", lambda found: found.get("status", {}).get("made") == "done", "the operator answered")
    child = json.loads(made["status"]["child"])
    assert child["metadata"]["ownerReferences"][0]["uid"] == made["metadata"]["uid"]
    assert made["metadata"]["finalizers"] == ["kopf.zalando.org/KopfFinalizerMarker"]
    assert "kopf.zalando.org/last-handled-configuration" in made["metadata"]["annotations"]
    assert api.call("PATCH", f"{path}/w", {"spec": {"size": 2}}, content_type="application/merge-patch+json").code == 200
    api.until(f"{path}/w", lambda found: found["status"].get("change") == "1-2", "the operator saw the change")
    events = f"/api/v1/namespaces/{namespace}/events"
    eventually(lambda: "Made" in {event["reason"] for event in api.get(events)["items"]}, "its event is there")
    api.delete(f"{path}/w")
    eventually(lambda: api.call("GET", f"{path}/w").code == 404, "the finalizer was taken off")
