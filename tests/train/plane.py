"""A control plane on its own thread, for the synchronous SDK: API server over HTTP, the controllers, and a kubelet that only acts.

Pods "run" as their trainer's environment says: `EXIT` is the exit code (none: they run until they are deleted), `LOG` what they print.
"""

import asyncio
import random
import tempfile
import threading
from collections.abc import AsyncIterator, Coroutine, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import yaml

from lightship import kinds, store
from lightship.aio.clock import SystemClock
from lightship.apiserver.access.authn import StaticTokens
from lightship.apiserver.http import serve
from lightship.apiserver.server import Server
from lightship.builtin import controllers as builtin
from lightship.builtin.api import JOB_SETS
from lightship.client.client import Client
from lightship.control.controller import Controller
from lightship.control.manager import Manager
from lightship.control.outcome import Done, Outcome
from lightship.control.watch import itself
from lightship.kinds import PODS
from lightship.meta import objects, times
from lightship.meta.objects import Key, Obj
from lightship.meta.rest import DeleteOptions, LogOptions
from lightship.train import admission, controller
from lightship.train.api import SERVED as KINDS
from lightship.train.bootstrap import bootstrap
from tests.talkless import Talkless
from tests.train.site import ADMIN

TOKEN = "secret"
NODE = "stage"
SERVED = (*kinds.BUILTIN, JOB_SETS, *KINDS)
T = TypeVar("T")


class Actor:
    """Plays every pod's part: bound, running, and ended as its environment says."""

    def __init__(self, manager: Manager) -> None:
        self._client = manager.client
        self._pods = manager.cache.informer(PODS)
        self._clock = manager.clock

    async def reconcile(self, key: Key) -> Outcome:
        pod = self._pods.get(key)
        if pod is None:
            return Done()
        if objects.is_deleting(pod):
            await self._client.delete(PODS, key.name, key.namespace, DeleteOptions(grace_period_seconds=0), missing_ok=True)
        elif not pod["spec"].get("nodeName"):
            target = {"apiVersion": "v1", "kind": "Node", "name": NODE}
            binding = {"apiVersion": "v1", "kind": "Binding", "metadata": {"name": key.name}, "target": target}
            await self._client.create_subresource(PODS, key.name, key.namespace, "binding", binding)
        elif objects.status(pod).get("phase") in (None, "Pending"):
            await self._client.patch_status(PODS, pod, self._status("Running", {"running": {"startedAt": self._now()}}))
        elif objects.status(pod)["phase"] == "Running" and "EXIT" in environment(pod):
            code = int(environment(pod)["EXIT"])
            ended = {"terminated": {"exitCode": code, "finishedAt": self._now(), "reason": "Error" if code else "Completed"}}
            await self._client.patch_status(PODS, pod, self._status("Failed" if code else "Succeeded", ended))
        return Done()

    def _status(self, phase: str, state: Obj) -> Obj:
        running = phase == "Running"
        ready = {"type": "Ready", "status": "True" if running else "False", "lastTransitionTime": self._now()}
        container = {"name": "node", "image": "", "imageID": "", "ready": running, "restartCount": 0, "state": state}
        return {"phase": phase, "startTime": self._now(), "conditions": [ready], "containerStatuses": [container]}

    def _now(self) -> str:
        return times.rfc3339(self._clock.now())


class Prompter(Talkless):
    """What pods print: their `LOG`."""

    def __init__(self, client: Client) -> None:
        self._client = client

    async def logs(self, namespace: str, pod: str, uid: str, options: LogOptions) -> AsyncIterator[bytes]:
        found = await self._client.get(PODS, pod, namespace)
        yield (environment(found).get("LOG", "") + "\n").encode()


def environment(pod: Obj) -> dict[str, str]:
    container: Obj = next((c for c in pod["spec"]["containers"] if c["name"] == "node"), {})
    return {e["name"]: e.get("value", "") for e in container.get("env") or ()}


class Plane:
    """A running control plane, as tests see it."""

    def __init__(self, port: int, client: Client, loop: asyncio.AbstractEventLoop, directory: str) -> None:
        self.port = port
        self.client = client
        self._loop = loop
        self.kubeconfig = str(Path(directory) / "kubeconfig")
        cluster = {"name": "test", "cluster": {"server": f"http://127.0.0.1:{port}"}}
        context = {"name": "test", "context": {"cluster": "test", "user": "test", "namespace": "default"}}
        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "test",
            "clusters": [cluster],
            "contexts": [context],
            "users": [{"name": "test", "user": {"token": TOKEN}}],
        }
        Path(self.kubeconfig).write_text(yaml.safe_dump(config))

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(30)


@contextmanager
def plane() -> Iterator[Plane]:
    """Start a control plane and end it with the block."""
    with tempfile.TemporaryDirectory() as directory:
        started: Future[tuple[Plane, asyncio.Event]] = Future()
        thread = threading.Thread(target=_serve, args=(directory, started), daemon=True)
        thread.start()
        found, stop = started.result(30)
        try:
            yield found
        finally:
            found._loop.call_soon_threadsafe(stop.set)
            thread.join(30)


def _serve(directory: str, started: "Future[tuple[Plane, asyncio.Event]]") -> None:
    try:
        asyncio.run(_main(directory, started))
    except BaseException as error:
        if started.done():
            raise
        started.set_exception(error)


async def _main(directory: str, started: "Future[tuple[Plane, asyncio.Event]]") -> None:
    clock, stop = SystemClock(), asyncio.Event()
    opened = store.memory()
    prompters: list[Prompter] = []
    server = Server(opened, SERVED, clock=clock, random=random.Random(), nodes=lambda name: prompters[0] if name == NODE else None)
    client = Client(server.local(ADMIN))
    prompters.append(Prompter(client))
    server.add_admission(admission.admission(client, clock))
    listener = await serve(server, authenticator=StaticTokens({TOKEN: ADMIN}), clock=clock)
    manager = Manager(client, clock=clock)
    acting = Controller("actor", Actor(manager), watches=[itself(PODS)])
    for found in (*builtin.controllers(manager, resources=SERVED, ca_pem=""), *controller.controllers(manager), acting):
        manager.add(found)
    try:
        await bootstrap(client)
        async with manager.running():
            started.set_result((Plane(listener.port, client, asyncio.get_running_loop(), directory), stop))
            await stop.wait()
    finally:
        await listener.close()
        await opened.close()
