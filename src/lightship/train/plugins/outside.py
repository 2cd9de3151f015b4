"""Frameworks that other packages bring, by entry points of the group `lightship.train.frameworks`.

The name of an entry point is the framework it serves: runtimes that carry it in the label `trainer.kubeflow.org/framework`. It leads to a
plugin, a value as our own are, which may also bring `runtimes`. Nothing is loaded before a TrainJob runs on such a runtime, or a cluster
is to get the runtimes. What a stranger's code raises becomes a cause at the door, an event, or a line in the log, never an end of ours.
`Outside` is a plugin itself and stands in `plugins.PLUGINS`; `bootstrap` asks `runtimes`.
"""

import functools
import logging
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from lightship.meta import entrypoints, objects
from lightship.meta.entrypoints import EntryPoint, LoadError
from lightship.meta.errors import Cause
from lightship.meta.objects import Obj
from lightship.train.api import CLUSTER_TRAINING_RUNTIMES, FRAMEWORK_LABEL
from lightship.train.api.causes import rejected
from lightship.train.errors import PlanError, TrainError

from .plan import Component, Plan

GROUP = "lightship.train.frameworks"
_ABILITIES = ("validate", "enforce_ml_policy", "enforce_pod_group_policy", "enforce_pod_spec", "pre_build_sync", "build", "runtimes")
_LISTED = ("validate", "build", "runtimes")
log = logging.getLogger(__name__)


class Outside:
    """All brought plugins as one: each sees the plans of its own framework, in every phase it has."""

    name = "Outside"

    def __init__(self, find: Callable[[], Iterable[EntryPoint]] = lambda: entrypoints.find(GROUP)) -> None:
        self._find = find

    def validate(self, plan: Plan) -> Iterator[Cause]:
        try:
            yield from self._call("validate", plan) or ()
        except TrainError as error:
            yield rejected("spec.runtimeRef", plan.job["spec"].get("runtimeRef"), str(error))

    def enforce_ml_policy(self, plan: Plan) -> None:
        self._call("enforce_ml_policy", plan)

    def enforce_pod_group_policy(self, plan: Plan) -> None:
        self._call("enforce_pod_group_policy", plan)

    def enforce_pod_spec(self, plan: Plan) -> None:
        self._call("enforce_pod_spec", plan)

    def pre_build_sync(self, plan: Plan) -> None:
        self._call("pre_build_sync", plan)

    def build(self, plan: Plan) -> list[Component]:
        return list(self._call("build", plan) or ())

    def _call(self, ability: str, plan: Plan) -> Any:
        point = next((point for point in self._find() if point.name == plan.framework), None) if plan.framework else None
        if point is None:
            return None
        method = getattr(_plugin(point), ability, None)
        if method is None:
            return None
        return _guarded(point, ability, lambda: method(plan))


def runtimes(point: EntryPoint) -> list[Obj]:
    """The ClusterTrainingRuntimes that a package brings for its framework, labelled with it. Raises `PlanError`."""
    method = getattr(_plugin(point), "runtimes", None)
    brought = [] if method is None else _guarded(point, "runtimes", method)
    return [_labelled(point, runtime) for runtime in brought]


@functools.cache
def _plugin(point: EntryPoint) -> object:
    """The plugin of an entry point. Raises `PlanError`; what could not be loaded is tried again at the next call, as imports are."""
    try:
        plugin = entrypoints.load(point)
    except LoadError as error:
        log.warning("framework plugin %s", error)
        raise PlanError(f"framework plugin {error}; mend or uninstall the package, then restart Lightship") from error
    if isinstance(plugin, type) or not any(hasattr(plugin, ability) for ability in _ABILITIES):
        raise PlanError(
            f'framework plugin "{point.name}" of package {point.origin}: {point.value} is no plugin, which is a value with `name`'
        )
    return plugin


def _guarded(point: EntryPoint, ability: str, call: Callable[[], Any]) -> Any:
    """What a stranger's function returns; lists are drawn out here, since generators raise late."""
    try:
        answer = call()
        return list(answer) if ability in _LISTED else answer
    except TrainError:
        raise
    except Exception as error:
        log.warning('framework plugin "%s" of package %s failed in %s', point.name, point.origin, ability, exc_info=error)
        what = f"{type(error).__name__}: {error}"
        raise PlanError(f'framework plugin "{point.name}" of package {point.origin} failed in {ability}: {what}') from error


def _labelled(point: EntryPoint, runtime: Obj) -> Obj:
    if not isinstance(runtime, dict) or runtime.get("kind") != CLUSTER_TRAINING_RUNTIMES.kind:
        raise PlanError(f'framework plugin "{point.name}" of package {point.origin} brings a runtime that is no ClusterTrainingRuntime')
    made: Obj = objects.copy(runtime)
    made.setdefault("metadata", {}).setdefault("labels", {}).setdefault(FRAMEWORK_LABEL, point.name)
    return made
