"""Requests leave no circles of objects behind: what they have used is freed at once, and not when the collector comes by."""

import gc
from collections.abc import Awaitable, Callable

import pytest

from lightship import kinds
from lightship.meta.objects import Obj
from lightship.meta.rest import JSON_PATCH, MERGE_PATCH

from .policy_words import binding, policy
from .site import CONFIG_MAPS, Site, config_map, run

REQUESTS = 40


async def _create(site: Site, name: str) -> None:
    await site.create(CONFIG_MAPS, config_map(name))


async def _merge(site: Site, name: str) -> None:
    await site.create(CONFIG_MAPS, config_map(name))
    await site.patch(CONFIG_MAPS, name, {"data": {"a": name}}, type=MERGE_PATCH)


async def _json(site: Site, name: str) -> None:
    await site.create(CONFIG_MAPS, config_map(name))
    patch: list[Obj] = [{"op": "add", "path": "/metadata/labels", "value": {"a": "b"}}]
    await site.patch(CONFIG_MAPS, name, patch, type=JSON_PATCH)


async def _under_policy(site: Site, name: str) -> None:
    if name == "first":
        judge = policy("object.metadata.name != 'none'")
        judge["metadata"]["name"] = "p"
        await site.create(kinds.VALIDATING_ADMISSION_POLICIES, judge, "")
        await site.create(kinds.VALIDATING_ADMISSION_POLICY_BINDINGS, binding(name="p", to="p", everywhere=True), "")
    await site.create(CONFIG_MAPS, config_map(name))


@pytest.mark.parametrize("work", [_create, _merge, _json, pytest.param(_under_policy, marks=pytest.mark.slow)])
def test_nothing_waits_for_the_collector(work: Callable[[Site, str], Awaitable[None]]) -> None:
    async def left(site: Site, turn: int) -> int:
        gc.collect()
        gc.disable()
        try:
            for number in range(REQUESTS):
                await work(site, f"m{turn}-{number}")
            return gc.collect()
        finally:
            gc.enable()

    async def test(site: Site) -> None:
        await work(site, "first")
        # Circles of requests are there every time; what other threads of the test runner have left is not.
        assert min([await left(site, turn) for turn in range(3)]) < REQUESTS

    run(test)
