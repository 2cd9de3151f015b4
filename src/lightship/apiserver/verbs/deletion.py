"""Deleting: at once, after a grace period, or when the last finalizer is gone.

`registry` calls `delete` and `delete_collection`; the last step of a deletion that waits for finalizers happens in `writing`, where the
update that removes them is stored. What hangs on a deleted object is the garbage collector's business, what lives in a deleted namespace
the namespace controller's; neither is known here.
Contract: apiserver pkg/registry/rest/delete.go, pkg/registry/generic/registry/store.go, pod and namespace strategies.
"""

import asyncio
from collections.abc import Iterable
from typing import NamedTuple

import msgspec

from lightship.apiserver import traits
from lightship.apiserver.core import Core
from lightship.apiserver.objectmeta import FOREGROUND, ORPHAN
from lightship.apiserver.requests import Answer, Request
from lightship.apiserver.served import Served
from lightship.meta import errors, times
from lightship.meta.admission import AdmissionRequest
from lightship.meta.objects import Obj
from lightship.meta.rest import DeleteOptions
from lightship.store import Delete, Op, Put, Record, RevisionMismatch

from .rounds import admit
from .writing import encoder

NAMESPACES = "core/namespaces"
DEFINITIONS = "apiextensions.k8s.io/customresourcedefinitions"
CLEANUP = "customresourcecleanup.apiextensions.k8s.io"
"""Finalizer that keeps a definition until its instances are gone."""
_POLICIES = ("Background", "Foreground", "Orphan", "")
_FINISHED = ("Failed", "Succeeded")


class Step(NamedTuple):
    """What to do with the stored object: `gone` removes it, otherwise `obj` replaces it (None: leave it as it is)."""

    gone: bool
    obj: Obj | None


class Deleter:
    def __init__(self, core: Core) -> None:
        self._core = core

    async def delete(self, served: Served, request: Request, options: DeleteOptions, *, named: bool = True, judged: bool = False) -> Answer:
        """The Status of a deletion that is over, or the object that still waits; some kinds answer with the object always.

        Not `named`: it is one of many, and admission is told no name. `judged`: admission was asked already.
        """
        check_delete_options(options)
        key = served.key(request.namespace, request.name)
        while True:
            head = self._core.store.head(key)
            if head is None:
                if await self._core.absent(key):
                    raise served.not_found(request.name)
                continue
            shown = await served.show(head)
            try:
                check_preconditions(served, request.name, shown.obj, options)
            except errors.StatusError:
                await self._core.settled(head)  # who reads again sees what was in the way, and whoever tries in a loop lets others run
                raise
            also = [] if judged else await self._admit(served, request, shown.obj, options, named=named)
            spoken = _spoken(served, shown.obj, options, request.warnings)
            step = decide(served.bucket, graceful=served.resource.graceful, obj=head.obj, options=spoken, now=self._core.clock.now())
            if options.dry_run:
                return _answer(served, step, shown.obj, None)
            try:
                record = await self._perform(served, head, step, also)
            except RevisionMismatch:
                # Somebody was faster: decide again on what there is now, which the preconditions may refuse.
                continue
            return _answer(served, step, shown.obj, await served.show(record) if record is not None else None)

    async def delete_all(self, served: Served, request: Request, records: Iterable[Record], options: DeleteOptions) -> None:
        """Delete these, side by side, so that they share the store's commits. Raises the first refusal when all are through."""
        refusals: list[errors.StatusError] = []

        async def one(record: Record) -> None:
            meta = record.obj["metadata"]
            asked = Request(request.user, request.resource, meta.get("namespace") or "", meta["name"], warnings=request.warnings)
            try:
                await self.delete(served, asked, options, named=False)
            except errors.StatusError as error:
                # Gone already is what was asked for.
                if not errors.is_not_found(error):
                    refusals.append(error)

        async with asyncio.TaskGroup() as group:
            for record in records:
                group.create_task(one(record))
        if refusals:
            raise refusals[0]

    async def _perform(self, served: Served, head: Record, step: Step, also: list[Op]) -> Record | None:
        if step.gone:
            last = _copy(step.obj or head.obj)
            if step.obj is None or not served.resource.graceful:
                return await self._core.commit(served.bucket, Delete(head.key, encoder(last), head.revision, last), also, deleted=True)
            # Who watches sees that it has to end before it has ended, however little time it was given.
            marked = [Put(head.key, encoder(step.obj), head.revision, step.obj)]
            return await self._core.commit(served.bucket, Delete(head.key, encoder(last), None, last), also, deleted=True, first=marked)
        if step.obj is None:
            return None
        return await self._core.commit(served.bucket, Put(head.key, encoder(step.obj), head.revision, step.obj), also)

    async def _admit(self, served: Served, request: Request, old: Obj, options: DeleteOptions, *, named: bool) -> list[Op]:
        rules = served.rules.running(self._core.store, "DELETE", request.subresource)
        if not (rules.mutating or rules.settling or rules.validating):
            return []
        asked = AdmissionRequest(
            operation="DELETE",
            resource=served.resource,
            subresource=request.subresource,
            namespace=request.namespace,
            name=request.name if named else "",
            obj=None,
            old=old,
            user=request.user,
            dry_run=options.dry_run,
            options=options,
            warnings=request.warnings,
            annotations=request.annotations,
        )
        await admit((*rules.mutating, *rules.settling, *rules.validating), asked)
        return asked.also


