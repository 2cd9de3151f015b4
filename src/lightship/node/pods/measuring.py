"""What this node's pods use, in the forms in which people and programs ask for it.

The agent makes one `Measuring` and answers with it; ids of the runtime become pods and containers here. Nobody asking costs nothing.
"""

import os
from collections.abc import Callable, Iterable
from pathlib import Path

from lightship.aio.clock import Clock
from lightship.meta.objects import Obj
from lightship.meta.rest import Measured, Measurement
from lightship.node.machine import hostusage, statistics
from lightship.node.machine.sampling import Rates, Sampler
from lightship.node.machine.statistics import Counted, Pod
from lightship.node.runtimes import enforcement
from lightship.node.runtimes.runtime import Runtime

from .subject import Subject


class Measuring:
    """`subjects` are the pods of now; `data` and `images` the directories whose disks are told of."""

    def __init__(
        self, name: str, runtime: Runtime, clock: Clock, subjects: Callable[[], Iterable[Subject]], data: Path, images: Path
    ) -> None:
        self._name = name
        self._subjects = subjects
        self._data = data
        self._images = images
        self._boot = clock.now()
        self.sampler = Sampler(runtime.usage, hostusage.node_usage, clock)

    async def measure(self) -> Measurement:
        """See `meta.rest.NodeConnection`."""
        rates = await self.sampler.rates()
        pods = {subject.state.uid: _measured(rates, subject) for subject in self._subjects()}
        return Measurement(rates.new.time, rates.window, Measured(rates.node, rates.new.node.working_set), pods)

    async def summary(self) -> Obj:
        """What /stats/summary answers."""
        rates = await self.sampler.rates()
        disk, images = hostusage.filesystem(self._data), hostusage.filesystem(self._images)
        return statistics.summary(self._name, self._boot, rates, self._pods(), disk, images)

    async def resource_metrics(self) -> str:
        """What /metrics/resource answers."""
        return statistics.resource_metrics(await self.sampler.rates(), self._pods())

    async def cadvisor_metrics(self) -> str:
        """What /metrics/cadvisor answers."""
        rates = await self.sampler.rates()
        return statistics.cadvisor_metrics(rates, self._pods(), os.cpu_count() or 1, enforcement.machine_memory())

    def _pods(self) -> list[Pod]:
        return [Pod(subject.pod, _running(subject), subject.disk) for subject in self._subjects()]


def _running(subject: Subject) -> dict[str, Counted]:
    return {c.name: Counted(c.id, c.started) for c in subject.state.containers.values() if c.running}


def _measured(rates: Rates, subject: Subject) -> dict[str, Measured]:
    found = {}
    for name, counted in _running(subject).items():
        used, rate = rates.new.used.get(counted.id), rates.of(counted.id, counted.started)
        if used is not None and rate is not None:
            found[name] = Measured(rate, used.working_set)
    return found
