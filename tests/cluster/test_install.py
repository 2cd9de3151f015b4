"""Our kinds on a server that does not know them."""

import pytest

from lightship.apiserver.definitions.objects import definition_of
from lightship.cli.errors import CliError
from lightship.kinds import CONFIG_MAPS, CUSTOM_RESOURCE_DEFINITIONS
from lightship.main.install import MANAGED_BY, definitions, install
from lightship.meta import codec, conditions, objects
from lightship.meta.objects import Obj
from lightship.meta.resources import Resource
from lightship.train.api import CLUSTER_TRAINING_RUNTIMES
from lightship.train.bootstrap import runtimes
from tests.cluster.site import Backend, Site


def test_definitions_stand_alone() -> None:
    found = definitions()
    assert [objects.name(crd) for crd in found] == [
        "jobsets.jobset.x-k8s.io",
        "leaderworkersets.leaderworkerset.x-k8s.io",
        "disaggregatedsets.disaggregatedset.x-k8s.io",
        "trainjobs.trainer.kubeflow.org",
        "trainingruntimes.trainer.kubeflow.org",
        "clustertrainingruntimes.trainer.kubeflow.org",
        "trainjobruns.lightship.dev",
    ]
    for crd in found:
        text = codec.encode(crd).decode()
        assert "$ref" not in text
        assert "x-kubernetes-patch" not in text
        assert len(text) < 200_000, "kubectl takes it: `apply` keeps a copy in an annotation, which holds 256 KiB"


def test_what_is_installed_is_what_we_wrote_and_stays(backend: Backend) -> None:
    async def scenario(here: Site) -> None:
        async def stored() -> list[Obj]:
            names = [objects.name(crd) for crd in definitions()]
            return [await here.get(CUSTOM_RESOURCE_DEFINITIONS, name) for name in names]

        before = await stored()
        for crd, wanted in zip(before, definitions(), strict=True):
            assert crd["spec"]["versions"] == wanted["spec"]["versions"]
            assert conditions.is_true(crd, "Established")
            assert conditions.get(crd, "NonStructuralSchema") is None
        await install(here.client, clock=here.clock)
        assert await stored() == before, "nothing is written again"

    backend.run(scenario)


def test_definitions_of_others_are_left_alone(backend: Backend) -> None:
    async def scenario(here: Site) -> None:
        name = "things.test.example"
        theirs = custom("v1")
        await here.client.create(CUSTOM_RESOURCE_DEFINITIONS, definition_of([theirs]))
        try:
            await install(here.client, clock=here.clock, resources=[theirs])
            assert MANAGED_BY not in objects.labels(await here.get(CUSTOM_RESOURCE_DEFINITIONS, name))
            with pytest.raises(CliError, match="already, without version v2: it has v1"):
                await install(here.client, clock=here.clock, resources=[custom("v2")])
        finally:
            await here.client.delete(CUSTOM_RESOURCE_DEFINITIONS, name)
            await here.until_gone(CUSTOM_RESOURCE_DEFINITIONS, name)

    backend.run(scenario)


def test_definitions_of_ours_are_brought_up_to_date(backend: Backend) -> None:
    async def scenario(here: Site) -> None:
        name = "things.test.example"
        try:
            await install(here.client, clock=here.clock, resources=[custom("v1")])
            await install(here.client, clock=here.clock, resources=[custom("v1"), custom("v2")])
            found = await here.get(CUSTOM_RESOURCE_DEFINITIONS, name)
            assert [version["name"] for version in found["spec"]["versions"]] == ["v1", "v2"]
            assert (await here.client.list(custom("v2"))).items == []
        finally:
            await here.client.delete(CUSTOM_RESOURCE_DEFINITIONS, name)
            await here.until_gone(CUSTOM_RESOURCE_DEFINITIONS, name)

    backend.run(scenario)


def custom(version: str) -> Resource:
    return Resource(group="test.example", version=version, kind="Thing", plural="things", custom=True)


def test_the_cluster_gets_what_train_needs(backend: Backend) -> None:
    async def scenario(here: Site) -> None:
        found = (await here.client.list(CLUSTER_TRAINING_RUNTIMES)).items
        assert [objects.name(runtime) for runtime in found] == [objects.name(runtime) for runtime in runtimes()]
        public = await here.client.get(CONFIG_MAPS, "kubeflow-trainer-public", "kubeflow-system")
        assert public["data"]["kubeflow_trainer_version"]

    backend.run(scenario)
