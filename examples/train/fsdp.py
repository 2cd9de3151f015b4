# ruff: noqa: PLC0415  the function travels alone to the pods, so it must bring its imports along
"""PyTorch, fully sharded: a small transformer whose parameters and optimizer are split between the processes of two nodes (FSDP2).

Needs `pip install "lightship[demo]"` and a running platform: `lightship up`, then `export KUBECONFIG=~/.lightship/default/kubeconfig`.
"""

from kubeflow.trainer import CustomTrainer, TrainerClient


def train_sharded(steps: int = 20, width: int = 64) -> None:
    import torch
    import torch.distributed as dist
    from torch import nn
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import fully_shard
    from torch.nn import functional

    device, backend = ("cuda", "nccl") if torch.cuda.is_available() else ("cpu", "gloo")
    dist.init_process_group(backend)
    rank, world = dist.get_rank(), dist.get_world_size()
    if device == "cpu":
        torch.set_num_threads(1)

    torch.manual_seed(0)
    layers = [nn.TransformerEncoderLayer(width, 4, 4 * width, dropout=0.0, batch_first=True) for _ in range(2)]
    model = nn.Sequential(nn.Embedding(32, width), *layers, nn.Linear(width, 32)).to(device)
    whole = sum(p.numel() for p in model.parameters())
    mesh = init_device_mesh(device, (world,))
    for layer in layers:
        fully_shard(layer, mesh=mesh)
    fully_shard(model, mesh=mesh)
    mine = sum(p.to_local().numel() for p in model.parameters())
    print(f"process {rank} of {world} holds {mine} of {whole} parameters", flush=True)

    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    generator = torch.Generator().manual_seed(rank)  # each process has data of its own
    for step in range(1, steps + 1):
        start = torch.randint(0, 32, (16, 1), generator=generator)
        tokens = ((start + torch.arange(17)) % 32).to(device)  # to count on is all there is to learn
        optimizer.zero_grad()
        logits = model(tokens[:, :-1])
        loss = functional.cross_entropy(logits.flatten(0, 1), tokens[:, 1:].flatten())
        loss.backward()
        optimizer.step()
        mean = loss.detach().clone()
        dist.all_reduce(mean)
        if rank == 0 and step in (1, steps):
            print(f"step {step} loss {mean.item() / world:.4f}", flush=True)

    dist.barrier()
    del model, layers, optimizer, loss, logits, mesh
    dist.destroy_process_group()


def main(client: TrainerClient) -> str:
    job: str = client.train(runtime="torch-distributed", trainer=CustomTrainer(func=train_sharded, num_nodes=2))
    print(f"submitted {job}")
    client.wait_for_job_status(job, {"Running", "Complete"})  # what has not started has no log
    for line in client.get_job_logs(job, follow=True):
        print(line)
    print(client.wait_for_job_status(job).status)
    return job


if __name__ == "__main__":
    main(TrainerClient())
