"""Ordered phases times plugins: how a TrainJob and a runtime become objects.

A plugin is a value with a name and any of the abilities below; which it has is asked once, at registration. Phases run in the order of
`build`, plugins inside a phase in the order of their list. The controller calls `build`, admission calls `validate`.
Adding a training framework is one file beside this one and one line in `plugins.PLUGINS`.
"""

from collections.abc import Iterable
from typing import Protocol, runtime_checkable

from lightship.builtin.api import JOB_SETS
from lightship.client.client import Client
from lightship.meta.errors import Cause
from lightship.meta.objects import Obj

from . import plan as planning
from .plan import Component, Plan


class Plugin(Protocol):
    @property
    def name(self) -> str: ...


@runtime_checkable
class EnforcesMLPolicy(Protocol):
    """Counts nodes and gives containers what the framework's processes need to find each other."""

    def enforce_ml_policy(self, plan: Plan) -> None: ...


@runtime_checkable
class EnforcesPodGroupPolicy(Protocol):
    """Marks pods for gang scheduling; runs when the counts are final."""

    def enforce_pod_group_policy(self, plan: Plan) -> None: ...


@runtime_checkable
class EnforcesPodSpec(Protocol):
    """Changes pods for reasons that are in neither policy."""

    def enforce_pod_spec(self, plan: Plan) -> None: ...


@runtime_checkable
class SyncsBeforeBuild(Protocol):
    """Carries counts and names from the pod sets into the concrete template, before anything is built from it."""

    def pre_build_sync(self, plan: Plan) -> None: ...


@runtime_checkable
class Builds(Protocol):
    """Makes objects of the finished plan."""

    def build(self, plan: Plan) -> list[Component]: ...


@runtime_checkable
class Validates(Protocol):
    """Says what is wrong with a TrainJob on its runtime; `plan` has been through no phase yet."""

    def validate(self, plan: Plan) -> Iterable[Cause]: ...


@runtime_checkable
class ChecksCluster(Protocol):
    """Says what a TrainJob needs of the cluster and does not find; asked at the door, after `Validates`."""

    async def check_cluster(self, plan: Plan, client: Client) -> list[Cause]: ...


class Framework:
    """A list of plugins sorted by ability."""

    def __init__(self, plugins: Iterable[Plugin]) -> None:
        listed = list(plugins)
        self._ml = [p for p in listed if isinstance(p, EnforcesMLPolicy)]
        self._pod_group = [p for p in listed if isinstance(p, EnforcesPodGroupPolicy)]
        self._pod_spec = [p for p in listed if isinstance(p, EnforcesPodSpec)]
        self._sync = [p for p in listed if isinstance(p, SyncsBeforeBuild)]
        self._build = [p for p in listed if isinstance(p, Builds)]
        self._validate = [p for p in listed if isinstance(p, Validates)]
        self._check = [p for p in listed if isinstance(p, ChecksCluster)]

    def build(self, job: Obj, runtime: Obj) -> list[Component]:
        """The objects that carry out `job` on `runtime`, in the order to make them: the JobSet comes last, its pods need the others.

        Pure. Raises `UnsupportedError` or `PlanError`.
        """
        plan = planning.make(job, runtime)
        for ml in self._ml:
            ml.enforce_ml_policy(plan)
        for group in self._pod_group:  # after the ML policies, which still change counts
            group.enforce_pod_group_policy(plan)
        for pod in self._pod_spec:
            pod.enforce_pod_spec(plan)
        for sync in self._sync:
            sync.pre_build_sync(plan)
        built = [component for builder in self._build for component in builder.build(plan)]
        return sorted(built, key=lambda component: component.resource == JOB_SETS)

    def validate(self, job: Obj, runtime: Obj) -> list[Cause]:
        """Everything that the plugins find wrong. Pure."""
        plan = planning.make(job, runtime)
        return [cause for plugin in self._validate for cause in plugin.validate(plan)]

    async def check_cluster(self, job: Obj, runtime: Obj, client: Client) -> list[Cause]:
        """Everything that the plugins miss in the cluster. Asks for nothing that no policy of the runtime is about."""
        plan = planning.make(job, runtime)
        return [cause for plugin in self._check for cause in await plugin.check_cluster(plan, client)]
