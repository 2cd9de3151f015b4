"""The bind loop: looks at waiting pods and nodes, asks `plan`, binds, and says on each pod that must wait why it waits.

One key stands for the whole loop, so changes that come together are planned together. Woken by changes of pods and nodes; an
unschedulable pod is planned again whenever something changes, and told about only when the cause changes.
"""

import logging
from collections.abc import Iterable

from lightship.control import Controller, Done, Manager, Outcome, Watch
from lightship.kinds import NODES, PODS
from lightship.meta import conditions, errors, objects
from lightship.meta.objects import Key, Obj
from lightship.scheduler import snapshot
from lightship.scheduler.plan import Bind, Decision, Gated, Unschedulable, plan
from lightship.scheduler.snapshot import PodInfo

log = logging.getLogger(__name__)

CYCLE = Key("", "cycle")
WAITING = "scheduler/waiting"
SCHEDULED = "PodScheduled"
GATED_MESSAGE = "Scheduling is blocked due to non-empty scheduling gates"


def controller(manager: Manager) -> Controller:
    def every_change(_: Obj) -> Iterable[Key]:
        return (CYCLE,)

    return Controller("scheduler", Scheduler(manager), watches=[Watch(PODS, every_change), Watch(NODES, every_change)])


class Scheduler:
    """The reconciler behind `CYCLE`."""

    def __init__(self, manager: Manager) -> None:
        self._client = manager.client
        self._clock = manager.clock
        self._recorder = manager.recorder
        self._pods = manager.cache.informer(PODS)
        self._nodes = manager.cache.informer(NODES)
        self._pods.add_index(WAITING, _waiting)
        self._assumed: dict[str, PodInfo] = {}
        """Pods that we bound and whose node the cache does not show yet, by uid."""
        self._uncertain: dict[str, PodInfo] = {}
        """Pods whose binding failed, or whose answer was lost: asked for before the next plan."""
        self._parsed: dict[str, tuple[Obj, PodInfo]] = {}
        """What was read from each pod, by uid, with the object it was read from."""

    async def reconcile(self, key: Key) -> Outcome:
        """One cycle: plan for all that wait, then carry the plan out."""
        await self._make_certain()
        waiting = self._waiting()
        if not waiting:
            return Done()
        placed = [pod for pod in self._pods.list() if snapshot.is_placed(pod)]
        infos = self._read([*waiting, *placed])
        nodes = snapshot.snapshot(self._nodes.list(), [*infos[len(waiting) :], *self._assumed.values()])
        by_uid = {objects.uid(pod): pod for pod in waiting}
        failures = [await self._carry_out(decision, by_uid[decision.pod.uid]) for decision in plan(infos[: len(waiting)], nodes)]
        for failure in failures:
            if failure is not None:
                raise failure
        return Done()

    def _waiting(self) -> list[Obj]:
        """Pods without a node, except those whose binding is on its way to us."""
        found = self._pods.by_index(WAITING, "")
        uids = {objects.uid(pod) for pod in found}
        self._assumed = {uid: info for uid, info in self._assumed.items() if uid in uids}
        return [pod for pod in found if objects.uid(pod) not in self._assumed]

    def _read(self, pods: list[Obj]) -> list[PodInfo]:
        """What the plan needs of each pod. Read again only for pods that changed; pods that are gone are forgotten."""
        before, self._parsed = self._parsed, {}
        for pod in pods:
            uid = objects.uid(pod)
            known = before.get(uid)
            self._parsed[uid] = known if known is not None and known[0] is pod else (pod, snapshot.pod_info(pod))
        return [self._parsed[objects.uid(pod)][1] for pod in pods]

    async def _carry_out(self, decision: Decision, pod: Obj) -> Exception | None:
        """Do what was decided for one pod. A failure is returned, so that the other pods get their turn first."""
        try:
            match decision:
                case Bind():
                    await self._bind(decision, pod)
                case Unschedulable():
                    await self._explain(pod, "Unschedulable", decision.message, decision.cause)
                case Gated():
                    await self._explain(pod, "SchedulingGated", GATED_MESSAGE, GATED_MESSAGE)
        except errors.StatusError as error:
            return None if errors.is_not_found(error) else error
        return None

    async def _bind(self, decision: Bind, pod: Obj) -> None:
        namespace, name = objects.key(pod)
        binding = {
            "apiVersion": "v1",
            "kind": "Binding",
            "metadata": {"namespace": namespace, "name": name, "uid": objects.uid(pod)},
            "target": {"apiVersion": "v1", "kind": "Node", "name": decision.node},
        }
        self._uncertain[decision.pod.uid] = decision.pod
        await self._client.create_subresource(PODS, name, namespace, "binding", binding)
        self._assume(self._uncertain.pop(decision.pod.uid), decision.node)
        self._recorder.event(pod, "Normal", "Scheduled", f"Successfully assigned {namespace}/{name} to {decision.node}")

    async def _make_certain(self) -> None:
        """Ask where the pods are of whose binding we do not know. Nothing can be planned before: they may take up room."""
        for uid, pod in list(self._uncertain.items()):
            live = await self._client.get_or_none(PODS, pod.key.name, pod.key.namespace)
            if live is not None and objects.uid(live) == uid and (node := objects.spec(live).get("nodeName")):
                self._assume(pod, node)
            del self._uncertain[uid]

    def _assume(self, pod: PodInfo, node: str) -> None:
        self._assumed[pod.uid] = snapshot.on_node(pod, node)

    async def _explain(self, pod: Obj, reason: str, message: str, cause: str) -> None:
        """Say on the pod why it waits, and tell an event; nothing when that was said before with the same cause."""
        said = conditions.get(pod, SCHEDULED) or {}
        if said.get("reason") == reason and (said.get("message") or "").startswith(cause):
            return
        known = objects.status(pod).get("conditions") or []
        status = {
            **objects.status(pod),
            "conditions": conditions.set_condition(known, SCHEDULED, False, reason, message, self._clock.now()),
        }
        await self._client.patch_status(PODS, pod, status)
        if reason == "Unschedulable":
            self._recorder.event(pod, "Warning", "FailedScheduling", message)


def _waiting(pod: Obj) -> Iterable[str]:
    return ("",) if snapshot.is_waiting(pod) else ()
