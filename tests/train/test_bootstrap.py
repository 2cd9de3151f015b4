"""What a fresh cluster gets, and what a cluster that has it keeps."""

import pytest

from lightship.kinds import CONFIG_MAPS, NAMESPACES
from lightship.meta import objects
from lightship.train.api import CLUSTER_TRAINING_RUNTIMES, FRAMEWORK_LABEL
from lightship.train.bootstrap import bootstrap, runtimes
from lightship.train.plugins import FRAMEWORK
from tests.train import make, site
from tests.train.site import Site


def test_the_shipped_runtimes_are_those_whose_plugins_exist() -> None:
    assert [objects.name(r) for r in runtimes()] == ["jax-distributed", "torch-distributed", "xgboost-distributed"]


@pytest.mark.parametrize("runtime", runtimes(), ids=objects.name)
def test_every_shipped_runtime_builds(runtime: objects.Obj) -> None:
    framework = objects.labels(runtime)[FRAMEWORK_LABEL]
    assert framework in runtime["spec"]["mlPolicy"]
    job = make.stored(make.job(runtime=objects.name(runtime), trainer={"numNodes": 2}))
    assert FRAMEWORK.validate(job, runtime) == []
    assert len(FRAMEWORK.build(job, runtime)) == 1


def test_a_fresh_cluster_gets_runtimes_and_the_version() -> None:
    async def scenario(s: Site) -> None:
        await bootstrap(s.client)
        listed = (await s.client.list(CLUSTER_TRAINING_RUNTIMES)).items
        assert [objects.name(r) for r in listed] == ["jax-distributed", "torch-distributed", "xgboost-distributed"]
        await s.client.get(NAMESPACES, "kubeflow-system")
        public = await s.client.get(CONFIG_MAPS, "kubeflow-trainer-public", "kubeflow-system")
        assert public["data"] == {"kubeflow_trainer_version": "2.3.0"}

    site.run(scenario)


def test_what_an_administrator_changed_stays() -> None:
    async def scenario(s: Site) -> None:
        await bootstrap(s.client)
        await s.client.delete(CLUSTER_TRAINING_RUNTIMES, "jax-distributed")
        await s.client.patch(CLUSTER_TRAINING_RUNTIMES, "torch-distributed", {"spec": {"mlPolicy": {"numNodes": 7}}})
        await bootstrap(s.client)
        listed = (await s.client.list(CLUSTER_TRAINING_RUNTIMES)).items
        assert [objects.name(r) for r in listed] == ["torch-distributed", "xgboost-distributed"]
        assert listed[0]["spec"]["mlPolicy"]["numNodes"] == 7

    site.run(scenario)


def test_an_older_version_is_brought_up_to_date() -> None:
    async def scenario(s: Site) -> None:
        await bootstrap(s.client)
        await s.client.patch(CLUSTER_TRAINING_RUNTIMES, "torch-distributed", {"spec": {"mlPolicy": {"numNodes": 7}}})
        old = {"data": {"kubeflow_trainer_version": "2.2.0"}}
        await s.client.patch(CONFIG_MAPS, "kubeflow-trainer-public", old, "kubeflow-system")
        await bootstrap(s.client)
        found = await s.client.get(CLUSTER_TRAINING_RUNTIMES, "torch-distributed")
        assert found["spec"]["mlPolicy"]["numNodes"] == 1

    site.run(scenario)
