"""The plan: a runtime's template on its way to becoming the objects of one TrainJob.

`framework.Framework` makes one per build and hands it through the phases; plugins change it in place, each in its own concern. All of
it is private to the build: the TrainJob and the runtime that went in are never touched.
Contract: Kubeflow Trainer 2.3, pkg/runtime (Info and its pod sets).
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from enum import Enum
from typing import NamedTuple

from lightship.meta import objects
from lightship.meta.objects import Obj
from lightship.meta.resources import Resource
from lightship.train import resources
from lightship.train.api import ANCESTOR_LABEL, FRAMEWORK_LABEL, NODE, TRAINER
from lightship.train.api.runtimes import POLICIES

from . import patches


class Care(Enum):
    """What happens to an object that somebody deletes or changes while its TrainJob runs."""

    NONE = "none"
    THERE = "made again when it is gone"
    RIGHT = "made again when it is gone, and put right when it says something else"


class Component(NamedTuple):
    """An object that carries out a TrainJob, which owns it: its JobSet, and what the JobSet's pods need beside it."""

    resource: Resource
    obj: Obj
    once: bool = False
    """Never changed again once it is there, such as keys that pods have in hand."""
    care: Care = Care.NONE


@dataclass(slots=True, kw_only=True)
class PodSet:
    """The pods of one replicated job: how many, made from which template."""

    name: str
    ancestor: str
    count: int
    job: Obj
    """The replicated job inside the plan's JobSet spec."""
    endpoints: list[str] = field(default_factory=list)
    """DNS names of the pods, known after PreBuildSync."""

    @property
    def pod_template(self) -> Obj:
        return child(self.job, "template", "spec", "template")

    @property
    def pod(self) -> Obj:
        return child(self.pod_template, "spec")

    def container(self, name: str) -> Obj | None:
        """A container, or failing that an init container, by name."""
        listed: list[Obj] = [*(self.pod.get("containers") or ()), *(self.pod.get("initContainers") or ())]
        return next((c for c in listed if c.get("name") == name), None)


@dataclass(slots=True, kw_only=True)
class Plan:
    """Everything that the phases work on."""

    job: Obj
    """The TrainJob; shared, read only."""
    policy: Obj
    """The runtime's mlPolicy; shared, read only."""
    pod_group_policy: Obj
    template: Obj
    """The runtime's own JobSet spec, without patches; shared, read only."""
    labels: dict[str, str]
    annotations: dict[str, str]
    spec: Obj
    """The JobSet's spec."""
    pod_sets: list[PodSet]
    pod_labels: dict[str, str] = field(default_factory=dict)
    """For the pods of all replicated jobs."""
    pod_annotations: dict[str, str] = field(default_factory=dict)
    framework: str = ""
    """What the runtime's label says it is for; where no mlPolicy exists for a framework, its plugin goes by this."""

    @property
    def name(self) -> str:
        return str(self.job["metadata"]["name"])

    @property
    def source(self) -> str:
        """Which framework the policy is for (`torch`, `jax`, …), or empty."""
        return next((s for s in POLICIES if s in self.policy), "")

    @property
    def trainer_spec(self) -> Obj | None:
        """`spec.trainer`, or None when the TrainJob leaves everything to the runtime."""
        found = self.job["spec"].get("trainer")
        return found if isinstance(found, dict) else None

    @property
    def trainer(self) -> PodSet | None:
        return next((p for p in self.pod_sets if p.ancestor == TRAINER), None)

    @property
    def trainer_container(self) -> Obj | None:
        return self.trainer.container(NODE) if self.trainer else None

    @property
    def master(self) -> str:
        """DNS name of the first node, where rendezvous happens."""
        return f"{self.name}-{NODE}-0-0.{self.name}"

    def metadata(self, name: str) -> Obj:
        """Of an object that the TrainJob owns."""
        return {"name": name, "namespace": self.job["metadata"]["namespace"], "ownerReferences": [objects.owner_reference(self.job)]}

    @property
    def hosts(self) -> list[str]:
        """DNS names of all nodes, by their index; as many as are counted so far."""
        count = self.trainer.count if self.trainer else 0
        return [f"{self.name}-{NODE}-0-{i}.{self.name}" for i in range(count)]

    def pod_set(self, name: str) -> PodSet | None:
        return next((p for p in self.pod_sets if p.name == name), None)

    def take_nodes(self) -> int:
        """Let `spec.trainer.numNodes` overrule the runtime's; the number of nodes that results."""
        trainer = self.trainer
        if trainer is None:
            return 1
        asked = (self.trainer_spec or {}).get("numNodes")
        if asked is not None:
            trainer.count = asked
        return trainer.count

    def resources_per_node(self) -> Obj:
        """What one node asks for: the TrainJob's own words if it has any, else the runtime's."""
        asked = (self.trainer_spec or {}).get("resourcesPerNode")
        if asked is not None:
            return dict(asked)
        for pods in self.pod_sets:
            found = pods.container(NODE) if pods.name == NODE or pods.ancestor == TRAINER else None
            if found and found.get("resources"):
                return dict(found["resources"])
        return {}


