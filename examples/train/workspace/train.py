"""Two nodes, two modules of our own: `lightship train examples/train/workspace/train.py --nodes 2 -- --epochs 3`.

Every process fits the same small network to its own share of a curve; gradients are averaged by DistributedDataParallel. `net` and `curve`
travel with the script because it imports them.
"""

import argparse
import os

import torch
import torch.distributed as dist
from curve import share
from net.model import Net
from torch.nn.parallel import DistributedDataParallel


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--epochs", type=int, default=5)
    epochs = parser.parse_args().epochs
    dist.init_process_group("gloo")
    rank, ranks = dist.get_rank(), dist.get_world_size()
    torch.manual_seed(0)
    model = DistributedDataParallel(Net())
    optimizer = torch.optim.Adam(model.parameters(), lr=0.02)
    x, y = share(rank, ranks)
    for epoch in range(1, epochs + 1):
        for _ in range(20):
            optimizer.zero_grad()
            loss = torch.nn.functional.mse_loss(model(x), y)
            loss.backward()
            optimizer.step()
        total = loss.detach().clone()
        dist.all_reduce(total)
        if rank == 0:
            print(f"epoch {epoch}/{epochs} of {ranks} processes in {os.path.basename(os.getcwd())}: loss {total.item() / ranks:.4f}")
    dist.barrier()
    dist.destroy_process_group()


if __name__ == "__main__":
    main()
