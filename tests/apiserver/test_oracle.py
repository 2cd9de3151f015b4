"""The same questions to a real kube-apiserver and to ours; code, reason and message must agree.

Runs when `KUBEBUILDER_ASSETS` names a folder with `etcd` and `kube-apiserver`. Waits in real time for those two to start.
"""

import asyncio
import http.client
import random
import re
import socket
import ssl
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from lightship import kinds, store
from lightship.aio.clock import SystemClock, pause
from lightship.apiserver.access.authn import StaticTokens
from lightship.apiserver.http import serve
from lightship.apiserver.server import Server
from lightship.meta import codec
from lightship.meta.objects import Obj
from lightship.meta.rest import User
from oracle import programs
from tests import oracle

ASSETS = Path(oracle.ASSETS)
pytestmark = oracle.marks
N = "/api/v1/namespaces/default"
START_SECONDS = 60.0


class Step(NamedTuple):
    """One request; `loose` compares code and reason only, where the texts name Go types or internals."""

    method: str
    path: str
    body: Any = None
    type: str = "application/json"
    loose: bool = False


MERGE, JSON6902 = "application/merge-patch+json", "application/json-patch+json"
POD = {"metadata": {"name": "p", "finalizers": ["x/y"]}, "spec": {"nodeName": "n1", "containers": [{"name": "c", "image": "i"}]}}
TWO = {"containers": [{"name": "c", "image": "i"}, {"name": "d", "image": "i"}], "initContainers": [{"name": "e", "image": "i"}]}
JOBS = "/apis/batch/v1/namespaces/default/jobs"
JOB = {"spec": {"template": {"spec": {"restartPolicy": "Never", "containers": [{"name": "c", "image": "i"}]}}}}
CRD_SCHEMA = {"type": "object", "properties": {"spec": {"type": "object", "properties": {"n": {"type": "integer", "minimum": 1}}}}}
CRD = {
    "apiVersion": "apiextensions.k8s.io/v1",
    "kind": "CustomResourceDefinition",
    "metadata": {"name": "foos.example.com"},
    "spec": {
        "group": "example.com",
        "scope": "Namespaced",
        "names": {"plural": "foos", "kind": "Foo"},
        "versions": [
            {"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": CRD_SCHEMA}, "subresources": {"status": {}}}
        ],
    },
}
FOOS = "/apis/example.com/v1/namespaces/default/foos"

