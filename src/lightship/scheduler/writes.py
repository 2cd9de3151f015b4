"""What the scheduler writes: bindings, why a pod waits, nominations, and the end of pods that must make room.

Called by `controller` with what `plan` decided; decides nothing itself. Every write names the uid of the pod that is meant, so that a pod
of the same name which came later is left alone.
Contract: core/v1 Binding; conditions `PodScheduled` and `DisruptionTarget`, events `Scheduled`, `FailedScheduling` and `Preempted` in
kube-scheduler's words.
"""

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


class Writes:
    """Writes in the name of the scheduler."""

    def __init__(self, client: Client, pods: Informer, recorder: Recorder, clock: Clock) -> None:
        self._client = client
        self._pods = pods
        self._recorder = recorder
        self._clock = clock

    async def bind(self, info: PodInfo, node: str) -> bool:
        """Bind a pod to its node; False when it is gone. Raises what the server says."""
        pod = self._pod(info)
        if pod is None:
            return False
        namespace, name = info.key
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
        told = said.reason == now.reason and said.message.startswith(cause)
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

    async def evict(self, victim: PodInfo, preemptor: PodInfo, node: str) -> None:
        """End a pod, for another of higher priority; nothing when it is gone, or going already."""
        pod = self._pod(victim)
        if pod is None or objects.is_deleting(pod):
            return
        message = f"{NAME}: preempting to accommodate a higher priority pod"
        known = objects.status(pod).get("conditions") or []
        marked = conditions.set_condition(known, DISRUPTED, True, "PreemptionByScheduler", message, self._clock.now())
        try:
            await self._client.patch_status(PODS, pod, {**objects.status(pod), "conditions": marked})
            await self._client.delete(PODS, victim.key.name, victim.key.namespace, DeleteOptions(uid=victim.uid))
        except errors.StatusError as error:
            if errors.is_not_found(error):
                return
            raise
        self._recorder.event(pod, "Normal", "Preempted", f"Preempted by pod {preemptor.uid} on node {node}")

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
