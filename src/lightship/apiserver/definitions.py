"""Custom kinds: CustomResourceDefinition objects become served resources the moment they are stored, and cease with them.

`server` hangs this room's rules on the CRD resource: an admission that accepts names in the same write, and an observer that adds and
removes kinds in the catalogue. Kinds that capabilities hand in as `Resource`s appear as CRD objects too, made here; for them the Resource,
not the object, says what is served. x-kubernetes-validations are kept but not evaluated.
Contract: apiextensions.k8s.io/v1; apiextensions-apiserver status, finalizer and naming controllers.
"""

from collections.abc import Sequence

from lightship.apiserver.core import Core
from lightship.apiserver.crd_objects import custom_resources, definition_name, definition_of
from lightship.apiserver.deletion import CLEANUP, DEFINITIONS, Deleter
from lightship.apiserver.requests import Request
from lightship.apiserver.writing import encoder
from lightship.meta import conditions, errors
from lightship.meta.admission import Admission, AdmissionRequest
from lightship.meta.errors import Cause
from lightship.meta.objects import Obj
from lightship.meta.resources import Resource
from lightship.meta.rest import DeleteOptions, User
from lightship.store import Delete, Put, Record, RevisionMismatch

_SERVER_USER = User("system:apiserver", ("system:masters",))


class Definitions:
    """`given` are the kinds that came as Resources, by the name of their definition."""

    def __init__(self, core: Core) -> None:
        self._core = core
        self._deleter = Deleter(core)
        self._made: dict[str, list[Resource]] = {}
        self.given: dict[str, list[Resource]] = {}
        core.committed[DEFINITIONS] = self._changed

    def admission(self) -> list[Admission]:
        """Accept names and complete the status in the same write; judge what only the catalogue knows."""
        resource = self._core.catalogue.find("apiextensions.k8s.io", "v1", "customresourcedefinitions")
        if resource is None:
            return []
        return [Admission(name="CustomResourceDefinition", resources=(resource,), mutate=self._complete, validate=self._judge)]

    def take_given(self) -> None:
        """Note the custom kinds that were handed in as Resources; call before `serve_stored`."""
        for resource in self._core.catalogue:
            if resource.custom and not any(resource in made for made in self._made.values()):
                versions = self.given.setdefault(definition_name(resource), [])
                if resource not in versions:
                    versions.append(resource)

    def given_objects(self) -> list[Obj]:
        """The CRD objects of the kinds that were handed in."""
        return [self.completed(definition_of(versions)) for versions in self.given.values()]

    def serve_stored(self) -> None:
        """Serve every definition that the store holds."""
        for record in self._core.store.list(DEFINITIONS + "/").records:
            self._serve(record.obj)

    async def resume(self) -> None:
        """Go on with the deletions that a former process has left behind."""
        for record in self._core.store.list(DEFINITIONS + "/").records:
            if record.obj["metadata"].get("deletionTimestamp"):
                await self._clean_up(record.obj)

    def completed(self, crd: Obj) -> Obj:
        """A definition with everything in its status that a client waits for."""
        spec = crd["spec"]
        now = self._core.clock.now()
        status: Obj = {**(crd.get("status") or {})}
        accepted = conditions.set_condition(
            status.get("conditions") or [], "NamesAccepted", "True", "NoConflicts", "no conflicts found", now
        )
        if not any(c["type"] == "Established" for c in accepted):
            message = "the initial names have been accepted"
            accepted = conditions.set_condition(accepted, "Established", "True", "InitialNamesAccepted", message, now)
        status["conditions"] = accepted
        status["acceptedNames"] = spec["names"]
        stored = list(status.get("storedVersions") or [])
        status["storedVersions"] = stored + [v["name"] for v in spec["versions"] if v.get("storage") and v["name"] not in stored]
        return {**crd, "status": status}

    async def _complete(self, request: AdmissionRequest) -> list[str] | None:
        crd = request.obj
        if crd is None or request.subresource or not isinstance(crd.get("spec"), dict):
            return None
        spec = crd["spec"]
        names = spec.get("names") or {}
        if names.get("kind") and names.get("plural") and isinstance(spec.get("versions"), list):
            crd["status"] = self.completed(crd)["status"]
        return None

    async def _judge(self, request: AdmissionRequest) -> list[str] | None:
        if request.obj is None or request.subresource:
            return None
        causes = self._conflicts(request.obj)
        if causes:
            raise errors.invalid("CustomResourceDefinition", request.name, causes, "apiextensions.k8s.io")
        return None

    def _conflicts(self, crd: Obj) -> list[Cause]:
        """A kind can be served once only: not beside a built-in one of the same name."""
        spec = crd["spec"]
        for version in spec["versions"]:
            found = self._core.catalogue.find(spec["group"], version["name"], spec["names"]["plural"])
            if found is not None and not found.custom:
                why = f"{found.plural} of {found.api_version} are served by this server itself"
                return [errors.invalid_value("spec.names.plural", found.plural, why)]
        return []

    async def _changed(self, record: Record, deleted: bool) -> None:
        crd = record.obj
        name = crd["metadata"]["name"]
        if deleted:
            self._core.catalogue.remove([*self._made.pop(name, ()), *self.given.pop(name, ())])
            return
        self._serve(crd)
        if crd["metadata"].get("deletionTimestamp"):
            await self._clean_up(crd)

    def _serve(self, crd: Obj) -> None:
        name = crd["metadata"]["name"]
        if name in self.given:
            return
        now = custom_resources(crd)
        before = self._made.get(name, [])
        self._core.catalogue.remove([r for r in before if r not in now])
        self._core.catalogue.add(now, stored_since=self._core.store.revision)
        self._made[name] = now

    async def _clean_up(self, crd: Obj) -> None:
        """Delete the instances of a definition that is being deleted, then let it go."""
        resources: Sequence[Resource] = self.given.get(crd["metadata"]["name"]) or self._made.get(crd["metadata"]["name"], [])
        if not resources:
            await self._let_go(crd["metadata"]["name"])
            return
        resource = resources[0]
        served = self._core.catalogue.served(resource)
        if served is None:
            return

        async def instance_changed(record: Record, deleted: bool) -> None:
            if deleted:
                await self._finish(crd["metadata"]["name"], resource.bucket)

        for version in resources:
            terminating = self._core.catalogue.served(version)
            if terminating is not None:
                terminating.terminating = True
        self._core.committed[resource.bucket] = instance_changed
        instances = self._core.store.list(served.prefix).records
        await self._deleter.delete_all(served, Request(_SERVER_USER, resource), instances, DeleteOptions())
        await self._finish(crd["metadata"]["name"], resource.bucket)

    async def _finish(self, name: str, bucket: str) -> None:
        if not self._core.store.list(bucket + "/", limit=1).records:
            self._core.committed.pop(bucket, None)
            await self._let_go(name)

    async def _let_go(self, name: str) -> None:
        """Take our finalizer off a definition, and remove it when that was the last one."""
        key = f"{DEFINITIONS}//{name}"
        while (head := self._core.store.head(key)) is not None:
            meta = head.obj["metadata"]
            left = [f for f in meta.get("finalizers") or [] if f != CLEANUP]
            if CLEANUP not in (meta.get("finalizers") or []):
                return
            new = {**head.obj, "metadata": {**meta, "finalizers": left}}
            try:
                if left:
                    await self._core.commit(DEFINITIONS, Put(key, encoder(new), head.revision, new))
                else:
                    await self._core.commit(DEFINITIONS, Delete(key, encoder(new), head.revision, new), deleted=True)
            except RevisionMismatch:
                continue
