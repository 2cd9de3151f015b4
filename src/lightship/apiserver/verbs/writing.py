"""The write path: a body becomes a stored object, or a refusal that says why.

`registry` calls `create`, `update` and (through `patching`, `subresources`) `replace`. The steps, in order: identity, unknown fields and
types, defaults, managed fields, mutating admission, name and uid, `prepare`, validation, validating admission, commit. Optimistic: a write
builds on the newest head, in flight or not, and tries again when another one was faster and the client asked for no particular version.
"""

from collections.abc import Callable
from typing import Any, TypeAlias

import msgspec

from lightship.aio.aside import aside
from lightship.apiserver import objectmeta
from lightship.apiserver.conversion.versions import Unconverted
from lightship.apiserver.core import Core
from lightship.apiserver.custom_objects import scale_problems
from lightship.apiserver.requests import HEAVY, LARGEST, Answer, Request
from lightship.apiserver.rules import Running
from lightship.apiserver.served import Served
from lightship.cel.rules import Dear
from lightship.meta import codec, errors, names, times
from lightship.meta.admission import AdmissionRequest
from lightship.meta.objects import Obj
from lightship.meta.rest import WriteOptions
from lightship.store import Delete, Op, Put, Record, RevisionMismatch

from . import managed
from .rounds import admit, mutate
from .subobjects import STATUS_FIELDS, merge_subresource
from .write_checks import check_identity, check_options, check_uid, check_unversioned, check_version

NAME_ATTEMPTS = 8
"""Names that are tried for a `generateName` before the client is told to try again (KEP-4420)."""
CONFLICT_ATTEMPTS = 5

Build: TypeAlias = Callable[[Obj], Obj]
"""Given the stored object (shared, not to be changed), the new one, private to the write."""


