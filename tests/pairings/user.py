"""Who plays the scenarios: a user with a namespace, who writes objects, and waits by watching until something holds.

All users of a world share its `Eyes`: one watch for each kind that anybody asked about. Nobody polls: a wait looks again when something in
its namespace has changed.
"""

import asyncio
import itertools
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from typing import Any, TypeVar

from lightship.aio.tasks import background
from lightship.client import Client
from lightship.client.cache import Cache
from lightship.client.informer import Informer
from lightship.kinds import EVENTS, NAMESPACES, NODES, PODS, SERVICE_ACCOUNTS
from lightship.meta import conditions, objects, selectors
from lightship.meta.objects import Key, Obj
from lightship.meta.resources import Resource
from lightship.meta.rest import DeleteOptions, Transport

T = TypeVar("T")
PATIENCE = 120.0
"""Seconds after which what was waited for counts as never to happen."""
IMAGE = "registry.invalid/c:1"
ROOM = "pairings/room"
"""Label and taint of nodes that one scenario has for itself."""
EMULATED = {"kwok.x-k8s.io/node": "fake"}
"""By this annotation a node is emulated."""
_numbers = itertools.count()


class Eyes:
    """What is in a cluster now, for everybody who waits there."""

    def __init__(self, transport: Transport) -> None:
        self._cache = Cache(Client(transport))
        self._seen: dict[Resource, Informer] = {}
        self._waiting: set[asyncio.Event] = set()

    @asynccontextmanager
    async def open(self) -> AsyncIterator["Eyes"]:
        async with background(self._cache.run()):
            yield self

    async def on(self, resource: Resource) -> Informer:
        """What there is of a kind, kept up to date."""
        found = self._seen.get(resource)
        if found is None:
            found = self._seen[resource] = self._cache.informer(resource)
            found.on_change(self._changed)
        await found.wait_synced()
        return found

    async def until(self, holds: Callable[[], T | None]) -> T:
        """The first answer that is neither None nor False."""
        changed = asyncio.Event()
        self._waiting.add(changed)
        try:
            while (answer := holds()) is None or answer is False:
                await changed.wait()
                changed.clear()
            return answer
        finally:
            self._waiting.discard(changed)

    def _changed(self, key: Key, old: Obj | None, new: Obj | None) -> None:
        for event in self._waiting:
            event.set()


