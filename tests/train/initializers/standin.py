"""Stand-ins of `servers` as pods of a platform, reachable from its other pods whatever network they have; each prints what it is asked.

Called by tests that have initializers fetch for real. What is served, and to whom, they say themselves.
"""

from pathlib import Path

from lightship.kinds import CONFIG_MAPS, PODS, SERVICES
from lightship.meta.objects import Obj
from lightship.meta.resources import Resource
from lightship.testing import Cluster
from tests.train.initializers import servers

PORT = 8000
_PROGRAM = """
import sys

import servers

class Printing(servers.{kind}):
    def answer(self, asked, to):
        sys.stdout.write(f"{{asked.path}}\\n")  # in one piece: there are many threads
        super().answer(asked, to)

with Printing({objects}, port={port}) as server:
    print("ready", flush=True)
    server.wait()
"""


def start(platform: Cluster, name: str, kind: str, objects: str) -> str:
    """Serve what the Python expression `objects` says at the Service `name` of namespace default; its URL there.

    `kind` is a class of `servers`. An expression, not the bytes: a ConfigMap holds 1 MiB, and large objects are quickly described."""
    program = _PROGRAM.format(kind=kind, objects=objects, port=PORT)
    container = {
        "name": name,
        "image": "python",
        "command": ["python", "/srv/main.py"],
        "volumeMounts": [{"name": "programs", "mountPath": "/srv"}],
        "readinessProbe": {"tcpSocket": {"port": PORT}},
    }
    pod = {"containers": [container], "volumes": [{"name": "programs", "configMap": {"name": name}}]}
    made: list[tuple[Resource, Obj]] = [
        (CONFIG_MAPS, {"data": {"servers.py": Path(servers.__file__).read_text(), "main.py": program}}),
        (SERVICES, {"spec": {"selector": {"app": name}, "ports": [{"port": PORT}]}}),
        (PODS, {"spec": pod}),
    ]
    for resource, obj in made:
        metadata = {"name": name, "namespace": "default", "labels": {"app": name}}
        body = {"apiVersion": resource.api_version, "kind": resource.kind, "metadata": metadata, **obj}
        platform.run(platform.client.create(resource, body))
    return f"http://{name}:{PORT}"


def asked(platform: Cluster, name: str) -> list[str]:
    """The paths that a stand-in has been asked for."""

    async def read() -> bytes:
        return b"".join([chunk async for chunk in platform.client.logs("default", name)])

    return platform.run(read()).decode().splitlines()
