"""The overrides of torchtune that mean something here: one table, and `read`, which refuses everything else by name.

Called by `command`, before anything is loaded, and once more by every rank. Standard library only.
Contract: torchtune 0.6 configuration overrides, as the SDK's TorchTuneConfig writes them.
"""

import difflib
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from .errors import TuneError
from .values import ending, mapping, never, number, one_of, switch, whole, words


class Option(NamedTuple):
    """An override: which setting it sets, how its text is read, and what it means."""

    setting: str
    read: Callable[[str], Any]
    meaning: str


_DATASETS = (
    *("instruct_dataset", "alpaca_dataset", "alpaca_cleaned_dataset", "chat_dataset", "text_completion_dataset"),
    "preference_dataset",
)
_KINDS = one_of("json", "csv", "parquet", "arrow", "text", "xml")
_SCHEDULES = ("get_cosine_schedule_with_warmup", "cosine", "linear", "constant", "constant_with_warmup")

OPTIONS: dict[str, Option] = {
    "output_dir": Option("output", str, "where the result goes"),
    "checkpointer.checkpoint_dir": Option("model", str, "the model to start from, as Hugging Face keeps it"),
    "tokenizer.path": Option("", str, "taken and not used: the tokenizer lies beside the model"),
    "tokenizer.merges_file": Option("", str, "taken and not used, likewise"),
    "tokenizer.max_seq_len": Option("max_length", whole(1), "tokens of an example, at most"),
    "dataset": Option("shape", ending(*_DATASETS), "what the examples are"),
    "dataset.source": Option("data_kind", _KINDS, "what kind of files"),
    "dataset.data_dir": Option("data_directory", str, "a directory of files"),
    "dataset.data_files": Option("data_files", words, "single files"),
    "dataset.split": Option("split", str, "which part, like train or train[:10%]"),
    "dataset.column_map": Option("columns", mapping, "expected name of a column to its real one"),
    "dataset.new_system_prompt": Option("system_prompt", str, "what every conversation begins with"),
    "dataset.train_on_input": Option("train_on_input", switch, "learn prompts, too"),
    "dataset.packed": Option("packed", switch, "several examples in one row of tokens"),
    "shuffle": Option("shuffle", switch, "another order in each epoch"),
    "batch_size": Option("batch_size", whole(1), "examples per process and step"),
    "epochs": Option("epochs", whole(1), "passes over the examples"),
    "max_steps_per_epoch": Option("max_steps_per_epoch", whole(1), "end epochs early"),
    "gradient_accumulation_steps": Option("accumulation", whole(1), "batches per step"),
    "seed": Option("seed", whole(0), "of everything random"),
    "dtype": Option("dtype", one_of("bf16", "fp32"), "type of the weights"),
    "device": Option("device", one_of("cpu", "cuda", "mps"), "where to compute"),
    "optimizer.lr": Option("learning_rate", number, "learning rate"),
    "optimizer.weight_decay": Option("weight_decay", number, "weight decay of AdamW"),
    "lr_scheduler": Option("schedule", ending(*_SCHEDULES), "how the learning rate goes on"),
    "lr_scheduler.num_warmup_steps": Option("warmup_steps", whole(0), "steps until the learning rate is reached"),
    "clip_grad_norm": Option("clip_norm", number, "longest gradient"),
    "loss": Option("loss", ending("CEWithChunkedOutputLoss", "CrossEntropyLoss", "DPOLoss", "RSOLoss"), "loss function"),
    "loss.beta": Option("beta", number, "DPO: how much leaving the reference model costs"),
    "loss.label_smoothing": Option("label_smoothing", number, "DPO: how many preferences may be wrong"),
    "enable_activation_checkpointing": Option("checkpointing", switch, "less memory, more time"),
    "compile": Option("compiled", switch, "torch.compile the model"),
    "log_every_n_steps": Option("log_every", whole(1), "how often to say how it goes"),
    "resume_from_checkpoint": Option("resume", switch, "go on from the last checkpoint in output_dir"),
    "save_adapter_weights_only": Option("adapter_only", switch, "False: the merged model, too, in output_dir/merged"),
    "model.lora_attn_modules": Option("lora_modules", words, "LoRA on which layers of attention"),
    "model.apply_lora_to_mlp": Option("lora_mlp", switch, "LoRA on the MLP of each layer"),
    "model.apply_lora_to_output": Option("", never, "LoRA on the model's output projection, whose weights TRL reads without an adapter"),
    "model.lora_rank": Option("rank", whole(1), "rank of the adapter"),
    "model.lora_alpha": Option("alpha", number, "its scale"),
    "model.lora_dropout": Option("dropout", number, "its dropout"),
    "model.quantize_base": Option("quantize", switch, "QLoRA: four bits a weight, on a GPU"),
    "model.use_dora": Option("dora", switch, "DoRA instead of LoRA"),
}
"""All that can be overridden; a later word wins over an earlier one."""
ADAPTER = "model."
"""Beginning of the names that only say how adapters are made."""


def read(overrides: Iterable[str]) -> dict[str, Any]:
    """Fields of `Settings` that the words set. Raises `TuneError` that names the word."""
    found: dict[str, Any] = {}
    for override in overrides:
        name, equals, text = override.partition("=")
        option = OPTIONS.get(name)
        if not equals or option is None:
            raise TuneError(_unknown(name, bool(equals)))
        try:
            value = option.read(text)
        except ValueError as error:
            raise TuneError(f'"{override}": {name} ({option.meaning}) must be {error}') from None
        if option.setting:
            found[option.setting] = value
    return found


def _unknown(name: str, is_override: bool) -> str:
    if not is_override:
        return f'"{name}" is no override: they are written name=value'
    near = difflib.get_close_matches(name, OPTIONS, n=1)
    meant = f' Did you mean "{near[0]}"?' if near else ""
    return f'"{name}" is not an option of this trainer.{meant} Known are: {", ".join(sorted(OPTIONS))}'