class User:
    """A namespace, and what its user does there."""

    def __init__(self, transport: Transport, eyes: Eyes, name: str) -> None:
        self.namespace = f"{name}-{next(_numbers)}"
        self.client = Client(transport, manager="user", on_write=self._wrote)
        self._eyes = eyes
        self._written: dict[tuple[Resource, Key], int] = {}
        self._nodes: list[str] = []

    def _wrote(self, resource: Resource, key: Key, answer: Obj) -> None:
        if answer.get("kind") != "Status":
            self._written[resource, key] = objects.revision(answer)

    @asynccontextmanager
    async def at_home(self) -> AsyncIterator["User"]:
        """The namespace while the block lasts; it is left to itself afterwards."""
        await self.client.create(NAMESPACES, {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": self.namespace}})
        try:
            await self.until(SERVICE_ACCOUNTS, "default", lambda found: True)
            yield self
        finally:
            for node in self._nodes:
                await self.client.delete(NODES, node, missing_ok=True)
            await self.client.delete(NAMESPACES, self.namespace, missing_ok=True)

    # Writing

    async def create(self, resource: Resource, obj: Obj) -> Obj:
        whole = {"apiVersion": resource.api_version, "kind": resource.kind, **obj}
        return await self.client.create(resource, {**whole, "metadata": {**obj["metadata"], "namespace": self.namespace}})

    async def patch(self, resource: Resource, name: str, patch: Obj, *, subresource: str = "") -> Obj:
        return await self.client.patch(resource, name, patch, self.namespace, subresource=subresource)

    async def delete(self, resource: Resource, name: str, propagation: str = "", *, grace: int | None = None) -> None:
        options = DeleteOptions(propagation_policy=propagation, grace_period_seconds=grace)
        await self.client.delete(resource, name, self.namespace, options, missing_ok=True)

    async def node(self, *, emulated: bool = True, labels: Obj | None = None, **room: str) -> str:
        """A node that only pods of this namespace bear (`homely`)."""
        name = f"{self.namespace}-n{len(self._nodes)}"
        self._nodes.append(name)
        offers = {"cpu": "8", "memory": "32Gi", "pods": "110", **room}
        given = {"kubernetes.io/hostname": name, ROOM: self.namespace, **(labels or {})}
        metadata: Obj = {"name": name, "labels": given, "annotations": EMULATED if emulated else {}}
        spec = {"taints": [{"key": ROOM, "value": self.namespace, "effect": "NoSchedule"}]}
        status = {"allocatable": offers, "capacity": offers}
        await self.client.create(NODES, {"apiVersion": "v1", "kind": "Node", "metadata": metadata, "spec": spec, "status": status})
        if emulated:
            await self.until(NODES, name, lambda node: _tainted(node) == {ROOM} and conditions.is_true(node, "Ready"), "ready")
        return name

    def homely(self, **spec: Any) -> Obj:
        """A pod's spec for this user's own nodes."""
        tolerations = [{"key": ROOM, "value": self.namespace}, *spec.pop("tolerations", ())]
        return pod_spec(nodeSelector={ROOM: self.namespace, **spec.pop("nodeSelector", {})}, tolerations=tolerations, **spec)

    # Waiting

    async def until(self, resource: Resource, name: str, holds: Callable[[Obj], T | None], what: str = "") -> Obj:
        """The object, once it is there and something is true of it. What this user has written to it, it shows."""
        seen, key = await self._eyes.on(resource), Key(self.namespace if resource.namespaced else "", name)

        def there() -> Obj | None:
            found = seen.get(key)
            return found if found and objects.revision(found) >= self._written.get((resource, key), 0) and holds(found) else None

        return await self._wait(there, f"{resource.plural} {name} {what}", lambda: seen.get(key))

    async def until_all(self, resource: Resource, holds: Callable[[list[Obj]], T | None], labels: str = "", what: str = "") -> list[Obj]:
        """All objects of a kind in this namespace, by name, once something is true of them together."""
        seen, selected = await self._eyes.on(resource), selectors.parse_label_selector(labels)

        def there() -> list[Obj] | None:
            listed = [obj for obj in seen.list(self.namespace) if selected.matches(objects.labels(obj))]
            listed.sort(key=objects.name)
            return listed if holds(listed) else None

        return await self._wait(there, f"{resource.plural} {labels} {what}", lambda: seen.list(self.namespace))

    async def until_gone(self, resource: Resource, name: str) -> None:
        seen, key = await self._eyes.on(resource), Key(self.namespace if resource.namespaced else "", name)
        await self._wait(lambda: seen.get(key) is None, f"{resource.plural} {name} gone", lambda: seen.get(key))

    async def until_pods(self, count: int, phase: str = "", labels: str = "") -> list[Obj]:
        """So many pods that are not on their way out, all in that phase (and ready, where they run)."""

        def there(pods: list[Obj]) -> bool:
            pods = [pod for pod in pods if not objects.is_deleting(pod)]
            return len(pods) == count and all(_is(pod, phase) for pod in pods)

        found = await self.until_all(PODS, there, labels, f"{count} {phase}")
        return [pod for pod in found if not objects.is_deleting(pod)]

    async def until_condition(self, resource: Resource, name: str, type: str, status: str = "True", reason: str = "") -> Obj:
        def there(obj: Obj) -> bool:
            found = conditions.get(obj, type) or {}
            return found.get("status") == status and found.get("reason", "") == (reason or found.get("reason", ""))

        return await self.until(resource, name, there, f"{type}={status} {reason}")

    async def until_status(self, resource: Resource, name: str, **fields: Any) -> Obj:
        """Fields of the status; 0 is as good as none."""
        return await self.until(
            resource, name, lambda obj: all((_status(obj, f) or 0) == (value or 0) for f, value in fields.items()), str(fields)
        )

    async def until_told(self, name: str, reason: str, part: str = "") -> None:
        """An event about an object."""
        await self.until_all(
            EVENTS,
            lambda found: any(e["involvedObject"]["name"] == name and e["reason"] == reason and part in e["message"] for e in found),
            what=f"{reason} of {name}",
        )

    async def _wait(self, holds: Callable[[], T | None], what: str, shown: Callable[[], Any]) -> T:
        try:
            async with asyncio.timeout(PATIENCE):
                return await self._eyes.until(holds)
        except TimeoutError:
            raise AssertionError(f"it never happened in {self.namespace}: {what}; there is {_short(shown())}") from None


def pod_spec(**fields: Any) -> Obj:
    return {"containers": [{"name": "c", "image": IMAGE}], "terminationGracePeriodSeconds": 1, **fields}


def template(name: str, *, fate: str = "", **spec: Any) -> Obj:
    """Of pods labelled `app: name`; what `fate` they meet is in `stages.yaml`."""
    return {"metadata": {"labels": {"app": name} | ({"fate": fate} if fate else {})}, "spec": spec or pod_spec()}


def workload(name: str, *, pod: Obj | None = None, **spec: Any) -> Obj:
    """A kind of the group apps."""
    return {"metadata": {"name": name}, "spec": {"selector": {"matchLabels": {"app": name}}, "template": pod or template(name), **spec}}


def image(name: str) -> Obj:
    """The patch that rolls a workload."""
    return {"spec": {"template": {"spec": {"containers": [{"name": "c", "image": name}]}}}}


def observed(obj: Obj) -> bool:
    """Has a controller looked at what the object is now?"""
    return bool(_status(obj, "observedGeneration") == objects.meta(obj)["generation"])


def names(listed: Iterable[Obj]) -> list[str]:
    return [objects.name(obj) for obj in listed]


def _status(obj: Obj, field: str) -> Any:
    return objects.status(obj).get(field)


def _is(pod: Obj, phase: str) -> bool:
    if phase == "Running" and not conditions.is_true(pod, "Ready"):
        return False
    return _status(pod, "phase") == phase if phase else True


def _tainted(node: Obj) -> set[str]:
    return {taint["key"] for taint in objects.spec(node).get("taints") or ()}


def _short(value: Any) -> str:
    listed = value if isinstance(value, list) else [value]
    lines = [f"{objects.name(obj)}: {objects.spec(obj)} {objects.status(obj)}" for obj in listed if obj]
    return "\n".join(line[:1500] for line in lines[:12]) or "nothing"