def _copy(obj: Obj) -> Obj:
    return {**obj, "metadata": {**obj["metadata"]}}


def _spoken(served: Served, obj: Obj, options: DeleteOptions, warnings: list[str]) -> DeleteOptions:
    """The options with what a kind means by saying nothing of dependents; a finalizer that was put there before says it too."""
    if options.propagation_policy or not traits.keeps_dependents(served.resource):
        return options
    if served.resource.keeps_dependents:
        warnings.append(served.resource.keeps_dependents)
    decided = any(f in (FOREGROUND, ORPHAN) for f in obj["metadata"].get("finalizers") or ())
    return options if decided else msgspec.structs.replace(options, propagation_policy="Orphan")


def decide(bucket: str, *, graceful: bool, obj: Obj, options: DeleteOptions, now: float) -> Step:
    """The pure core: what a DELETE means for an object in this state. `now` in seconds since the epoch."""
    if bucket == NAMESPACES:
        return _namespace(obj, options, now)
    meta = obj["metadata"]
    finalizers = _finalizers(meta.get("finalizers") or [], options.propagation_policy)
    if bucket == DEFINITIONS:
        return _definition(obj, finalizers, now)
    if graceful:
        return _gracefully(obj, finalizers, options, now)
    if not finalizers:
        return Step(True, None)
    return Step(False, _marked(obj, finalizers, now))


def _definition(obj: Obj, finalizers: list[str], now: float) -> Step:
    """A definition waits until the objects of its kind are gone. Its generation stays, and it has no grace."""
    meta = obj["metadata"]
    if not meta.get("deletionTimestamp") and CLEANUP not in finalizers:
        finalizers = [*finalizers, CLEANUP]
    if not finalizers:
        return Step(True, None)
    marked = {**meta, "deletionTimestamp": meta.get("deletionTimestamp") or times.rfc3339(now), "finalizers": finalizers}
    return Step(False, {**obj, "metadata": marked} if marked != meta else None)


def _namespace(obj: Obj, options: DeleteOptions, now: float) -> Step:
    """A namespace first turns Terminating; it goes when its content, and so its spec.finalizers, are gone."""
    meta = obj["metadata"]
    if not meta.get("deletionTimestamp"):
        new = {**obj, "metadata": {**meta, "deletionTimestamp": times.rfc3339(now)}}
        finalizers = _finalizers(meta.get("finalizers") or [], options.propagation_policy)
        _set(new["metadata"], "finalizers", finalizers)
        new["status"] = {**(obj.get("status") or {}), "phase": "Terminating"}
        return Step(not finalizers and not (obj.get("spec") or {}).get("finalizers"), new)
    waits = (obj.get("spec") or {}).get("finalizers") or meta.get("finalizers")
    return Step(not waits, None)


