"""Checkpoints of JAX loops: trees of arrays, saved by the first process and resumed by all.

    step, state = resume(state)
    for step in range(step, steps):
        ...
        save(step + 1, state)

For arrays that every process has whole (data parallel training); programs with sharded ones use orbax, whose `CheckpointManager` takes
`LIGHTSHIP_CHECKPOINT_DIR` as its directory and finds its own last step there.
"""

import sys
from os import PathLike
from pathlib import Path
from typing import Any

import jax
import numpy
from jax.experimental import multihost_utils

from .files import Folder
from .leaving import STATUS, Leaving

_FILE = "state.npz"


def _jax_listens() -> bool:
    """JAX hears the signal in one of several processes, and agrees with the others on a step: the next that none of them has begun."""
    return bool(jax.distributed.is_initialized() and jax.config.jax_enable_preemption_service)


_leaving = None if _jax_listens() else Leaving()
"""Who hears it in a process that is alone. None: JAX has its handler there already, which must stay."""


def resume(state: Any, directory: str | PathLike[str] | None = None) -> tuple[int, Any]:
    """The step of the last whole checkpoint and the tree that was saved then; (0, `state`) when there is none. All processes must see it.

    Raises `ValueError` when what was saved has another shape than `state`.
    """
    found = Folder(directory).last()
    if found is None:
        return 0, state
    step, place = found
    leaves, tree = jax.tree.flatten(state)
    with numpy.load(place / _FILE, allow_pickle=False) as saved:
        if len(saved.files) != len(leaves):
            raise ValueError(f"{place} holds {len(saved.files)} arrays, not {len(leaves)}: it is of another model, remove it to begin anew")
        return step, jax.tree.unflatten(tree, [saved[str(number)] for number in range(len(leaves))])


def save(step: int, state: Any, directory: str | PathLike[str] | None = None, *, every: int = 1, keep: int = 3) -> None:
    """Save a tree after so many steps, when they are a multiple of `every` or any process was asked to end; then all end.

    Raises `SystemExit` to end. Every process calls it after every step; only the first one writes.
    """
    leaving = _anybody(step)
    if (leaving or step % every == 0) and jax.process_index() == 0:
        leaves = jax.device_get(jax.tree.leaves(state))

        def fill(place: Path) -> None:
            numpy.savez(place / _FILE, **{str(number): leaf for number, leaf in enumerate(leaves)})

        Folder(directory, keep=keep).write(step, fill)
    if leaving:
        if jax.process_index() == 0:
            print(f"leaving after step {step}, which is saved", flush=True)
        if jax.distributed.is_initialized():
            jax.distributed.shutdown()  # waits for all, of whom the first is still writing
        sys.exit(STATUS)


def _anybody(step: int) -> bool:
    """Is this step the one after which all leave?"""
    return bool(multihost_utils.reached_preemption_sync_point(step)) if _leaving is None or _jax_listens() else _leaving.asked
