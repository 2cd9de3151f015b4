"""TrainJobRun, lightship.dev/v1alpha1: what is left of a TrainJob that has finished, and the annotations that say what becomes of it.

Imported by `main`, which serves the kind, by the controller that writes runs and by whoever shows them. Pure. A run has no owner: it
outlives its TrainJob. What the job's nodes printed is in a ConfigMap that the run owns, so that lists of runs stay short.
Contract: ours; the words of the annotations are those of upstream's proposals (ttlSecondsAfterFinished, trainer#4052).
"""

from typing import Any

from lightship.meta.objects import Obj
from lightship.meta.resources import Column, Resource

from .names import COMPLETE, FAILED

TTL = "lightship.dev/ttl-seconds-after-finished"
"""On a TrainJob: so many seconds after its end it is deleted, with all that it made. May be changed as long as it is there."""
PRIORITY_CLASS = "lightship.dev/priority-class"
"""On a TrainJob: the PriorityClass of its pods."""
JOB_LABEL = "lightship.dev/train-job"
"""On runs and their logs: the name of the TrainJob."""
LOGS_SUFFIX = "-logs"

_TEXT, _WHOLE, _TIME = {"type": "string"}, {"type": "integer"}, {"type": "string", "format": "date-time"}


def _object(required: tuple[str, ...] = (), **properties: Any) -> Obj:
    return {"type": "object", "properties": properties} | ({"required": list(required)} if required else {})


_LOG = _object(
    ("step", "node"), step=_TEXT, node=_WHOLE, container=_TEXT, pod=_TEXT, exitCode=_WHOLE, key=_TEXT, bytes=_WHOLE, problem=_TEXT
)
_STATUS = _object(
    state={**_TEXT, "enum": [COMPLETE, FAILED]},
    reason=_TEXT,
    message=_TEXT,
    creationTime=_TIME,
    startTime=_TIME,
    completionTime=_TIME,
    restarts=_WHOLE,
    jobsStatus={"type": "array", "items": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}},
    trainerStatus={"type": "object", "x-kubernetes-preserve-unknown-fields": True},
    logs={"type": "array", "items": _LOG},
)
_SPEC = _object(
    ("trainJob",),
    trainJob=_object(("name", "uid"), name=_TEXT, uid=_TEXT),
    runtimeRef=_object(kind=_TEXT, name=_TEXT),
    numNodes=_WHOLE,
    image=_TEXT,
)

TRAIN_JOB_RUNS = Resource(
    group="lightship.dev",
    version="v1alpha1",
    kind="TrainJobRun",
    plural="trainjobruns",
    singular="trainjobrun",
    custom=True,
    schema=_object(("spec",), apiVersion=_TEXT, kind=_TEXT, metadata={"type": "object"}, spec=_SPEC, status=_STATUS),
    columns=(
        Column("Job", json_path=".spec.trainJob.name"),
        Column("State", json_path=".status.state"),
        Column("Reason", json_path=".status.reason"),
        Column("Completed", type="date", json_path=".status.completionTime"),
    ),
)
