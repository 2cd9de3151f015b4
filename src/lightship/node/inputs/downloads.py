"""What programs of a namespace have fetched from elsewhere, kept for the next one: a directory that images may ask to see.

Images that fetch (`Environment.downloads`: those of initializers) see the one of their pod's namespace, for reading and writing;
`pods.starting` calls `mounts`. What is in it is the programs' business, and so is how much; namespaces see nothing of each other's. It goes
with the namespace: `main` runs `controller`. LIGHTSHIP_DOWNLOADS=off, in the environment of the platform, keeps nothing.
"""

import os
from collections.abc import Awaitable, Callable, Iterable, Mapping
from pathlib import Path

from lightship.control import Controller, Done, Manager, Outcome, itself
from lightship.kinds import NAMESPACES
from lightship.meta.objects import Key
from lightship.node.images.environments import Environment
from lightship.node.runtimes.runtime import Mount

from .provisioner import remove_aside

VARIABLE = "LIGHTSHIP_DOWNLOADS"
FOLDER = "downloads"


def place(data: Path, environ: Mapping[str, str]) -> Path | None:
    """Where a platform keeps them; None when it was told not to."""
    return None if environ.get(VARIABLE, "").lower() in ("off", "0", "false", "no") else data / FOLDER


def mounts(environment: Environment, directory: Path | None, namespace: str, others: Iterable[Mount]) -> list[Mount]:
    """The mount of such an image, unless the pod has a volume there. Makes the directory; raises `OSError`."""
    target = environment.downloads
    if not target or directory is None or any(os.path.normpath(mount.target) == target for mount in others):
        return []
    own = directory / namespace
    if not own.is_dir():
        own.mkdir(parents=True, exist_ok=True)
        own.chmod(0o777)  # whatever our umask: pods have users of their own
    return [Mount(source=str(own), target=target)]


def controller(manager: Manager, directory: Path, remove: Callable[[Path], Awaitable[None]] = remove_aside) -> Controller:
    """The controller that removes what namespaces had when they are gone."""
    return Controller("downloads", _Removing(manager, directory, remove), watches=[itself(NAMESPACES)])


class _Removing:
    def __init__(self, manager: Manager, directory: Path, remove: Callable[[Path], Awaitable[None]]) -> None:
        self._remove = remove
        self._namespaces = manager.cache.informer(NAMESPACES)
        self._directory = directory

    async def reconcile(self, key: Key) -> Outcome:
        if self._namespaces.get(key) is None and (self._directory / key.name).is_dir():
            await self._remove(self._directory / key.name)
        return Done()
