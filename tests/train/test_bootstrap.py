"""What a fresh cluster gets, and what a cluster that has it keeps."""

from pathlib import Path

import pytest
import yaml

from lightship.builtin.api import JOB_SETS
from lightship.kinds import CONFIG_MAPS, NAMESPACES
from lightship.meta import objects
from lightship.train import bootstrap as bootstrapping
from lightship.train.api import CLUSTER_TRAINING_RUNTIMES, FRAMEWORK_LABEL
from lightship.train.bootstrap import GIVEN, bootstrap, runtimes, shipped
from lightship.train.plugins import FRAMEWORK
from tests.train import make, site
from tests.train.site import Site

SHIPPED = [objects.name(r) for r in runtimes()]


def test_runtimes_are_shipped_by_name() -> None:
    assert sorted(SHIPPED) == SHIPPED == list(shipped()), "files are named as what is in them"
    assert {"jax-distributed", "torch-distributed", "torchtune-llama3.2-1b", "trl-sft", "xgboost-distributed"} <= set(SHIPPED)


def test_what_is_read_at_start_is_what_people_read() -> None:
    folder = Path(bootstrapping.__file__).parent / "data" / "runtimes"
    assert shipped() == {file.stem: yaml.safe_load(file.read_text()) for file in folder.glob("*.yaml")}, "run tools/make_runtimes.py"


@pytest.mark.parametrize("runtime", runtimes(), ids=objects.name)
def test_every_shipped_runtime_builds(runtime: objects.Obj) -> None:
    assert objects.labels(runtime)[FRAMEWORK_LABEL]
    job = make.stored(make.job(runtime=objects.name(runtime), trainer={"numNodes": 2}))
    assert FRAMEWORK.validate(job, runtime) == []
    assert FRAMEWORK.build(job, runtime)[-1].resource == JOB_SETS


def test_a_fresh_cluster_gets_runtimes_and_the_version() -> None:
    async def scenario(s: Site) -> None:
        await bootstrap(s.client)
        listed = (await s.client.list(CLUSTER_TRAINING_RUNTIMES)).items
        assert [objects.name(r) for r in listed] == SHIPPED
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
        found = {objects.name(r): r for r in listed}
        assert list(found) == [name for name in SHIPPED if name != "jax-distributed"]
        assert found["torch-distributed"]["spec"]["mlPolicy"]["numNodes"] == 7

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


def test_runtimes_that_are_new_are_added_to_those_that_a_cluster_was_given() -> None:
    async def scenario(s: Site) -> None:
        await bootstrap(s.client)
        for name in ("jax-distributed", "torch-distributed", "trl-sft"):
            await s.client.delete(CLUSTER_TRAINING_RUNTIMES, name)
        await s.client.patch(CONFIG_MAPS, "kubeflow-trainer-public", {"metadata": {"annotations": {GIVEN: None}}}, "kubeflow-system")
        await bootstrap(s.client)
        found = [objects.name(r) for r in (await s.client.list(CLUSTER_TRAINING_RUNTIMES)).items]
        assert found == [name for name in SHIPPED if name not in ("jax-distributed", "torch-distributed")], "those are from before"
        public = await s.client.get(CONFIG_MAPS, "kubeflow-trainer-public", "kubeflow-system")
        assert objects.annotations(public)[GIVEN].split(",") == SHIPPED

    site.run(scenario)
