"""API groups behind APIServices: found, told of in discovery, asked in the name of who asks, and refused when they are not there."""

import asyncio
import base64
import json
import random
import ssl
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from lightship import kinds, store
from lightship.aio.clock import LoopClock, SystemClock
from lightship.apiserver.access import pki
from lightship.apiserver.access.authn import StaticTokens
from lightship.apiserver.http import serve
from lightship.apiserver.server import Server
from lightship.apiserver.transport import tls
from lightship.apiserver.transport.outbound import Address
from lightship.builtin.hpa.metrics import Fetcher
from lightship.client.credentials import Token
from lightship.client.http import HttpTransport
from lightship.meta.errors import StatusError
from lightship.meta.rest import User

pytestmark = pytest.mark.slow
SERVICE = {
    "apiVersion": "apiregistration.k8s.io/v1",
    "kind": "APIService",
    "metadata": {"name": "v1.fruit.example.com"},
    "spec": {
        "group": "fruit.example.com",
        "version": "v1",
        "groupPriorityMinimum": 1000,
        "versionPriority": 15,
        "service": {"namespace": "default", "name": "fruit", "port": 443},
    },
}
APPLES = {"name": "apples", "singularName": "apple", "namespaced": True, "kind": "Apple", "verbs": ["get", "list"], "shortNames": ["ap"]}
WEIGHTS = {"name": "pods/weight", "singularName": "", "namespaced": True, "kind": "Weight", "verbs": ["get"]}
STATUS = {"name": "apples/status", "singularName": "", "namespaced": True, "kind": "Apple", "verbs": ["get"]}
RESOURCES = [APPLES, STATUS, WEIGHTS]
DISCOVERY = {"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": "fruit.example.com/v1", "resources": RESOURCES}


