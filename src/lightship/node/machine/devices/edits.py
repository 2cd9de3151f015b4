"""What a device changes about the container that has it: variables, files, groups. Made by `own`, `cdi` and device plugins alike."""

from collections.abc import Iterable

import msgspec

from lightship.node.runtimes.runtime import Mount


class Edits(msgspec.Struct, frozen=True, kw_only=True):
    """For one container."""

    env: dict[str, str] = {}
    """Stronger than what the pod says."""
    defaults: dict[str, str] = {}
    """Weaker than what the pod says."""
    mounts: list[Mount] = []
    """Devices are mounts of single files: what is not named here, a sandbox does not see."""
    groups: list[int] = []


NOTHING = Edits()


def joined(all: Iterable[Edits]) -> Edits:
    """One after the other; of files that several want at one place, the first."""
    env: dict[str, str] = {}
    defaults: dict[str, str] = {}
    mounts: dict[str, Mount] = {}
    groups: dict[int, None] = {}
    for edits in all:
        env |= edits.env
        defaults |= edits.defaults
        groups |= dict.fromkeys(edits.groups)
        for mount in edits.mounts:
            mounts.setdefault(mount.target, mount)
    return Edits(env=env, defaults=defaults, mounts=list(mounts.values()), groups=list(groups))
