# ruff: noqa: PLC0415  the function travels alone to the pod, so it must bring its imports along
"""A training function to start from: PyTorch DDP on the handwritten digits that come with scikit-learn.

`lightship demo` and `examples/train` give it to the SDK's `CustomTrainer`, which ships the function's source (not this module) into
each pod and starts it with torchrun. The SDK passes the source through a shell that expands dollar signs, backticks and backslashes,
so there are none below.
"""


def train_digits(epochs: int = 20, batch_size: int = 64, learning_rate: float = 0.01, seed: int = 0, output: str = "") -> None:
    """Train a small CNN on as many processes as torchrun has started; the first one reports and saves.

    The batch size is that of all processes together. model.pt and metrics.json go to the given directory, or else to the directory that
    LIGHTSHIP_OUTPUT names, or else to /tmp/digits. Every process holds out the same fifth of the 1,797 images.
    """
    import gc
    import json
    import os
    import time
    from pathlib import Path

    import torch
    import torch.distributed as dist
    from sklearn.datasets import load_digits
    from torch import nn
    from torch.nn.parallel import DistributedDataParallel

    started = time.perf_counter()
    torch.set_num_threads(1)  # two processes on two cores get in each other's way with more
    distributed = "WORLD_SIZE" in os.environ
    if distributed:
        dist.init_process_group("gloo")
    rank, world = (dist.get_rank(), dist.get_world_size()) if distributed else (0, 1)
    first = rank == 0

    digits = load_digits()
    images = torch.tensor(digits.images, dtype=torch.float32).unsqueeze(1)
    labels = torch.tensor(digits.target, dtype=torch.int64)
    order = torch.randperm(len(images), generator=torch.Generator().manual_seed(0))  # the split never depends on the seed
    held_out, kept = order[: len(order) // 5], order[len(order) // 5 :]
    images = (images - images[kept].mean()) / images[kept].std()

    torch.manual_seed(seed)
    network = nn.Sequential(
        nn.Conv2d(1, 16, 3, padding=1),
        nn.BatchNorm2d(16),
        nn.ReLU(),
        nn.Conv2d(16, 32, 3, padding=1),
        nn.BatchNorm2d(32),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Dropout(0.3),
        nn.Linear(32 * 4 * 4, 10),
    )
    if first:  # before DDP: what it imports takes seconds on a cold machine
        size = sum(p.numel() for p in network.parameters())
        print(f"training {size} parameters on {len(kept)} images in {world} processes, {len(held_out)} images held out", flush=True)
    model = DistributedDataParallel(network) if distributed else network
    share = max(1, batch_size // world)
    steps = -(-(len(kept) // world) // share)
    optimizer = torch.optim.AdamW(model.parameters(), lr=learning_rate, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=learning_rate, epochs=epochs, steps_per_epoch=steps)
    loss_of = nn.CrossEntropyLoss(label_smoothing=0.05)

    accuracy = 0.0
    for epoch in range(1, epochs + 1):
        model.train()
        shuffled = kept[torch.randperm(len(kept), generator=torch.Generator().manual_seed(seed + epoch))]
        mine = shuffled[rank : len(kept) // world * world : world]  # equal shares: nobody may wait for a step that others lack
        total = torch.zeros(1)
        for batch in mine.split(share):
            optimizer.zero_grad()
            loss = loss_of(model(images[batch]), labels[batch])
            loss.backward()
            optimizer.step()
            schedule.step()
            total += loss.detach() * len(batch)
        if distributed:
            dist.all_reduce(total)
        if first:
            network.eval()
            with torch.no_grad():
                right = network(images[held_out]).argmax(1) == labels[held_out]
            accuracy = right.float().mean().item()
            mean = total.item() / (len(mine) * world)
            print(f"epoch {epoch}/{epochs} loss {mean:.4f} accuracy {accuracy:.1%}", flush=True)

    if first:
        seconds = time.perf_counter() - started
        target = Path(output or os.environ.get("LIGHTSHIP_OUTPUT") or "/tmp/digits")
        target.mkdir(parents=True, exist_ok=True)
        torch.save(network.state_dict(), target / "model.pt")
        metrics = {"accuracy": accuracy, "epochs": epochs, "processes": world, "seconds": round(seconds, 3), "held_out": len(held_out)}
        (target / "metrics.json").write_text(json.dumps(metrics))
        print(f"held-out accuracy {accuracy:.1%} after {epochs} epochs in {seconds:.1f} s, saved in {target}", flush=True)
    if distributed:
        dist.barrier()  # nobody leaves while another still counts on him
        del model, loss  # they hold on to the process group, whose threads must end before the interpreter does
        gc.collect()
        dist.destroy_process_group()
