"""Evicting a pod: deleting it on behalf of somebody who drains its node, as far as its disruption budget allows.

Called by `subresources`. A budget's controller says how many pods may go; each eviction takes one of them before the pod goes, so that two
that are fast at once cannot both have the last. Pods that do no work, or are not ready while the budget is kept, cost nothing.
Contract: policy/v1 Eviction; kube 1.36 pkg/registry/core/pod/storage/eviction.go, KEP-3017; texts as kube-apiserver's.
"""

import msgspec

from lightship.apiserver.core import Core
from lightship.apiserver.requests import Answer, Request
from lightship.apiserver.served import Served
from lightship.apiserver.verbs.deletion import Deleter
from lightship.apiserver.verbs.writing import Writer, encoder
from lightship.kinds import pods
from lightship.meta import conditions, errors, objects, selectors, times
from lightship.meta.objects import Obj, get_path
from lightship.meta.rest import DeleteOptions, WriteOptions
from lightship.store import Put, Record, RevisionMismatch

from . import admitting

BUDGETS = "policy/poddisruptionbudgets/"
MOST_DISRUPTED = 2000
"""Evicted pods that a budget's controller has not seen go yet."""
_SUCCESS = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201}
_VIOLATES = "Cannot evict pod as it would violate the pod's disruption budget."
_SEVERAL = "This pod has more than one PodDisruptionBudget, which the eviction subresource does not support."
_RETRY_SECONDS = 10
_ATTEMPTS = 5


class Evictor:
    def __init__(self, core: Core, writer: Writer, deleter: Deleter) -> None:
        self._core = core
        self._writer = writer
        self._deleter = deleter

    async def evict(self, served: Served, request: Request, body: Obj, options: WriteOptions) -> Answer:
        """201 with a Status; 429 when the budget has nothing left, with the cause DisruptionBudget."""
        admitting.identify(request, body, "Eviction", "policy/v1")
        await admitting.ask(self._core, served, request, body, options, check=lambda: _check_name(request.name, body))
        asked = _delete_options(body, options)
        for attempt in range(1, _ATTEMPTS + 1):
            pod = self._pod(served, request)
            budget, free = "", _costs_nothing(pod)
            pinned = free and _is_at_work(pod)
            if not free:
                budget, pinned = await self._take(request, pod, asked.dry_run)
            wanted = asked
            if pinned and not asked.resource_version:
                # What was decided holds for the pod as it was looked at.
                wanted = msgspec.structs.replace(asked, resource_version=pod["metadata"]["resourceVersion"])
            try:
                await self._delete(served, request, wanted)
            except errors.StatusError as error:
                if not errors.is_conflict(error) or asked.resource_version or not pinned:
                    raise
                if budget:
                    raise _busy(budget) from error
                if attempt == _ATTEMPTS:
                    raise
                continue
            break
        return Answer(201, obj=_SUCCESS)

    def _pod(self, served: Served, request: Request) -> Obj:
        record = self._core.store.head(served.key(request.namespace, request.name))
        if record is None:
            raise served.not_found(request.name)
        return record.obj

    async def _take(self, request: Request, pod: Obj, dry_run: bool) -> tuple[str, bool]:
        """Take one disruption from the pod's budget, if it has one: its name, and whether the pod must be as it was looked at."""
        for _ in range(_ATTEMPTS):
            found = self._budgets(request.namespace, pod)
            if not found:
                return "", False
            if len(found) > 1:
                raise errors.StatusError(500, "", _SEVERAL)
            record = found[0]
            name = record.obj["metadata"]["name"]
            if not pods.is_ready(pod) and _lets_unready_go(record.obj):
                return name, True
            new = _decremented(record.obj, request.name, self._core.clock.now())
            if dry_run:
                return name, False
            try:
                await self._core.commit(BUDGETS.rstrip("/"), Put(record.key, encoder(new), record.revision, new))
            except RevisionMismatch:
                continue
            return name, False
        raise errors.StatusError(
            504, "Timeout", f'couldn\'t update PodDisruptionBudget "{name}" due to conflicts', {"retryAfterSeconds": 10}
        )

    def _budgets(self, namespace: str, pod: Obj) -> list[Record]:
        labels = objects.labels(pod)
        found = []
        for stored in self._core.store.list(f"{BUDGETS}{namespace}/").records:
            record = self._core.store.head(stored.key)
            if record is not None and _selects(record.obj, labels):
                found.append(record)
        return found

    async def _delete(self, served: Served, request: Request, options: DeleteOptions) -> None:
        """Say in the pod's status why it goes, then delete it."""
        if options.dry_run:
            await self._deleter.delete(served, request, options, judged=True)
            return
        now = self._core.clock.now()

        def build(old: Obj) -> Obj:
            _check_preconditions(old, options)
            listed = (old.get("status") or {}).get("conditions") or []
            said = conditions.set_condition(listed, "DisruptionTarget", True, "EvictionByEvictionAPI", "Eviction API: evicting", now)
            return {**old, "metadata": {**old["metadata"]}, "status": {**(old.get("status") or {}), "conditions": said}}

        answer = await self._writer.replace_raw(served, request, build, WriteOptions())
        if options.resource_version:
            options = msgspec.structs.replace(options, resource_version=answer.obj["metadata"]["resourceVersion"])
        await self._deleter.delete(served, request, options, judged=True)


