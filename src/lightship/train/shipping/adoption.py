"""Gives the ConfigMaps with a job's files to the TrainJob that names them, so that they go when it goes.

They are made before the job, since its pods need them, and so cannot know their owner yet. `lightship train` gives them away itself; for
jobs of the SDK this controller does. Jobs without the annotation never reach it; others are looked at once.
Contract: `lightship.dev/workspace` (train.api.names).
"""

from collections.abc import Iterable

from lightship.client.client import Client
from lightship.control.controller import Controller
from lightship.control.manager import Manager
from lightship.control.outcome import Done, Outcome
from lightship.control.watch import Watch
from lightship.kinds import CONFIG_MAPS
from lightship.meta import errors, objects
from lightship.meta.objects import Key, Obj
from lightship.train.api import TRAIN_JOBS
from lightship.train.api.names import WORKSPACE


def named(job: Obj) -> list[str]:
    """The ConfigMaps that a TrainJob says are its files, and that were made for it: what has another name stays whose it was."""
    listed = (name.strip() for name in objects.annotations(job).get(WORKSPACE, "").split(","))
    return [name for name in listed if name.startswith(f"{objects.name(job)}-workspace-")]


async def adopt(client: Client, job: Obj) -> None:
    """Make the job the owner of its files where they have none. Raises `StatusError`."""
    for name in named(job):
        while not await _given(client, job, name):
            pass


async def _given(client: Client, job: Obj, name: str) -> bool:
    """Give one away, and say whether that is done: somebody else may be at it, too, and then it is looked at again."""
    found = await client.get_or_none(CONFIG_MAPS, name, objects.namespace(job))
    if found is None or objects.owners(found) or objects.is_deleting(found):
        return True
    owner = objects.owner_reference(job, controller=False, block_deletion=False)
    change = {"metadata": {"resourceVersion": objects.meta(found)["resourceVersion"], "ownerReferences": [owner]}}
    try:
        await client.patch(CONFIG_MAPS, name, change, objects.namespace(job))
    except errors.StatusError as error:
        if errors.is_conflict(error):
            return False
        if not errors.is_not_found(error):
            raise
    return True


def controllers(manager: Manager) -> list[Controller]:
    return [Controller("trainjob-workspace", _Adoption(manager), watches=[Watch(TRAIN_JOBS, _with_files)])]


class _Adoption:
    def __init__(self, manager: Manager) -> None:
        self._client = manager.client
        self._jobs = manager.cache.informer(TRAIN_JOBS)
        self._done: dict[Key, str] = {}
        """Jobs whose files are theirs by now, with their uids: forgotten with them, and looked at again by whoever starts anew."""

    async def reconcile(self, key: Key) -> Outcome:
        job = self._jobs.get(key)
        if job is None or objects.is_deleting(job):
            self._done.pop(key, None)
        elif self._done.get(key) != objects.uid(job):
            await adopt(self._client, job)
            self._done[key] = objects.uid(job)
        return Done()


def _with_files(job: Obj) -> Iterable[Key]:
    return (objects.key(job),) if WORKSPACE in objects.annotations(job) else ()
