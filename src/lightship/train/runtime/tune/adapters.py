"""Which layers of a model LoRA trains: torchtune's names for them, found in whatever architecture the model has.

Called by `fitting`. A layer is known by the last part of its name; what no rule knows is asked for by its own name.
"""

from collections.abc import Iterable
from typing import Any

import torch
from peft import LoraConfig
from transformers.pytorch_utils import Conv1D

from .errors import TuneError
from .settings import Settings

_NAMES = {
    "q_proj": ("q_proj", "query", "query_key_value", "qkv_proj", "Wqkv", "c_attn"),
    "k_proj": ("k_proj", "key", "query_key_value", "qkv_proj", "Wqkv", "c_attn"),
    "v_proj": ("v_proj", "value", "query_key_value", "qkv_proj", "Wqkv", "c_attn"),
    "output_proj": ("o_proj", "out_proj", "output_proj", "dense", "attn.c_proj"),
}
_MLP = (
    *("gate_proj", "up_proj", "down_proj", "gate_up_proj", "fc1", "fc2", "c_fc", "mlp.c_proj"),
    *("dense_h_to_4h", "dense_4h_to_h", "w1", "w2", "w3"),
)
"""What the layers of an MLP are called in the common families of models; a dot: the name of the layer above as well."""


def config(settings: Settings, model: Any) -> LoraConfig:
    """The adapter of a run. Raises `TuneError` when the model has none of the layers."""
    return LoraConfig(
        r=settings.rank,
        lora_alpha=settings.alpha,
        lora_dropout=settings.dropout,
        use_dora=settings.dora,
        target_modules=sorted(targets(settings, _layers(model))),
        task_type="CAUSAL_LM",
    )


def targets(settings: Settings, layers: Iterable[str]) -> set[str]:
    """Names of layers, as PEFT takes them: ends of full names."""
    names = list(layers)
    wanted: set[str] = set()
    for module in settings.lora_modules:
        found = _found(_NAMES.get(module, (module,)), names)
        if not found:
            known = ", ".join(sorted({name.rpartition(".")[2] for name in names}))
            raise TuneError(f"model.lora_attn_modules: the model has no {module}; its layers are {known}")
        wanted |= found
    if settings.lora_mlp:
        wanted |= _found(_MLP, names)
    return wanted


def _found(candidates: Iterable[str], names: list[str]) -> set[str]:
    return {candidate for candidate in candidates if any(f".{name}".endswith(f".{candidate}") for name in names)}


def _layers(model: Any) -> list[str]:
    return [name for name, layer in model.named_modules() if isinstance(layer, torch.nn.Linear | Conv1D)]
