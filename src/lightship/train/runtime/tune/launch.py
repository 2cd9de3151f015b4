"""From one `tune` per node to one process per rank.

`main` is the program that images of the torchtune trainer have on their PATH. One process on a node is this one, told who it is; several
are torchrun's. Standard library only.
"""

import os
import sys
from collections.abc import Mapping
from pathlib import Path

from . import command
from .command import RECIPES, Run
from .errors import TuneError

_PORT = "29500"
_RANK = "lightship.train.runtime.tune.rank"
NO_GPU = "model.quantize_base=True (QLoRA) needs an NVIDIA GPU, and there is none: leave it out for LoRA, or ask for one"


def main() -> None:
    """Do what the command line says, by becoming another program. Exit status 2: the command is wrong, and stderr says how, in one line."""
    arguments = sys.argv[1:]
    if arguments == ["ls"]:
        print("\n".join(RECIPES))
        return
    try:
        run = command.parse(arguments, os.environ)
        variables, torchrun = plan(run, gpus(os.environ))
        if run.settings.method == "qlora" and not gpus(os.environ):
            raise TuneError(NO_GPU)
    except TuneError as error:
        print(f"tune: {error}", file=sys.stderr)
        sys.exit(2)
    starter = torchrun or [sys.executable]
    sys.stdout.flush()
    os.execvpe(starter[0], [*starter, "-m", _RANK, *arguments], {**os.environ, **variables})


def plan(run: Run, gpus: int) -> tuple[dict[str, str], list[str]]:
    """Variables of the only rank of this node, or the torchrun that starts several. Raises `TuneError`."""
    if run.alone:
        return {}, []
    nodes, processes = _number(run, "nnodes", "1"), _processes(run, gpus)
    host, _, port = run.group.get("rdzv_endpoint", "").partition(":")
    host = host or run.group.get("master_addr", "127.0.0.1")
    port = port or run.group.get("master_port", _PORT)
    if nodes == 1 and processes == 1:
        return {}, []
    rank = _number(run, "node_rank", "0")
    if processes == 1:
        variables = {"RANK": rank, "WORLD_SIZE": nodes, "LOCAL_RANK": 0, "LOCAL_WORLD_SIZE": 1}
        return {**{name: str(value) for name, value in variables.items()}, "MASTER_ADDR": host, "MASTER_PORT": port}, []
    words = [f"--nnodes={nodes}", f"--nproc-per-node={processes}", f"--node-rank={rank}", f"--master-addr={host}", f"--master-port={port}"]
    return {}, ["torchrun", *words]


def gpus(environment: Mapping[str, str]) -> int:
    """How many GPUs of NVIDIA this process may use, without loading anything that knows."""
    visible = environment.get("CUDA_VISIBLE_DEVICES")
    if visible is not None:
        return len([device for device in visible.split(",") if device.strip() not in ("", "-1")])
    return len(list(Path("/dev").glob("nvidia[0-9]*")))


def _processes(run: Run, gpus: int) -> int:
    """Processes on this node: as said, one for each GPU, or one."""
    if run.group.get("nproc_per_node", "auto") in ("auto", "gpu"):
        return max(1, gpus)
    return _number(run, "nproc_per_node", "1")


def _number(run: Run, name: str, default: str) -> int:
    text = run.group.get(name, default)
    if not text.isdecimal():
        raise TuneError(f"--{name}={text}: a number is needed")
    return int(text)
