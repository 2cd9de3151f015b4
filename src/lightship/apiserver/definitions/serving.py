"""Custom kinds: CustomResourceDefinition objects become served resources the moment they are stored, and cease with them.

`server` hangs this room's rules on the CRD resource: an admission that gives names in the same write, and an observer that adds and removes
kinds in the catalogue, gives freed names to those who wait for them, and empties kinds that are deleted. Kinds that capabilities hand in as
`Resource`s appear as CRD objects too, made here; for them the Resource, not the object, says what is served, and a write that says
otherwise is kept and warned about. Contract: apiextensions.k8s.io/v1; apiextensions-apiserver's controllers and handler.
"""

from typing import NamedTuple

from lightship.apiserver.conversion.versions import Converter, Family, Versions
from lightship.apiserver.conversion.webhook import Webhook
from lightship.apiserver.core import Core
from lightship.apiserver.verbs.deletion import DEFINITIONS
from lightship.apiserver.verbs.writing import encoder
from lightship.meta.admission import Admission, AdmissionRequest
from lightship.meta.objects import Obj
from lightship.meta.resources import Resource
from lightship.store import Put, Record, RevisionMismatch

from . import names as crd_names
from . import status as crd_status
from .emptying import Emptier
from .objects import custom_resources, definition_name, definition_of


class _Made(NamedTuple):
    """What was made of a definition, and of what it was made."""

    spec: Obj
    names: Obj
    resources: list[Resource]


class Definitions:
    """`given` are the kinds that came as Resources, by the name of their definition."""

    def __init__(self, core: Core) -> None:
        self._core = core
        self._made: dict[str, _Made] = {}
        self._emptier = Emptier(core, self._resources)
        self.given: dict[str, list[Resource]] = {}
        core.committed[DEFINITIONS] = self._changed

    def admission(self) -> list[Admission]:
        """Accept names and complete the status in the same write."""
        resource = self._core.catalogue.find("apiextensions.k8s.io", "v1", "customresourcedefinitions")
        if resource is None:
            return []
        return [Admission(name="CustomResourceDefinition", resources=(resource,), settle=self._complete)]

    def take_given(self) -> None:
        """Note the custom kinds that were handed in as Resources; call before `serve_stored`."""
        for resource in self._core.catalogue:
            if resource.custom and not any(resource in made.resources for made in self._made.values()):
                versions = self.given.setdefault(definition_name(resource), [])
                if resource not in versions:
                    versions.append(resource)

    def given_objects(self) -> list[Obj]:
        """The CRD objects of the kinds that were handed in, without a status."""
        return [definition_of(versions) for versions in self.given.values()]

    def is_unchanged(self, record: Record) -> None:
        """The definition of a kind that was handed in says what it said before: objects that are newer than it need no new defaults."""
        for resource in self.given[record.obj["metadata"]["name"]]:
            served = self._core.catalogue.served(resource)
            if served is not None and served.versions is not None:
                served.versions.stored_since = record.revision
                served.belong(served.versions)

    def serve_stored(self) -> None:
        """Serve every definition that the store holds."""
        for record in self._stored():
            self._serve(record.obj, record.revision)

    async def resume(self) -> None:
        """Go on with the deletions that a former process has left behind."""
        for record in self._stored():
            if record.obj["metadata"].get("deletionTimestamp"):
                await self._emptier.empty(record.obj)

    def status(self, crd: Obj) -> Obj:
        """The status of a definition, with everything in it that a client waits for."""
        others = [r.obj for r in self._stored() if r.obj["spec"]["group"] == crd["spec"].get("group")]
        return crd_status.status(crd, crd_names.taken(others), self._core.clock.now())

    def _stored(self) -> list[Record]:
        return list(self._core.store.list(DEFINITIONS + "/").records)

    def _resources(self, name: str) -> list[Resource]:
        made = self._made.get(name)
        return self.given.get(name) or (made.resources if made else [])

    async def _complete(self, request: AdmissionRequest) -> list[str] | None:
        crd = request.obj
        if crd is None or request.subresource or not isinstance(crd.get("spec"), dict):
            return None
        names = crd["spec"].get("names") or {}
        if names.get("kind") and names.get("plural") and isinstance(crd["spec"].get("versions"), list):
            crd["status"] = self.status(crd)
        if request.name in self.given and request.old is not None and request.old["spec"] != crd["spec"]:
            return [f"{request.name} is served by this server itself: changes of its definition are kept, but have no effect"]
        return None

    async def _changed(self, record: Record, deleted: bool) -> None:
        crd = record.obj
        name = crd["metadata"]["name"]
        if deleted:
            made = self._made.pop(name, None)
            self._core.catalogue.remove([*(made.resources if made else ()), *self.given.pop(name, ())])
        else:
            self._serve(crd, self._core.store.revision)
        await self._settle(crd["spec"]["group"])
        if not deleted and crd["metadata"].get("deletionTimestamp"):
            await self._emptier.empty(crd)

    async def _settle(self, group: str) -> None:
        """Say of every definition of a group what is to be said now: names may have become free, or have been taken away."""
        for record in self._stored():
            head = self._core.store.head(record.key)
            if head is None or head.obj["spec"]["group"] != group:
                continue
            status = self.status(head.obj)
            if status == head.obj.get("status"):
                continue
            new = {**head.obj, "metadata": {**head.obj["metadata"]}, "status": status}
            try:
                await self._core.commit(DEFINITIONS, Put(head.key, encoder(new), head.revision, new))
            except RevisionMismatch:
                continue  # whoever was faster settles the group too

    def _serve(self, crd: Obj, revision: int) -> None:
        """Serve what the definition says now, if that is something else than before."""
        name, names = crd["metadata"]["name"], (crd.get("status") or {}).get("acceptedNames") or {}
        before = self._made.get(name)
        if name in self.given or (before is not None and before.spec == crd["spec"] and before.names == names):
            return
        everything = custom_resources(crd) if crd_status.is_served(crd) else []
        now = [resource for resource, served in everything if served]
        if now and self._is_taken(now[0].bucket):
            now = []
        self._core.catalogue.remove([r for r in (before.resources if before else ()) if r not in now])
        if now:
            hidden = [resource for resource, served in everything if not served]
            empty = not self._core.store.list(now[0].bucket + "/", limit=1).records
            self._core.catalogue.add(now, stored_since=0 if empty else revision, family=self._family(crd, hidden))
        self._made[name] = _Made(crd["spec"], names, now)

    def _is_taken(self, bucket: str) -> bool:
        """Do objects of a built-in kind live where this kind's would? Then that is what is served."""
        return any(not resource.custom for resource in self._core.catalogue.by_bucket(bucket))

    def _family(self, crd: Obj, hidden: list[Resource]) -> Family:
        spec = crd["spec"]
        storage = next(v["name"] for v in spec["versions"] if v.get("storage"))
        stored = (crd.get("status") or {}).get("storedVersions") or [storage]
        conversion = spec.get("conversion") or {}

        def converter(versions: Versions) -> Converter:
            return Webhook(conversion, self._core.outbound, self._core.uid, versions.pruned)

        return Family(
            f"{spec['group']}/{storage}",
            [f"{spec['group']}/{version}" for version in stored],
            hidden,
            converter if conversion.get("strategy") == "Webhook" else None,
        )
