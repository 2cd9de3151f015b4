"""The programs that people have, unmodified, against our HTTP front: the official Python client, and kubectl where there is one.

Both are synchronous, so the server runs on a thread of its own, over TLS, in real time.
"""

import asyncio
import json
import random
import shutil
import subprocess
import threading
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import pytest

from lightship import kinds, store
from lightship.aio.clock import SystemClock
from lightship.apiserver.access import pki
from lightship.apiserver.access.authn import StaticTokens
from lightship.apiserver.http import serve
from lightship.apiserver.server import Server
from lightship.apiserver.transport import tls
from lightship.meta.rest import LogOptions
from tests.apiserver.http_site import TOKENS, pod
from tests.apiserver.site import GADGETS
from tests.talkless import Talkless

pytestmark = pytest.mark.slow


class Lines(Talkless):
    """A node whose every container has said the same."""

    async def logs(self, namespace: str, pod: str, uid: str, options: LogOptions) -> AsyncIterator[bytes]:
        for line in (b"one\n", b"two\n", b"three\n"):
            yield line
            await asyncio.sleep(0)


async def main(directory: Path, started: "Future[tuple[int, asyncio.AbstractEventLoop, asyncio.Event]]") -> None:
    clock = SystemClock()
    pki.issue(directory, clock.now())
    node = Lines()
    server = Server(store.memory(), (*kinds.BUILTIN, GADGETS), clock=clock, random=random.Random(3), nodes=lambda name: node)
    listener = await serve(server, tls=tls.server_context(directory), authenticator=StaticTokens(TOKENS))
    stop = asyncio.Event()
    started.set_result((listener.port, asyncio.get_running_loop(), stop))
    await stop.wait()
    await listener.close()


@pytest.fixture(scope="module")
def kubeconfig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    directory = tmp_path_factory.mktemp("pki")
    started: Future[tuple[int, asyncio.AbstractEventLoop, asyncio.Event]] = Future()
    thread = threading.Thread(target=lambda: asyncio.run(main(directory, started)))
    thread.start()
    port, loop, stop = started.result(20)
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "c", "cluster": {"server": f"https://localhost:{port}", "certificate-authority": str(directory / tls.CA)}}],
        "users": [{"name": "admin", "user": {"token": "admin-token"}}],
        "contexts": [{"name": "x", "context": {"cluster": "c", "user": "admin"}}],
        "current-context": "x",
    }
    path = directory / "kubeconfig"
    path.write_text(json.dumps(config))
    yield str(path)
    loop.call_soon_threadsafe(stop.set)
    thread.join(20)


@pytest.fixture(scope="module")
def python_client(kubeconfig: str) -> Iterator[Any]:
    kubernetes = pytest.importorskip("kubernetes")
    with kubernetes.config.new_client_from_config(kubeconfig) as client:
        yield kubernetes.client.CoreV1Api(client)


def test_the_python_client_lives_a_whole_life(python_client: Any) -> None:
    kubernetes = pytest.importorskip("kubernetes")
    body = kubernetes.client.V1ConfigMap(metadata=kubernetes.client.V1ObjectMeta(name="py", labels={"a": "b"}), data={"k": "v"})
    made = python_client.create_namespaced_config_map("default", body)
    assert made.metadata.uid
    patched = python_client.patch_namespaced_config_map("py", "default", {"data": {"k": "w"}})
    assert patched.data == {"k": "w"}
    listed = python_client.list_namespaced_config_map("default", label_selector="a=b")
    assert [item.metadata.name for item in listed.items] == ["py"]
    watch = kubernetes.watch.Watch()
    events = watch.stream(
        python_client.list_namespaced_config_map, "default", resource_version=made.metadata.resource_version, timeout_seconds=5
    )
    assert next(events)["type"] == "MODIFIED"
    watch.stop()
    python_client.delete_namespaced_config_map("py", "default")
    with pytest.raises(kubernetes.client.ApiException) as refused:
        python_client.read_namespaced_config_map("py", "default")
    assert (refused.value.status, json.loads(refused.value.body)["reason"]) == (404, "NotFound")


def test_the_python_client_follows_logs(python_client: Any) -> None:
    python_client.create_namespaced_pod("default", pod("talker"))
    assert python_client.read_namespaced_pod_log("talker", "default") == "one\ntwo\nthree\n"
    stream = python_client.read_namespaced_pod_log("talker", "default", follow=True, _preload_content=False)
    assert b"".join(stream.stream()) == b"one\ntwo\nthree\n"