STEPS = [
    Step("POST", f"{N}/configmaps", {"metadata": {"name": "a", "resourceVersion": "5"}}),
    Step("POST", f"{N}/configmaps", {"metadata": {"name": "a", "namespace": "x"}}),
    Step("POST", f"{N}/configmaps", {"kind": "Secret", "apiVersion": "v1", "metadata": {"name": "a"}}, loose=True),
    Step("POST", f"{N}/configmaps", {"metadata": {}}),
    Step("POST", f"{N}/configmaps", {"metadata": {"name": "A_"}}),
    Step("POST", f"{N}/configmaps", {"metadata": {"generateName": "A_"}}),
    Step("POST", f"{N}/configmaps", {"metadata": {"name": "a", "labels": {"a b": "c d"}, "finalizers": ["x"]}}),
    Step("POST", "/api/v1/namespaces/nope/configmaps", {"metadata": {"name": "a"}}),
    Step("POST", f"{N}/configmaps", {"metadata": {"name": "a"}, "data": {"x": 1}}),
    Step("POST", f"{N}/configmaps?fieldValidation=Strict", {"metadata": {"name": "a", "foo": 1}, "bar": {"x": 1}}),
    Step("POST", f"{N}/configmaps?fieldValidation=Foo", {"metadata": {"name": "a"}}),
    Step("PATCH", f"{N}/configmaps/a?fieldValidation=Foo", {}, MERGE),
    Step("POST", f"{N}/configmaps", [], loose=True),
    Step("POST", f"{N}/configmaps", {"metadata": {"name": "a"}, "data": {"x": "1"}}),
    Step("POST", f"{N}/configmaps", {"metadata": {"name": "a"}, "data": {"x": "1"}}),
    Step("PUT", f"{N}/configmaps/a", {"metadata": {"name": "b"}}),
    Step("PUT", f"{N}/configmaps/a", {"metadata": {"name": "a", "resourceVersion": "1"}}),
    Step("PUT", f"{N}/configmaps/a", {"metadata": {"name": "a", "uid": "zzz"}}, loose=True),
    Step("PUT", f"{N}/configmaps/nope", {"metadata": {"name": "nope"}}),
    Step("PUT", f"{N}/configmaps/a", {"metadata": {"name": "a", "namespace": "other"}}),
    Step("PUT", f"{N}/configmaps/a", {"metadata": {"name": "a", "deletionTimestamp": "2020-01-01T00:00:00Z"}}),
    Step("PUT", f"{N}/configmaps/a", {"data": {"x": "2"}}),
    Step("PATCH", f"{N}/configmaps/a", {"metadata": {"name": "b"}}, MERGE),
    Step("PATCH", f"{N}/configmaps/a", {"metadata": {"resourceVersion": "1"}}, MERGE),
    Step("PATCH", f"{N}/configmaps/a", {"metadata": {"uid": "1"}}, MERGE),
    Step("PATCH", f"{N}/configmaps/a", [{"op": "test", "path": "/data/x", "value": "z"}], JSON6902, loose=True),
    Step("PATCH", f"{N}/configmaps/a", [{"op": "foo", "path": "/data/x"}], JSON6902, loose=True),
    Step("PATCH", f"{N}/configmaps/a", {"op": "foo"}, JSON6902, loose=True),
    Step("PATCH", f"{N}/configmaps/a", [1], MERGE, loose=True),
    Step("PATCH", f"{N}/configmaps/a", {"data": {"x": 1}}, MERGE, loose=True),
    Step("PATCH", f"{N}/configmaps/a", {}, "application/foo", loose=True),
    Step("PATCH", f"{N}/configmaps/a", {"kind": "Pod"}, MERGE, loose=True),
    Step("PATCH", f"{N}/configmaps/a", {}, "application/apply-patch+yaml"),
    Step("PATCH", f"{N}/configmaps/nope", {}, MERGE),
    Step("GET", f"{N}/configmaps?resourceVersionMatch=Exact"),
    Step("GET", f"{N}/configmaps?resourceVersion=0&resourceVersionMatch=Exact"),
    Step("GET", f"{N}/configmaps?resourceVersion=5&resourceVersionMatch=Foo"),
    Step("GET", f"{N}/configmaps?fieldSelector=foo=bar"),
    Step("GET", f"{N}/pods?fieldSelector=foo=bar"),
    Step("GET", f"{N}/pods?labelSelector=a%20b"),
    Step("GET", f"{N}/configmaps?continue=abc", loose=True),
    Step("GET", f"{N}/configmaps?resourceVersion=abc", loose=True),
    Step("GET", f"{N}/configmaps?resourceVersion=9999999"),
    Step("GET", f"{N}/configmaps/a?resourceVersion=9999999"),
    Step("GET", f"{N}/configmaps?resourceVersion=9999999&resourceVersionMatch=Exact"),
    Step("GET", f"{N}/configmaps?watch=1&sendInitialEvents=true&timeoutSeconds=1"),
    Step("GET", f"{N}/configmaps?watch=1&resourceVersionMatch=NotOlderThan&timeoutSeconds=1"),
    Step("GET", f"{N}/configmaps?watch=1&resourceVersionMatch=Exact&timeoutSeconds=1&sendInitialEvents=true"),
    Step("POST", f"{N}/pods", POD),
    Step("DELETE", f"{N}/pods/p", {"propagationPolicy": "Foo"}),
    Step("DELETE", f"{N}/pods/p", {"preconditions": {"uid": "zz"}}),
    Step("DELETE", f"{N}/pods/p", {"preconditions": {"resourceVersion": "1"}}),
    Step("DELETE", f"{N}/pods/p", {"gracePeriodSeconds": 5}),
    Step("DELETE", f"{N}/pods/p", {"gracePeriodSeconds": 3}),
    Step("DELETE", f"{N}/pods/p", {"gracePeriodSeconds": 30}),
    Step("DELETE", f"{N}/pods/p", {"gracePeriodSeconds": 0}),
    Step("PATCH", f"{N}/pods/p", {"metadata": {"finalizers": ["x/y", "z/z"]}}, MERGE),
    Step("POST", f"{N}/pods", POD),
    Step("PATCH", f"{N}/pods/p", {"metadata": {"finalizers": None}}, MERGE),
    Step("GET", f"{N}/pods/p"),
    Step("POST", f"{N}/pods", {"metadata": {"name": "p2"}, "spec": TWO}),
    Step("POST", f"{N}/pods/p2/binding", {"target": {"kind": "Node", "name": "n1"}}),
    Step("POST", f"{N}/pods/p2/binding", {"metadata": {"name": "p2"}, "target": {"kind": "Node", "name": "n1"}}),
    Step("POST", f"{N}/pods/p2/binding", {"metadata": {"name": "p2"}, "target": {"kind": "Node", "name": "n1"}}),
    Step("GET", f"{N}/pods/p2/log"),
    Step("GET", f"{N}/pods/p2/log?container=zz"),
    Step("GET", f"{N}/pods/nope/log?container=c"),
    Step("GET", f"{N}/pods/p2/foo"),
    Step("GET", f"{N}/configmaps/a/status"),
    Step("PUT", f"{N}/pods/p2/status", {"metadata": {"name": "p2"}, "status": {"phase": "Running"}}),
    Step("POST", f"{N}/pods/nope/eviction", {"metadata": {"name": "nope"}}),
    Step("DELETE", f"{N}/configmaps/a"),
    Step("DELETE", f"{N}/configmaps/a"),
    Step("POST", f"{N}/configmaps", {"metadata": {"name": "b"}}),
    Step("DELETE", f"{N}/configmaps/b", {"propagationPolicy": "Foreground"}),
    Step("DELETE", f"{N}/configmaps/b", {"propagationPolicy": "Orphan"}),
    Step("DELETE", f"{N}/configmaps/b", {"propagationPolicy": "Background"}),
    Step("GET", f"{N}/configmaps/b"),
    Step("POST", JOBS, {**JOB, "metadata": {"name": "keeps"}}),
    Step("DELETE", f"{JOBS}/keeps"),
    Step("DELETE", f"{JOBS}/keeps?propagationPolicy=Background"),
    Step("POST", JOBS, {**JOB, "metadata": {"name": "waits", "finalizers": ["foregroundDeletion"]}}),
    Step("DELETE", f"{JOBS}/waits?gracePeriodSeconds=0"),
    Step("POST", JOBS, {**JOB, "metadata": {"name": "both", "finalizers": ["x/y"]}}),
    Step("DELETE", JOBS),
    Step("GET", f"{JOBS}/both"),
    Step("DELETE", "/api/v1/namespaces/default"),
    Step("POST", "/api/v1/namespaces", {"metadata": {"name": "ns1"}}),
    Step("DELETE", "/api/v1/namespaces/ns1"),
    Step("POST", "/api/v1/namespaces/ns1/configmaps", {"metadata": {"name": "x"}}),
    Step("PUT", "/api/v1/namespaces/ns1/finalize", {"metadata": {"name": "ns1"}, "spec": {"finalizers": []}}),
    Step("GET", "/api/v1/namespaces/ns1"),
    Step("PUT", "/apis/coordination.k8s.io/v1/namespaces/default/leases/l", {"metadata": {"name": "l"}, "spec": {"holderIdentity": "x"}}),
    Step("PUT", "/apis/coordination.k8s.io/v1/namespaces/default/leases/l", {"metadata": {"name": "l"}, "spec": {"holderIdentity": "y"}}),
    Step("POST", "/apis/apiextensions.k8s.io/v1/customresourcedefinitions", CRD),
    Step("POST", FOOS, {"apiVersion": "example.com/v1", "kind": "Foo", "metadata": {"name": "f"}, "spec": {"n": "x"}}),
    Step("POST", FOOS, {"apiVersion": "example.com/v1", "kind": "Foo", "metadata": {"name": "f"}, "spec": {"n": 0}}),
    Step("POST", FOOS, {"apiVersion": "example.com/v1", "kind": "Foo", "metadata": {"name": "f"}, "spec": {"n": 1, "odd": 2}}),
    Step("PUT", f"{FOOS}/f", {"apiVersion": "example.com/v1", "kind": "Foo", "metadata": {"name": "f"}, "spec": {"n": 2}}),
    Step("PATCH", f"{FOOS}/f", {"spec": {"n": 3}}, "application/strategic-merge-patch+json", loose=True),
    Step("PATCH", f"{FOOS}/f", {"spec": {"n": 3}, "status": {"a": 1}}, MERGE),
    Step("GET", f"{FOOS}?fieldSelector=spec.n=1"),
    Step("GET", f"{FOOS}/nope"),
    Step("DELETE", f"{FOOS}/f"),
]


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """The port of a real kube-apiserver with its etcd."""
    folder = tmp_path_factory.mktemp("oracle")
    etcd, peer, port = (_free_port() for _ in range(3))
    (folder / "tokens.csv").write_text('admin-token,admin,admin,"system:masters"\n')
    subprocess.run(["openssl", "genrsa", "-out", "sa.key", "2048"], cwd=folder, check=True, capture_output=True)
    client, between = f"http://127.0.0.1:{etcd}", f"http://127.0.0.1:{peer}"
    storage = [str(ASSETS / "etcd"), "--data-dir", "data", "--log-level", "error", "--listen-peer-urls", between]
    storage += ["--listen-client-urls", client, "--advertise-client-urls", client]
    server = [str(ASSETS / "kube-apiserver"), "--etcd-servers", client, "--secure-port", str(port), "--bind-address", "127.0.0.1"]
    server += ["--cert-dir", "certs", "--service-account-issuer", "https://kubernetes.default.svc", "--token-auth-file", "tokens.csv"]
    server += ["--service-account-key-file", "sa.key", "--service-account-signing-key-file", "sa.key", "--authorization-mode", "RBAC"]
    server += ["--service-cluster-ip-range", "10.0.0.0/24", "--disable-admission-plugins", "ServiceAccount", *programs.GANGS]
    with (folder / "log").open("wb") as log:
        processes = [subprocess.Popen(command, cwd=folder, stdout=log, stderr=log) for command in (storage, server)]
        try:
            _wait_ready(port, folder / "log")
            yield port
        finally:
            for process in reversed(processes):
                process.terminate()
                process.wait(20)


