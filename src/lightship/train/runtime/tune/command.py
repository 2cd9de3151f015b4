"""The command line of `tune`: which recipe, which processes, which overrides, all checked before anything is loaded.

Standard library only. `launch` calls `parse` and runs what comes of it; so does every rank, with the same words.
Contract: torchtune 0.6 `tune run [torchrun options] RECIPE [--config CONFIG] [name=value ...]`, `tune ls`.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from . import options
from .errors import TuneError
from .options import ADAPTER
from .settings import Settings

RECIPES: dict[str, tuple[str, str, bool]] = {
    "full_finetune_single_device": ("sft", "full", True),
    "full_finetune_distributed": ("sft", "full", False),
    "lora_finetune_single_device": ("sft", "lora", True),
    "lora_finetune_distributed": ("sft", "lora", False),
    "full_dpo_distributed": ("dpo", "full", False),
    "lora_dpo_single_device": ("dpo", "lora", True),
    "lora_dpo_distributed": ("dpo", "lora", False),
    "sft": ("sft", "", False),
    "dpo": ("dpo", "", False),
}
"""Recipe → what it is, how weights are trained (empty: as the overrides say), and whether it is for one process alone."""
GROUP_OPTIONS = ("nnodes", "nproc_per_node", "node_rank", "master_addr", "master_port", "rdzv_endpoint", "rdzv_backend", "rdzv_id")
"""Options of torchrun that mean something here; each may be given as `PET_<NAME>` in the environment, too."""
_CONFIG = re.compile(r"[a-z0-9_.]+/[A-Za-z0-9_.]+?_(full|lora|qlora)(_dpo)?(_single_device|_multinode)?")
_DATASET = "dataset"
"""Where the initializer puts examples, beside the model."""


@dataclass(frozen=True)
class Run:
    """A `tune run` that makes sense."""

    settings: Settings
    group: dict[str, str] = field(default_factory=dict)
    """What is said of nodes and processes, by torchrun's names."""
    alone: bool = False
    """A recipe for one process."""


def parse(arguments: Sequence[str], environment: Mapping[str, str]) -> Run:
    """What `tune run ...` asks for. Raises `TuneError`."""
    if not arguments or arguments[0] != "run":
        raise TuneError(f"this tune knows `tune run RECIPE [name=value ...]` and `tune ls`, not {' '.join(arguments[:1]) or 'nothing'}")
    group, recipe, config, overrides = _split(arguments[1:])
    if recipe not in RECIPES:
        raise TuneError(f'"{recipe}" is no recipe of this trainer; there are {", ".join(RECIPES)}')
    known = {name: environment[f"PET_{name.upper()}"] for name in GROUP_OPTIONS if environment.get(f"PET_{name.upper()}")}
    return Run(_settings(recipe, config, overrides), {**known, **group}, RECIPES[recipe][2])


def _split(arguments: Sequence[str]) -> tuple[dict[str, str], str, str, list[str]]:
    """Options of the group, the recipe, the configuration, the overrides."""
    group: dict[str, str] = {}
    recipe, config, overrides, rest = "", "", [], list(arguments)
    while rest:
        word = rest.pop(0)
        if word.startswith("--"):
            name, equals, value = word.removeprefix("--").partition("=")
            name = name.replace("-", "_")
            if name not in (*GROUP_OPTIONS, "config"):
                raise TuneError(f'"{word}" is no option of this tune; there are --config, {", ".join("--" + o for o in GROUP_OPTIONS)}')
            if not equals:
                if not rest:
                    raise TuneError(f'"{word}" needs a value')
                value = rest.pop(0)
            if name == "config":
                config = value
            else:
                group[name] = value
        elif not recipe and "=" not in word:
            recipe = word
        else:
            overrides.append(word)
    return group, recipe, config, overrides


def _settings(recipe: str, config: str, overrides: Sequence[str]) -> Settings:
    task, method, _ = RECIPES[recipe]
    said = options.read(overrides)
    configured = _CONFIG.fullmatch(config)
    if config and configured is None:
        raise TuneError(f'configuration "{config}" is not of the form family/size_full, _lora or _qlora, as in llama3_2/1B_full')
    adapting = sorted({word.partition("=")[0] for word in overrides if word.startswith(ADAPTER)})
    if method == "full" and adapting:
        raise TuneError(f"{recipe} trains all weights, {', '.join(adapting)} belong to a LoRA recipe: leave them out, or take one")
    lora = method or ("lora" if adapting else "full")
    if lora == "lora" and not said.get("dora") and (said.get("quantize") or (configured and configured[1] == "qlora")):
        lora = "qlora"
    _check_loss(task, said)
    return Settings(**{**_places(said), "recipe": task, "method": lora})


def _places(said: dict[str, Any]) -> dict[str, Any]:
    """Where the model and the examples are; what lies nowhere is told now."""
    model = Path(said.get("model", ""))
    if not said.get("model") or not (model / "config.json").is_file():
        raise TuneError(
            f"there is no model in {said.get('model') or 'checkpointer.checkpoint_dir, which nothing sets'} (no config.json): "
            "give the TrainJob an initializer.model, or put one there"
        )
    if not said.get("output"):
        raise TuneError("output_dir is not set: the runtime's command should say where the result goes")
    if said.get("data_files"):
        missing = [name for name in said["data_files"] if not Path(name).exists() and "*" not in name]
        if missing:
            raise TuneError(f"dataset.data_files: there is no {missing[0]}")
        return said
    directory = _data_directory(said.get("data_directory", ""), model.parent / _DATASET)
    return {**said, "data_directory": str(directory)}


def _data_directory(asked: str, usual: Path) -> Path:
    """The asked-for directory, or the usual one around it: the SDK guesses paths in there that only hold for Hugging Face's own layout."""
    places = [Path(asked)] if asked else [usual]
    if usual in places[0].parents:
        places.append(usual)
    for place in places:
        if place.is_dir() and any(found.is_file() for found in place.rglob("*")):
            return place
    looked = " or ".join(map(str, places))
    raise TuneError(f"there are no examples in {looked}: give the TrainJob an initializer.dataset, or put files there")


def _check_loss(task: str, said: dict[str, Any]) -> None:
    losses = {"sft": ("", "CEWithChunkedOutputLoss", "CrossEntropyLoss"), "dpo": ("", "DPOLoss", "RSOLoss")}[task]
    if said.get("loss", "") not in losses:
        raise TuneError(f"loss={said['loss']} is not for {task}, which has {' and '.join(losses[1:])}")
