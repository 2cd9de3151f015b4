"""The training itself: settings to TRL's trainer, and its result to the output directory in Hugging Face's format.

Called by `rank` in every process. What several processes do together is accelerate's; progress reaches the TrainJob through the callback
that transformers brings. Weights are in `dtype` altogether, as with torchtune, except those of adapters.
"""

import gc
import os
from pathlib import Path
from typing import Any

import datasets
import torch
import torch.distributed as dist
from accelerate import PartialState
from transformers import AutoModelForCausalLM, AutoTokenizer, BitsAndBytesConfig
from transformers.trainer_utils import get_last_checkpoint
from transformers.utils import is_bitsandbytes_available
from transformers.utils import logging as transformers_logging
from trl import DPOConfig, DPOTrainer, SFTConfig, SFTTrainer

from . import adapters, data
from .errors import TuneError
from .settings import Settings

_RATES = {("sft", "full"): 2e-5, ("dpo", "full"): 1e-6, ("sft", "lora"): 3e-4, ("dpo", "lora"): 5e-6}
"""(what, how) → learning rate when none is asked for."""
_CHECKPOINTS = "LIGHTSHIP_CHECKPOINT_DIR"
"""Where a TrainJob that is to survive keeps checkpoints: saved after each epoch and when the pod is told to end, and gone on from."""
_SCHEDULES = {"get_cosine_schedule_with_warmup": "cosine"}


def fit(settings: Settings) -> None:
    """Train, and save. Raises `TuneError`."""
    on_gpu = settings.device != "cpu" and torch.cuda.is_available()
    if settings.method == "qlora" and not (on_gpu and is_bitsandbytes_available()):
        raise TuneError("model.quantize_base=True (QLoRA) needs an NVIDIA GPU and bitsandbytes: leave it out for LoRA")
    datasets.disable_progress_bars()  # logs are lines
    transformers_logging.disable_progress_bar()
    half = settings.dtype == "bf16" or (not settings.dtype and on_gpu and torch.cuda.is_bf16_supported())
    state = PartialState(cpu=not on_gpu and settings.device != "mps")
    tokenizer = AutoTokenizer.from_pretrained(settings.model)
    with state.local_main_process_first():  # the others of this node find what it has cached
        examples = _examples(settings, bool(tokenizer.chat_template), state.num_processes)
    model = _model(settings, torch.bfloat16 if half else torch.float32)
    trainer = _trainer(settings, model, tokenizer, examples, _arguments(settings, half, on_gpu))
    if state.is_main_process:
        print(_introduction(settings, trainer.model, len(examples), state.num_processes), flush=True)
    trainer.train(resume_from_checkpoint=_checkpoint(settings))
    _save(settings, trainer, tokenizer)
    if state.is_main_process:
        print(_summary(settings, trainer.state), flush=True)
    if dist.is_initialized():
        dist.barrier()  # nobody leaves while another still counts on him
        del trainer, model
        gc.collect()
        dist.destroy_process_group()


def _examples(settings: Settings, chat: bool, processes: int) -> Any:
    """The data set, in another order, and no more of it than the asked-for steps need."""
    found = data.load(settings, chat)
    if settings.shuffle:
        found = found.shuffle(seed=settings.seed)
    if settings.max_steps_per_epoch is None:
        return found
    needed = settings.max_steps_per_epoch * settings.batch_size * settings.accumulation * processes
    return found.select(range(min(len(found), needed)))


def _model(settings: Settings, dtype: torch.dtype) -> Any:
    quantization = None
    if settings.method == "qlora":
        quantization = BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_compute_dtype=dtype)
    try:
        return AutoModelForCausalLM.from_pretrained(settings.model, dtype=dtype, quantization_config=quantization)
    except (OSError, ValueError) as error:
        raise TuneError(f"{settings.model} cannot be loaded as a causal language model: {error}") from error