def test_same_answers(real: int) -> None:
    want = [_ask(real, step, tls=True) for step in STEPS]
    found = asyncio.run(_ask_ours())
    differences = []
    for step, theirs, ours in zip(STEPS, want, found, strict=True):
        if _shown(theirs, loose=step.loose) != _shown(ours, loose=step.loose):
            differences.append(f"{step.method} {step.path} {step.body}\n  real: {_shown(theirs)}\n  ours: {_shown(ours)}")
    assert not differences, "\n".join(differences)


async def _ask_ours() -> list[tuple[int, Obj]]:
    server = Server(store.memory(), kinds.BUILTIN, clock=SystemClock(), random=random.Random(0))
    authenticator = StaticTokens({"admin-token": User("admin", ("system:masters",))})
    listener = await serve(server, authenticator=authenticator)
    try:
        return [await asyncio.to_thread(_ask, listener.port, step, tls=False) for step in STEPS]
    finally:
        await listener.close()


def _ask(port: int, step: Step, *, tls: bool) -> tuple[int, Obj]:
    connection: http.client.HTTPConnection
    if tls:
        connection = http.client.HTTPSConnection("127.0.0.1", port, context=ssl._create_unverified_context(), timeout=30)
    else:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    headers = {"Authorization": "Bearer admin-token", "Content-Type": step.type, "Accept": "application/json"}
    body = None if step.body is None else codec.encode(step.body)
    # A definition is served a moment after it is stored by the real server, at once by ours.
    for _ in range(50):
        connection.request(step.method, step.path, body, headers)
        response = connection.getresponse()
        code, data = response.status, response.read()
        unserved = code == 404 and (b"could not find the requested resource" in data or not data.startswith(b"{"))
        if not (tls and unserved and "example.com" in step.path) and code != 429:
            break
        pause(0.1)
    connection.close()
    try:
        return code, codec.decode(data)
    except ValueError:
        return code, {}


