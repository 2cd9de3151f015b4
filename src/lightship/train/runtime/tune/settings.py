"""What a fine-tuning run can be told, as typed settings with torchtune's defaults (its llama3_2 configurations) where it has them.

Made by `command` of what `options` reads; what `fitting`, `data` and `adapters` go by. Standard library only.
"""

from dataclasses import dataclass, field


@dataclass(frozen=True, kw_only=True)
class Settings:
    """One run. Paths are as the pod sees them; None means that the framework or the model decides."""

    recipe: str = "sft"
    """`sft` or `dpo`."""
    method: str = "full"
    """`full`, `lora` or `qlora`."""
    model: str = ""
    output: str = ""
    data_directory: str = ""
    data_files: tuple[str, ...] = ()
    data_kind: str = ""
    """What loader of `datasets` reads them (`json`, `parquet`, …); empty: as the files' names say."""
    shape: str = ""
    """What torchtune calls the data set's class (`instruct_dataset`, …); empty: as its columns say."""
    split: str = "train"
    columns: dict[str, str] = field(default_factory=dict)
    """What a column is expected to be called → what it is called."""
    system_prompt: str = ""
    train_on_input: bool = False
    packed: bool = False
    shuffle: bool = True
    max_length: int | None = None
    """Tokens of an example, at most."""
    batch_size: int = 4
    """Examples per process and step."""
    epochs: int = 1
    max_steps_per_epoch: int | None = None
    accumulation: int = 1
    seed: int = 42
    dtype: str = ""
    """`bf16` or `fp32`; empty: bf16 on GPUs that have it, else fp32."""
    device: str = ""
    learning_rate: float | None = None
    weight_decay: float = 0.01
    schedule: str = "cosine"
    warmup_steps: int = 0
    clip_norm: float = 1.0
    loss: str = ""
    beta: float = 0.1
    """How far DPO may move from the reference model."""
    label_smoothing: float = 0.0
    checkpointing: bool = False
    """Compute activations again instead of keeping them."""
    compiled: bool = False
    log_every: int = 1
    resume: bool = False
    adapter_only: bool = True
    """Do not also write the model with the adapter merged into it."""
    lora_modules: tuple[str, ...] = ("q_proj", "v_proj", "output_proj")
    lora_mlp: bool = False
    rank: int = 8
    alpha: float = 16
    dropout: float = 0.0
    quantize: bool = False
    dora: bool = False
