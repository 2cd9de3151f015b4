"""Frameworks of other packages: the package of docs/frameworks.md, installed and run, and what broken ones may and may not do."""

import logging
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lightship.kinds import CONFIG_MAPS, EVENTS
from lightship.meta import entrypoints, objects
from lightship.meta.entrypoints import EntryPoint
from lightship.meta.objects import Obj
from lightship.train.api import CLUSTER_TRAINING_RUNTIMES, FRAMEWORK_LABEL
from lightship.train.bootstrap import bootstrap
from lightship.train.errors import PlanError
from lightship.train.plugins import FRAMEWORK, PLUGINS, Framework
from lightship.train.plugins.outside import Outside, runtimes
from tests.train import make, site
from tests.train.site import Site

DOC = Path(__file__).parent.parent.parent / "docs" / "frameworks.md"
RING = EntryPoint("ring", "lightship_ring:PLUGIN", "lightship-ring", "1.0")
UV = shutil.which("uv", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}") or ""


def package(directory: Path) -> Path:
    """The package that the page shows, as files."""
    for name, text in re.findall(r"`([\w.]+)`\n\n```\w+\n(.*?)```", DOC.read_text(), re.DOTALL):
        (directory / name).write_text(text)
    return directory


@pytest.fixture
def ring(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[EntryPoint]:
    monkeypatch.syspath_prepend(package(tmp_path))
    yield RING
    sys.modules.pop("lightship_ring", None)


def framework(*points: EntryPoint) -> Framework:
    """Ours, with these packages installed."""
    return Framework([Outside(lambda: points) if isinstance(p, Outside) else p for p in PLUGINS])


def broken(directory: Path, monkeypatch: pytest.MonkeyPatch, body: str) -> EntryPoint:
    name = f"broken_{directory.name.replace('-', '_')}"
    (directory / f"{name}.py").write_text(f"class Broken:\n    name = 'Broken'\n{body}\n\nPLUGIN = Broken()\n")
    monkeypatch.syspath_prepend(directory)
    return EntryPoint("ring", f"{name}:PLUGIN", "acme", "1.0")


def labelled(framework: str = "ring") -> Obj:
    return make.runtime("ring-distributed", policy={"numNodes": 2}, labels={FRAMEWORK_LABEL: framework})


def job() -> Obj:
    return make.stored(make.job(runtime="ring-distributed", trainer={"numNodes": 3}))


def test_the_page_is_short() -> None:
    assert len(DOC.read_text().splitlines()) < 60


def test_it_sees_the_plans_of_its_own_framework(ring: EntryPoint) -> None:
    (jobset,) = framework(ring).build(job(), labelled())
    node = jobset.obj["spec"]["replicatedJobs"][0]["template"]["spec"]["template"]["spec"]["containers"][0]
    assert node["env"] == [
        {"name": "RING_PEERS", "value": ",".join(f"mnist-node-0-{i}.mnist:29500" for i in range(3))},
        {"name": "RING_INDEX", "valueFrom": make.INDEX_FIELD},
    ]
    assert framework(ring).build(job(), labelled("mesh")) == FRAMEWORK.build(job(), labelled("mesh")), "others are none of its business"


def test_its_runtimes_are_written_once_for_each_version(ring: EntryPoint) -> None:
    async def scenario(s: Site) -> None:
        await bootstrap(s.client, [ring])
        found = await s.client.get(CLUSTER_TRAINING_RUNTIMES, "ring-distributed")
        assert objects.labels(found) == {FRAMEWORK_LABEL: "ring"}
        await s.client.delete(CLUSTER_TRAINING_RUNTIMES, "ring-distributed")
        await bootstrap(s.client, [ring])
        assert await s.client.get_or_none(CLUSTER_TRAINING_RUNTIMES, "ring-distributed") is None, "what an administrator deleted stays away"
        await bootstrap(s.client, [ring._replace(version="1.1")])
        assert await s.client.get_or_none(CLUSTER_TRAINING_RUNTIMES, "ring-distributed") is not None
        kept = await s.client.get(CONFIG_MAPS, "lightship-frameworks", "kubeflow-system")
        assert kept["data"] == {"ring": "lightship-ring 1.1"}

    site.run(scenario)


def test_nothing_is_asked_of_a_cluster_when_nobody_brought_any() -> None:
    async def scenario(s: Site) -> None:
        await bootstrap(s.client, [])
        assert await s.client.get_or_none(CONFIG_MAPS, "lightship-frameworks", "kubeflow-system") is None

    site.run(scenario)


@pytest.mark.parametrize(
    ("body", "want"),
    [
        ("    import no_such_thing", r"cannot be loaded: ModuleNotFoundError: No module named 'no_such_thing'; mend or uninstall"),
        ("    def enforce_ml_policy(self, plan):\n        plan.nope()", r"failed in enforce_ml_policy: AttributeError: .*nope"),
        ("    def build(self, plan):\n        yield 1 / 0", r"failed in build: ZeroDivisionError: division by zero"),
        ("", "is no plugin"),
    ],
)
def test_a_broken_plugin_is_told_by_its_name(body: str, want: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    point = broken(tmp_path, monkeypatch, body)
    with pytest.raises(PlanError, match=r'"ring" of package acme 1\.0.* ' + want):
        framework(point).build(job(), labelled())
    assert framework(point).build(job(), make.runtime()) == FRAMEWORK.build(job(), make.runtime()), "jobs of others go on"


def test_at_the_door_it_is_a_refusal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    point = broken(tmp_path, monkeypatch, "    def validate(self, plan):\n        raise KeyError('lr')")
    (cause,) = framework(point).validate(job(), labelled())
    assert (cause.field, cause.message.partition("failed")[2]) == ("spec.runtimeRef", " in validate: KeyError: 'lr'")


def test_broken_runtimes_hold_up_nobody(
    ring: EntryPoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    point = broken(tmp_path, monkeypatch, "    def runtimes(self):\n        return [{'kind': 'Pod'}]")._replace(name="pods")

    async def scenario(s: Site) -> None:
        with caplog.at_level(logging.ERROR):
            await bootstrap(s.client, [point, ring])
        await s.client.get(CLUSTER_TRAINING_RUNTIMES, "ring-distributed")
        kept = await s.client.get(CONFIG_MAPS, "lightship-frameworks", "kubeflow-system")
        assert kept["data"] == {"ring": "lightship-ring 1.0"}, "the broken one is tried again at the next start"

    site.run(scenario)
    assert "framework pods (acme 1.0) could not be made, others go on" in caplog.text


def test_a_plugin_that_fails_later_is_an_event(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    point = broken(tmp_path, monkeypatch, "    def enforce_ml_policy(self, plan):\n        raise OSError('no licence')")
    monkeypatch.setattr(entrypoints, "find", lambda group: (point,))

    async def scenario(s: Site) -> None:
        await s.client.create(CLUSTER_TRAINING_RUNTIMES, labelled())
        async with s.controllers():
            await s.submit(runtime="ring-distributed")

            async def told() -> Obj | None:
                listed = (await s.client.list(EVENTS, "default")).items
                return next((e for e in listed if e["reason"] == "TrainJobResourcesCreationFailed"), None)

            event = await s.until(told)
        assert "failed in enforce_ml_policy: OSError: no licence" in event["message"]

    site.run(scenario)


def test_runtimes_are_none_where_a_plugin_has_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    point = broken(tmp_path, monkeypatch, "    def validate(self, plan):\n        return []")
    assert runtimes(point) == []


@pytest.fixture
def installed(tmp_path: Path) -> Path:
    """A directory into which the page's package is installed, built of its source without a network."""
    source, target = tmp_path / "source", tmp_path / "site"
    source.mkdir()
    package(source)
    install = [UV, "pip", "install", "--quiet", "--offline", "--no-build-isolation", "--python", sys.executable, "--target", target, source]
    subprocess.run(list(map(str, install)), check=True, timeout=120)
    return target


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_the_page_works(installed: Path, tmp_path: Path) -> None:
    """Installed, listed by the SDK, and run on two nodes, by a platform that knows nothing of it."""
    from kubeflow.common.types import KubernetesBackendConfig
    from kubeflow.trainer import TrainerClient
    from kubeflow.trainer import options as o
    from kubeflow.trainer.types.types import CustomTrainerContainer

    where = {**os.environ, "PYTHONPATH": str(installed), "LIGHTSHIP_HOME": str(tmp_path / "home")}

    def lightship(*words: str) -> str:
        command = [sys.executable, "-m", "lightship", *words]
        return subprocess.run(command, env=where, check=True, capture_output=True, text=True, timeout=120).stdout

    lightship("up", "--port", "0")
    try:
        sdk: Any = TrainerClient(KubernetesBackendConfig(config_file=str(tmp_path / "home" / "default" / "kubeconfig")))
        assert "ring-distributed" in [r.name for r in sdk.list_runtimes()]
        assert "lightship-ring 1.0" in lightship("images", "list")
        options = [o.TrainerCommand(["bash", "-c", "echo $RING_INDEX of $RING_PEERS"])]
        name = sdk.train(runtime="ring-distributed", trainer=CustomTrainerContainer(image="acme/ring:1"), options=options)
        sdk.wait_for_job_status(name, timeout=60, polling_interval=1)
        peers = ",".join(f"{name}-node-0-{i}.{name}:29500" for i in (0, 1))
        for node in (0, 1):
            assert list(sdk.get_job_logs(name, step=f"node-{node}")) == [f"{node} of {peers}"]
    finally:
        lightship("down")
