"""The controller of HorizontalPodAutoscalers: looks at each every fifteen seconds, asks its metrics, and scales what it names.

Woken by autoscalers. `scaling` reads and writes what is scaled, `proposing` says how many pods it takes, `behavior` how fast.
Contract: Kubernetes 1.36 podautoscaler: conditions, reasons, events, and when it does nothing.
"""

from typing import NamedTuple

from lightship.builtin.hpa import behavior, proposing, scaling, telling
from lightship.builtin.hpa.behavior import Bounds, Memory
from lightship.builtin.hpa.metrics import Metrics
from lightship.builtin.hpa.proposing import Target, Verdict
from lightship.builtin.hpa.samples import STARTUP, Startup
from lightship.builtin.hpa.scaling import Scaled, Unscalable
from lightship.builtin.known_kinds import KnownKinds
from lightship.control import Controller, Done, Manager, Outcome, RequeueAfter, itself
from lightship.kinds import HORIZONTAL_POD_AUTOSCALERS, PODS
from lightship.meta import conditions, errors, objects, selectors, times
from lightship.meta.objects import Key, Obj
from lightship.meta.selectors import LabelSelector

_ZERO = "ScaledToZero"
"""Condition: it was this controller who left no pod, so that it may bring some back."""


class Settings(NamedTuple):
    """What kube-controller-manager has flags for; times are in seconds."""

    period: float = 15.0
    """Between two looks."""
    tolerance: float = 0.1
    window: float = behavior.WINDOW
    """In which having fewer pods waits for the highest of recent recommendations."""
    startup: Startup = STARTUP
    scale_to_zero: bool = False
    """The feature gate HPAScaleToZero."""


def controller(manager: Manager, served: KnownKinds, settings: Settings = Settings()) -> Controller:  # noqa: B008 - a value
    reconciler = AutoscalerReconciler(manager, served, settings)
    return Controller("horizontalpodautoscaler", reconciler, watches=[itself(HORIZONTAL_POD_AUTOSCALERS)], workers=2)


class _Told(Exception):  # noqa: N818  carries what is said, to where it is said
    """Nothing can be scaled: what comes of it is the status of the look so far."""


class _Look:
    """One look at one autoscaler: the status that comes of it."""

    def __init__(self, autoscaler: Obj, now: float) -> None:
        self.autoscaler, self.now = autoscaler, now
        before = objects.status(autoscaler)
        self.conditions: list[Obj] = before.get("conditions") or []
        self._rest: Obj = {field: value for field, value in before.items() if field != "conditions"}
        spec = objects.spec(autoscaler)
        self.bounds = Bounds(1 if spec.get("minReplicas") is None else int(spec["minReplicas"]), int(spec["maxReplicas"]))
        self.was_scaled_to_zero = (conditions.find(self.conditions, _ZERO) or {}).get("status") == "True"

    def tell(self, type: str, status: str | bool, reason: str, message: str) -> None:
        self.conditions = conditions.set_condition(self.conditions, type, status, reason, message, self.now)

    def forget(self, type: str) -> None:
        self.conditions = [condition for condition in self.conditions if condition.get("type") != type]

    def found(self, current: int, desired: int | None, metrics: list[Obj], *, scaled: bool = False) -> None:
        """Say how many pods there are and shall be; `desired` None leaves that as it was said before."""
        wanted = int(self._rest.get("desiredReplicas") or 0) if desired is None else desired
        last = times.rfc3339(self.now) if scaled else self._rest.get("lastScaleTime")
        self._rest = {"currentReplicas": current, "desiredReplicas": wanted, **({"lastScaleTime": last} if last else {})}
        if metrics:
            self._rest["currentMetrics"] = metrics

    @property
    def status(self) -> Obj:
        return {**self._rest, "conditions": self.conditions}


