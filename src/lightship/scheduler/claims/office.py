"""The shell around the claims of pods: reads claims, classes and slices, opens a `Desk` for each plan, and writes what was granted.

Called by the scheduler's bind loop. Decides nothing itself. Contract: kube-scheduler 1.36 DynamicResources plugin (PreBind, Unreserve).
"""

from collections.abc import Iterable

from lightship.control import Manager
from lightship.meta.objects import Obj
from lightship.scheduler.claims.desk import Desk, Grant
from lightship.scheduler.snapshot import PodInfo


class Office:
    def __init__(self, manager: Manager) -> None:
        self._client = manager.client

    def desk(self, pods: Iterable[PodInfo]) -> Desk | None:
        """What a plan for these pods must know of claims; None when none of them has any."""
        return None

    async def reserve(self, pod: Obj, node: str, grant: Grant) -> bool:
        """Write what was granted; whether the pod may be bound now. Raises `StatusError` when it could not be written."""
        return True
