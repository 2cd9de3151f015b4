"""Asks containers of one pod to end.

Called by `worker` for `StopContainer`, `TerminateContainer` and `KillContainer`; how long they may take is decided in `ending`.
"""

import signal

from . import containers, spec, sync
from .hooks import Hooks
from .instructions import KillContainer, StopContainer, TerminateContainer
from .probing import Probing
from .subject import Subject

WHY = {
    "liveness": "Container {} failed liveness probe, will be restarted",
    "startup": "Container {} failed startup probe, will be restarted",
    "postStart": "FailedPostStartHook",
    "resize": "Container {} resize requires restart",
}
"""The event's message when a container ends to make room for its next run."""


class Stopping:
    """Ends of one pod's containers."""

    def __init__(self, subject: Subject, probing: Probing, hooks: Hooks) -> None:
        self._subject = subject
        self._probing = probing
        self._hooks = hooks

    async def perform(self, step: StopContainer | TerminateContainer | KillContainer) -> None:
        match step:
            case StopContainer(container=name, grace=grace):
                self.begin(name, grace)
            case TerminateContainer(container=name):
                await self.terminate(name)
            case KillContainer(container=name):
                await self.kill(name)

    def begin(self, name: str, grace: float) -> None:
        """Tell of the end, and run the container's preStop hook; the signal follows when that is over."""
        self._probing.end(name)
        state, now = self._subject.state.container(name), self._subject.now()
        if self._subject.state.stopping_since is None and sync.must_stop(self._subject.pod, self._subject.state):
            self._subject.state.stopping_since = now
        state.stop_at = now
        self._hooks.cancel(name)
        text = WHY.get(state.unhealthy, "Stopping container {}") if not self._subject.state.stopping_since else "Stopping container {}"
        self._subject.event("Normal", "Killing", text.format(name), name)
        if grace > 0 and spec.hook(self._subject.spec_of(name), "preStop"):
            state.hooking = True
            self._hooks.start(name, "preStop", lambda _: self._hooked(name))

    def _hooked(self, name: str) -> None:
        self._subject.state.container(name).hooking = False

    async def terminate(self, name: str) -> None:
        """Send the signal; a hook that still runs has had its time."""
        self._hooks.cancel(name)
        state = self._subject.state.container(name)
        state.hooking, state.term_at = False, self._subject.now()
        await self._subject.node.runtime.signal(state.id, containers.stop_signal(self._subject.spec_of(name)))

    async def kill(self, name: str) -> None:
        """End it now, and all that it has started."""
        state = self._subject.state.container(name)
        state.killed = True
        await self._subject.node.runtime.signal(state.id, int(signal.SIGKILL))
