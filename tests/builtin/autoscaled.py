"""A cluster for one look of the autoscaler's controller: what it reads is what a case says, what it writes and says is kept.

Stands for server, metrics APIs and caches at once, so that upstream's cases run as upstream runs them: many, and each on its own.
"""

import json
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, cast

from lightship.aio.clock import Clock
from lightship.builtin.hpa.controller import AutoscalerReconciler, Settings
from lightship.builtin.known_kinds import KnownKinds
from lightship.control import Manager
from lightship.kinds import DEPLOYMENTS, HORIZONTAL_POD_AUTOSCALERS, REPLICA_SETS, REPLICATION_CONTROLLERS
from lightship.meta import errors, objects
from lightship.meta.objects import Key, Obj
from lightship.meta.rest import Listing

NOW = 1_700_000_000.0
KEY = Key("test-namespace", "test-hpa")
KINDS = (DEPLOYMENTS, REPLICA_SETS, REPLICATION_CONTROLLERS)


class Still:
    """A clock that stands."""

    def now(self) -> float:
        return NOW

    def monotonic(self) -> float:
        return NOW

    async def sleep(self, seconds: float) -> None:
        pass


class Stage:
    """`measured` are PodMetrics, `answers` the items that a metrics API has for the end of a path; `fails` is what goes wrong."""

    def __init__(self, autoscaler: Obj, scale: Obj, pods: list[Obj]) -> None:
        self.autoscaler, self.scale, self.pods = autoscaler, scale, pods
        self.measured: list[Obj] = []
        self.answers: Callable[[str], list[Obj]] = lambda path: []
        self.fails: dict[str, list[errors.StatusError]] = {}
        self.status: Obj | None = None
        self.scaled: int | None = None
        self.said: list[tuple[str, str, str]] = []
        self.transport = self

    def controller(self, settings: Settings) -> AutoscalerReconciler:
        manager = SimpleNamespace(client=self, clock=cast(Clock, Still()), recorder=self, cache=self)
        return AutoscalerReconciler(cast(Manager, manager), cast(KnownKinds, KINDS), settings)

    def _maybe_fail(self, what: str) -> None:
        if self.fails.get(what):
            failures = self.fails[what]
            raise failures.pop(0) if len(failures) > 1 or errors.is_conflict(failures[0]) else failures[0]

    # The cache

    def informer(self, resource: Any) -> Any:
        if resource == HORIZONTAL_POD_AUTOSCALERS:
            return SimpleNamespace(get=lambda key: self.autoscaler)
        return SimpleNamespace(list=lambda namespace: self.pods)

    # The recorder

    def event(self, obj: Obj, type: str, reason: str, message: str) -> None:
        self.said.append((type, reason, message))

    # The client and its transport

    async def get_subresource(self, resource: Any, name: str, namespace: str, subresource: str) -> Obj:
        self._maybe_fail("get scale")
        return self.scale

    async def update(self, resource: Any, namespace: str, name: str, obj: Obj, *, subresource: str) -> Obj:
        self._maybe_fail("update scale")
        self.scaled = objects.spec(obj)["replicas"]
        return obj

    async def patch_status(self, resource: Any, old: Obj, status: Obj) -> Obj:
        self.status = status
        return old

    async def list(self, resource: Any, namespace: str, *, labels: str) -> Listing:
        self._maybe_fail("metrics.k8s.io")
        return Listing(self.measured, "1")

    async def fetch(self, path: str, *, accept: str = "") -> bytes:
        group = path.split("/")[2]
        self._maybe_fail(group)
        if path.count("/") == 2:
            return json.dumps({"preferredVersion": {"version": "v1beta2"}}).encode()
        return json.dumps({"items": self.answers(path)}).encode()
