"""Checkpoints of Hugging Face's Trainer: it saves and restores by itself; this tells it where, from which, and when the end is near.

    arguments = TrainingArguments(output_dir=str(directory()), save_total_limit=3, ...)
    trainer = Trainer(..., args=arguments, callbacks=[SaveAndLeave()])
    trainer.train(resume_from_checkpoint=last())

`transformers` is what the pod brings.
"""

import json
import re
import sys
from os import PathLike
from pathlib import Path
from typing import Any

from transformers import TrainerCallback

from . import together
from .files import directory
from .leaving import STATUS, Leaving

_CHECKPOINT = re.compile(r"checkpoint-(\d+)")
_LAST_WRITTEN = "trainer_state.json"


def last(place: str | PathLike[str] | None = None) -> str | None:
    """The newest checkpoint that the Trainer has finished; None, which means a fresh start, when there is none."""
    folder = directory(place)
    found = sorted((int(m[1]), p) for p in folder.glob("checkpoint-*") if (m := _CHECKPOINT.fullmatch(p.name)))
    return next((str(path) for _, path in reversed(found) if _is_whole(path)), None)


def _is_whole(path: Path) -> bool:
    """The Trainer writes this file after all others."""
    try:
        return bool(json.loads((path / _LAST_WRITTEN).read_bytes()))
    except (OSError, ValueError):
        return False


class SaveAndLeave(TrainerCallback):  # type: ignore[misc]  # untyped where transformers is not installed
    """When the pod of any rank is asked to end, all save after the step under way, and end: `SystemExit`, out of `trainer.train`."""

    def __init__(self) -> None:
        self._listening = Leaving()
        self._leaving = False

    def on_step_end(self, args: Any, state: Any, control: Any, **others: Any) -> Any:
        self._leaving = together.anybody(self._listening.asked)
        if self._leaving:
            control.should_save = control.should_training_stop = True
        return control

    def on_save(self, args: Any, state: Any, control: Any, **others: Any) -> None:
        """Not the end of the training: a program that went on from here would say that it is, and never be started again."""
        if not self._leaving:
            return
        together.wait()
        if together.rank() == 0:
            print(f"leaving after step {state.global_step}, which is saved", flush=True)
        together.part()
        sys.exit(STATUS)
