"""The controller of PodDisruptionBudgets: reads a budget and its pods from the caches, asks `budget`, and writes the status.

Woken by budgets, by pods that one selects, and by a change of what those pods' owners ask for.
"""

from collections.abc import Iterable

from lightship.builtin import gotext
from lightship.builtin.disruption import budget as core
from lightship.builtin.disruption.expecting import Scales, UnknownOwnerError
from lightship.builtin.known_kinds import KnownKinds
from lightship.control import Controller, Done, Manager, Outcome, RequeueAfter, Watch, itself
from lightship.kinds import DEPLOYMENTS, POD_DISRUPTION_BUDGETS, PODS, REPLICA_SETS, REPLICATION_CONTROLLERS, STATEFUL_SETS
from lightship.meta import objects, selectors
from lightship.meta.objects import Key, Obj
from lightship.meta.selectors import LabelSelector

NAMESPACE = "builtin/budgets"


def controller(manager: Manager, served: KnownKinds) -> Controller:
    reconciler = BudgetReconciler(manager, served)
    owners = (DEPLOYMENTS, REPLICA_SETS, REPLICATION_CONTROLLERS, STATEFUL_SETS)
    watches = [itself(POD_DISRUPTION_BUDGETS), Watch(PODS, reconciler.budgets_of), *(Watch(kind, reconciler.all_of) for kind in owners)]
    return Controller("disruption", reconciler, watches=watches)


class BudgetReconciler:
    def __init__(self, manager: Manager, served: KnownKinds) -> None:
        self._client = manager.client
        self._clock = manager.clock
        self._recorder = manager.recorder
        self._budgets = manager.cache.informer(POD_DISRUPTION_BUDGETS)
        self._pods = manager.cache.informer(PODS)
        self._budgets.add_index(NAMESPACE, _namespace)
        self._scales = Scales(manager, served)

    def budgets_of(self, pod: Obj) -> Iterable[Key]:
        for found in self._budgets.by_index(NAMESPACE, objects.namespace(pod)):
            if _selector(found).matches(objects.labels(pod)):
                yield objects.key(found)

    def all_of(self, owner: Obj) -> Iterable[Key]:
        """The budgets of a namespace: few, and cheaper to look at than to find out which is meant."""
        return self._budgets.keys_by_index(NAMESPACE, objects.namespace(owner))

    async def reconcile(self, key: Key) -> Outcome:
        found = self._budgets.get(key)
        if found is None:
            return Done()
        selector = _selector(found)
        pods = [pod for pod in self._pods.list(key.namespace) if selector.matches(objects.labels(pod))]
        if not pods:
            self._recorder.event(found, "Normal", "NoPods", "No matching pods found")
        try:
            scale = await self._scale(found, pods)
        except UnknownOwnerError as error:
            text = f"Failed to calculate the number of expected pods: {error}"
            self._recorder.event(found, "Warning", "CalculateExpectedPodCountFailed", text)
            await self._client.patch_status(POD_DISRUPTION_BUDGETS, found, core.failed(found, str(error), self._clock.now()))
            return Done()
        plan = core.sync(found, pods, scale, self._clock.now())
        await self._client.patch_status(POD_DISRUPTION_BUDGETS, found, plan.status)
        for pod, note in plan.late:
            self._recorder.event(pod, note.type, note.reason, note.message)
        return Done() if plan.requeue is None else RequeueAfter(plan.requeue)

    async def _scale(self, found: Obj, pods: list[Obj]) -> int:
        if not core.needs_scale(found):
            return 0
        expected = await self._scales.of(pods)
        if expected.unmanaged:
            why = "As a result, the status of the PDB cannot be calculated correctly, which may result in undefined behavior."
            hint = 'To account for these pods please set ".spec.minAvailable" field of the PDB to an integer value.'
            which = gotext.selector(objects.spec(found).get("selector"))
            text = f"Pods selected by this PodDisruptionBudget (selector: {which}) were found to be unmanaged. {why} {hint}"
            self._recorder.event(found, "Warning", "UnmanagedPods", text)
        return expected.total


def _selector(found: Obj) -> LabelSelector:
    return selectors.from_label_selector(objects.spec(found).get("selector"))


def _namespace(found: Obj) -> Iterable[str]:
    return (objects.namespace(found),)
