"""The claimed devices of one pod: made ready before its sandbox, given back when nothing of it runs any more.

Called by `worker` for `PrepareDevices` and `ReleaseDevices`; who does it is `machine.devices`'s to know.
Contract: kubelet PrepareDynamicResources, UnprepareDynamicResources (event reason and texts).
"""

from lightship.node.machine.devices.podclaims import ClaimError

from .state import again
from .subject import Subject

REASON = "FailedPrepareDynamicResources"


class Preparing:
    """The claims of one pod."""

    def __init__(self, subject: Subject) -> None:
        self._subject = subject

    async def prepare(self) -> None:
        """Make them ready; a problem is told and tried again."""
        state, prepared = self._subject.state, self._subject.node.desk.prepared
        try:
            await prepared.prepare(self._subject.pod)
        except ClaimError as error:
            message = f"prepare dynamic resources: {error}"
            state.devices_problem = again(state.devices_problem, REASON, message, self._subject.now())
            self._subject.event("Warning", REASON, f"Failed to prepare dynamic resources: {message}")
        else:
            state.devices_ready, state.devices_problem = True, None
        state.devices_held = prepared.holds(state.uid)

    async def release(self) -> None:
        """Give them back; until that has succeeded the pod has not ended."""
        state = self._subject.state
        try:
            await self._subject.node.desk.prepared.unprepare(state.uid)
        except ClaimError as error:
            state.release_problem = again(state.release_problem, REASON, f"unprepare dynamic resources: {error}", self._subject.now())
        else:
            state.devices_ready = state.devices_held = False
            state.release_problem = None
