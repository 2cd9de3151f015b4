"""The door of the status server: where pods of TrainJobs report how far they are, opened when there is the first of them.

Called by `platform` once it knows how pods run. In the pod network it is the address of a Service, on which this process listens itself, as
it does for the API server's; in host mode a port of 127.0.0.1, which `doors` tells the node of. What is answered is `train.statusserver`'s.
`listen` alone is what a controller needs that runs on somebody else's cluster.
Contract: Trainer 2.3: Service kubeflow-system/kubeflow-trainer-controller-manager, port 10443, HTTPS.
"""

import asyncio
import logging
import socket
import ssl

from lightship import kinds
from lightship.aio.clock import Clock
from lightship.apiserver.http import Listener
from lightship.apiserver.transport.exchange import HttpRequest, Reply
from lightship.client import Client
from lightship.control import Manager
from lightship.meta import objects
from lightship.meta.errors import StatusError
from lightship.meta.objects import Key, Obj
from lightship.node.runtimes.runtime import Runtime
from lightship.train.api import TRAIN_JOBS
from lightship.train.api import progress as contract
from lightship.train.statusserver import StatusServer

log = logging.getLogger(__name__)

SERVICE: Obj = {
    "apiVersion": "v1",
    "kind": "Service",
    "metadata": {"name": contract.SERVICE, "namespace": contract.SYSTEM_NAMESPACE},
    "spec": {"ports": [{"name": "status-server", "protocol": "TCP", "port": contract.PORT, "targetPort": contract.PORT}]},
}
"""Without a selector: there is no pod behind it, its address is our own."""


class Door:
    """One platform's. Make it before the manager runs, so that its informer starts with the others."""

    def __init__(self, manager: Manager, runtime: Runtime, tls: ssl.SSLContext) -> None:
        self.doors: dict[str, str] = {}
        """Host mode: where pods must go instead, by `name:port`."""
        self._client = manager.client
        self._clock = manager.clock
        self._runtime = runtime
        self._tls = tls
        self._jobs = manager.cache.informer(TRAIN_JOBS)
        self._wanted = asyncio.Event()
        self._jobs.on_change(self._changed)

    async def run(self) -> None:
        """Open with the first TrainJob, and serve until cancelled."""
        await self._wanted.wait()
        try:
            sock = await self._socket()
        except (OSError, StatusError) as error:
            log.warning("pods cannot report their progress: %s", error)
            return
        listener = await listen(self._client, self._clock, sock, self._tls)
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            await listener.close()

    def _changed(self, key: Key, old: Obj | None, new: Obj | None) -> None:
        self._wanted.set()

    async def _socket(self) -> socket.socket:
        """Raises `OSError` and `StatusError`."""
        if self._runtime.serves:
            service = await self._client.apply(kinds.SERVICES, SERVICE)
            return await self._runtime.listen(objects.spec(service)["clusterIP"], contract.PORT)
        sock = await self._runtime.listen("127.0.0.1", contract.PORT)
        self.doors[f"{contract.HOST}:{contract.PORT}"] = f"127.0.0.1:{sock.getsockname()[1]}"
        return sock


async def listen(client: Client, clock: Clock, sock: socket.socket, tls: ssl.SSLContext | None) -> Listener:
    """Serve reports on a socket that is bound already, as a client of any cluster. Raises `OSError`."""
    server = StatusServer(client, clock)

    async def handle(request: HttpRequest) -> Reply:
        return Reply(*await server.answer(request.method, request.path, request.header(b"authorization"), request.body))

    listener = Listener(handle, clock)
    await listener.open("", 0, sock, tls)
    return listener