class AutoscalerReconciler:
    def __init__(self, manager: Manager, served: KnownKinds, settings: Settings) -> None:
        self._client = manager.client
        self._clock = manager.clock
        self._recorder = manager.recorder
        self._settings = settings
        self._served = served
        self._metrics = Metrics(manager.client, manager.clock, served)
        self._autoscalers = manager.cache.informer(HORIZONTAL_POD_AUTOSCALERS)
        self._pods = manager.cache.informer(PODS)
        self.memories: dict[Key, Memory] = {}
        self.selectors: dict[Key, LabelSelector] = {}
        """By which each has last selected its pods."""
        self._looked: dict[Key, tuple[int, float]] = {}
        """At which generation each was looked at last, and when: writing its status is no reason to look again."""

    async def reconcile(self, key: Key) -> Outcome:
        autoscaler = self._autoscalers.get(key)
        if autoscaler is None or objects.is_deleting(autoscaler):
            for known in (self.memories, self.selectors, self._looked):
                known.pop(key, None)
            return Done()
        generation, at = self._looked.get(key, (-1, 0.0))
        left = at + self._settings.period - self._clock.monotonic()
        if generation == objects.generation(autoscaler) and left > 0:
            return RequeueAfter(left)
        self._looked[key] = objects.generation(autoscaler), self._clock.monotonic()
        look = _Look(autoscaler, self._clock.now())
        try:
            await self._look(look, key)
        except _Told:
            pass
        await self._client.patch_status(HORIZONTAL_POD_AUTOSCALERS, autoscaler, look.status)
        return RequeueAfter(self._settings.period)

    async def _look(self, look: _Look, key: Key) -> None:
        try:
            target = await scaling.read(self._client, self._served, look.autoscaler)
        except Unscalable as error:
            self._warn(look, "FailedGetScale", str(error))
            look.tell("AbleToScale", False, "FailedGetScale", f"the HPA controller was unable to get the target's current scale: {error}")
            return
        look.tell("AbleToScale", True, "SucceededGetScale", "the HPA controller was able to get the target's current scale")
        current, (least, most) = target.wanted, look.bounds
        memory = self.memories.setdefault(key, Memory(current, self._clock.monotonic()))
        if current == 0 and not self._may_leave_zero(look):
            told = "scaling is disabled since the replica count of the target is zero"
            look.tell("ScalingActive", False, "ScalingDisabled", told)
            if not self._settings.scale_to_zero:
                look.forget(_ZERO)
            look.found(0, 0, [])
        elif current > most or 0 < current < least:
            side = "above Spec.MaxReplicas" if current > most else "below Spec.MinReplicas"
            await self._rescale(look, target, min(max(current, least), most), f"Current number of replicas {side}", [], memory)
        else:
            await self._follow(look, target, await self._measure(look, target, key), memory)

    def _may_leave_zero(self, look: _Look) -> bool:
        if not (self._settings.scale_to_zero and look.was_scaled_to_zero):
            return False
        return look.bounds.least != 0 or _counts_others(look.autoscaler)

    async def _follow(self, look: _Look, target: Scaled, verdict: Verdict, memory: Memory) -> None:
        if verdict.replicas is None:
            look.found(target.wanted, None, verdict.statuses)
            self._warn(look, "FailedComputeMetricsReplicas", telling.together([f.whole for f in verdict.failures], len(verdict.statuses)))
            return
        current, least = target.wanted, look.bounds.least
        above, below = f"{verdict.name} above target", "All metrics below target"
        why = above if verdict.replicas > current else below if verdict.replicas < current else ""
        rules = objects.spec(look.autoscaler).get("behavior")
        moment = self._clock.monotonic()
        limited = behavior.limited(rules, memory, look.bounds, current, verdict.replicas, moment, self._settings.window)
        look.tell("AbleToScale", True, *limited.able)
        look.tell("ScalingLimited", *limited.limited)
        desired = limited.replicas
        if current == 0 and desired < least:
            desired, why = least, why or "Current number of replicas below Spec.MinReplicas"
        if desired == current:
            look.found(current, current, verdict.statuses)
        else:
            await self._rescale(look, target, desired, why, verdict.statuses, memory)

    async def _measure(self, look: _Look, target: Scaled, key: Key) -> Verdict:
        """Raises `_Told` where it is not clear which pods are meant."""
        pods = self._selected(look, target, key)
        bears = proposing.tolerance(look.autoscaler, self._settings.tolerance)
        whole = Target(
            *(key.namespace, pods, target.wanted, target.present, target.selector, bears, look.now),
            startup=self._settings.startup,
        )
        verdict = await proposing.propose(objects.spec(look.autoscaler).get("metrics") or (), whole, self._metrics)
        for failure in verdict.failures:
            self._warn(look, failure.reason, failure.message)
        if verdict.replicas is None:
            first = verdict.failures[0]
            look.tell("ScalingActive", False, first.reason, f"the HPA was unable to compute the replica count: {first.message}")
        else:
            told = f"the HPA was able to successfully calculate a replica count from {verdict.name}"
            look.tell("ScalingActive", True, "ValidMetricFound", told)
        return verdict

    def _selected(self, look: _Look, target: Scaled, key: Key) -> list[Obj]:
        """The pods of what is scaled, if nobody else scales them too. Raises `_Told`."""
        if not target.selector:
            raise self._unclear(look, target, "SelectorRequired", "selector is required", "the HPA target's scale is missing a selector")
        try:
            selector = selectors.parse_label_selector(target.selector)
        except ValueError as error:
            told = f"couldn't convert selector into a corresponding internal selector object: {error}"
            raise self._unclear(look, target, "InvalidSelector", told) from error
        self.selectors[key] = selector
        pods = [pod for pod in self._pods.list(key.namespace) if selector.matches(objects.labels(pod))]
        near = [(other, each) for other, each in self.selectors.items() if other.namespace == key.namespace]
        rivals = [other for other, each in near if any(each.matches(objects.labels(pod)) for pod in pods)]
        if len(rivals) > 1:
            named = " ".join(f"{{{rival.name} {rival.namespace}}}" for rival in sorted(rivals))
            told = f"pods by selector {target.selector} are controlled by multiple HPAs: [{named}]"
            raise self._unclear(look, target, "AmbiguousSelector", told)
        return pods

    def _unclear(self, look: _Look, target: Scaled, event: str, told: str, condition: str = "") -> _Told:
        self._warn(look, event, told)
        look.tell("ScalingActive", False, "InvalidSelector" if condition else event, condition or told)
        look.found(target.wanted, None, [])
        self._warn(look, "FailedComputeMetricsReplicas", told)
        return _Told(told)

    async def _rescale(self, look: _Look, target: Scaled, desired: int, why: str, metrics: list[Obj], memory: Memory) -> None:
        autoscaler, current = look.autoscaler, target.wanted
        try:
            await scaling.write(self._client, self._clock, autoscaler, target, desired)
        except errors.StatusError as error:
            self._warn(look, "FailedRescale", f"New size: {desired}; reason: {why}; error: {error.message}")
            text = f"the HPA controller was unable to update the target scale: {error.message}"
            look.tell("AbleToScale", False, "FailedUpdateScale", text)
            look.found(current, None, metrics)
            return
        if objects.spec(autoscaler).get("behavior") is not None:
            memory.scaled(current, desired, self._clock.monotonic())
        look.tell("AbleToScale", True, "SucceededRescale", f"the HPA controller was able to update the target scale to {desired}")
        self._recorder.event(autoscaler, "Normal", "SuccessfulRescale", f"New size: {desired}; reason: {why}")
        if not self._settings.scale_to_zero:
            look.forget(_ZERO)
        elif current > 0 and desired == 0 and look.bounds.least == 0 and _counts_others(autoscaler):
            look.tell(_ZERO, True, "ScaledToZero", "the HPA controller scaled the workload to zero")
        else:
            look.tell(_ZERO, False, "NotScaledToZero", "the HPA controller did not scale the workload to zero")
        look.found(current, desired, metrics, scaled=True)

    def _warn(self, look: _Look, reason: str, message: str) -> None:
        self._recorder.event(look.autoscaler, "Warning", reason, message)


def _counts_others(autoscaler: Obj) -> bool:
    """Does it go by something that is there without pods?"""
    return any(spec["type"] in ("Object", "External") for spec in objects.spec(autoscaler).get("metrics") or ())
