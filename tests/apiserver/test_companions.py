"""What admission writes in the same commit as the object: all of it or nothing, and again when somebody was faster."""

import asyncio
from typing import Any

import pytest

from lightship.apiserver.verbs.writing import encoder
from lightship.meta.admission import Admission, AdmissionRequest
from lightship.meta.errors import StatusError
from lightship.meta.objects import copy
from lightship.store import Put

from .site import CONFIG_MAPS, Site, config_map, refused, run

KEY = "core/configmaps/default/ledger"


class Ledger:
    """Counts writes in an object of its own; `slow` lets others write between the counting and the commit."""

    def __init__(self, *, slow: bool = False) -> None:
        self.site: Site | None = None
        self.slow = slow
        self.asked = 0

    def admission(self) -> Admission:
        return Admission(name="ledger", resources=(CONFIG_MAPS,), validate=self.count)

    async def count(self, request: AdmissionRequest) -> None:
        if self.site is None or request.name == "ledger":
            return
        self.asked += 1
        head = self.site.store.head(KEY)
        assert head is not None
        new = copy(head.obj)
        new["data"]["count"] = str(int(new["data"]["count"]) + 1)
        request.also.append(Put(KEY, encoder(new), head.revision, new))
        if self.slow:
            await self.site.clock.sleep(1)

    async def counted(self) -> int:
        assert self.site is not None
        return int((await self.site.get(CONFIG_MAPS, "ledger"))["data"]["count"])


async def opened(site: Site, ledger: Ledger) -> None:
    await site.create(CONFIG_MAPS, {"metadata": {"name": "ledger"}, "data": {"count": "0"}})
    ledger.site = site


@pytest.mark.parametrize("slow", [False, True])
def test_each_write_is_counted_once(slow: bool) -> None:
    ledger = Ledger(slow=slow)

    async def test(site: Site) -> None:
        await opened(site, ledger)
        await asyncio.gather(*(site.create(CONFIG_MAPS, config_map(f"a{i}")) for i in range(4)))
        assert await ledger.counted() == 4
        assert (ledger.asked > 4) == slow, "who comes late is admitted again"
        await asyncio.gather(*(site.patch(CONFIG_MAPS, f"a{i}", {"data": {"b": "2"}}) for i in range(3)))
        assert await ledger.counted() == 7
        await site.delete(CONFIG_MAPS, "a0")
        assert await ledger.counted() == 8

    run(test, admission=[ledger.admission()])


def test_nothing_is_counted_of_a_dry_run_or_of_a_write_that_is_refused() -> None:
    ledger = Ledger()

    async def refuses(request: AdmissionRequest) -> None:
        if request.name == "bad":
            raise StatusError(403, "Forbidden", "no")

    async def test(site: Site) -> None:
        await opened(site, ledger)
        await site.create(CONFIG_MAPS, config_map("a"), dry_run=True)
        with refused(403, "Forbidden"):
            await site.create(CONFIG_MAPS, config_map("bad"))
        await site.create(CONFIG_MAPS, config_map("a"))
        with refused(409, "AlreadyExists"):
            await site.create(CONFIG_MAPS, config_map("a"))
        await site.patch(CONFIG_MAPS, "a", {"data": {"b": "2"}}, dry_run=True)
        await site.delete(CONFIG_MAPS, "a", dry_run=True)
        assert await ledger.counted() == 1

    run(test, admission=[ledger.admission(), Admission(name="refuses", resources=(CONFIG_MAPS,), validate=refuses)])


def test_a_pinned_write_is_not_in_conflict_with_its_companion() -> None:
    ledger = Ledger(slow=True)

    async def test(site: Site) -> None:
        await opened(site, ledger)
        made = [await site.create(CONFIG_MAPS, config_map(f"a{i}")) for i in range(3)]
        changed: list[Any] = [{**copy(obj), "data": {"a": "9"}} for obj in made]
        await asyncio.gather(*(site.update(CONFIG_MAPS, obj) for obj in changed))
        assert await ledger.counted() == 6

    run(test, admission=[ledger.admission()])