class Writer:
    def __init__(self, core: Core) -> None:
        self._core = core

    async def create(
        self, served: Served, request: Request, obj: Obj, options: WriteOptions, applied: managed.Applied | None = None
    ) -> Answer:
        """201 with the stored object. `applied`: who owns what, where an apply knows already."""
        if served.terminating:
            name = (obj.get("metadata") or {}).get("name") or ""
            raise served.forbidden(name, "create not allowed while custom resource definition is terminating")
        check_identity(served, request, obj)
        check_options(options, "CreateOptions", applying=applied is not None)
        if request.weight > HEAVY:
            causes = await aside(served.accept, obj, options.field_validation, request.warnings, request.doubles)
        else:
            causes = served.accept(obj, options.field_validation, request.warnings, request.doubles)
        resource = served.resource
        meta = obj["metadata"]
        sent = meta.get("managedFields") if applied is None else applied
        objectmeta.wipe_new(meta)
        request.name = request.name or meta.get("name") or ""
        if resource.status and resource.custom:
            obj.pop("status", None)
        also = await self._finish(served, request, obj, None, options, causes, sent)
        return await self._commit_new(served, request, obj, options, also)

    async def update(self, served: Served, request: Request, obj: Obj, options: WriteOptions) -> Answer:
        """200 with the stored object; 201 for the few kinds that PUT creates."""
        check_identity(served, request, obj)
        check_options(options, "UpdateOptions")
        if served.creates_on_update and not request.subresource and self._core.store.head(self._key(served, request)) is None:
            if obj["metadata"].get("uid"):
                raise served.conflict(request.name, "uid mismatch: the provided object specified a uid, and no existing object was found")
            obj["metadata"].pop("resourceVersion", None)
            return await self.create(served, request, obj, options)
        pinned = obj["metadata"].get("resourceVersion")

        def build(_: Obj) -> Obj:
            # A former attempt has left its version in the object.
            if pinned:
                obj["metadata"]["resourceVersion"] = pinned
            else:
                obj["metadata"].pop("resourceVersion", None)
            return obj

        return await self.replace(served, request, build, options)

    async def replace(
        self, served: Served, request: Request, build: Build, options: WriteOptions, *, pinned: bool | None = None, settled: bool = False
    ) -> Answer:
        """Store what `build` makes of the stored object. The one way in which existing objects change.

        `pinned`: the client means one particular version, so that a faster write is a conflict (None: when the new object names one).
        `settled`: `build` has told who owns what, too.
        """
        key = self._key(served, request)
        for attempt in range(1, CONFLICT_ATTEMPTS + 1):
            head = self._core.store.head(key)
            if head is None:
                if await self._core.absent(key):
                    raise served.not_found(request.name)
                continue
            old = await served.show(head) if served.versions is not None else served.read(head)
            new = await _built(request, head, build, old.obj)
            if new == old.obj and request.doubles is None and not served.is_outdated(head) and not self._rules(served, request, new).always:
                # Nothing asked for: the common case of controllers that write what is there already.
                await self._core.settled(head)
                return Answer(record=old)
            exact = bool(new["metadata"].get("resourceVersion")) if pinned is None else pinned
            if pinned is None:
                check_uid(served, request, new, old.obj)
            try:
                check_version(served, request, new, old.obj)
            except errors.StatusError:
                await self._core.settled(head)  # who reads again sees what was in the way, and whoever tries in a loop lets others run
                raise
            sent = new["metadata"].get("managedFields")
            new = merge_subresource(served.resource, request.subresource, new, old.obj)
            also = await self._prepare_update(served, request, new, old.obj, options, managed.Applied(sent or ()) if settled else sent)
            try:
                return await self._commit_change(served, request, head, old, new, options, also)
            except RevisionMismatch as mismatch:
                if (exact and mismatch.key == key) or attempt == CONFLICT_ATTEMPTS:
                    raise served.conflict(request.name) from mismatch
        raise served.conflict(request.name)

    async def replace_raw(self, served: Served, request: Request, build: Build, options: WriteOptions) -> Answer:
        """Store what `build` makes of the stored object, as it is: for the server's own changes, which need no judging."""
        key = self._key(served, request)
        while True:
            head = self._core.store.head(key)
            if head is None:
                if await self._core.absent(key):
                    raise served.not_found(request.name)
                continue
            try:
                new = build(head.obj)
            except errors.StatusError:
                await self._core.settled(head)  # as above
                raise
            if options.dry_run:
                return Answer(obj=new)
            try:
                return Answer(record=await self._core.commit(served.bucket, Put(key, encoder(new), head.revision, new)))
            except RevisionMismatch:
                continue

    def owned(self, served: Served) -> managed.Owned:
        """How the fields of a resource are owned."""
        return served.owned or managed.of(served, lambda: self._core.catalogue.siblings(served.bucket))

    def now(self) -> str:
        """The time that writes of this moment bear."""
        return times.rfc3339(self._core.clock.now())

    def is_absent(self, served: Served, request: Request) -> bool:
        """Is there no such object, not even in flight?"""
        return self._core.store.head(self._key(served, request)) is None

    async def _prepare_update(self, served: Served, request: Request, new: Obj, old: Obj, options: WriteOptions, sent: Any) -> list[Op]:
        objectmeta.carry_over(new["metadata"], old["metadata"])
        if request.weight > HEAVY:
            causes = await aside(self._accept_change, served, request, new, options)
        else:
            causes = self._accept_change(served, request, new, options)
        return await self._finish(served, request, new, old, options, causes, sent)

    def _accept_change(self, served: Served, request: Request, new: Obj, options: WriteOptions) -> list[errors.Cause]:
        if request.subresource != "status" or served.resource.custom:
            return served.accept(new, options.field_validation, request.warnings, request.doubles)
        # The rest is what is stored already.
        part = {field: new[field] for field in STATUS_FIELDS if field in new}
        causes = served.accept(part, options.field_validation, request.warnings, request.doubles)
        new["metadata"] = part["metadata"]
        new.pop("status", None)
        if "status" in part:
            new["status"] = part["status"]
        return causes

    async def _finish(
        self, served: Served, request: Request, obj: Obj, old: Obj | None, options: WriteOptions, causes: list[errors.Cause], sent: Any
    ) -> list[Op]:
        """Default, tell who owns what, let others change it, complete, in place. Returns what must be written with the object."""
        resource = served.resource
        if resource.default and request.subresource in ("", "finalize", "ephemeralcontainers"):
            resource.default(obj)
        # What a client did not ask for is nobody's: so before the server and admission have their say, but after defaults.
        if not (resource.custom and any(cause.reason == errors.TYPE_INVALID for cause in causes)):
            await self._own(served, request, obj, old, options, times.rfc3339(self._core.clock.now()), sent)
        chosen = self._rules(served, request, old)
        if chosen.mutating:
            causes = await self._change(chosen, served, request, obj, old, options, causes)
        return await self._complete(chosen, served, request, obj, old, options, causes, sent)

    async def _change(
        self,
        chosen: Running,
        served: Served,
        request: Request,
        obj: Obj,
        old: Obj | None,
        options: WriteOptions,
        causes: list[errors.Cause],
    ) -> list[errors.Cause]:
        """Mutating admission, in place. Returns what is wrong with the types of the object now."""
        resource, metadata = served.resource, obj["metadata"]
        entries = metadata.get("managedFields")
        wish, view = self._admission(served, request, obj, old, options, []), request.view
        if view is not None:
            shown, before = view.sent(obj, old or {})
            wish = msgspec.structs.replace(wish, obj=shown, old=before)
        await mutate(chosen.mutating, wish)
        if view is not None and wish.obj is not None:
            view.take(wish.obj, obj)
        managed.check_after_admission(obj["metadata"], entries, request.warnings)
        if obj["metadata"] is not metadata:
            # A policy or webhook has put another object in its place.
            if resource.custom:
                causes = served.accept(obj, "Ignore", [])
            _keep_parts(served, request, obj, old)
        if chosen.default_again and resource.default and not request.subresource:
            resource.default(obj)
        return causes

    async def _complete(
        self,
        chosen: Running,
        served: Served,
        request: Request,
        obj: Obj,
        old: Obj | None,
        options: WriteOptions,
        causes: list[errors.Cause],
        sent: Any,
    ) -> list[Op]:
        """What the server itself says of the object, validation, and the judgement of others. Returns what must be written with it."""
        resource, now = served.resource, times.rfc3339(self._core.clock.now())
        if old is None:
            self._name(served, request, obj["metadata"], now)
        rules = resource.parts.get(request.subresource) if request.subresource else resource
        if rules and rules.prepare:
            rules.prepare(obj, old)
        if rules and rules.sign:
            rules.sign(obj, old, request.user, now)
        also: list[Op] = []
        wish = self._admission(served, request, obj, old, options, also) if chosen.settling or chosen.validating else None
        if wish is not None and chosen.settling:
            await admit(chosen.settling, wish)
        if old is not None and served.has_generation and _is_next_generation(served, request, obj, old):
            obj["metadata"]["generation"] = (old["metadata"].get("generation") or 0) + 1
        await self._validated(served, request, obj, old, causes, sent)
        if rules and rules.warn and (told := await aside(rules.warn, obj, old) if request.weight > HEAVY else rules.warn(obj, old)):
            request.warnings.extend(told)
        if wish is not None and chosen.validating:
            if old is not None:
                obj["metadata"]["resourceVersion"] = old["metadata"]["resourceVersion"]
            await admit(chosen.validating, wish)
        return also

    def _name(self, served: Served, request: Request, meta: Obj, now: str) -> None:
        """What no client can say of a new object, and a name where it has none."""
        objectmeta.stamp_new(meta, self._core.uid(), now, generation=served.has_generation)
        if not meta.get("name") and meta.get("generateName"):
            request.generated = True
            meta["name"] = names.generate(meta["generateName"], self._core.suffix)

    async def _own(self, served: Served, request: Request, obj: Obj, old: Obj | None, options: WriteOptions, now: str, sent: Any) -> None:
        owned = self.owned(served)
        while True:
            try:
                if request.weight > HEAVY:
                    return await aside(_tell_owners, owned, request, obj, old, options, now, sent)
                return _tell_owners(owned, request, obj, old, options, now, sent)
            except Unconverted as wanted:
                await wanted.convert()

    async def _validated(self, served: Served, request: Request, obj: Obj, old: Obj | None, causes: list[errors.Cause], sent: Any) -> None:
        """`_validate`, off the event loop where the object is large, or the rules of its kind turn out to be dear."""
        if request.weight <= HEAVY:
            try:
                self._validate(served, request, obj, old, causes, sent, short=request.weight > 0)
            except Dear:
                pass
            else:
                return
        await aside(self._validate, served, request, obj, old, causes, sent, short=False)

    def _validate(
        self, served: Served, request: Request, obj: Obj, old: Obj | None, causes: list[errors.Cause], sent: Any, *, short: bool
    ) -> None:
        resource = served.resource
        if causes and not resource.custom:
            # Defaults may have supplied what was missing.
            causes = served.check(obj)
        elif causes:
            causes = served.counting(causes, obj, old, request.subresource)
        meta = obj["metadata"]
        rule, known, prefixes = served.name_rule, served.knows_finalizers, served.judges_prefixes
        if old:
            order = "U" if request.subresource else served.metadata_order
            found = objectmeta.check_update(meta, old["metadata"], rule, order, builtin=known, prefixes=prefixes)
        else:
            found = [] if served.metadata_last else objectmeta.check_new(meta, rule, builtin=known, prefixes=prefixes)
        found += causes
        entries = meta.get("managedFields")
        if entries and sent and sent.__class__ is not managed.Applied and sent is not (old or {}).get("metadata", {}).get("managedFields"):
            found += managed.check_entries(entries)
        rules = resource if resource.custom or not request.subresource else resource.parts.get(request.subresource)
        if rules and rules.validate:
            found += served.unchecked(found) or rules.validate(obj, old)
        if served.metadata_last and not old and not found:
            found = objectmeta.check_new(meta, rule, builtin=False)
        if resource.custom:
            found += served.misnamed(meta) if old is None else ()
            found += scale_problems(resource.scale, obj)
            found += served.breaches(obj, old, found, request.warnings, short=short)
        if found:
            raise served.invalid(meta.get("name") or "", found)
        if request.weight > HEAVY and len(codec.encode(obj)) > LARGEST:
            raise errors.too_large(f"Request entity too large: limit is {LARGEST}")

    def _rules(self, served: Served, request: Request, old: Obj | None) -> Running:
        """Which admission functions have something to say to this write."""
        part = request.subresource if request.view is None else request.view.subresource
        return served.rules.running(self._core.store, "UPDATE" if old else "CREATE", part)

    def _admission(
        self, served: Served, request: Request, obj: Obj, old: Obj | None, options: WriteOptions, also: list[Op]
    ) -> AdmissionRequest:
        part, view = request.subresource, request.view
        if view is not None:
            part, obj, old = view.subresource, view.show(obj), view.show(old) if old is not None else None
        return AdmissionRequest(
            operation="UPDATE" if old else "CREATE",
            resource=served.resource,
            subresource=part,
            namespace=request.namespace,
            name=request.name or obj["metadata"].get("name") or "",
            obj=obj,
            old=old,
            user=request.user,
            dry_run=options.dry_run,
            options=options,
            also=also,
            warnings=request.warnings,
            annotations=request.annotations,
        )

    async def _commit_new(self, served: Served, request: Request, obj: Obj, options: WriteOptions, also: list[Op]) -> Answer:
        meta = obj["metadata"]
        if (sent := meta.get("resourceVersion")) and not options.dry_run:
            check_unversioned(sent)
        for attempt in range(1, NAME_ATTEMPTS + 1):
            key = served.key(request.namespace, meta["name"])
            existing = self._core.store.head(key)
            if existing is None:
                if options.dry_run:
                    return Answer(201, obj=obj)
                try:
                    return Answer(201, record=await self._put(served, key, 0, obj, also))
                except RevisionMismatch as mismatch:
                    if mismatch.key == key:
                        existing = mismatch.current
                    elif attempt == NAME_ATTEMPTS:
                        raise served.conflict(meta["name"]) from mismatch
            if existing is not None:
                if not request.generated or attempt == NAME_ATTEMPTS:
                    await self._core.settled(existing)  # who is told that it exists finds it
                    raise _exists(served, meta["name"], existing, generated=bool(meta.get("generateName")))
                del meta["name"]
            # Another name, or companions that somebody has written in between: to be judged anew.
            chosen = self._rules(served, request, None)
            also = await self._complete(chosen, served, request, obj, None, options, [], managed.Applied(meta.get("managedFields") or ()))
        raise errors.internal("unreachable")

    async def _commit_change(
        self, served: Served, request: Request, head: Record, old: Record, new: Obj, options: WriteOptions, also: list[Op]
    ) -> Answer:
        new["metadata"]["resourceVersion"] = old.obj["metadata"]["resourceVersion"]
        bucket = served.bucket
        if is_finished(served, new, old.obj):
            if options.dry_run:
                return Answer(obj=new)
            last = new if served.as_written else await served.to_store(new)
            await self._core.commit(bucket, Delete(head.key, encoder(last), head.revision, last), also, deleted=True)
            return Answer(obj={**new, "metadata": last["metadata"]})
        if (new == old.obj or managed.is_only_later(new, old.obj)) and not served.is_outdated(head):
            await self._core.settled(head)
            return Answer(record=old)
        if options.dry_run:
            return Answer(obj=new)
        return Answer(record=await self._put(served, head.key, head.revision, new, also))

    async def _put(self, served: Served, key: str, expect: int, obj: Obj, also: list[Op]) -> Record:
        """Store an object in the version for that, and return it as the resource serves it."""
        if served.as_written:
            return await self._core.commit(served.bucket, Put(key, encoder(obj), expect, obj), also)
        stored = await served.to_store(obj)
        return await served.show(await self._core.commit(served.bucket, Put(key, encoder(stored), expect, stored), also))

    def _key(self, served: Served, request: Request) -> str:
        return served.key(request.namespace, request.name)


