"""What the ranks of a PyTorch job know of each other: who they are, what one of them says, whether all have come this far.

Called by `pytorch` and `huggingface`. A process that is alone, without a process group, agrees with itself.
"""

import torch
import torch.distributed as dist


def rank() -> int:
    return int(dist.get_rank()) if dist.is_initialized() else 0


def agree(number: int) -> int:
    """The number that rank 0 has."""
    if not dist.is_initialized():
        return number
    told = torch.tensor([number], dtype=torch.int64, device=_device())
    dist.broadcast(told, 0)
    return int(told.item())


def anybody(asked: bool) -> bool:
    """Does any rank say yes?"""
    if not dist.is_initialized():
        return asked
    told = torch.tensor([int(asked)], dtype=torch.int64, device=_device())
    dist.all_reduce(told, dist.ReduceOp.MAX)
    return bool(told.item())


def wait() -> None:
    """Until all ranks are here."""
    if dist.is_initialized():
        dist.barrier()


def part() -> None:
    """Leave the others; a process whose threads still listen to them takes its whole grace period to end."""
    if dist.is_initialized():
        dist.destroy_process_group()


def _device() -> str:
    """Where the process group wants numbers to be."""
    return "cuda" if dist.get_backend() == "nccl" else "cpu"
