"""Docs and examples say what the code does."""

import inspect
import re
import shlex
from pathlib import Path

import pytest
import yaml

from lightship.builtin.api import JOB_SETS
from lightship.meta.objects import Obj
from lightship.train import cli
from lightship.train.api import RESOURCES, TRAIN_JOBS, names
from lightship.train.bootstrap import bootstrap, runtimes
from lightship.train.plugins import torch, xgboost
from lightship.train.runtime.digits import train_digits
from tests.train import make, site
from tests.train.site import Site
from tests.train.test_build import build, environment
from tests.train.test_cli import parse

ROOT = Path(__file__).parents[2]
ROOM = ROOT / "src" / "lightship" / "train"
DOC = (ROOT / "docs" / "train.md").read_text()
EXAMPLES = sorted((ROOT / "examples" / "train").glob("*.yaml"))


def test_every_name_of_the_contract_is_explained() -> None:
    jax = environment(build(make.job(trainer={}), make.runtime(policy={"jax": {}})))
    words = {
        *(names.SUSPENDED, names.COMPLETE, names.FAILED, names.RESUMED, names.DEADLINE_EXCEEDED, names.RUNTIME_NOT_SUPPORTED),
        *(names.RESOURCES_CREATION_FAILED, names.SNAPSHOT_SUFFIX, names.MULTIKUEUE),
        *(names.ANCESTOR_LABEL, names.FRAMEWORK_LABEL, names.SUPPORT_LABEL, names.WEBHOOK_LABEL),
        *(names.DATASET_INITIALIZER, names.MODEL_INITIALIZER, *torch.RESERVED, *xgboost.RESERVED, *jax),
        *(r["metadata"]["name"] for r in runtimes()),
        *TRAIN_JOBS.schema["properties"]["spec"]["properties"],  # type: ignore[index]  # there is a schema
        *TRAIN_JOBS.schema["properties"]["spec"]["properties"]["trainer"]["properties"],  # type: ignore[index]  # there is a schema
    }
    assert sorted(word for word in words if word not in DOC) == []


@pytest.mark.parametrize(
    "verb", ["list", "runtimes", "get x", "watch x", "history", "logs x", "suspend x", "resume x", "delete x", "describe x"]
)
def test_every_verb_is_explained(verb: str) -> None:
    name, *rest = verb.split()
    assert parse(name, *rest).do.__module__.startswith(cli.__name__)
    assert re.search(rf"lightship train {name}|/ `{name} ", DOC)


@pytest.mark.parametrize("page", ["training.md", "tutorial.md"])
def test_the_commands_that_are_printed_are_understood(page: str) -> None:
    printed = re.findall(r"^ *lightship train (.+)$", (ROOT / "docs" / page).read_text(), re.MULTILINE)
    assert printed
    for words in (shlex.split(line, comments=True) for line in printed):
        assert parse(*(["run"] if words[0].endswith(".py") else []), *words).do.__module__.startswith(cli.__name__)


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda p: p.name)
def test_the_examples_make_jobsets(path: Path) -> None:
    by_kind = {r.kind: r for r in RESOURCES}
    found: list[Obj] = list(yaml.safe_load_all(path.read_text()))
    jobs = [obj["metadata"]["name"] for obj in found if obj["kind"] == "TrainJob"]

    async def scenario(s: Site) -> None:
        await bootstrap(s.client)
        for obj in found:
            resource = by_kind[obj["kind"]]
            placed = {**obj, "metadata": {**obj["metadata"], **({"namespace": "default"} if resource.namespaced else {})}}
            await s.client.create(resource, placed)
        async with s.controllers():
            await s.settle()
            made = (await s.client.list(JOB_SETS, "default")).items
            assert [jobset["metadata"]["name"] for jobset in made] == jobs

    assert jobs
    site.run(scenario)


def test_the_readmes_door_to_end_names_functions_that_exist() -> None:
    text = (ROOM / "README.md").read_text()
    door = text[text.index("## Door to end") : text.index("## Plugins")]
    code = "".join(path.read_text() for path in [*ROOM.rglob("*.py"), *(ROOM.parent / "client").glob("*.py")])
    steps = [name.rsplit(".", 1)[-1] for name in re.findall(r"`([\w.]+)`", door)]
    assert steps
    assert [step for step in steps if not re.search(rf"def {step}\(", code)] == []


def test_the_demo_function_survives_the_sdks_shell() -> None:
    source = inspect.getsource(train_digits)
    assert not set("$`\\") & set(source), "the SDK's heredoc expands these"
    assert "\nEOM\n" not in source
    assert list(inspect.signature(train_digits).parameters) == ["epochs", "batch_size", "learning_rate", "seed", "output"]