def _tell_owners(owned: managed.Owned, request: Request, obj: Obj, old: Obj | None, options: WriteOptions, now: str, sent: Any) -> None:
    if old is None:
        managed.created(owned, request, obj, options, now, sent)
    else:
        managed.updated(owned, request, obj, old, options, now, sent)


async def _built(request: Request, head: Record, build: Build, old: Obj) -> Obj:
    """What `build` makes of an object, once all versions that it asks for are known."""
    if request.weight and len(head.value) > HEAVY:
        request.weight += HEAVY  # a short patch of a large object is as much work
    while True:
        try:
            return await aside(build, old) if request.weight > HEAVY else build(old)
        except Unconverted as wanted:
            await wanted.convert()


def encoder(obj: Obj) -> Callable[[int], bytes]:
    """What the store calls when the write takes its revision."""

    def encode(revision: int) -> bytes:
        obj["metadata"]["resourceVersion"] = str(revision)
        # What it is comes first, as in Go: lists of built-in kinds cut it off.
        return codec.encode({"kind": obj["kind"], "apiVersion": obj["apiVersion"], **obj})

    return encode


def is_finished(served: Served, new: Obj, old: Obj) -> bool:
    """Was this update the last thing that a deletion waited for?"""
    if new["metadata"].get("finalizers") or not old["metadata"].get("deletionTimestamp"):
        return False
    if served.bucket == "core/namespaces" and (new.get("spec") or {}).get("finalizers"):
        return False
    return not old["metadata"].get("deletionGracePeriodSeconds")


