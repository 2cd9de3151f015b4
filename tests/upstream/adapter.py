"""A metrics adapter for tests: an API server of `custom.metrics.k8s.io` and `external.metrics.k8s.io`, whose numbers a test sets.

Registered as users register theirs, with APIServices and a Service; that is a name of this machine, so that nobody has to route to it.
"""

import json
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from oracle.certificates import webhook_files

Obj = dict[str, Any]
CUSTOM, EXTERNAL = ("custom.metrics.k8s.io", "v1beta2"), ("external.metrics.k8s.io", "v1beta1")
_STAMP = "2026-01-01T00:00:00Z"


class Adapter:
    """`values` are what it measures, by the name of the metric; names that are not there are unknown to it."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.values: dict[str, str] = {}

    def objects(self) -> list[Obj]:
        """What makes it known to a cluster."""
        metadata = {"name": "adapter", "namespace": "default"}
        service = {"type": "ExternalName", "externalName": "localhost"}
        made: list[Obj] = [{"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": service}]
        for group, version in (CUSTOM, EXTERNAL):
            spec = {
                "group": group,
                "version": version,
                "insecureSkipTLSVerify": True,
                "groupPriorityMinimum": 100,
                "versionPriority": 100,
                "service": {**metadata, "port": self.port},
            }
            named = {"name": f"{version}.{group}"}
            made.append({"apiVersion": "apiregistration.k8s.io/v1", "kind": "APIService", "metadata": named, "spec": spec})
        return made

    def answer(self, path: str) -> tuple[int, Obj]:
        parts = path.strip("/").split("/")
        if parts[:1] != ["apis"] or len(parts) < 3:
            return 404, {}
        version, name = f"{parts[1]}/{parts[2]}", parts[-1]
        if len(parts) == 3:
            resource = {"name": "pods/anything", "singularName": "", "namespaced": True, "kind": "MetricValueList", "verbs": ["get"]}
            return 200, {"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": version, "resources": [resource]}
        if name not in self.values:
            status = {"status": "Failure", "reason": "NotFound", "code": 404, "message": f"there is no metric {name}"}
            return 404, {"kind": "Status", "apiVersion": "v1", "metadata": {}, **status}
        value = {"value": self.values[name], "timestamp": _STAMP}
        if parts[1] == EXTERNAL[0]:
            items = [{"metricName": name, "metricLabels": {}, **value}]
            return 200, {"kind": "ExternalMetricValueList", "apiVersion": version, "metadata": {}, "items": items}
        described = {"kind": parts[-3], "namespace": parts[4], "name": parts[-2], "apiVersion": "v1"}
        item = {"describedObject": described, "metric": {"name": name, "selector": None}, **value}
        return 200, {"kind": "MetricValueList", "apiVersion": version, "metadata": {}, "items": [item]}


@contextmanager
def adapter(directory: Path) -> Iterator[Adapter]:
    """One that answers for the length of a block."""
    for name, content in webhook_files("localhost", "adapter-ca").items():
        (directory / name).write_bytes(content)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            code, found = made.answer(urlsplit(self.path).path)
            body = json.dumps(found).encode()
            self.send_response(code)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("localhost", 0), Handler)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(directory / "tls.crt", directory / "tls.key")
    server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    made = Adapter(server.server_address[1])
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield made
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
