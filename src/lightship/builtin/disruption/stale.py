"""Takes back the condition DisruptionTarget of pods that were to go and did not.

Woken by pods that have it. What a node says of its own pods stays. Contract: Kubernetes 1.36 disruption controller
(`syncStalePodDisruption`).
"""

from collections.abc import Iterable

from lightship.control import Controller, Done, Manager, Outcome, RequeueAfter, Watch
from lightship.kinds import PODS
from lightship.kinds import pods as podlib
from lightship.meta import conditions, objects, times
from lightship.meta.objects import Key, Obj

TARGET = "DisruptionTarget"
PATIENCE = 120.0
"""Seconds from the announcement to the day it is taken back."""


def controller(manager: Manager) -> Controller:
    return Controller("stale-disruption", StaleReconciler(manager), watches=[Watch(PODS, _concerned)])


class StaleReconciler:
    def __init__(self, manager: Manager) -> None:
        self._client = manager.client
        self._clock = manager.clock
        self._pods = manager.cache.informer(PODS)

    async def reconcile(self, key: Key) -> Outcome:
        pod = self._pods.get(key)
        if pod is None or not is_waiting(pod):
            return Done()
        now = self._clock.now()
        left = _since(pod) + PATIENCE - now
        if left > 0:
            return RequeueAfter(left)
        listed = conditions.set_condition(objects.status(pod)["conditions"], TARGET, False, "", "", now)
        await self._client.patch_status(PODS, pod, {**objects.status(pod), "conditions": listed})
        return Done()


def is_waiting(pod: Obj) -> bool:
    """Was a pod told that it has to go, by somebody who may have changed his mind?"""
    found = conditions.get(pod, TARGET) or {}
    said = found.get("status") == "True" and found.get("reason") != "TerminationByKubelet"
    return said and not objects.is_deleting(pod) and not podlib.is_terminal(pod)


def _since(pod: Obj) -> float:
    stamp = (conditions.get(pod, TARGET) or {}).get("lastTransitionTime")
    return times.parse(stamp) if stamp else 0.0


def _concerned(pod: Obj) -> Iterable[Key]:
    return (objects.key(pod),) if is_waiting(pod) else ()
