"""Deleting a definition: first all objects of its kind, then our finalizer, and the definition with it.

`definitions` calls `empty` for a definition that is marked for deletion, at once and after a restart. Objects that wait for finalizers of
others keep it waiting; the last of them to go lets it go. Contract: apiextensions-apiserver's finalizer controller.
"""

from collections.abc import Callable, Sequence

from lightship.apiserver.core import Core
from lightship.apiserver.requests import Request
from lightship.apiserver.verbs.deletion import CLEANUP, DEFINITIONS, Deleter
from lightship.apiserver.verbs.writing import encoder
from lightship.meta.objects import Obj
from lightship.meta.resources import Resource
from lightship.meta.rest import DeleteOptions, User
from lightship.store import Delete, Put, Record, RevisionMismatch

from . import status as crd_status

_SERVER_USER = User("system:apiserver", ("system:masters",))


class Emptier:
    """`resources` finds what is served of a definition, by its name."""

    def __init__(self, core: Core, resources: Callable[[str], Sequence[Resource]]) -> None:
        self._core = core
        self._resources = resources
        self._deleter = Deleter(core)
        self._begun: set[str] = set()

    async def empty(self, crd: Obj) -> None:
        """Delete the objects of a definition that is being deleted, then let it go; harmless when that is under way."""
        name, uid = crd["metadata"]["name"], crd["metadata"]["uid"]
        if CLEANUP not in (crd["metadata"].get("finalizers") or ()) or uid in self._begun:
            return
        resources = self._resources(name)
        served = self._core.catalogue.served(resources[0]) if resources else None
        if served is None:
            await self._let_go(name, served=False)
            return
        self._begun.add(uid)
        bucket = served.bucket

        async def instance_changed(record: Record, deleted: bool) -> None:
            if deleted:
                await self._finish(name, uid, bucket)

        for version in resources:
            terminating = self._core.catalogue.served(version)
            if terminating is not None:
                terminating.terminating = True
        await self._say(name)
        self._core.committed[bucket] = instance_changed
        instances = self._core.store.list(served.prefix).records
        await self._deleter.delete_all(served, Request(_SERVER_USER, resources[0]), instances, DeleteOptions())
        await self._finish(name, uid, bucket)

    async def _say(self, name: str) -> None:
        """Tell in the definition's status that its objects are going."""
        while (head := self._core.store.head(f"{DEFINITIONS}//{name}")) is not None:
            status = crd_status.terminating(head.obj, self._core.clock.now())
            if status == head.obj.get("status"):
                return
            new = {**head.obj, "metadata": {**head.obj["metadata"]}, "status": status}
            try:
                await self._core.commit(DEFINITIONS, Put(head.key, encoder(new), head.revision, new))
            except RevisionMismatch:
                continue

    async def _finish(self, name: str, uid: str, bucket: str) -> None:
        if uid in self._begun and not self._core.store.list(bucket + "/", limit=1).records:
            self._begun.discard(uid)
            self._core.committed.pop(bucket, None)
            await self._let_go(name, served=True)

    async def _let_go(self, name: str, *, served: bool) -> None:
        """Take our finalizer off a definition, and remove it when that was the last one."""
        while (head := self._core.store.head(f"{DEFINITIONS}//{name}")) is not None:
            meta = head.obj["metadata"]
            left = [f for f in meta.get("finalizers") or [] if f != CLEANUP]
            if CLEANUP not in (meta.get("finalizers") or []):
                return
            status = crd_status.emptied(head.obj, self._core.clock.now(), served=served)
            new = {**head.obj, "metadata": {**meta, "finalizers": left}, "status": status}
            if not left:
                del new["metadata"]["finalizers"]
            try:
                if left:
                    await self._core.commit(DEFINITIONS, Put(head.key, encoder(new), head.revision, new))
                else:
                    await self._core.commit(DEFINITIONS, Delete(head.key, encoder(new), head.revision, new), deleted=True)
            except RevisionMismatch:
                continue