def _keep_parts(served: Served, request: Request, new: Obj, old: Obj | None) -> None:
    """Put back, in place, what a write to this part of an object cannot change, whoever has changed it."""
    resource = served.resource
    if old is None:
        if resource.status and resource.custom:
            new.pop("status", None)
        return
    merged = merge_subresource(resource, request.subresource, {**new}, old)
    new.clear()
    new.update(merged)


def _is_next_generation(served: Served, request: Request, new: Obj, old: Obj) -> bool:
    """Does a write change what the object is to be?"""
    if served.annotations_count and not request.subresource and _annotated(new, old):
        return True
    return _spec_changed(served, new, old)


def _spec_changed(served: Served, new: Obj, old: Obj) -> bool:
    ignored = {"metadata", "status"} if served.resource.status or not served.resource.custom else {"metadata"}
    return any(new.get(field) != old.get(field) for field in new.keys() | old.keys() if field not in ignored)


def _annotated(new: Obj, old: Obj) -> bool:
    return (new["metadata"].get("annotations") or {}) != (old["metadata"].get("annotations") or {})


def _exists(served: Served, name: str, existing: Record | None, *, generated: bool) -> errors.StatusError:
    error = errors.already_exists(served.resource.plural, name, served.resource.group)
    if generated:
        message = f"{error.message}, the server was not able to generate a unique name for the object"
        return errors.StatusError(409, "AlreadyExists", message, {**(error.details or {}), "retryAfterSeconds": 1})
    if existing is not None and existing.obj["metadata"].get("deletionTimestamp"):
        return errors.StatusError(409, "AlreadyExists", f"object is being deleted: {error.message}", error.details)
    return error
