"""Children are made once and unmade by uid."""

import pytest

from lightship.builtin import children
from lightship.kinds import CONFIG_MAPS
from lightship.meta import errors, objects
from lightship.meta.objects import Obj
from tests.builtin.site import Site, run


def child(owner: str) -> Obj:
    ref = {"apiVersion": "v1", "kind": "ConfigMap", "name": "o", "uid": owner, "controller": True}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c", "namespace": "default", "ownerReferences": [ref]}}


def test_what_exists_counts_as_made_if_it_is_ours() -> None:
    async def work(here: Site) -> None:
        first = await children.create(here.client, CONFIG_MAPS, child("me"))
        again = await children.create(here.client, CONFIG_MAPS, child("me"))
        assert objects.uid(again) == objects.uid(first)
        with pytest.raises(errors.StatusError) as refused:
            await children.create(here.client, CONFIG_MAPS, child("somebody else"))
        assert errors.is_already_exists(refused.value)
        await here.client.patch(CONFIG_MAPS, "c", {"metadata": {"finalizers": ["test/wait"]}}, "default")
        await here.client.delete(CONFIG_MAPS, "c", "default")
        with pytest.raises(errors.StatusError) as refused:
            await children.create(here.client, CONFIG_MAPS, child("me"))
        assert errors.is_already_exists(refused.value), "one that is on its way out does not count"

    run(work, only=("rootca",))


def test_a_successor_of_the_same_name_is_not_hit() -> None:
    async def work(here: Site) -> None:
        first = await here.client.create(CONFIG_MAPS, child("me"))
        await children.remove(here.client, CONFIG_MAPS, first)
        second = await here.client.create(CONFIG_MAPS, child("me"))
        await children.remove(here.client, CONFIG_MAPS, first)
        assert objects.uid(await here.client.get(CONFIG_MAPS, "c", "default")) == objects.uid(second)
        await children.remove(here.client, CONFIG_MAPS, second)
        await children.remove(here.client, CONFIG_MAPS, second)

    run(work, only=("rootca",))


def test_all_are_tried_and_the_first_failure_is_raised() -> None:
    async def work(here: Site) -> None:
        done: list[int] = []

        async def act(number: int) -> None:
            if number in (3, 60):
                raise ValueError(str(number))
            done.append(number)

        with pytest.raises(ValueError, match="3"):
            await children.every(range(120), act)
        assert len(done) == 118

    run(work, only=("rootca",))