def _check_name(name: str, body: Obj) -> None:
    if body["metadata"].get("name") != name:
        raise errors.bad_request("name in URL does not match name in Eviction object")


def _delete_options(body: Obj, options: WriteOptions) -> DeleteOptions:
    asked = body.get("deleteOptions") or {}
    return DeleteOptions(
        grace_period_seconds=asked.get("gracePeriodSeconds"),
        propagation_policy=asked.get("propagationPolicy") or "",
        uid=get_path(asked, "preconditions", "uid") or "",
        resource_version=get_path(asked, "preconditions", "resourceVersion") or "",
        dry_run=options.dry_run or bool(asked.get("dryRun")),
    )


def _costs_nothing(pod: Obj) -> bool:
    """Pods that no budget counts: finished, never started, or on their way out."""
    return pods.is_terminal(pod) or pods.phase(pod) == "Pending" or objects.is_deleting(pod)


def _is_at_work(pod: Obj) -> bool:
    return not (pods.is_terminal(pod) or objects.is_deleting(pod))


def _selects(budget: Obj, labels: dict[str, str]) -> bool:
    try:
        return selectors.from_label_selector(objects.spec(budget).get("selector")).matches(labels)
    except ValueError:
        return False


def _lets_unready_go(budget: Obj) -> bool:
    """Does a pod that is not ready cost the budget nothing?"""
    if objects.spec(budget).get("unhealthyPodEvictionPolicy") == "AlwaysAllow":
        return True
    status = objects.status(budget)
    desired = status.get("desiredHealthy") or 0
    return 0 < desired <= (status.get("currentHealthy") or 0)


def _decremented(budget: Obj, pod: str, now: float) -> Obj:
    """The budget with one disruption less. Raises 429 when there is none, 403 when it cannot be trusted."""
    meta, status = budget["metadata"], objects.status(budget)
    name, allowed, disrupted = meta["name"], status.get("disruptionsAllowed") or 0, status.get("disruptedPods") or {}
    if (status.get("observedGeneration") or 0) < (meta.get("generation") or 0):
        raise _busy(name)
    if allowed < 0:
        raise _untrusted(name, "pdb disruptions allowed is negative")
    if len(disrupted) > MOST_DISRUPTED:
        raise _untrusted(name, "DisruptedPods map too big - too many evictions not confirmed by PDB controller")
    if allowed == 0:
        raise _refused(_explained(name, status), 0)
    left = {**status, "disruptionsAllowed": allowed - 1, "disruptedPods": {**disrupted, pod: times.rfc3339(now)}}
    if allowed == 1:
        listed, generation = status.get("conditions") or [], status.get("observedGeneration")
        left["conditions"] = conditions.set_condition(
            listed, "DisruptionAllowed", False, "InsufficientPods", "", now, generation=generation
        )
    return {**budget, "metadata": {**meta}, "status": left}


def _explained(name: str, status: Obj) -> str:
    said = conditions.find(status.get("conditions") or (), "DisruptionAllowed") or {}
    reason, message = said.get("reason") or "", said.get("message") or ""
    refused = said.get("status") == "False" and bool(message)
    healthy, desired = status.get("currentHealthy") or 0, status.get("desiredHealthy") or 0
    if refused and reason == "SyncFailed":
        return f"The disruption budget {name} does not allow evicting pods currently because it failed sync: {message}"
    if healthy <= desired:
        return f"The disruption budget {name} needs {desired} healthy pods and has {healthy} currently"
    if refused:
        return f"The disruption budget {name} does not allow evicting pods currently ({reason}): {message}"
    return f"The disruption budget {name} does not allow evicting pods currently"


def _busy(name: str) -> errors.StatusError:
    return _refused(f"The disruption budget {name} is still being processed by the server.", _RETRY_SECONDS)


def _refused(why: str, retry_seconds: int) -> errors.StatusError:
    details: Obj = {"causes": [{"reason": "DisruptionBudget", "message": why}]}
    if retry_seconds:
        details["retryAfterSeconds"] = retry_seconds
    return errors.StatusError(429, "TooManyRequests", _VIOLATES, details)


def _untrusted(name: str, why: str) -> errors.StatusError:
    shown = f'poddisruptionbudget.policy "{name}" is forbidden: {why}'
    return errors.forbidden(shown, "poddisruptionbudget", name, "policy")


def _check_preconditions(pod: Obj, options: DeleteOptions) -> None:
    meta = pod["metadata"]
    given = (("UID", options.uid, meta["uid"], "deleted and then recreated"),)
    version = (("ResourceVersion", options.resource_version, meta["resourceVersion"], "modified"),)
    for word, wanted, found, may in (*given, *version):
        if wanted and wanted != found:
            why = (
                f"the {word} in the precondition ({wanted}) does not match the {word} in record ({found}). The object might have been {may}"
            )
            raise errors.conflict("Pod", meta["name"], why)