def _shown(answer: tuple[int, Obj], *, loose: bool = False) -> tuple[Any, ...]:
    """What is compared: of a refusal its code, reason and message, of an object its kind and what the server decides in its metadata."""
    code, obj = answer
    if not isinstance(obj, dict) or obj.get("kind") != "Status" or obj.get("status") == "Success":
        meta = obj.get("metadata", {}) if isinstance(obj, dict) else {}
        fields = ("name", "namespace", "generation", "finalizers", "deletionGracePeriodSeconds", "labels")
        return (code, obj.get("kind"), obj.get("status") if obj.get("kind") == "Status" else "", _plain(str([meta.get(f) for f in fields])))
    if loose:
        return (code, obj.get("reason"))
    return (code, obj.get("reason"), _plain(obj.get("message") or ""), _plain(str(obj.get("details", {}).get("kind"))))


def _plain(text: str) -> str:
    """Texts without what differs from run to run: uids, versions, generated names."""
    text = re.sub(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", "UID", text)
    text = re.sub(r"current: \d+", "current: N", text)
    text = re.sub(r"in record \(\d+\)", "in record (N)", text)
    return re.sub(r"A_[a-z0-9]{5}", "A_NNNNN", text)


def _wait_ready(port: int, log: Path) -> None:
    end = time.monotonic() + START_SECONDS
    while time.monotonic() < end:
        try:
            if _ask(port, Step("GET", "/api/v1/namespaces/default"), tls=True)[0] == 200:
                return
        except OSError:
            pass
        pause(0.2)
    pytest.fail(f"the real server did not start: {log.read_text()[-2000:]}")


def _free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port