def _arguments(settings: Settings, half: bool, on_gpu: bool) -> dict[str, Any]:
    """What both trainers are told alike."""
    kind = "full" if settings.method == "full" else "lora"
    kept = os.environ.get(_CHECKPOINTS)
    rate = _RATES[settings.recipe, kind] if settings.learning_rate is None else settings.learning_rate
    return {
        "output_dir": kept or settings.output,
        "per_device_train_batch_size": settings.batch_size,
        "num_train_epochs": settings.epochs,
        "gradient_accumulation_steps": settings.accumulation,
        "learning_rate": rate,
        "weight_decay": settings.weight_decay,
        "lr_scheduler_type": _SCHEDULES.get(settings.schedule, settings.schedule),
        "warmup_steps": settings.warmup_steps,
        "max_grad_norm": settings.clip_norm,
        "activation_checkpointing": settings.checkpointing,
        "torch_compile": settings.compiled,
        "bf16": half,
        "use_cpu": not on_gpu and settings.device != "mps",
        "seed": settings.seed,
        "max_length": settings.max_length or 1024,
        "logging_steps": settings.log_every,
        "save_strategy": "epoch" if kept or settings.resume else "no",
        "save_total_limit": 1,
        "enable_jit_checkpoint": bool(kept),
        "disable_tqdm": True,
        "dataloader_pin_memory": on_gpu,
        "report_to": "none",
    }


def _trainer(settings: Settings, model: Any, tokenizer: Any, examples: Any, arguments: dict[str, Any]) -> Any:
    adapter = None if settings.method == "full" else adapters.config(settings, model)
    common = {"model": model, "train_dataset": examples, "processing_class": tokenizer, "peft_config": adapter}
    if settings.recipe == "dpo":
        loss = "hinge" if settings.loss == "RSOLoss" else "sigmoid"
        chosen = {"beta": settings.beta, "label_smoothing": settings.label_smoothing, "loss_type": [loss]}
        return DPOTrainer(args=DPOConfig(**arguments, **chosen), **common)
    only = False if settings.train_on_input else None
    return SFTTrainer(args=SFTConfig(**arguments, packing=settings.packed, completion_only_loss=only), **common)


def _checkpoint(settings: Settings) -> str | None:
    """The last checkpoint, where the TrainJob keeps them, or in the output directory when that is asked for."""
    kept = os.environ.get(_CHECKPOINTS) or (settings.output if settings.resume else "")
    found: str | None = get_last_checkpoint(kept) if Path(kept or "/nowhere").is_dir() else None
    return found


def _save(settings: Settings, trainer: Any, tokenizer: Any) -> None:
    trainer.save_model(settings.output)
    if trainer.is_world_process_zero():
        trainer.state.save_to_json(str(Path(settings.output) / "trainer_state.json"))  # the course of the loss goes with the model
    if settings.method != "full" and not settings.adapter_only and trainer.is_world_process_zero():
        merged = trainer.accelerator.unwrap_model(trainer.model).merge_and_unload()
        merged.save_pretrained(Path(settings.output) / "merged")
        tokenizer.save_pretrained(Path(settings.output) / "merged")


def _introduction(settings: Settings, model: Any, examples: int, processes: int) -> str:
    sizes = [(p.numel(), p.requires_grad) for p in model.parameters()]
    trained, total = sum(size for size, counts in sizes if counts), sum(size for size, _ in sizes)
    return (
        f"{settings.recipe}, {settings.method}: training {trained} of {total} parameters of {settings.model} with {examples} examples in "
        f"{processes} process{'es' if processes > 1 else ''}"
    )


def _summary(settings: Settings, state: Any) -> str:
    seconds = max(entry.get("train_runtime", 0.0) for entry in state.log_history)
    losses = [entry["loss"] for entry in state.log_history if "loss" in entry]
    tokens = max((entry.get("num_tokens", 0) for entry in state.log_history), default=0)
    course = f"loss {losses[0]:.4f} to {losses[-1]:.4f}, " if losses else ""
    speed = f"{tokens / seconds:.0f} tokens/s, " if tokens else ""
    return f"{state.global_step} steps in {seconds:.1f} s, {course}{speed}saved in {settings.output}"
