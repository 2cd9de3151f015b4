"""What the scheduler writes: bindings, why a pod waits, nominations, and the end of pods that must make room.

Called by `controller` with what `plan` decided; decides nothing itself. Every write names the uid of the pod that is meant, so that a pod
of the same name which came later is left alone.
Contract: core/v1 Binding; conditions `PodScheduled` and `DisruptionTarget`, events `Scheduled`, `FailedScheduling` and `Preempted` in
kube-scheduler's words.
"""

import re

from lightship.aio.clock import Clock
from lightship.client import Client
from lightship.client.informer import Informer
from lightship.control import Recorder
from lightship.kinds import PODS
from lightship.meta import conditions, errors, objects
from lightship.meta.objects import Obj
from lightship.meta.rest import DeleteOptions
from lightship.scheduler.book import SCHEDULED, Said
from lightship.scheduler.snapshot import PodInfo

DISRUPTED = "DisruptionTarget"
NAME = "default-scheduler"
_GATHERED = re.compile(r"current pods number: \d+")
"""What alone is no reason to say it anew: all pods of a gang would, for each that comes."""


class Writes:
    """Writes in the name of the scheduler."""

    def __init__(self, client: Client, pods: Informer, recorder: Recorder, clock: Clock) -> None:
        self._client = client
        self._pods = pods
        self._recorder = recorder
        self._clock = clock

    async def bind(self, info: PodInfo, node: str) -> bool:
        """Bind a pod to its node; False when it is gone. Raises what the server says."""
        version = self._pods.version(info.key)
        if not version:
            return False
        namespace, name = info.key
        meta = {"namespace": namespace, "name": name, "uid": info.uid, "resourceVersion": version}
        pod = {"apiVersion": "v1", "kind": "Pod", "metadata": meta}
        binding = {
            "apiVersion": "v1",
            "kind": "Binding",
            "metadata": {"namespace": namespace, "name": name, "uid": info.uid},
            "target": {"apiVersion": "v1", "kind": "Node", "name": node},
        }
        await self._client.create_subresource(PODS, name, namespace, "binding", binding)
        self._recorder.event(pod, "Normal", "Scheduled", f"Successfully assigned {namespace}/{name} to {node}")
        return True

    async def explain(self, info: PodInfo, said: Said, now: Said, cause: str, nominated: str | None) -> None:
        """Say on the pod why it waits, and where room is being made for it (None: as before), and tell an event.

        Nothing is written when that was said before with the same cause.
        """
        told = is_told(said, now, cause)
        if told and nominated in (None, info.nominated):
            return
        pod = self._pod(info)
        if pod is None:
            return
        status = dict(objects.status(pod))
        if not told:
            known = status.get("conditions") or []
            status["conditions"] = conditions.set_condition(known, SCHEDULED, False, now.reason, now.message, self._clock.now())
        if nominated:
            status["nominatedNodeName"] = nominated
        elif nominated is not None:
            status.pop("nominatedNodeName", None)
        await self._client.patch_status(PODS, pod, status)
        if not told and now.reason != "SchedulingGated":
            self._recorder.event(pod, "Warning", "FailedScheduling", now.message)

    async def evict(self, victim: PodInfo, preemptor: str, node: str, kind: str = "pod") -> None:
        """End a pod, for another or a group of higher priority, by its uid; nothing when it is gone, or going already."""
        pod = self._pod(victim)
        if pod is None or objects.is_deleting(pod):
            return
        message = f"{NAME}: preempting to accommodate a higher priority {kind}"
        known = objects.status(pod).get("conditions") or []
        marked = conditions.set_condition(known, DISRUPTED, True, "PreemptionByScheduler", message, self._clock.now())
        try:
            await self._client.patch_status(PODS, pod, {**objects.status(pod), "conditions": marked})
            await self._client.delete(PODS, victim.key.name, victim.key.namespace, DeleteOptions(uid=victim.uid))
        except errors.StatusError as error:
            if errors.is_not_found(error):
                return
            raise
        self._recorder.event(pod, "Normal", "Preempted", f"Preempted by {kind} {preemptor} on node {node}")

    async def release(self, info: PodInfo) -> None:
        """A pod's nomination does not hold any longer."""
        pod = self._pod(info)
        if pod is not None and objects.status(pod).get("nominatedNodeName"):
            status = {field: value for field, value in objects.status(pod).items() if field != "nominatedNodeName"}
            await self._client.patch_status(PODS, pod, status)

    async def whereabouts(self, info: PodInfo) -> str | None:
        """The node of a pod by the server's word; empty when it has none, None when there is no such pod."""
        live = await self._client.get_or_none(PODS, info.key.name, info.key.namespace)
        if live is None or objects.uid(live) != info.uid:
            return None
        return objects.spec(live).get("nodeName") or ""

    def _pod(self, info: PodInfo) -> Obj | None:
        """The pod as it is now, if it is still there."""
        pod = self._pods.get(info.key)
        return pod if pod is not None and objects.uid(pod) == info.uid else None


def is_told(said: Said, now: Said, cause: str) -> bool:
    """Does what was said last give the same cause?"""
    if said.reason == now.reason and said.message.startswith(cause):
        return True
    if said.reason != now.reason or not _GATHERED.search(cause):
        return False
    return _GATHERED.sub("", said.message).startswith(_GATHERED.sub("", cause))
