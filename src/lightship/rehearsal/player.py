"""Does what a scenario says, at its time, as the administrator of a virtual platform.

Called by `command` and tests. What makes no sense to the server ends the rehearsal; what it merely does not allow at that moment
(a quota, a conflict) is noted, since that is part of how the day goes. Nodes fail by falling silent, as machines do that are gone.
"""

from collections.abc import Iterable, Sequence

from lightship import kinds
from lightship.cli.errors import CliError
from lightship.emulation import api as emulation
from lightship.main.virtual import VirtualPlatform
from lightship.meta import errors, objects, times
from lightship.meta.objects import GVK, Obj
from lightship.meta.resources import Resource

from .ledger import Ledger
from .scenario import Apply, Chosen, Deed, Delete, Due, Fail, Recover, Reference, Resize, Scenario

LOOK = 60.0
"""Seconds between two looks whether everything has ended."""
SETTLE = 300.0
"""Seconds that are left to the cluster after the last step, at least."""
PATIENCE = 7 * 86_400.0
"""Seconds after the last step within which everything must have ended, where no end is given."""
QUIET = 3600.0
"""Seconds without any change of a job or a pod after which jobs of which nothing runs are given up: nobody will do anything any more."""
KIND_SECONDS = 30.0
"""How long a kind that was just defined may take to be served."""


class Player:
    """`refused` is what the server did not allow, as (seconds, what, why)."""

    def __init__(self, platform: VirtualPlatform, scenario: Scenario, ledger: Ledger) -> None:
        self.refused: list[tuple[float, str, str]] = []
        self._platform = platform
        self._client = platform.client
        self._scenario = scenario
        self._ledger = ledger

    @property
    def now(self) -> float:
        """Seconds since the beginning."""
        return self._platform.clock.monotonic()

    async def play(self) -> None:
        """From the beginning to the end. Raises `CliError` for a step that cannot be done."""
        scenario = self._scenario
        pending = list(reversed(scenario.deeds))
        while pending and not (scenario.until and pending[-1].at > scenario.until):
            due = pending.pop()
            await self._until(due.at)
            pending += await self._do(due)
            pending.sort(key=lambda due: -due.at)
        await self._until(scenario.until) if scenario.until else await self._until_ended()

    async def _until(self, at: float) -> None:
        if at > self.now:
            await self._platform.sleep(at - self.now)

    async def _until_ended(self) -> None:
        last = self.now
        await self._platform.sleep(SETTLE)
        while self._ledger.open and self.now - last < PATIENCE and not self._is_stuck(last):
            await self._platform.sleep(LOOK)

    def _is_stuck(self, last: float) -> bool:
        """Will jobs wait for ever? Pods that run make room when they end, and deadlines pass; the last step was at `last`."""
        books = self._ledger
        return not books.busy and self.now > max(last, books.moved, books.patience) + QUIET

    async def _do(self, due: Due) -> list[Due]:
        """What comes of it later."""
        deed = due.deed
        try:
            match deed:
                case Apply():
                    await self._apply(deed)
                case Delete():
                    found = deed.reference
                    resource = await self._resource(found.api_version, found.kind, "delete")
                    await self._client.delete(resource, found.name, _where(resource, found))
                case Resize():
                    await self._scale(deed)
                case Fail():
                    return await self._fail(due.at, deed)
                case Recover():
                    await self._recover(await self._choose(deed.chosen, silent=True))
        except errors.StatusError as error:
            self._note(deed, error)
        return []

    def _note(self, deed: Deed, error: errors.StatusError) -> None:
        what = _label(deed)
        if error.code in (400, 415, 422):
            where = f"{deed.manifest.source}: " if isinstance(deed, Apply) else ""
            raise CliError(f"{where}{what} was refused after {times.age(self.now)}: {error.message}") from error
        self.refused.append((self.now, what, error.message))

    async def _apply(self, deed: Apply) -> None:
        obj, source = deed.manifest
        resource = await self._resource(obj.get("apiVersion") or "", obj.get("kind") or "", source)
        if resource.namespaced and not objects.namespace(obj):
            obj = {**obj, "metadata": {**objects.meta(obj), "namespace": "default"}}
        if objects.name(obj):
            await self._client.apply(resource, obj)
        else:
            await self._client.create(resource, obj)

    async def _scale(self, deed: Resize) -> None:
        wanted = deed.scale
        resource = await self._resource(wanted.api_version, wanted.kind, "scale")
        await self._client.patch(resource, wanted.name, {"spec": {"replicas": wanted.replicas}}, _where(resource, wanted))

    async def _fail(self, at: float, deed: Fail) -> list[Due]:
        chosen = await self._choose(deed.chosen, silent=False)
        for name in chosen:
            await self._client.patch(kinds.NODES, name, {"metadata": {"annotations": {emulation.SILENT: "failed"}}})
        if not deed.seconds or not chosen:
            return []
        return [Due(at + deed.seconds, Recover(Chosen(names=list(chosen))))]

    async def _recover(self, chosen: Iterable[str]) -> None:
        for name in chosen:
            await self._client.patch(kinds.NODES, name, {"metadata": {"annotations": {emulation.SILENT: None}}})

    async def _choose(self, chosen: Chosen, *, silent: bool) -> Sequence[str]:
        """The names of the nodes that are meant, among those that are silent or are not."""
        nodes = (await self._client.list(kinds.NODES, labels=chosen.selector)).items
        found = [objects.name(node) for node in nodes if (emulation.SILENT in objects.annotations(node)) is silent]
        if chosen.names:
            known = {objects.name(node) for node in nodes}
            strangers = [name for name in chosen.names if name not in known]
            if strangers:
                raise CliError(f"there is no node {', '.join(strangers)} after {times.age(self.now)}")
            found = [name for name in found if name in chosen.names]
        if 0 < chosen.count < len(found):
            found = self._platform.random.sample(found, chosen.count)
        return found

    async def _resource(self, api_version: str, kind: str, source: str) -> Resource:
        catalogue = self._platform.server.resources

        def served() -> Resource | None:
            if api_version:
                return catalogue.by_kind(GVK(*objects.split_api_version(api_version), kind))
            return next((resource for resource in catalogue if resource.kind == kind), None)

        async def asked() -> Resource | None:
            return served()

        try:
            return await self._platform.until(asked, within=KIND_SECONDS)
        except TimeoutError:
            if not kind:
                raise CliError(
                    f"{source}: apiVersion or kind is missing", hint="every object starts with both, like `apiVersion: v1`"
                ) from None
            what = f'"{kind}" in "{api_version}"' if api_version else f'"{kind}"'
            raise CliError(f"{source}: the platform serves no kind {what}", hint="apply its CustomResourceDefinition first") from None


def _where(resource: Resource, reference: Reference) -> str:
    return reference.namespace if resource.namespaced else ""


def _label(deed: Deed) -> str:
    match deed:
        case Apply():
            obj: Obj = deed.manifest.obj
            return f"{obj.get('kind')} {objects.name(obj) or objects.meta(obj).get('generateName', '')}"
        case Delete():
            return f"the end of {deed.reference.kind} {deed.reference.name}"
        case Resize():
            return f"{deed.scale.kind} {deed.scale.name} with {deed.scale.replicas} replicas"
        case _:
            return "nodes"