def _gracefully(obj: Obj, finalizers: list[str], options: DeleteOptions, now: float) -> Step:
    """Pods: the first DELETE sets a deadline, which later ones may only shorten; the kubelet's DELETE with grace 0 ends it."""
    meta = obj["metadata"]
    asked = options.grace_period_seconds
    deadline = meta.get("deletionTimestamp")
    if deadline:
        left = meta.get("deletionGracePeriodSeconds") or 0
        if left == 0:
            return Step(False, _marked(obj, finalizers, now)) if finalizers else Step(True, None)
        if asked is None or max(asked, 0) >= left:
            return Step(False, None)
        grace = asked if asked >= 0 else 1
        begun = times.parse(deadline) - left
        generation = meta.get("generation")
    else:
        grace = _grace(obj, asked)
        begun = now
        generation = meta["generation"] + 1 if meta.get("generation") else None
    new_meta = {**meta, "deletionTimestamp": times.rfc3339(begun + grace), "deletionGracePeriodSeconds": grace}
    if generation is not None:
        new_meta["generation"] = generation
    _set(new_meta, "finalizers", finalizers)
    return Step(grace == 0 and not finalizers, {**obj, "metadata": new_meta})


def _grace(pod: Obj, asked: int | None) -> int:
    """Seconds that a pod is given: none when no kubelet would see it end."""
    spec = pod.get("spec") or {}
    if not spec.get("nodeName") or (pod.get("status") or {}).get("phase") in _FINISHED:
        return 0
    seconds: int = asked if asked is not None else spec.get("terminationGracePeriodSeconds") or 0
    return seconds if seconds >= 0 else 1


def _marked(obj: Obj, finalizers: list[str], now: float) -> Obj | None:
    """The object as it waits for its finalizers; None when it already does just that."""
    meta = {**obj["metadata"]}
    if not meta.get("deletionTimestamp"):
        meta["deletionTimestamp"] = times.rfc3339(now)
        if meta.get("generation"):
            meta["generation"] += 1
    meta["deletionGracePeriodSeconds"] = 0
    meta["finalizers"] = finalizers
    return {**obj, "metadata": meta} if meta != obj["metadata"] else None


def _finalizers(present: list[str], policy: str) -> list[str]:
    """The finalizers after a propagation policy has had its say: it adds its own and takes the other's away."""
    if not policy:
        return present
    kept = [f for f in present if f not in (FOREGROUND, ORPHAN)]
    wanted = {"Foreground": FOREGROUND, "Orphan": ORPHAN}.get(policy)
    if wanted is None:
        return kept
    return present if wanted in present and len(kept) + 1 == len(present) else [*kept, wanted]


def _set(meta: Obj, field: str, value: list[str]) -> None:
    if value:
        meta[field] = value
    else:
        meta.pop(field, None)


def check_delete_options(options: DeleteOptions) -> None:
    """Raises 422 for a propagation policy that does not exist."""
    if options.propagation_policy not in _POLICIES:
        cause = errors.not_supported("propagationPolicy", options.propagation_policy, ("Foreground", "Background", "Orphan", "nil"))
        raise errors.invalid("DeleteOptions", "", [cause], "meta.k8s.io")


def check_preconditions(served: Served, name: str, obj: Obj, options: DeleteOptions) -> None:
    """Raises 409 when the object is not the one that the client means."""
    meta = obj["metadata"]
    if options.uid and options.uid != meta["uid"]:
        why = (
            f"the UID in the precondition ({options.uid}) does not match the UID in record ({meta['uid']}). "
            "The object might have been deleted and then recreated"
        )
        raise errors.conflict(served.resource.kind, name, why, served.resource.group)
    if options.resource_version and options.resource_version != meta["resourceVersion"]:
        why = (
            f"the ResourceVersion in the precondition ({options.resource_version}) does not match the ResourceVersion in record "
            f"({meta['resourceVersion']}). The object might have been modified"
        )
        raise errors.conflict(served.resource.kind, name, why, served.resource.group)


def _answer(served: Served, step: Step, before: Obj, record: Record | None) -> Answer:
    if step.gone and not served.returns_deleted:
        details = {"name": before["metadata"]["name"], "kind": served.resource.plural, "uid": before["metadata"]["uid"]}
        if served.resource.group:
            details["group"] = served.resource.group
        return Answer(obj={"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "details": details})
    if record is not None:
        return Answer(record=record)
    return Answer(obj=step.obj or before)