def test_the_python_client_speaks_of_custom_objects(python_client: Any) -> None:
    kubernetes = pytest.importorskip("kubernetes")
    api = kubernetes.client.CustomObjectsApi(python_client.api_client)
    gadget = {"apiVersion": "example.com/v1", "kind": "Gadget", "metadata": {"name": "g"}, "spec": {"size": 1}}
    api.create_namespaced_custom_object("example.com", "v1", "default", "gadgets", gadget)
    api.patch_namespaced_custom_object("example.com", "v1", "default", "gadgets", "g", {"spec": {"size": 2}})
    assert api.get_namespaced_custom_object("example.com", "v1", "default", "gadgets", "g")["spec"]["size"] == 2


@pytest.fixture
def kubectl(kubeconfig: str, tmp_path: Path) -> Any:
    program = shutil.which("kubectl")
    if program is None:
        pytest.skip("kubectl is not installed")

    def run(*arguments: str, given: str = "", fails: bool = False) -> str:
        command = [program, "--kubeconfig", kubeconfig, "--cache-dir", str(tmp_path), *arguments]
        done = subprocess.run(command, input=given, capture_output=True, text=True, timeout=30, check=False)
        assert (done.returncode != 0) == fails, done.stderr
        return done.stderr if fails else done.stdout

    return run


MANIFEST = """
apiVersion: v1
kind: ConfigMap
metadata: {name: kubectl, labels: {from: kubectl}}
data: {k: "%s"}
---
apiVersion: example.com/v1
kind: Gadget
metadata: {name: kubectl}
spec: {size: 5}
"""


def test_kubectl_applies_gets_and_deletes(kubectl: Any) -> None:
    assert "configmap/kubectl created" in kubectl("apply", "-f", "-", given=MANIFEST % "v")
    assert "configmap/kubectl unchanged" in kubectl("apply", "-f", "-", given=MANIFEST % "v")
    assert "configmap/kubectl configured" in kubectl("apply", "-f", "-", given=MANIFEST % "w")
    lines = kubectl("get", "configmaps", "-l", "from=kubectl").splitlines()
    assert lines[0].split() == ["NAME", "DATA", "AGE"]
    assert lines[1].split()[0] == "kubectl"
    assert "gadget.example.com/kubectl\n" in kubectl("get", "gadgets", "-o", "name")
    assert "size: 5" in kubectl("get", "gadget", "kubectl", "-o", "yaml")
    assert "deleted" in kubectl("delete", "-f", "-", given=MANIFEST % "w")
    assert "NotFound" in kubectl("get", "configmap", "kubectl", fails=True)


def test_kubectl_applies_on_the_server_and_tells_of_conflicts(kubectl: Any) -> None:
    manifest = MANIFEST.replace("name: kubectl", "name: served")
    assert "configmap/served serverside-applied" in kubectl("apply", "--server-side", "-f", "-", given=manifest % "v")
    kubectl("patch", "configmap", "served", "--field-manager=ed", "-p", '{"data":{"k":"x"}}')
    told = kubectl("apply", "--server-side", "-f", "-", given=manifest % "w", fails=True)
    assert 'Apply failed with 1 conflict: conflict with "ed" using v1: .data.k' in told
    kubectl("apply", "--server-side", "--force-conflicts", "-f", "-", given=manifest % "w")
    managers = kubectl("get", "configmap", "served", "--show-managed-fields", "-o", "jsonpath={.metadata.managedFields[*].manager}")
    assert managers == "kubectl"
    kubectl("delete", "-f", "-", given=manifest % "w")


def test_kubectl_takes_over_what_it_applied_from_its_side(kubectl: Any) -> None:
    manifest = MANIFEST.replace("name: kubectl", "name: moved")
    kubectl("apply", "-f", "-", given=manifest % "v")
    kubectl("apply", "--server-side", "-f", "-", given=manifest % "w")
    assert kubectl("get", "configmap", "moved", "-o", "jsonpath={.data.k}") == "w"
    shown = kubectl("get", "configmap", "moved", "--show-managed-fields", "-o", "jsonpath={.metadata.managedFields[*].manager}")
    assert shown == "kubectl-last-applied kubectl"
    kubectl("delete", "-f", "-", given=manifest % "w")


def test_kubectl_discovers_explains_and_validates(kubectl: Any) -> None:
    assert "gadgets" in kubectl("api-resources")
    assert "example.com/v1" in kubectl("api-versions")
    assert "size\t<integer> -required-" in kubectl("explain", "gadget.spec")
    bad = MANIFEST.replace("\ndata:", "\ndota:") % "v"
    assert 'unknown field "dota"' in kubectl("apply", "-f", "-", given=bad, fails=True)


def test_kubectl_waits_and_follows(kubectl: Any) -> None:
    kubectl("create", "-f", "-", given=json.dumps(pod("told")))
    assert kubectl("logs", "told", "--follow") == "one\ntwo\nthree\n"
    assert "condition met" in kubectl("wait", "--for=jsonpath={.status.phase}=Pending", "pod/told", "--timeout=10s")
    assert kubectl("get", "--raw", "/readyz") == "ok"
