"""What a TrainJob consists of: its JobSet, and of each pod which step it carries out and which node of it it is.

Called by controllers and by the command line, so that both mean the same pods. Pure but for reading a cache.
Contract: JobSet's labels of pods, and the completion index of batch/v1.
"""

from lightship.builtin.api import NAME_LABEL, REPLICATED_JOB_LABEL
from lightship.client.informer import Informer
from lightship.meta import objects
from lightship.meta.objects import Obj

from .api import NODE

INDEX_LABEL = "batch.kubernetes.io/job-completion-index"
STEP_LABEL = REPLICATED_JOB_LABEL


def own_jobset(jobsets: Informer, job: Obj) -> Obj | None:
    """The JobSet of a TrainJob, which has its name; None when there is none, or it is somebody else's."""
    found = jobsets.get(objects.key(job))
    return found if found is not None and objects.is_controlled_by(found, job) else None


def selector(job: str) -> str:
    """Chooses everything that the JobSet of a TrainJob of this name has made."""
    return f"{NAME_LABEL}={job}"


def step(pod: Obj) -> str:
    """The replicated job that a pod is of."""
    return objects.labels(pod).get(STEP_LABEL, NODE)


def index(pod: Obj) -> int:
    """A pod's number in its Job."""
    said = objects.labels(pod).get(INDEX_LABEL, "0")
    return int(said) if said.isdecimal() else 0
