"""Priority: the PriorityClass that a TrainJob names for its pods, over what its runtime says.

Before the pod groups are made, which take it over. Kueue's own label (`kueue.x-k8s.io/priority-class`) is Kueue's business.
Contract: ours (annotation `lightship.dev/priority-class`); core/v1 PodSpec.priorityClassName.
"""

from lightship.meta import objects
from lightship.train.api.runs import PRIORITY_CLASS

from .plan import Plan


class Priority:
    name = "Priority"

    def enforce_ml_policy(self, plan: Plan) -> None:
        wanted = objects.annotations(plan.job).get(PRIORITY_CLASS)
        if wanted:
            for pods in plan.pod_sets:
                pods.pod["priorityClassName"] = wanted
                pods.pod.pop("priority", None)
