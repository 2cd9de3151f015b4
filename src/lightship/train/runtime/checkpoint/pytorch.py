"""Checkpoints of PyTorch loops: one line to resume, one line at the end of each step.

    saved = Checkpoints(model=model, optimizer=optimizer)
    for step in range(saved.resume(), steps):
        ...
        saved.step(step + 1, every=100)

All ranks call both. Rank 0 saves (models in DDP are the same everywhere), or all do with `Sharded`, for FSDP. When any rank is asked to end
(SIGTERM: the job is suspended, or a node joins or leaves), all stop after the same step, and it is saved whatever `every` says. Any number
of processes can resume what any other number saved. Restored is what has a `state_dict`, and `values`; random numbers and the place within
an epoch are the program's: count steps, and draw by them.
"""

import sys
from collections.abc import Mapping
from os import PathLike
from pathlib import Path
from typing import Any

import torch
import torch.distributed.checkpoint as dcp
from torch.distributed.checkpoint import state_dict as sharding

from . import together
from .files import Folder
from .leaving import STATUS, Leaving

_FILE, _VALUES = "state.pt", "values.pt"


class Checkpoints:
    """What is saved: modules, optimizers, schedules, by any names; `values` are plain ones of the program's own that go with them."""

    def __init__(self, directory: str | PathLike[str] | None = None, *, keep: int = 3, **state: Any) -> None:
        self.folder = Folder(directory, keep=keep)
        self.values: dict[str, Any] = {}
        self._state: Mapping[str, Any] = state
        self._leaving = Leaving()

    def resume(self) -> int:
        """Restore the last whole checkpoint, and return its step; 0 when there is none. All ranks restore the one that rank 0 sees."""
        found = self.folder.last() if together.rank() == 0 else None
        step = together.agree(found[0] if found else 0)
        if step:
            self._load(self.folder.path / f"step-{step:09d}")
        return step

    def step(self, number: int, *, every: int = 1) -> None:
        """Say that so many steps are done: saved each `every` ones, and when somebody has to leave; then this process ends, too.

        Raises `SystemExit` to end: torchrun starts the workers that stay again, and they resume here.
        """
        leaving = together.anybody(self._leaving.asked)
        if leaving or number % every == 0:
            self.save(number)
        if leaving:
            if together.rank() == 0:
                print(f"leaving after step {number}, which is saved", flush=True)
            together.part()
            sys.exit(STATUS)

    def save(self, number: int) -> None:
        """Save now. Returns on all ranks when it is on the disk."""
        if together.rank() == 0:
            self.folder.write(number, self._save)
        together.wait()

    def _save(self, place: Path) -> None:
        kept = {name: _plain(part).state_dict() for name, part in self._state.items()}
        torch.save({"state": kept, "values": self.values}, place / _FILE)

    def _load(self, place: Path) -> None:
        found = torch.load(place / _FILE, map_location="cpu", weights_only=True)
        for name, part in self._state.items():
            _plain(part).load_state_dict(found["state"][name])
        self.values.update(found["values"])


class Sharded(Checkpoints):
    """The same for models too big for one process: each rank writes and reads its share (torch's distributed checkpoints).

    One module, called `model`, and any optimizers; any number of processes can resume.
    """

    def save(self, number: int) -> None:
        if together.rank() == 0:
            self.folder.begin(number)
        together.wait()
        draft = self.folder.path / f".step-{number:09d}"
        dcp.save(self._shares(), checkpoint_id=draft)
        if together.rank() == 0:
            torch.save(self.values, draft / _VALUES)
            self.folder.commit(number, checked=False)
        together.wait()

    def _shares(self) -> dict[str, Any]:
        model, optimizers = self._parts()
        weights, moments = sharding.get_state_dict(model, optimizers)
        return {"model": weights, "optimizers": moments}

    def _load(self, place: Path) -> None:
        found = self._shares()
        dcp.load(found, checkpoint_id=place)
        model, optimizers = self._parts()
        sharding.set_state_dict(model, optimizers, model_state_dict=found["model"], optim_state_dict=found["optimizers"])
        self.values.update(torch.load(place / _VALUES, weights_only=True))

    def _parts(self) -> tuple[Any, list[Any]]:
        return self._state["model"], [part for part in self._state.values() if isinstance(part, torch.optim.Optimizer)]


def _plain(part: Any) -> Any:
    """What is inside DDP, whose names would keep other numbers of processes from resuming."""
    return part.module if isinstance(part, torch.nn.parallel.DistributedDataParallel) else part
