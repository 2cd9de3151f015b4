# ruff: noqa: PLC0415  the function travels alone to the pod, so it must bring its imports along
"""A training job that survives: kill a worker, a node or the platform, suspend and resume it: it goes on after the last checkpoint.

Needs `pip install "lightship[demo]"` and a running platform: `lightship up`, then `export KUBECONFIG=~/.lightship/default/kubeconfig`.
While it runs, try `lightship train suspend NAME` and `lightship train resume NAME`, or kill one of its python processes.
"""

from kubeflow.trainer import CustomTrainer, TrainerClient
from kubeflow.trainer.options import Annotations


def train(epochs: int = 30, steps: int = 10, seconds: float = 0.1) -> None:
    """Learn a sum of sines on all processes together; each step takes so many seconds, that there is something to interrupt."""
    import gc
    import time

    import torch
    import torch.distributed as dist
    from torch.nn.parallel import DistributedDataParallel

    from lightship.train.runtime.checkpoint.pytorch import Checkpoints

    def learn() -> None:
        rank, world = dist.get_rank(), dist.get_world_size()
        torch.manual_seed(0)
        model = DistributedDataParallel(torch.nn.Sequential(torch.nn.Linear(8, 32), torch.nn.Tanh(), torch.nn.Linear(32, 1)))
        optimizer = torch.optim.AdamW(model.parameters(), lr=0.01)
        saved = Checkpoints(keep=2, model=model, optimizer=optimizer)  # in LIGHTSHIP_CHECKPOINT_DIR
        first = saved.resume()
        history = saved.values.setdefault("losses", [])
        print(f"rank {rank} of {world} goes on after step {first}", flush=True)
        for step in range(first, epochs * steps):
            time.sleep(seconds)
            drawn = torch.randn(64, 8, generator=torch.Generator().manual_seed(step))  # the same on any number of processes
            mine = drawn[rank::world]
            loss = torch.nn.functional.mse_loss(model(mine), mine.sin().sum(1, keepdim=True))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            mean = loss.detach()
            dist.all_reduce(mean)
            history.append(mean.item() / world)
            if rank == 0:
                print(f"step {step + 1} of {epochs * steps} on {world} loss {mean.item() / world:.4f}", flush=True)
            saved.step(step + 1, every=steps)
        if rank == 0:
            print(f"finished with {len(history)} losses, the last {history[-1]:.4f}", flush=True)

    torch.set_num_threads(1)
    dist.init_process_group("gloo")
    learn()
    dist.barrier()
    gc.collect()  # a model that is left holds on to the process group, whose threads must end before the interpreter does
    dist.destroy_process_group()


def main(client: TrainerClient) -> str:
    trainer = CustomTrainer(func=train, num_nodes=2, resources_per_node={"cpu": 1, "memory": "1Gi"})
    survives = Annotations({"lightship.dev/checkpoint": "true", "lightship.dev/max-restarts": "3"})
    job: str = client.train(runtime="torch-distributed", trainer=trainer, options=[survives])
    print(f"submitted {job}")
    client.wait_for_job_status(job, {"Running", "Complete"})  # what has not started has no log
    for line in client.get_job_logs(job, follow=True):
        print(line)
    print(client.wait_for_job_status(job).status)
    return job


if __name__ == "__main__":
    main(TrainerClient())
