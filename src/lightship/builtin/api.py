"""The kinds of this room that are not Kubernetes' own, and the words that other rooms need to talk about JobSets.

Imported by `controllers`, by capabilities that create JobSets, and by `main`, which serves them. Knows `meta` and `kinds` only.
Contract: jobset.x-k8s.io/v1alpha2 of JobSet 0.12, leaderworkerset.x-k8s.io/v1 and
disaggregatedset.x-k8s.io/v1 of LeaderWorkerSet 0.9; the schemas are made by
`tools/make_jobset_schema.py` and `tools/make_leaderworkerset_schema.py`.
"""

from pathlib import Path

from lightship.builtin.jobset import changes, terms
from lightship.builtin.leaderworkerset import rules as leaderworkerset_rules
from lightship.meta import codec, packed
from lightship.meta.objects import Obj
from lightship.meta.resources import Column, Resource, Scale


def _schema(kind: str) -> Obj:
    found: Obj = codec.decode(packed.read(Path(__file__).parent / "data" / f"{kind}.json"))
    return found


_NUMBER: Obj = {"type": "integer", "format": "int32"}
_QUANTITY: Obj = {
    "anyOf": [{"type": "integer"}, {"type": "string"}],
    "pattern": r"^(\+|-)?(([0-9]+(\.[0-9]*)?)|(\.[0-9]+))(([KMGTPE]i)|[numkMGTPE]|([eE](\+|-)?(([0-9]+(\.[0-9]*)?)|(\.[0-9]+))))?$",
    "x-kubernetes-int-or-string": True,
}
_POD_GROUP_SCHEMA: Obj = {
    "type": "object",
    "properties": {
        "apiVersion": {"type": "string"},
        "kind": {"type": "string"},
        "metadata": {"type": "object"},
        "spec": {
            "type": "object",
            "properties": {
                "minMember": {**_NUMBER, "minimum": 1},
                "minResources": {"type": "object", "additionalProperties": _QUANTITY},
                "scheduleTimeoutSeconds": _NUMBER,
            },
        },
        "status": {
            "type": "object",
            "properties": {
                **dict.fromkeys(("failed", "running", "succeeded"), _NUMBER),
                **{name: {"type": "string"} for name in ("occupiedBy", "phase")},
                "scheduleStartTime": {"type": "string", "format": "date-time"},
            },
        },
    },
}

JOB_SETS = Resource(
    group="jobset.x-k8s.io",
    version="v1alpha2",
    kind="JobSet",
    plural="jobsets",
    singular="jobset",
    status=True,
    custom=True,
    schema=_schema("jobset"),
    validate=changes.breaches,
    columns=(
        Column("TerminalState", json_path=".status.terminalState"),
        Column("Restarts", json_path=".status.restarts"),
        Column("Completed", json_path='.status.conditions[?(@.type=="Completed")].status'),
        Column("Suspended", json_path=".spec.suspend"),
        Column("Age", "date", json_path=".metadata.creationTimestamp"),
    ),
)

LEADER_WORKER_SETS = Resource(
    group="leaderworkerset.x-k8s.io",
    version="v1",
    kind="LeaderWorkerSet",
    plural="leaderworkersets",
    singular="leaderworkerset",
    short_names=("lws",),
    status=True,
    scale=Scale(selector_path=".status.hpaPodSelector"),
    custom=True,
    schema=_schema("leaderworkerset"),
    default=leaderworkerset_rules.default,
    columns=(
        Column("Ready", "integer", description="Number of ready replicas", json_path=".status.readyReplicas"),
        Column("Desired", "integer", description="Number of desired replicas", json_path=".spec.replicas"),
        Column("Up-to-date", "integer", description="Number of up-to-date replicas", json_path=".status.updatedReplicas"),
        Column("Age", "date", json_path=".metadata.creationTimestamp"),
    ),
)

DISAGGREGATED_SETS = Resource(
    group="disaggregatedset.x-k8s.io",
    version="v1",
    kind="DisaggregatedSet",
    plural="disaggregatedsets",
    singular="disaggregatedset",
    status=True,
    custom=True,
    schema=_schema("disaggregatedset"),
    columns=(Column("Age", "date", json_path=".metadata.creationTimestamp"),),
)

COSCHEDULING_POD_GROUPS = Resource(
    group="scheduling.x-k8s.io",
    version="v1alpha1",
    kind="PodGroup",
    plural="podgroups",
    singular="podgroup",
    short_names=("pg", "pgs"),
    status=True,
    custom=True,
    schema=_POD_GROUP_SCHEMA,
    columns=(
        Column("Phase", json_path=".status.phase", description="Current phase of PodGroup."),
        Column("MinMember", "integer", json_path=".spec.minMember", description="How many pods there must be at least."),
        Column("Running", "integer", json_path=".status.running", description="The number of actively running pods."),
        Column("Succeeded", "integer", json_path=".status.succeeded", description="The number of pods which reached phase Succeeded."),
        Column("Failed", "integer", json_path=".status.failed", description="The number of pods which reached phase Failed."),
        Column("Age", "date", json_path=".metadata.creationTimestamp"),
    ),
)
"""Gangs of scheduler-plugins' coscheduling."""

NAME_LABEL = terms.NAME
REPLICATED_JOB_LABEL = terms.REPLICATED_JOB
JOB_INDEX_LABEL = terms.JOB_INDEX
RESTART_ATTEMPT_LABEL = terms.RESTART_ATTEMPT
CONTROLLER_NAME = terms.CONTROLLER_NAME

COMPLETED = terms.COMPLETED
FAILED = terms.FAILED
SUSPENDED = terms.SUSPENDED
