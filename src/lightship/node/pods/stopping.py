"""Asks containers of one pod to end.

Called by `worker` for `sync.StopContainer` and `sync.KillContainer`; how long they may take is decided in `sync`.
"""

import signal

from . import containers, sync
from .probing import Probing
from .subject import Subject


class Stopping:
    """Ends of one pod's containers."""

    def __init__(self, subject: Subject, probing: Probing) -> None:
        self._subject = subject
        self._probing = probing

    async def stop(self, name: str) -> None:
        self._probing.stop(name)
        state, now = self._subject.state.container(name), self._subject.now()
        if self._subject.state.stopping_since is None and sync.must_stop(self._subject.pod, self._subject.state):
            self._subject.state.stopping_since = now
        state.stop_at = now
        why = f"Container {name} failed {state.unhealthy} probe, will be restarted" if state.unhealthy else f"Stopping container {name}"
        self._subject.event("Normal", "Killing", why, name)
        await self._subject.node.runtime.signal(state.id, containers.stop_signal(self._subject.spec_of(name)))

    async def kill(self, name: str) -> None:
        """End it now, and all that it has started."""
        state = self._subject.state.container(name)
        state.killed = True
        await self._subject.node.runtime.signal(state.id, int(signal.SIGKILL))
