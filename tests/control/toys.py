"""A toy controller: a ConfigMap with `data.replicas` wants that many child ConfigMaps. And ways to wait for what it does."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from random import Random

from lightship import kinds
from lightship.aio.tasks import background
from lightship.client.cache import Cache
from lightship.client.client import Client
from lightship.client.informer import Informer
from lightship.control.controller import Controller
from lightship.control.manager import Manager
from lightship.control.outcome import Done, Outcome
from lightship.control.watch import itself, owner
from lightship.meta import objects
from lightship.meta.objects import Key, Obj
from tests.client.backends import Site

CONFIG_MAPS = kinds.CONFIG_MAPS
PARENTS = "toy=parent"
CHILDREN = "toy=child"


class Toy:
    """Creates missing children, deletes surplus ones, reports how many there are; reads nothing but caches.

    With `generate` the server chooses the children's names, so that whoever creates one twice has two.
    """

    def __init__(self, manager: Manager, namespace: str, *, generate: bool = False) -> None:
        self.client = manager.client
        self.recorder = manager.recorder
        self.generate = generate
        self.parents = manager.cache.informer(CONFIG_MAPS, namespace=namespace, labels=PARENTS)
        self.children = manager.cache.informer(CONFIG_MAPS, namespace=namespace, labels=CHILDREN)
        self.reconciles = 0
        self.created = 0

    async def reconcile(self, key: Key) -> Outcome:
        self.reconciles += 1
        parent = self.parents.get(key)
        if parent is None or objects.is_deleting(parent):
            return Done()
        children = sorted(self.children.owned_by(parent), key=objects.name)
        wanted = int(parent["data"]["replicas"])
        names = {objects.name(child) for child in children}
        for number in range(wanted if not self.generate else wanted - len(children)):
            if self.generate or f"{key.name}-{number}" not in names:
                await self.client.create(CONFIG_MAPS, self.child(parent, number))
                self.created += 1
        for child in children[wanted:]:
            await self.client.delete(CONFIG_MAPS, objects.name(child), key.namespace, missing_ok=True)
        if parent["data"].get("found") != str(len(children)):
            await self.client.patch(CONFIG_MAPS, key.name, {"data": {"found": str(len(children))}}, key.namespace)
        return Done()

    def child(self, parent: Obj, number: int) -> Obj:
        name = {"generateName": f"{objects.name(parent)}-"} if self.generate else {"name": f"{objects.name(parent)}-{number}"}
        metadata = name | {
            "namespace": objects.namespace(parent),
            "labels": {"toy": "child"},
            "ownerReferences": [objects.owner_reference(parent)],
        }
        return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata}


def controller(toy: Toy, namespace: str, *, workers: int = 1) -> Controller:
    watches = [
        itself(CONFIG_MAPS, labels=PARENTS, namespace=namespace),
        owner(CONFIG_MAPS, CONFIG_MAPS, labels=CHILDREN, namespace=namespace),
    ]
    return Controller("toy", toy, watches=watches, workers=workers)


def manager(site: Site, client: Client | None = None) -> Manager:
    return Manager(client or site.client, clock=site.clock, random=Random(0), component="toys")


def parent(site: Site, name: str, replicas: int) -> Obj:
    return site.config_map(name, {"replicas": str(replicas)}, labels={"toy": "parent"})


@asynccontextmanager
async def observer(site: Site, labels: str) -> AsyncIterator[Informer]:
    """The truth, seen through a transport that nobody disturbs."""
    cache = Cache(site.client, clock=site.clock, random=Random(0))
    informer = cache.informer(CONFIG_MAPS, namespace=site.namespace, labels=labels)
    async with background(cache.run()):
        await informer.wait_synced()
        yield informer


async def until(site: Site, condition: Callable[[], bool]) -> None:
    """Wait for something that no informer tells."""
    while not condition():
        await site.clock.sleep(0.01)


async def quiet(site: Site, found: Controller) -> None:
    """Wait until a controller has had nothing to do, now or later, for a moment."""
    calm = 0
    while calm < 20:
        await site.clock.sleep(0.01)
        calm = calm + 1 if found.queue.idle and not found.queue.delayed else 0
