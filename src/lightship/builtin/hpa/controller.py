"""The controller of HorizontalPodAutoscalers: looks at each every fifteen seconds, asks its metrics, and scales what it names.

Woken by autoscalers. What it scales it reads and writes through the `scale` subresource, of whatever kind that is.
Contract: Kubernetes 1.36 podautoscaler: conditions, reasons, events, and when it does nothing.
"""

from typing import NamedTuple

from lightship.builtin.hpa import behavior, proposing
from lightship.builtin.hpa.behavior import Bounds, Limited, Memory
from lightship.builtin.hpa.metrics import Ask, Metrics
from lightship.builtin.hpa.proposing import Target, Verdict
from lightship.builtin.known_kinds import KnownKinds
from lightship.control import Controller, Done, Manager, Outcome, RequeueAfter, itself
from lightship.kinds import HORIZONTAL_POD_AUTOSCALERS, PODS
from lightship.meta import conditions, errors, objects, selectors, times
from lightship.meta.objects import Key, Obj
from lightship.meta.resources import Resource

PERIOD = 15.0
"""Seconds between two looks."""


def controller(manager: Manager, served: KnownKinds, ask: Ask | None = None) -> Controller:
    reconciler = AutoscalerReconciler(manager, served, ask)
    return Controller("horizontalpodautoscaler", reconciler, watches=[itself(HORIZONTAL_POD_AUTOSCALERS)], workers=2)


class _Told(Exception):  # noqa: N818  carries what is said, to where it is said
    """Nothing can be scaled: a condition that says why, and an event."""

    def __init__(self, type: str, reason: str, message: str, event: tuple[str, str]) -> None:
        super().__init__(message)
        self.condition = (type, "False", reason, message)
        self.event = event


class _Scaled(NamedTuple):
    """What an autoscaler names, as its scale says."""

    resource: Resource
    scale: Obj

    @property
    def wanted(self) -> int:
        return int(objects.spec(self.scale).get("replicas") or 0)


class _Look:
    """One look at one autoscaler: the status that comes of it."""

    def __init__(self, autoscaler: Obj, now: float) -> None:
        self.autoscaler, self.now = autoscaler, now
        self.conditions: list[Obj] = objects.status(autoscaler).get("conditions") or []

    def tell(self, type: str, status: str, reason: str, message: str) -> None:
        self.conditions = conditions.set_condition(self.conditions, type, status, reason, message, self.now)

    def status(self, current: int, desired: int, metrics: list[Obj], *, scaled: bool) -> Obj:
        before = objects.status(self.autoscaler)
        last = times.rfc3339(self.now) if scaled else before.get("lastScaleTime")
        found: Obj = {"currentReplicas": current, "desiredReplicas": desired, "currentMetrics": metrics, "conditions": self.conditions}
        return {field: value for field, value in found.items() if value != []} | ({"lastScaleTime": last} if last else {})


