"""The command line of `tune`: what the SDK sends is understood, anything else is refused by name, and nothing is loaded for that."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from lightship.train.runtime.tune import command, launch
from lightship.train.runtime.tune.errors import TuneError
from lightship.train.runtime.tune.options import OPTIONS
from tests.train import tinylm

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace as the initializers leave it."""
    folder = tmp_path_factory.mktemp("workspace")
    tinylm.model(folder / "model")
    tinylm.alpaca(folder / "dataset")
    return folder


def parse(place: Path, *words: str, recipe: str = "sft", **environment: str) -> command.Run:
    said = [f"checkpointer.checkpoint_dir={place}/model", f"output_dir={place}/output", *words]
    return command.parse(["run", recipe, *said], environment)


def sdk_arguments(**config: Any) -> list[str]:
    from kubeflow.trainer import TorchTuneConfig
    from kubeflow.trainer.backends.kubernetes import utils

    arguments: list[str] = utils.get_args_using_torchtune_config(TorchTuneConfig(**config))
    return arguments


@pytest.mark.slow
def test_everything_that_the_sdk_can_say_is_understood(place: Path) -> None:
    from kubeflow.trainer import DataFormat, DataType, LoraConfig, Loss, TorchTuneInstructDataset

    lora = LoraConfig(True, False, ["q_proj", "k_proj"], 4, 8, 0.1, quantize_base=True, use_dora=False)
    data = TorchTuneInstructDataset(DataFormat.JSON, "train[:95%]", True, "Be kind, = {not}.", {"input": "incorrect", "output": "correct"})
    words = sdk_arguments(
        dtype=DataType.BF16,
        batch_size=10,
        epochs=3,
        loss=Loss.CEWithChunkedOutputLoss,
        peft_config=lora,
        dataset_preprocess_config=data,
    )
    found = parse(place, *words).settings
    assert (found.dtype, found.batch_size, found.epochs, found.loss) == ("bf16", 10, 3, "CEWithChunkedOutputLoss")
    assert (found.shape, found.data_kind, found.split) == ("instruct_dataset", "json", "train[:95%]")
    assert (found.train_on_input, found.system_prompt) == (True, "Be kind, = {not}.")
    assert found.columns == {"input": "incorrect", "output": "correct"}
    assert (found.method, found.lora_modules, found.lora_mlp) == ("qlora", ("q_proj", "k_proj"), True)
    assert (found.rank, found.alpha, found.dropout, found.quantize, found.dora) == (4, 8, 0.1, True, False)


@pytest.mark.parametrize(
    ("recipe", "words", "want"),
    [
        ("full_finetune_distributed", ["--config", "llama3_2/1B_full"], ("sft", "full")),
        ("full_finetune_single_device", ["--config=qwen2_5/1.5B_full_single_device"], ("sft", "full")),
        ("lora_finetune_distributed", ["--config", "llama3_2/3B_lora", "model.lora_rank=2"], ("sft", "lora")),
        ("lora_finetune_single_device", ["--config", "llama3_2/1B_qlora_single_device"], ("sft", "qlora")),
        ("lora_finetune_distributed", ["model.quantize_base=True", "model.use_dora=True"], ("sft", "lora")),
        ("sft", [], ("sft", "full")),
        ("sft", ["model.lora_attn_modules=['q_proj', 'v_proj']"], ("sft", "lora")),
        ("dpo", ["loss=torchtune.rlhf.loss.DPOLoss"], ("dpo", "full")),
        ("lora_dpo_distributed", ["--config", "llama3_1/8B_lora_dpo"], ("dpo", "lora")),
    ],
)
def test_recipes_and_configurations(place: Path, recipe: str, words: list[str], want: tuple[str, str]) -> None:
    found = parse(place, *words, recipe=recipe).settings
    assert (found.recipe, found.method) == want


@pytest.mark.parametrize(
    ("words", "want"),
    [
        (
            ["optimizr.lr=1"],
            '"optimizr.lr" is not an option of this trainer. Did you mean "optimizer.lr"? Known are: batch_size, c',
        ),
        (["profiler.enabled=True"], '"profiler.enabled" is not an option of this trainer. Known'),
        (["~optimizer"], '"~optimizer" is no override: they are written name=value'),
        (["batch_size=0"], '"batch_size=0": batch_size (examples per process and step) must be a whole number of at least 1'),
        (["optimizer.lr=fast"], '"optimizer.lr=fast": optimizer.lr (learning rate) must be a number of at least 0'),
        (["dtype=fp16"], "must be one of bf16, fp32"),
        (["model.quantize_base=yes"], "must be True or False"),
        (["model.apply_lora_to_output=True"], "whose weights TRL reads without an adapter) must be False here"),
        (["dataset.column_map=x"], "must be a map like {input: question, output: answer}"),
        (["--nproc-per-cluster=2"], '"--nproc-per-cluster=2" is no option of this tune; there are --config, --nnodes'),
        (["--config"], '"--config" needs a value'),
        (["--config=llama"], 'configuration "llama" is not of the form family/size_full'),
        (["loss=torchtune.rlhf.loss.DPOLoss"], "loss=DPOLoss is not for sft, which has CEWithChunkedOutputLoss and CrossEntropyLoss"),
        (["dataset.data_files=/nowhere/a.json"], "dataset.data_files: there is no /nowhere/a.json"),
        (
            ["checkpointer.checkpoint_dir=/nowhere"],
            "there is no model in /nowhere (no config.json): give the TrainJob an ",
        ),
        (["output_dir="], "output_dir is not set"),
    ],
)
def test_what_is_wrong_is_told_by_name(place: Path, words: list[str], want: str) -> None:
    with pytest.raises(TuneError) as error:
        parse(place, *words)
    assert want in str(error.value)


