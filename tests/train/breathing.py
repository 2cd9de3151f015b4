"""The program of the test of elastic jobs: it waits at two places for its number of nodes to change, and compares itself in the end."""


def breathe(steps: int = 60) -> None:
    """Train alone until step 20, with another node until step 40, alone to the end; then the same without any change."""
    import gc
    import threading
    from typing import Any

    import torch
    import torch.distributed as dist
    from torch.nn.parallel import DistributedDataParallel

    from lightship.train.runtime.checkpoint.pytorch import Checkpoints

    def fresh() -> tuple[Any, Any]:
        torch.manual_seed(0)
        network = torch.nn.Sequential(torch.nn.Linear(8, 32), torch.nn.Tanh(), torch.nn.Linear(32, 1))
        return network, torch.optim.AdamW(network.parameters(), lr=0.01)

    def learn(model: Any, optimizer: Any, step: int, rank: int, world: int) -> Any:
        mine = torch.randn(64, 8, generator=torch.Generator().manual_seed(step))[rank::world]
        loss = torch.nn.functional.mse_loss(model(mine), mine.sin().sum(1, keepdim=True))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss.detach()

    def train() -> None:
        rank, world = dist.get_rank(), dist.get_world_size()
        network, optimizer = fresh()
        model = DistributedDataParallel(network)
        saved = Checkpoints(model=model, optimizer=optimizer)
        first = saved.resume()
        losses, worlds = saved.values.setdefault("losses", []), saved.values.setdefault("worlds", [])
        worlds.append(world)
        print(f"rank {rank} of {world} goes on after step {first}", flush=True)
        for step in range(first, steps):
            while (step == 20 and worlds == [1]) or (step == 40 and worlds == [1, 2]):
                threading.Event().wait(0.1)
                saved.step(step, every=steps + 1)
            mean = learn(model, optimizer, step, rank, world)
            dist.all_reduce(mean)
            losses.append(mean.item() / world)
            if rank == 0:
                print(f"step {step + 1} of {steps} on {world}", flush=True)
            saved.step(step + 1, every=steps + 1)
        alone, own = fresh()
        undisturbed = [learn(alone, own, step, 0, 1).item() for step in range(steps)]
        furthest = max(abs(a - b) for a, b in zip(losses, undisturbed, strict=True))
        print(f"nodes {worlds}, at most {furthest:.6f} from a run without changes", flush=True)

    torch.set_num_threads(1)
    dist.init_process_group("gloo")
    train()
    dist.barrier()
    gc.collect()  # what is left of the model holds on to the process group
    dist.destroy_process_group()
