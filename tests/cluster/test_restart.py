"""Controllers that come and go: what one manager began the next one finishes, and nothing is made twice."""

from lightship import kinds
from lightship.builtin.api import JOB_SETS
from lightship.kinds import JOBS, PODS
from lightship.meta import objects
from lightship.meta.objects import Obj
from lightship.train.api import TRAIN_JOBS
from tests.cluster import make
from tests.cluster.site import Backend, Site


async def uids(here: Site) -> set[str]:
    return {objects.uid(obj) for kind in (JOB_SETS, JOBS, PODS) for obj in await here.all(kind)}


def test_the_next_manager_goes_on_where_the_last_one_stopped(backend: Backend) -> None:
    async def scenario(here: Site) -> None:
        async with here.node():
            async with here.controllers():
                await here.client.create(TRAIN_JOBS, make.train_job(here, nodes=3))
                pods = await here.until_bound(3)
                await here.settle(0.3)
                before = await uids(here)
            await here.move(pods[0], "Succeeded")  # nobody is there to see it
            await here.move(pods[1], "Running", ready=True)
            async with here.controllers():
                await here.until_status(JOBS, "mnist-node-0", succeeded=1, ready=1)
                await here.settle(0.5)
                assert await uids(here) == before
                for pod in pods[1:]:
                    await here.move(await here.get(PODS, objects.name(pod)), "Succeeded")
                await here.until_condition(TRAIN_JOBS, "mnist", "Complete")
            async with here.controllers():
                await here.settle(0.5)
                assert await uids(here) == before

    backend.run(scenario)


def test_managers_that_are_cut_short_make_every_child_once(backend: Backend) -> None:
    """Eight managers, each stopped a moment later than the one before, wherever it stood."""

    async def scenario(here: Site) -> None:
        created: dict[str, Obj] = {}
        async with here.node():
            await here.client.create(TRAIN_JOBS, make.train_job(here, nodes=4))
            for number in range(8):
                async with here.controllers():
                    await here.settle(0.01 * number)
                created.update({objects.uid(pod): pod for pod in await here.all(PODS)})
            async with here.controllers():
                await here.until_bound(4)
                await here.settle(0.5)
                created.update({objects.uid(pod): pod for pod in await here.all(PODS)})
        assert len(created) == 4
        assert len(await here.all(JOB_SETS)) == len(await here.all(JOBS)) == 1

    backend.run(scenario)


def test_what_was_deleted_meanwhile_is_collected(backend: Backend) -> None:
    async def scenario(here: Site) -> None:
        async with here.node():
            async with here.controllers():
                await here.client.create(TRAIN_JOBS, make.train_job(here))
                for pod in await here.until_bound(2):
                    await here.move(pod, "Running", ready=True)
            await here.client.delete(TRAIN_JOBS, "mnist", here.namespace)
            assert len(await here.all(PODS)) == 2
            async with here.controllers():
                for kind in (JOB_SETS, JOBS, PODS):
                    await here.until_some(kind, 0)

    backend.run(scenario)


def test_a_pod_that_waits_is_placed_when_a_node_comes(backend: Backend) -> None:
    async def scenario(here: Site) -> None:
        async with here.controllers():
            selector = {"test.example/site": here.namespace}
            await here.client.create(PODS, make.pod(here, "p", nodeSelector=selector))
            found = await here.until_condition(PODS, "p", "PodScheduled", "False")
            assert kinds.pods.node_name(found) == ""
            assert ("Warning", "FailedScheduling") in await here.events("p")
            async with here.node() as node:
                await here.client.patch(kinds.NODES, node, {"metadata": {"labels": selector}})
                (pod,) = await here.until_bound(1)
                assert kinds.pods.node_name(pod) == node
                assert ("Normal", "Scheduled") in await here.events("p")

    backend.run(scenario)
