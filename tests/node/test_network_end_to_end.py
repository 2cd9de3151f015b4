"""Services and policies on the whole platform, with two nodes: by name, by address, from the host, and not at all."""

import asyncio
import socket
from collections.abc import Iterator
from typing import Any

import pytest

from lightship import kinds
from lightship.aio.streams import closing
from lightship.client import Client
from lightship.meta import objects
from lightship.meta.objects import Obj
from lightship.meta.rest import LogOptions, WatchOptions
from lightship.node.runtimes.probe import probe
from lightship.testing import Cluster, cluster

from .contract import CLOCK
from .make import container

pytestmark = pytest.mark.slow
SERVE = "exec python3 -m http.server -d /tmp 8080"
ASK = "import sys, urllib.request as r; print(r.urlopen(sys.argv[1], timeout=3).status)"


@pytest.fixture(scope="module")
def site() -> Iterator[Cluster]:
    found = probe()
    if not found.sandbox:
        pytest.skip(found.reason)
    with cluster(runtime="sandbox", agents=2) as running:
        yield running


def pod(name: str, command: list[str], **spec: Any) -> Obj:
    body = container(command=command, ports=[{"name": "http", "containerPort": 8080}])
    metadata = {"name": name, "namespace": "default", "labels": {"app": name}}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": metadata,
        "spec": {"containers": [body], "terminationGracePeriodSeconds": 0, **spec},
    }


def free_port() -> int:
    """Of the range of node ports."""
    for port in range(32_767, 30_000, -1):
        with socket.socket() as trial:
            try:
                trial.bind(("127.0.0.1", port))
                return port
            except OSError:
                continue
    raise AssertionError("all ports are taken")


async def until(client: Client, name: str, wanted: str) -> Obj:
    """A pod of this phase that is as ready as it can be."""
    options = WatchOptions(field_selector=f"metadata.name={name}")
    async with asyncio.timeout(40), closing(client.watch(kinds.PODS, "default", options)) as events:
        async for event in events:
            status = objects.status(event.object)
            ready = any(c["type"] == "Ready" and c["status"] == "True" for c in status.get("conditions") or ())
            if status.get("phase") == wanted and (ready or wanted != "Running"):
                return event.object
    raise AssertionError("the watch ended")


async def said(client: Client, name: str, *arguments: str) -> str:
    """What a program in a pod of its own says."""
    await client.create(kinds.PODS, pod(name, ["python3", "-c", ASK, *arguments], restartPolicy="Never"))
    ended = await until(client, name, "Succeeded")
    assert objects.status(ended)["hostIP"] in ("10.95.0.1", "10.95.0.2")
    return b"".join([chunk async for chunk in client.logs("default", name, LogOptions())]).decode()


async def fetched(port: int) -> bytes:
    """From the host, as soon as somebody answers."""
    async with asyncio.timeout(20):
        while True:
            try:
                reader, writer = await asyncio.open_connection("127.0.0.1", port)
                writer.write(b"GET / HTTP/1.0\r\n\r\n")
                first = await reader.readline()
                writer.close()
            except OSError:
                first = b""
            if first:
                return first
            await CLOCK.sleep(0.005)


def test_a_service_by_name_by_address_and_from_the_host(site: Cluster) -> None:
    client = site.client

    async def story() -> None:
        port = free_port()
        await client.create(kinds.PODS, pod("web", ["sh", "-c", SERVE]))
        ports = [{"port": 80, "targetPort": "http", "nodePort": port}]
        spec = {"type": "NodePort", "selector": {"app": "web"}, "ports": ports}
        made = await client.create(
            kinds.SERVICES, {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "web", "namespace": "default"}, "spec": spec}
        )
        await until(client, "web", "Running")
        assert b" 200 " in await fetched(port)
        assert await said(client, "by-name", "http://web") == "200\n"
        assert await said(client, "by-address", f"http://{made['spec']['clusterIP']}") == "200\n"
        assert await said(client, "by-node", f"http://10.95.0.2:{port}") == "200\n"

    site.run(story(), timeout=120)


def test_a_node_says_nothing_of_policies_where_they_hold(site: Cluster) -> None:
    nodes = site.run(site.client.list(kinds.NODES)).items
    assert len(nodes) == 2
    assert all("lightship.dev/network-policies" not in objects.annotations(node) for node in nodes)