class AutoscalerReconciler:
    def __init__(self, manager: Manager, served: KnownKinds, ask: Ask | None) -> None:
        self._client = manager.client
        self._clock = manager.clock
        self._recorder = manager.recorder
        self._served = served
        self._metrics = Metrics(manager.client, ask)
        self._autoscalers = manager.cache.informer(HORIZONTAL_POD_AUTOSCALERS)
        self._pods = manager.cache.informer(PODS)
        self._memories: dict[Key, Memory] = {}
        self._looked: dict[Key, tuple[int, float]] = {}
        """At which generation each was looked at last, and when: writing its status is no reason to look again."""

    async def reconcile(self, key: Key) -> Outcome:
        autoscaler = self._autoscalers.get(key)
        if autoscaler is None or objects.is_deleting(autoscaler):
            self._memories.pop(key, None)
            self._looked.pop(key, None)
            return Done()
        generation, at = self._looked.get(key, (-1, 0.0))
        left = at + PERIOD - self._clock.monotonic()
        if generation == objects.generation(autoscaler) and left > 0:
            return RequeueAfter(left)
        self._looked[key] = objects.generation(autoscaler), self._clock.monotonic()
        look = _Look(autoscaler, self._clock.now())
        try:
            status = await self._look(look)
        except _Told as told:
            look.tell(*told.condition)
            self._recorder.event(autoscaler, "Warning", *told.event)
            before = objects.status(autoscaler)
            status = look.status(int(before.get("currentReplicas") or 0), int(before.get("desiredReplicas") or 0), [], scaled=False)
        await self._client.patch_status(HORIZONTAL_POD_AUTOSCALERS, autoscaler, status)
        return RequeueAfter(PERIOD)

    async def _look(self, look: _Look) -> Obj:
        autoscaler, spec = look.autoscaler, objects.spec(look.autoscaler)
        target = await self._scale_of(autoscaler)
        look.tell("AbleToScale", "True", "SucceededGetScale", "the HPA controller was able to get the target's current scale")
        current, least = target.wanted, 1 if spec.get("minReplicas") is None else int(spec["minReplicas"])
        memory = self._memories.setdefault(objects.key(autoscaler), Memory(current, self._clock.monotonic()))
        bounds = Bounds(least, int(spec["maxReplicas"]))
        if current == 0 and least != 0:
            look.tell("ScalingActive", "False", "ScalingDisabled", "scaling is disabled since the replica count of the target is zero")
            return look.status(current, current, [], scaled=False)
        if current > bounds.most or current < least:
            side = "above Spec.MaxReplicas" if current > bounds.most else "below Spec.MinReplicas"
            desired = min(max(current, least), bounds.most)
            return await self._rescale(look, target, desired, f"Current number of replicas {side}", [], memory)
        verdict = await self._measure(look, target)
        if verdict.replicas is None:
            return look.status(current, int(objects.status(autoscaler).get("desiredReplicas") or 0), verdict.statuses, scaled=False)
        found = behavior.limited(autoscaler, memory, bounds, current, verdict.replicas, self._clock.monotonic())
        return await self._follow(look, target, found, verdict, memory)

    async def _follow(self, look: _Look, target: _Scaled, found: Limited, verdict: Verdict, memory: Memory) -> Obj:
        look.tell("AbleToScale", "True", *found.able)
        limited, reason, text = found.limited
        look.tell("ScalingLimited", "True" if limited else "False", reason, text)
        if found.replicas == target.wanted:
            return look.status(target.wanted, target.wanted, verdict.statuses, scaled=False)
        why = f"{verdict.name} above target" if (verdict.replicas or 0) > target.wanted else "All metrics below target"
        return await self._rescale(look, target, found.replicas, why, verdict.statuses, memory)

    async def _measure(self, look: _Look, target: _Scaled) -> Verdict:
        autoscaler, text = look.autoscaler, objects.status(target.scale).get("selector") or ""
        if not text:
            message = "the HPA target's scale is missing a selector"
            raise _Told("ScalingActive", "InvalidSelector", message, ("SelectorRequired", "selector is required"))
        selector = selectors.parse_label_selector(text)
        pods = [pod for pod in self._pods.list(objects.namespace(autoscaler)) if selector.matches(objects.labels(pod))]
        present = int(objects.status(target.scale).get("replicas") or 0)
        whole = Target(pods, target.wanted, present, text)
        verdict = await proposing.propose(autoscaler, whole, self._metrics, self._served, look.now)
        for failure in verdict.failures:
            self._recorder.event(autoscaler, "Warning", failure.reason, failure.message)
        if verdict.replicas is None:
            first = verdict.failures[0]
            look.tell("ScalingActive", "False", first.reason, f"the HPA was unable to compute the replica count: {first.message}")
            total = len(objects.spec(autoscaler).get("metrics") or ())
            self._recorder.event(autoscaler, "Warning", "FailedComputeMetricsReplicas", proposing.summary(verdict, total))
        else:
            told = f"the HPA was able to successfully calculate a replica count from {verdict.name}"
            look.tell("ScalingActive", "True", "ValidMetricFound", told)
        return verdict

    async def _rescale(self, look: _Look, target: _Scaled, desired: int, why: str, metrics: list[Obj], memory: Memory) -> Obj:
        scale = {**target.scale, "spec": {**objects.spec(target.scale), "replicas": desired}}
        name, space = objects.name(target.scale), objects.namespace(look.autoscaler)
        try:
            await self._client.transport.update(target.resource, space, name, scale, subresource="scale")
        except errors.StatusError as error:
            event = ("FailedRescale", f"New size: {desired}; reason: {why}; error: {error.message}")
            text = f"the HPA controller was unable to update the target scale: {error.message}"
            raise _Told("AbleToScale", "FailedUpdateScale", text, event) from error
        memory.scaled(target.wanted, desired, self._clock.monotonic())
        look.tell("AbleToScale", "True", "SucceededRescale", f"the HPA controller was able to update the target scale to {desired}")
        self._recorder.event(look.autoscaler, "Normal", "SuccessfulRescale", f"New size: {desired}; reason: {why}")
        return look.status(target.wanted, desired, metrics, scaled=True)

    async def _scale_of(self, autoscaler: Obj) -> _Scaled:
        reference = objects.spec(autoscaler)["scaleTargetRef"]
        group, _ = objects.split_api_version(reference.get("apiVersion", ""))
        resource = next((r for r in self._served if r.group == group and r.kind == reference["kind"]), None)
        try:
            if resource is None:
                raise errors.not_found(reference["kind"], reference["name"])
            scale = await self._client.get_subresource(resource, reference["name"], objects.namespace(autoscaler), "scale")
        except errors.StatusError as error:
            text = f"the HPA controller was unable to get the target's current scale: {error.message}"
            raise _Told("AbleToScale", "FailedGetScale", text, ("FailedGetScale", error.message)) from error
        return _Scaled(resource, scale)