def make(job: Obj, runtime: Obj) -> Plan:
    """The plan before any plugin has seen it: runtime patches and resources merged, pods counted."""
    runtime_spec = runtime.get("spec") or {}
    policy = runtime_spec.get("mlPolicy") or {}
    template = runtime_spec.get("template") or {}
    metadata = template.get("metadata") or {}
    listed = job["spec"].get("runtimePatches") or []
    plan = Plan(
        job=job,
        policy=policy,
        pod_group_policy=runtime_spec.get("podGroupPolicy") or {},
        template=template.get("spec") or {},
        labels={**(metadata.get("labels") or {}), **patches.metadata(listed, "labels")},
        annotations={**(metadata.get("annotations") or {}), **patches.metadata(listed, "annotations")},
        spec=patches.apply(objects.copy(template.get("spec") or {}), listed),
        pod_sets=[],
        framework=objects.labels(runtime).get(FRAMEWORK_LABEL, ""),
    )
    plan.pod_sets.extend(_pod_sets(plan.spec, policy))
    _merge_resources(plan)
    return plan


def _pod_sets(spec: Obj, policy: Obj) -> Iterator[PodSet]:
    for job in spec.get("replicatedJobs") or ():
        ancestor = (child(job, "template").get("metadata") or {}).get("labels", {}).get(ANCESTOR_LABEL, "")
        count = child(job, "template", "spec").get("parallelism")
        if ancestor == TRAINER and policy:
            count = policy.get("numNodes")
        yield PodSet(name=job["name"], ancestor=ancestor, count=max(1 if count is None else count, 1), job=job)


def _merge_resources(plan: Plan) -> None:
    """`resourcesPerNode` is laid over what the runtime gives the container, name by name."""
    asked = (plan.trainer_spec or {}).get("resourcesPerNode")
    found = plan.trainer_container
    if asked is not None and found is not None and plan.policy:
        found["resources"] = resources.merge(found.get("resources") or {}, asked)


def child(obj: Obj, *path: str) -> Obj:
    """A nested object, made where it is missing. For private copies only."""
    for name in path:
        found = obj.get(name)
        if not isinstance(found, dict):
            found = obj[name] = {}
        obj = found
    return obj


def upsert(container: Obj, field: str, items: Iterable[Obj], key: str = "name") -> None:
    """Add items to a container's list; one with the same key takes the old one's place."""
    listed = container.setdefault(field, [])
    for item in items:
        at = next((i for i, old in enumerate(listed) if old.get(key) == item.get(key)), None)
        if at is None:
            listed.append(objects.copy(item))
        else:
            listed[at] = objects.copy(item)


def env(name: str, value: object) -> Obj:
    return {"name": name, "value": str(value)}


def env_from_field(name: str, path: str) -> Obj:
    return {"name": name, "valueFrom": {"fieldRef": {"fieldPath": path}}}
