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
from lightship.scheduler.book import SCHEDULED, Book, Waiting
from lightship.scheduler.claims.office import Office
from lightship.scheduler.plan import Bind, Broken, Decision, Gated, Unschedulable, plan
from lightship.scheduler.snapshot import PodInfo

log = logging.getLogger(__name__)

CYCLE = Key("", "cycle")
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
        self._office = Office(manager)
        self._book = Book()
        self._pods.on_change(self._book.note)
        self._assumed: dict[str, PodInfo] = {}
        """Pods that we bound and whose node the cache does not show yet, by uid."""
        self._uncertain: dict[str, PodInfo] = {}
        """Pods whose binding failed, or whose answer was lost: asked for before the next plan."""

    async def reconcile(self, key: Key) -> Outcome:
        """One cycle: plan for all that wait, then carry the plan out."""
        await self._make_certain()
        waiting = self._waiting()
        if not waiting:
            return Done()
        nodes = snapshot.snapshot(self._nodes.list(), [*self._book.placed.values(), *self._assumed.values()])
        infos = [w.info for w in waiting.values()]
        decisions = plan(infos, nodes, self._office.desk(infos))
        failures = [await self._carry_out(decision, waiting[decision.pod.uid]) for decision in decisions]
        for failure in failures:
            if failure is not None:
                raise failure
        return Done()

    def _waiting(self) -> dict[str, Waiting]:
        """Pods without a node by uid, except those whose binding is on its way to us."""
        found = {waiting.info.uid: waiting for waiting in self._book.waiting.values()}
        self._assumed = {uid: info for uid, info in self._assumed.items() if uid in found}
        return {uid: waiting for uid, waiting in found.items() if uid not in self._assumed}

    async def _carry_out(self, decision: Decision, waiting: Waiting) -> Exception | None:
        """Do what was decided for one pod. A failure is returned, so that the other pods get their turn first."""
        try:
            match decision:
                case Bind():
                    await self._bind(decision)
                case Unschedulable():
                    await self._explain(waiting, "Unschedulable", decision.message, decision.cause)
                case Gated():
                    await self._explain(waiting, "SchedulingGated", GATED_MESSAGE, GATED_MESSAGE)
                case Broken():
                    await self._explain(waiting, "SchedulerError", decision.message, decision.message)
        except errors.StatusError as error:
            return None if errors.is_not_found(error) else error
        return None

    def _pod(self, info: PodInfo) -> Obj | None:
        """The pod as it is now, if it is still there."""
        pod = self._pods.get(info.key)
        return pod if pod is not None and objects.uid(pod) == info.uid else None

    async def _bind(self, decision: Bind) -> None:
        info = decision.pod
        pod = self._pod(info)
        if pod is None:
            return
        if decision.grant is not None and not await self._office.reserve(pod, decision.node, decision.grant):
            return
        namespace, name = info.key
        binding = {
            "apiVersion": "v1",
            "kind": "Binding",
            "metadata": {"namespace": namespace, "name": name, "uid": info.uid},
            "target": {"apiVersion": "v1", "kind": "Node", "name": decision.node},
        }
        self._uncertain[info.uid] = info
        await self._client.create_subresource(PODS, name, namespace, "binding", binding)
        self._assume(self._uncertain.pop(info.uid), decision.node)
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

    async def _explain(self, waiting: Waiting, reason: str, message: str, cause: str) -> None:
        """Say on the pod why it waits, and tell an event; nothing when that was said before with the same cause."""
        if waiting.reason == reason and waiting.message.startswith(cause):
            return
        pod = self._pod(waiting.info)
        if pod is None:
            return
        known = objects.status(pod).get("conditions") or []
        status = {
            **objects.status(pod),
            "conditions": conditions.set_condition(known, SCHEDULED, False, reason, message, self._clock.now()),
        }
        await self._client.patch_status(PODS, pod, status)
        if reason != "SchedulingGated":
            self._recorder.event(pod, "Warning", "FailedScheduling", message)
