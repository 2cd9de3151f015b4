"""The seam between the node and whoever makes claimed devices ready: our own driver, or another program's behind a socket.

`prepared` calls drivers by name. Contract: the two calls of the DRA plugin API of the kubelet.
"""

from typing import Protocol

import msgspec

from lightship.meta.objects import Obj


class Given(msgspec.Struct, frozen=True, kw_only=True):
    """One device that is ready for the containers of a claim."""

    pool: str
    device: str
    requests: list[str] = []
    """The requests of the claim that it was given for; none: all."""
    cdi: list[str] = []
    """What to inject into containers."""
    share: str | None = None


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What became of one claim: devices, or why not."""

    devices: list[Given] = []
    error: str = ""


class DriverError(Exception):
    """A driver could not be asked, or refused everything."""


class Driver(Protocol):
    async def prepare(self, claims: list[Obj]) -> dict[str, Outcome]:
        """By uids of claims. May be asked again for what is prepared already. Raises `DriverError`."""
        ...

    async def unprepare(self, claims: list[Obj]) -> dict[str, str]:
        """By uids: why not, empty when it is done. Of the claims only namespace, name and uid are known. Raises `DriverError`."""
        ...
