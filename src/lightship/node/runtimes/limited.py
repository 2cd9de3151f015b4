"""What both runtimes do about limits and usage: hand it on to the `Enforcer` that they have opened.

`sandbox` and `process` are `Limited`; who keeps limits, and how, is `enforcement`'s business.
"""

from .enforcement import Enforcer
from .runtime import ContainerError, Limits, RuntimeUnavailableError, Usage

CLOSED = "the runtime is not started or already closed"


class Limited:
    """A runtime with an enforcer, from its start to its end."""

    _enforcer: Enforcer | None = None

    @property
    def _limits(self) -> Enforcer:
        if self._enforcer is None:
            raise RuntimeUnavailableError(CLOSED)
        return self._enforcer

    @property
    def limits(self) -> tuple[str, str]:
        """See `runtime.Runtime`."""
        return self._limits.kind, self._limits.reason

    async def _end_enforcer(self) -> None:
        if self._enforcer is not None:
            await self._enforcer.close()
            self._enforcer = None

    async def update(self, container_id: str, limits: Limits) -> None:
        """See `runtime.Runtime`."""
        self._change(container_id, limits)

    async def update_sandbox(self, sandbox_id: str, limits: Limits) -> None:
        """See `runtime.Runtime`."""
        self._change(sandbox_id, limits)

    def _change(self, id: str, limits: Limits) -> None:
        try:
            self._limits.update(id, limits)
        except OSError as error:
            raise ContainerError("ResizeFailed", f"limits cannot be changed: {error}") from error

    async def usage(self) -> dict[str, Usage]:
        """See `runtime.Runtime`."""
        return await self._limits.usage()
