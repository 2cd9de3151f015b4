"""Which container has which GPU. Pure bookkeeping; the agent asks before a container starts and gives back when its pod is gone.

The scheduler has already counted that enough are free; here only *which* ones are decided. Contract: a device belongs to one container.
"""


class DevicesExhaustedError(Exception):
    """Fewer devices are free than a container was promised."""


class Devices:
    """`count` devices, numbered from 0."""

    def __init__(self, count: int) -> None:
        self._free = list(range(count))
        self._held: dict[tuple[str, str], list[int]] = {}

    def assign(self, pod: str, container: str, count: int) -> list[int]:
        """The devices of a container, the same ones at every restart. Raises `DevicesExhaustedError`."""
        held = self._held.get((pod, container))
        if held is not None:
            return held
        if count > len(self._free):
            raise DevicesExhaustedError(f"{count} GPUs wanted by container {container}, {len(self._free)} are free on this node")
        taken, self._free = self._free[:count], self._free[count:]
        if taken:
            self._held[pod, container] = taken
        return taken

    def release(self, pod: str) -> None:
        """Give back everything of a pod; idempotent."""
        for key in [k for k in self._held if k[0] == pod]:
            self._free = sorted([*self._free, *self._held.pop(key)])
