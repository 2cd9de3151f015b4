# ruff: noqa: PLC0415  the function travels alone to the pods, so it must bring its imports along
"""PyTorch, data-parallel: a CNN on images of digits, on two nodes, with the official Kubeflow SDK.

After Kubeflow Trainer's example pytorch/image-classification/mnist, with the 1,797 images that scikit-learn brings instead of a download.
Needs `pip install "lightship[demo]"` and a running platform: `lightship up`, then `export KUBECONFIG=~/.lightship/default/kubeconfig`.
"""

from kubeflow.trainer import CustomTrainer, TrainerClient


def train_mnist(num_epochs: int = 2, batch_size: int = 32, lr: float = 0.02, momentum: float = 0.9) -> None:
    import torch
    import torch.distributed as dist
    from sklearn.datasets import load_digits
    from torch import nn
    from torch.nn import functional
    from torch.utils.data import DataLoader, DistributedSampler, TensorDataset

    device, backend = ("cuda", "nccl") if torch.cuda.is_available() else ("cpu", "gloo")
    dist.init_process_group(backend)
    print(f"process {dist.get_rank()} of {dist.get_world_size()} on {device} with {backend}", flush=True)
    if device == "cpu":
        torch.set_num_threads(1)

    digits = load_digits()
    images = torch.tensor(digits.images, dtype=torch.float32).unsqueeze(1) / 16
    dataset = TensorDataset(functional.interpolate(images, size=(28, 28)), torch.tensor(digits.target))

    torch.manual_seed(0)
    network = nn.Sequential(
        nn.Conv2d(1, 10, 5), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(10, 20, 5), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(320, 10)
    ).to(device)
    model = nn.parallel.DistributedDataParallel(network)
    optimizer = torch.optim.SGD(model.parameters(), lr=lr, momentum=momentum)
    sampler = DistributedSampler(dataset)
    for epoch in range(1, num_epochs + 1):
        sampler.set_epoch(epoch)
        for inputs, labels in DataLoader(dataset, batch_size=batch_size, sampler=sampler):
            optimizer.zero_grad()
            loss = functional.cross_entropy(model(inputs.to(device)), labels.to(device))
            loss.backward()
            optimizer.step()
        mean = loss.detach().clone()
        dist.all_reduce(mean)
        if dist.get_rank() == 0:
            print(f"epoch {epoch} loss {mean.item() / dist.get_world_size():.4f}", flush=True)

    dist.barrier()
    if dist.get_rank() == 0:
        print("training is finished", flush=True)
    del model, loss  # they hold on to the process group, whose threads must end before the interpreter does
    dist.destroy_process_group()


def main(client: TrainerClient) -> str:
    trainer = CustomTrainer(func=train_mnist, func_args={"num_epochs": 3, "batch_size": 32}, num_nodes=2)
    job: str = client.train(runtime="torch-distributed", trainer=trainer)
    print(f"submitted {job}")
    client.wait_for_job_status(job, {"Running", "Complete"})  # what has not started has no log
    for line in client.get_job_logs(job, follow=True):
        print(line)
    print(client.wait_for_job_status(job).status)
    return job


if __name__ == "__main__":
    main(TrainerClient())
