"""The command line of the BuiltinTrainer: upstream's tables of the torchtune part of its torch plugin, and what our own recipes add.

`cases/torchtune.json` holds the inputs and results of torchtune_test.go and of the torchtune cases of torch_test.go and
trainingruntime_test.go, all of them, under upstream's names.
"""

from pathlib import Path
from typing import Any

import pytest

from lightship.meta import codec
from lightship.meta.objects import Obj, copy
from lightship.train.api import NODE
from lightship.train.plugins import FRAMEWORK, plan, torchtune
from tests.train import make

CASES: dict[str, dict[str, Any]] = codec.decode((Path(__file__).parent / "cases" / "torchtune.json").read_bytes())
OWN = [*torchtune.COMMAND, "sft", "dataset.data_dir=/workspace/dataset", "output_dir=/workspace/output"]


def cases(table: str) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("case", CASES[table].values(), ids=CASES[table])


def tuned(trainer: Obj, runtime: str = "torchtune-llama3.2-1b") -> Obj:
    return make.stored(make.job("torchtune-job", runtime=runtime, trainer={"command": ["tune", "run"], **trainer}))


def built(job: Obj, runtime: Obj) -> Obj:
    """The trainer's container; nothing that went in is touched."""
    before = copy(job), copy(runtime)
    jobset = FRAMEWORK.build(job, runtime)[-1].obj
    assert (job, runtime) == before
    found: Obj = jobset["spec"]["replicatedJobs"][0]["template"]["spec"]["template"]["spec"]["containers"][0]
    return found


@cases("model")
def test_model(case: list[str]) -> None:
    assert torchtune.model_of(case[0]) == case[1]


@cases("lora")
def test_lora(case: Any) -> None:
    assert torchtune.wants_lora(case[0]) is case[1]


@cases("qlora")
def test_qlora(case: Any) -> None:
    assert torchtune.wants_qlora(case[0]) is case[1]


@cases("recipe")
def test_recipe_and_config(case: Obj) -> None:
    found = torchtune.choose("torchtune-llama3.2-1b", case["nodes"], case.get("processes"), case["gpus"], case.get("args", []))
    assert list(found) == case["want"]


@cases("overrides")
def test_overrides_of_the_runtime(case: Obj) -> None:
    container = {"name": case["container"], "image": "i", "command": ["output_dir=/out", "tokenizer.path=/tok", "batch_size=32"]}
    runtime = make.runtime(jobs=[make.replicated_job("node", step=case["step"], containers=[container])])
    assert torchtune.overrides(plan.make(make.job(), runtime), only=torchtune.IMMUTABLE) == case["want"]


@cases("command")
def test_command(case: Obj) -> None:
    arguments = ["dtype=fp16", "batch_size=32", "epochs=10", "loss=torchtune.modules.loss.CEWithChunkedOutputLoss"]
    node = {"command": case["runtime_command"], "args": ["runtime"]} if "runtime_command" in case else {}
    runtime = make.runtime(case["runtime"], policy={"numNodes": 100, "torch": {}}, node=node)
    found = built(tuned({"args": arguments, **case["trainer"]}, case["runtime"]), runtime)
    assert (found["command"], found["args"]) == (case["want"], arguments)
    assert [f"{e['name']}={e['value']}" for e in found["env"] if "value" in e] == case["want_env"]
    assert [e["name"] for e in found["env"]] == ["PET_NNODES", "PET_NPROC_PER_NODE", "PET_NODE_RANK"]
    assert found["ports"] == [{"containerPort": 29500}]


@cases("validate")
def test_validation(case: Obj) -> None:
    causes = FRAMEWORK.validate(tuned(case["trainer"], case["runtime"]), make.runtime(case["runtime"]))
    assert [cause.text() for cause in causes] == case["want"]


def test_containers_that_the_runtime_names_get_the_first_node_as_variables() -> None:
    policy = {"numNodes": 1, "torch": {"envInjection": {"targets": [{"jobName": NODE, "containerNames": ["side"]}]}}}
    containers = [{"name": "node", "image": "i"}, {"name": "side", "image": "i"}]
    runtime = make.runtime(policy=policy, jobs=[make.replicated_job("node", step="trainer", containers=containers)])
    jobset = FRAMEWORK.build(tuned({}), runtime)[-1].obj
    node, side = jobset["spec"]["replicatedJobs"][0]["template"]["spec"]["template"]["spec"]["containers"]
    assert {e["name"] for e in side["env"]} - {e["name"] for e in node["env"]} == {"PET_MASTER_ADDR", "PET_MASTER_PORT"}


def test_processes_on_cpus_meet_as_well() -> None:
    found = built(tuned({"resourcesPerNode": {"requests": {"cpu": 2}}}), make.runtime())
    assert found["command"][2] == "--rdzv_endpoint=torchtune-job-node-0-0.torchtune-job:29500"


@pytest.mark.parametrize(
    ("trainer", "want"),
    [
        ({}, []),
        ({"numNodes": 2, "args": ["model.lora_attn_modules=[q_proj]", "model.quantize_base=True"]}, ["--rdzv_endpoint"]),
        ({"numProcPerNode": 2}, ["--rdzv_endpoint"]),
    ],
)
def test_own_recipes_take_any_model_and_any_number_of_nodes(trainer: Obj, want: list[str]) -> None:
    runtime = make.runtime("trl-sft", node={"command": OWN})
    job = tuned(trainer, "trl-sft")
    assert not FRAMEWORK.validate(job, runtime)
    command = built(job, runtime)["command"]
    assert [word.partition("=")[0] for word in command[2:-3]] == want
    assert command[-3:] == OWN[2:]


def test_own_recipes_keep_what_only_the_runtime_says() -> None:
    causes = FRAMEWORK.validate(tuned({"args": ["output_dir=/mine"]}, "trl-sft"), make.runtime("trl-sft", node={"command": OWN}))
    assert [c.field for c in causes] == ["spec.trainer.args[0]"]


def test_other_commands_are_left_alone() -> None:
    job = tuned({"command": ["torchrun"], "args": ["output_dir=x"]})
    assert not FRAMEWORK.validate(job, make.runtime())
    assert built(job, make.runtime())["command"] == ["torchrun"]