def test_recipes_that_are_none(place: Path) -> None:
    with pytest.raises(TuneError, match='"qat_distributed" is no recipe of this trainer; there are full_finetune_single_device'):
        parse(place, recipe="qat_distributed")
    with pytest.raises(TuneError, match=r"full_finetune_distributed trains all weights, model\.lora_rank belong to a LoRA recipe"):
        parse(place, "model.lora_rank=8", recipe="full_finetune_distributed")
    with pytest.raises(TuneError, match="not download"):
        command.parse(["download", "model"], {})


def test_examples_are_looked_for_beside_the_model(place: Path, tmp_path: Path) -> None:
    usual = str(place / "dataset")
    assert parse(place).settings.data_directory == usual
    assert parse(place, f"dataset.data_dir={place}/dataset/data").settings.data_directory == usual, "the SDK's guess at a folder"
    other = tinylm.alpaca(tmp_path / "other")
    assert parse(place, f"dataset.data_dir={other}").settings.data_directory == str(other)
    with pytest.raises(TuneError, match="there are no examples in /nowhere: give"):
        parse(place, "dataset.data_dir=/nowhere")
    model = tinylm.model(tmp_path / "alone")
    with pytest.raises(TuneError, match=r"there are no examples in .*/dataset: give the TrainJob an initializer\.dataset"):
        command.parse(["run", "sft", f"checkpointer.checkpoint_dir={model}", "output_dir=x"], {})


PET = {"PET_NNODES": "2", "PET_NPROC_PER_NODE": "1", "PET_NODE_RANK": "1"}


@pytest.mark.parametrize(
    ("words", "environment", "gpus", "want"),
    [
        ([], {}, 0, ({}, [])),
        ([], {"PET_NPROC_PER_NODE": "auto"}, 1, ({}, [])),
        (["--rdzv_endpoint=localhost:29500"], {}, 0, ({}, [])),
        (
            ["--rdzv_endpoint=a-node-0-0.a:29511"],
            PET,
            0,
            (
                {
                    "RANK": "1",
                    "WORLD_SIZE": "2",
                    "LOCAL_RANK": "0",
                    "LOCAL_WORLD_SIZE": "1",
                    "MASTER_ADDR": "a-node-0-0.a",
                    "MASTER_PORT": "29511",
                },
                [],
            ),
        ),
        (
            ["--rdzv_endpoint", "a:1"],
            {**PET, "PET_NPROC_PER_NODE": "auto"},
            4,
            ({}, ["torchrun", "--nnodes=2", "--nproc-per-node=4", "--node-rank=1", "--master-addr=a", "--master-port=1"]),
        ),
        (
            ["--nproc_per_node", "2"],
            {},
            0,
            ({}, ["torchrun", "--nnodes=1", "--nproc-per-node=2", "--node-rank=0", "--master-addr=127.0.0.1", "--master-port=29500"]),
        ),
    ],
)
def test_ranks(place: Path, words: list[str], environment: dict[str, str], gpus: int, want: tuple[dict[str, str], list[str]]) -> None:
    assert launch.plan(parse(place, *words, **environment), gpus) == want


def test_a_recipe_for_one_process_is_one_process(place: Path) -> None:
    assert launch.plan(parse(place, recipe="full_finetune_single_device", **PET), 8) == ({}, [])


def test_gpus() -> None:
    assert [launch.gpus({"CUDA_VISIBLE_DEVICES": text}) for text in ("", "-1", "0", "0,3", "GPU-1, GPU-2")] == [0, 0, 1, 2, 2]


@pytest.mark.slow
def test_the_program_says_what_is_wrong_in_one_line(place: Path) -> None:
    def tune(*words: str) -> tuple[int, str, str]:
        done = subprocess.run([sys.executable, "-m", "lightship.train.runtime.tune", *words], capture_output=True, text=True, check=False)
        return done.returncode, done.stdout, done.stderr

    assert tune("ls") == (0, "".join(f"{recipe}\n" for recipe in command.RECIPES), "")
    code, out, said = tune("run", "sft", "batch=3")
    assert (code, out) == (2, "")
    assert said.startswith('tune: "batch" is not an option of this trainer.')
    assert said.count("\n") == 1
    code, _, said = tune("run", "sft", f"checkpointer.checkpoint_dir={place}/model", "output_dir=/x", "model.quantize_base=True")
    assert (code, said) == (2, f"tune: {launch.NO_GPU}\n")


def test_every_option_is_explained() -> None:
    doc = (Path(__file__).parents[2] / "docs" / "training.md").read_text()
    assert [name for name in (*OPTIONS, *command.RECIPES) if f"`{name}`" not in doc] == []