class Orchard:
    """Another API server: tells what it serves, and echoes who asked for what."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, dict[str, str]]] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            first, *lines = head.split("\r\n")
            headers = dict(line.split(": ", 1) for line in lines if line)
            path = first.split()[1]
            self.asked.append((path, {name.lower(): value for name, value in headers.items()}))
            found: Any = DISCOVERY if path == "/apis/fruit.example.com/v1" else {"kind": "AppleList", "items": [{"path": path}]}
            body = json.dumps(found).encode()
            writer.write(
                b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nX-Orchard: yes\r\nContent-Length: %d\r\n\r\n" % len(body) + body
            )
            await writer.drain()
        finally:
            writer.close()


@asynccontextmanager
async def orchard(directory: Path) -> AsyncIterator[tuple[Orchard, int, str]]:
    pki.issue(directory, SystemClock().now(), ["fruit.default.svc"])
    made = Orchard()
    server = await asyncio.start_server(made.serve, "127.0.0.1", 0, ssl=tls.server_context(directory))
    try:
        yield made, server.sockets[0].getsockname()[1], base64.b64encode((directory / tls.CA).read_bytes()).decode()
    finally:
        server.close()


def play(directory: Path, test: Callable[[Orchard, HttpTransport, str, Server], Coroutine[Any, Any, None]]) -> None:
    async def main() -> None:
        async with orchard(directory) as (made, port, ca):
            clock = LoopClock()
            server = Server(
                store.memory(clock=clock),
                kinds.BUILTIN,
                clock=clock,
                random=random.Random(7),
                resolve=lambda namespace, name, wanted: Address("127.0.0.1", port),
            )
            users = StaticTokens({"t": User("ann", ("system:masters", "staff"), uid="7", extra={"team": ["a", "b"]})})
            listener = await serve(server, authenticator=users, tls=tls.server_context(directory), clock=clock)
            looking = asyncio.create_task(server.aggregation.run())
            context = ssl.create_default_context(cafile=directory / tls.CA)
            context.verify_flags &= ~ssl.VERIFY_X509_STRICT
            transport = HttpTransport(f"https://127.0.0.1:{listener.port}", tls=context, credentials=Token("t"))
            try:
                await test(made, transport, ca, server)
            finally:
                looking.cancel()
                await transport.close()
                await listener.close()
                server.close()

    asyncio.run(asyncio.wait_for(main(), 60))


async def until(holds: Callable[[], Coroutine[Any, Any, bool]]) -> None:
    while not await holds():
        await LoopClock().sleep(0.05)


async def available(transport: HttpTransport) -> str:
    found = json.loads(await transport.fetch("/apis/apiregistration.k8s.io/v1/apiservices/v1.fruit.example.com"))
    return next((c["status"] + " " + c["reason"] for c in (found.get("status") or {}).get("conditions") or ()), "")


def test_another_servers_group_is_served_and_told_of(tmp_path: Path) -> None:
    async def test(made: Orchard, transport: HttpTransport, ca: str, server: Server) -> None:
        spec = {**SERVICE["spec"], "caBundle": ca}  # type: ignore[dict-item]
        await transport.create(kinds.API_SERVICES, "", {**SERVICE, "spec": spec})

        async def there() -> bool:
            return await available(transport) == "True Passed"

        await until(there)
        listed = json.loads(await transport.fetch("/apis/fruit.example.com/v1/namespaces/default/apples?limit=5"))
        assert listed["items"] == [{"path": "/apis/fruit.example.com/v1/namespaces/default/apples?limit=5"}]
        _, headers = made.asked[-1]
        assert headers["x-remote-user"] == "ann"
        assert headers["x-remote-uid"] == "7"
        assert "authorization" not in headers
        groups = json.loads(await transport.fetch("/apis"))["groups"]
        assert "fruit.example.com" in [group["name"] for group in groups]
        aggregated = json.loads(
            await transport.fetch("/apis", accept="application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList")
        )
        told = next(group for group in aggregated["items"] if group["metadata"]["name"] == "fruit.example.com")
        assert told["versions"][0]["resources"][0]["shortNames"] == ["ap"]
        assert [resource["resource"] for resource in told["versions"][0]["resources"]] == ["apples", "pods/weight"]
        await parts_of_the_platform_ask_too(made, server)
        await transport.delete(kinds.API_SERVICES, "", "v1.fruit.example.com")
        with pytest.raises(StatusError) as gone:
            await transport.fetch("/apis/fruit.example.com/v1/namespaces/default/apples")
        assert gone.value.code == 404

    play(tmp_path, test)


async def parts_of_the_platform_ask_too(made: Orchard, server: Server) -> None:
    """What is in this process reads other servers as everybody does, where it may."""
    path = "/apis/fruit.example.com/v1/namespaces/default/apples?limit=5"
    local = server.local(User("bob", ("system:masters",)))
    assert isinstance(local, Fetcher)
    assert json.loads(await local.fetch(path))["items"] == [{"path": path}]
    assert made.asked[-1][1]["x-remote-user"] == "bob"
    group = json.loads(await local.fetch("/apis/fruit.example.com"))
    assert group["preferredVersion"]["version"] == "v1"
    stranger = server.local(User("eve"))
    assert isinstance(stranger, Fetcher)
    for asked, code in ((path, 403), ("/apis/nothing.example.com", 404)):
        with pytest.raises(StatusError) as refused:
            await stranger.fetch(asked)
        assert refused.value.code == code


def test_a_server_that_is_nobody_we_know_is_not_believed(tmp_path: Path) -> None:
    async def test(made: Orchard, transport: HttpTransport, ca: str, server: Server) -> None:
        await transport.create(kinds.API_SERVICES, "", SERVICE)

        async def refused() -> bool:
            return await available(transport) == "False FailedDiscoveryCheck"

        await until(refused)
        with pytest.raises(StatusError) as found:
            await transport.fetch("/apis/fruit.example.com/v1/namespaces/default/apples")
        assert found.value.code == 503
        assert made.asked == []

    play(tmp_path, test)


def test_our_own_groups_have_their_apiservices(tmp_path: Path) -> None:
    async def test(made: Orchard, transport: HttpTransport, ca: str, server: Server) -> None:
        async def registered() -> bool:
            found = json.loads(await transport.fetch("/apis/apiregistration.k8s.io/v1/apiservices"))["items"]
            return len(found) > 15

        await until(registered)
        apps = json.loads(await transport.fetch("/apis/apiregistration.k8s.io/v1/apiservices/v1.apps"))
        assert apps["spec"] == {"group": "apps", "version": "v1", "groupPriorityMinimum": 17800, "versionPriority": 15}
        assert apps["metadata"]["labels"] == {"kube-aggregator.kubernetes.io/automanaged": "onstart"}

    play(tmp_path, test)
