"""Scorers by the name that a scheduler configuration has for them: how good one node would be for a pod, from 0 to 100.

To add one: a module here with a `make`, and its line in `MAKERS`. `make(args)` reads the arguments of its `pluginConfig` (it raises
`ValueError` with what is wrong) and returns a function that is asked once for the cluster as it is now, for the score itself: a function of
pod and node. A score may look at anything of the two and of what pods do not change in the cluster (labels, prices), so that what
compares nodes is found out once, not for every pair; `Ranking` keeps the scores of all nodes as columns and asks again only for those
that have changed. So a scorer costs the same on ten nodes and on ten thousand, without arrays. Called by `profiles`; pure.
"""

from collections.abc import Callable, Mapping

from lightship.meta.objects import Obj
from lightship.scheduler.scorers import balance, fit, price
from lightship.scheduler.scores import Prepare

Make = Callable[[Obj], Prepare]

MAKERS: Mapping[str, tuple[int, Make]] = {
    "NodeResourcesFit": (1, fit.make),
    "NodeResourcesBalancedAllocation": (1, balance.make),
    "NodePrice": (0, price.make),
}
"""With the weight that each has when a configuration does not say: 0 are those that it must ask for."""
