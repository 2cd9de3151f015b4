"""Webhooks that mean harm: silent, endless, huge, lying. The request that asked them is refused in time, and nobody else notices."""

import base64
import json
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from lightship.aio.clock import SystemClock
from lightship.apiserver.access import pki
from lightship.apiserver.transport import tls
from tests.hostile.attack import Probe, Target, target
from tests.hostile.bombs import MAPS, nested
from tests.hostile.test_bombs import judge

pytestmark = pytest.mark.slow
OK = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
MUCH = b"y" * 65536
CONFIGURATIONS = "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations"


def _answer(body: bytes) -> bytes:
    return OK + b"Content-Length: %d\r\n\r\n" % len(body) + body


def _review(**response: Any) -> Callable[[Any], bytes]:
    def answer(asked: Any) -> bytes:
        told = {"uid": asked["request"]["uid"], "allowed": True, **response}
        return _answer(json.dumps({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "response": told}).encode())

    return answer


def _patch(*operations: Any) -> Callable[[Any], bytes]:
    return _review(patchType="JSONPatch", patch=base64.b64encode(json.dumps(operations).encode()).decode())


ENDLESS: dict[str, tuple[bytes, bytes]] = {
    "silence": (b"", b""),
    "head": (OK + b"X: ", MUCH),
    "headers": (OK, b"X: y\r\n" * 9_000),
    "interim": (b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 2_000),
    "body": (OK + b"Transfer-Encoding: chunked\r\n\r\n", b"10000\r\n" + MUCH + b"\r\n"),
    "extension": (OK + b"Transfer-Encoding: chunked\r\n\r\n1;a=", MUCH),
    "length": (OK + b"Content-Length: 99999999999\r\n\r\n", MUCH),
    "unframed": (OK + b"\r\n", MUCH),
}
"""What is sent once, and then as long as anybody reads."""
SHORT: dict[str, Callable[[Any], bytes]] = {
    "nothing": lambda asked: b"",
    "noise": lambda asked: bytes(range(256)),
    "http2": lambda asked: b"\0\0\x12\x04" + b"\0" * 60,
    "redirect": lambda asked: b"HTTP/1.1 307 Temporary Redirect\r\nLocation: /silence\r\nContent-Length: 0\r\n\r\n",
    "deep": lambda asked: _answer(nested(100_000, '{"response":', "}").encode()),
    "list": lambda asked: _answer(b"[]"),
    "utf": lambda asked: _answer(b'{"response":"\xff"}'),
    "somebody": _review(uid="another"),
    "allowed": _review(allowed="yes"),
    "status": _review(allowed=False, status={"code": 10**30, "message": "x" * 1_000_000, "reason": ["a"]}),
    "code": _review(allowed=False, status={"code": 200}),
    "warnings": _review(warnings=["w\r\nX: y" * 1_000] * 1_000),
    "nopatch": _review(patch="%%%", patchType="JSONPatch"),
    "lists": _review(patch=[1], patchType={}),
    "doubling": _patch(*({"op": "copy", "from": "/data", "path": f"/data/x{i}"} for i in range(40))),
    "renames": _patch({"op": "replace", "path": "/metadata/name", "value": "../../secrets"}),
    "kind": _patch({"op": "replace", "path": "/kind", "value": "Secret"}),
    "whole": _patch({"op": "replace", "path": "", "value": 7}),
    "metadata": _patch({"op": "replace", "path": "/metadata", "value": None}),
    "types": _patch({"op": "replace", "path": "/data", "value": [1]}),
}


class Hook:
    """An HTTPS server in threads; the path says how it behaves."""

    def __init__(self, folder: Path) -> None:
        pki.issue(folder, SystemClock().now())
        self.authority = (folder / tls.CA).read_bytes()
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(folder / tls.CERTIFICATE, folder / tls.KEY)
        self._listening = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.port: int = self._listening.getsockname()[1]
        self._end = threading.Event()
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    def close(self) -> None:
        self._end.set()
        self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        for thread in self._threads:
            thread.join()

    def _accept(self) -> None:
        while not self._end.is_set():
            try:
                raw, _ = self._listening.accept()
            except OSError:
                return
            self._threads.append(threading.Thread(target=self._serve, args=(raw,)))
            self._threads[-1].start()

    def _serve(self, raw: socket.socket) -> None:
        with raw:
            try:
                with self._context.wrap_socket(raw, server_side=True) as line:
                    line.settimeout(1)
                    self._behave(line)
            except (OSError, ValueError):
                pass

    def _behave(self, line: ssl.SSLSocket) -> None:
        data = line.recv(65536)
        while b"\r\n\r\n" not in data:
            data += line.recv(65536)
        head, _, body = data.partition(b"\r\n\r\n")
        size = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
        while len(body) < size:
            body += line.recv(65536)
        name = head.split()[1].decode().partition("?")[0].strip("/")
        if name in SHORT:
            line.sendall(SHORT[name](json.loads(body)))
            return
        first, more = ENDLESS[name]
        line.sendall(first)
        while not self._end.is_set():
            if more:
                line.sendall(more)
            else:
                self._end.wait(0.05)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    hook = Hook(tmp_path_factory.mktemp("hook"))
    bundle = base64.b64encode(hook.authority).decode()
    webhooks = [
        {
            "name": f"{name}.example.com",
            "clientConfig": {"url": f"https://127.0.0.1:{hook.port}/{name}", "caBundle": bundle},
            "objectSelector": {"matchLabels": {"hook": name}},
            "rules": [{"apiGroups": [""], "apiVersions": ["v1"], "resources": ["configmaps"], "operations": ["CREATE"]}],
            "sideEffects": "None",
            "admissionReviewVersions": ["v1"],
            "timeoutSeconds": 1,
        }
        for name in (*ENDLESS, *SHORT)
    ]
    try:
        with target() as found:
            made = found.ask("POST", CONFIGURATIONS, {"metadata": {"name": "hostile"}, "webhooks": webhooks})
            assert made.code == 201, made.message
            yield found
    finally:
        hook.close()


@pytest.mark.parametrize("name", [*ENDLESS, *SHORT])
def test_a_webhook_that_means_harm(server: Target, name: str) -> None:
    before = server.rss()
    with Probe(server) as probe:
        answer = server.ask("POST", MAPS, {"metadata": {"name": name, "labels": {"hook": name}}, "data": {"a": "b"}})
    harmless = ("allowed", "warnings")  # as the real server takes them, or what is left of them
    assert answer.code >= 400 or name in harmless, answer
    judge(server, probe, answer, server.rss() - before, may_fail=True)
    assert server.ask("GET", f"{MAPS}/{name}").code == (200 if answer.code < 400 else 404)
