"""Runs the probes of one pod's containers, from their start to their end.

Called by `starting` and `worker`. What a probe is and when it has failed often enough is decided in `probes` and `state`.
"""

import asyncio

from lightship.meta.objects import Obj

from . import probes
from .subject import Subject


class Probing:
    """The probers of one pod."""

    def __init__(self, subject: Subject) -> None:
        self._subject = subject
        self._probers: dict[str, asyncio.Task[None]] = {}

    def start(self, spec: Obj) -> None:
        name, node = spec["name"], self._subject.node
        if not any(probes.has(spec, kind) for kind in probes.FIELDS):
            return
        where = probes.Where(
            address=self._subject.state.ip,
            named_ports={port["name"]: int(port["containerPort"]) for port in spec.get("ports") or () if port.get("name")},
            real_ports=node.ports.assign(self._subject.pod) if node.runtime.kind == "process" else {},
            open_socket=node.runtime.open_socket,
        )

        def failed(kind: probes.Kind, why: str) -> None:
            self._subject.event("Warning", "Unhealthy", f"{kind.capitalize()} probe failed: {why}", name)

        def report(kind: probes.Kind, success: bool, why: str) -> None:
            self._subject.state.container_probed(name, kind, success)
            self._subject.wake()

        prober = probes.Prober(spec, where, node.clock, report, failed)
        self._probers[name] = self._subject.spawn(prober.run(), f"probes of {name}")

    def stop(self, name: str) -> None:
        task = self._probers.pop(name, None)
        if task is not None:
            task.cancel()
