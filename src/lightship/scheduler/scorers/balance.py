"""NodeResourcesBalancedAllocation: high where a pod makes cpu and memory used in a more like measure.

Called through the table of this folder. Contract: kube-scheduler 1.36 NodeResourcesBalancedAllocationArgs, for cpu and memory.
"""

from lightship.meta.objects import Obj
from lightship.scheduler import scores
from lightship.scheduler.cluster import Cluster
from lightship.scheduler.scores import Prepare, Score


def make(args: Obj) -> Prepare:
    named = [resource.get("name") for resource in args.get("resources") or ()]
    if named and sorted(str(name) for name in named) != ["cpu", "memory"]:
        raise ValueError(f"resources: only cpu and memory can be balanced, not {named}")
    return _prepare


def _prepare(cluster: Cluster) -> Score:
    return scores.balanced
