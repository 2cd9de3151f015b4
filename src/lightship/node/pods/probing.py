"""Runs the probes of one pod's containers, from their start to their end.

Called by `starting`, `stopping` and `worker`. What a probe is and when it has failed often enough is decided in `probes` and `state`.
"""

import asyncio
from collections.abc import Sequence

from lightship.meta.objects import Obj

from . import commands, probes
from .commands import Outcome
from .probes import Prober
from .subject import Subject


class Probing:
    """The probers of one pod."""

    def __init__(self, subject: Subject) -> None:
        self._subject = subject
        self._probers: dict[str, tuple[Prober, asyncio.Task[None]]] = {}

    def start(self, spec: Obj) -> None:
        name, node = spec["name"], self._subject.node
        if not any(probes.has(spec, kind) for kind in probes.FIELDS):
            return
        container_id = self._subject.state.container(name).id

        def tell(reason: str, message: str) -> None:
            self._subject.event("Warning", reason, message, name)

        def report(kind: probes.Kind, success: bool, why: str) -> None:
            self._subject.state.container_probed(name, kind, success)
            self._subject.wake()

        async def execute(argv: Sequence[str], seconds: float) -> Outcome:
            return await commands.run(node.runtime, container_id, argv, seconds)

        prober = Prober(spec, self._subject.where(spec), node.clock, report, tell, execute)
        self._probers[name] = prober, self._subject.spawn(prober.run(), f"probes of {name}")

    def end(self, name: str) -> None:
        """The container is on its way out: only readiness is still asked."""
        if name in self._probers:
            self._probers[name][0].end()

    def stop(self, name: str) -> None:
        """The container has ended."""
        found = self._probers.pop(name, None)
        if found is not None:
            found[1].cancel()
